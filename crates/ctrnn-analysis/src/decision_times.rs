//! Decision times of trials: the reaction time of a task that defines one, otherwise the time from which on the chosen
//! output leads.

use ctrnn_tasks::Mask;
use ndarray::{ArrayView1, ArrayView2};

use crate::study::steps_of;
use crate::{ArrayDoc, Study};

/// Documentation of the arrays `margin`, `n_early` and `n_catch`.
pub const DECISION_ARRAYS: [ArrayDoc; 3] = [
    ArrayDoc::new(
        "margin",
        "[0 or 1]",
        "output",
        "lead from which on a trial counts as decided; empty if the task defines reaction times",
    ),
    ArrayDoc::new(
        "n_early",
        "[1]",
        "trials",
        "trials decided before the onset of the stimulus or the go cue, which count as undecided",
    ),
    ArrayDoc::new("n_catch", "[1]", "trials", "catch trials, left out"),
];

/// Decision times of all trials.
#[derive(Clone, Debug)]
pub struct DecisionTimes {
    /// Time from the onset of the stimulus, or from the go cue of a task that has one, to the decision in ms, both their
    /// time steps included; `None` without a decision after it.
    pub times_ms: Vec<Option<f64>>,
    /// Time step of each of these decisions, from the beginning of the trial.
    pub steps: Vec<Option<usize>>,
    /// Number of trials that are decided before the onset of the stimulus or the go cue.
    pub n_early: usize,
    /// True if times are counted from the go cue: the targets ask to withhold the choice until then.
    pub is_cued: bool,
    /// Lead that counts as a decision; `None` if the task defines reaction times itself.
    pub margin: Option<f64>,
}

impl DecisionTimes {
    /// Finds the decisions of all trials: by the task's own rule, or else from the time on from which the chosen output
    /// leads by half of the median final lead.
    pub fn of(study: &Study) -> Self {
        let n_trials = study.batch.n_trials;
        let mut onsets: Vec<usize> = (0..n_trials).map(|b| onset(study, b)).collect();
        let reaction = |b: usize| {
            let trial = study.batch.trial(b);
            let steps = study.task.reaction_steps(&trial, &study.readout(b))?;
            Some(onsets[b] + steps - 1)
        };
        let reactions: Vec<Option<usize>> = (0..n_trials).map(reaction).collect();
        let has_reactions = reactions.iter().any(Option::is_some);
        let (steps, margin) = if has_reactions {
            (reactions, None)
        } else {
            let (steps, margin) = lasting_leads(study);
            (steps, Some(margin))
        };
        let cues: Vec<Option<usize>> = if has_reactions {
            vec![None; n_trials]
        } else {
            go_cues(study, &onsets)
        };
        let is_cued = cues.iter().any(Option::is_some);
        for (onset, cue) in onsets.iter_mut().zip(cues) {
            *onset = cue.unwrap_or(*onset);
        }
        let is_early = |(step, onset): (&Option<usize>, &usize)| step.is_some_and(|t| t < *onset);
        let n_early = steps
            .iter()
            .zip(&onsets)
            .filter(|&pair| is_early(pair))
            .count();
        let steps: Vec<Option<usize>> = steps
            .into_iter()
            .zip(&onsets)
            .map(|(step, onset)| step.filter(|t| t >= onset))
            .collect();
        let dt_ms = study.dynamics.dt_ms;
        let time =
            |(step, onset): (&Option<usize>, &usize)| step.map(|t| (t - onset + 1) as f64 * dt_ms);
        Self {
            times_ms: steps.iter().zip(&onsets).map(time).collect(),
            steps,
            n_early,
            is_cued,
            margin,
        }
    }

