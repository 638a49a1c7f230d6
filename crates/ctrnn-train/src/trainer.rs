//! The training loop.

mod continual;
mod ending;
mod lbfgs;
#[cfg(test)]
mod lbfgs_test;
mod measurable;
mod monitoring;
#[cfg(test)]
mod monitoring_test;
mod notify;
mod online;
#[cfg(test)]
mod online_test;
mod overflow;
#[cfg(test)]
mod padding_test;
mod parts;
#[cfg(test)]
mod parts_test;
mod perturbed;
#[cfg(test)]
mod perturbed_test;
mod rollback;
mod stages;
mod terms;
#[cfg(test)]
mod terms_test;
mod trials;

use std::sync::mpsc::channel;
use std::time::Instant;

use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{ElementConversion, Tensor};
use ctrnn_model::{
    CtrnnModule, Forward, InitialState, Noise, NoiseAddress, TrainingBackend, Trajectory,
};
use ctrnn_random::{Key, Stream};
use ctrnn_tasks::{BatchRequest, ConditionOrder, Task, TaskError, TrialBatch};

use crate::TrainError;
use crate::batch::Batch;
use crate::condition_states::condition_numbers;
use crate::continual::Projector;
use crate::evaluation::accuracy::batch_accuracy;
use crate::evaluation::{Breakdown, Scored, TOGETHER, Tasks, ValidationSet, evaluate_terms};
use crate::gradients::Gradients;
use crate::interventions::Interventions;
use crate::metric::Metric;
use crate::monitors::Drift;
use crate::objective::{Evaluated, LossInputs, Minimised};
use crate::observer::{Counters, EvalReport, Observer, Snapshot, StepReport, Validation};
use crate::optimizer::OptimizerState;
use crate::optimizer::config::{Optimizer, Schedule};
use crate::settings::{CheckpointConfig, TrainSettings};

use lbfgs::Located;
pub use measurable::check_metrics;
pub use overflow::Overflow;
pub use rollback::LastGoodState;
use trials::{awaited, sampled, soon, tell};

/// The reason why a run ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// All steps are done.
    AllSteps,
    /// The bound of `train.stop` is met.
    TargetMet {
        /// The metric's value.
        value: f64,
    },
    /// The metric of `train.stop` has not improved for its `patience`.
    NoProgress {
        /// Validations since the best one.
        validations: u64,
    },
    /// The objective falls no further, to rounding, along any direction that the optimizer tries.
    Converged,
    /// A stop was requested, for this reason; the run can be resumed.
    Asked(String),
}

impl Ending {
    /// Exit code of a command that stopped on request after saving.
    pub const STOPPED_EXIT_CODE: u8 = 75;
}

/// Function that is called between steps; returns the reason to stop now, if there is one.
pub type StopRequest<'a> = &'a dyn Fn() -> Option<String>;

/// Data from one training step that observers may report.
struct Done<B: AutodiffBackend> {
    trials: TrialBatch,
    /// Readout, before the output nonlinearity.
    outputs: Tensor<B::InnerBackend, 3>,
    numbers: Option<Numbers>,
    lr: f64,
}

/// Result of a forward pass and a backward pass over a batch.
struct Computed<B: AutodiffBackend> {
    trajectory: Trajectory<B>,
    gradients: Gradients<B::InnerBackend>,
    /// Norm over all gradients, `[1]`.
    norm: Tensor<B::InnerBackend, 1>,
    numbers: Option<Numbers>,
}

/// Numbers read from the device.
struct Numbers {
    loss: f64,
    terms: Vec<f64>,
    grad_norm: f64,
}

