//! Fixed and slow points under the inputs of every epoch, and their stability.

mod descent;
mod figures;
mod point;
mod result;
mod search;
mod selection;
mod starts;
#[cfg(test)]
mod tests;

use ctrnn_tasks::counted;
use faer::c64;
use ndarray::{Array2, Array3, Axis};

use super::{Answer, Unsuitable};
use crate::held_inputs::{HELD_ARRAYS, HeldInput, HeldInputs};
use crate::linear_algebra::from_rows;
use crate::plot::Figure;
use crate::text::{listed, short};
use crate::{ArrayDoc, Arrays, Pca, Study};

pub use point::FixedPoint;
pub use result::FixedPoints;
pub use search::{End, FoundPoints, Search};
pub use selection::SelectionVectors;
pub use starts::{Followed, Region};

use search::MOST_VISITED;

/// Largest number of visited states that determine principal components.
const MOST_OBSERVED: usize = 20_000;
/// Number of marginal points from which they are reported as a continuum: isolated ones are rare, whereas on a line or
/// plane of them each start finds a different one.
pub(crate) const CONTINUUM: usize = 10;
/// Largest number of trials whose trajectories are drawn for each input, and for all of them.
const MOST_TRAJECTORIES: usize = 24;
const ALL_TRAJECTORIES: usize = 96;

