//! Psychometric and chronometric curves.

use ndarray::Array2;

use super::layers::{error_bars, guide, range_of, short, single, spoken, thick};
use super::{Findings, Unsuitable, lacks};
use crate::Study;
use crate::chronometric::{chronometric as by_strength, decision_step, lead};
use crate::evidence::{Evidence, distinct, evidence};
use crate::plot::{Axis, Figure, Layer, Panel, colour};
use crate::psychometric::{Level, Psychometric, PsychometricFit, Sigmoid};
use crate::study::steps_of;

/// Samples of the bootstrap.
const N_SAMPLES: usize = 200;

/// Evidence, and the trials that one value of the context selects: all of them where it needs no context.
struct Context {
    name: String,
    evidence: Evidence,
}

/// One context where one number decides; else those of the column of the conditions in each level of which one does.
fn contexts(study: &Study) -> Option<Vec<Context>> {
    let batch = &study.batch;
    let all: Vec<usize> = (0..batch.n_trials).collect();
    if let Some(evidence) = evidence(batch, &all) {
        return Some(vec![Context {
            name: String::new(),
            evidence,
        }]);
    }
    batch.conditions.iter().find_map(|(name, values)| {
        let levels = distinct(values.iter().copied());
        let context = |level: &f64| {
            let trials: Vec<usize> = all
                .iter()
                .copied()
                .filter(|&b| values[b] == *level)
                .collect();
            Some(Context {
                name: format!("{} {}", spoken(name), short(*level)),
                evidence: evidence(batch, &trials)?,
            })
        };
        let found: Option<Vec<Context>> = levels.iter().map(context).collect();
        found.filter(|_| (2..=4).contains(&levels.len()))
    })
}

/// How often the second choice was made at every level of some values.
fn levels(
    values: &[f64],
    trials: &[usize],
    choices: &[Option<usize>],
    [below, above]: [usize; 2],
) -> Vec<Level> {
    let made = |b: &usize| choices[*b] == Some(below) || choices[*b] == Some(above);
    let answered: Vec<usize> = trials.iter().copied().filter(made).collect();
    distinct(answered.iter().map(|&b| values[b]))
        .into_iter()
        .map(|x| {
            let here = || answered.iter().filter(|&&b| values[b] == x);
            Level {
                x,
                n: here().count(),
                chosen: here().filter(|&&b| choices[b] == Some(above)).count(),
            }
        })
        .collect()
}

pub fn psychometric(study: &Study) -> Result<Findings, Unsuitable> {
    let contexts = contexts(study).ok_or_else(|| {
        lacks("no condition of the task says by its size which of two choices is right")
    })?;
    let choices = study.choices();
    let layout = study.layout();
    // In every context, against the evidence of each of them: what counts, and what should be ignored.
    let mut shown: Vec<&Evidence> = Vec::new();
    for context in &contexts {
        if shown
            .iter()
            .all(|known| known.name != context.evidence.name)
        {
            shown.push(&context.evidence);
        }
    }
    let mut figure = Figure::new(&vec![40.0; shown.len()], &vec![34.0; contexts.len()]);
    let mut findings = Findings::default();
    for (row, context) in contexts.iter().enumerate() {
        for (column, against) in shown.iter().enumerate() {
            let pair = context.evidence.choices;
            let found = levels(&against.values, &context.evidence.trials, &choices, pair);
            let fits = [Sigmoid::Logistic, Sigmoid::Probit].map(|shape| {
                Psychometric::fit_with_intervals(shape, &found, N_SAMPLES, study.seed)
            });
            let label = match contexts.len() {
                1 => String::new(),
                _ => format!("_{row}_{column}"),
            };
            record(&mut findings, &label, &found, &fits);
            let matters = against.name == context.evidence.name;
            if matters {
                findings.say(match &fits[0] {
                    Some(fit) => sentence(&context.name, &against.name, fit),
                    None => format!(
                        "{}no curve is fitted: {}",
                        place(&context.name),
                        why_not_fitted(&found)
                    ),
                });
            }
            let ylabel = if column == 0 {
                format!("P({})", spoken(&layout.choice_name(pair[1])))
            } else {
                String::new()
            };
            let mut panel = psychometric_panel(
                &found,
                &fits,
                &spoken(&against.name),
                &ylabel,
                row == 0 && column + 1 == shown.len(),
            );
            panel.title = context.name.clone();
            figure.place(row, column, panel);
        }
    }
    findings.draw("", figure);
    Ok(findings)
}