/// A trainer: the network, its optimizer, and the progress of a run.
pub struct Trainer<'a, B: AutodiffBackend> {
    network: CtrnnModule<B>,
    optimizer: OptimizerState<B::InnerBackend>,
    task: &'a dyn Task,
    settings: TrainSettings,
    minimised: Minimised<'a, B>,
    counters: Counters,
    /// The sets of validation trials, the main one first.
    validation: Vec<ValidationSet<'a>>,
    /// The batch of a later step, if another thread made it ahead of time.
    made_ahead: Option<(u64, Result<TrialBatch, TaskError>)>,
    good: Option<LastGoodState<B>>,
    /// Weights from which the monitors measure the drift; absent without monitors.
    drift: Option<Drift>,
    /// Interventions on the present batch.
    interventions: Interventions,
    /// Projections of updates, if earlier stages are protected by them.
    projector: Option<Projector<B::InnerBackend>>,
    /// The network with the objective and its gradient there, once L-BFGS has computed them.
    located: Option<Located<B>>,
    /// True after a step from which the optimizer did not find a lower objective.
    has_converged: bool,
    /// True once trials of different lengths have run together.
    has_padding: bool,
    /// The last reason given to observers for a failed write.
    trouble: Option<String>,
}

impl<'a, B: TrainingBackend> Trainer<'a, B> {
    /// Creates a trainer at step 0.
    ///
    /// # Errors
    /// If the task cannot make its validation trials, or a metric on which the run depends cannot be measured on them.
    pub fn new(
        network: CtrnnModule<B>,
        task: &'a dyn Task,
        settings: TrainSettings,
    ) -> Result<Self, TrainError> {
        let optimizer = OptimizerState::new(settings.train.optimizer.clone());
        let tasks = Tasks::of(task);
        Self::resume(network, optimizer, Counters::default(), &tasks, settings)
    }

    /// Creates a trainer that continues from a checkpoint.
    ///
    /// # Errors
    /// See [`Trainer::new`].
    pub fn resume(
        network: CtrnnModule<B>,
        optimizer: OptimizerState<B::InnerBackend>,
        counters: Counters,
        tasks: &Tasks<'a>,
        settings: TrainSettings,
    ) -> Result<Self, TrainError> {
        let optimizer = optimizer.with_groups(&settings.train.groups, network.config());
        let optimizer = optimizer.of_learning_rule(&settings.train.rule, &network)?;
        let objective = settings.objective.clone();
        let minimised = Minimised {
            objective: if objective.needs_initial_weights() {
                objective.measured_from(&network.weights())
            } else {
                objective
            },
            custom: Vec::new(),
        };
        let validation = ValidationSet::all(tasks, &settings)?;
        check_metrics(&settings, &validation)?;
        let counters = match &settings.stage {
            Some(stage) if counters.stage.is_none() => counters.at_stage(stage),
            _ => counters,
        };
        let mut begun = Self {
            network,
            optimizer,
            task: tasks.trained,
            settings,
            minimised,
            counters,
            validation,
            made_ahead: None,
            good: None,
            drift: None,
            interventions: Interventions::default(),
            projector: None,
            located: None,
            has_converged: false,
            has_padding: false,
            trouble: None,
        };
        begun.begin_drift();
        begun.begin_projections();
        let first = begun.now();
        Ok(begun.with_good(first))
    }

    /// Adds a custom term to the objective: a function of outputs, rates and weights, for instance
    ///
    /// ```
    /// # use burn::backend::{Autodiff, NdArray};
    /// # use ctrnn_model::CtrnnConfig;
    /// # use ctrnn_tasks::GoNogo;
    /// # use ctrnn_train::{TrainSettings, Trainer};
    /// # let network = CtrnnConfig::new(3, 32, 2).init::<Autodiff<NdArray>>(1, &Default::default())?;
    /// # let mut settings = TrainSettings::default();
    /// # settings.train.steps = 5;
    /// # settings.validate.trials = 8;
    /// # let task = GoNogo::default();
    /// let mut trainer = Trainer::new(network, &task, settings)?;
    /// trainer.add_loss("fast_change", |inputs| {
    ///     let [_, steps, _] = inputs.outputs.dims(); // [trial, time, output]
    ///     let later = inputs.outputs.clone().narrow(1, 1, steps - 1);
    ///     let change = later - inputs.outputs.clone().narrow(1, 0, steps - 1);
    ///     change.square().mean() * 0.1
    /// });
    /// trainer.run()?;
    /// # Ok::<(), ctrnn_train::TrainError>(())
    /// ```
    ///
    /// Reports list the term as `name`. The result must depend on outputs, rates or weights and have one element. If
    /// there is a custom term, all validation trials run together, so that the term sees them as one batch; training refuses it
    /// with `train.truncate_steps` and `train.accumulate`, which divide a batch.
    pub fn add_loss(&mut self, name: &str, term: impl Fn(&LossInputs<B>) -> Tensor<B, 1> + 'a) {
        self.add_fallible_loss(name, move |inputs| Ok(term(inputs)));
    }

