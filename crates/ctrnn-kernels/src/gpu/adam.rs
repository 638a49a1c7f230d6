//! An update of Adam in one launch; as tensor operations it is a dozen for each parameter.

use cubecl::prelude::*;
use cubecl::server::Handle;

use super::launches::count;
use super::tile::elementwise;
use crate::AdamStep;

/// A thread updates a weight and its moments.
#[cube(launch_unchecked)]
fn update(
    weights: &Array<f32>,
    gradient: &Array<f32>,
    moment_1: &Array<f32>,
    moment_2: &Array<f32>,
    next_weights: &mut Array<f32>,
    next_moment_1: &mut Array<f32>,
    next_moment_2: &mut Array<f32>,
    keep: f32,
    penalty: f32,
    beta_1: f32,
    beta_2: f32,
    rate: f32,
    eps: f32,
    total: u32,
) {
    let at = ABSOLUTE_POS;
    if at < total as usize {
        let w = weights[at];
        let g = fma(penalty, w, gradient[at]);
        let m = beta_1 * moment_1[at] + (1.0f32 - beta_1) * g;
        let s = beta_2 * moment_2[at] + (1.0f32 - beta_2) * g * g;
        next_weights[at] = keep * w - rate * (m / (s.sqrt() + eps));
        next_moment_1[at] = m;
        next_moment_2[at] = s;
    }
}

/// The next `n` weights and their next moments.
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
    let array = |handle: &Handle| {
        // SAFETY: every buffer has a number for each weight.
        unsafe { ArrayArg::from_raw_parts(handle.clone(), n) }
    };
    count(|launches| &mut launches.other);
    // SAFETY: a thread touches the numbers of its own weight.
    unsafe {
        update::launch_unchecked::<R>(
            client,
            cubes,
            dim,
            array(weights),
            array(gradient),
            array(moments[0]),
            array(moments[1]),
            array(&next[0]),
            array(&next[1]),
            array(&next[2]),
            step.keep,
            step.penalty,
            step.betas[0],
            step.betas[1],
            step.rate,
            step.eps,
            n as u32,
        );
    }
    next
}
