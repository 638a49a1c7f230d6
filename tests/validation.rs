//! Validation: its noise, its trials, what the end of a run and the best checkpoint are measured by, and `eval` on the same
//! trials.

use std::collections::BTreeMap;

use ctrnn_files::Array;
use serde_json::Value;

use crate::project::{NOISE, Project};

/// A mixture of tasks with 2 and with 10 conditions.
const MIXTURE: &str = "seed = 3
[task.multitask]
tasks.go_nogo = { fixation_ms = 100, stimulus_ms = 100, delay_ms = 100, response_ms = 100 }
tasks.perceptual_decision = { fixation_ms = 100, stimulus_ms = 200, response_ms = 100 }
[model]
n_units = 8
noise = { preactivation = 0.3, input = 0.1 }
[train]
steps = 6
batch_size = 4
log_every = 1
[validate]
every_steps = 2
trials = 300
";

fn validations(project: &Project, run: &str) -> Vec<BTreeMap<String, String>> {
    let rows = project.metrics(run).into_iter();
    rows.filter(|row| row["split"] == "val").collect()
}

#[track_caller]
fn number(text: &str) -> f64 {
    text.parse()
        .unwrap_or_else(|_| panic!("{text:?} is a number"))
}

fn eval(project: &Project, arguments: &[&str]) -> Value {
    let command = [&["eval"], arguments, &["--json"]].concat();
    project.run(&command).exits(0).json()
}

/// Asserts that a report is the row of metrics.csv to the last digit.
#[track_caller]
fn assert_is_row(report: &Value, row: &BTreeMap<String, String>) {
    assert_eq!(report["step"].to_string(), row["step"]);
    for column in ["loss", "accuracy"] {
        assert_eq!(
            report[column].as_f64(),
            Some(number(&row[column])),
            "{column}"
        );
    }
    assert_eq!(report["noise"], row["noise"] == "1");
}

/// 300 trials are two blocks.
#[test]
fn evaluation_of_the_validation_trials_gives_the_row_of_metrics_csv() {
    let project = Project::new();
    for (run, further) in [("noisy", &[NOISE][..]), ("silent", &[])] {
        let begin = ["train", "smoke.toml", "--run-dir", run, "model.n_units=8"];
        let sizes = [
            "train.batch_size=4",
            "train.steps=10",
            "validate.trials=300",
        ];
        let steps = ["validate.every_steps=5", "checkpoint.every_steps=5"];
        project
            .run(&[&begin[..], &sizes, &steps, further].concat())
            .exits(0);
    }
    for run in ["noisy", "silent"] {
        let rows = validations(&project, run);
        assert_eq!(rows.len(), 2);
        assert_is_row(&eval(&project, &[run, "--validation"]), &rows[1]);
        let earlier = ["--checkpoint", "5"];
        assert_is_row(
            &eval(&project, &[&[run, "--validation"], &earlier[..]].concat()),
            &rows[0],
        );
    }
    assert_eq!(validations(&project, "noisy")[0]["noise"], "1");
    assert_eq!(validations(&project, "silent")[0]["noise"], "0");
    let loss = |options: &[&str]| eval(&project, &[&["noisy"], options].concat())["loss"].clone();
    let (with, without) = (
        loss(&["--validation"]),
        loss(&["--validation", "--no-noise"]),
    );
    assert_ne!(with, without);
    assert_eq!(with, loss(&["--validation", "--noise"]));
    assert_ne!(with, loss(&[]), "fresh trials are others");
    assert_eq!(loss(&[]), loss(&["--noise"]));
    assert_ne!(loss(&[]), loss(&["--no-noise"]));
    let text = project.run(&["eval", "noisy"]).exits(0).stdout;
    assert!(
        text.contains("fresh trials (stream eval), with noise"),
        "{text}"
    );
    let text = project
        .run(&["eval", "noisy", "--validation", "--no-noise"])
        .exits(0)
        .stdout;
    assert!(
        text.contains("the validation trials, without noise"),
        "{text}"
    );
    project
        .run(&["eval", "noisy", "--validation", "task.go_nogo.delay_ms=200"])
        .exits(2)
        .says(&["--validation", "task.go_nogo.delay_ms=200"]);
    project
        .run(&["eval", "noisy", "--validation", "--trials", "3"])
        .exits(2);
    project
        .run(&["eval", "noisy", "--noise", "--no-noise"])
        .exits(2);
}

