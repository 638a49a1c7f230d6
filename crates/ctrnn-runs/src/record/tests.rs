//! Tests that interruptions do not change a run, and that non-finite numbers never reach its files.

use std::cell::Cell;
use std::path::Path;

use burn::backend::{Autodiff, NdArray};
use ctrnn_files::{RunFolder, RunJson, RunState, TensorFile};
use ctrnn_random::Rng;
use ctrnn_tasks::{BatchRequest, Clock, Condition, GoNogo, Task, TaskError, Trial, TrialBatch};
use tempfile::TempDir;

use ctrnn_config::RunConfig;
use ctrnn_train::{
    Counters, Culprit, EvalReport, NotFinite, Rollback, Snapshot, StepReport, Validation,
};

use super::*;
use crate::record::run_trainer::trainer_at;
use crate::record::{GivenConfig, RunRecord};
use crate::trials::registry;
use crate::weights::weight_file::tensors_of;

type Cpu = Autodiff<NdArray<f32>>;

/// Makes the recurrent gradient of `step` non-finite until the run has been rolled back `rollbacks` times.
#[derive(Clone, Copy)]
struct Spoiled {
    step: u64,
    rollbacks: u64,
}

/// Records the number of steps and of rollbacks of a run.
struct Progress<'a>(&'a Cell<[u64; 2]>);

impl Observer for Progress<'_> {
    fn stepped(&mut self, report: &StepReport) -> Result<(), TrainError> {
        self.0.set([report.step, self.0.get()[1]]);
        Ok(())
    }
    fn rolled_back(&mut self, _: &Rollback, now: &Snapshot) -> Result<(), TrainError> {
        self.0
            .set([now.counters.step, now.counters.rollbacks.count]);
        Ok(())
    }
}

/// Returns a run with 32 units, 20 trials and both noises; something is saved or measured at nearly every step.
fn toy(steps: u64, extra: &str) -> Run {
    let text = format!(
        "seed = 3
        [task.go_nogo]
        input_noise = 0.1
        [model]
        n_units = 32
        noise = {{ preactivation = 0.1, postactivation = 0.1, convention = 'song' }}
        [train]
        steps = {steps}
        batch_size = 20
        log_every = 1
        {extra}
        [validate]
        every_steps = 7
        trials = 8
        [checkpoint]
        every_steps = 20
        keep_best = 2"
    );
    let folder = Path::new("/");
    RunConfig::from_text(&text, "toy.toml", folder, &[], &registry()).unwrap()
}

/// Creates a folder in memory if possible, because these tests write hundreds of checkpoints.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// Trains from the beginning or from the last checkpoint until the end or until `stop` requests it.
fn train(
    run: &Run,
    path: &Path,
    spoiled: Option<Spoiled>,
    stop: StopRequest,
) -> Result<Ending, RunError> {
    let (now, device) = (Cell::new([0; 2]), Default::default());
    let (mut record, mut trainer) = if path.exists() {
        let reopened = RunRecord::reopen(path, run, "cpu", &[])?;
        let trainer = trainer_at::<Cpu>(run, reopened.checkpoint, 1, &device)?;
        (reopened.record, trainer)
    } else {
        let trainer = trainer_at::<Cpu>(run, None, 1, &device)?;
        let network = trainer.network();
        let record = RunRecord::create(path, run, &GivenConfig::default(), "cpu", network, false)?;
        (record, trainer)
    };
    let counters = trainer.counters();
    now.set([counters.step, counters.rollbacks.count]);
    if let Some(spoiled) = spoiled {
        let now = &now;
        trainer.add_loss("spoiled", move |inputs| {
            let [step, rollbacks] = now.get();
            let is_spoiled = step + 1 == spoiled.step && rollbacks < spoiled.rollbacks;
            let zero = inputs.network.w_rc_raw.val().sum() * 0.0;
            // The square root has an infinite slope at zero, and 0 times infinity is NaN.
            if is_spoiled { zero.sqrt() } else { zero }
        });
    }
    record.train(run, &mut trainer, &mut [&mut Progress(&now)], stop)
}

/// Trains with a stop and a resume after every step; returns the number of stops.
fn train_in_steps(run: &Run, path: &Path, spoiled: Option<Spoiled>) -> u64 {
    let mut stops = 0;
    while let Ending::Asked(_) = train(run, path, spoiled, &|| Some("a test".to_owned())).unwrap() {
        stops += 1;
    }
    stops
}