impl Answer for FixedPoints {
    type Options = Search;
    const NEEDS_WHOLE: bool = true;
    const ARRAYS: &'static [ArrayDoc] = &[
        HELD_ARRAYS[0],
        HELD_ARRAYS[1],
        ArrayDoc {
            name: "n_starts",
            shape: "[held input]",
            unit: "",
            meaning: "number of starts of the search",
        },
        ArrayDoc {
            name: "n_rounds",
            shape: "[held input]",
            unit: "",
            meaning: "number of rounds of starts",
        },
        ArrayDoc {
            name: "is_complete",
            shape: "[held input]",
            unit: "",
            meaning: "1 if the last round found no new isolated point, 0 if the search ended at a limit",
        },
        ArrayDoc {
            name: "diverges_ms",
            shape: "[held input]",
            unit: "ms",
            meaning: "time after which the first visited state runs away with the input held; NaN if none does",
        },
        ArrayDoc {
            name: "input_index",
            shape: "[point]",
            unit: "",
            meaning: "row of `inputs` under which the point was found",
        },
        ArrayDoc {
            name: "states",
            shape: "[point, unit]",
            unit: "",
            meaning: "state: potentials, or rates in the rate form",
        },
        ArrayDoc {
            name: "utilisation",
            shape: "[point, unit]",
            unit: "",
            meaning: "utilisation u of the synapses at the point, with short-term plasticity",
        },
        ArrayDoc {
            name: "resources",
            shape: "[point, unit]",
            unit: "",
            meaning: "resources x of the synapses at the point, likewise",
        },
        ArrayDoc {
            name: "readouts",
            shape: "[point, output]",
            unit: "",
            meaning: "readout, before the output nonlinearity",
        },
        ArrayDoc {
            name: "q",
            shape: "[point]",
            unit: "",
            meaning: "residual 1/2 |F(s) - s|^2",
        },
        ArrayDoc {
            name: "hits",
            shape: "[point]",
            unit: "",
            meaning: "number of starts that ended at the point",
        },
        ArrayDoc {
            name: "is_fixed",
            shape: "[point]",
            unit: "",
            meaning: "1 for a fixed point, 0 for a slow point",
        },
        ArrayDoc {
            name: "is_stable",
            shape: "[point]",
            unit: "",
            meaning: "1 if every mode decays",
        },
        ArrayDoc {
            name: "is_marginal",
            shape: "[point]",
            unit: "",
            meaning: "1 if no mode grows but some do not decay either",
        },
        ArrayDoc {
            name: "n_unstable",
            shape: "[point]",
            unit: "",
            meaning: "number of growing modes",
        },
        ArrayDoc {
            name: "n_marginal",
            shape: "[point]",
            unit: "",
            meaning: "number of modes with a time scale above 200 time constants",
        },
        ArrayDoc {
            name: "eigenvalues_real",
            shape: "[point, mode]",
            unit: "",
            meaning: "eigenvalues of the Jacobian of one time step by falling modulus, real parts; with short-term plasticity three for each unit",
        },
        ArrayDoc {
            name: "eigenvalues_imag",
            shape: "[point, mode]",
            unit: "",
            meaning: "imaginary parts of the same",
        },
        ArrayDoc {
            name: "rates_per_s_real",
            shape: "[point, mode]",
            unit: "1/s",
            meaning: "eigenvalues of the differential equation, Re of (lambda - 1) / tau: growth rates",
        },
        ArrayDoc {
            name: "rates_per_s_imag",
            shape: "[point, mode]",
            unit: "1/s",
            meaning: "imaginary parts of the same: angular frequencies",
        },
        ArrayDoc {
            name: "timescales_ms",
            shape: "[point, mode]",
            unit: "ms",
            meaning: "time scales 1 / |growth rate|",
        },
        ArrayDoc {
            name: "right_real",
            shape: "[point, mode, unit]",
            unit: "",
            meaning: "unit right eigenvectors of the leading modes, real parts; with short-term plasticity the entries of the units",
        },
        ArrayDoc {
            name: "right_imag",
            shape: "[point, mode, unit]",
            unit: "",
            meaning: "imaginary parts of the same",
        },
        ArrayDoc {
            name: "left_real",
            shape: "[point, mode, unit]",
            unit: "",
            meaning: "unit left eigenvectors of the leading modes (selection vectors), real parts",
        },
        ArrayDoc {
            name: "left_imag",
            shape: "[point, mode, unit]",
            unit: "",
            meaning: "imaginary parts of the same",
        },
        ArrayDoc {
            name: "input_jacobian",
            shape: "[point, unit, input]",
            unit: "",
            meaning: "derivative dF/du of the target by the inputs",
        },
        ArrayDoc {
            name: "choice_axis",
            shape: "[unit]",
            unit: "",
            meaning: "unit vector along which the second choice is read out against the first",
        },
        ArrayDoc {
            name: "stimulus_names",
            shape: "[stimulus]",
            unit: "",
            meaning: "names of the stimuli",
        },
        ArrayDoc {
            name: "stimulus_axes",
            shape: "[stimulus, unit]",
            unit: "",
            meaning: "unit vectors along which the stimuli drive the network, orthogonal to the choice axis",
        },
        ArrayDoc {
            name: "selection_cosines",
            shape: "[point, stimulus]",
            unit: "",
            meaning: "cosine of the selection vector with the effect of a stimulus; NaN for an oscillating mode",
        },
    ];

    fn compute(study: &Study, options: &Search) -> Result<Self, Unsuitable> {
        study
            .dynamics
            .check_undelayed("the stability of a fixed point needs")?;
        let held = HeldInputs::of(study, &options.held, 24)?;
        let search = options.limited(&study.dynamics, held.inputs.len());
        let under = |held: &HeldInput| {
            let drive = study.dynamics.input_drive(&held.input);
            let visited = held.visited(study, MOST_VISITED);
            Ok(search.run(&study.dynamics, &drive, visited.view(), study.seed)?)
        };
        let found = held.inputs.iter().map(under);
        let found: Vec<FoundPoints> = found.collect::<Result<_, Unsuitable>>()?;
        let places: Vec<(usize, usize)> = study.visited_steps().collect();
        Ok(Self {
            pca: Pca::of(study.states_at(&places, MOST_OBSERVED).view())?,
            selection: SelectionVectors::of(study, &held, &found),
            channels: held
                .inputs
                .iter()
                .map(|held| held.channels(study))
                .collect(),
            trajectories: held
                .inputs
                .iter()
                .map(|own| trajectories(study, own, ALL_TRAJECTORIES.div_ceil(held.inputs.len())))
                .collect(),
            dynamics: study.dynamics.clone(),
            found,
            held,
        })
    }

    fn arrays(&self) -> Arrays {
        let arrays = self.arrays_of_inputs();
        let arrays = self.arrays_of_points(arrays);
        let arrays = self.arrays_of_modes(arrays);
        match &self.selection {
            Some(selection) => selection.arrays(arrays),
            None => arrays,
        }
    }

    fn statements(&self) -> Vec<String> {
        let of = |k: usize| {
            let (name, channels) = (&self.held.inputs[k].name, &self.channels[k]);
            format!("{name} ({channels}): {}", self.census(&self.found[k]))
        };
        let mut lines: Vec<String> = (0..self.found.len()).map(of).collect();
        lines.extend(self.selection.iter().flat_map(SelectionVectors::statements));
        lines.extend(self.held.notes.iter().cloned());
        lines
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        figures::all(self)
    }
}

