//! Lyapunov exponents: rates of divergence of neighbouring trajectories.

use ndarray::{Array1, Array2, ArrayView2};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Unsuitable};
use crate::held_inputs::{HELD_ARRAYS, HeldInput, HeldInputs, HeldOptions, drawn_of};
use crate::linear_algebra::qr;
use crate::plot::{Figure, Layer, beside, colour};
use crate::text::short;
use crate::{ArrayDoc, Arrays, Dynamics, Study};

/// Largest number of held inputs in the figure.
const MOST_DRAWN: usize = 7;

/// Settings of the Lyapunov exponents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LyapunovOptions {
    /// Largest number of exponents under the inputs of the trials.
    pub n_exponents: usize,
    /// Number of time steps, through the inputs of all trials in turn, repeatedly; every trial starts from its own
    /// initial state. The first sixth is a transient that does not count.
    pub n_steps: usize,
    /// Inputs to hold.
    #[serde(flatten)]
    pub held: HeldOptions,
    /// Largest number of exponents under each held input.
    pub n_held_exponents: usize,
    /// Number of time steps under each held input. The first third is a transient that does not count.
    pub n_held_steps: usize,
}

impl Default for LyapunovOptions {
    fn default() -> Self {
        Self {
            n_exponents: 20,
            n_steps: 3000,
            held: HeldOptions::default(),
            n_held_exponents: 3,
            n_held_steps: 600,
        }
    }
}

/// Lyapunov exponents under the inputs of a task, and with inputs held.
#[derive(Clone, Debug)]
pub struct Lyapunov {
    /// Exponents under the inputs of the trials, and their convergence.
    pub exponents: Exponents,
    /// Inputs that were held; `None` if the trials have no epochs.
    pub held: Option<HeldInputs>,
    /// Exponents per second under each held input; `None` if the states diverge.
    pub held_exponents: Vec<Option<Array1<f64>>>,
    n_held_exponents: usize,
    /// Number of time steps after the transient.
    n_counted: usize,
    dt_ms: f64,
}

