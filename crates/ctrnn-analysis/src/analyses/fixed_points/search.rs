//! Search for fixed and slow points of the dynamics.

use ctrnn_random::{Key, Rng, Stream};
use ndarray::{Array1, ArrayView2};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::descent::Problem;
use super::point::FixedPoint;
use super::starts::{Followed, Known, Region, distance};
use crate::Dynamics;
use crate::held_inputs::HeldOptions;
use crate::linear_algebra::NotConverged;

/// Largest number of visited states from which starts are drawn.
pub(super) const MOST_VISITED: usize = 4000;
/// Work of a search: numbers of starts and of linearised points times the cube of the number of units, which together
/// take some 30 s on one core.
const WORK_OF_STARTS: f64 = 2.2e10;
const WORK_OF_POINTS: f64 = 8e9;
/// Number of units below which the work is not that of matrices.
const SMALL: usize = 50;

/// Settings of the search for fixed points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Search {
    /// Inputs to hold.
    #[serde(flatten)]
    pub held: HeldOptions,
    /// Largest number of starts under each input. Default: 2000, fewer with more than 100 units or many inputs.
    pub starts: Option<usize>,
    /// Number of starts in a round. The search ends after the first round that finds nothing new.
    pub round: usize,
    /// Standard deviation of the noise added to visited states, as a multiple of that of each unit over all of them.
    /// Golub & Sussillo (2018) use noise of 0.5 in units of the state.
    pub noise: f64,
    /// Largest number of points under each input; on a line or plane of them each start ends at another one.
    /// Default: 500, fewer with more than 100 units or many inputs.
    pub points: Option<usize>,
    /// Largest number of Newton and Levenberg-Marquardt steps from a start.
    pub newton_steps: usize,
    /// Largest `q = 1/2 |F(s) - s|^2` of a fixed point.
    pub fixed_q: f64,
    /// Largest q of a slow point; points with a larger q are dropped.
    pub slow_q: f64,
    /// Euclidean distance below which points are the same.
    pub distance: f64,
    /// Largest distance of a point from the mean of the visited states, as a multiple of that of the furthest one.
    pub reach: f64,
}

impl Default for Search {
    fn default() -> Self {
        Self {
            held: HeldOptions::default(),
            starts: None,
            round: 100,
            noise: 1.0,
            points: None,
            newton_steps: 100,
            fixed_q: 1e-20,
            slow_q: 1e-6,
            distance: 1e-3,
            reach: 3.0,
        }
    }
}

/// Reason for which a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// A whole round of starts found nothing new.
    NothingNew,
    /// The largest number of starts was reached.
    Starts,
    /// The largest number of points was reached.
    Points,
}

/// Result of a search under one input.
#[derive(Clone, Debug)]
pub struct FoundPoints {
    /// Distinct points: fixed ones before slow ones, the former by their number of unstable directions and falling
    /// number of hits, the latter by ascending q.
    pub points: Vec<FixedPoint>,
    /// Number of starts.
    pub n_starts: usize,
    /// Number of starts in the last round.
    pub n_last: usize,
    /// Number of rounds.
    pub n_rounds: usize,
    /// Reason for the end.
    pub end: End,
    /// Visited states that were followed under the held input.
    pub followed: Followed,
}

impl Search {
    /// Returns the search with its limits for each of `n_inputs` inputs of a network set.
    #[must_use]
    pub fn limited(&self, dynamics: &Dynamics, n_inputs: usize) -> Self {
        let within = |work: f64, n: usize, [least, most]: [usize; 2]| {
            let size = ((n + SMALL) as f64).powi(3) * n_inputs.max(1) as f64;
            Some(((work / size) as usize).clamp(least, most))
        };
        let [units, all] = [dynamics.n_units(), dynamics.n_states()];
        Self {
            starts: self.starts.or(within(WORK_OF_STARTS, units, [24, 2000])),
            points: self.points.or(within(WORK_OF_POINTS, all, [8, 500])),
            ..self.clone()
        }
    }