/// Results of a run, without wall-clock times.
#[derive(Debug, PartialEq)]
struct Outcome {
    metrics: Vec<String>,
    counters: Counters,
    weights: Vec<u8>,
    optimizer: Vec<u8>,
    model: Vec<u8>,
}

fn outcome(path: &Path, step: u64) -> Outcome {
    let folder = RunFolder::at(path);
    let metrics = std::fs::read_to_string(folder.metrics()).unwrap();
    let without_time = |line: &str| {
        let fields = line
            .split(',')
            .enumerate()
            .filter(|(column, _)| *column != 1);
        fields.map(|(_, field)| field).collect::<Vec<_>>().join(",")
    };
    let checkpoint = ctrnn_files::read_checkpoint(&folder.checkpoint(step)).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&checkpoint["state.json"]).unwrap();
    let counters = serde_json::from_value(state["counters"].clone()).unwrap();
    Outcome {
        metrics: metrics.lines().map(without_time).collect(),
        counters: Counters {
            wall_s: 0.0,
            ..counters
        },
        weights: checkpoint["weights.safetensors"].clone(),
        optimizer: checkpoint["optimizer.safetensors"].clone(),
        model: std::fs::read(folder.model_weights()).unwrap(),
    }
}

fn events(path: &Path, name: &str) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(RunFolder::at(path).events()).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|event: &serde_json::Value| event["event"] == name)
        .collect()
}

fn assert_all_checkpoints_are_finite(path: &Path) {
    let folder = RunFolder::at(path);
    for step in folder.list_checkpoints().unwrap() {
        for (name, bytes) in ctrnn_files::read_checkpoint(&folder.checkpoint(step)).unwrap() {
            if !name.ends_with(".safetensors") {
                continue;
            }
            let file = TensorFile::from_bytes(&bytes, &folder.checkpoint(step)).unwrap();
            for (tensor, array) in tensors_of(file.tensors) {
                assert!(
                    array.iter::<f64>().all(f64::is_finite),
                    "{tensor} of {name} at step {step}"
                );
            }
        }
    }
}

/// Checks equality after each of 200 stops, and therefore after a stop at any of them.
#[test]
fn a_run_stopped_at_every_step_equals_one_that_was_not() {
    let (folder, run) = (folder(), toy(200, ""));
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    train(&run, &whole, None, &|| None).unwrap();
    assert_eq!(train_in_steps(&run, &parts, None), 199);
    assert_eq!(outcome(&whole, 200), outcome(&parts, 200));
    assert_eq!(events(&parts, "resumed").len(), 199);
}

/// Stops once, at steps before, on and after checkpoints and validations.
#[test]
fn a_run_stopped_once_equals_one_that_was_not() {
    let (folder, run) = (folder(), toy(45, ""));
    let whole = folder.path().join("whole");
    train(&run, &whole, None, &|| None).unwrap();
    for stop_at in [1, 6, 7, 8, 19, 20, 21, 40, 44] {
        let path = folder.path().join(stop_at.to_string());
        let asked = Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            (asked.get() == stop_at).then(|| "a test".to_owned())
        };
        train(&run, &path, None, &stop).unwrap();
        train(&run, &path, None, &|| None).unwrap();
        assert_eq!(
            outcome(&whole, 45),
            outcome(&path, 45),
            "stopped at {stop_at}"
        );
    }
}

/// Uses a term that divides, and reads the readout six times. burn walks the graph by node numbers, which differ each
/// time.
#[test]
fn a_term_of_ones_own_repeats_to_the_bit() {
    let run = toy(10, "");
    let weights = || {
        let network = run.model.init::<Cpu>(1, &Default::default()).unwrap();
        let mut trainer = Trainer::new(network, run.task.as_ref(), run.settings()).unwrap();
        trainer.add_loss("uses", |inputs| {
            let y = inputs.outputs.clone();
            let ratio = y.clone() / (y.clone().square() + y.clone().exp() + 1.0);
            (ratio * y.clone().tanh() + (y.square() + 0.1).log() * 0.3).mean()
        });
        trainer.run().unwrap();
        trainer.network().weights()
    };
    let first = weights();
    assert!((0..5).all(|_| weights() == first));
}