impl Answer for Lyapunov {
    type Options = LyapunovOptions;
    const FOLLOWS_DYNAMICS: bool = true;
    const NEEDS_WHOLE: bool = true;
    const ARRAYS: &'static [ArrayDoc] = &[
        ArrayDoc {
            name: "exponents_per_s",
            shape: "[exponent]",
            unit: "1/s",
            meaning: "Lyapunov exponents under the inputs of the trials in falling order",
        },
        ArrayDoc {
            name: "convergence",
            shape: "[stretch, exponent]",
            unit: "1/s",
            meaning: "running estimates of the exponents, in the same order",
        },
        ArrayDoc {
            name: "dimension",
            shape: "[1]",
            unit: "",
            meaning: "Kaplan-Yorke dimension; a lower bound if `dimension_is_bound` is 1",
        },
        ArrayDoc {
            name: "dimension_is_bound",
            shape: "[1]",
            unit: "",
            meaning: "1 if the sum of the computed exponents is not negative and the network has more of them, otherwise 0",
        },
        HELD_ARRAYS[0],
        HELD_ARRAYS[1],
        ArrayDoc {
            name: "held_exponents_per_s",
            shape: "[held input, exponent]",
            unit: "1/s",
            meaning: "largest exponents under each held input; NaN if the states diverge",
        },
    ];

    fn compute(study: &Study, options: &LyapunovOptions) -> Result<Self, Unsuitable> {
        study.dynamics.check_undelayed("Lyapunov exponents need")?;
        let n_transient = options.n_steps / 6;
        let n = study.dynamics.n_units().min(options.n_exponents);
        let pieces = pieces(study, options.n_steps)?;
        let exponents = exponents_of_pieces(&study.dynamics, &pieces, n, n_transient)?;
        let held = HeldInputs::if_any(study, &options.held, 24)?;
        let inputs = held.as_ref().map_or(&[][..], |held| &held.inputs);
        let held_exponents = inputs.par_iter().map(|held| under(study, held, options));
        Ok(Self {
            exponents,
            held_exponents: held_exponents.collect(),
            held,
            n_held_exponents: study.dynamics.n_units().min(options.n_held_exponents),
            n_counted: options.n_steps - n_transient,
            dt_ms: study.dynamics.dt_ms,
        })
    }

    fn arrays(&self) -> Arrays {
        let arrays = Arrays::default()
            .with("exponents_per_s", &self.exponents.exponents_per_s)
            .with("convergence", &self.exponents.convergence)
            .with("dimension", &self.exponents.dimension())
            .with(
                "dimension_is_bound",
                &f64::from(u8::from(self.exponents.is_bound())),
            );
        let Some(held) = &self.held else {
            return arrays;
        };
        let shape = (held.inputs.len(), self.n_held_exponents);
        let exponents = Array2::from_shape_fn(shape, |(k, j)| {
            self.held_exponents[k]
                .as_ref()
                .map_or(f64::NAN, |found| found[j])
        });
        held.add_to(arrays).with("held_exponents_per_s", &exponents)
    }

    fn statements(&self) -> Vec<String> {
        let largest = self.exponents.exponents_per_s[0];
        let verb = if largest > 0.0 { "part" } else { "meet" };
        let driven = format!(
            "largest Lyapunov exponent within trials {} per second: neighbouring trajectories {verb}; Kaplan-Yorke dimension {}{}",
            short(largest),
            if self.exponents.is_bound() {
                "at least "
            } else {
                ""
            },
            short(self.exponents.dimension())
        );
        let held = self
            .held_exponents()
            .map(|(held, exponents)| match exponents {
                Some(exponents) => {
                    let largest = exponents.first().copied().unwrap_or(f64::NEG_INFINITY);
                    format!(
                        "{} held: largest exponent {} per second",
                        held.name,
                        short(largest)
                    )
                }
                None => format!("{} held: the states diverge", held.name),
            });
        let notes = self.held.iter().flat_map(|held| held.notes.iter().cloned());
        [driven].into_iter().chain(held).chain(notes).collect()
    }

    fn figures(&self) -> Vec<(&'static str, Figure)> {
        let exponents_per_s = &self.exponents.exponents_per_s;
        let mut figure = Figure::new(&[34.0, 34.0, 34.0], &[34.0]);
        let n = exponents_per_s.len();
        let x = (1..=n).map(|k| k as f64).collect();
        let range = [0.4, n as f64 + 0.6];
        figure
            .cell(0, 0)
            .x("exponent", range)
            .y_label("Lyapunov exponent (1/s)")
            .add(Layer::guide(range, [0.0, 0.0]))
            .add(Layer::points(x, exponents_per_s.to_vec(), colour(0)).radius(0.7));
        figure
            .cell(0, 1)
            .x_label("simulated time (s)")
            .y_label("estimate (1/s)")
            .extend(self.estimates());
        let points = self.held_points();
        if !points.is_empty() {
            let range = [0.4, self.n_held_exponents as f64 + 0.6];
            figure
                .cell(0, 2)
                .title(drawn_of(
                    "inputs held",
                    MOST_DRAWN,
                    self.held_exponents().count(),
                ))
                .x("exponent", range)
                .add(Layer::guide(range, [0.0, 0.0]))
                .extend(points);
        }
        vec![("", figure)]
    }
}

impl Lyapunov {
    /// Returns the running estimates of the largest exponents as lines over time.
    fn estimates(&self) -> impl Iterator<Item = Layer> {
        let convergence = &self.exponents.convergence;
        let n_stretches = convergence.nrows();
        let stretch_s = self.n_counted as f64 / n_stretches as f64 * self.dt_ms / 1000.0;
        let t: Vec<f64> = (1..=n_stretches).map(|k| k as f64 * stretch_s).collect();
        (0..self.exponents.exponents_per_s.len().min(4)).map(move |k| {
            let course = convergence.column(k).to_vec();
            let line = Layer::line(t.clone(), course, colour(k)).wide(0.3);
            line.named(&format!("exponent {}", k + 1))
        })
    }