    /// Searches for points with `F(s, u) = s` under a constant input, given as `input_drive = W_in u + b`, from starts
    /// among and around the `visited` states `[n, N]`, in rounds, until a round finds no new point that is isolated:
    /// slow points and marginal ones, such as those of a line, do not count.
    ///
    /// ```text
    /// q(s) = 1/2 |F(s, u) - s|^2
    /// ```
    ///
    /// is minimised by Newton steps, and where these fail by Levenberg-Marquardt steps. All starts are drawn from
    /// `seed`.
    ///
    /// # Errors
    /// [`NotConverged`] if the eigenvalues at a point cannot be computed.
    ///
    /// # Panics
    /// If there are no visited states.
    ///
    /// # References
    /// Sussillo & Barak (2013), Opening the black box; Golub & Sussillo (2018), FixedPointFinder; Levenberg (1944);
    /// Marquardt (1963).
    pub fn run(
        &self,
        dynamics: &Dynamics,
        input_drive: &Array1<f64>,
        visited: ArrayView2<f64>,
        seed: u64,
    ) -> Result<FoundPoints, NotConverged> {
        assert!(visited.nrows() > 0, "a search needs a visited state");
        let limited = self.limited(dynamics, 1);
        let [most_starts, most_points] =
            [limited.starts, limited.points].map(|limit| limit.unwrap_or(1).max(1));
        let problem = Problem {
            dynamics,
            input_drive,
        };
        let mut region = Region::of(dynamics, visited);
        let followed = Followed::from(dynamics, input_drive, visited, &region, self.reach);
        let ends = followed.settled();
        region.widen(&ends);
        let mut rng = Rng::new(Key::new(seed, Stream::Eval, 4), 0, 0);
        let mut found = FoundPoints::new(followed);
        loop {
            let n = self.size_of_round(&found, most_starts);
            let known = Known {
                is_first: found.n_rounds == 0,
                visited,
                followed: ends.view(),
                region: &region,
                points: &found.points,
                noise: self.noise,
            };
            let arrived = self.descended(&problem, &region, known.draw(n, &mut rng));
            let n_new = found.add(self, &problem, arrived, most_points)?;
            if let Some(end) = found.end_after(n_new, [most_starts, most_points]) {
                found.end = end;
                break;
            }
        }
        found.sort();
        Ok(found)
    }

    /// Returns the number of starts in the next round.
    fn size_of_round(&self, found: &FoundPoints, most_starts: usize) -> usize {
        // At least two rounds, because there are midpoints from the second one on.
        let round = self.round.min(most_starts.div_ceil(2)).max(1);
        // Rare points are missed by a round with few starts for each of those that are known.
        let n = round.max(10 * found.points.len());
        n.min(most_starts - found.n_starts)
    }

    /// Descends from every start. Returns the last states and their q.
    fn descended(
        &self,
        problem: &Problem,
        region: &Region,
        starts: Vec<Array1<f64>>,
    ) -> Vec<(Array1<f64>, f64)> {
        // Beyond the limit of a fixed point, so that its state is exact.
        let goal = 1e-6 * self.fixed_q;
        let descend = |start| {
            let (state, q) = problem.descend(start, self.newton_steps, goal, region.radius);
            let is_near = region.holds(&state, self.reach);
            (state, if is_near { q } else { f64::INFINITY })
        };
        starts.into_par_iter().map(descend).collect()
    }
}

impl FoundPoints {
    fn new(followed: Followed) -> Self {
        Self {
            points: Vec::new(),
            n_starts: 0,
            n_last: 0,
            n_rounds: 0,
            end: End::NothingNew,
            followed,
        }
    }

    /// Adds the states at which the starts of a round ended, with their q, which is infinite out of reach. Returns the
    /// number of new isolated points.
    fn add(
        &mut self,
        search: &Search,
        problem: &Problem,
        mut arrived: Vec<(Array1<f64>, f64)>,
        most_points: usize,
    ) -> Result<usize, NotConverged> {
        self.n_rounds += 1;
        self.n_last = arrived.len();
        self.n_starts += arrived.len();
        arrived.retain(|(_, q)| *q <= search.slow_q);
        arrived.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        let mut new: Vec<(Array1<f64>, f64, usize)> = Vec::new();
        for (state, q) in arrived {
            let is_here = |other: &Array1<f64>| distance(other, &state) < search.distance;
            if let Some(known) = self.points.iter_mut().find(|point| is_here(&point.state)) {
                known.hits += 1;
            } else if let Some((.., hits)) = new.iter_mut().find(|(other, ..)| is_here(other)) {
                *hits += 1;
            } else {
                new.push((state, q, 1));
            }
        }
        new.truncate(most_points.saturating_sub(self.points.len()));
        let point = |(state, q, hits): (Array1<f64>, f64, usize)| {
            let sizes = [q, search.fixed_q];
            let point = FixedPoint::new(problem.dynamics, problem.input_drive, state, sizes)?;
            Ok(FixedPoint { hits, ..point })
        };
        let new: Vec<FixedPoint> = new.into_par_iter().map(point).collect::<Result<_, _>>()?;
        let is_isolated = |point: &&FixedPoint| point.is_fixed && point.n_marginal == 0;
        let n_new = new.iter().filter(is_isolated).count();
        self.points.extend(new);
        Ok(n_new)
    }

