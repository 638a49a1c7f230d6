//! Evidence in the decisions of Yang et al. (2019): the strengths of two stimuli on each ring.

use ctrnn_random::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scene::{Member, about};
use crate::{Condition, Meaning};

/// The rings that show the evidence, and the rule for the correct stimulus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Evidence on ring 1 only.
    Ring1,
    /// Evidence on ring 2 only.
    Ring2,
    /// Independent evidence on both rings; ring 1 decides.
    Ring1OfBoth,
    /// Independent evidence on both rings; ring 2 decides.
    Ring2OfBoth,
    /// Evidence on both rings; the sum decides.
    Sum,
}

/// Builds a family of decisions between `stimuli`: a member for each kind of evidence, with its name and its title.
pub(super) fn family<T>(
    names: [(&'static str, &str); 5],
    stimuli: &str,
    with: impl Fn(Evidence) -> T,
) -> Vec<Member<T>> {
    let kinds = [
        (Evidence::Ring1, " on ring 1"),
        (Evidence::Ring2, " on ring 2"),
        (Evidence::Ring1OfBoth, " on ring 1, whatever ring 2 shows"),
        (Evidence::Ring2OfBoth, " on ring 2, whatever ring 1 shows"),
        (Evidence::Sum, ", both rings together"),
    ];
    names
        .into_iter()
        .zip(kinds)
        .map(|((name, title), (evidence, place))| {
            let summary = format!("Respond towards the stronger of {stimuli}{place} ({title}).");
            (name, about(&summary), with(evidence))
        })
        .collect()
}

/// Describes the conditions of a decision.
pub(super) fn meaning(condition: &str) -> Meaning {
    match condition {
        "coh" => Meaning::percent("coherence"),
        "coh1" => Meaning::percent("coherence on ring 1"),
        "coh2" => Meaning::percent("coherence on ring 2"),
        _ => Meaning::of_name(condition),
    }
}

/// The strengths of the stimuli, `by_ring[ring][stimulus]`, and the index of the one that is stronger by the rule.
pub(super) struct Strengths {
    pub by_ring: [[f64; 2]; 2],
    pub stronger: usize,
}

impl Evidence {
    /// Lists every coherence with either sign, for each ring with its own evidence: `coh`, or `coh1` and `coh2`. A
    /// positive one
    /// favours the first stimulus.
    pub(super) fn conditions(self, coherences: &[f64]) -> Vec<Condition> {
        let signed: Vec<f64> = coherences.iter().flat_map(|&c| [-c, c]).collect();
        match self {
            Self::Ring1 | Self::Ring2 | Self::Sum => Condition::grid(&[("coh", &signed)]),
            Self::Ring1OfBoth | Self::Ring2OfBoth => {
                Condition::grid(&[("coh1", &signed), ("coh2", &signed)])
            }
        }
    }

    /// Draws the strengths of a condition.
    pub(super) fn draw(self, condition: &Condition, rng: &mut Rng) -> Strengths {
        let (by_ring, decides) = match self {
            Self::Ring1 | Self::Ring2 => {
                let pair = pair(condition.value("coh"), rng);
                let on_first = self == Self::Ring1;
                let by_ring = if on_first {
                    [pair, [0.0; 2]]
                } else {
                    [[0.0; 2], pair]
                };
                (by_ring, condition.value("coh"))
            }
            Self::Ring1OfBoth | Self::Ring2OfBoth => {
                let [coh1, coh2] = ["coh1", "coh2"].map(|name| condition.value(name));
                let by_ring = [pair(coh1, rng), pair(coh2, rng)];
                let decides = if self == Self::Ring1OfBoth {
                    coh1
                } else {
                    coh2
                };
                (by_ring, decides)
            }
            Self::Sum => (
                split(pair(condition.value("coh"), rng), rng),
                condition.value("coh"),
            ),
        };
        Strengths {
            by_ring,
            stronger: usize::from(decides < 0.0),
        }
    }
}

/// Draws the strengths of two stimuli: their mean from U(0.8, 1.2), plus and minus the coherence.
fn pair(coherence: f64, rng: &mut Rng) -> [f64; 2] {
    let mean = rng.uniform_in(0.8, 1.2);
    [mean + coherence, mean - coherence]
}

/// Splits each stimulus between two rings, whose strengths differ by U(0.2, 0.8) times their mean, with either sign.
fn split(strengths: [f64; 2], rng: &mut Rng) -> [[f64; 2]; 2] {
    let differences =
        strengths.map(|strength| strength * rng.uniform_in(0.2, 0.8) * rng.choose(&[-1.0, 1.0]));
    let on = |sign: f64| std::array::from_fn(|k| strengths[k] + sign * differences[k] / 2.0);
    [on(1.0), on(-1.0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctrnn_random::{Key, Stream};

    fn rng() -> Rng {
        Rng::new(Key::new(1, Stream::Trials, 0), 0, 0)
    }

    #[test]
    fn the_attended_ring_decides() {
        let condition = Condition::new([("coh1", 0.08), ("coh2", -0.02)]);
        let first = Evidence::Ring1OfBoth.draw(&condition, &mut rng());
        let second = Evidence::Ring2OfBoth.draw(&condition, &mut rng());
        assert_eq!((first.stronger, second.stronger), (0, 1));
        let difference = |ring: [f64; 2]| ring[0] - ring[1];
        assert!((difference(first.by_ring[0]) - 0.16).abs() < 1e-12);
        assert!((difference(first.by_ring[1]) + 0.04).abs() < 1e-12);
    }

    #[test]
    fn one_ring_shows_nothing() {
        let condition = Condition::new([("coh", -0.04)]);
        let strengths = Evidence::Ring2.draw(&condition, &mut rng());
        assert_eq!(strengths.by_ring[0], [0.0; 2]);
        assert_eq!(strengths.stronger, 1);
        let [a, b] = strengths.by_ring[1];
        assert!((b - a - 0.08).abs() < 1e-12 && (0.8..1.2).contains(&((a + b) / 2.0)));
    }

    /// The mean over the rings is the strength itself; on each ring it is 10 to 40 % more or less.
    #[test]
    fn a_sum_is_split_between_the_rings() {
        let condition = Condition::new([("coh", 0.08)]);
        for trial in 0..50 {
            let mut rng = Rng::new(Key::new(1, Stream::Trials, 0), trial, 0);
            let [on1, on2] = Evidence::Sum.draw(&condition, &mut rng).by_ring;
            let means = [(on1[0] + on2[0]) / 2.0, (on1[1] + on2[1]) / 2.0];
            assert!((means[0] - means[1] - 0.16).abs() < 1e-12);
            for k in 0..2 {
                let part = (on1[k] - on2[k]).abs() / means[k];
                assert!((0.2..0.8).contains(&part), "{part}");
            }
        }
    }

    #[test]
    fn coherences_have_both_signs() {
        assert_eq!(Evidence::Ring1.conditions(&[0.1, 0.2]).len(), 4);
        assert_eq!(Evidence::Ring1OfBoth.conditions(&[0.1, 0.2]).len(), 16);
    }
}
