//! Networks that are fitted to recordings: trials with `unit_targets`, the term `unit_rates`, teacher forcing.

use ctrnn_files::Array;

use crate::project::Project;

const N_STEPS: usize = 20;

/// A network of six units, four of which were recorded.
const STUDENT: &str = r#"
version = 1
seed = 2
[time]
dt_ms = 20
[task.npz]
files = ["recordings.npz"]
validation_fraction = 0.25
[model]
n_units = 6
activation = "tanh"
[train]
steps = 6
batch_size = 4
log_every = 1
optimizer = { name = "adam", lr = 0.02 }
loss.unit_rates = { units = [4, 0, 1, 2] }
[validate]
every_steps = 3
trials = 4
[checkpoint]
every_steps = 3
"#;

/// Two inputs that differ from trial to trial, `[trial, time, input]`.
fn drive(n_trials: usize) -> Array {
    let value = |k: usize| {
        let (b, t, i) = (k / (2 * N_STEPS), k / 2 % N_STEPS, k % 2);
        (0.3 * t as f32 * (1 + i) as f32 + b as f32).sin() + if i == 0 { 0.5 } else { 0.0 }
    };
    let n = n_trials * N_STEPS * 2;
    Array::f32(&[n_trials, N_STEPS, 2], (0..n).map(value).collect())
}

/// Records units 4, 0, 1 and 2 of a teacher in 16 trials: the network of `STUDENT` with other weights, as it is drawn.
fn project() -> Project {
    const N_TRIALS: usize = 16;
    let project = Project::in_memory();
    project.write("student.toml", STUDENT);
    let targets = Array::f32(&[N_TRIALS, N_STEPS, 1], vec![0.0; N_TRIALS * N_STEPS]);
    project.write_arrays(
        "drive.npz",
        [("inputs", drive(N_TRIALS)), ("targets", targets)],
    );
    let files = "task.npz.files=[\"drive.npz\"]";
    let teacher = ["seed=9", "train.loss={}", "train.steps=0", files];
    project.run(&train("teacher", &teacher)).exits(0);
    let all = "task.npz.validation_fraction=1";
    let simulate = [
        "simulate",
        "teacher",
        all,
        "--trials",
        "16",
        "-o",
        "states.npz",
    ];
    project.run(&simulate).exits(0);
    let rates = project.arrays("states.npz")["rates"].to_f32().unwrap();
    let recorded = rates
        .chunks_exact(6)
        .flat_map(|row| [4, 0, 1, 2].map(|unit| row[unit]));
    let recorded = Array::f32(&[N_TRIALS, N_STEPS, 4], recorded.collect());
    project.write_arrays(
        "recordings.npz",
        [("inputs", drive(N_TRIALS)), ("unit_targets", recorded)],
    );
    project
}

/// Takes out unit 1 of trial 0, one entry of trial 3, and writes lengths.
fn with_missing_entries(project: &Project) {
    let mut arrays = project.arrays("recordings.npz");
    let mut rates = arrays["unit_targets"].to_f32().unwrap();
    for t in 0..N_STEPS {
        rates[t * 4 + 1] = f32::NAN;
    }
    rates[(3 * N_STEPS + 7) * 4 + 2] = f32::NAN;
    let shape = arrays["unit_targets"].shape().to_vec();
    arrays.insert("unit_targets".to_owned(), Array::f32(&shape, rates));
    let n_steps = (0..16).map(|b| N_STEPS as i64 - b % 3).collect();
    arrays.insert("n_steps".to_owned(), Array::i64(&[16], n_steps));
    ctrnn_files::npz::write(&project.path("missing.npz"), &arrays).unwrap();
}

const MISSING: &str = "task.npz.files=[\"missing.npz\"]";