    /// Returns the event from which times are counted.
    pub const fn origin(&self) -> &'static str {
        if self.is_cued {
            "the go cue"
        } else {
            "the onset of the stimulus"
        }
    }

    /// Returns the label of an axis of these times.
    pub fn axis(&self) -> String {
        let from = if self.is_cued { " from go cue" } else { "" };
        format!("{}{from} (ms)", self.name())
    }

    /// Returns the definition of an undecided trial.
    pub const fn undecided(&self) -> &'static str {
        match (self.margin, self.is_cued) {
            (None, _) => "no reaction by the rule of the task",
            (Some(_), false) => {
                "the lead of the chosen output below half of the median final lead, or above it before the onset of the stimulus"
            }
            (Some(_), true) => {
                "the lead of the chosen output below half of the median final lead, or above it before the go cue"
            }
        }
    }

    /// Returns the name of the times in texts and on axes.
    pub const fn name(&self) -> &'static str {
        match self.margin {
            Some(_) => "decision time",
            None => "reaction time",
        }
    }
}

/// Returns the time step of the go cue in each trial: the one after the last, from the onset of the stimulus on, at which
/// the targets ask for no choice, all of those of the choices being equal; `None` in a trial in which they never do so, or
/// do so to its end.
fn go_cues(study: &Study, onsets: &[usize]) -> Vec<Option<usize>> {
    let batch = &study.batch;
    let targets = batch.target_rows();
    let choices = study.layout().choices;
    let n_outputs = batch.n_outputs;
    let cue = |b: usize| {
        let rows = batch.rows(&targets, b, n_outputs);
        let is_counted = |t: usize| match &batch.mask {
            Mask::Steps(mask) => batch.rows(mask, b, 1)[t] > 0.0,
            Mask::Outputs(mask) => {
                let weights = &batch.rows(mask, b, n_outputs)[t * n_outputs..];
                choices.iter().any(|&k| weights[k] > 0.0)
            }
        };
        let asks_for_none = |t: usize| {
            let row = &rows[t * n_outputs..(t + 1) * n_outputs];
            let at_rest = if choices.len() == 1 {
                0.0
            } else {
                row[choices[0]]
            };
            choices.iter().all(|&k| (row[k] - at_rest).abs() < 1e-6)
        };
        let answer = study.answer_step(b);
        let mut withheld = onsets[b]..=answer;
        let last = withheld.rfind(|&t| is_counted(t) && asks_for_none(t))?;
        (last < answer).then_some(last + 1)
    };
    if choices.is_empty() {
        return vec![None; batch.n_trials];
    }
    (0..batch.n_trials).map(cue).collect()
}

/// Returns the time step of each trial from which on its choice leads, and the lead that counts: half of the median
/// final lead.
fn lasting_leads(study: &Study) -> (Vec<Option<usize>>, f64) {
    let n_trials = study.batch.n_trials;
    let layout = study.layout();
    let choices = study.choices();
    let last: Vec<usize> = (0..n_trials).map(|b| study.answer_step(b)).collect();
    let final_lead = |b: usize| {
        let readout = study.outputs.slice(ndarray::s![b, last[b], ..]);
        Some(lead(readout, &layout.choices, choices[b]?))
    };
    let mut leads: Vec<f64> = (0..n_trials).filter_map(final_lead).collect();
    leads.sort_by(f64::total_cmp);
    let margin = 0.5 * leads.get(leads.len() / 2).copied().unwrap_or(0.0);
    let step = |b: usize| {
        let readout = study.outputs.slice(ndarray::s![b, .., ..]);
        decision_step(readout, &layout.choices, choices[b]?, last[b], margin)
    };
    ((0..n_trials).map(step).collect(), margin)
}

/// Returns the time step of stimulus onset in a trial, or the start of its second epoch if no epoch is called stimulus.
pub fn onset(study: &Study, b: usize) -> usize {
    let stimulus = steps_of(&study.batch, b, "stimulus");
    if stimulus.is_empty() {
        let second = study.batch.timelines[b].epochs.get(1);
        second.map_or(0, |(_, steps)| steps.start)
    } else {
        stimulus.start
    }
}

/// Computes the lead of `choice` in a readout `[O]`: its smallest margin over all other `choices`. A single output
/// chooses by its sign (0 below zero, 1 above), and its lead is its distance from zero.
pub fn lead(readout: ArrayView1<f64>, choices: &[usize], choice: usize) -> f64 {
    if let [only] = choices {
        return if choice == 1 {
            readout[*only]
        } else {
            -readout[*only]
        };
    }
    let others = choices.iter().filter(|&&other| other != choice);
    others
        .map(|&other| readout[choice] - readout[other])
        .fold(f64::INFINITY, f64::min)
}

