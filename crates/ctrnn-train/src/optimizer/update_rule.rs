//! Update rules, with their state as plain tensors.
//!
//! Adam and AdamW update all parameters by one operation of the backend; AMSGrad is burn's implementation, whose moments are
//! public. The other rules are implemented here, in a few lines each, because burn keeps their moments private, so that
//! no checkpoint could hold them.

use burn::optim::decay::WeightDecayConfig;
use burn::optim::{AdamState, AdamWState, AdaptiveMomentumState, SimpleOptimizer};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use ctrnn_model::{AdamStep, AdamUpdate, RecurrenceBackend};

use crate::optimizer::config::{AdaGrad, Adam, AdamW, Optimizer, RmsProp, Sgd};

/// State of an update rule for one parameter, flat.
#[derive(Clone, Debug)]
pub(crate) struct Memory<B: Backend> {
    /// Number of updates so far.
    pub updates: usize,
    /// Moments, in the order of [`Optimizer::moment_names`].
    pub moments: Vec<Tensor<B, 1>>,
}

/// Parameter that is due for an update, flat.
pub(crate) struct Due<B: Backend> {
    /// Learning rate.
    pub lr: f64,
    /// Weight decay, in place of the rule's own.
    pub weight_decay: f64,
    /// Weights before the update.
    pub value: Tensor<B, 1>,
    /// Gradient of the weights.
    pub gradient: Tensor<B, 1>,
    /// State of the update rule; `None` at the first update.
    pub memory: Option<Memory<B>>,
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

    /// Returns the next value of each parameter, and its state for the next update.
    pub(crate) fn step<B: RecurrenceBackend>(
        &self,
        due: Vec<Due<B>>,
    ) -> Vec<(Tensor<B, 1>, Memory<B>)> {
        match self {
            Self::Adam(rule) if !rule.amsgrad => {
                let constants = (rule.betas, rule.eps);
                adam(constants, due, |_, weight_decay| (1.0, weight_decay))
            }
            Self::AdamW(rule) if !rule.amsgrad => {
                let constants = (rule.betas, rule.eps);
                adam(constants, due, |lr, weight_decay| {
                    (1.0 - lr * weight_decay, 0.0)
                })
            }
            _ => due.into_iter().map(|due| self.step_of_one(due)).collect(),
        }
    }

    /// Returns the next value of one parameter and its state, by tensor operations.
    fn step_of_one<B: Backend>(&self, due: Due<B>) -> (Tensor<B, 1>, Memory<B>) {
        match self {
            Self::Adam(rule) => amsgrad(rule, due),
            Self::AdamW(rule) => amsgrad_with_decay(rule, due),
            Self::Sgd(rule) => descend(due, |g, m| sgd(rule, g, m)),
            Self::RmsProp(rule) => descend(due, |g, m| rmsprop(rule, g, m)),
            Self::AdaGrad(rule) => descend(due, |g, m| adagrad(rule, g, m)),
            Self::Lbfgs(_) => unreachable!("L-BFGS updates all parameters together"),
        }
    }
}

/// Applies Adam or AdamW with these decay rates and this epsilon to all parameters together; `decay` maps learning rate and weight decay
/// to [`AdamStep::keep`] and [`AdamStep::penalty`].
fn adam<B: RecurrenceBackend>(
    (betas, eps): ([f64; 2], f64),
    due: Vec<Due<B>>,
    decay: impl Fn(f64, f64) -> (f64, f64),
) -> Vec<(Tensor<B, 1>, Memory<B>)> {
    // In f32, as burn does: 1 - 0.999^t is known to a few parts in 10^5 while t is small.
    let betas = betas.map(|beta| beta as f32);
    let counts = due.iter().map(|due| due.memory.as_ref());
    let counts: Vec<usize> = counts.map(|m| m.map_or(0, |m| m.updates) + 1).collect();
    let update = |(due, &updates): (Due<B>, &usize)| {
        let young = betas.map(|beta| 1.0 - beta.powi(updates as i32));
        let (keep, penalty) = decay(due.lr, due.weight_decay);
        let moments = due.memory.and_then(|memory| memory.moments.try_into().ok());
        AdamUpdate {
            // Bias correction: with c1 = 1 - beta_1^t, c2 = 1 - beta_2^t the step lr (m / c1) / (sqrt(s / c2) + eps) is
            // multiplied out, as burn does.
            step: AdamStep {
                keep,
                penalty: penalty as f32,
                betas,
                lr: due.lr,
                correction: young[1].sqrt() / young[0],
                eps: eps as f32 * young[1].sqrt(),
            },
            moments: moments.unwrap_or_else(|| [(); 2].map(|()| due.value.zeros_like())),
            weights: due.value,
            gradient: due.gradient,
        }
    };
    let updates = due.into_iter().zip(&counts).map(update).collect();
    let next = B::adam(updates).into_iter().zip(counts);
    next.map(|([value, first, second], updates)| {
        let moments = vec![first, second];
        (value, Memory { updates, moments })
    })
    .collect()
}

/// Applies Adam with AMSGrad, by burn; all constants are set, since burn's defaults differ (`eps` 1e-5).
fn amsgrad<B: Backend>(rule: &Adam, due: Due<B>) -> (Tensor<B, 1>, Memory<B>) {
    let [beta_1, beta_2] = rule.betas.map(|beta| beta as f32);
    let decay = (due.weight_decay > 0.0).then_some(WeightDecayConfig {
        penalty: due.weight_decay as f32,
    });
    let adam = burn::optim::AdamConfig::new()
        .with_beta_1(beta_1)
        .with_beta_2(beta_2)
        .with_epsilon(rule.eps as f32)
        .with_amsgrad(true)
        .with_weight_decay(decay)
        .build();
    let state = due.memory.map(|memory| AdamState::new(moments_of(memory)));
    let (value, state) = adam.step(due.lr, due.value, due.gradient, state);
    (value, memory_of(state.map(|state| state.momentum)))
}

/// Applies AdamW with AMSGrad, by burn.
fn amsgrad_with_decay<B: Backend>(rule: &AdamW, due: Due<B>) -> (Tensor<B, 1>, Memory<B>) {
    let [beta_1, beta_2] = rule.betas.map(|beta| beta as f32);
    let adamw = burn::optim::AdamWConfig::new()
        .with_beta_1(beta_1)
        .with_beta_2(beta_2)
        .with_epsilon(rule.eps as f32)
        .with_weight_decay(due.weight_decay as f32)
        .with_amsgrad(true)
        .build();
    let state = due.memory.map(|memory| AdamWState::new(moments_of(memory)));
    let (value, state) = adamw.step(due.lr, due.value, due.gradient, state);
    (value, memory_of(state.map(|state| state.momentum)))
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
    due: Due<B>,
    rule: impl FnOnce(Tensor<B, 1>, Vec<Tensor<B, 1>>) -> Directed<B>,
) -> (Tensor<B, 1>, Memory<B>) {
    let value = due.value;
    let gradient = match due.weight_decay {
        0.0 => due.gradient, // unchanged to the bit
        decay => due.gradient + value.clone() * decay,
    };
    let memory = due.memory;
    let (updates, moments) =
        memory.map_or((0, Vec::new()), |memory| (memory.updates, memory.moments));
    let (direction, moments) = rule(gradient, moments);
    let updates = updates + 1;
    (value - direction * due.lr, Memory { updates, moments })
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
