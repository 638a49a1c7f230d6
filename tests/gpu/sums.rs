//! Squared errors and norms on the device against the CPU in double precision.

use burn::backend::NdArray;
use burn::tensor::{Tensor, TensorData};
use ctrnn_model::{Gpu, RecurrenceBackend, host_tensor};
use ctrnn_random::{Key, Rng, Stream};

/// Shapes of less than a warp, of more than a cube has threads, and of more than all cubes have threads.
const SHAPES: [[usize; 3]; 4] = [[1, 1, 1], [2, 5, 3], [40, 50, 2], [100, 101, 33]];

fn normals<B: RecurrenceBackend, const D: usize>(shape: [usize; D], seed: u64) -> Tensor<B, D> {
    let rng = &mut Rng::new(Key::new(seed, Stream::Weights, 0), 0, 0);
    let numbers: Vec<f32> = (0..shape.iter().product()).map(|_| rng.normal()).collect();
    host_tensor(TensorData::new(numbers, shape), &Default::default())
}

fn assert_near(found: TensorData, exact: TensorData) {
    assert_eq!(found.shape, exact.shape);
    for (a, b) in found.iter::<f64>().zip(exact.iter::<f64>()) {
        assert!((a - b).abs() < 1e-6 * b.abs().max(0.1), "{a} {b}");
    }
}

fn squared_error<B: RecurrenceBackend>(shape: [usize; 3], width: usize) -> [TensorData; 2] {
    let [steps, trials, _] = shape;
    let weights = normals([steps, trials, width], 3);
    let found = B::squared_error(normals(shape, 1), normals(shape, 2), weights.abs());
    [found.0.to_data(), found.1.to_data()]
}

#[test]
fn squared_errors_agree_with_the_cpu() {
    for shape in SHAPES {
        for width in [1, shape[2]] {
            let found = squared_error::<Gpu>(shape, width);
            let exact = squared_error::<NdArray<f64>>(shape, width);
            for (found, exact) in found.into_iter().zip(exact) {
                assert_near(found, exact);
            }
        }
    }
}

fn sum_of_squares<B: RecurrenceBackend>(lengths: &[usize]) -> TensorData {
    let tensor = |(seed, &n): (usize, &usize)| normals::<B, 1>([n], seed as u64);
    let tensors: Vec<_> = lengths.iter().enumerate().map(tensor).collect();
    B::sum_of_squares(&tensors.iter().collect::<Vec<_>>()).to_data()
}

#[test]
fn sums_of_squares_agree_with_the_cpu() {
    for lengths in [&[1][..], &[1000], &[3, 100_000, 257, 1], &[70_000, 2048]] {
        let exact = sum_of_squares::<NdArray<f64>>(lengths);
        assert_near(sum_of_squares::<Gpu>(lengths), exact);
    }
}