impl FixedPoints {
    /// Returns all points, with the index of their input.
    fn points(&self) -> impl Iterator<Item = (usize, &FixedPoint)> {
        let inputs = self.found.iter().enumerate();
        inputs.flat_map(|(k, found)| found.points.iter().map(move |point| (k, point)))
    }

    fn arrays_of_inputs(&self) -> Arrays {
        let numbers =
            |of: fn(&FoundPoints) -> usize| self.found.iter().map(of).collect::<Vec<usize>>();
        let diverges_ms = self
            .found
            .iter()
            .map(|found| match found.followed.divergence() {
                Some((_, step)) => (step + 1) as f64 * self.dynamics.dt_ms,
                None => f64::NAN,
            });
        self.held
            .add_to(Arrays::default())
            .with("n_starts", &numbers(|found| found.n_starts))
            .with("n_rounds", &numbers(|found| found.n_rounds))
            .with(
                "is_complete",
                &numbers(|found| (found.end == End::NothingNew).into()),
            )
            .with("diverges_ms", &diverges_ms.collect::<Vec<f64>>())
    }

    fn arrays_of_points(&self, arrays: Arrays) -> Arrays {
        let numbers = |of: fn(&FixedPoint) -> usize| {
            let points = self.points().map(|(_, point)| of(point));
            points.collect::<Vec<usize>>()
        };
        let n = self.dynamics.n_units();
        let states = self.points().map(|(_, point)| point.state.clone());
        let readouts = self
            .points()
            .map(|(_, point)| self.dynamics.readout(&point.state));
        let q: Vec<f64> = self.points().map(|(_, point)| point.q).collect();
        let input_index: Vec<usize> = self.points().map(|(k, _)| k).collect();
        let arrays = match &self.dynamics.synapses {
            None => arrays,
            Some(synapses) => {
                let rest = || {
                    let states = self.points().map(|(_, point)| &point.state);
                    states.map(|state| synapses.at_rest(&self.dynamics.rates(state)))
                };
                arrays
                    .with(
                        "utilisation",
                        &from_rows(rest().map(|own| own.utilisation), n),
                    )
                    .with("resources", &from_rows(rest().map(|own| own.resources), n))
            }
        };
        arrays
            .with("input_index", &input_index)
            .with("states", &from_rows(states, n))
            .with(
                "readouts",
                &from_rows(readouts, self.dynamics.w_out.nrows()),
            )
            .with("q", &q)
            .with("hits", &numbers(|point| point.hits))
            .with("is_fixed", &numbers(|point| point.is_fixed.into()))
            .with("is_stable", &numbers(|point| point.is_stable().into()))
            .with("is_marginal", &numbers(|point| point.is_marginal().into()))
            .with("n_unstable", &numbers(|point| point.n_unstable))
            .with("n_marginal", &numbers(|point| point.n_marginal))
    }

    fn arrays_of_modes(&self, mut arrays: Arrays) -> Arrays {
        let points: Vec<(usize, &FixedPoint)> = self.points().collect();
        let (n, dynamics) = (self.dynamics.n_units(), &self.dynamics);
        let n_modes = dynamics.n_states();
        let value = |of: &dyn Fn(c64) -> f64| {
            let shape = (points.len(), n_modes);
            Array2::from_shape_fn(shape, |(i, j)| of(points[i].1.modes.values[j]))
        };
        let vector = |is_left: bool, part: fn(&c64) -> f64| {
            let shape = (points.len(), n.min(point::N_MODES), n);
            Array3::from_shape_fn(shape, |(i, k, j)| {
                let modes = &points[i].1.modes;
                part(&if is_left { &modes.left } else { &modes.right }[k][j])
            })
        };
        for (name, part) in [("real", (|z| z.re) as fn(&c64) -> f64), ("imag", |z| z.im)] {
            let per_s = |m: c64| 1000.0 * part(&dynamics.rate_per_ms(m));
            arrays = arrays
                .with(format!("eigenvalues_{name}"), &value(&|m| part(&m)))
                .with(format!("rates_per_s_{name}"), &value(&per_s))
                .with(format!("right_{name}"), &vector(false, part))
                .with(format!("left_{name}"), &vector(true, part));
        }
        let jacobians: Vec<Array2<f64>> = points
            .iter()
            .map(|(k, point)| dynamics.input_jacobian(&point.state, &self.held.inputs[*k].input))
            .collect();
        let shape = (points.len(), n, dynamics.w_in.ncols());
        let jacobians = Array3::from_shape_fn(shape, |(i, j, u)| jacobians[i][[j, u]]);
        arrays
            .with("timescales_ms", &value(&|m| dynamics.timescale_ms(m)))
            .with("input_jacobian", &jacobians)
    }