fn why_not_fitted(levels: &[Level]) -> &'static str {
    let made = levels.iter().map(|level| level.chosen).sum::<usize>();
    match levels.iter().map(|level| level.n).sum::<usize>() {
        0 => "no trial ends in one of the two choices",
        n if made == 0 || made == n => "the same choice in all trials",
        _ => "the evidence in trials with a choice is of one level",
    }
}

fn sentence(context: &str, name: &str, found: &PsychometricFit) -> String {
    let PsychometricFit {
        fit,
        bias,
        width,
        lapse,
    } = found;
    let short = |x: f64| short((x * 1e4).round() / 1e4);
    let interval = |[low, high]: [f64; 2]| format!("[{}, {}]", short(low), short(high));
    format!(
        "{}logistic in {name}: bias {} {}, width {} {}, lapse {} {} (95 %)",
        place(context),
        short(fit.bias),
        interval(*bias),
        short(fit.width),
        interval(*width),
        short(fit.lapse),
        interval(*lapse)
    )
}

/// The beginning of a sentence about a context.
fn place(context: &str) -> String {
    match context {
        "" => String::new(),
        context => format!("{context}: "),
    }
}

fn record(
    findings: &mut Findings,
    label: &str,
    levels: &[Level],
    fits: &[Option<PsychometricFit>],
) {
    let column = |of: fn(&Level) -> f64| levels.iter().map(of).collect::<Vec<_>>();
    findings.put_list(&format!("evidence{label}"), &column(|level| level.x));
    findings.put_list(&format!("n_trials{label}"), &column(|level| level.n as f64));
    findings.put_list(
        &format!("n_chosen{label}"),
        &column(|level| level.chosen as f64),
    );
    for found in fits.iter().flatten() {
        let fit = found.fit;
        let rows = [
            (fit.bias, found.bias),
            (fit.width, found.width),
            (fit.lapse, found.lapse),
        ];
        let table = Array2::from_shape_fn((3, 3), |(i, k)| match k {
            0 => rows[i].0,
            k => rows[i].1[k - 1],
        });
        // rows: bias, width, lapse; columns: fit, lower and upper end of the 95 % interval
        findings.put(&format!("{}{label}", fit.shape.name()), &table);
        findings.put_list(
            &format!("{}_log_likelihood{label}", fit.shape.name()),
            &[fit.log_likelihood],
        );
    }
}

fn psychometric_panel(
    levels: &[Level],
    fits: &[Option<PsychometricFit>],
    x_label: &str,
    y_label: &str,
    names: bool,
) -> Panel {
    let x: Vec<f64> = levels.iter().map(|level| level.x).collect();
    let [low, high] = range_of(x.iter().copied(), 0.06);
    let y = levels
        .iter()
        .map(|level| level.chosen as f64 / level.n as f64)
        .collect();
    let intervals: Vec<[f64; 2]> = levels.iter().map(Level::interval).collect();
    let mut layers = vec![guide([low, high], [0.5, 0.5])];
    if low < 0.0 && high > 0.0 {
        layers.push(guide([0.0, 0.0], [0.0, 1.0]));
    }
    for (k, found) in fits.iter().enumerate() {
        let Some(found) = found else { continue };
        let at: Vec<f64> = (0..=200)
            .map(|i| low + (high - low) * f64::from(i) / 200.0)
            .collect();
        let curve = at.iter().map(|x| found.fit.at(*x)).collect();
        let line = Layer::Line {
            x: at,
            y: curve,
            colour: colour(k),
            width_mm: if k == 0 { 0.4 } else { 0.3 },
            dashed: k > 0,
            name: names.then(|| found.fit.shape.name().to_owned()),
        };
        layers.push(line);
    }
    layers.extend(error_bars(&x, &intervals, crate::plot::Rgb::BLACK));
    layers.push(Layer::points(x, y, crate::plot::Rgb::BLACK));
    Panel {
        x: Axis::new(x_label).with_range(low, high),
        y: Axis::new(y_label).with_range(0.0, 1.0),
        layers,
        ..Panel::default()
    }
}

