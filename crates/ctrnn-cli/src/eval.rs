//! `eval`: accuracy and loss of a trained network.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use burn::tensor::backend::AutodiffBackend;
use ctrnn_analysis::forward_perturbed;
use ctrnn_config::{Origin, Run, counted, only_under};
use ctrnn_model::{Forward, Noise, NoiseAddress, RecurrenceBackend};
use ctrnn_random::{Key, Stream};
use ctrnn_runs::{RunWeights, objective};
use ctrnn_tasks::{Registry, TrialBatch};
use ctrnn_train::{Confusion, EvalReport, EvaluationTrials, RunTrials, Score, evaluate_with};

use crate::args::EvalArgs;
use crate::backend::{CheckEvery, Job, with_backend};
use crate::failure::{Failure, USAGE};
use crate::perturbation::{Shown, check_windows, perturbation};
use crate::run_path::{Needs, existing_with_data, weights_of};
use crate::terminal::Terminal;
use crate::trial_count::trial_count;

/// Maximum number of choices in a confusion matrix that fits on a screen.
const MAX_CHOICES: usize = 9;
/// Maximum number of values of a condition that are shown; of more, only their number and range.
const MAX_VALUES: usize = 20;

/// Evaluates a run.
pub fn run(args: &EvalArgs, registry: &Registry, terminal: &Terminal) -> Result<(), Failure> {
    only_under(&["task", "validate.trials", "time"], &args.overrides)?;
    let (folder, run) = existing_with_data(
        &args.run,
        &args.data,
        &args.overrides,
        registry,
        Needs::Trials(args.trust.consent(terminal)),
    )?;
    if args.trials.is_some() && run.origin("validate.trials") == Origin::CommandLine {
        let what = "--trials and validate.trials both set the number of trials";
        return Err(Failure::new(USAGE, "U005", what, "keep one of the two"));
    }
    note_unused_noise(args.noise, &run, terminal);
    let weights = weights_of(&folder, &run, args.checkpoint.as_deref(), terminal)?;
    let n_trials = trial_count(&run, args.trials, || run.config.validate.trials, terminal);
    let job = EvalJob {
        args,
        n_trials,
        run: &run,
        weights: &weights,
    };
    let report = with_backend(&run, job)?;
    let json = || {
        let mut json = serde_json::to_value(&report).expect("a report is plain numbers");
        json["step"] = weights.step.into();
        let perturbations = args.perturb.words();
        if !perturbations.is_empty() {
            json["perturbations"] = perturbations.into();
        }
        json
    };
    terminal.print(|| table(&report), json)?;
    Ok(())
}

struct EvalJob<'a> {
    args: &'a EvalArgs,
    n_trials: usize,
    run: &'a Run,
    weights: &'a RunWeights,
}

impl Job for EvalJob<'_> {
    type Output = EvalReport;

    fn run<B>(self, device: &B::Device, _: CheckEvery) -> Result<EvalReport, Failure>
    where
        B: AutodiffBackend + RecurrenceBackend,
        B::InnerBackend: RecurrenceBackend,
    {
        let Self {
            args,
            n_trials,
            run,
            weights,
        } = self;
        let network = weights.network::<B::InnerBackend>(run, device)?;
        let key = Key::new(run.config.seed, Stream::Eval, 0);
        let trials = EvaluationTrials::of(run.task.as_ref(), run.clock, key, n_trials)?;
        let noise = if args.noise {
            Noise::Drawn(evaluation_noise(run))
        } else {
            Noise::Off
        };
        let objective = objective::<B>(run, device)?;
        let task = run.task.as_ref();
        let perturbation = perturbation(&args.perturb, &network, run)?;
        let all = || trials.some(0..trials.n_trials());
        check_windows(&perturbation, || all().iter().map(Shown::of).collect(), run)?;
        let perturbed = |batch: &TrialBatch, inputs, pass: &Forward<B::InnerBackend>| {
            forward_perturbed(&network, &perturbation, &batch.timelines, inputs, pass)
        };
        let perturbed: &RunTrials<_> = &perturbed;
        let perturbed = (!perturbation.is_none()).then_some(perturbed);
        Ok(evaluate_with(
            &network, task, &trials, &objective, &noise, perturbed,
        )?)
    }
}

/// Prints a note if `--noise` is given for a network without noise.
pub fn note_unused_noise(is_asked: bool, run: &Run, terminal: &Terminal) {
    let noise = &run.model.noise;
    let levels = [noise.postactivation, noise.input, noise.initial_state];
    if is_asked && noise.preactivation.is_silent() && levels.iter().all(|&level| level == 0.0) {
        terminal.note("--noise has no effect: every level of model.noise is 0");
    }
}

