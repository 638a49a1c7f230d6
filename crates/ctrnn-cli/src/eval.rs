//! `eval`: accuracy and loss of a trained network.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use burn::tensor::backend::AutodiffBackend;
use ctrnn_analysis::{Level, SelectionError, forward_perturbed};
use ctrnn_config::{Origin, Run, counted, only_under};
use ctrnn_files::RunFolder;
use ctrnn_model::{Forward, Noise, NoiseAddress, RecurrenceBackend};
use ctrnn_random::{Key, Stream};
use ctrnn_runs::{RunWeights, objective};
use ctrnn_tasks::{Meaning, Registry, Task, TrialBatch};
use ctrnn_train::{
    Breakdown, Confusion, EvalReport, EvaluationTrials, GroupScore, Measure, RunTrials, Score,
    ValidationSet, evaluate_with, validation_noise,
};

use crate::args::EvalArgs;
use crate::backend::{CheckEvery, Job, with_backend};
use crate::failure::{Failure, USAGE};
use crate::perturbation::{Shown, check_windows, perturbation};
use crate::run_path::{
    Needs, RunPart, asked_stage, existing_with_data, named_set, note_stage, weights_of,
};
use crate::terminal::Terminal;
use crate::trial_count::trial_count;

/// Maximum number of choices in a confusion matrix that fits on a screen.
const MAX_CHOICES: usize = 9;
/// Maximum number of values of a condition that are shown; of more, only their number and range.
const MAX_VALUES: usize = 20;
/// Maximum number of combinations of values that are shown.
const MAX_GROUPS: usize = 200;

/// The scores of the values of a condition.
type Scores = BTreeMap<String, Score>;

/// Evaluates a run.
pub fn run(args: &EvalArgs, registry: &Registry, terminal: &Terminal) -> Result<(), Failure> {
    check_overrides(args)?;
    let (folder, run) = existing_with_data(
        &args.run,
        &args.data,
        &args.overrides,
        registry,
        Needs::Trials(args.trust.consent(terminal)),
        RunPart {
            validation: named_set(&args.validation),
            ..asked_stage(args.stage.as_deref())
        },
    )?;
    note_stage(&run, terminal);
    check_one_number_of_trials(args, &run)?;
    note_unused_noise(args.noise, &run, terminal);
    let weights = weights_of(&folder, &run, args.checkpoint.as_deref(), terminal)?;
    let job = EvalJob {
        args,
        n_trials: n_trials(args, &run, terminal),
        folder: &folder,
        run: &run,
        weights: &weights,
    };
    let report = with_backend(&run, job)?;
    terminal.print(
        || table(&report, args, &run),
        || json(&report, args, &run, weights.step),
    )?;
    Ok(())
}

/// Checks that not both an option and an override give the number of trials.
fn check_one_number_of_trials(args: &EvalArgs, run: &Run) -> Result<(), Failure> {
    if args.trials.is_some() && run.origin("validate.trials") == Origin::CommandLine {
        let what = "--trials and validate.trials both set the number of trials";
        return Err(Failure::new(USAGE, "U005", what, "keep one of the two"));
    }
    Ok(())
}

/// Returns the number of trials: that of the validation set, or the one asked for.
fn n_trials(args: &EvalArgs, run: &Run, terminal: &Terminal) -> usize {
    let of_validation = run.config.validate.trials;
    match args.validation {
        Some(_) => of_validation,
        None => trial_count(run, args.trials, || of_validation, terminal),
    }
}

/// Checks that overrides may be given.
fn check_overrides(args: &EvalArgs) -> Result<(), Failure> {
    if args.validation.is_some() && !args.overrides.is_empty() {
        let what = format!(
            "--validation evaluates the validation trials as they were in training, but {} would change them",
            args.overrides.join(" ")
        );
        let help = "remove the overrides, or --validation";
        return Err(Failure::new(USAGE, "U005", what, help));
    }
    let tables = ["task", "validate.trials", "validate.balance", "time"];
    Ok(only_under(&tables, &args.overrides)?)
}

/// The origin of the trials of an evaluation.
enum TrialSource {
    /// New trials.
    Fresh,
    /// The trials of validation.
    Validation,
    /// Trials that the task holds out of training, which validation uses too.
    HeldOut,
    /// Trials of files on which the network was not trained.
    Files,
}

