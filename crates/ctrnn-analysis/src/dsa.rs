//! Dynamical similarity analysis (DSA): similarity of the dynamics of two networks, independent of coordinates.

use ndarray::{Array2, ArrayView2, ArrayView3};

use crate::Unsuitable;
use crate::linear_algebra::{NotConverged, eigen, least_squares, svd};
use faer::c64;

/// Fits the reduced-rank linear map of one time step among delay-embedded states.
///
/// Vectors of the last `n_delays` states of a trial are projected on their first `rank` principal directions, and the
/// map to the next one is fitted by least squares: dynamic mode decomposition of a Hankel matrix. States that are 0
/// throughout give an empty map.
///
/// # Errors
/// If no trial is longer than `n_delays`, or a decomposition does not converge.
///
/// # References
/// Brunton et al. (2017), Chaos as an intermittently forced linear system (HAVOK); Arbabi & Mezic (2017), Hankel DMD.
pub fn delay_dynamics(
    trials: &[ArrayView2<f64>],
    n_delays: usize,
    rank: usize,
) -> Result<Array2<f64>, Unsuitable> {
    let (embedded, pairs) = embedded(trials, n_delays);
    if pairs.is_empty() {
        let least = n_delays + 1;
        return Err(Unsuitable::Lacks(format!(
            "dynamical similarity of {n_delays} delays needs trials of at least {least} time steps"
        )));
    }
    let found = svd(embedded.view())?;
    let largest = found.s.iter().copied().fold(0.0, f64::max);
    // Directions with smaller singular values contain only rounding errors.
    let rank = rank.min(found.s.iter().filter(|s| **s > 1e-10 * largest).count());
    let mut seen = found.u.slice(ndarray::s![.., ..rank]).to_owned();
    seen *= &found.s.slice(ndarray::s![..rank]);
    let pick = |side: fn(&(usize, usize)) -> usize| {
        let rows: Vec<usize> = pairs.iter().map(side).collect();
        seen.select(ndarray::Axis(0), &rows)
    };
    let (before, after) = (pick(|pair| pair.0), pick(|pair| pair.1));
    if rank == 0 {
        return Ok(Array2::zeros((0, 0)));
    }
    Ok(least_squares(before.view(), after.view())?.t().to_owned())
}

/// Returns the vectors of the last `n_delays` states, one per row, and the pairs of rows that follow one another.
fn embedded(trials: &[ArrayView2<f64>], n_delays: usize) -> (Array2<f64>, Vec<(usize, usize)>) {
    let n_units = trials.first().map_or(0, ArrayView2::ncols);
    let mut rows: Vec<f64> = Vec::new();
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    let mut n_rows = 0;
    for trial in trials {
        for t in n_delays.saturating_sub(1)..trial.nrows() {
            for d in 0..n_delays {
                rows.extend(trial.row(t - d));
            }
            if t + 1 < trial.nrows() {
                pairs.push((n_rows, n_rows + 1));
            }
            n_rows += 1;
        }
    }
    let embedded =
        Array2::from_shape_vec((n_rows, n_delays * n_units), rows).expect("rows of one width");
    (embedded, pairs)
}

/// Computes the distance between two maps `[k, k]` up to an orthogonal change of coordinates C: the angle, in [0, pi],
///
/// ```text
/// min over C of arccos( <C A C', B> / (|A| |B|) )
/// ```
///
/// It is found by gradient ascent on the orthogonal matrices, including reflections, from several initial values: the
/// identity, the singular vectors of both symmetric parts, matched in order, and the eigenvector frames under several
/// choices of sign. Two maps that are zero or empty have the distance 0; such a map and any other have pi / 2.
///
/// # Errors
/// [`NotConverged`] if a decomposition does not converge.
///
/// # References
/// Ostrow, Eisen, Kozachkov & Fiete (2023), Beyond geometry: comparing the temporal structure of computation in neural circuits with
/// dynamical similarity analysis.
pub fn dynamical_distance(a: ArrayView2<f64>, b: ArrayView2<f64>) -> Result<f64, NotConverged> {
    let k = a.nrows().max(b.nrows());
    let (a, b) = (padded(a, k), padded(b, k));
    match [norm(&a), norm(&b)].map(|norm| norm > 0.0) {
        [true, true] => {}
        [false, false] => return Ok(0.0),
        _ => return Ok(std::f64::consts::FRAC_PI_2),
    }
    let scale = norm(&a) * norm(&b);
    let mut best = f64::NEG_INFINITY;
    for start in beginnings(&a, &b)? {
        best = best.max(ascend(&a, &b, start)? / scale);
    }
    Ok(best.clamp(-1.0, 1.0).acos())
}