fn train<'a>(run: &'a str, overrides: &[&'a str]) -> Vec<&'a str> {
    [&["train", "student.toml", "--run-dir", run][..], overrides].concat()
}

/// The last value of a column of a split of `metrics.csv`.
fn last(project: &Project, run: &str, split: &str, column: &str) -> f64 {
    let rows = project.metrics(run);
    let row = rows.iter().rfind(|row| row["split"] == split).unwrap();
    row[column].parse().unwrap()
}

/// Returns the recorded rates of the teacher, and their variance.
fn rates_of_teacher(project: &Project) -> (Vec<f64>, f64) {
    let rates = project.arrays("recordings.npz")["unit_targets"]
        .to_f64()
        .unwrap();
    let mean = rates.iter().sum::<f64>() / rates.len() as f64;
    let squares: f64 = rates.iter().map(|x| (x - mean).powi(2)).sum();
    let variance = squares / rates.len() as f64;
    (rates, variance)
}

const LONG: [&str; 5] = [
    "train.steps=100",
    "train.optimizer.lr=0.05",
    "train.batch_size=12",
    "train.log_every=100",
    "validate.every_steps=100",
];

/// The mean squared error of held-out trials falls below 2 % of the variance of the rates (0.1 % is usual), with teacher forcing as well.
#[test]
fn the_rates_of_a_teacher_are_recovered() {
    let project = project();
    let (_, variance) = rates_of_teacher(&project);
    let forced = "train.teacher_forcing={strength=1,steps=50}";
    for (run, further) in [("free", &[][..]), ("forced", &[forced])] {
        project
            .run(&train(run, &[&LONG[..], further].concat()))
            .exits(0);
        let error = last(&project, run, "val", "loss_unit_rates");
        assert!(error < 0.02 * variance, "{run}: {error} of {variance}");
    }
}

/// The Poisson likelihood of counts is greatest where the expected ones equal them: with 50 exp(r) spikes per second in 20 ms, those of
/// the teacher are exp(r).
#[test]
fn the_rates_behind_counts_are_recovered() {
    let project = project();
    let (rates, variance) = rates_of_teacher(&project);
    let mut arrays = project.arrays("recordings.npz");
    let counts = rates.iter().map(|r| r.exp() as f32).collect();
    arrays.insert(
        "unit_targets".to_owned(),
        Array::f32(&[16, N_STEPS, 4], counts),
    );
    ctrnn_files::npz::write(&project.path("recordings.npz"), &arrays).unwrap();
    let poisson = [
        "train.loss.unit_rates.kind=poisson",
        "train.loss.unit_rates.rate_hz=50",
    ];
    project
        .run(&train("run", &[&LONG[..], &poisson].concat()))
        .exits(0);
    let all = "task.npz.validation_fraction=1";
    let simulate = ["simulate", "run", all, "--trials", "16", "-o", "run.npz"];
    project.run(&simulate).exits(0);
    let found = project.arrays("run.npz")["rates"].to_f64().unwrap();
    let found = found
        .chunks_exact(6)
        .flat_map(|row| [4, 0, 1, 2].map(|unit| row[unit]));
    let squares: f64 = found.zip(&rates).map(|(a, b)| (a - b).powi(2)).sum();
    let error = squares / rates.len() as f64;
    assert!(error < 0.02 * variance, "{error} of {variance}");
}

/// Interrupted at every chance, with missing entries, trials of different lengths and a decaying strength.
#[test]
fn fits_resume_to_the_bit() {
    let project = project();
    with_missing_entries(&project);
    let kinds: [&[&str]; 4] = [
        &[],
        &[
            "train.teacher_forcing={strength=0.8,steps=5}",
            "train.accumulate=2",
        ],
        &[
            "train.loss.unit_rates.output=softplus",
            "train.truncate_steps=8",
        ],
        &["train.teacher_forcing={}", "model.noise.preactivation=0.1"],
    ];
    for (k, overrides) in kinds.into_iter().enumerate() {
        let [whole, parts] = ["whole", "parts"].map(|name| format!("{name}{k}"));
        let overrides = [&[MISSING][..], overrides].concat();
        project.run(&train(&whole, &overrides)).exits(0);
        let stops = project.train_in_parts(&train(&parts, &overrides), &parts);
        assert_eq!(stops, 5, "{overrides:?}");
        project.assert_same_run(&whole, &parts);
    }
    let [free, forced] =
        ["whole0", "whole3"].map(|run| last(&project, run, "val", "loss_unit_rates"));
    assert!(free != forced && free.is_finite() && forced.is_finite());
}

/// Missing entries are those that NaN marks in `unit_targets`: any other number under a `unit_mask` of 0 gives the same run.
#[test]
fn missing_entries_are_nan_or_masked() {
    let project = project();
    with_missing_entries(&project);
    let forced = [MISSING, "train.teacher_forcing={}"];
    project.run(&train("nan", &forced)).exits(0);
    let mut arrays = project.arrays("missing.npz");
    let rates = arrays["unit_targets"].to_f32().unwrap();
    let shape = arrays["unit_targets"].shape().to_vec();
    let mask = rates.iter().map(|x| f32::from(u8::from(!x.is_nan())));
    let mask = Array::f32(&shape, mask.collect());
    let filled = rates.iter().map(|x| if x.is_nan() { 1e30 } else { *x });
    let filled = Array::f32(&shape, filled.collect());
    arrays.insert("unit_mask".to_owned(), mask);
    arrays.insert("unit_targets".to_owned(), filled);
    // Under the same name, since weight files hold a digest of the configuration.
    ctrnn_files::npz::write(&project.path("missing.npz"), &arrays).unwrap();
    project.run(&train("mask", &forced)).exits(0);
    project.assert_same_run("nan", "mask");
}

/// A file of recordings alone has one output that counts nowhere; every command works on its run.
#[test]
fn a_run_of_recordings_is_a_run_like_any_other() {
    let project = project();
    project.run(&train("run", &[])).exits(0);
    assert_eq!(last(&project, "run", "train", "loss_mse"), 0.0);
    let (loss, term) = (
        last(&project, "run", "val", "loss"),
        last(&project, "run", "val", "loss_unit_rates"),
    );
    assert!(loss == term && term > 0.0, "{loss} {term}");
    let found = project.run(&["eval", "run", "--json"]).exits(0).json();
    assert!(found["loss"].as_f64().unwrap() > 0.0, "{found}");
    project.run(&["simulate", "run", "-o", "run.npz"]).exits(0);
    project.run(&["report", "run"]).exits(0);
    project
        .run(&["eval", "run", "task.npz.files=[\"drive.npz\"]"])
        .exits(2)
        .says(&["the trials of this task have no unit_targets"]);
}

#[test]
fn what_cannot_be_fitted_is_refused_with_its_key() {
    let project = project();
    let forced = "train.teacher_forcing={}";
    let cases: [(&[&str], &str); 16] = [
        (
            &["train.loss.unit_rates.units=[0,1]"],
            "names 2 units, but unit_targets has recordings of 4",
        ),
        (
            &["train.loss.unit_rates.units=[0,1,2,6]"],
            "has the unit 6, which the network of 6 units does not have",
        ),
        (
            &["train.loss.unit_rates.units=[0,1,2,1]"],
            "has the unit 1 twice",
        ),
        (
            &["train.loss.unit_rates.units=motor"],
            "\"motor\" in train.loss.unit_rates.units is not an area",
        ),
        (
            &["train.loss.unit_rates.rate_hz=0"],
            "train.loss.unit_rates.rate_hz",
        ),
        (
            &["train.loss.unit_rates.kind=gauss"],
            "train.loss.unit_rates.kind",
        ),
        (
            &["task.go_nogo={}"],
            "the trials of this task have no unit_targets",
        ),
        (&["train.rule.name=rflo"], "train.loss"),
        (
            &[forced, "train.loss={}"],
            "takes the recorded rates of train.loss.unit_rates, which is absent",
        ),
        (
            &[forced, "train.loss.unit_rates.kind=poisson"],
            "needs recorded rates of the network",
        ),
        (&[forced, "train.truncate_steps=5"], "runs whole trials"),
        (
            &[forced, "train.dropout=0.1"],
            "cannot force a unit that is left out",
        ),
        (
            &[forced, "train.perturbation=[{silence=['5']}]"],
            "cannot force a unit that is perturbed",
        ),
        (
            &[forced, "model.low_rank={rank=2}"],
            "single columns of the recurrent matrix",
        ),
        (
            &[forced, "model.short_term_plasticity=half"],
            "plastic synapses do not transmit",
        ),
        (&[forced, "model.feedback={}"], "fed back"),
    ];
    for (overrides, part) in cases {
        let check = [&["check", "student.toml"][..], overrides].concat();
        project.run(&check).exits(2).says(&[part, "help:"]);
    }
}

/// Without the term recordings have no effect: the readout alone is trained, which a note says, if there are targets for it.
#[test]
fn recordings_without_a_term_are_noted() {
    let project = project();
    let note = "the trials have unit_targets of 4 units, to which nothing is fitted";
    let check = ["check", "student.toml", "train.loss={}"];
    project
        .run(&check)
        .exits(4)
        .says(&["no output counts in the loss", "train.loss.unit_rates"]);
    let mut arrays = project.arrays("recordings.npz");
    arrays.extend(project.arrays("drive.npz"));
    ctrnn_files::npz::write(&project.path("recordings.npz"), &arrays).unwrap();
    project.run(&check).exits(0).says(&[note]);
    let found = project.run(&check[..2]).exits(0);
    assert!(!found.stderr.contains(note), "{found:#?}");
}

#[test]
fn broken_recordings_are_refused_with_their_place() {
    let project = project();
    let good = project.arrays("recordings.npz");
    let rates = good["unit_targets"].to_f32().unwrap();
    let shape = [16, N_STEPS, 4];
    let with = |at: usize, value: f32| {
        let mut rates = rates.clone();
        rates[at] = value;
        Array::f32(&shape, rates)
    };
    let mask = |value: f32| Array::f32(&shape, vec![value; rates.len()]);
    let flat = Array::f32(&[16, N_STEPS], vec![0.0; 16 * N_STEPS]);
    let cases: [(&[(&str, Array)], &str); 6] = [
        (
            &[("unit_targets", with(4 * N_STEPS + 6, f32::INFINITY))],
            "unit_targets holds inf at trial 1, time step 1, unit 2",
        ),
        (
            &[("unit_targets", mask(f32::NAN))],
            "unit_targets are missing everywhere",
        ),
        (
            &[("unit_targets", flat.clone())],
            "must be [trial, time, unit]",
        ),
        (
            &[("unit_mask", mask(0.5))],
            "unit_mask holds 0.5 at trial 0, time step 0, unit 0",
        ),
        (
            &[("unit_mask", flat.clone())],
            "unit_mask has shape [16, 20]",
        ),
        (
            &[("mask", flat)],
            "has a mask, but neither labels nor targets",
        ),
    ];
    for (changed, part) in cases {
        let mut arrays = good.clone();
        arrays.extend(
            changed
                .iter()
                .map(|(name, array)| ((*name).to_owned(), array.clone())),
        );
        ctrnn_files::npz::write(&project.path("recordings.npz"), &arrays).unwrap();
        project
            .run(&["check", "student.toml"])
            .exits(4)
            .says(&[part, "help:"]);
    }
    let mut arrays = good;
    arrays.insert("unit_targets".to_owned(), mask(-1.0));
    ctrnn_files::npz::write(&project.path("recordings.npz"), &arrays).unwrap();
    let poisson = ["train.loss.unit_rates.kind=poisson"];
    project
        .run(&train("counts", &poisson))
        .exits(4)
        .says(&["which is not a number of spikes"]);
}