impl TrialSource {
    fn of(args: &EvalArgs, run: &Run) -> Self {
        match run.task.trial_set() {
            Some(set) if set.n_training() == 0 => Self::Files,
            Some(_) => Self::HeldOut,
            None if args.validation.is_some() => Self::Validation,
            None => Self::Fresh,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Fresh => "eval",
            Self::Validation => "validation",
            Self::HeldOut => "held_out",
            Self::Files => "files",
        }
    }

    fn sentence(&self, noise: &str) -> String {
        match self {
            Self::Fresh => format!(
                "fresh trials (stream eval), {noise}; the trials of the validation: --validation"
            ),
            Self::Validation => format!("the validation trials, {noise}"),
            Self::HeldOut => format!("trials held out of training, {noise}"),
            Self::Files => format!("trials of files that training did not use, {noise}"),
        }
    }
}

fn json(report: &EvalReport, args: &EvalArgs, run: &Run, step: u64) -> serde_json::Value {
    let source = TrialSource::of(args, run);
    let mut json = serde_json::to_value(report).expect("a report is plain numbers");
    json["step"] = step.into();
    json["trials_from"] = source.word().into();
    if let Some(set) = named_set(&args.validation) {
        json["validation_set"] = set.into();
    }
    let perturbations = args.perturb.words();
    if !perturbations.is_empty() {
        json["perturbations"] = perturbations.into();
    }
    if let Some(selection) = &args.selection {
        json["where"] = selection.to_string().into();
    }
    if !report.groups.is_empty() {
        let groups = report.groups.iter();
        json["groups"] = groups.map(|group| group_json(group, run)).collect();
    }
    json
}

fn group_json(group: &GroupScore, run: &Run) -> serde_json::Value {
    let mut json = serde_json::to_value(group.score).expect("a score is plain numbers");
    let values = group.condition.iter();
    json["condition"] = values
        .map(|(name, value)| (name.clone(), serde_json::Value::from(*value)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    json["name"] = group_name(group, run).into();
    json["right"] = group.right.into();
    json["answered"] = group.answered.into();
    json["interval"] = serde_json::json!(interval(group));
    json
}

/// Returns the 95 % interval of Wilson (1927) for the accuracy of a group; `None` if no trial has a correct choice.
fn interval(group: &GroupScore) -> Option<[f64; 2]> {
    let level = Level {
        x: 0.0,
        n: group.answered,
        chosen: group.right,
    };
    (group.answered > 0).then(|| level.interval())
}

/// Formats the values of a group: "context = motion, coh = 0.1".
fn group_name(group: &GroupScore, run: &Run) -> String {
    let values = group.condition.iter();
    let labels = values.map(|(name, value)| label(name, *value, run));
    labels.collect::<Vec<_>>().join(", ")
}

struct EvalJob<'a> {
    args: &'a EvalArgs,
    n_trials: usize,
    folder: &'a RunFolder,
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
            folder,
            run,
            weights,
        } = self;
        let network = weights.network::<B::InnerBackend>(run, device)?;
        let (task, settings) = (run.task.as_ref(), run.settings());
        let (trials, address) = if args.validation.is_some() {
            let set = ValidationSet::new(None, task, &settings)?;
            (set.trials, validation_noise(settings.seed))
        } else {
            let key = Key::new(settings.seed, Stream::Eval, 0);
            let order = settings.validate.balance.order();
            let trials = EvaluationTrials::of(task, run.clock, key, order, n_trials)?;
            (trials, evaluation_noise(run))
        };
        let only = selected(args, &trials, task)?;
        let has_noise = args.noise || (settings.validate.noise && !args.no_noise);
        let noise = if has_noise {
            Noise::Drawn(address)
        } else {
            Noise::Off
        };
        let objective = objective::<B>(run, device)?;
        let breakdown = Breakdown {
            only: only.as_deref(),
            by: &args.by,
        };
        let perturbation = perturbation(&args.perturb, &network, run, folder)?;
        let all = || trials.some(0..trials.n_trials());
        check_windows(&perturbation, || all().iter().map(Shown::of).collect(), run)?;
        let perturbed = |batch: &TrialBatch, inputs, pass: &Forward<B::InnerBackend>| {
            forward_perturbed(&network, &perturbation, &batch.timelines, inputs, pass)
        };
        let perturbed: &RunTrials<_> = &perturbed;
        let perturbed = (!perturbation.is_none()).then_some(perturbed);
        Ok(evaluate_with(
            &network, task, &trials, &objective, &noise, breakdown, perturbed,
        )?)
    }
}