    /// Returns the reason to end the search after a round with `n_new` new points, if there is one.
    fn end_after(&self, n_new: usize, [most_starts, most_points]: [usize; 2]) -> Option<End> {
        if self.points.len() >= most_points {
            Some(End::Points)
        } else if n_new == 0 {
            Some(End::NothingNew)
        } else if self.n_starts >= most_starts {
            Some(End::Starts)
        } else {
            None
        }
    }

    fn sort(&mut self) {
        self.points.sort_by(|a, b| {
            let slow = (!a.is_fixed).cmp(&!b.is_fixed);
            let within = if a.is_fixed {
                (a.n_unstable, std::cmp::Reverse(a.hits))
                    .cmp(&(b.n_unstable, std::cmp::Reverse(b.hits)))
            } else {
                a.q.total_cmp(&b.q)
            };
            slow.then(within)
        });
    }
}

#[cfg(test)]
mod tests {
    use ctrnn_files::npz;
    use ctrnn_model::{Activation, Form};
    use ndarray::{Array2, Axis};

    use super::*;
    use crate::dynamics::tests::{half_plastic, map};

    fn states(n: usize, n_units: usize, scale: f64) -> Array2<f64> {
        let mut rng = Rng::new(Key::new(3, Stream::Eval, 0), 0, 0);
        Array2::from_shape_simple_fn((n, n_units), || scale * f64::from(rng.normal()))
    }

    fn search(dynamics: &Dynamics, visited: &Array2<f64>) -> FoundPoints {
        let drive = dynamics.bias.clone();
        let found = Search::default().run(dynamics, &drive, visited.view(), 1);
        found.unwrap()
    }

    /// `h' = tanh(w h)` with w = 2 has the fixed points 0, unstable with eigenvalue 2, and +-h* with h* = tanh(2 h*) =
    /// 0.957504, stable with eigenvalue 2 (1 - h*^2). Two such uncoupled units have the nine pairs.
    #[test]
    fn the_nine_points_of_two_bistable_units() {
        for form in [Form::Rate, Form::Voltage] {
            let dynamics = map(Array2::from_diag_elem(2, 2.0), Activation::Tanh, form);
            let found = search(&dynamics, &states(50, 2, 1.0));
            assert_eq!(
                (found.points.len(), found.end),
                (9, End::NothingNew),
                "{form:?}"
            );
            for point in &found.points {
                assert!(point.is_fixed);
                let rates = dynamics.rates(&point.state);
                let n_zero = rates.iter().filter(|h| h.abs() < 0.5).count();
                assert_eq!(point.n_unstable, n_zero);
                for h in rates {
                    assert!(
                        h.abs() < 1e-9 || (h.abs() - 0.957_504_024).abs() < 1e-8,
                        "{h}"
                    );
                }
            }
            let stable: Vec<_> = found
                .points
                .iter()
                .filter(|point| point.is_stable())
                .collect();
            assert_eq!(stable.len(), 4);
            let expected = 2.0 * (1.0 - 0.957_504_024f64.powi(2));
            assert!((stable[0].modes.values[0].re - expected).abs() < 1e-6);
        }
    }

    /// A linear network without drive has one fixed point, the origin, where its eigenvalues are those of the weights.
    #[test]
    fn a_linear_network_rests_at_the_origin() {
        let w = ndarray::array![[0.5, -0.9], [0.9, 0.5]];
        let dynamics = map(w, Activation::Linear, Form::Voltage);
        let found = search(&dynamics, &states(20, 2, 3.0)).points;
        assert_eq!((found.len(), found[0].hits), (1, 200));
        assert!(found[0].state.iter().all(|v| v.abs() < 1e-9));
        assert!(!found[0].is_stable(), "|0.5 + 0.9 i| = 1.03");
        assert!((found[0].modes.values[0].im.abs() - 0.9).abs() < 1e-9);
    }

