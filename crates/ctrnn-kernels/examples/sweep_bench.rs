//! Times the sweeps alone: one forward and one backward sweep with the gradients of every weight.
//!
//! ```text
//! cargo run --release -p ctrnn-kernels --example sweep_bench -- [seconds per shape] [activation] [sigma=S] [rank=R] [shortest=F] [plastic] [moments] [omega] [f64] [shape...]
//! ```
//!
//! A shape is a letter of the table or `B,T,N,I,O`. With `rank=R` the recurrent matrix is the product of two factors of that rank;
//! `plastic` gives the synapses short-term plasticity; with `shortest=F` trials end after F T to T time steps, evenly spread and in no
//! order, and the sum of their lengths is printed beside that of whole trials; `moments` sums the rates of each unit and takes gradients of
//! the sums back; `omega` computes the vanishing-gradient penalty. `RAYON_NUM_THREADS` sets the threads, `CTRNN_KERNEL` the path. It prints
//! the fastest and the median of the repetitions in ms, forward and backward apart, and the GFLOP/s of the fastest.

use std::time::{Duration, Instant};

use ctrnn_kernels::{
    Activation, DrawAddress, Form, GradientSlices, KernelPath, NoiseSource, NoiseTarget, OmegaTerm,
    Operands, Saved, Shape, SweepElement, SweepSlices, SynapseConstants, TrajectorySlices,
    TrialLengths, UnitState, UpstreamSlices, Workspace, backward, backward_with_omega, forward,
    kept_synapses,
};
use ctrnn_random::{Key, Rng, Stream};

const SHAPES: [(&str, [usize; 5]); 9] = [
    ("S", [32, 100, 64, 3, 2]),
    ("M", [64, 200, 128, 6, 3]),
    ("L", [128, 200, 256, 6, 3]),
    ("XL", [256, 300, 512, 85, 33]),
    ("LONG", [16, 1000, 100, 3, 2]),
    ("W512", [64, 100, 512, 6, 3]),
    ("W1024", [64, 50, 1024, 6, 3]),
    ("T512", [64, 200, 512, 6, 3]),
    ("T2048", [64, 200, 2048, 6, 3]),
];

fn main() {
    let mut limit = Duration::from_secs(1);
    let (mut activation, mut sigma, mut rank) = (Activation::Relu, 0.0, 0);
    let (mut double, mut plastic, mut shortest) = (false, false, 1.0);
    let mut terms = Terms::default();
    let mut shapes = Vec::new();
    for argument in std::env::args().skip(1) {
        if let Some(a) = Activation::from_name(&argument) {
            activation = a;
        } else if argument == "f64" {
            double = true;
        } else if argument == "plastic" {
            plastic = true;
        } else if argument == "moments" {
            terms.moments = true;
        } else if argument == "omega" {
            terms.omega = true;
        } else if let Some(sizes) = sizes(&argument) {
            shapes.push((argument, sizes));
        } else if let Some(s) = argument.strip_prefix("sigma=") {
            sigma = s.parse().expect("sigma is a number");
        } else if let Some(r) = argument.strip_prefix("rank=") {
            rank = r.parse().expect("the rank is a number");
        } else if let Some(f) = argument.strip_prefix("shortest=") {
            shortest = f.parse().expect("the shortest length is a number");
        } else {
            limit = Duration::from_secs_f64(
                argument.parse().expect("a shape, an activation or seconds"),
            );
        }
    }
    if shapes.is_empty() {
        shapes = SHAPES
            .map(|(name, sizes)| (name.to_owned(), shape(sizes)))
            .to_vec();
    }
    let path = KernelPath::selected().unwrap_or_else(|error| panic!("{error}"));
    let threads = rayon::current_num_threads();
    println!(
        "{path}, {threads} threads, {}, sigma {sigma}, rank {rank}{}",
        activation.name(),
        if plastic { ", plastic" } else { "" }
    );
    println!("shape          min     fwd     bwd  median   GFLOP/s");
    for (name, sizes) in shapes {
        let shape = Shape {
            rank,
            without_full: rank > 0,
            synapses: if plastic { sizes.units } else { 0 },
            ..sizes
        };
        if double {
            bench::<f64>(
                &name,
                shape,
                activation,
                [sigma, shortest],
                terms,
                limit,
                path,
            );
        } else {
            bench::<f32>(
                &name,
                shape,
                activation,
                [sigma, shortest],
                terms,
                limit,
                path,
            );
        }
    }
}