/// Returns the numbers of the trials that `--where` selects, if it is given; checks the conditions of `--by`.
fn selected(
    args: &EvalArgs,
    trials: &EvaluationTrials,
    task: &dyn Task,
) -> Result<Option<Vec<usize>>, Failure> {
    if args.selection.is_none() && args.by.is_empty() {
        return Ok(None);
    }
    let conditions = trials.conditions();
    let known: Vec<&str> = conditions.iter().map(|(name, _)| name.as_str()).collect();
    if let Some(unknown) = args.by.iter().find(|name| !known.contains(&name.as_str())) {
        let what = format!("--by: the trials have no condition {unknown:?}");
        let help = match known.as_slice() {
            [] => "the trials of this task have no conditions".to_owned(),
            known => format!("conditions: {}", known.join(", ")),
        };
        return Err(Failure::new(USAGE, "C033", what, help));
    }
    let Some(selection) = &args.selection else {
        return Ok(None);
    };
    let selected = selection.trials_of(&conditions, trials.n_trials(), task);
    let refused = |error: SelectionError| {
        let help = "`train-ctrnn eval RUN` lists conditions and their values";
        Failure::new(USAGE, "C033", format!("--where: {error}"), help)
    };
    selected.map(Some).map_err(refused)
}

/// Prints a note if `--noise` is given for a network without noise.
pub fn note_unused_noise(is_asked: bool, run: &Run, terminal: &Terminal) {
    if is_asked && run.model.noise.is_silent() {
        terminal.note("--noise has no effect: every level of model.noise is 0");
    }
}

/// Returns the address of noise outside training and validation.
pub fn evaluation_noise(run: &Run) -> NoiseAddress {
    ctrnn_train::evaluation_noise(run.config.seed)
}

fn percent(accuracy: Option<f64>) -> String {
    accuracy.map_or("no answer".to_owned(), |a| format!("{:.1} %", 100.0 * a))
}

/// Formats a reaction time for the end of a line; empty if there is none.
fn reaction(reaction_ms: Option<f64>) -> String {
    reaction_ms.map_or(String::new(), |ms| format!("   reaction time {ms:.0} ms"))
}

