//! Update rules for one parameter, with their state as plain tensors.
//!
//! Adam and AdamW use the backend's own operation if it has one, otherwise burn's implementation, whose moments are
//! public. The other rules are implemented here, in a few lines each, because burn keeps their moments private, so that
//! no checkpoint could hold them.

use burn::optim::decay::WeightDecayConfig;
use burn::optim::{AdamState, AdamWState, AdaptiveMomentumState, SimpleOptimizer};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use ctrnn_model::{AdamStep, RecurrenceBackend};

use crate::optimizer::config::{AdaGrad, Adam, AdamW, Optimizer, RmsProp, Sgd};

/// State of an update rule for one parameter, flat.
#[derive(Clone, Debug)]
pub(crate) struct Memory<B: Backend> {
    /// Number of updates so far.
    pub updates: usize,
    /// Moments, in the order of [`Optimizer::moment_names`].
    pub moments: Vec<Tensor<B, 1>>,
}

impl Optimizer {
    /// Returns the names of the state arrays, as used in optimizer files.
    pub(crate) fn moment_names(&self) -> &'static [&'static str] {
        const ADAM: [&str; 3] = ["moment_1", "moment_2", "max_moment_2"];
        match self {
            Self::Adam(Adam { amsgrad, .. }) | Self::AdamW(AdamW { amsgrad, .. }) => {
                &ADAM[..2 + usize::from(*amsgrad)]
            }
            Self::Sgd(_) => &["velocity"],
            Self::RmsProp(_) => &["square", "mean", "velocity"],
            Self::AdaGrad(_) => &["square_sum"],
            Self::Lbfgs(_) => &[], // its history is of all parameters together
        }
    }

    /// Returns the number of single-precision values that take memory for each parameter: the moments, but for those that are the gradient
    /// itself or 0.
    pub fn values_per_parameter(&self) -> usize {
        let unused = match self {
            Self::Lbfgs(rule) => return 4 * rule.history, // pairs in double precision
            Self::Sgd(rule) => usize::from(rule.momentum == 0.0),
            Self::RmsProp(rule) => usize::from(rule.momentum == 0.0) + usize::from(!rule.centered),
            _ => 0,
        };
        self.moment_names().len() - unused
    }

    /// Returns the next value of a parameter, and the state for the next update; `weight_decay` takes the place of the rule's own, and
    /// `memory` is `None` at the first update.
    pub(crate) fn step<B: RecurrenceBackend>(
        &self,
        [lr, weight_decay]: [f64; 2],
        value: Tensor<B, 1>,
        gradient: Tensor<B, 1>,
        memory: Option<Memory<B>>,
    ) -> (Tensor<B, 1>, Memory<B>) {
        let rates = [lr, weight_decay];
        match self {
            Self::Adam(rule) => adam_step(rule, rates, value, gradient, memory),
            Self::AdamW(rule) => adamw_step(rule, rates, value, gradient, memory),
            Self::Sgd(rule) => descend(rates, value, gradient, memory, |g, m| sgd(rule, g, m)),
            Self::RmsProp(rule) => {
                descend(rates, value, gradient, memory, |g, m| rmsprop(rule, g, m))
            }
            Self::AdaGrad(rule) => {
                descend(rates, value, gradient, memory, |g, m| adagrad(rule, g, m))
            }
            Self::Lbfgs(_) => unreachable!("L-BFGS updates all parameters together"),
        }
    }
}

/// Applies Adam, by burn unless the backend has an operation for it; all constants are set, since burn's defaults
/// differ (`eps` 1e-5).
fn adam_step<B: RecurrenceBackend>(
    rule: &Adam,
    [lr, weight_decay]: [f64; 2],
    value: Tensor<B, 1>,
    gradient: Tensor<B, 1>,
    memory: Option<Memory<B>>,
) -> (Tensor<B, 1>, Memory<B>) {
    let [beta_1, beta_2] = rule.betas.map(|beta| beta as f32);
    let fused = Fused {
        betas: rule.betas,
        eps: rule.eps,
        keep: 1.0,
        penalty: weight_decay,
    };
    if !rule.amsgrad
        && let Some(done) = fused.step(lr, &value, &gradient, memory.as_ref())
    {
        return done;
    }
    let decay = (weight_decay > 0.0).then_some(WeightDecayConfig {
        penalty: weight_decay as f32,
    });
    let adam = burn::optim::AdamConfig::new()
        .with_beta_1(beta_1)
        .with_beta_2(beta_2)
        .with_epsilon(rule.eps as f32)
        .with_amsgrad(rule.amsgrad)
        .with_weight_decay(decay)
        .build();
    let state = memory.map(|memory| AdamState::new(moments_of(memory)));
    let (value, state) = adam.step(lr, value, gradient, state);
    (value, memory_of(state.map(|state| state.momentum)))
}

/// Applies AdamW, by burn unless the backend has an operation for it.
fn adamw_step<B: RecurrenceBackend>(
    rule: &AdamW,
    [lr, weight_decay]: [f64; 2],
    value: Tensor<B, 1>,
    gradient: Tensor<B, 1>,
    memory: Option<Memory<B>>,
) -> (Tensor<B, 1>, Memory<B>) {
    let [beta_1, beta_2] = rule.betas.map(|beta| beta as f32);
    let fused = Fused {
        betas: rule.betas,
        eps: rule.eps,
        keep: 1.0 - lr * weight_decay,
        penalty: 0.0,
    };
    if !rule.amsgrad
        && let Some(done) = fused.step(lr, &value, &gradient, memory.as_ref())
    {
        return done;
    }
    let adamw = burn::optim::AdamWConfig::new()
        .with_beta_1(beta_1)
        .with_beta_2(beta_2)
        .with_epsilon(rule.eps as f32)
        .with_weight_decay(weight_decay as f32)
        .with_amsgrad(rule.amsgrad)
        .build();
    let state = memory.map(|memory| AdamWState::new(moments_of(memory)));
    let (value, state) = adamw.step(lr, value, gradient, state);
    (value, memory_of(state.map(|state| state.momentum)))
}