    /// Adds a custom term as [`add_loss`](Self::add_loss) does, whose computation can fail, for instance since a program does it.
    /// The error ends the run, whose weights are saved as when a task fails if it is a [`TrainError::Task`].
    pub fn add_fallible_loss(
        &mut self,
        name: &str,
        term: impl Fn(&LossInputs<B>) -> Result<Tensor<B, 1>, TrainError> + 'a,
    ) {
        self.minimised
            .custom
            .push((name.to_owned(), Box::new(term)));
    }

    /// Removes the custom terms of a name, if there are any.
    pub fn remove_loss(&mut self, name: &str) {
        self.minimised.custom.retain(|(own, _)| own != name);
    }

    /// Returns the names of the terms of the loss, as used in reports; empty if the loss is the only term.
    pub fn term_names(&self) -> Vec<String> {
        self.minimised.term_names()
    }

    /// Returns the network in its present state.
    pub fn network(&self) -> &CtrnnModule<B> {
        &self.network
    }

    /// Returns the progress of the run.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Trains until all steps are done or `train.stop` ends the run.
    ///
    /// If a number is not finite, training goes back to the last good state, with a smaller learning rate
    /// ([`DivergenceConfig`](crate::DivergenceConfig)).
    ///
    /// # Errors
    /// A number that is not finite after all rollbacks, a required bound that is not met, or a task that fails.
    pub fn run(&mut self) -> Result<Ending, TrainError> {
        self.run_with(&mut [])
    }

    /// Trains like [`Trainer::run`] and reports to observers.
    ///
    /// # Errors
    /// See [`Trainer::run`]; also the error of an observer.
    pub fn run_with(&mut self, observers: &mut [&mut dyn Observer]) -> Result<Ending, TrainError> {
        self.run_until(observers, &|| None)
    }

    /// Trains like [`Trainer::run_with`], but stops early if `stop`, which is called after every step, returns a
    /// reason.
    ///
    /// # Errors
    /// See [`Trainer::run_with`].
    pub fn run_until(
        &mut self,
        observers: &mut [&mut dyn Observer],
        stop: StopRequest,
    ) -> Result<Ending, TrainError> {
        let begun = Instant::now();
        let wall_before = self.counters.wall_s;
        if self.settings.train.steps == 0 && self.counters.best.is_none() {
            self.validate_and_save(observers)?;
        }
        while self.counters.step < self.last_step() {
            let wall_s = || wall_before + begun.elapsed().as_secs_f64();
            match self.step(wall_s, observers, stop) {
                Ok(None) => {}
                Ok(Some(ending)) => return self.ended(ending),
                Err(TrainError::NotFinite(found)) => self.roll_back(*found, observers)?,
                Err(error @ TrainError::Task(_)) => {
                    let reason = soon(stop);
                    // The weights are those of the last step: save them, so that failing trials do not cost the
                    // training done.
                    if self.counters.step > 0 {
                        self.check_weights()?;
                        self.save(false, true, observers)?;
                    }
                    return match reason {
                        Some(reason) => self.ended(Ending::Asked(reason)),
                        None => Err(error),
                    };
                }
                Err(error) => return Err(error),
            }
        }
        self.ended(Ending::AllSteps)
    }

    /// Does one training step, and the reports, validation and saving that are due after it.
    fn step(
        &mut self,
        wall_s: impl Fn() -> f64,
        observers: &mut [&mut dyn Observer],
        stop: StopRequest,
    ) -> Result<Option<Ending>, TrainError> {
        let done = self.train_step(stop)?;
        self.counters.wall_s = wall_s();
        if self.is_due(self.settings.train.log_every) {
            self.report(done, observers)?;
        }
        self.after_step(observers, stop)
    }