/// Without the key the noise is on; it is the same in every validation, and no part of the training.
#[test]
fn validation_has_the_noise_of_the_network() {
    let project = Project::new();
    let still = ["train.steps=10", "train.optimizer.lr=1e-30"]; // the network stays as it is
    let train = |run: &str, further: &[&str]| {
        project
            .train(run, &[&[NOISE], &still[..], further].concat())
            .exits(0);
        validations(&project, run)
    };
    let on = train("on", &[]);
    let off = train("off", &["validate.noise=false"]);
    assert_eq!(on[0]["loss"], on[1]["loss"]);
    assert_ne!(on[0]["loss"], off[0]["loss"]);
    assert_eq!((&*on[0]["noise"], &*off[0]["noise"]), ("1", "0"));
    let weights = |run| project.bytes(format!("{run}/model/weights.npz"));
    assert!(
        weights("on") == weights("off"),
        "training does not depend on validation"
    );
}

/// A run that an earlier version began has neither key in its resolved configuration, nor the column in its metrics.
#[test]
fn a_run_of_an_earlier_version_is_validated_as_it_was() {
    let project = Project::new();
    project.write("mixture.toml", MIXTURE);
    let earlier = ["validate.noise=false", "validate.balance=conditions"];
    let stop = "train.stop={metric=\"val.loss\",at_most=1e-9}";
    let train = |run: &str, further: &[&str]| {
        let begin = ["train", "mixture.toml", "--run-dir", run, stop];
        project
            .run(&[&begin[..], &earlier, further].concat())
            .exits(0);
    };
    train("whole", &["train.steps=8"]);
    train("old", &["train.steps=4"]);
    let resolved = project.text("old/config.resolved.toml");
    let is_new =
        |line: &&str| ["noise = false", "balance = \"conditions\"", "over = 1"].contains(line);
    assert_eq!(resolved.lines().filter(is_new).count(), 3, "{resolved}");
    let left: Vec<&str> = resolved.lines().filter(|line| !is_new(line)).collect();
    project.write("old/config.resolved.toml", left.join("\n"));
    let metrics = project.text("old/metrics.csv");
    let columns = |line: &str| -> String {
        let fields: Vec<&str> = line.split(',').collect();
        let (first, last) = (&fields[..6], &fields[8..10]);
        format!("{}\n", [first, last].concat().join(","))
    };
    let header = "step,wall_s,trials,split,loss,accuracy,grad_norm,lr\n";
    let old: String = metrics.lines().map(columns).collect();
    assert!(old.starts_with(header), "{old}");
    project.write("old/metrics.csv", old);

    let answer = project.run(&["resume", "old"]).exits(0);
    assert!(answer.stderr.contains("is finished"), "{answer:?}");
    let answer = project.run(&["resume", "old", "train.steps=8"]).exits(0);
    assert!(!answer.stderr.contains("validate."), "{answer:?}");
    assert!(project.text("old/metrics.csv").starts_with(header));
    let (whole, old) = (project.metrics("whole"), project.metrics("old"));
    assert_eq!(whole.len(), old.len());
    for (whole, old) in whole.iter().zip(&old) {
        for (column, value) in old {
            assert_eq!(value, &whole[column], "{column}");
        }
    }
    let resolved = project.text("old/config.resolved.toml");
    assert!(resolved.contains("noise = false"), "{resolved}");
    assert!(resolved.contains("balance = \"conditions\""), "{resolved}");
}

#[test]
fn tasks_of_a_mixture_have_the_same_number_of_trials_and_a_column_each() {
    let project = Project::new();
    project.write("mixture.toml", MIXTURE);
    let best = "checkpoint.best=val.min_task_accuracy";
    let stop = "train.stop={metric=\"val.task_accuracy\",at_least=0}";
    project
        .run(&["train", "mixture.toml", "--run-dir", "run", best, stop])
        .exits(0);
    let header = "step,wall_s,trials,split,loss,accuracy,accuracy_go_nogo,accuracy_perceptual_decision,grad_norm,lr,noise\n";
    assert!(project.text("run/metrics.csv").starts_with(header));
    let row = validations(&project, "run").pop().unwrap();
    assert_eq!(row["step"], "2", "the first mean is at least 0");
    let report = eval(&project, &["run", "--validation"]);
    assert_is_row(&report, &row);
    let accuracies = ["go_nogo", "perceptual_decision"].map(|task| {
        let score = &report["tasks"][task];
        assert_eq!(score["trials"], 150, "{task}");
        let accuracy = score["accuracy"].as_f64().unwrap();
        assert_eq!(
            accuracy,
            number(&row[&format!("accuracy_{task}")]),
            "{task}"
        );
        accuracy
    });
    let state = project.json("run/checkpoints/step-00000002/state.json");
    let counters = &state["counters"];
    let least = accuracies[0].min(accuracies[1]);
    assert_eq!(counters["best"]["value"].as_f64(), Some(least));
    let mean = (accuracies[0] + accuracies[1]) / 2.0;
    assert_eq!(counters["last_metric"].as_f64(), Some(mean));
    let text = project.run(&["eval", "run"]).exits(0).stdout;
    for part in [
        "task = go_nogo",
        "task = perceptual_decision",
        "mean over tasks",
    ] {
        assert!(text.contains(part), "{text}");
    }

    let conditions = eval(&project, &["run", "validate.balance=conditions"]);
    assert_ne!(conditions["tasks"]["go_nogo"]["trials"], 150);
    project
        .run(&["check", "smoke.toml", best, stop])
        .exits(2)
        .says(&[
            "checkpoint.best = \"val.min_task_accuracy\" can never be measured: the task is not a mixture",
            "train.stop.metric = \"val.task_accuracy\"",
        ]);
    project
        .run(&["check", "mixture.toml", best, "validate.trials=1"])
        .exits(2)
        .says(&["no validation trial is of the task perceptual_decision"]);
}

