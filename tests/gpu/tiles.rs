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
