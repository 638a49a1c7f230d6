//! Flow fields: where the dynamics lead on a plane through the state space.

use ndarray::{Array1, Array2, Array3, ArrayView2};

use crate::Dynamics;

/// The movement of states on a grid in a plane, seen in that plane.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Places along the two axes, `[n]` each.
    pub places: [Array1<f64>; 2],
    /// `[n, n, 2]`: movement per ms along the axes at `[second axis, first axis]`.
    pub velocity: Array3<f64>,
    /// `[n, n]`: Euclidean length per ms of the movement of the whole state.
    pub speed: Array2<f64>,
}

/// Where a time step under a constant input (`input_drive = W_in u + b`) takes the states `origin + a_1 e_1 + a_2 e_2` of a
/// plane: `axes [2, N]` orthonormal, `ranges` those of a_1 and a_2.
pub fn flow(
    dynamics: &Dynamics,
    input_drive: &Array1<f64>,
    origin: &Array1<f64>,
    axes: ArrayView2<f64>,
    ranges: [[f64; 2]; 2],
    n: usize,
) -> Flow {
    let places = ranges.map(|[low, high]| Array1::linspace(low, high, n));
    let mut velocity = Array3::zeros((n, n, 2));
    let mut speed = Array2::zeros((n, n));
    for i in 0..n {
        for j in 0..n {
            let along = [
                axes.row(0).mapv(|e| e * places[0][j]),
                axes.row(1).mapv(|e| e * places[1][i]),
            ];
            let state = origin + &along[0] + &along[1];
            let moved = (dynamics.next(&state, input_drive) - &state) / dynamics.dt_ms;
            for k in 0..2 {
                velocity[[i, j, k]] = axes.row(k).dot(&moved);
            }
            speed[[i, j]] = moved.dot(&moved).sqrt();
        }
    }
    Flow {
        places,
        velocity,
        speed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dynamics::tests::map;
    use ctrnn_model::{Activation, Form};

    /// `v' = 0`: within a step of 20 ms a unit at 1 moves by -1; the third unit, at 2, lies outside of the plane but counts in the speed.
    #[test]
    fn states_fall_to_the_origin() {
        let dynamics = map(Array2::zeros((3, 3)), Activation::Tanh, Form::Voltage);
        let (origin, axes) = (ndarray::array![0.0, 0.0, 2.0], Array2::eye(3));
        let drive = Array1::zeros(3);
        let plane = axes.slice(ndarray::s![..2, ..]);
        let flow = flow(
            &dynamics,
            &drive,
            &origin,
            plane,
            [[-1.0, 1.0], [0.0, 2.0]],
            3,
        );
        assert_eq!(flow.velocity[[1, 2, 0]], -1.0 / 20.0);
        assert_eq!(flow.velocity[[1, 2, 1]], -1.0 / 20.0);
        assert!((flow.speed[[1, 2]] - 6f64.sqrt() / 20.0).abs() < 1e-12);
    }
}
