//! L-BFGS in the training loop: a step searches a line along which the loss of one batch, the same at every step, falls.

use burn::tensor::backend::AutodiffBackend;
use ctrnn_model::{CtrnnModule, Forward, TrainingBackend, add_scaled};
use ctrnn_tasks::TrialBatch;

use super::continual::with_values;
use super::{Computed, Done, Trainer};
use crate::TrainError;
use crate::batch::Batch;
use crate::continual::values_of;
use crate::optimizer::config::{Lbfgs, Optimizer};
use crate::optimizer::lbfgs::{
    Curvature, Layout, Point, dot, layout_of, line_search, values, vector,
};

/// A network, with the objective and its gradient there.
pub(super) struct Located<B: AutodiffBackend> {
    network: CtrnnModule<B>,
    computed: Computed<B>,
    /// The trained parameters, the value with weight decay, and its gradient.
    at: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

/// A direction from a network, and what is found along it.
struct Line<'a, B: TrainingBackend> {
    begin: &'a Located<B>,
    layout: &'a Layout,
    direction: Vec<f64>,
}

impl<B: TrainingBackend> Trainer<'_, B> {
    /// Returns the step whose trials and noise a step has: itself, but for L-BFGS the first step of the run or stage, since the objective
    /// has to be one function.
    pub(super) fn step_of_batch(&self, step: u64) -> u64 {
        match self.settings.train.optimizer {
            Optimizer::Lbfgs(_) => self.first_step(),
            _ => step,
        }
    }

    /// Updates the network by an iteration of L-BFGS. If the objective does not fall along the gradient either, the training has converged.
    pub(super) fn learn_by_lbfgs(
        &mut self,
        rule: &Lbfgs,
        trials: TrialBatch,
        batch: &Batch<B>,
        pass: &Forward<B>,
    ) -> Result<Done<B>, TrainError> {
        let begin = match self.located.take() {
            Some(located) => located,
            None => self.located(rule, self.network.clone(), batch, pass)?,
        };
        let grad_norm = self.counters.grad_norm;
        let layout = layout_of(&begin.computed.gradients.0);
        let mut curvature = self.optimizer.curvature().clone();
        if *curvature.layout() != layout {
            curvature = Curvature::new(layout.clone());
        }
        let mut found = self.search(rule, &curvature, &begin, batch, pass)?;
        if found.is_none() && !curvature.is_empty() {
            curvature = Curvature::new(layout); // rounding or a kink may have spoiled it
            found = self.search(rule, &curvature, &begin, batch, pass)?;
        }
        let length = found.as_ref().map_or(0.0, |(length, _)| *length);
        self.has_converged = found.is_none();
        self.network = match found {
            None => begin.network.clone(),
            Some((_, end)) => {
                let change = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
                let step = change(&end.at, &begin.at);
                curvature.push(step, change(&end.gradient, &begin.gradient), rule.history);
                let network = end.network.clone();
                self.located = Some(end);
                network
            }
        };
        self.optimizer.keep_curvature(curvature);
        self.counters.grad_norm = grad_norm;
        let Computed {
            trajectory,
            numbers,
            ..
        } = begin.computed;
        self.finish_step(&trajectory, &trials);
        Ok(Done {
            trials,
            outputs: trajectory.outputs.inner(),
            numbers,
            lr: length,
        })
    }

    /// Searches the line along the direction of L-BFGS; returns the length of the step and its end, or `None` if the objective does not
    /// fall along it.
    fn search(
        &mut self,
        rule: &Lbfgs,
        curvature: &Curvature,
        begin: &Located<B>,
        batch: &Batch<B>,
        pass: &Forward<B>,
    ) -> Result<Option<(f64, Located<B>)>, TrainError> {
        let line = Line {
            begin,
            layout: curvature.layout(),
            direction: curvature.direction(&begin.gradient),
        };
        let slope = dot(&begin.gradient, &line.direction);
        if slope.is_nan() || slope >= 0.0 {
            return Ok(None);
        }
        let first = if curvature.is_empty() {
            let size: f64 = begin.gradient.iter().map(|g| g.abs()).sum();
            self.rate() * (1.0 / size).min(1.0)
        } else {
            self.rate()
        };
        let point = Point {
            length: 0.0,
            value: begin.value,
            slope,
        };
        let found = line_search(point, first, rule.evaluations, |length| {
            self.evaluated(rule, &line, length, batch, pass)
        })?;
        Ok(found.and_then(|(point, end)| Some((point.length, end?))))
    }

    /// Evaluates the objective on a line; a value that is not finite is infinite.
    fn evaluated(
        &mut self,
        rule: &Lbfgs,
        line: &Line<'_, B>,
        length: f64,
        batch: &Batch<B>,
        pass: &Forward<B>,
    ) -> Result<(Point, Option<Located<B>>), TrainError> {
        let mut there = line.begin.at.clone();
        add_scaled(&mut there, length, &line.direction);
        let there = values(line.layout, &there, &self.network.device());
        let network = with_values(line.begin.network.clone(), there);
        let (value, slope, located) = match self.located(rule, network, batch, pass) {
            Ok(located) => {
                let slope = dot(&located.gradient, &line.direction);
                (located.value, slope, Some(located))
            }
            Err(TrainError::NotFinite(_)) => (f64::INFINITY, f64::NAN, None),
            Err(error) => return Err(error),
        };
        let point = Point {
            length,
            value,
            slope,
        };
        Ok((point, located))
    }

    /// Computes the objective and its gradient at a network.
    fn located(
        &mut self,
        rule: &Lbfgs,
        network: CtrnnModule<B>,
        batch: &Batch<B>,
        pass: &Forward<B>,
    ) -> Result<Located<B>, TrainError> {
        let present = std::mem::replace(&mut self.network, network);
        let computed = self.gradients(batch, pass.clone());
        let network = std::mem::replace(&mut self.network, present);
        let computed = computed?;
        let layout = layout_of(&computed.gradients.0);
        let at = vector(&layout, &values_of(&network));
        let mut gradient = vector(&layout, &computed.gradients.0);
        let loss = computed.numbers.as_ref().map(|numbers| numbers.loss);
        let value =
            loss.expect("the loss is read in every step") + 0.5 * rule.weight_decay * dot(&at, &at);
        add_scaled(&mut gradient, rule.weight_decay, &at);
        Ok(Located {
            network,
            computed,
            at,
            value,
            gradient,
        })
    }
}