    /// Does one training step; meanwhile, a second thread (if there is one) makes the next batch.
    fn train_step(&mut self, stop: StopRequest) -> Result<Done<B>, TrainError> {
        let trials = self.trials(stop)?;
        let next = self.request(self.counters.step + 1);
        let is_ahead = rayon::current_num_threads() > 1 && next.step < self.last_step();
        if !is_ahead {
            return self.learn_from(trials);
        }
        let task = self.task;
        let (send, made) = channel();
        let (done, awaited) = rayon::in_place_scope(|scope| {
            scope.spawn(move |_| tell(&send, task.sample_batch(&next)));
            let done = self.learn_from(trials);
            let interrupt = task.interrupt();
            (done, interrupt.map(|it| awaited(it, &made, stop)))
        });
        let made = awaited.unwrap_or_else(|| made.recv().expect("the scope has waited for it"));
        self.made_ahead = Some((next.step, made));
        done
    }

    /// Updates the network with one batch: the body of the loop, in the order of the crate documentation.
    fn learn_from(&mut self, trials: TrialBatch) -> Result<Done<B>, TrainError> {
        let batch = Batch::<B>::new(&trials, &self.network.device());
        self.has_padding |= batch.is_padded();
        let pass = self.pass(self.counters.step, &trials)?;
        if let Some(fitted) = self.minimised.objective.fitted_rates() {
            fitted.check_counts(&trials)?;
        }
        self.interventions = self.draw_interventions(&trials);
        if self.settings.train.rule.is_least_squares() {
            return self.learn_by_least_squares(trials, &batch, &pass);
        }
        if let Optimizer::Lbfgs(rule) = self.settings.train.optimizer.clone() {
            return self.learn_by_lbfgs(&rule, trials, &batch, &pass);
        }
        let Computed {
            trajectory,
            mut gradients,
            mut norm,
            numbers,
        } = self.gradients(&batch, pass)?;
        let before = self.held_back(&mut gradients, &mut norm);
        let gradients = match self.settings.train.clip() {
            Some(clip) => gradients.clipped(&norm, clip),
            None => gradients,
        };
        let lr = self.rate();
        self.network = self.optimizer.step(lr, self.network.clone(), gradients);
        self.settle_update(before);
        self.finish_step(&trajectory, &trials);
        Ok(Done {
            trials,
            outputs: trajectory.outputs.inner(),
            numbers,
            lr,
        })
    }

    /// Counts a step, and keeps the last states of its batch where the next one begins with them.
    fn finish_step(&mut self, trajectory: &Trajectory<B>, trials: &TrialBatch) {
        self.network.carry_states(trajectory);
        self.counters.step += 1;
        self.counters.trials += trials.n_trials as u64;
    }

    /// Computes the gradients of a batch.
    ///
    /// Trials end at their own lengths where that costs nothing. Elsewhere they run on through the padding, and if a number is not
    /// finite, short trials may have overflowed there: the mask is 0, and infinity times 0 is NaN, in the loss and in the backward
    /// pass. Each trial is then run once more, for its own length only.
    fn gradients(&mut self, batch: &Batch<B>, pass: Forward<B>) -> Result<Computed<B>, TrainError> {
        if !self.settings.train.rule.is_gradient() {
            return self.gradients_of_traces(batch, &pass);
        }
        if batch.is_padded() && self.ends_trials() {
            let lengths = batch.n_steps.clone();
            return self.gradients_of_pass(batch, &Forward { lengths, ..pass });
        }
        match self.gradients_of_pass(batch, &pass) {
            Err(TrainError::NotFinite(_)) if batch.is_padded() => {
                let lengths = batch.n_steps.clone();
                self.gradients_of_pass(batch, &Forward { lengths, ..pass })
            }
            found => found,
        }
    }

    /// Returns true if trials of different lengths run together and each ends at its own. Parts of batches and perturbed trials run
    /// by length, and a state that is carried on is that at the end of the batch.
    fn ends_trials(&self) -> bool {
        let mut layers = self.network.config().layers();
        B::ends_trials()
            && !self.is_in_parts()
            && self.settings.perturbations.is_empty()
            && layers.all(|layer| layer.initial_state != InitialState::Carry)
    }

