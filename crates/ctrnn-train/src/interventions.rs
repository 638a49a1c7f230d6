//! Interventions in training: perturbations of some of the trials, units that are left out, and noise that changes with the step.

use ctrnn_model::CtrnnConfig;
use ctrnn_random::{Key, Rng, Stream};
use ctrnn_tasks::{Clock, Timeline, TrialBatch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::annealing::linear;
use crate::perturbation::{Kind, Perturbation, UnitGroups, WordError, Written};
use crate::teacher_forcing::ForcedTrials;

/// Layers of the stream of choices: trials that are perturbed, and units that are left out.
const TRIALS: u32 = 0;
const UNITS: u32 = 1;

/// A perturbation of some of the trials in training. Validation, `eval` and `simulate` see the network unperturbed.
///
/// A word names units and, after `@`, a time, as in `--silence` and the other options of `train-ctrnn simulate`: `"3,8-11"`,
/// `"e:0.25@stimulus"` (a quarter of the excitatory units, in an epoch), `"area:motor@200..400"` (ms).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PerturbationConfig {
    /// Units whose rate is held at 0: `["e:0.25@stimulus"]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub silence: Vec<String>,
    /// Units whose outgoing weights are 0; their own rates are unaffected: `["3,8-11"]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lesion: Vec<String>,
    /// Units whose rate is held at a value: `["4@200..400=0.5"]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clamp: Vec<String>,
    /// Units into which a current is injected: `["0-9@delay=0.5"]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub current: Vec<String>,
    /// Connections from units to others that are 0: `["0-9>20-29@delay"]`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
    /// Probability with which a trial is perturbed, drawn for each trial on its own.
    #[schemars(extend("exclusiveMinimum" = 0), range(max = 1))]
    pub fraction: f64,
}

impl Default for PerturbationConfig {
    fn default() -> Self {
        Self {
            silence: Vec::new(),
            lesion: Vec::new(),
            clamp: Vec::new(),
            current: Vec::new(),
            cut: Vec::new(),
            fraction: 1.0,
        }
    }
}

impl PerturbationConfig {
    /// Returns the words, each under the key that `key` makes of its kind.
    fn written(&self, key: impl Fn(Kind) -> String) -> Vec<Written<'_>> {
        let of = |kind| match kind {
            Kind::Silence => &self.silence,
            Kind::Lesion => &self.lesion,
            Kind::Clamp => &self.clamp,
            Kind::Current => &self.current,
            Kind::Cut => &self.cut,
        };
        let all = Kind::ALL.into_iter().flat_map(|kind| {
            let words = of(kind).iter();
            words.map(move |word| (kind, word))
        });
        all.map(|(kind, word)| Written {
            kind,
            place: key(kind),
            is_key: true,
            word,
        })
        .collect()
    }

    /// Reads the perturbation of a network, in which `key` is the place of this table.
    ///
    /// # Errors
    /// Names the word that cannot be read, or the unit, group or layer that does not exist; also if there is no word.
    pub fn read(
        &self,
        key: &str,
        network: &CtrnnConfig,
        seed: u64,
        clock: Clock,
    ) -> Result<TrainedPerturbation, WordError> {
        let written = self.written(|kind| format!("{key}.{kind}"));
        if written.is_empty() {
            return Err(WordError {
                what: format!("{key} perturbs nothing"),
                help: "for instance silence = [\"0-9@delay\"]; or lesion, clamp, current, cut"
                    .to_owned(),
            });
        }
        let layers: Vec<_> = (network.layers())
            .map(|layer| UnitGroups::of_config(layer, seed))
            .collect();
        let perturbation = Perturbation::from_words(&written, &layers, clock)?;
        let checked = perturbation.check_delays(network);
        checked.map_err(|error| error.with_remedy(network.n_units))?;
        Ok(TrainedPerturbation {
            perturbation,
            fraction: self.fraction,
        })
    }
}

/// A perturbation with the probability of a trial to have it.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedPerturbation {
    /// The perturbation.
    pub perturbation: Perturbation,
    /// Probability of a trial to be perturbed.
    pub fraction: f64,
}

/// Course of the noise in training: every level of `model.noise` is multiplied by a factor that goes linearly from `from` to `to`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NoiseSchedule {
    /// Factor at the first step.
    #[schemars(range(min = 0))]
    pub from: f64,
    /// Factor after the last of `steps`, and from there on.
    #[schemars(range(min = 0))]
    pub to: f64,
    /// Number of steps over which the factor changes. Absent: `train.steps`.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
}

impl Default for NoiseSchedule {
    fn default() -> Self {
        Self {
            from: 1.0,
            to: 0.0,
            steps: None,
        }
    }
}

impl NoiseSchedule {
    /// Returns the factor at a step of a run or stage of `n_steps`, both counted from 0.
    pub fn factor(&self, step: u64, n_steps: u64) -> f64 {
        linear([self.from, self.to], step, self.steps.unwrap_or(n_steps))
    }
}

/// Perturbations of the trials of a batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interventions {
    /// Perturbations, each with the numbers of its trials; empty if no trial is perturbed.
    pub groups: Vec<(Perturbation, Vec<usize>)>,
    /// Timelines of all trials.
    pub timelines: Vec<Timeline>,
    /// Teacher forcing, if there is any; no trial is perturbed then.
    pub forced: Option<ForcedTrials>,
}

