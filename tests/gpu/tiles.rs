//! The tiles of sweeps on devices with few threads and little shared memory.

use ctrnn_kernels::Shape;
use ctrnn_kernels::gpu::Tile;

fn shape(trials: usize, units: usize) -> Shape {
    Shape {
        trials,
        steps: 10,
        inputs: 1,
        units,
        outputs: 1,
        ..Shape::default()
    }
}

/// 16 KB and 256 threads are what every device has.
#[test]
fn networks_of_512_units_are_resident_everywhere() {
    for trials in [1, 64, 4096] {
        for units in [1, 31, 128, 129, 256, 300, 512] {
            let tile = Tile::within(&shape(trials, units), 16 << 10, 256);
            assert!(tile.resident && tile.units() >= units, "{units}: {tile:?}");
            assert!(tile.shared_bytes() <= 16 << 10, "{units}: {tile:?}");
        }
        let tile = Tile::within(&shape(trials, 513), 48 << 10, 1024);
        assert!(!tile.resident);
    }
}

/// The rates of up to 512 units leave room for every rank in 16 KB, whether there is a full matrix or not.
#[test]
fn factors_of_512_units_are_resident_everywhere() {
    for trials in [1, 4096] {
        for without_full in [false, true] {
            for (units, rank) in [(1, 1), (100, 100), (256, 2), (512, 1), (512, 512)] {
                let shape = Shape {
                    rank,
                    without_full,
                    ..shape(trials, units)
                };
                let tile = Tile::within(&shape, 16 << 10, 256);
                assert!(tile.resident && tile.units() >= units, "{units}: {tile:?}");
                assert!(tile.shared_bytes() <= 16 << 10, "{units}: {tile:?}");
            }
        }
    }
}

/// Factors alone are resident for more units, where a device has the memory.
#[test]
fn factors_alone_are_resident_up_to_2048_units() {
    let tile = |units: usize, rank: usize, bytes: usize| {
        let shape = Shape {
            rank,
            without_full: true,
            ..shape(64, units)
        };
        Tile::within(&shape, bytes, 256)
    };
    assert!(tile(896, 2, 16 << 10).resident);
    assert!(!tile(897, 2, 16 << 10).resident);
    assert!(tile(1024, 128, 32 << 10).resident);
    assert!(tile(2048, 128, 48 << 10).resident);
    assert!(!tile(2049, 1, 48 << 10).resident);
}