    /// Returns what was computed of a batch, with its numbers as far as they are read from the device.
    fn computed(
        &mut self,
        batch: &Batch<B>,
        trajectory: Trajectory<B>,
        loss: &Evaluated<B>,
        gradients: Gradients<B::InnerBackend>,
    ) -> Result<Computed<B>, TrainError> {
        let norm = gradients.global_norm();
        let numbers = self.read(batch, &trajectory.outputs, loss, &norm, &gradients)?;
        Ok(Computed {
            trajectory,
            gradients,
            norm,
            numbers,
        })
    }

    /// Trains `n` steps without validation, reports or checkpoints, to measure how long they take.
    ///
    /// # Errors
    /// See [`Trainer::run`].
    pub fn steps_only(&mut self, n: u64) -> Result<(), TrainError> {
        (0..n).try_for_each(|_| self.train_step(&|| None).map(drop))
    }

    /// Returns the batch of this step, which may have been made ahead of time.
    fn trials(&mut self, stop: StopRequest) -> Result<TrialBatch, TrainError> {
        let request = self.request(self.counters.step);
        Ok(match self.made_ahead.take() {
            Some((step, trials)) if step == request.step => trials?,
            _ => sampled(self.task, &request, stop)?,
        })
    }

    /// Returns the request for the batch of a step: a function of the seed and the step alone.
    fn request(&self, step: u64) -> BatchRequest {
        BatchRequest {
            clock: self.settings.clock,
            first_trial: 0,
            n_trials: self.settings.train.trials_of_step(),
            key: Key::new(self.settings.seed, Stream::Trials, 0),
            step: self.step_of_batch(step),
            conditions: ConditionOrder::Weighted,
        }
    }

    /// Returns the settings of the forward pass of a training step: noise, recording, and initial states.
    fn pass(&self, step: u64, trials: &TrialBatch) -> Result<Forward<B>, TrainError> {
        let address = NoiseAddress {
            seed: self.settings.seed,
            step: self.step_of_batch(step) as u32,
            ..NoiseAddress::default()
        };
        let noise = Noise::Drawn(address);
        Ok(Forward {
            below: self.network.carried_below(trials.n_trials, &noise),
            noise,
            record: self.minimised.record(),
            recompute: self.settings.train.recompute,
            initial_state: self.network.carried_state(trials.n_trials),
            conditions: condition_numbers(&self.network, self.task, trials)?,
            lengths: Vec::new(),
            omega: None,
            rate_terms: Vec::new(),
        })
    }

    /// Reads loss and gradient norm to the host if they are due; an error if one is not finite.
    fn read(
        &mut self,
        batch: &Batch<B>,
        outputs: &Tensor<B, 3>,
        loss: &Evaluated<B>,
        norm: &Tensor<B::InnerBackend, 1>,
        gradients: &Gradients<B::InnerBackend>,
    ) -> Result<Option<Numbers>, TrainError> {
        let settings = &self.settings;
        let step = self.counters.step + 1;
        let check_every = match settings.train.optimizer {
            Optimizer::Lbfgs(_) => 1, // a line search compares losses
            _ => settings.check_every,
        };
        let every = [
            check_every,
            settings.train.log_every,
            settings.validate.every_steps,
            settings.checkpoint.every_steps,
        ];
        // Reading waits for the device, so most steps skip it.
        if !every.into_iter().any(|every| self.is_due_at(step, every)) {
            return Ok(None);
        }
        if batch.mask_sum == 0.0 && self.minimised.objective.fitted_rates().is_none() {
            return Err(TrainError::EmptyMask(format!("the batch of step {step}")));
        }
        let number = |tensor: &Tensor<B::InnerBackend, 1>| tensor.clone().into_scalar().elem();
        let terms: Vec<f64> = loss.terms.iter().map(number).collect();
        let loss = number(&loss.value.clone().inner());
        if !loss.is_finite() {
            let culprit = self.culprit_of_loss(batch, outputs);
            return Err(self.not_finite_in(batch, step, culprit).into());
        }
        let grad_norm = number(norm);
        if !grad_norm.is_finite() {
            let culprit = gradients.first_not_finite();
            return Err(self.not_finite_in(batch, step, culprit).into());
        }
        self.counters.grad_norm = Some(grad_norm);
        Ok(Some(Numbers {
            loss,
            terms,
            grad_norm,
        }))
    }