/// Returns the address of noise outside of training: a step that no training reaches.
pub fn evaluation_noise(run: &Run) -> NoiseAddress {
    NoiseAddress {
        seed: run.config.seed,
        step: u32::MAX,
        first_trial: 0,
    }
}

fn percent(accuracy: Option<f64>) -> String {
    accuracy.map_or("no answer".to_owned(), |a| format!("{:.1} %", 100.0 * a))
}

/// Formats a reaction time for the end of a line; empty if there is none.
fn reaction(reaction_ms: Option<f64>) -> String {
    reaction_ms.map_or(String::new(), |ms| format!("   reaction time {ms:.0} ms"))
}

fn table(report: &EvalReport) -> String {
    let mut text = format!(
        "accuracy {}   loss {:.5}   {}{}\n",
        percent(report.accuracy),
        report.loss,
        counted(report.trials, "trial"),
        reaction(report.reaction_ms)
    );
    text.push_str(&condition_table(report));
    if let Some(worst) = &report.worst {
        let values = worst.condition.iter();
        let values: Vec<String> = values
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        let _ = writeln!(
            text,
            "  worst condition: {}: {}, {}",
            values.join(", "),
            percent(Some(worst.accuracy)),
            counted(worst.trials, "trial")
        );
    }
    for (term, value) in &report.terms {
        let _ = writeln!(text, "  loss {term} {value:.5}");
    }
    if let Some(confusion) = &report.confusion {
        text.push_str(&confusion_table(confusion));
    }
    text
}

/// Formats a row for each value of each condition, if there are not too many.
fn condition_table(report: &EvalReport) -> String {
    let short = |values: &BTreeMap<String, Score>| values.len() <= MAX_VALUES;
    let shown = report.by.iter().filter(|(_, values)| short(values));
    let labels = shown.flat_map(|(name, values)| {
        values
            .keys()
            .map(move |value| label(name, value).chars().count())
    });
    let width = labels.max().unwrap_or(0);
    let mut text = String::new();
    for (name, n_values) in &report.unscored {
        let _ = writeln!(text, "  {name}: {n_values} values, too many to score each");
    }
    for (name, values) in &report.by {
        let mut rows: Vec<_> = values.iter().collect();
        rows.sort_by(|(a, _), (b, _)| number(a).total_cmp(&number(b)));
        if !short(values) {
            let numbers = || rows.iter().map(|(value, _)| *value).filter(|v| *v != "NaN");
            let (least, most) = (numbers().next(), numbers().next_back());
            let _ = writeln!(
                text,
                "  {name}: {} values from {} to {}; --json has the score of each",
                values.len(),
                least.map_or("none", String::as_str),
                most.map_or("none", String::as_str)
            );
            continue;
        }
        for (value, score) in rows {
            let _ = writeln!(
                text,
                "  {:<width$} {:>9}   {}{}",
                label(name, value),
                percent(score.accuracy),
                counted(score.trials, "trial"),
                reaction(score.reaction_ms)
            );
        }
    }
    text
}

/// Formats a condition: "coh = 0.5"; NaN means that the condition does not apply to a trial.
fn label(name: &str, value: &str) -> String {
    match value {
        "NaN" => format!("{name} does not apply"),
        _ => format!("{name} = {value}"),
    }
}

/// Formats the confusion matrix, with a row for each correct choice and a column for each actual choice; if it is too
/// large, says where to find it.
fn confusion_table(confusion: &Confusion) -> String {
    let n = confusion.choices.len();
    if n > MAX_CHOICES {
        return format!(
            "  confusion of {n} choices: see --json, or `train-ctrnn analyze RUN confusion`\n"
        );
    }
    let corner = "correct \\ chosen";
    let lengths = confusion.choices.iter().map(String::len);
    let width = lengths.fold(6, usize::max);
    let first = width.max(corner.len());
    let mut text = format!("  {corner:>first$}");
    for choice in &confusion.choices {
        let _ = write!(text, "  {choice:>width$}");
    }
    for (choice, counts) in confusion.choices.iter().zip(&confusion.counts) {
        let _ = write!(text, "\n  {choice:>first$}");
        for count in counts {
            let _ = write!(text, "  {count:>width$}");
        }
    }
    text.push('\n');
    text
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}
