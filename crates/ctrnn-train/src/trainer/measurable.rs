//! Metrics that can be measured on the validation trials of a run.

use ctrnn_tasks::Trial;

use crate::TrainError;
use crate::evaluation::ValidationSet;
use crate::metric::Metric;
use crate::settings::TrainSettings;

/// Refuses metrics that can never be measured, for which a run would wait in vain. One look is enough: the validation
/// trials are the same every time, and whether a trial has a correct answer does not depend on the readout.
pub fn check_metrics(
    settings: &TrainSettings,
    validation: &[ValidationSet],
) -> Result<(), TrainError> {
    let is_known = |metric: &Metric| validation.iter().any(|set| set.name == metric.set);
    let unknown = named(settings, |metric| !is_known(metric));
    if !unknown.is_empty() {
        return Err(TrainError::NoSuchSet(unknown));
    }
    validation
        .iter()
        .try_for_each(|set| check_metrics_of(settings, set))
}

/// Lists the metrics on which a run depends and for which `is_meant` holds, each with its key.
fn named(
    settings: &TrainSettings,
    is_meant: impl Fn(&Metric) -> bool,
) -> Vec<(&'static str, Metric)> {
    let meant = settings.metrics().filter(|(_, metric)| is_meant(metric));
    meant.map(|(key, metric)| (key, metric.clone())).collect()
}

/// Refuses metrics of a validation set that can never be measured on its trials.
fn check_metrics_of(settings: &TrainSettings, set: &ValidationSet) -> Result<(), TrainError> {
    check_task_metrics(settings, set)?;
    let is_meant = |metric: &Metric| metric.set == set.name && metric.measure.needs_answers();
    let of_answers = named(settings, is_meant);
    let has_answer = |trial: &Trial| {
        let readout = vec![0.0; trial.n_steps * trial.n_outputs];
        set.task.is_correct(trial, &readout).is_some()
    };
    let mut all = 0..set.trials.n_trials();
    if of_answers.is_empty() || all.is_empty() {
        return Ok(()); // no trials: a program that makes them is not started
    }
    if all.any(|k| has_answer(&set.trials.some(k..k + 1)[0])) {
        return Ok(());
    }
    if let Some(failure) = set.task.failure() {
        return Err(failure.into());
    }
    Err(TrainError::NoRightAnswers(of_answers))
}

/// Refuses metrics of the tasks of a mixture where there is no mixture, or a task without a validation trial.
fn check_task_metrics(settings: &TrainSettings, set: &ValidationSet) -> Result<(), TrainError> {
    let is_meant = |metric: &Metric| metric.set == set.name && metric.measure.needs_tasks();
    let metrics = named(settings, is_meant);
    if metrics.is_empty() {
        return Ok(());
    }
    let tasks = set.task.mixed_tasks();
    if tasks.is_empty() {
        return Err(TrainError::NoMixture(metrics));
    }
    let mut is_tested = vec![false; tasks.len()];
    for number in 0..set.trials.n_trials() {
        if let Some(k) = set.trials.some(number..number + 1)[0].value("task") {
            is_tested[k as usize] = true;
        }
    }
    let untested = tasks.into_iter().zip(is_tested).filter(|(_, is)| !is);
    let untested: Vec<String> = untested.map(|(name, _)| name).collect();
    if untested.is_empty() {
        Ok(())
    } else {
        Err(TrainError::UntestedTasks { metrics, untested })
    }
}