fn norm(a: &Array2<f64>) -> f64 {
    a.mapv(|x| x * x).sum().sqrt()
}

fn padded(a: ArrayView2<f64>, k: usize) -> Array2<f64> {
    Array2::from_shape_fn((k, k), |(i, j)| {
        if i < a.nrows() && j < a.ncols() {
            a[[i, j]]
        } else {
            0.0
        }
    })
}

/// Returns initial values of C: the identity, matches of the eigenvector frames of both maps under random signs, and
/// that of their symmetric parts.
fn beginnings(a: &Array2<f64>, b: &Array2<f64>) -> Result<Vec<Array2<f64>>, NotConverged> {
    let k = a.nrows();
    let mut found = vec![Array2::eye(k)];
    let (frame_a, frame_b) = (frame(a)?, frame(b)?);
    let mut rng = ctrnn_random::Rng::new(
        ctrnn_random::Key::new(0, ctrnn_random::Stream::Eval, 3),
        0,
        0,
    );
    for trial in 0..24 {
        let signs: Vec<f64> = (0..k)
            .map(|_| {
                if trial > 0 && rng.uniform() < 0.5 {
                    -1.0
                } else {
                    1.0
                }
            })
            .collect();
        let turned = &frame_b * &ndarray::Array1::from(signs);
        found.push(turned.dot(&frame_a.t()));
    }
    let symmetric = |m: &Array2<f64>| svd((m + &m.t()).view()).map(|s| s.u);
    found.push(symmetric(b)?.dot(&symmetric(a)?.t()));
    Ok(found)
}

/// Returns orthonormal vectors that span the eigenvectors in order of falling modulus, as in a real Schur form.
fn frame(a: &Array2<f64>) -> Result<Array2<f64>, NotConverged> {
    let found = eigen(a.view())?;
    let k = a.nrows();
    let columns: Vec<Vec<f64>> = (0..k)
        .map(|j| {
            let is_second = found.values[j].im < 0.0;
            let part = |z: &c64| if is_second { z.im } else { z.re };
            found.vectors.column(j).iter().map(part).collect()
        })
        .collect();
    let spanning = Array2::from_shape_fn((k, k), |(i, j)| columns[j][i]);
    Ok(crate::linear_algebra::qr(spanning.view()).0)
}

/// Maximises `<C A C', B>` by gradient ascent from an initial C.
///
/// The gradient at C is `G = B C A' + B' C A`. After each step along it, C is replaced by the nearest orthogonal
/// matrix.
fn ascend(a: &Array2<f64>, b: &Array2<f64>, mut c: Array2<f64>) -> Result<f64, NotConverged> {
    let value = |c: &Array2<f64>| (c.dot(a).dot(&c.t()) * b).sum();
    let mut best = value(&c);
    let mut rate = 1.0 / (norm(a) * norm(b)).max(1e-300);
    for _ in 0..200 {
        let gradient = b.dot(&c).dot(&a.t()) + b.t().dot(&c).dot(a);
        let found = svd((&c + &(&gradient * rate)).view())?;
        let next = found.u.dot(&found.v.t());
        let reached = value(&next);
        if reached > best {
            let gained = reached - best;
            (c, best) = (next, reached);
            rate *= 2.0;
            if gained < 1e-12 * best.abs().max(1e-300) {
                break;
            }
        } else {
            rate *= 0.5;
            if rate < 1e-12 {
                break;
            }
        }
    }
    Ok(best)
}