    /// Describes the points under one input in a sentence.
    fn census(&self, found: &FoundPoints) -> String {
        let mut parts = vec![fixed_points(&found.points)];
        let slow = found.points.iter().filter(|point| !point.is_fixed);
        match slow.count() {
            0 => {}
            n => parts.push(counted(n, "slow point")),
        }
        if let Some((n_away, step)) = found.followed.divergence() {
            let n = found.followed.has_settled.len();
            let after_ms = (step + 1) as f64 * self.dynamics.dt_ms;
            parts.push(format!(
                "the states diverge: {n_away} of {n} visited ones run away and are out of reach after {} ms",
                short(after_ms)
            ));
        }
        parts.push(search_report(found));
        parts.join("; ")
    }
}

/// Describes the number of fixed points of each kind.
fn fixed_points(points: &[FixedPoint]) -> String {
    let fixed: Vec<&FixedPoint> = points.iter().filter(|point| point.is_fixed).collect();
    let count = |is: &dyn Fn(&FixedPoint) -> bool| fixed.iter().filter(|point| is(point)).count();
    let mut kinds = vec![(count(&FixedPoint::is_stable), "stable".to_owned())];
    let n_marginal = count(&FixedPoint::is_marginal);
    let least = fixed
        .iter()
        .filter(|point| point.is_marginal())
        .map(|point| point.n_marginal);
    let marginal = match least.min() {
        Some(d) if n_marginal >= CONTINUUM => {
            let directions = counted(d, "marginal direction");
            format!("marginal (a continuum: at least {directions})")
        }
        _ => "marginal".to_owned(),
    };
    kinds.push((n_marginal, marginal));
    let most = fixed
        .iter()
        .map(|point| point.n_unstable)
        .max()
        .unwrap_or(0);
    kinds.extend((1..=most).map(|d| {
        let kind = format!("with {}", counted(d, "unstable direction"));
        (count(&|point| point.n_unstable == d), kind)
    }));
    let kinds = kinds.into_iter().filter(|(n, _)| *n > 0);
    let kinds: Vec<String> = kinds.map(|(n, kind)| format!("{n} {kind}")).collect();
    match fixed.len() {
        0 => "no fixed points".to_owned(),
        1 => format!("1 fixed point, {}", listed(&kinds).trim_start_matches("1 ")),
        n => format!("{}, {}", counted(n, "fixed point"), listed(&kinds)),
    }
}

/// Describes the starts of a search, and how often they ended at each isolated point.
fn search_report(found: &FoundPoints) -> String {
    let n = found.n_starts;
    let isolated = found
        .points
        .iter()
        .filter(|point| point.is_fixed && point.n_marginal == 0);
    let hits: Vec<usize> = isolated.map(|point| point.hits).collect();
    let hits = match (hits.iter().min(), hits.iter().max()) {
        (Some(least), Some(most)) if hits.len() > 1 => {
            format!(", each isolated point found {least} to {most} times")
        }
        _ => String::new(),
    };
    let end = match found.end {
        End::NothingNew if found.n_rounds > 1 => {
            format!(", the last {} found nothing new", found.n_last)
        }
        End::NothingNew => String::new(),
        End::Starts => {
            ", of which the last still found new points: there may be more (option starts)"
                .to_owned()
        }
        End::Points => ": no more points are kept (option points)".to_owned(),
    };
    format!("{}{hits}{end}", counted(n, "start"))
}

/// Returns the states of at most `most` trials that have an input.
fn trajectories(study: &Study, held: &HeldInput, most: usize) -> Vec<Array2<f64>> {
    let mut trials: Vec<usize> = held
        .places
        .iter()
        .flat_map(|place| place.trials.clone())
        .collect();
    if held.places.is_empty() {
        trials = (0..study.batch.n_trials).collect();
    }
    trials.sort_unstable();
    trials.dedup();
    let n = trials.len().min(MOST_TRAJECTORIES).min(most);
    let shown = (0..n).map(|k| trials[k * trials.len() / n]);
    let states = |b: usize| {
        let states = study.states().index_axis(Axis(0), b);
        states
            .slice(ndarray::s![..study.batch.n_steps[b], ..])
            .to_owned()
    };
    shown.map(states).collect()
}