/// Returns the time step of the decision in a readout `[T, O]`: the first from which `choice` keeps a lead of at least
/// `margin` until `last`, or `None`.
pub fn decision_step(
    readout: ArrayView2<f64>,
    choices: &[usize],
    choice: usize,
    last: usize,
    margin: f64,
) -> Option<usize> {
    let is_ahead = |t: usize| lead(readout.row(t), choices, choice) >= margin;
    let mut steps = (0..=last).rev().take_while(|&t| is_ahead(t));
    let first = steps.next()?;
    Some(steps.last().unwrap_or(first))
}

#[cfg(test)]
mod tests {
    use ctrnn_tasks::{ContextDecision, ReactionTime, Task};
    use ndarray::{Array3, s};

    use super::*;
    use crate::analyses::observer;

    /// The response is right, and two time steps later the other output is larger.
    #[test]
    fn a_reaction_time_task_is_read_at_the_response() {
        let task = ReactionTime {
            input_noise: 0.0,
            catch_fraction: 0.0,
            ..ReactionTime::default()
        };
        let batch = observer::batch(&task, 10);
        let mut outputs = Array3::zeros((batch.n_trials, batch.max_steps, batch.n_outputs));
        for (b, correct) in batch.correct.iter().enumerate() {
            let correct = correct.expect("a correct choice");
            let onset = steps_of(&batch, b, "stimulus").start;
            outputs.slice_mut(s![b, onset + 3.., correct]).fill(1.1);
            outputs.slice_mut(s![b, onset + 5.., 1 - correct]).fill(2.0);
        }
        let study = observer::study(&task, batch, outputs);
        assert_eq!(study.choices(), study.batch.correct);
        let found = DecisionTimes::of(&study);
        assert_eq!((found.name(), found.n_early), ("reaction time", 0));
        assert!(found.times_ms.iter().all(|time| *time == Some(80.0)));
    }

    /// The fixation input falls with the response epoch, until which the choice is to be withheld: an answer two time steps
    /// later takes three, not the time from the stimulus.
    #[test]
    fn times_of_a_cued_task_are_counted_from_the_cue() {
        let task = ContextDecision {
            input_noise: 0.0,
            ..ContextDecision::default()
        };
        let batch = observer::batch(&task, 16);
        let mut outputs = Array3::zeros((batch.n_trials, batch.max_steps, batch.n_outputs));
        let choices = task.layout().choices;
        for b in 0..batch.n_trials {
            let go = steps_of(&batch, b, "response").start;
            outputs.slice_mut(s![b, go + 2.., choices[0]]).fill(1.0);
        }
        let study = observer::study(&task, batch, outputs);
        let found = DecisionTimes::of(&study);
        let expected = 3.0 * study.dynamics.dt_ms;
        assert!(found.is_cued && found.n_early == 0);
        assert!(found.times_ms.iter().all(|time| *time == Some(expected)));
        assert_eq!(found.axis(), "decision time from go cue (ms)");
    }

    /// The lead is 1 at steps 0 and 2 to 4, and negative at step 1: decided at 2; it never reaches 3.
    #[test]
    fn a_decision_lasts() {
        let y = ndarray::array![
            [1.0, 0.0],
            [0.0, 1.0],
            [1.0, 0.0],
            [2.0, 0.0],
            [1.0, 0.0],
            [0.0, 9.0]
        ];
        assert_eq!(decision_step(y.view(), &[0, 1], 0, 4, 0.5), Some(2));
        assert_eq!(decision_step(y.view(), &[0, 1], 0, 4, 3.0), None);
        assert_eq!(decision_step(y.view(), &[0, 1], 1, 5, 0.5), Some(5));
        // With output 0 alone, the sign decides: above zero at steps 2 to 4, never below.
        assert_eq!(decision_step(y.view(), &[0], 1, 4, 0.5), Some(2));
        assert_eq!(decision_step(y.view(), &[0], 0, 4, 0.5), None);
    }
}
