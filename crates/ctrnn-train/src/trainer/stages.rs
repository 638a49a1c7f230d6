//! Stages of a training: where the present one begins and ends, and the change to the next one.
//!
//! Steps are counted over the whole run, and with them the random streams; a stage knows its first one. A checkpoint at
//! the end of a stage records that it is over, so that a run resumed there begins the next stage as an uninterrupted one does.

use ctrnn_model::{CtrnnConfig, CtrnnModule, TrainingBackend};

use super::measurable::check_metrics;
use super::{Ending, Trainer};
use crate::TrainError;
use crate::evaluation::{Tasks, ValidationSet};
use crate::observer::{Counters, StageProgress, Window};
use crate::optimizer::OptimizerState;
use crate::settings::{Carried, StageSettings, TrainSettings};

impl Counters {
    /// Returns the counters at the beginning of a stage: bests of the validations stay until the first validation of the stage
    /// replaces them, and everything that `train.stop` counts starts again.
    pub(super) fn at_stage(mut self, stage: &StageSettings) -> Self {
        self.stage = Some(StageProgress {
            index: stage.index,
            first_step: self.step,
            is_over: false,
        });
        self.last_metric = None;
        self.stop_window = Window::default();
        self.stop_wait = Default::default();
        if !stage.carry.contains(&Carried::Schedule) {
            self.plateau_wait = Default::default();
            self.plateaus = 0;
        }
        self
    }
}

impl<'a, B: TrainingBackend> Trainer<'a, B> {
    /// Begins the stage to which `settings` belong, from the present weights: its network, which may differ in noise and
    /// frozen parameters, and its task take the place of the present ones.
    ///
    /// # Errors
    /// If the network has parameters of other shapes, the task cannot make its validation trials, or a metric on which the stage
    /// depends cannot be measured on them.
    pub fn begin_stage(
        &mut self,
        model: &CtrnnConfig,
        tasks: &Tasks<'a>,
        settings: TrainSettings,
    ) -> Result<(), TrainError> {
        let settings = TrainSettings {
            check_every: self.settings.check_every,
            ..settings
        };
        let stage = settings.stage.clone().unwrap_or_else(single_stage);
        self.consolidate()?;
        let validation = ValidationSet::all(tasks, &settings)?;
        check_metrics(&settings, &validation)?;
        let device = self.network.device();
        self.network = CtrnnModule::from_weights(model, &self.network.weights(), &device)?;
        self.optimizer = self.optimizer_of(&settings, &stage)?;
        self.counters = self.counters.clone().at_stage(&stage);
        self.minimised.objective = settings.objective.clone();
        (self.task, self.settings, self.validation) = (tasks.trained, settings, validation);
        (self.made_ahead, self.has_padding) = (None, false);
        (self.located, self.has_converged) = (None, false);
        self.begin_drift();
        self.begin_projections();
        self.good = self.may_ever_roll_back().then(|| self.now());
        Ok(())
    }

    /// Returns the optimizer with which a stage begins: with the state of the present one if the stage carries it on.
    fn optimizer_of(
        &self,
        settings: &TrainSettings,
        stage: &StageSettings,
    ) -> Result<OptimizerState<B::InnerBackend>, TrainError> {
        let train = &settings.train;
        let rule = train.optimizer.clone();
        let optimizer = if stage.carry.contains(&Carried::Optimizer) {
            self.optimizer.clone().with_rule(rule)
        } else {
            OptimizerState::new(rule)
        };
        optimizer
            .with_consolidated(self.optimizer.consolidated().clone())
            .with_groups(&train.groups, self.network.config())
            .of_learning_rule(&train.rule, &self.network)
    }

    /// Returns true if the present stage has ended and is not the last one.
    pub fn is_stage_over(&self) -> bool {
        self.counters.stage.is_some_and(|stage| stage.is_over)
    }

    /// Returns the number of updates after which the run, or its present stage, ends at the latest.
    pub(super) fn last_step(&self) -> u64 {
        self.first_step() + self.settings.train.steps
    }

    pub(super) fn first_step(&self) -> u64 {
        self.counters.stage.map_or(0, |stage| stage.first_step)
    }

    /// Returns the position in the schedule of the learning rate.
    pub(super) fn position(&self) -> u64 {
        let stage = self.settings.stage.as_ref();
        if stage.is_some_and(|stage| stage.carry.contains(&Carried::Schedule)) {
            self.counters.step
        } else {
            self.counters.step - self.first_step()
        }
    }

    pub(super) fn stage_name(&self) -> Option<String> {
        Some(self.settings.stage.as_ref()?.name.clone())
    }

    /// Records that the stage is over if this is its end, another one follows, and it has not missed a required bound.
    pub(super) fn note_end_of_stage(&mut self, ending: Option<&Ending>) {
        let ends = match ending {
            Some(Ending::Asked(_)) => false,
            Some(_) => true,
            None => self.counters.step == self.last_step(),
        };
        let has_next = self.settings.stage.as_ref().is_some_and(|s| !s.is_last());
        let is_missed = self.missed().is_some();
        if let Some(stage) = &mut self.counters.stage {
            stage.is_over = ends && has_next && !is_missed;
        }
    }
}

/// Returns the stage of settings without stages.
fn single_stage() -> StageSettings {
    StageSettings {
        index: 0,
        of: 1,
        name: "1".to_owned(),
        carry: vec![Carried::Optimizer],
    }
}