impl Interventions {
    /// Draws the perturbations of a batch and the units that it lacks, as a function of seed and step.
    pub fn drawn(
        perturbations: &[TrainedPerturbation],
        dropout: f64,
        network: &CtrnnConfig,
        (seed, step): (u64, u64),
        trials: &TrialBatch,
    ) -> Self {
        if perturbations.is_empty() && dropout == 0.0 {
            return Self::default();
        }
        let groups = groups(perturbations, (seed, step), trials.n_trials);
        let dropped = dropped(dropout, network, seed, step);
        let of_group = |(has, trials): (Vec<bool>, Vec<usize>)| {
            let own = has.iter().zip(perturbations).filter(|(has, _)| **has);
            let own = own.map(|(_, own)| own.perturbation.clone());
            let all = std::iter::once(dropped.clone()).chain(own);
            (all.reduce(Perturbation::joined).unwrap_or_default(), trials)
        };
        Self {
            groups: groups.into_iter().map(of_group).collect(),
            timelines: trials.timelines.clone(),
            forced: None,
        }
    }
}

/// Draws which of the perturbations each trial has, and returns the numbers of the trials that have the same ones.
fn groups(
    perturbations: &[TrainedPerturbation],
    (seed, step): (u64, u64),
    n_trials: usize,
) -> Vec<(Vec<bool>, Vec<usize>)> {
    let key = Key::new(seed, Stream::Curriculum, TRIALS);
    let mut groups: Vec<(Vec<bool>, Vec<usize>)> = Vec::new();
    for b in 0..n_trials {
        let mut rng = Rng::new(key, b as u64, step);
        let all = perturbations.iter();
        let own: Vec<bool> = all.map(|own| rng.uniform() < own.fraction).collect();
        match groups.iter_mut().find(|(has, _)| *has == own) {
            Some((_, trials)) => trials.push(b),
            None => groups.push((own, vec![b])),
        }
    }
    groups
}

/// Draws the units of each layer that are left out with this probability; the weights from the others are scaled up, so that the
/// drive that a unit receives has the same mean.
fn dropped(probability: f64, network: &CtrnnConfig, seed: u64, step: u64) -> Perturbation {
    if probability == 0.0 {
        return Perturbation::default();
    }
    let key = Key::new(seed, Stream::Curriculum, UNITS);
    let of_layer = |layer: &CtrnnConfig| {
        let mut rng = Rng::new(key, u64::from(layer.layer), step);
        let mut factor = || {
            let is_kept = rng.uniform() >= probability;
            if is_kept {
                1.0 / (1.0 - probability)
            } else {
                0.0
            }
        };
        Perturbation {
            outgoing: Some((0..layer.n_units).map(|_| factor()).collect()),
            ..Perturbation::default()
        }
    };
    let mut below: Vec<Perturbation> = network.layers().map(of_layer).collect();
    let last = below.pop().expect("a network has a layer");
    Perturbation { below, ..last }
}

#[cfg(test)]
mod tests {
    use ctrnn_tasks::{BatchRequest, ConditionOrder, GoNogo, Task};

    use super::*;

    #[test]
    fn the_factor_of_noise_goes_from_one_value_to_the_other() {
        let schedule = NoiseSchedule {
            from: 2.0,
            to: 0.5,
            steps: Some(10),
        };
        let factors = [0, 4, 10, 50].map(|step| schedule.factor(step, 100));
        assert_eq!(factors, [2.0, 1.4, 0.5, 0.5]);
        let whole_run = NoiseSchedule::default();
        assert_eq!(whole_run.factor(50, 100), 0.5);
    }

    /// 64 trials in 200 steps: the standard deviation of the fraction is 0.004.
    #[test]
    fn trials_are_perturbed_with_their_probability() {
        let network = CtrnnConfig::new(2, 8, 1);
        let words = PerturbationConfig {
            silence: vec!["0-3".to_owned()],
            fraction: 0.25,
            ..PerturbationConfig::default()
        };
        let clock = Clock::new(20.0).unwrap();
        let own = words.read("train.perturbation[0]", &network, 1, clock);
        let own = [own.unwrap()];
        let request = BatchRequest {
            clock,
            first_trial: 0,
            n_trials: 64,
            key: Key::new(1, Stream::Trials, 0),
            step: 0,
            conditions: ConditionOrder::Weighted,
        };
        let trials = GoNogo::default().sample_batch(&request).unwrap();
        let mut n_perturbed = 0;
        for step in 0..200 {
            let drawn = Interventions::drawn(&own, 0.0, &network, (1, step), &trials);
            let again = Interventions::drawn(&own, 0.0, &network, (1, step), &trials);
            assert_eq!(drawn.groups, again.groups);
            let mut all: Vec<usize> = drawn.groups.iter().flat_map(|(_, b)| b.clone()).collect();
            all.sort_unstable();
            assert_eq!(all, (0..64).collect::<Vec<_>>());
            let perturbed = drawn.groups.iter().filter(|(own, _)| !own.is_none());
            n_perturbed += perturbed.map(|(_, trials)| trials.len()).sum::<usize>();
        }
        let fraction = n_perturbed as f64 / 12800.0;
        assert!((fraction - 0.25).abs() < 0.016, "{fraction}");
    }

    /// 3 of 8 units are left out on average over 500 steps, with a standard deviation of 0.06; the mean factor is 1.
    #[test]
    fn units_are_left_out_with_their_probability() {
        let network = CtrnnConfig::new(2, 8, 1);
        let factors = (0..500).flat_map(|step| dropped(0.375, &network, 1, step).outgoing.unwrap());
        let factors: Vec<f64> = factors.collect();
        let n_dropped = factors.iter().filter(|&&factor| factor == 0.0).count() as f64 / 500.0;
        assert!((n_dropped - 3.0).abs() < 0.25, "{n_dropped}");
        let mean = factors.iter().sum::<f64>() / 4000.0;
        assert!((mean - 1.0).abs() < 0.05, "{mean}");
        assert!(factors.iter().all(|&factor| factor == 0.0 || factor == 1.6));
    }
}