/// Constants of an Adam update by a single operation of the backend, see [`AdamStep`].
struct Fused {
    betas: [f64; 2],
    eps: f64,
    keep: f64,
    penalty: f64,
}

impl Fused {
    /// Returns the updated value and state, or `None` if the backend has no such operation.
    fn step<B: RecurrenceBackend>(
        &self,
        lr: f64,
        value: &Tensor<B, 1>,
        gradient: &Tensor<B, 1>,
        memory: Option<&Memory<B>>,
    ) -> Option<(Tensor<B, 1>, Memory<B>)> {
        let updates = memory.map_or(0, |memory| memory.updates) + 1;
        // In f32, as burn does: 1 - 0.999^t is known to a few parts in 10^5 while t is small.
        let betas = self.betas.map(|beta| beta as f32);
        let young = betas.map(|beta| 1.0 - beta.powi(updates as i32));
        // Bias correction: with c1 = 1 - beta_1^t, c2 = 1 - beta_2^t the step lr (m / c1) / (sqrt(s / c2) + eps) is
        // multiplied out, as burn does.
        let step = AdamStep {
            keep: self.keep,
            penalty: self.penalty as f32,
            betas,
            lr,
            correction: young[1].sqrt() / young[0],
            eps: self.eps as f32 * young[1].sqrt(),
        };
        let next = match memory.map(|memory| memory.moments.as_slice()) {
            Some([first, second]) => B::adam(&step, value, gradient, [first, second]),
            _ => {
                let zero = value.zeros_like();
                B::adam(&step, value, gradient, [&zero, &zero])
            }
        };
        let [value, first, second] = next?;
        let moments = vec![first, second];
        Some((value, Memory { updates, moments }))
    }
}

/// Converts to the state of burn's Adam and AdamW.
fn moments_of<B: Backend>(memory: Memory<B>) -> AdaptiveMomentumState<B, 1> {
    let mut moments = memory.moments.into_iter();
    let mut next = || moments.next();
    let both = next().zip(next()).expect("Adam remembers two moments");
    let mut state = AdaptiveMomentumState::new(memory.updates, both.0, both.1);
    state.max_moment_2 = next();
    state
}

fn memory_of<B: Backend>(state: Option<AdaptiveMomentumState<B, 1>>) -> Memory<B> {
    let state = state.expect("Adam has a state after a step");
    let moments = [
        Some(state.moment_1),
        Some(state.moment_2),
        state.max_moment_2,
    ];
    Memory {
        updates: state.time,
        moments: moments.into_iter().flatten().collect(),
    }
}

/// Direction of a step `w -= lr d`, and the moments for the next update.
type Directed<B> = (Tensor<B, 1>, Vec<Tensor<B, 1>>);

/// Makes a step along the direction that a rule finds from the gradient, weight decay included, and from its moments
/// (none at the first update).
fn descend<B: Backend>(
    [lr, weight_decay]: [f64; 2],
    value: Tensor<B, 1>,
    gradient: Tensor<B, 1>,
    memory: Option<Memory<B>>,
    rule: impl FnOnce(Tensor<B, 1>, Vec<Tensor<B, 1>>) -> Directed<B>,
) -> (Tensor<B, 1>, Memory<B>) {
    let gradient = match weight_decay {
        0.0 => gradient, // unchanged to the bit
        _ => gradient + value.clone() * weight_decay,
    };
    let (updates, moments) =
        memory.map_or((0, Vec::new()), |memory| (memory.updates, memory.moments));
    let (direction, moments) = rule(gradient, moments);
    let updates = updates + 1;
    (value - direction * lr, Memory { updates, moments })
}

fn sgd<B: Backend>(rule: &Sgd, gradient: Tensor<B, 1>, moments: Vec<Tensor<B, 1>>) -> Directed<B> {
    let velocity = match moments.into_iter().next() {
        Some(velocity) => gradient.clone() + velocity * rule.momentum,
        None => gradient.clone(),
    };
    let direction = if rule.nesterov {
        velocity.clone() * rule.momentum + gradient
    } else {
        velocity.clone()
    };
    (direction, vec![velocity])
}

fn rmsprop<B: Backend>(
    rule: &RmsProp,
    gradient: Tensor<B, 1>,
    moments: Vec<Tensor<B, 1>>,
) -> Directed<B> {
    let zero = gradient.zeros_like();
    let mut last = moments.into_iter();
    let mut last = || last.next().unwrap_or_else(|| zero.clone());
    let blend = |old: Tensor<B, 1>, new: Tensor<B, 1>| old * rule.decay + new * (1.0 - rule.decay);
    let square = blend(last(), gradient.clone().square());
    let mean = blend(last(), gradient.clone());
    let spread = if rule.centered {
        (square.clone() - mean.clone().square()).clamp_min(0.0) // because of rounding
    } else {
        square.clone()
    };
    let velocity = last() * rule.momentum + gradient / (spread.sqrt() + rule.eps);
    (velocity.clone(), vec![square, mean, velocity])
}

fn adagrad<B: Backend>(
    rule: &AdaGrad,
    gradient: Tensor<B, 1>,
    moments: Vec<Tensor<B, 1>>,
) -> Directed<B> {
    let square = gradient.clone().square();
    let sum = match moments.into_iter().next() {
        Some(sum) => sum + square,
        None => square,
    };
    (gradient / (sum.clone().sqrt() + rule.eps), vec![sum])
}
