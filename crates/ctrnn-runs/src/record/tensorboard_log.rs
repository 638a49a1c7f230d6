//! Observer that writes TensorBoard event files during a run.

use std::collections::BTreeMap;

use ctrnn_files::{EventFile, RunFolder, Summary};
use ctrnn_train::{Monitored, Observer, Rollback, Snapshot, StepReport, TrainError, Validation};

use super::run_log::split;

/// Writes `train/loss`, `train/loss_<term>`, `train/accuracy`, `train/grad_norm`, `train/lr`, and `val/loss` and so on:
/// the numbers of metrics.csv, at the same steps; those of a named validation set begin with `val.easy/`. With monitors there are histograms
/// of the weights (`weights/recurrent.weight`) and of the mean and peak rates of the units (`rates/mean`, `rates/peak`).
///
/// Every process of a run writes its own file, created with the first value. The file starts with the step from which
/// earlier files no longer count, because a resumed run repeats those steps.
pub struct TensorBoardLog {
    folder: RunFolder,
    first_step: u64,
    file: Option<EventFile>,
}

impl TensorBoardLog {
    /// Creates the log of a process that continues after `step` steps.
    pub fn new(folder: &RunFolder, step: u64) -> Self {
        Self {
            folder: folder.clone(),
            first_step: step + 1,
            file: None,
        }
    }

    fn append(&mut self, split: &str, step: u64, scalars: &[Scalar]) -> Result<(), TrainError> {
        let measured = scalars.iter().filter_map(|(name, value)| {
            let value = Summary::Scalar((*value)?);
            Some((format!("{split}/{name}"), value))
        });
        self.summaries(step, &measured.collect::<Vec<_>>())
    }

    fn summaries(&mut self, step: u64, tagged: &[(String, Summary)]) -> Result<(), TrainError> {
        self.folder.check_held()?;
        let file = match self.file.take() {
            Some(file) => file,
            // A validation of the initial network belongs to step 0.
            None => {
                EventFile::create(&self.folder.tensorboard(), self.first_step.min(step.max(1)))?
            }
        };
        Ok(self.file.insert(file).append(step, tagged)?)
    }
}

/// Returns the histograms of the monitors, with their tags.
fn histograms(monitored: &Monitored) -> Vec<(String, Summary)> {
    let of_units = [("mean", &monitored.mean), ("peak", &monitored.peak)];
    let of_units = of_units.map(|(name, rates)| (format!("rates/{name}"), rates.clone()));
    let weights = monitored.weights.iter();
    let weights =
        weights.map(|(name, data)| (format!("weights/{name}"), data.iter::<f64>().collect()));
    let all = of_units.into_iter().chain(weights);
    all.map(|(tag, values)| (tag, Summary::Histogram(values)))
        .collect()
}

/// Name and value of a scalar; `None` if it was not measured.
type Scalar = (String, Option<f64>);

fn losses(loss: f64, terms: &BTreeMap<String, f64>, accuracy: Option<f64>) -> Vec<Scalar> {
    let mut scalars = vec![("loss".to_owned(), Some(loss))];
    scalars.extend(
        terms
            .iter()
            .map(|(name, &x)| (format!("loss_{name}"), Some(x))),
    );
    scalars.push(("accuracy".to_owned(), accuracy));
    scalars
}

impl Observer for TensorBoardLog {
    fn stepped(&mut self, report: &StepReport) -> Result<(), TrainError> {
        let mut scalars = losses(report.loss, &report.terms, report.accuracy);
        scalars.push(("grad_norm".to_owned(), Some(report.grad_norm)));
        scalars.push(("lr".to_owned(), Some(report.lr)));
        self.append("train", report.step, &scalars)
    }

    fn evaluated(&mut self, validation: &Validation) -> Result<(), TrainError> {
        let report = &validation.report;
        let mut scalars = losses(report.loss, &report.terms, report.accuracy);
        let tasks = report.tasks.iter();
        scalars.extend(tasks.map(|(task, score)| (format!("accuracy_{task}"), score.accuracy)));
        let monitored = validation.monitored.as_ref();
        if let Some(found) = monitored {
            let of_terms = found.grad_norms.keys();
            let of_terms = of_terms.map(|term| Monitored::grad_norm_column(term));
            let names = Monitored::NAMES
                .map(str::to_owned)
                .into_iter()
                .chain(of_terms);
            scalars.extend(names.map(|name| (name.clone(), found.value(&name))));
        }
        self.append(&split(validation.set.as_deref()), validation.step, &scalars)?;
        match monitored {
            Some(found) => self.summaries(validation.step, &histograms(found)),
            None => Ok(()),
        }
    }

    fn rolled_back(&mut self, rollback: &Rollback, _: &Snapshot) -> Result<(), TrainError> {
        let next = rollback.to_step + 1;
        self.folder.check_held()?;
        match &mut self.file {
            Some(file) => file.forget_from(next)?,
            None => self.first_step = self.first_step.min(next),
        }
        Ok(())
    }
}