pub fn chronometric(study: &Study) -> Result<Findings, Unsuitable> {
    let contexts = contexts(study).ok_or_else(|| {
        lacks("no condition of the task says by its size which of two choices is right")
    })?;
    let (times, margin) = decision_times(study);
    if study.layout().choices.len() < 2 || times.iter().all(Option::is_none) {
        return Err(lacks("no trial is decided after the onset of the stimulus"));
    }
    let mut findings = Findings::default();
    let mut layers = Vec::new();
    for (k, context) in contexts.iter().enumerate() {
        let time = |&b: &usize| Some((context.evidence.values[b].abs(), times[b]?));
        let trials: Vec<(f64, f64)> = context.evidence.trials.iter().filter_map(time).collect();
        let found = by_strength(&trials);
        let label = if contexts.len() == 1 {
            String::new()
        } else {
            format!("_{k}")
        };
        let table = Array2::from_shape_fn((found.len(), 4), |(i, j)| {
            [
                found[i].strength,
                found[i].mean_ms,
                found[i].error_ms,
                found[i].n as f64,
            ][j]
        });
        findings.put(&format!("decision_times{label}"), &table);
        if let (Some(weakest), Some(strongest)) = (found.first(), found.last()) {
            findings.say(format!(
                "{}decisions {} ms after stimulus onset at the weakest evidence, {} ms at the strongest",
                place(&context.name),
                short(weakest.mean_ms),
                short(strongest.mean_ms)
            ));
        }
        let x: Vec<f64> = found.iter().map(|time| time.strength).collect();
        let y: Vec<f64> = found.iter().map(|time| time.mean_ms).collect();
        let bars: Vec<[f64; 2]> = found
            .iter()
            .map(|t| [-1.0, 1.0].map(|s| t.mean_ms + s * t.error_ms))
            .collect();
        layers.extend(error_bars(&x, &bars, colour(k)));
        let line = thick(x.clone(), y.clone(), colour(k), 0.3);
        layers.push(if contexts.len() > 1 {
            line.named(&context.name)
        } else {
            line
        });
        layers.push(Layer::points(x, y, colour(k)));
    }
    findings.put_list("margin", &Vec::from_iter(margin));
    let strengths = layers.iter().filter_map(|layer| match layer {
        Layer::Points { x, .. } => Some(x.clone()),
        _ => None,
    });
    let [low, high] = range_of(strengths.flatten(), 0.06);
    findings.draw(
        "",
        single(
            40.0,
            34.0,
            Panel {
                x: Axis::new(&match &contexts[..] {
                    [only] => format!("strength of {}", spoken(&only.evidence.name)),
                    _ => "strength of the evidence".to_owned(),
                })
                .with_range(low, high),
                y: Axis::new(match margin {
                    Some(_) => "decision time (ms)",
                    None => "reaction time (ms)",
                }),
                layers,
                ..Panel::default()
            },
        ),
    );
    Ok(findings)
}

/// When each trial was decided, after the onset of the stimulus; and the lead that makes a decision, where the task does not say
/// itself when it was made: half of the median final lead.
fn decision_times(study: &Study) -> (Vec<Option<f64>>, Option<f64>) {
    let dt_ms = study.dynamics.dt_ms;
    let n_trials = study.batch.n_trials;
    let reaction = |b: usize| {
        let steps = study
            .task
            .reaction_steps(&study.batch.trial(b), &study.readout(b))?;
        Some(steps as f64 * dt_ms)
    };
    let reactions: Vec<Option<f64>> = (0..n_trials).map(reaction).collect();
    if reactions.iter().any(Option::is_some) {
        return (reactions, None);
    }
    let layout = study.layout();
    let choices = study.choices();
    let last: Vec<usize> = (0..n_trials).map(|b| study.answer_step(b)).collect();
    let lead = |b: usize, choice: usize| {
        let readout = study.outputs.slice(ndarray::s![b, last[b], ..]);
        lead(readout, &layout.choices, choice)
    };
    let leads = (0..n_trials).filter_map(|b| Some(lead(b, choices[b]?)));
    let mut leads: Vec<f64> = leads.collect();
    leads.sort_by(f64::total_cmp);
    let margin = 0.5 * leads.get(leads.len() / 2).copied().unwrap_or(0.0);
    let onset = |b: usize| match steps_of(&study.batch, b, "stimulus") {
        steps if steps.is_empty() => study.batch.timelines[b]
            .epochs
            .get(1)
            .map_or(0, |(_, steps)| steps.start),
        steps => steps.start,
    };
    let time = |b: usize| {
        let readout = study.outputs.slice(ndarray::s![b, .., ..]);
        let step = decision_step(readout, &layout.choices, choices[b]?, last[b], margin)?;
        // What was decided before the stimulus was not decided by it.
        (step >= onset(b)).then(|| (step - onset(b) + 1) as f64 * dt_ms)
    };
    ((0..n_trials).map(time).collect(), Some(margin))
}
