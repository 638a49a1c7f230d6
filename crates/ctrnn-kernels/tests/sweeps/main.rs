//! The sweeps on every path of this CPU, against a plain loop in f64 and its differences.

mod network;

use ctrnn_kernels::{Activation, Element, Form, KernelPath, NoiseTarget, Shape, Workspace};
use network::{Kind, Network, Normals, PARAMETERS, distance};

const fn shape(trials: usize, steps: usize, inputs: usize, units: usize, outputs: usize) -> Shape {
    Shape {
        trials,
        steps,
        inputs,
        units,
        outputs,
    }
}

/// Odd sizes: one unit, less than a vector, a vector and one, several; one trial and a part of a tile; one time step; no inputs
/// or outputs.
const SHAPES: [Shape; 8] = [
    shape(1, 1, 1, 1, 1),
    shape(5, 7, 0, 3, 2),
    shape(5, 1, 2, 17, 1),
    shape(1, 9, 5, 17, 0),
    shape(9, 6, 3, 100, 3),
    shape(5, 70, 9, 17, 5),
    shape(37, 3, 0, 33, 1),
    shape(5, 2, 4, 257, 2),
];

fn plain(shape: Shape) -> Kind {
    Kind {
        shape,
        form: Form::Voltage,
        activation: Activation::Tanh,
        noise_target: NoiseTarget::State,
        normals: Normals::None,
        per_trial: false,
    }
}

/// Both forms and every noise target, activation, noise source and kind of initial state with each other's values.
fn kinds(shape: Shape) -> Vec<Kind> {
    let mut kinds = Vec::new();
    for (form, noise_target) in [
        (Form::Voltage, NoiseTarget::State),
        (Form::Rate, NoiseTarget::State),
        (Form::Rate, NoiseTarget::Drive),
    ] {
        for (a, activation) in Activation::ALL.into_iter().enumerate() {
            kinds.push(Kind {
                shape,
                form,
                activation,
                noise_target,
                normals: [Normals::Drawn, Normals::Given, Normals::None][a % 3],
                per_trial: a % 2 == 1,
            });
        }
    }
    kinds
}

/// Runs `check` on each path of this CPU and says which were tested.
fn on_each_path(check: impl Fn(KernelPath)) {
    for path in KernelPath::ALL {
        if path.is_available() {
            check(path);
            println!("kernel path {path}: tested");
        } else {
            println!("kernel path {path}: SKIPPED, this CPU has no such instructions");
        }
    }
}

fn assert_close<A: Element, B: Element>(what: &str, a: &[A], b: &[B], limit: f64, kind: &Kind, path: KernelPath) {
    let distance = distance(a, b);
    assert!(distance < limit, "{what} differ by {distance:.1e} on {path} for {kind:?}");
}

fn forward_is_the_reference<E: Element>(kind: Kind, path: KernelPath, limit: f64) {
    let network = Network::random(kind);
    let expected = network.reference();
    let results = network.to::<E>().forward(&Workspace::new(path));
    let close = |what, a: &[E], b: &[f64]| assert_close(what, a, b, limit, &kind, path);
    close("rates", &results.rates, &expected.rates);
    close("potentials", &results.potentials, &expected.potentials);
    close("outputs", &results.outputs, &expected.outputs);
    close("final states", &results.final_state, &expected.final_state);
    if kind.form == Form::Rate {
        close("responses", &results.responses, &expected.responses);
    }
}

/// Gradients of every parameter on `path` in `E` against those of the portable path in f64.
fn gradients_are_portable<E: Element>(kind: Kind, path: KernelPath, limit: f64) {
    let network = Network::random(kind);
    let portable = Workspace::new(KernelPath::Portable);
    let expected = network.gradients(&network.forward(&portable), &portable);
    let (network, workspace) = (network.to::<E>(), Workspace::new(path));
    let gradients = network.gradients(&network.forward(&workspace), &workspace);
    for p in 0..PARAMETERS.len() {
        assert_close(PARAMETERS[p], &gradients[p], &expected[p], limit, &kind, path);
    }
}

#[test]
fn forward_follows_the_equations() {
    on_each_path(|path| {
        for kind in SHAPES.map(plain).into_iter().chain(kinds(shape(5, 6, 2, 17, 2))) {
            forward_is_the_reference::<f64>(kind, path, 1e-13);
            forward_is_the_reference::<f32>(kind, path, 3e-6);
        }
    });
}

#[test]
fn gradients_agree_between_paths() {
    on_each_path(|path| {
        for kind in SHAPES.map(plain).into_iter().chain(kinds(shape(5, 6, 2, 17, 2))) {
            gradients_are_portable::<f64>(kind, path, 1e-12);
            gradients_are_portable::<f32>(kind, path, 1e-5);
        }
    });
}

/// Each gradient of the portable path in f64 against central differences of the plain loop: error O(h^2) = 1e-10 times third
/// derivatives of order 1 to 10, and rounding 1e-16 / h = 1e-11 times a loss of order 10.
#[test]
fn gradients_are_central_differences() {
    const H: f64 = 1e-5;
    let workspace = Workspace::new(KernelPath::Portable);
    for kind in kinds(shape(2, 5, 2, 3, 2)) {
        let network = Network::random(kind);
        let gradients = network.gradients(&network.forward(&workspace), &workspace);
        for p in 0..PARAMETERS.len() {
            let mut differences = Vec::new();
            for i in 0..network.parameters[p].len() {
                let loss_at = |shift: f64| {
                    let mut moved = network.clone();
                    moved.parameters[p][i] += shift;
                    moved.loss()
                };
                differences.push((loss_at(H) - loss_at(-H)) / (2.0 * H));
            }
            assert_close(PARAMETERS[p], &gradients[p], &differences, 1e-7, &kind, KernelPath::Portable);
        }
    }
}