    /// A facilitating unit that drives itself is bistable. States (v, u, x) and moduli of the six eigenvalues by numpy: Newton's method on the
    /// map of Masse et al. (2019) from a grid of starts, and central differences of it.
    #[test]
    fn facilitation_holds_a_unit_active() {
        let expected: [(f64, f64, [f64; 6]); 3] = [
            (
                0.109182093368,
                0.369753834793,
                [
                    0.995296797664,
                    0.991330327332,
                    0.961943768539,
                    0.951978402999,
                    0.949654246062,
                    0.918915617684,
                ],
            ),
            (
                14.548959624687,
                3.296528515782,
                [
                    0.973937581394,
                    0.971489533872,
                    0.938411685414,
                    0.912119630169,
                    0.912119630169,
                    0.905924111392,
                ],
            ),
            (
                0.487854040112,
                0.454155510778,
                [
                    1.006720646714,
                    0.990743036831,
                    0.974348990747,
                    0.952500263552,
                    0.949195079907,
                    0.917614813027,
                ],
            ),
        ];
        for form in [Form::Voltage, Form::Rate] {
            let w = ndarray::array![[4.2, -0.5], [0.8, 0.4]];
            let dynamics = Dynamics {
                bias: ndarray::array![0.1, 0.3],
                gain: Array1::from_elem(2, 0.1),
                tau_ms: Array1::from_elem(2, 100.0),
                dt_ms: 10.0,
                synapses: half_plastic(2),
                ..map(w, Activation::Relu, form)
            };
            let visited = Array2::from_shape_fn((40, 2), |(k, i)| [0.4, 0.1][i] * k as f64);
            let mut points = search(&dynamics, &visited).points;
            points.sort_by(|a, b| {
                (a.n_unstable.cmp(&b.n_unstable)).then(a.state[0].total_cmp(&b.state[0]))
            });
            assert_eq!(points.len(), 3, "{form:?}");
            for (point, (first, second, moduli)) in points.iter().zip(expected) {
                assert!(point.is_fixed && point.n_marginal == 0);
                assert!((point.state[0] - first).abs() < 1e-9, "{}", point.state);
                assert!((point.state[1] - second).abs() < 1e-9, "{}", point.state);
                let found: Vec<f64> = point.modes.values.iter().map(|m| m.norm()).collect();
                assert_eq!(found.len(), 6);
                for (found, expected) in found.iter().zip(moduli) {
                    assert!((found - expected).abs() < 1e-8, "{found} {expected}");
                }
                assert_eq!(point.modes.right[0].len(), 2);
            }
            assert_eq!(points[2].n_unstable, 1);
            // Pushed off the unstable point, units and synapses end at either stable one.
            let drive = dynamics.bias.clone();
            let rest = dynamics.rested(&points[2].state.clone().insert_axis(Axis(0)));
            for (push, end) in [(-0.05, 0), (0.05, 1)] {
                let mut states = points[2].state.clone().insert_axis(Axis(0));
                states[[0, 0]] += push;
                let mut synapses = rest.clone();
                for _ in 0..6000 {
                    states = dynamics.next_of_all(&states, &mut synapses, &drive);
                }
                let error = (&states.row(0) - &points[end].state).mapv(f64::abs).sum();
                assert!(error < 1e-6, "{states}");
            }
        }
    }

    /// `h' = h` in two of three dimensions: every point of a plane is fixed and marginal within the plane. A saddle
    /// with a marginal direction is unstable.
    #[test]
    fn a_plane_of_fixed_points_is_marginal() {
        let found = |third: f64| {
            let w = Array2::from_diag(&ndarray::array![1.0, 1.0 + 1e-7, third]);
            search(
                &map(w, Activation::Linear, Form::Voltage),
                &states(40, 3, 1.0),
            )
            .points
        };
        let plane = found(0.5);
        assert!(plane.len() > 30, "{}", plane.len());
        assert!(
            plane
                .iter()
                .all(|point| point.is_marginal() && point.n_marginal == 2)
        );
        for point in found(2.0) {
            assert!(!point.is_stable() && !point.is_marginal());
            assert_eq!((point.n_unstable, point.n_marginal), (1, 2));
        }
    }

    /// `h' = h - eps`: no point is fixed, every point is slow with q = eps^2 / 2.
    #[test]
    fn a_drifting_line_is_slow() {
        let mut dynamics = map(Array2::eye(1), Activation::Linear, Form::Voltage);
        dynamics.bias[0] = -1e-4;
        let found = search(&dynamics, &states(5, 1, 1.0)).points;
        assert!(!found.is_empty());
        let is_slow = |point: &FixedPoint| !point.is_fixed && (point.q - 5e-9).abs() < 1e-15;
        assert!(found.iter().all(is_slow));
    }

