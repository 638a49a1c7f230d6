//! Ranking of the best validations.

use crate::metric::Metric;
use crate::observer::{Best, Counters};

impl Counters {
    /// Ranks the validation after the present step among the `keep` best ones. Returns its place, 0 for the best of
    /// all, or `None` if it is not among them. A tie goes to the earlier step. If the metric or the stage differs from the
    /// previous one, the ranking is cleared first.
    pub(crate) fn rank(&mut self, metric: &Metric, value: f64, keep: usize) -> Option<usize> {
        let step = self.step;
        let stage = self.stage.map(|stage| stage.index);
        if self
            .best_metric
            .as_ref()
            .is_some_and(|before| before != metric)
            || self.best_stage != stage
        {
            self.best = None;
            self.runners_up.clear();
        }
        (self.best_metric, self.best_stage) = (Some(metric.clone()), stage);
        let mut ranking: Vec<Best> = self
            .best
            .into_iter()
            .chain(self.runners_up.drain(..))
            .collect();
        let place = ranking
            .iter()
            .position(|other| metric.is_better(value, other.value))
            .unwrap_or(ranking.len());
        ranking.insert(place, Best { step, value });
        ranking.truncate(keep);
        let mut ranking = ranking.into_iter();
        self.best = ranking.next();
        self.runners_up = ranking.collect();
        (place < keep).then_some(place)
    }

    /// Returns the steps of the best validations, best first.
    pub fn best_steps(&self) -> Vec<u64> {
        let ranking = self.best.iter().chain(&self.runners_up);
        ranking.map(|best| best.step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_kept_and_a_tie_goes_to_the_earlier_step() {
        let mut counters = Counters::default();
        let mut rank = |step, value| {
            counters.step = step;
            counters.rank(&Metric::LOSS, value, 2)
        };
        assert_eq!(rank(10, 3.0), Some(0));
        assert_eq!(rank(20, 1.0), Some(0));
        assert_eq!(rank(30, 1.0), Some(1));
        assert_eq!(rank(40, 2.0), None);
        assert_eq!(rank(50, 0.5), Some(0));
        assert_eq!(counters.best_steps(), [50, 20]);
        assert_eq!(counters.best.map(|best| best.value), Some(0.5));
    }

    /// An accuracy of 0.4 is not worse than a loss of 0.5: they are not comparable.
    #[test]
    fn another_metric_ranks_from_the_beginning() {
        let mut counters = Counters {
            step: 10,
            ..Counters::default()
        };
        assert_eq!(counters.rank(&Metric::LOSS, 0.5, 2), Some(0));
        counters.step = 20;
        assert_eq!(counters.rank(&Metric::ACCURACY, 0.4, 2), Some(0));
        assert_eq!(counters.best_steps(), [20]);
    }
}