/// Terms of the objective that are computed within the sweeps.
#[derive(Clone, Copy, Default)]
struct Terms {
    moments: bool,
    omega: bool,
}

fn sizes(argument: &str) -> Option<Shape> {
    if let Some((_, sizes)) = SHAPES.iter().find(|(name, _)| *name == argument) {
        return Some(shape(*sizes));
    }
    let sizes: Vec<usize> = argument
        .split(',')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    sizes.try_into().ok().map(shape)
}

fn shape([trials, steps, units, inputs, outputs]: [usize; 5]) -> Shape {
    Shape {
        trials,
        steps,
        inputs,
        units,
        outputs,
        ..Shape::default()
    }
}

/// Returns lengths spread evenly from `shortest` times T to T; `None` if all are T.
fn lengths(shape: &Shape, shortest: f64) -> Option<Vec<usize>> {
    if shortest >= 1.0 {
        return None;
    }
    let Shape { trials, steps, .. } = *shape;
    let length = |rank: usize| {
        let share = shortest + (1.0 - shortest) * (rank + 1) as f64 / trials as f64;
        ((share * steps as f64).round() as usize).clamp(1, steps)
    };
    let stride = (1..trials)
        .rev()
        .find(|k| 5 * k < 3 * trials && gcd(*k, trials) == 1);
    let stride = stride.unwrap_or(1);
    let all: Vec<usize> = (0..trials).map(|b| length(b * stride % trials)).collect();
    let sum: usize = all.iter().sum();
    println!(
        "lengths: {:.3} of whole trials",
        sum as f64 / (trials * steps) as f64
    );
    Some(all)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn bench<E: SweepElement>(
    name: &str,
    shape: Shape,
    activation: Activation,
    [sigma, shortest]: [f64; 2],
    terms: Terms,
    limit: Duration,
    path: KernelPath,
) {
    let Shape {
        trials,
        steps,
        inputs,
        units,
        outputs,
        rank,
        ..
    } = shape;
    let lengths = lengths(&shape, shortest);
    let mut rng = Rng::new(Key::new(1, Stream::Weights, 0), 0, 0);
    let mut random = |n: usize, scale: f64| -> Vec<E> {
        (0..n)
            .map(|_| E::from_f64(scale * f64::from(rng.normal())))
            .collect()
    };
    let (w_in, w_rc, w_out) = (
        random(units * inputs, 0.3),
        random(shape.full_rows() * units, 0.8 / (units as f64).sqrt()),
        random(outputs * units, 0.1),
    );
    let (left, right) = (random(units * rank, 1.0), random(units * rank, 1.0));
    let (bias, bias_out) = (random(units, 0.1), random(outputs, 0.1));
    let (u, dy) = (
        random(steps * trials * inputs, 1.0),
        random(steps * trials * outputs, 1e-3),
    );
    let initial = vec![E::default(); trials * units];
    let of_units = |value: f64| vec![E::from_f64(value); shape.synapses];
    let of_trials = |value: f64| vec![E::from_f64(value); trials * shape.synapses];
    let (utilisation, resources) = (of_trials(0.15), of_trials(1.0));
    // Facilitating synapses at dt 10 ms.
    let synapses = SynapseConstants {
        baseline: of_units(0.15),
        utilisation_gain: of_units(10.0 / 1500.0),
        resources_gain: of_units(10.0 / 200.0),
        spikes: of_units(0.01),
    };
    let (decay, gain) = (vec![E::from_f64(0.8); units], vec![E::from_f64(0.2); units]);
    let noise_scale = vec![E::from_f64(0.2 * sigma); units];
    let sweep = SweepSlices {
        shape,
        form: Form::Voltage,
        activation,
        noise_target: NoiseTarget::State,
        operands: Operands {
            inputs: &u,
            w_in: &w_in,
            w_rc: &w_rc,
            left: &left,
            right: &right,
            bias: &bias,
            w_out: &w_out,
            bias_out: &bias_out,
            decay: &decay,
            gain: &gain,
            noise_scale: &noise_scale,
            initial_state: UnitState {
                activity: &initial,
                utilisation: &utilisation,
                resources: &resources,
            },
        }
        .map(Vec::as_slice),
        synapses: synapses.each_ref().map(Vec::as_slice),
        eps: NoiseSource::Drawn(DrawAddress {
            key: Key::new(1, Stream::Eps, 0),
            step: 0,
            first_trial: 0,
            first_time_block: 0,
        }),
        xi: NoiseSource::None,
        sigma_post: E::default(),
        delays: None,
        lengths: lengths.as_deref().map(TrialLengths::new),
        rate_terms: &[],
    };
    let zeros = |n: usize| vec![E::default(); n];
    let (mut rates, mut y) = (zeros(shape.history()), zeros(steps * trials * outputs));
    let [mut u_kept, mut x_kept] = [(); 2].map(|()| zeros(kept_synapses(&shape, None)));
    let (mut d_in, mut d_rc, mut d_out) =
        (zeros(w_in.len()), zeros(w_rc.len()), zeros(w_out.len()));
    let (mut d_left, mut d_right) = (zeros(left.len()), zeros(right.len()));
    let (mut d_bias, mut d_bias_out, mut d_initial) =
        (zeros(units), zeros(outputs), zeros(initial.len()));
    let mut moments = [(); 3].map(|()| zeros(units));
    let of_moments = random(units, 1e-6);
    let of_moments = terms.moments.then_some(&of_moments[..]);
    let omega = OmegaTerm {
        weight: 1e-6,
        bound: 1e-20,
        slopes_after: false,
    };
    let workspace = Workspace::new(path);
    let (mut best, mut totals) = ([f64::INFINITY; 2], Vec::new());
    let start = Instant::now();
    while start.elapsed() < limit || totals.len() < 3 {
        let begin = Instant::now();
        let record = TrajectorySlices {
            rates: Some(&mut rates),
            outputs: Some(&mut y),
            kept_synapses: Some([&mut u_kept, &mut x_kept]),
            moments: (terms.moments).then(|| moments.each_mut().map(Vec::as_mut_slice)),
            ..TrajectorySlices::default()
        };
        forward(&sweep, record, &workspace);
        let middle = Instant::now();
        let saved = Saved {
            rates: &rates,
            synapses: Some([&u_kept, &x_kept]),
            ..Saved::default()
        };
        let upstream = UpstreamSlices {
            outputs: Some(&dy),
            rate_sums: of_moments,
            rate_sizes: of_moments,
            rate_squares: of_moments,
            ..UpstreamSlices::default()
        };
        let gradients = GradientSlices {
            w_in: Some(&mut d_in),
            w_rc: Some(&mut d_rc),
            left: Some(&mut d_left),
            right: Some(&mut d_right),
            bias: Some(&mut d_bias),
            w_out: Some(&mut d_out),
            bias_out: Some(&mut d_bias_out),
            initial_state: UnitState {
                activity: Some(&mut d_initial),
                ..UnitState::default()
            },
            ..GradientSlices::default()
        };
        if terms.omega {
            backward_with_omega(&sweep, &saved, &upstream, gradients, &omega, &workspace);
        } else {
            backward(&sweep, &saved, &upstream, gradients, &workspace);
        }
        let times = [middle - begin, middle.elapsed()].map(|time| time.as_secs_f64() * 1e3);
        best = [best[0].min(times[0]), best[1].min(times[1])];
        totals.push(times[0] + times[1]);
    }
    totals.sort_by(f64::total_cmp);
    let min = totals[0];
    // Two products with each factor forward and backward, and two for its gradient; the projections are computed once more.
    let recurrent = 6 * shape.full_rows() + 14 * rank;
    let flops = trials * steps * units * (recurrent + 4 * inputs + 6 * outputs);
    println!(
        "{name:<9} {min:8.3} {:7.3} {:7.3} {:7.3} {:9.1}",
        best[0],
        best[1],
        totals[totals.len() / 2],
        flops as f64 / min / 1e6
    );
}