    /// Returns the exponents under the first held inputs as points.
    fn held_points(&self) -> Vec<Layer> {
        let held = self.held_exponents().take(MOST_DRAWN).enumerate();
        let points = held.filter_map(|(k, (held, exponents))| {
            let y = exponents.as_ref()?.to_vec();
            let place = beside(k, self.held_exponents().count().min(MOST_DRAWN));
            let x = (1..=y.len()).map(|j| j as f64 + place).collect();
            Some(Layer::points(x, y, colour(k)).radius(0.7).named(&held.name))
        });
        points.collect()
    }

    /// Returns the held inputs with their exponents.
    fn held_exponents(&self) -> impl Iterator<Item = (&HeldInput, &Option<Array1<f64>>)> {
        let inputs = self.held.iter().flat_map(|held| &held.inputs);
        inputs.zip(&self.held_exponents)
    }
}

/// Computes the exponents under a held input, from a state that the network visits; `None` if the states diverge.
fn under(study: &Study, held: &HeldInput, options: &LyapunovOptions) -> Option<Array1<f64>> {
    let n = study.dynamics.n_units().min(options.n_held_exponents);
    let inputs = held
        .input
        .broadcast((options.n_held_steps, held.input.len()))?;
    let start = held.visited(study, 1).row(0).to_owned();
    let n_transient = options.n_held_steps / 3;
    let found = exponents(&study.dynamics, &start, inputs, n, n_transient);
    Some(found.ok()?.exponents_per_s)
}

/// Lyapunov spectrum of a driven network.
#[derive(Clone, Debug)]
pub struct Exponents {
    /// Exponents per second in descending order, `[k]`; a positive one means chaos, -infinity a direction that vanishes
    /// within a time step.
    pub exponents_per_s: Array1<f64>,
    /// Running estimates of the exponents in the same order, `[stretches, k]`, which show the convergence.
    pub convergence: Array2<f64>,
    /// Number of units, and so of all exponents.
    pub n_units: usize,
}

/// Uninterrupted part of a trajectory: its first state, and the inputs `[time, input]` of the time steps from there.
#[derive(Clone, Debug)]
pub struct Piece {
    /// First state.
    pub state: Array1<f64>,
    /// Inputs of the following time steps.
    pub inputs: Array2<f64>,
}

/// Returns the trials in turn, repeatedly, until they have `n_steps` time steps. Each starts from the state after its
/// first time step.
fn pieces(study: &Study, n_steps: usize) -> Result<Vec<Piece>, Unsuitable> {
    if study.batch.n_steps.iter().all(|&n| n < 2) {
        let why = "Lyapunov exponents need trials of at least two time steps";
        return Err(Unsuitable::lacks(why));
    }
    let mut left = n_steps;
    let mut found = Vec::new();
    for b in (0..study.batch.n_trials).cycle() {
        if left == 0 {
            break;
        }
        let inputs = study.network_inputs(b);
        let n = (inputs.nrows() - 1).min(left);
        left -= n;
        found.push(Piece {
            state: study.states().slice(ndarray::s![b, 0, ..]).to_owned(),
            inputs: inputs.slice(ndarray::s![1..=n, ..]).to_owned(),
        });
    }
    Ok(found)
}

impl Exponents {
    /// Returns true if the sum of the computed exponents is not negative and there are more of them, so that the
    /// dimension may be larger.
    pub fn is_bound(&self) -> bool {
        self.exponents_per_s.len() < self.n_units && self.exponents_per_s.sum() >= 0.0
    }

    /// Returns the Kaplan-Yorke dimension `j + (l_1 + ... + l_j) / |l_(j+1)|`, where j is the largest number with a
    /// nonnegative sum; the number of exponents if their total sum is not negative.
    pub fn dimension(&self) -> f64 {
        let mut sum = 0.0;
        for (j, exponent) in self.exponents_per_s.iter().enumerate() {
            if sum + exponent < 0.0 {
                return j as f64 + sum / exponent.abs();
            }
            sum += exponent;
        }
        self.exponents_per_s.len() as f64
    }
}

