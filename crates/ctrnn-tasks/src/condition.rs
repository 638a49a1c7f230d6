//! What differs between trials by design, not by chance.

use ctrnn_random::Rng;

/// One kind of trial: named values, such as a coherence and a side, and how often it comes.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Names and values; every condition of a task has the same names in the same order.
    pub values: Vec<(String, f64)>,
    /// Its probability in training, relative to the other conditions.
    pub weight: f64,
}

impl Condition {
    /// A condition as probable as any other.
    #[must_use]
    pub fn new<const N: usize>(values: [(&str, f64); N]) -> Self {
        Self {
            values: values
                .map(|(name, value)| (name.to_owned(), value))
                .to_vec(),
            weight: 1.0,
        }
    }

    /// The same condition with another relative probability.
    #[must_use]
    pub fn with_weight(self, weight: f64) -> Self {
        Self { weight, ..self }
    }

    /// Every combination of the values, the last name varying fastest.
    #[must_use]
    pub fn grid(axes: &[(&str, &[f64])]) -> Vec<Self> {
        let mut grid = vec![Self::new([])];
        for (name, values) in axes {
            let extend = |condition: Self| {
                values.iter().map(move |&value| {
                    let mut condition = condition.clone();
                    condition.values.push(((*name).to_owned(), value));
                    condition
                })
            };
            grid = grid.into_iter().flat_map(extend).collect();
        }
        grid
    }

    /// The value of this name.
    ///
    /// # Panics
    /// If the condition has no such value.
    #[must_use]
    pub fn value(&self, name: &str) -> f64 {
        match self.values.iter().find(|(key, _)| key == name) {
            Some((_, value)) => *value,
            None => panic!("no value {name:?} among {:?}", self.values),
        }
    }

    /// Draws one of the conditions by weight.
    ///
    /// # Panics
    /// If there are none with a positive weight.
    pub fn draw<'a>(conditions: &'a [Self], rng: &mut Rng) -> &'a Self {
        let total: f64 = conditions.iter().map(|condition| condition.weight).sum();
        let mut left = rng.uniform_in(0.0, total);
        let possible = || conditions.iter().filter(|condition| condition.weight > 0.0);
        for condition in possible() {
            left -= condition.weight;
            if left < 0.0 {
                return condition;
            }
        }
        // Reached only by rounding in the subtractions.
        possible()
            .next_back()
            .expect("a task has a condition of positive weight")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    #[test]
    fn a_grid_has_every_combination() {
        let grid = Condition::grid(&[("coh", &[0.0, 0.5]), ("side", &[-1.0, 1.0])]);
        let pairs: Vec<_> = grid
            .iter()
            .map(|c| (c.value("coh"), c.value("side")))
            .collect();
        assert_eq!(pairs, [(0.0, -1.0), (0.0, 1.0), (0.5, -1.0), (0.5, 1.0)]);
        assert!(Condition::grid(&[("coh", &[])]).is_empty());
    }

    /// Weights 1, 0, 3 of 4000 draws: 1000, 0, 3000, standard deviation sqrt(4000 / 4 * 3/4) = 27.
    #[test]
    fn conditions_come_by_weight() {
        let conditions = [1.0, 0.0, 3.0].map(|w| Condition::new([("w", w)]).with_weight(w));
        let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), 0, 0);
        let mut counts = [0_i32; 4];
        for _ in 0..4000 {
            counts[Condition::draw(&conditions, &mut rng).value("w") as usize] += 1;
        }
        assert_eq!(counts[0], 0);
        assert!((counts[1] - 1000).abs() < 137, "{counts:?}");
    }

    #[test]
    #[should_panic(expected = "no value \"cohh\" among")]
    fn an_unknown_name_panics() {
        let _ = Condition::new([("coh", 0.0)]).value("cohh");
    }
}