fn table(report: &EvalReport, args: &EvalArgs, run: &Run) -> String {
    let mut text = summary(report, args, run);
    if report.groups.is_empty() {
        text.push_str(&condition_table(report, run));
    } else {
        text.push_str(&group_table(report, run));
    }
    if let Some(worst) = &report.worst {
        let values = worst.condition.iter();
        let values = values.map(|(name, value)| label(name, *value, run));
        let values: Vec<String> = values.collect();
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

/// Formats the scores of all trials, and says which trials they are.
fn summary(report: &EvalReport, args: &EvalArgs, run: &Run) -> String {
    let noise = if report.noise {
        "with noise"
    } else if run.model.noise.is_silent() {
        "the network has no noise"
    } else {
        "without noise"
    };
    let mut text = format!(
        "accuracy {}   loss {:.5}   {}{}\n  {}\n",
        percent(report.accuracy),
        report.loss,
        counted(report.trials, "trial"),
        reaction(report.reaction_ms),
        TrialSource::of(args, run).sentence(noise)
    );
    if let Some(set) = named_set(&args.validation) {
        let _ = writeln!(text, "  of validate.{set}");
    }
    if let Some(selection) = &args.selection {
        let _ = writeln!(text, "  only those with {selection}");
    }
    if !report.tasks.is_empty() {
        let over_tasks = |measure| percent(report.measure(measure));
        let [mean, least] = [Measure::TaskAccuracy, Measure::MinTaskAccuracy].map(over_tasks);
        let _ = writeln!(text, "  mean over tasks {mean}, least {least}");
    }
    text
}

/// Formats a row for each combination of the values of some conditions.
fn group_table(report: &EvalReport, run: &Run) -> String {
    let n = report.groups.len();
    if n > MAX_GROUPS {
        return format!(
            "  {n} combinations of values, too many to show; --json has the score of each\n"
        );
    }
    let names: Vec<String> = report.groups.iter().map(|g| group_name(g, run)).collect();
    let width = names.iter().map(|name| name.chars().count()).max();
    let width = width.unwrap_or(0);
    let mut text = String::new();
    for (name, group) in names.iter().zip(&report.groups) {
        let interval = interval(group).map_or(String::new(), |[low, high]| {
            format!(" [{:.1}, {:.1}]", 100.0 * low, 100.0 * high)
        });
        let _ = writeln!(
            text,
            "  {name:<width$} {:>9}{interval:<15}  {}{}",
            percent(group.score.accuracy),
            counted(group.score.trials, "trial"),
            reaction(group.score.reaction_ms)
        );
    }
    text.push_str("  in brackets: the 95 % interval of Wilson\n");
    text
}

/// Formats a row for each value of each condition, if there are not too many or they have names. An index, such as the
/// condition of a mixture, says nothing by itself and is left out.
fn condition_table(report: &EvalReport, run: &Run) -> String {
    let has_names = |name: &str| matches!(run.task.meaning(name), Meaning::Names(_));
    let is_short = |name: &str, values: &Scores| values.len() <= MAX_VALUES || has_names(name);
    let mut text = String::new();
    for (name, n_values) in &report.unscored {
        let _ = writeln!(text, "  {name}: {n_values} values, too many to score each");
    }
    let shown = report.by.iter();
    let shown = shown.filter(|(name, _)| !matches!(run.task.meaning(name), Meaning::Index));
    let tables: Vec<_> = shown
        .map(|(name, values)| (name.as_str(), scores(values), is_short(name, values)))
        .collect();
    let short = tables.iter().filter(|(_, _, is_short)| *is_short);
    let labels = short.flat_map(|(name, rows, _)| {
        let labels = rows.iter().map(|(value, _)| label(name, *value, run));
        labels.map(|label| label.chars().count())
    });
    let width = labels.max().unwrap_or(0);
    for (name, rows, is_short) in &tables {
        text.push_str(&if *is_short {
            rows_of_values(name, rows, width, run)
        } else {
            range(name, rows)
        });
    }
    text
}

/// Formats a row for each value of a condition, with labels of up to `width` characters.
fn rows_of_values(name: &str, rows: &[(f64, Score)], width: usize, run: &Run) -> String {
    let row = |(value, score): &(f64, Score)| {
        format!(
            "  {:<width$} {:>9}   {}{}\n",
            label(name, *value, run),
            percent(score.accuracy),
            counted(score.trials, "trial"),
            reaction(score.reaction_ms)
        )
    };
    rows.iter().map(row).collect()
}

/// Returns the scores of the values of a condition in the order of the values.
fn scores(values: &Scores) -> Vec<(f64, Score)> {
    let mut rows: Vec<_> = values
        .iter()
        .map(|(value, score)| (number(value), *score))
        .collect();
    rows.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    rows
}

/// Formats the line of a condition with too many values for a row each.
fn range(name: &str, rows: &[(f64, Score)]) -> String {
    let numbers = || rows.iter().map(|(value, _)| *value).filter(|v| !v.is_nan());
    let word = |value: Option<f64>| value.map_or("none".to_owned(), |v| v.to_string());
    format!(
        "  {name}: {} values from {} to {}; --json has the score of each\n",
        rows.len(),
        word(numbers().next()),
        word(numbers().next_back())
    )
}

/// Formats a value of a condition: "coh = 0.5", or the name of a value that is only an index; NaN means that the condition
/// does not apply to a trial.
fn label(name: &str, value: f64, run: &Run) -> String {
    if value.is_nan() {
        return format!("{name} does not apply");
    }
    match run.task.value_name(name, value) {
        Some(word) => format!("{name} = {word}"),
        None => format!("{name} = {value}"),
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