/// Checks that all 300 validation trials run together, because a custom term cannot be assembled from parts of the
/// trials.
#[test]
fn a_term_of_ones_own_sees_all_validation_trials_at_once() {
    struct Last(Option<EvalReport>);
    impl Observer for Last {
        fn evaluated(&mut self, validation: &Validation) -> Result<(), TrainError> {
            self.0 = Some(validation.report.clone());
            Ok(())
        }
    }
    let mut run = toy(1, "");
    run.config.validate.trials = 300;
    let network = run.model.init::<Cpu>(1, &Default::default()).unwrap();
    let mut trainer = Trainer::new(network, run.task.as_ref(), run.settings()).unwrap();
    trainer.add_loss("trials", |inputs| {
        let [trials, ..] = inputs.outputs.dims();
        inputs.outputs.clone().sum() * 0.0 + trials as f64
    });
    let mut last = Last(None);
    trainer
        .run_with(&mut [&mut last as &mut dyn Observer])
        .unwrap();
    assert_eq!(last.0.unwrap().terms["trials"], 300.0);
}

/// Step 47 is non-finite at first: the run returns to step 40 with half the rate, and continues. Stopping at every step
/// does not change that.
#[test]
fn a_rollback_is_part_of_the_run() {
    let (folder, run) = (folder(), toy(60, ""));
    let rule = Some(Spoiled {
        step: 47,
        rollbacks: 1,
    });
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    assert_eq!(
        train(&run, &whole, rule, &|| None).unwrap(),
        Ending::AllSteps
    );
    train_in_steps(&run, &parts, rule);
    let left = outcome(&whole, 60);
    assert_eq!(left, outcome(&parts, 60));

    assert_eq!(left.counters.rollbacks.count, 1);
    let rates: Vec<&str> = left
        .metrics
        .iter()
        .filter(|row| row.contains(",train,"))
        .filter_map(|row| row.rsplit(',').nth(1))
        .collect();
    assert_eq!(rates.len(), 60, "each step has one row");
    assert_eq!(
        (rates[39], rates[40], rates[59]),
        ("0.001", "0.0005", "0.0005")
    );
    for path in [&whole, &parts] {
        let told = &events(path, "rolled_back")[0];
        assert_eq!(told["not_finite"], "the gradient of recurrent.weight");
        assert_eq!((&told["step"], &told["to_step"]), (&47.into(), &40.into()));
    }
}

/// Checks that a run killed just after a rollback neither reads the abandoned steps nor forgets the smaller rate.
#[test]
fn checkpoints_of_abandoned_steps_are_removed() {
    let (folder, run) = (folder(), toy(50, ""));
    let path = folder.path().join("run");
    let rule = Some(Spoiled {
        step: 39,
        rollbacks: 1,
    });
    let asked = Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1); // 38 steps, back to 20, one step
        (asked.get() == 39).then(|| "a test".to_owned())
    };
    train(&run, &path, rule, &stop).unwrap();
    let folder = RunFolder::at(&path);
    let steps = folder.list_checkpoints().unwrap();
    assert_eq!(steps.last(), Some(&21));
    assert!(steps.contains(&20), "{steps:?}");
    let best = ctrnn_files::read_pointer(&folder.best()).unwrap();
    assert!(steps.contains(&best), "best is {best} of {steps:?}");
}

/// Returns the error of a run, and its folder.
fn failed(run: &Run, spoiled: Option<Spoiled>) -> (Box<NotFinite>, TempDir) {
    let folder = folder();
    let path = folder.path().join("run");
    let error = train(run, &path, spoiled, &|| None).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    let RunError::Train(TrainError::NotFinite(found)) = error else {
        panic!("{error}")
    };
    assert_all_checkpoints_are_finite(&path);
    let json = RunJson::load(&RunFolder::at(&path).run_json()).unwrap();
    assert_eq!((json.state, json.exit_code), (RunState::Failed, Some(3)));
    assert_eq!(json.reason, Some(found.to_string()));
    assert!(!RunFolder::at(&path).model().exists());
    (found, folder)
}

#[test]
fn a_gradient_that_stays_nan_fails_after_all_rollbacks() {
    let rule = Some(Spoiled {
        step: 100,
        rollbacks: u64::MAX,
    });
    let (found, folder) = failed(&toy(200, ""), rule);
    assert_eq!((found.step, found.rollbacks), (100, 3));
    assert_eq!(found.what, Culprit::Gradient("recurrent.weight".to_owned()));
    let norm = format!("{:.3e}", found.norm_before.unwrap());
    assert_eq!(
        found.to_string(),
        format!(
            "the gradient of recurrent.weight is not finite at step 100, with a learning rate of 1.25e-4; the gradient \
             norm before it was {norm}; tried: going back 3 times, the last time to step 80"
        )
    );
    let told = events(&folder.path().join("run"), "rolled_back");
    let told: Vec<_> = told.iter().map(|event| event["lr"].as_f64()).collect();
    assert_eq!(told, [Some(5e-4), Some(2.5e-4), Some(1.25e-4)]);
}

