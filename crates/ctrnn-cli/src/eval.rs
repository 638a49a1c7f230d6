//! `eval`: how a trained network does.

use std::fmt::Write as _;

use burn::tensor::backend::AutodiffBackend;
use ctrnn_files::RunFolder;
use ctrnn_model::{Noise, NoiseAddress, RecurrenceBackend};
use ctrnn_random::{Key, Stream};
use ctrnn_tasks::Registry;
use ctrnn_train::{
    Confusion, EvalReport, Origin, Run, evaluate, evaluation_trials, objective, only_under,
    trained_network,
};

use crate::args::EvalArgs;
use crate::backend::{CheckEvery, Job, with_backend};
use crate::failure::{Failure, USAGE};
use crate::run_path::existing_with_data;
use crate::terminal::Terminal;

/// More choices than this have no place on a screen.
const MOST_CHOICES: usize = 9;

/// Evaluates a run.
pub fn run(args: &EvalArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    only_under(&["task", "validate.trials", "time"], &args.overrides)?;
    let (folder, run) = existing_with_data(&args.run, &args.data, &args.overrides, registry)?;
    if args.trials.is_some() && run.origin("validate.trials") == Origin::CommandLine {
        let what = "--trials and validate.trials both say how many trials";
        return Err(Failure::new(USAGE, "U005", what, "keep one of the two"));
    }
    note_unused_noise(args.noise, &run, terminal);
    let job = EvalJob {
        args,
        run: &run,
        folder: &folder,
    };
    let report = with_backend(&run, job)?;
    let json = || serde_json::to_value(&report).expect("a report is plain numbers");
    terminal.print(|| table(&report), json)?;
    Ok(0)
}

struct EvalJob<'a> {
    args: &'a EvalArgs,
    run: &'a Run,
    folder: &'a RunFolder,
}

impl Job for EvalJob<'_> {
    type Output = EvalReport;

    fn run<B>(self, device: &B::Device, _: CheckEvery) -> Result<EvalReport, Failure>
    where
        B: AutodiffBackend + RecurrenceBackend,
        B::InnerBackend: RecurrenceBackend,
    {
        let Self { args, run, folder } = self;
        let network =
            trained_network::<B::InnerBackend>(run, folder, args.checkpoint.as_deref(), device)?;
        let key = Key::new(run.seed, Stream::Eval, 0);
        let n = args.trials.map_or(run.validate.trials, |n| n as usize);
        let trials = evaluation_trials(run.task.as_ref(), run.clock, key, 0..n)?;
        let noise = match args.noise {
            true => Noise::Drawn(evaluation_noise(run)),
            false => Noise::Off,
        };
        let objective = objective::<B>(run, device)?;
        let task = run.task.as_ref();
        Ok(evaluate(&network, task, &trials, &objective, &noise)?)
    }
}

/// Says so where `--noise` is given to a network that has none.
pub fn note_unused_noise(is_asked: bool, run: &Run, terminal: &Terminal) {
    let noise = &run.model.noise;
    let levels = [noise.postactivation, noise.input, noise.initial_state];
    if is_asked && noise.preactivation.is_silent() && levels.iter().all(|&level| level == 0.0) {
        terminal.note("--noise has no effect: model.noise has none");
    }
}

/// The address of noise outside of training: a step that no training reaches.
pub fn evaluation_noise(run: &Run) -> NoiseAddress {
    NoiseAddress {
        seed: run.seed,
        step: u32::MAX,
        first_trial: 0,
    }
}

fn percent(accuracy: Option<f64>) -> String {
    accuracy.map_or("no answer".to_owned(), |a| format!("{:.1} %", 100.0 * a))
}

/// The end of a line; nothing where there are no reaction times.
fn reaction(reaction_ms: Option<f64>) -> String {
    reaction_ms.map_or(String::new(), |ms| format!("   reaction time {ms:.0} ms"))
}

fn table(report: &EvalReport) -> String {
    let mut text = format!(
        "accuracy {}   loss {:.5}   {} trials{}\n",
        percent(report.accuracy),
        report.loss,
        report.trials,
        reaction(report.reaction_ms)
    );
    let labels = report.by.iter().flat_map(|(name, values)| {
        let label = move |value: &String| format!("{name} = {value}").chars().count();
        values.keys().map(label)
    });
    let width = labels.max().unwrap_or(0);
    for (name, values) in &report.by {
        let mut rows: Vec<_> = values.iter().collect();
        rows.sort_by(|(a, _), (b, _)| number(a).total_cmp(&number(b)));
        for (value, score) in rows {
            let _ = writeln!(
                text,
                "  {:<width$} {:>9}   {} trials{}",
                format!("{name} = {value}"),
                percent(score.accuracy),
                score.trials,
                reaction(score.reaction_ms)
            );
        }
    }
    if let Some(worst) = &report.worst {
        let values = worst.condition.iter();
        let values: Vec<String> = values
            .map(|(name, value)| format!("{name} = {value}"))
            .collect();
        let _ = writeln!(
            text,
            "  worst condition: {}: {}, {} trials",
            values.join(", "),
            percent(Some(worst.accuracy)),
            worst.trials
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

/// A row for each right choice, a column for each choice made; of a population of choices only where to find it.
fn confusion_table(confusion: &Confusion) -> String {
    let n = confusion.choices.len();
    if n > MOST_CHOICES {
        return format!(
            "  confusion of {n} choices: see --json, or `train-ctrnn analyze RUN confusion`\n"
        );
    }
    let corner = "right \\ chosen";
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
