//! Updates of Adam, of all parameters in one launch; as tensor operations an update is a dozen for each parameter.

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::launches::count;
use super::list::{Share, ShareLaunch, Shares, array, items_of_launch};
use super::tile::elementwise;
use crate::AdamStep;

/// Buffers of a parameter, its gradient and its two moments, with the coefficients of their update.
#[derive(Clone, Debug)]
pub struct AdamBuffers {
    /// Coefficients.
    pub step: AdamStep,
    /// Weights before the update.
    pub weights: Handle,
    /// Gradient of the weights.
    pub gradient: Handle,
    /// Moments before the update.
    pub moments: [Handle; 2],
    /// Number of weights.
    pub n: usize,
}

/// [`AdamStep`] on the device.
#[derive(CubeType, CubeLaunch)]
struct Step {
    keep: f32,
    penalty: f32,
    beta_1: f32,
    beta_2: f32,
    rate: f32,
    eps: f32,
}

/// [`AdamBuffers`] on the device.
#[derive(CubeType, CubeLaunch)]
struct Parameter {
    weights: Array<f32>,
    gradient: Array<f32>,
    moment_1: Array<f32>,
    moment_2: Array<f32>,
    step: Step,
    /// Distance between the next weights, their first and their second moments, which share a buffer.
    stride: u32,
    threads: Share,
}

/// Updates a weight of one of the parameters, and its moments, in each thread.
#[cube(launch_unchecked)]
fn update_all(parameters: &Sequence<Parameter>, next: &mut Sequence<Array<f32>>) {
    #[unroll]
    for k in 0..parameters.len() {
        let parameter = parameters.index(k);
        if parameter.threads.has(ABSOLUTE_POS) {
            let at = parameter.threads.place(ABSOLUTE_POS);
            update(parameter, next.index_mut(k), at);
        }
    }
}

#[cube]
fn update(parameter: &Parameter, next: &mut Array<f32>, at: usize) {
    let step = &parameter.step;
    let stride = parameter.stride as usize;
    let w = parameter.weights[at];
    let g = fma(step.penalty, w, parameter.gradient[at]);
    let m = step.beta_1 * parameter.moment_1[at] + (1.0f32 - step.beta_1) * g;
    let s = step.beta_2 * parameter.moment_2[at] + (1.0f32 - step.beta_2) * g * g;
    next[at] = step.keep * w - step.rate * (m / (s.sqrt() + step.eps));
    next[stride + at] = m;
    next[2 * stride + at] = s;
}

/// Returns the next weights of each parameter and their next two moments.
pub fn adam<R: Runtime>(client: &ComputeClient<R>, parameters: &[AdamBuffers]) -> Vec<[Handle; 3]> {
    let some = parameters.chunks(items_of_launch(client, 5, 0));
    some.flat_map(|some| updated(client, some)).collect()
}

/// Updates as many parameters as a launch takes.
fn updated<R: Runtime>(client: &ComputeClient<R>, parameters: &[AdamBuffers]) -> Vec<[Handle; 3]> {
    let alignment = client.properties().memory.alignment as usize;
    let mut shares = Shares::default();
    let (mut arguments, mut places) = (SequenceArg::new(), SequenceArg::new());
    let next = parameters.iter().map(|parameter| {
        let n = parameter.n;
        // One buffer in place of three: a launch takes more parameters.
        let bytes = (n * size_of::<f32>()).next_multiple_of(alignment);
        let next = client.empty(3 * bytes);
        let stride = bytes / size_of::<f32>();
        arguments.push(argument(parameter, stride, shares.next(n)));
        places.push(array(&next, 3 * stride));
        let unused = bytes - n * size_of::<f32>();
        [0, 1, 2].map(|part| {
            let part_of = next.clone().offset_start((part * bytes) as u64);
            part_of.offset_end(((2 - part) * bytes + unused) as u64)
        })
    });
    let next = next.collect();
    let (cubes, dim) = elementwise(shares.total);
    count(|launches| &mut launches.other);
    // SAFETY: a thread touches the numbers of its own weight.
    unsafe { update_all::launch_unchecked::<R>(client, cubes, dim, arguments, places) };
    next
}

fn argument<R: Runtime>(
    parameter: &AdamBuffers,
    stride: usize,
    threads: ShareLaunch<R>,
) -> ParameterLaunch<R> {
    let (step, n) = (&parameter.step, parameter.n);
    let [beta_1, beta_2] = step.betas;
    ParameterLaunch::new(
        array(&parameter.weights, n),
        array(&parameter.gradient, n),
        array(&parameter.moments[0], n),
        array(&parameter.moments[1], n),
        StepLaunch::new(
            step.keep as f32,
            step.penalty,
            beta_1,
            beta_2,
            step.lr as f32 * step.correction,
            step.eps,
        ),
        stride as u32,
        threads,
    )
}
