//! Conditions: the designed differences between trials.

use ctrnn_random::Rng;

/// A condition of a task: named values, such as a coherence and a side, and a relative probability.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Names and values; every condition of a task has the same names in the same order. NaN means that a name does not
    /// apply, such as the coherence of a catch trial.
    pub values: Vec<(String, f64)>,
    /// Probability in training, relative to the other conditions.
    pub weight: f64,
}

impl Condition {
    /// Creates a condition of weight 1.
    #[must_use]
    pub fn new<const N: usize>(values: [(&str, f64); N]) -> Self {
        Self {
            values: values.map(|(name, value)| (name.to_owned(), value)).into(),
            weight: 1.0,
        }
    }

    /// Sets the relative probability.
    #[must_use]
    pub fn with_weight(self, weight: f64) -> Self {
        Self { weight, ..self }
    }

    /// Creates a condition for every combination of the values, the last name varying fastest.
    #[must_use]
    pub fn grid(axes: &[(&str, &[f64])]) -> Vec<Self> {
        let mut grid = vec![Self::new([])];
        for (name, values) in axes {
            let extended = grid.iter().flat_map(|condition| {
                values.iter().map(move |&value| {
                    let mut condition = condition.clone();
                    condition.values.push(((*name).to_owned(), value));
                    condition
                })
            });
            grid = extended.collect();
        }
        grid
    }

    /// Adds the condition of catch trials, in which no stimulus is shown: all its values are 0 except `catch`,
    /// which is 1 there and 0 in the others. `fraction` of the trials are catch trials; if it is 0, the
    /// conditions are returned unchanged.
    #[must_use]
    pub fn with_catch(mut conditions: Vec<Self>, fraction: f64) -> Vec<Self> {
        let Some(mut catch) = conditions.first().cloned().filter(|_| fraction > 0.0) else {
            return conditions;
        };
        let others: f64 = conditions.iter().map(|condition| condition.weight).sum();
        catch.weight = others * fraction / (1.0 - fraction);
        catch.values.iter_mut().for_each(|(_, value)| *value = 0.0);
        conditions.push(catch);
        let last = conditions.len() - 1;
        for (k, condition) in conditions.iter_mut().enumerate() {
            let value = f64::from(u8::from(k == last));
            condition.values.push(("catch".to_owned(), value));
        }
        conditions
    }

    /// Returns true if this is the condition that [`with_catch`](Self::with_catch) added.
    #[must_use]
    pub fn is_catch(&self) -> bool {
        self.values
            .iter()
            .any(|(name, value)| name == "catch" && *value == 1.0)
    }

    /// Returns the value of this name.
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
    /// If none has a positive weight.
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
        // Only reached through rounding in the subtractions.
        possible()
            .next_back()
            .expect("a task has a condition of positive weight")
    }
}

/// Returns bits that are equal for equal values of conditions: all NaN count as equal, because they mean that a value
/// does
/// not apply, and so do 0 and -0.
#[must_use]
pub fn value_bits(value: f64) -> u64 {
    if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        (value + 0.0).to_bits() // -0 + 0 = 0
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

    /// For weights 1 and 3 and a fifth of catch trials, the weight of these is 4 x 0.2 / 0.8 = 1.
    #[test]
    fn a_fraction_of_trials_are_catch_trials() {
        let conditions = || [1.0, 3.0].map(|w| Condition::new([("w", w)]).with_weight(w));
        let with_catch = Condition::with_catch(conditions().to_vec(), 0.2);
        let weights = with_catch.iter().map(|c| c.weight).collect::<Vec<_>>();
        assert_eq!(weights, [1.0, 3.0, 1.0]);
        let [first, _, catch] = &with_catch[..] else {
            panic!("three conditions");
        };
        assert_eq!((first.value("w"), first.value("catch")), (1.0, 0.0));
        assert_eq!((catch.value("w"), catch.value("catch")), (0.0, 1.0));
        assert!(catch.is_catch() && !first.is_catch());
        assert_eq!(
            Condition::with_catch(conditions().to_vec(), 0.0),
            conditions()
        );
    }

    #[test]
    #[should_panic(expected = "no value \"cohh\" among")]
    fn an_unknown_name_panics() {
        let _ = Condition::new([("coh", 0.0)]).value("cohh");
    }
}