    fn is_due(&self, every: u64) -> bool {
        self.has_converged || self.is_due_at(self.counters.step, every)
    }

    /// Returns true at every multiple of `every` and at the last step; 0: only at the last step.
    fn is_due_at(&self, step: u64, every: u64) -> bool {
        step == self.last_step() || (every > 0 && step.is_multiple_of(every))
    }

    fn report(
        &mut self,
        done: Done<B>,
        observers: &mut [&mut dyn Observer],
    ) -> Result<(), TrainError> {
        let Some(Numbers {
            loss,
            terms,
            grad_norm,
        }) = done.numbers
        else {
            return Ok(());
        };
        let nonlinearity = self.network.config().output_nonlinearity;
        let answers = nonlinearity.apply(done.outputs);
        let report = StepReport {
            step: self.counters.step,
            of_steps: self.last_step(),
            stage: self.stage_name(),
            trials: self.counters.trials,
            wall_s: self.counters.wall_s,
            loss,
            terms: self.term_names().into_iter().zip(terms).collect(),
            accuracy: batch_accuracy(self.task, &done.trials, answers)?,
            noise: !self.network.config().noise.is_silent(),
            grad_norm,
            lr: done.lr,
        };
        self.tell(observers, false, |observer| observer.stepped(&report))
    }

    /// Does validation, the stop criterion and checkpoints, each if due, after checking that the weights are finite.
    fn after_step(
        &mut self,
        observers: &mut [&mut dyn Observer],
        stop: StopRequest,
    ) -> Result<Option<Ending>, TrainError> {
        let validates = self.can_validate() && self.is_due(self.settings.validate.every_steps);
        let saves = self.is_due(self.settings.checkpoint.every_steps);
        let is_last_step = self.has_converged || self.counters.step == self.last_step();
        let asked = if is_last_step {
            None
        } else {
            stop().map(Ending::Asked)
        };
        if validates || saves || asked.is_some() {
            self.check_weights()?;
        }
        let mut place = None;
        let mut ending = asked;
        if validates {
            let reports = self.validate(observers)?;
            place = self.rank(&reports);
            self.note_plateau(&reports);
            ending = self.stop_rule(&reports).or(ending);
        }
        let ending = ending.or(self.has_converged.then_some(Ending::Converged));
        self.note_end_of_stage(ending.as_ref());
        self.keep_good();
        if place.is_some() || saves || ending.is_some() {
            let is_last = ending.is_some() || is_last_step;
            self.save(place == Some(0), is_last, observers)?;
        }
        Ok(ending)
    }

    fn validate_and_save(&mut self, observers: &mut [&mut dyn Observer]) -> Result<(), TrainError> {
        self.check_weights()?;
        if !self.can_validate() {
            return self.save(false, true, observers);
        }
        let reports = self.validate(observers)?;
        let place = self.rank(&reports);
        self.stop_rule(&reports);
        self.save(place == Some(0), true, observers)
    }

    /// Returns true if there are trials to validate on; a task of files may hold none out.
    fn can_validate(&self) -> bool {
        self.validation[0].trials.n_trials() > 0
    }

    /// Measures the network on all validation sets; returns the reports in their order.
    fn validate(
        &mut self,
        observers: &mut [&mut dyn Observer],
    ) -> Result<Vec<EvalReport>, TrainError> {
        let network = burn::module::AutodiffModule::valid(&self.network);
        let sets = self.validation.iter();
        let reports = sets.map(|set| self.measured(&network, set));
        let reports = reports.collect::<Result<Vec<_>, _>>()?;
        let monitored = self.monitor(&network)?;
        for (k, report) in reports.iter().enumerate() {
            let is_main = self.validation[k].name.is_none();
            let validation = Validation {
                step: self.counters.step,
                trials: self.counters.trials,
                wall_s: self.counters.wall_s,
                stage: self.stage_name(),
                set: self.validation[k].name.clone(),
                report: report.clone(),
                monitored: monitored.as_ref().filter(|_| is_main).cloned(),
            };
            self.tell(observers, false, |observer| observer.evaluated(&validation))?;
        }
        Ok(reports)
    }

