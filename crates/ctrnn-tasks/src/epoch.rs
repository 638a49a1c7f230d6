//! Epochs, the phases of a trial: as configured for a task, and as drawn for one trial.

use std::ops::Range;

use ctrnn_random::Rng;

use crate::{Clock, Duration};

/// An epoch (phase) of every trial of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Epoch {
    /// Name, such as `fixation`, `stimulus`, `delay` or `response`.
    pub name: &'static str,
    /// Key of the duration in the task's table, if it is not the name followed by `_ms`.
    pub own_key: Option<&'static str>,
    /// Duration of the epoch.
    pub duration: Duration,
}

impl Epoch {
    /// Creates an epoch whose duration is configured by the key `<name>_ms`.
    #[must_use]
    pub fn new(name: &'static str, duration: &Duration) -> Self {
        Self {
            name,
            own_key: None,
            duration: duration.clone(),
        }
    }

    /// Sets another key for the duration.
    #[must_use]
    pub fn with_key(self, key: &'static str) -> Self {
        Self {
            own_key: Some(key),
            ..self
        }
    }

    /// Returns the key of the duration in the task's table.
    #[must_use]
    pub fn key(&self) -> String {
        self.own_key
            .map_or_else(|| format!("{}_ms", self.name), str::to_owned)
    }
}

/// The epochs of one trial: each begins where the previous one ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// Names and time steps, in order.
    pub epochs: Vec<(&'static str, Range<usize>)>,
}

impl Timeline {
    /// Draws the durations of a trial's epochs, in order.
    #[must_use]
    pub fn draw(epochs: &[Epoch], clock: Clock, rng: &mut Rng) -> Self {
        let mut timeline = Self::default();
        for epoch in epochs {
            timeline.push(epoch.name, epoch.duration.draw(clock, rng));
        }
        timeline
    }

    /// Appends an epoch.
    pub fn push(&mut self, name: &'static str, n_steps: usize) {
        let start = self.n_steps();
        self.epochs.push((name, start..start + n_steps));
    }

    /// Returns the number of time steps of the trial.
    #[must_use]
    pub fn n_steps(&self) -> usize {
        self.epochs.last().map_or(0, |(_, steps)| steps.end)
    }

    /// Returns the time steps of the (first) epoch of this name.
    ///
    /// # Panics
    /// If the trial has no such epoch.
    #[must_use]
    pub fn steps(&self, name: &str) -> Range<usize> {
        match self.epochs.iter().find(|(epoch, _)| *epoch == name) {
            Some((_, steps)) => steps.clone(),
            None => panic!("no epoch {name:?} among {:?}", self.epochs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    #[test]
    fn epochs_follow_each_other() {
        let plan = [
            Epoch::new("fixation", &100.0.into()),
            Epoch::new("delay", &0.0.into()),
            Epoch::new("stimulus", &Duration::Choice(vec![40.0])),
        ];
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        let timeline = Timeline::draw(&plan, Clock::new(20.0).unwrap(), &mut rng);
        assert_eq!(timeline.steps("fixation"), 0..5);
        assert_eq!(timeline.steps("delay"), 5..5);
        assert_eq!(timeline.steps("stimulus"), 5..7);
        assert_eq!(timeline.n_steps(), 7);
        assert_eq!(plan[2].key(), "stimulus_ms");
        assert_eq!(plan[2].clone().with_key("on_ms").key(), "on_ms");
    }

    #[test]
    #[should_panic(expected = "no epoch \"go\" among")]
    fn an_unknown_epoch_panics() {
        let _ = Timeline::default().steps("go");
    }
}
