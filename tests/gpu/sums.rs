//! Squared errors, norms and clipping on the device against the CPU in double precision.

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

fn tensors<B: RecurrenceBackend>(lengths: &[usize]) -> Vec<Tensor<B, 1>> {
    let tensor = |(seed, &n): (usize, &usize)| normals::<B, 1>([n], seed as u64);
    lengths.iter().enumerate().map(tensor).collect()
}

/// Lists of one, of lengths below and above what a cube adds, and of more than a launch takes.
fn lists() -> [Vec<usize>; 5] {
    let many = (1..=40).map(|k| 37 * k).collect();
    let few: [&[usize]; 4] = [&[1], &[1000], &[3, 100_000, 257, 1], &[70_000, 2048]];
    let [a, b, c, d] = few.map(<[usize]>::to_vec);
    [a, b, c, d, many]
}

/// The sum of squares, and the norm.
fn sizes<B: RecurrenceBackend>(lengths: &[usize]) -> [TensorData; 2] {
    let tensors = tensors::<B>(lengths);
    let all: Vec<_> = tensors.iter().collect();
    [B::sum_of_squares(&all), B::norm(&all)].map(|x| x.to_data())
}

#[test]
fn sums_of_squares_and_norms_agree_with_the_cpu() {
    for lengths in lists() {
        let pairs = (sizes::<Gpu>(&lengths).into_iter()).zip(sizes::<NdArray<f64>>(&lengths));
        pairs.for_each(|(found, exact)| assert_near(found, exact));
    }
}

fn clipped<B: RecurrenceBackend>(lengths: &[usize], norm: f64, max: f64) -> Vec<TensorData> {
    let norm = host_tensor(TensorData::new(vec![norm], [1]), &Default::default());
    let found = B::clipped(tensors(lengths), &norm, max);
    found.iter().map(Tensor::to_data).collect()
}

/// A norm within the bound leaves every bit as it is.
#[test]
fn clipped_gradients_agree_with_the_cpu() {
    for lengths in lists() {
        let found = clipped::<Gpu>(&lengths, 3.0, 0.7);
        let exact = clipped::<NdArray<f64>>(&lengths, 3.0, 0.7);
        assert_eq!(found.len(), exact.len());
        let pairs = found.into_iter().zip(exact);
        pairs.for_each(|(found, exact)| assert_near(found, exact));
        let before: Vec<_> = tensors::<Gpu>(&lengths)
            .iter()
            .map(Tensor::to_data)
            .collect();
        for norm in [0.0, 0.3, 0.7] {
            assert_eq!(clipped::<Gpu>(&lengths, norm, 0.7), before);
        }
    }
}