/// Computes the `n_exponents` largest exponents along the trajectory from `state` under `inputs [T,I]`, after a
/// transient of `n_transient` time steps. An orthonormal frame is multiplied by the Jacobian of every time step and
/// reorthonormalised by QR; the logarithms of the diagonal of R are averaged.
///
/// # Errors
/// If the state diverges.
///
/// # References
/// Benettin et al. (1980), Lyapunov characteristic exponents; Engelken, Wolf & Abbott (2023), Lyapunov spectra of chaotic
/// recurrent neural networks.
pub fn exponents(
    dynamics: &Dynamics,
    state: &Array1<f64>,
    inputs: ArrayView2<f64>,
    n_exponents: usize,
    n_transient: usize,
) -> Result<Exponents, Unsuitable> {
    let piece = Piece {
        state: state.clone(),
        inputs: inputs.to_owned(),
    };
    exponents_of_pieces(dynamics, &[piece], n_exponents, n_transient)
}

/// Computes the exponents as [`exponents`], along several pieces of trajectories. The frame goes on from the end of a
/// piece to the start of the next, so that the exponents are means of the growth within pieces.
///
/// # Errors
/// If the state diverges.
pub fn exponents_of_pieces(
    dynamics: &Dynamics,
    pieces: &[Piece],
    n_exponents: usize,
    n_transient: usize,
) -> Result<Exponents, Unsuitable> {
    const STRETCHES: usize = 50;
    let n_all: usize = pieces.iter().map(|piece| piece.inputs.nrows()).sum();
    let n_steps = n_all.saturating_sub(n_transient);
    let steps = pieces.iter().flat_map(|piece| {
        let inputs = piece.inputs.outer_iter().enumerate();
        inputs.map(|(k, input)| ((k == 0).then_some(&piece.state), input))
    });
    let mut state = Array1::zeros(dynamics.n_units());
    let mut frame = Array2::eye(dynamics.n_units());
    frame = frame.slice(ndarray::s![.., ..n_exponents]).to_owned();
    let mut sums = Array1::zeros(n_exponents);
    let mut convergence = Vec::new();
    for (t, (start, input)) in steps.enumerate() {
        if let Some(start) = start {
            state.assign(start);
        }
        let drive = dynamics.input_drive(&input.to_owned());
        let (q, r) = qr(dynamics.step_jacobian(&state, &drive).dot(&frame).view());
        frame = q;
        state = dynamics.next(&state, &drive);
        if !state.iter().all(|x| x.is_finite()) {
            return Err(diverged(t));
        }
        if t < n_transient {
            continue;
        }
        sums += &r.diag().mapv(f64::ln);
        let counted = t + 1 - n_transient;
        if counted * STRETCHES / n_steps > (counted - 1) * STRETCHES / n_steps {
            convergence.push(&sums * (1000.0 / dynamics.dt_ms / counted as f64));
        }
    }
    let exponents = &sums * (1000.0 / dynamics.dt_ms / n_steps.max(1) as f64);
    // QR leaves the exponents in the order of the frame, which in a short run need not be the falling one.
    let mut order: Vec<usize> = (0..n_exponents).collect();
    order.sort_by(|&a, &b| exponents[b].total_cmp(&exponents[a]));
    let shape = (convergence.len(), n_exponents);
    Ok(Exponents {
        exponents_per_s: order.iter().map(|&k| exponents[k]).collect(),
        convergence: Array2::from_shape_fn(shape, |(i, k)| convergence[i][order[k]]),
        n_units: dynamics.n_units(),
    })
}