    /// Reads a network that was trained to remember three bits.
    fn flip_flop(file: &str) -> Dynamics {
        let path = format!("{}/../../tests/golden/{file}", env!("CARGO_MANIFEST_DIR"));
        let weights = npz::read(std::path::Path::new(&path)).unwrap();
        let values = |name: &str| weights[name].to_f64().unwrap();
        let matrix = |name: &str| {
            let shape = weights[name].shape();
            Array2::from_shape_vec((shape[0], shape[1]), values(name)).unwrap()
        };
        let n = weights["recurrent.bias"].shape()[0];
        Dynamics {
            w_in: matrix("input.weight"),
            bias: values("recurrent.bias").into(),
            w_out: matrix("output.weight"),
            bias_out: values("output.bias").into(),
            gain: Array1::from_elem(n, 0.2),
            tau_ms: Array1::from_elem(n, 100.0),
            dt_ms: 20.0,
            ..map(matrix("recurrent.weight"), Activation::Tanh, Form::Voltage)
        }
    }

    /// Returns the number of points with 0, 1, 2 and 3 unstable directions.
    fn by_unstable_directions(found: &FoundPoints) -> [usize; 4] {
        let fixed = || found.points.iter().filter(|point| point.is_fixed);
        [0, 1, 2, 3].map(|d| fixed().filter(|point| point.n_unstable == d).count())
    }

    /// A cube of eight stable points has twelve edges, six faces and a centre, with a saddle in each. Networks trained by
    ///
    /// ```text
    /// train-ctrnn train configs/tasks/flip_flop.toml model.n_units=100 '~train.stop' train.steps=3000
    /// ```
    ///
    /// have just these.
    fn assert_27_points(network: &Dynamics, visited: &Array2<f64>) {
        let found = search(network, visited);
        assert_eq!(by_unstable_directions(&found), [8, 12, 6, 1]);
        assert_eq!((found.points.len(), found.end), (27, End::NothingNew));
        let hits: usize = found.points.iter().map(|point| point.hits).sum();
        assert!(found.n_starts <= 2000 && hits <= found.n_starts);
    }

    /// Returns the states of a network after a pulse on each of the three inputs.
    fn after_pulses(network: &Dynamics) -> Array2<f64> {
        let after_pulse = |k: usize| {
            let pulse = Array1::from_shape_fn(3, |bit| f64::from((k >> bit & 1) as i8 * 2 - 1));
            let drive = network.input_drive(&pulse);
            let rest = Array1::zeros(network.n_units());
            (0..5).fold(rest, |state, _| network.next(&state, &drive))
        };
        let corners: Vec<_> = (0..8).map(after_pulse).collect();
        Array2::from_shape_fn((8, network.n_units()), |(k, i)| corners[k][i])
    }

    #[test]
    fn the_27_points_of_three_bits() {
        let network = flip_flop("flip_flop.npz");
        assert_27_points(&network, &after_pulses(&network));
    }

    /// Starts spread by themselves if all visited states are the same.
    #[test]
    fn the_27_points_from_one_state() {
        assert_27_points(&flip_flop("flip_flop.npz"), &Array2::zeros((8, 24)));
    }

    #[test]
    #[ignore = "takes minutes without optimisation, seconds with --release"]
    fn the_27_points_of_100_units() {
        let network = flip_flop("flip_flop_100.npz");
        assert_27_points(&network, &after_pulses(&network));
        assert_27_points(&network, &Array2::zeros((8, 100)));
    }

    /// `v' = v + 0.2 (1.5 max(v, 0) + 1 - v)` grows without bound from any v; 3 radii from the mean are left at the step
    /// found by iteration.
    #[test]
    fn states_that_run_away_are_timed() {
        let mut dynamics = map(ndarray::array![[1.5]], Activation::Relu, Form::Voltage);
        dynamics.gain[0] = 0.2;
        dynamics.bias[0] = 1.0;
        let visited = ndarray::array![[0.0], [1.0]];
        let found = search(&dynamics, &visited);
        assert!(found.points.is_empty());
        // Mean 0.5; standard deviation 0.5, twice which is the radius.
        let (mut v, mut step) = (1.0f64, 0);
        while (v - 0.5).abs() <= 3.0 {
            v += 0.2 * (1.5 * v + 1.0 - v);
            step += 1;
        }
        assert_eq!(found.followed.divergence(), Some((2, step - 1)));
    }
}