    /// Measures the network on a validation set.
    fn measured(
        &self,
        network: &CtrnnModule<B::InnerBackend>,
        set: &ValidationSet,
    ) -> Result<EvalReport, TrainError> {
        let custom = |trajectory: &_, batch: &_| {
            self.minimised
                .custom_values(&self.network, trajectory, batch)
        };
        let scored = Scored {
            objective: &self.minimised.objective,
            names: self.minimised.measured_names(),
            record: self.minimised.record(),
            further: &custom,
            together: if self.minimised.custom.is_empty() {
                TOGETHER
            } else {
                set.trials.n_trials()
            },
            run: None,
        };
        let noise = set.noise(self.settings.seed);
        let all = Breakdown::default();
        evaluate_terms(network, set.task, &set.trials, &scored, &noise, all)
    }

    /// Returns the value of a metric in the reports of all validation sets.
    fn value(&self, metric: &Metric, reports: &[EvalReport]) -> Option<f64> {
        let mut sets = self.validation.iter();
        let index = sets.position(|set| set.name == metric.set)?;
        reports[index].measure(metric.measure)
    }

    /// Ranks a validation among the best ones; returns its place, if it is one of them.
    fn rank(&mut self, reports: &[EvalReport]) -> Option<usize> {
        let CheckpointConfig {
            best, keep_best, ..
        } = &self.settings.checkpoint;
        let value = self.value(best, reports);
        let value = value.filter(|value| value.is_finite())?;
        self.counters.rank(best, value, *keep_best)
    }

    /// Updates the plateau schedule after a validation.
    fn note_plateau(&mut self, reports: &[EvalReport]) {
        let Schedule::Plateau(plateau) = &self.settings.train.schedule else {
            return;
        };
        let value = self.value(&plateau.metric, reports);
        let counters = &mut self.counters;
        if let Some(value) = value {
            counters.plateau_wait.note(&plateau.metric, value);
        }
        if counters.plateau_wait.validations >= plateau.patience {
            counters.plateau_wait.validations = 0;
            counters.plateaus += 1;
        }
    }

    /// Returns the ending if `train.stop` ends the run after this validation.
    fn stop_rule(&mut self, reports: &[EvalReport]) -> Option<Ending> {
        let stop = self.settings.train.stop.as_ref()?;
        let value = self.value(&stop.metric, reports)?;
        let window = &mut self.counters.stop_window;
        let value = window.mean(&stop.metric, value, stop.over);
        self.counters.last_metric = value;
        let value = value?;
        self.counters.stop_wait.note(&stop.metric, value);
        if stop.is_met(Some(value)) {
            return Some(Ending::TargetMet { value });
        }
        let validations = self.counters.stop_wait.validations;
        let is_over = stop.patience.is_some_and(|most| validations >= most);
        is_over.then_some(Ending::NoProgress { validations })
    }

    /// Passes a snapshot to the observers for saving. If the run ends (`is_last`), a failed write is always an error.
    fn save(
        &mut self,
        is_best: bool,
        is_last: bool,
        observers: &mut [&mut dyn Observer],
    ) -> Result<(), TrainError> {
        let snapshot = self.snapshot(is_best);
        self.tell(observers, is_last, |observer| observer.saved(&snapshot))
    }

    /// Returns the complete state of the run.
    pub fn snapshot(&self, is_best: bool) -> Snapshot {
        Snapshot {
            counters: self.counters.clone(),
            weights: self.network.weights(),
            optimizer: self.optimizer.state(),
            is_best,
            good: self.good_elsewhere(),
            validated: self.validated_elsewhere(),
        }
    }
}