fn diverged(t: usize) -> Unsuitable {
    Unsuitable::Lacks(format!(
        "the network diverges under the inputs of the task: its state is not finite after {} time steps",
        t + 1
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamics::tests::map;
    use crate::linear_algebra::eigenvalues;
    use ctrnn_model::{Activation, Form};

    /// The exponents of a linear map are the logarithms of the moduli of its eigenvalues: a step takes 20 ms, 50 of
    /// them a second.
    #[test]
    fn exponents_of_a_linear_network_are_its_eigenvalues() {
        let w = Array2::from_shape_fn((4, 4), |(i, j)| ((4 * i + j) as f64).powi(2).sin());
        let moduli = eigenvalues(w.view()).unwrap();
        let dynamics = map(w, Activation::Linear, Form::Voltage);
        let start = Array1::zeros(4);
        let inputs = Array2::zeros((4000, 0));
        let found = exponents(&dynamics, &start, inputs.view(), 4, 500).unwrap();
        for (exponent, z) in found.exponents_per_s.iter().zip(&moduli) {
            let expected = 50.0 * z.re.hypot(z.im).ln();
            assert!(
                (exponent - expected).abs() < 0.02 * expected.abs().max(1.0),
                "{exponent} {expected}"
            );
        }
        assert_eq!(found.convergence.dim(), (50, 4));
        assert_eq!(
            found.convergence.row(49),
            found.exponents_per_s,
            "the last estimates are the exponents, in the same order"
        );
    }

    /// The first direction of the frame decays faster than the second, which a diagonal map never mixes.
    #[test]
    fn convergence_has_the_order_of_the_exponents() {
        let dynamics = map(
            ndarray::array![[0.1, 0.0], [0.0, 0.9]],
            Activation::Linear,
            Form::Voltage,
        );
        let inputs = Array2::zeros((200, 0));
        let found = exponents(&dynamics, &Array1::zeros(2), inputs.view(), 2, 20).unwrap();
        assert!((found.exponents_per_s[0] - 50.0 * 0.9f64.ln()).abs() < 1e-9);
        assert_eq!(found.convergence.row(49), found.exponents_per_s);
    }

    /// A network that doubles its state every time step overflows in 1200 steps, but not if each of its 12 trials of 100
    /// steps starts at 1.
    #[test]
    fn every_piece_starts_from_its_own_state() {
        let dynamics = map(ndarray::array![[2.0]], Activation::Linear, Form::Voltage);
        let piece = |n: usize| Piece {
            state: Array1::ones(1),
            inputs: Array2::zeros((n, 0)),
        };
        let found = exponents_of_pieces(&dynamics, &vec![piece(100); 12], 1, 0).unwrap();
        assert!((found.exponents_per_s[0] - 50.0 * 2.0f64.ln()).abs() < 1e-9);
        assert!(exponents_of_pieces(&dynamics, &[piece(1200)], 1, 0).is_err());
    }

    /// A factor of 0 removes a direction at once; doubling overflows double precision after 1024 steps.
    #[test]
    fn directions_that_vanish_and_states_that_diverge() {
        let inputs = Array2::zeros((2000, 0));
        let of = |w: Array2<f64>, start: f64| {
            let n = w.nrows();
            let dynamics = map(w, Activation::Linear, Form::Voltage);
            exponents(
                &dynamics,
                &Array1::from_elem(n, start),
                inputs.view(),
                n,
                100,
            )
        };
        let found = of(ndarray::array![[0.5, 0.0], [0.0, 0.0]], 0.0).unwrap();
        assert!((found.exponents_per_s[0] - 50.0 * 0.5f64.ln()).abs() < 1e-9);
        assert_eq!(found.exponents_per_s[1], f64::NEG_INFINITY);
        assert_eq!(found.dimension(), 0.0);
        let nothing = of(Array2::zeros((3, 3)), 1.0).unwrap();
        assert_eq!(nothing.exponents_per_s.to_vec(), [f64::NEG_INFINITY; 3]);
        let why = of(Array2::from_elem((1, 1), 2.0), 1.0).unwrap_err();
        assert!(
            why.to_string().contains("not finite after 1024 time steps"),
            "{why}"
        );
    }

    /// Exponents (1, -2, -3): one whole dimension, and half of the second.
    #[test]
    fn kaplan_and_yorke_by_hand() {
        let of = |exponents: &[f64]| Exponents {
            exponents_per_s: exponents.to_vec().into(),
            convergence: Array2::zeros((0, 0)),
            n_units: 3,
        };
        assert_eq!(of(&[1.0, -2.0, -3.0]).dimension(), 1.5);
        assert_eq!(of(&[-1.0]).dimension(), 0.0);
        assert_eq!(of(&[1.0, 1.0]).dimension(), 2.0);
        assert!(of(&[1.0, 1.0]).is_bound(), "the third is unknown");
        assert!(!of(&[1.0, 1.0, 1.0]).is_bound() && !of(&[1.0, -2.0]).is_bound());
    }
}