/// Song et al. (2016) stop at the mean of the last five validations.
#[test]
fn a_run_stops_at_the_mean_of_the_last_validations() {
    let project = Project::new();
    let stop = "train.stop={metric=\"val.loss\",at_most=1e9,over=3}";
    project
        .train("run", &[stop, NOISE, "train.steps=50"])
        .exits(0);
    let losses: Vec<f64> = validations(&project, "run")
        .iter()
        .map(|row| number(&row["loss"]))
        .collect();
    assert_eq!(
        losses.len(),
        3,
        "three validations are needed for the first mean"
    );
    let state = project.json("run/checkpoints/step-00000015/state.json");
    let mean = (losses[0] + losses[1] + losses[2]) / 3.0;
    assert_eq!(state["counters"]["last_metric"].as_f64(), Some(mean));
    let reason = project.json("run/RUN.json")["reason"].to_string();
    assert!(reason.contains(&format!("target met: {mean}")), "{reason}");

    // The window survives a stop after every step.
    let last = number(&losses[2].to_string());
    let bound = format!(
        "train.stop={{metric=\"val.loss\",at_most={},over=3}}",
        mean.max(last)
    );
    let train = |run: &str, further: &[&str]| {
        let arguments = [&[&bound[..], NOISE, "train.steps=50"], further].concat();
        project.train(run, &arguments)
    };
    train("whole", &[]).exits(0);
    train("parts", &["--max-time", "0s"]).exits(75);
    while project.run(&["resume", "parts", "--max-time", "0s"]).code == Some(75) {}
    project.assert_same_run("whole", "parts");
    project
        .train("few", &[stop, "train.steps=10"])
        .exits(0)
        .says(&[
            "train.stop has no effect",
            "2 validations, fewer than train.stop.over = 3",
        ]);
}

/// Metrics of correct answers where there are none, wherever a metric is named: time courses have no correct answer, two signs
/// of a single output do.
#[test]
fn a_metric_that_is_never_measured_is_refused_by_check() {
    let project = Project::new();
    for (file, levels) in [("courses.npz", [0.3, 0.7]), ("signs.npz", [-1.0, 1.0])] {
        let targets = (0..40).map(|k| levels[k / 2 % 2]).collect();
        let arrays = [
            ("inputs", Array::f32(&[20, 2, 1], vec![1.0; 40])),
            ("targets", Array::f32(&[20, 2, 1], targets)),
        ];
        project.write_arrays(file, arrays);
    }
    for given in [
        "checkpoint.best=val.accuracy",
        "train.stop={metric=\"val.accuracy\",at_least=0.9}",
        "train.stop={metric=\"val.min_accuracy\",patience=1}",
        "train.schedule={name=\"plateau\",metric=\"val.accuracy\",patience=1}",
    ] {
        let check = |file: &str| {
            let task = format!("task.npz.files=[\"{file}\"]");
            project.run(&["check", "smoke.toml", &task, given])
        };
        check("courses.npz")
            .exits(2)
            .says(&["can never be measured"]);
        check("signs.npz").exits(0);
    }
}