/// The first update makes the weights so large that the readout of the second step overflows.
#[test]
fn a_learning_rate_of_a_million_fails_in_the_step_that_overflows() {
    let (found, folder) = failed(&toy(200, "optimizer = { lr = 1e6 }"), None);
    assert_eq!((found.step, found.rollbacks), (2, 3));
    assert_eq!(found.what, Culprit::Outputs);
    assert_eq!(found.lr, 1.25e5);
    let run = RunFolder::at(folder.path().join("run"));
    assert_eq!(
        run.list_checkpoints().unwrap(),
        [0],
        "that of the last rollback"
    );
}

/// Checks that a weight that overflows in the last update, after a finite gradient, is detected before it is written.
#[test]
fn weights_that_are_not_finite_are_not_written() {
    let extra = "optimizer = { name = 'sgd', lr = 1e20, weight_decay = 1e30 }\ndivergence = { max_rollbacks = 0 }";
    let (found, folder) = failed(&toy(1, extra), None);
    assert_eq!(found.step, 1);
    assert!(matches!(found.what, Culprit::Weights(_)), "{found}");
    assert!(
        found.to_string().ends_with("; nothing was tried"),
        "{found}"
    );
    let run = RunFolder::at(folder.path().join("run"));
    assert_eq!(run.list_checkpoints().unwrap(), [0; 0]);
}

/// Go/no-go task with an infinite input at one step.
struct Infinite(GoNogo, u64);

impl Task for Infinite {
    fn layout(&self) -> ctrnn_tasks::Layout {
        self.0.layout()
    }
    fn conditions(&self) -> Vec<Condition> {
        self.0.conditions()
    }
    fn sample_trial(&self, condition: &Condition, clock: Clock, rng: &mut Rng) -> Trial {
        self.0.sample_trial(condition, clock, rng)
    }
    fn sample_batch(&self, request: &BatchRequest) -> Result<TrialBatch, TaskError> {
        let mut batch = self.0.sample_batch(request)?;
        if request.step + 1 == self.1 {
            batch.inputs[5] = f32::INFINITY;
        }
        Ok(batch)
    }
}

#[test]
fn an_infinite_input_fails_at_once() {
    let mut run = toy(200, "");
    run.task = Box::new(Infinite(GoNogo::default(), 30));
    let (found, _folder) = failed(&run, None);
    assert_eq!(
        (found.step, found.rollbacks),
        (30, 0),
        "the same input would come again"
    );
    assert_eq!(found.what, Culprit::Inputs);
}

/// White noise has no correct answers: a metric that needs them is refused before the first step, at every key that
/// names one.
#[test]
fn a_metric_that_is_never_measured_is_refused() {
    let trainer = |task: &str, metrics: &str| {
        let text =
            format!("[task.{task}]\n[model]\nn_units = 4\n[validate]\ntrials = 8\n{metrics}");
        let run =
            RunConfig::from_text(&text, "run.toml", Path::new("/"), &[], &registry()).unwrap();
        trainer_at::<Cpu>(&run, None, 1, &Default::default()).map(|trainer| trainer.term_names())
    };
    let settings = [
        "[train.stop]\nmetric = 'val.accuracy'\nat_least = 0.9\nrequired = true",
        "[train.stop]\nmetric = 'val.min_accuracy'\npatience = 3",
        "[train.schedule]\nname = 'plateau'\nmetric = 'val.accuracy'",
        "[checkpoint]\nbest = 'val.min_accuracy'",
    ];
    let keys = [
        "train.stop.metric",
        "train.stop.metric",
        "train.schedule.metric",
        "checkpoint.best",
    ];
    for (setting, key) in settings.into_iter().zip(keys) {
        trainer("go_nogo", setting).unwrap();
        let error = trainer("white_noise", setting).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let RunError::Config(errors) = error else {
            panic!("{error}")
        };
        let [problem] = &errors.0[..] else {
            panic!("{errors}")
        };
        assert!(problem.message.starts_with(key), "{errors}");
        let help = "this task has no correct answers: use val.loss";
        assert!(problem.help.starts_with(help), "{errors}");
        assert!(!problem.labels.is_empty(), "{errors}");
    }
    let both = [settings[0], settings[3]].join("\n");
    let error = trainer("white_noise", &both).unwrap_err();
    assert!(
        matches!(&error, RunError::Config(errors) if errors.0.len() == 2),
        "{error}"
    );
    trainer("white_noise", "[checkpoint]\nbest = 'val.loss'").unwrap();
}