/// Computes the [`dynamical_distance`] of the [`delay_dynamics`] of two sets of trials `[trial, time, unit]`.
///
/// # Errors
/// If no trial is longer than `n_delays`, or a decomposition does not converge.
pub fn dsa(
    x: ArrayView3<f64>,
    y: ArrayView3<f64>,
    n_delays: usize,
    rank: usize,
) -> Result<f64, Unsuitable> {
    let of = |states: ArrayView3<f64>| {
        let trials: Vec<Array2<f64>> = states.outer_iter().map(|trial| trial.to_owned()).collect();
        let views: Vec<_> = trials.iter().map(|trial| trial.view()).collect();
        delay_dynamics(&views, n_delays, rank)
    };
    Ok(dynamical_distance(of(x)?.view(), of(y)?.view())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear_algebra::{eigenvalues, qr};
    use ndarray::{Array3, array};

    fn orthogonal(n: usize, phase: f64) -> Array2<f64> {
        qr(Array2::from_shape_fn((n, n), |(i, j)| ((i * n + j) as f64 * 1.7 + phase).sin()).view())
            .0
    }

    fn trials(w: &Array2<f64>) -> Array3<f64> {
        let n = w.nrows();
        let mut states = Array3::zeros((6, 20, n));
        for b in 0..6 {
            let mut v = Array2::from_shape_fn((n, 1), |(i, _)| ((b * n + i) as f64 * 0.9).cos());
            for t in 0..20 {
                v = w.dot(&v);
                states.slice_mut(ndarray::s![b, t, ..]).assign(&v.column(0));
            }
        }
        states
    }

    #[test]
    fn a_linear_map_is_found_again() {
        let w = array![[0.9, -0.3, 0.0], [0.3, 0.9, 0.1], [0.0, 0.0, 0.5]];
        let states = trials(&w);
        let views: Vec<Array2<f64>> = states.outer_iter().map(|t| t.to_owned()).collect();
        let views: Vec<_> = views.iter().map(|t| t.view()).collect();
        let found = delay_dynamics(&views, 1, 3).unwrap();
        let (a, b) = (
            eigenvalues(found.view()).unwrap(),
            eigenvalues(w.view()).unwrap(),
        );
        assert!(
            a.iter().zip(&b).all(|(a, b)| (a - b).norm() < 1e-6),
            "{a:?} {b:?}"
        );
    }

    #[test]
    fn a_rotated_copy_is_the_same_dynamics() {
        let w = Array2::from_shape_fn((5, 5), |(i, j)| {
            0.6 * ((5 * i + j) as f64 * 1.1).sin() + if i == j { 0.5 } else { 0.0 }
        });
        let w = &w / 1.3;
        for phase in [0.3, 1.9] {
            let turn = orthogonal(5, phase);
            let turned = turn.dot(&w).dot(&turn.t());
            let angle = dynamical_distance(w.view(), turned.view()).unwrap();
            assert!(angle < 1e-3, "{angle}");
        }
        let (x, turn) = (trials(&w), orthogonal(5, 0.7));
        let flat = x.to_shape((120, 5)).unwrap().dot(&turn.t());
        let y = flat.into_shape_with_order((6, 20, 5)).unwrap();
        assert!(dsa(x.view(), y.view(), 3, 5).unwrap() < 1e-3);
    }

    /// Trials must be longer than the delays; one pair of successive states suffices.
    #[test]
    fn short_trials_and_silence() {
        let w = array![[0.9, -0.3], [0.3, 0.9]];
        let short = |n_steps: usize| trials(&w).slice(ndarray::s![.., ..n_steps, ..]).to_owned();
        for n_steps in 0..=5 {
            let why = dsa(short(n_steps).view(), short(n_steps).view(), 5, 10).unwrap_err();
            assert!(why.to_string().contains("at least 6 time steps"), "{why}");
        }
        for n_steps in [6, 7, 8] {
            let few = short(n_steps).slice(ndarray::s![..1, .., ..]).to_owned();
            assert!(dsa(few.view(), few.view(), 5, 10).unwrap() < 1e-3);
        }
        let silent = Array3::zeros((6, 20, 2));
        assert_eq!(dsa(silent.view(), silent.view(), 3, 5), Ok(0.0));
        let quarter = std::f64::consts::FRAC_PI_2;
        assert_eq!(dsa(silent.view(), trials(&w).view(), 3, 5), Ok(quarter));
    }

    /// A Jordan block has only one eigenvector, but its distance to itself must still be 0.
    #[test]
    fn defective_maps_are_compared() {
        let jordan = array![[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [0.0, 0.0, 0.5]];
        assert!(dynamical_distance(jordan.view(), jordan.view()).unwrap() < 1e-6);
        let nilpotent = array![[0.0, 1.0], [0.0, 0.0]];
        let angle = dynamical_distance(nilpotent.view(), Array2::eye(2).view()).unwrap();
        assert!(
            (angle - std::f64::consts::FRAC_PI_2).abs() < 1e-9,
            "{angle}"
        );
    }

    /// Rotations by 90 degrees to the left and to the right are mirror images; a rotation by 90 degrees and the
    /// identity are orthogonal.
    #[test]
    fn angles_by_hand() {
        let left = array![[0.0, -1.0], [1.0, 0.0]];
        let right = array![[0.0, 1.0], [-1.0, 0.0]];
        assert!(dynamical_distance(left.view(), right.view()).unwrap() < 1e-6);
        let none = dynamical_distance(left.view(), Array2::eye(2).view()).unwrap();
        assert!((none - std::f64::consts::FRAC_PI_2).abs() < 1e-9);
    }
}