/// The expected numbers are counted from the outputs of `simulate` on the same trials.
#[test]
fn evaluation_by_condition_equals_the_outputs_of_simulate() {
    let project = Project::new();
    project.write(
        "context.toml",
        "seed = 5\n[task.context_decision]\nfixation_ms = 100\nstimulus_ms = { uniform = [100, 300] }\n\
         delay_ms = 100\nresponse_ms = 100\n[model]\nn_units = 8\nnoise = { preactivation = 0.3, input = 0.1 }\n\
         [train]\nsteps = 0\n",
    );
    project
        .run(&["train", "context.toml", "--run-dir", "run"])
        .exits(0);
    let simulate = [
        "simulate",
        "run",
        "--trials=600",
        "--noise",
        "-o",
        "states.npz",
    ];
    project.run(&simulate).exits(0);
    let arrays = project.arrays("states.npz");
    let values = |name: &str| arrays[name].to_f64().expect("numbers");
    let shape = arrays["outputs"].shape();
    let (n_steps, n_outputs) = (shape[1], shape[2]);
    let (outputs, targets, mask) = (values("outputs"), values("targets"), values("mask"));
    // The choice is the largest of the outputs besides fixation, at the last time step that counts.
    let choice = |rows: &[f64], b: usize| -> usize {
        let t = (0..n_steps).rfind(|t| mask[b * n_steps + t] > 0.0).unwrap();
        let row = &rows[(b * n_steps + t) * n_outputs..][..n_outputs];
        let larger = |best: usize, k: usize| if row[k] > row[best] { k } else { best };
        (1..n_outputs).reduce(larger).unwrap() // the first of equal ones
    };
    let is_right: Vec<bool> = (0..600)
        .map(|b| choice(&outputs, b) == choice(&targets, b))
        .collect();
    let conditions = ["context", "motion"].map(|name| values(&format!("cond_{name}")));

    let by = ["run", "--trials=600", "--by=context,motion"];
    let report = eval(&project, &by);
    let groups = report["groups"].as_array().unwrap();
    let mut counted = 0;
    for group in groups {
        let own = &group["condition"];
        // Files of states have conditions in single precision.
        let is_in = |b: &usize| {
            let mut names = ["context", "motion"].into_iter().zip(&conditions);
            names.all(|(name, column)| (own[name].as_f64().unwrap() - column[*b]).abs() < 1e-6)
        };
        let members: Vec<usize> = (0..600).filter(is_in).collect();
        let right = members.iter().filter(|&&b| is_right[b]).count();
        assert_eq!(group["trials"], members.len());
        assert_eq!(
            (&group["right"], &group["answered"]),
            (&right.into(), &members.len().into())
        );
        counted += members.len();
    }
    assert_eq!(counted, 600);
    assert_eq!(
        groups[0]["name"].as_str().unwrap().split(" = ").next(),
        Some("context")
    );

    let selection = format!("--where=context=0,motion>{}", conditions[1][0].abs() / 2.0);
    let some = eval(&project, &["run", "--trials=600", &selection]);
    let bound = conditions[1][0].abs() / 2.0;
    let is_in = |b: &usize| conditions[0][*b] == 0.0 && conditions[1][*b] > bound;
    let members: Vec<usize> = (0..600).filter(is_in).collect();
    let right = members.iter().filter(|&&b| is_right[b]).count();
    assert_eq!(some["trials"], members.len());
    let expected = right as f64 / members.len() as f64;
    assert_eq!(some["accuracy"].as_f64(), Some(expected));
    let text = project
        .run(&["eval", "run", "--by=context", "--where=context=0"])
        .exits(0);
    assert!(
        text.stdout.contains("only those with context=0"),
        "{text:?}"
    );
    project
        .run(&["eval", "run", "--where=colour=99"])
        .exits(2)
        .says(&["no trial satisfies"]);
    project
        .run(&["eval", "run", "--by=contexts"])
        .exits(2)
        .says(&["the trials have no condition \"contexts\"", "context"]);
}

/// Wilson (1927), equation of the score interval.
#[test]
fn a_group_has_the_interval_of_wilson() {
    let project = Project::new();
    project.train("run", &["train.steps=1"]).exits(0);
    let report = eval(&project, &["run", "--by=go", "--trials=100"]);
    for group in report["groups"].as_array().unwrap() {
        let count = |key: &str| group[key].as_f64().unwrap();
        let (n, p, z) = (
            count("answered"),
            count("right") / count("answered"),
            1.959_964,
        );
        let bound = |side: f64| {
            let root = (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
            (p + z * z / (2.0 * n) + side * z * root) / (1.0 + z * z / n)
        };
        for (k, side) in [-1.0, 1.0].into_iter().enumerate() {
            let found = group["interval"][k].as_f64().unwrap();
            assert!((found - bound(side)).abs() < 1e-9, "{group}");
        }
    }
}
