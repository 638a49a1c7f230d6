//! Updates of Adam, in one launch; as tensor operations an update is a dozen for each parameter.

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::launches::count;
use super::tile::elementwise;
use crate::AdamStep;

/// Parameter and its two moments.
#[derive(CubeType, CubeLaunch)]
struct Parameter {
    weights: Array<f32>,
    moment_1: Array<f32>,
    moment_2: Array<f32>,
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

/// Updates a weight and its moments in each thread.
#[cube(launch_unchecked)]
fn update(
    before: &Parameter,
    gradient: &Array<f32>,
    next: &mut Parameter,
    step: &Step,
    total: u32,
) {
    let at = ABSOLUTE_POS;
    if at < total as usize {
        let w = before.weights[at];
        let g = fma(step.penalty, w, gradient[at]);
        let m = step.beta_1 * before.moment_1[at] + (1.0f32 - step.beta_1) * g;
        let s = step.beta_2 * before.moment_2[at] + (1.0f32 - step.beta_2) * g * g;
        next.weights[at] = step.keep * w - step.rate * (m / (s.sqrt() + step.eps));
        next.moment_1[at] = m;
        next.moment_2[at] = s;
    }
}

/// Returns the next `n` weights and their next two moments.
pub fn adam<R: Runtime>(
    client: &ComputeClient<R>,
    step: &AdamStep,
    weights: &Handle,
    gradient: &Handle,
    moments: [&Handle; 2],
    n: usize,
) -> [Handle; 3] {
    let next = [(); 3].map(|()| client.empty(n * size_of::<f32>()));
    let (cubes, dim) = elementwise(n);
    // SAFETY: every buffer has a number for each weight.
    let array = |handle: &Handle| unsafe { ArrayArg::from_raw_parts(handle.clone(), n) };
    let [beta_1, beta_2] = step.betas;
    let rate = step.lr as f32 * step.correction;
    let numbers = StepLaunch::new(
        step.keep as f32,
        step.penalty,
        beta_1,
        beta_2,
        rate,
        step.eps,
    );
    count(|launches| &mut launches.other);
    // SAFETY: a thread touches the numbers of its own weight.
    unsafe {
        update::launch_unchecked::<R>(
            client,
            cubes,
            dim,
            ParameterLaunch::new(array(weights), array(moments[0]), array(moments[1])),
            array(gradient),
            ParameterLaunch::new(array(&next[0]), array(&next[1]), array(&next[2])),
            numbers,
            n as u32,
        );
    }
    next
}
