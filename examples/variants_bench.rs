//! Measures the cost of each variant of a network and of each term of the loss: the time of a whole training step at 128 units, 64 trials and 200
//! time steps, relative
//! to the network without constraints.
//!
//! ```text
//! cargo run --release --example variants_bench -- --visits 40
//! ```
//!
//! All networks are trained in one process, a few steps of each in turn, and the shortest step of all visits counts, so that what
//! else happens on the machine touches all of them alike. A variant that draws noise is compared with the plain network and
//! with the network whose units share one sigma.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use burn::backend::{Autodiff, NdArray};
use clap::Parser;
use ctrnn::config::{Run, RunConfig};
use ctrnn::files::{Array, npz};
use ctrnn::runs::{registry, trainer_at};
use ctrnn::train::Trainer;

type Backend = Autodiff<NdArray<f32>>;

const N: usize = 128;

/// 3 inputs, 128 units, 3 outputs, 200 time steps, 64 trials; steps so small that no network changes what it does.
const PLAIN: &str = "seed = 1
    [task.perceptual_decision]
    fixation_ms = 100
    stimulus_ms = 3800
    response_ms = 100
    [validate]
    trials = 1
    every_steps = 0
    [train]
    batch_size = 64
    clip_grad_norm = 1
    log_every = 1000000
    steps = 1000000
    optimizer = { lr = 1e-9 }";

/// Name, and what is set besides `PLAIN`; `FILE` stands for a file of connections or a covariance, `TINY` for a coefficient.
const VARIANTS: &[(&str, &[&str])] = &[
    ("plain", &[]),
    ("Dale abs", &["model.dale.parametrization=abs"]),
    ("Dale rectify", &["model.dale.parametrization=rectify"]),
    ("Dale square", &["model.dale.parametrization=square"]),
    ("Dale clamp", &["model.dale.parametrization=clamp"]),
    (
        "Dale, readout of E alone",
        &["model.dale.readout=excitatory"],
    ),
    ("positive input", &["model.positive_input=true"]),
    ("no self-connections", &["model.self_connections=false"]),
    (
        "densities of 0.3",
        &["model.density={input=0.3,recurrent=0.3,output=0.3}"],
    ),
    ("given masks", &["model.connectivity.file=FILE/mask.npz"]),
    ("fixed weights", &["model.connectivity.file=FILE/fixed.npz"]),
    (
        "plasticity",
        &["model.connectivity.file=FILE/plasticity.npz"],
    ),
    (
        "two areas",
        &[
            TWO_AREAS,
            "model.projections={\"a -> b\"={},\"b -> a\"={density=0.2}}",
        ],
    ),
    (
        "two areas, delay of 40 ms",
        &[
            TWO_AREAS,
            "model.projections={\"a -> b\"={delay_ms=40},\"b -> a\"={density=0.2}}",
        ],
    ),
    ("rank 2", &["model.low_rank={rank=2}"]),
    (
        "delay of a projection",
        &["model.connectivity.file=FILE/projection.npz"],
    ),
    (
        "delays between two areas",
        &["model.connectivity.file=FILE/areas.npz"],
    ),
    (
        "two delays anywhere",
        &["model.connectivity.file=FILE/scattered.npz"],
    ),
    (
        "power 2.2",
        &["model.activation={name=\"power\",exponent=2.2,gain=0.1}"],
    ),
    (
        "all constraints",
        &[
            "model.dale.parametrization=square",
            "model.dale.readout=excitatory",
            "model.positive_input=true",
            "model.self_connections=false",
            "model.density={input=0.5,output=0.5}",
            "model.connectivity.file=FILE/all.npz",
        ],
    ),
    (
        "recurrent weights frozen",
        &["train.freeze=[\"recurrent.weight\"]"],
    ),
    ("tau of each unit", &["model.tau_ms={uniform=[50,200]}"]),
    (
        "tau of cell types",
        &["model.dale={}", "model.tau_ms={e=100,i=50}"],
    ),
    (
        "tau learned by unit",
        &["model.tau_ms={learned={initial=100,bounds=[20,500]}}"],
    ),
    (
        "tau learned, one for all",
        &["model.tau_ms={learned={initial=100,bounds=[20,500],per_unit=false}}"],
    ),
    ("exponential", &["time.integrator=exponential"]),
    (
        "short-term plasticity",
        &["model.short_term_plasticity=half"],
    ),
    ("sigmoid output", &["model.output_nonlinearity=sigmoid"]),
    (
        "softmax, cross-entropy",
        &[
            "model.output_nonlinearity=softmax",
            "train.loss.name=cross_entropy",
        ],
    ),
    ("initial state zero", &["model.initial_state=zero"]),
    (
        "initial state by condition",
        &["model.initial_state=learned_per_condition"],
    ),
    ("initial state carried", &["model.initial_state=carry"]),
    (
        "initial state with noise",
        &["model.noise.initial_state=0.1"],
    ),
    (
        "input noise, rectified",
        &[
            "model.noise.input=0.01",
            "model.input={baseline=0.2,rectify=true}",
        ],
    ),
    (SHARED, &["model.noise.preactivation=0.1"]),
    (
        "noise, sigma of each unit",
        &["model.noise.preactivation=SIGMAS"],
    ),
    (
        "noise, covariance",
        &["model.noise.preactivation={covariance=\"FILE/covariance.npz\"}"],
    ),
    ("noise of the readout", &["model.noise.postactivation=0.1"]),
    (
        "noise of all three kinds",
        &[
            "model.noise.preactivation=0.1",
            "model.noise.postactivation=0.1",
            "model.noise.input=0.01",
        ],
    ),
    (
        "sigmoid, bce",
        &["model.output_nonlinearity=sigmoid", "train.loss.name=bce"],
    ),
    ("penalty weight_l1", &["train.loss.weight_l1=TINY"]),
    ("penalty weight_l2", &["train.loss.weight_l2=TINY"]),
    (
        "penalty weight_deviation",
        &["train.loss.weight_deviation=TINY"],
    ),
    ("penalty rate_l1", &["train.loss.rate_l1=TINY"]),
    ("penalty rate_l2", &["train.loss.rate_l2=TINY"]),
    (
        "penalty rate_target",
        &["train.loss.rate_target={weight=TINY,rate=0.1}"],
    ),
    (
        "penalty rate_spread",
        &["train.loss.rate_spread={weight=TINY,measure=\"sd\"}"],
    ),
    (
        "penalty rate_range",
        &["train.loss.rate_range={weight=TINY,at_least=0.1,at_most=0.2}"],
    ),
    ("penalty rate_entropy", &["train.loss.rate_entropy=TINY"]),
    (
        "penalty participation",
        &["train.loss.participation={weight=TINY,at_most=2}"],
    ),
    (
        "penalty in_degree",
        &["train.loss.in_degree={weight=TINY,at_most=1}"],
    ),
    (
        "penalty population_kl",
        &["train.loss.population_kl={weight=TINY,first=[0,64],second=[64,128]}"],
    ),
    ("penalty hebbian", &["train.loss.hebbian=TINY"]),
    (
        "penalty state_prediction",
        &["train.loss.state_prediction={weight=TINY,lag_ms=20}"],
    ),
    (
        "penalty weight_l2 that yields",
        &[
            "train.loss.weight_l2=TINY",
            "train.loss.yield_to_task=[\"weight_l2\"]",
        ],
    ),
    (
        "penalty rate_l2 that yields",
        &[
            "train.loss.rate_l2=TINY",
            "train.loss.yield_to_task=[\"rate_l2\"]",
        ],
    ),
    ("penalty omega", &["train.loss.omega={weight=TINY}"]),
    (
        "penalties omega and rate_l2",
        &["train.loss.omega={weight=TINY}", "train.loss.rate_l2=TINY"],
    ),
];

const TWO_AREAS: &str = "model.areas={a={units=64},b={units=64,read_out=true}}";

/// What the other networks with noise are compared with.
const SHARED: &str = "noise, one sigma";

/// The cost of variants in training steps.
#[derive(Parser)]
struct Args {
    /// How often each network is visited.
    #[arg(long, default_value_t = 20)]
    visits: usize,
    /// Steps of a visit, of which the shortest counts.
    #[arg(long, default_value_t = 3)]
    steps: usize,
    /// CPU threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Only variants whose names contain this, besides what they are compared with.
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    rayon::ThreadPoolBuilder::new()
        .num_threads(args.threads)
        .build_global()?;
    let folder = tempfile::tempdir()?;
    write_files(folder.path())?;
    let is_chosen = |name: &str| ["plain", SHARED].contains(&name) || name.contains(&args.only);
    let mut runs = Vec::new();
    for (name, overrides) in VARIANTS.iter().filter(|(name, _)| is_chosen(name)) {
        runs.push((*name, run(overrides, folder.path())?));
    }
    let mut trainers = Vec::new();
    for (name, run) in &runs {
        let trainer = trainer_at::<Backend>(run, None, u64::MAX, &Default::default())?;
        trainers.push((*name, trainer, f64::INFINITY));
    }
    for _ in 0..args.visits {
        for (_, trainer, shortest) in &mut trainers {
            *shortest = shortest.min(visit(trainer, args.steps)?);
        }
    }
    let times: Vec<(&str, f64)> = trainers.iter().map(|(name, _, ms)| (*name, *ms)).collect();
    print_table(&times);
    Ok(())
}

fn run(overrides: &[&str], folder: &Path) -> Result<Run, Box<dyn Error>> {
    let sigmas: Vec<String> = (0..N)
        .map(|unit| format!("{}", 0.001 * unit as f64))
        .collect();
    let filled = |text: &&str| {
        text.replace("FILE", &folder.display().to_string())
            .replace("TINY", "1e-9")
            .replace("SIGMAS", &format!("[{}]", sigmas.join(",")))
    };
    let overrides: Vec<String> = overrides.iter().map(filled).collect();
    Ok(RunConfig::from_text(
        PLAIN,
        "plain",
        folder,
        &overrides,
        &registry(),
    )?)
}

/// The files that variants name: connections for 3 inputs, 128 units and 3 outputs, and a covariance.
fn write_files(folder: &Path) -> Result<(), Box<dyn Error>> {
    let recurrent =
        |value: &dyn Fn(usize) -> f64| Array::f64(&[N, N], (0..N * N).map(value).collect());
    let mask = recurrent(&|k| f64::from(u8::from(!k.is_multiple_of(3))));
    // Every seventh unit is the source of a fixed weight; all of them are excitatory.
    let fixed = recurrent(&|k| {
        if k % N < 100 && k % 21 == 1 {
            0.01
        } else {
            0.0
        }
    });
    let plasticity = recurrent(&|k| 0.5 * (k % 3) as f64);
    let covariance = recurrent(&|k| if k / N == k % N { 0.01 } else { 0.001 });
    let write = |name: &str, arrays: &[(&str, &Array)]| {
        let arrays = arrays
            .iter()
            .map(|(name, array)| ((*name).to_owned(), (*array).clone()))
            .collect();
        npz::write(&folder.join(name), &arrays)
    };
    let (m, f, p) = ("recurrent.mask", "recurrent.fixed", "recurrent.plasticity");
    write("mask.npz", &[(m, &mask)])?;
    write("fixed.npz", &[(f, &fixed)])?;
    write("plasticity.npz", &[(p, &plasticity)])?;
    // k % 21 = 1 is no multiple of 3: the mask allows every fixed weight.
    let mask = recurrent(&|k| f64::from(u8::from(!k.is_multiple_of(3) && k / N != k % N)));
    let fixed = recurrent(&|k| {
        let is_fixed = k % N < 100 && k % 21 == 1 && k / N != k % N;
        if is_fixed { 0.01 } else { 0.0 }
    });
    write("all.npz", &[(m, &mask), (f, &fixed), (p, &plasticity)])?;
    // From the first half of the units to the second, and back.
    let (there, back) = (
        |k: usize| k / N >= N / 2 && k % N < N / 2,
        |k: usize| k / N < N / 2 && k % N >= N / 2,
    );
    let delay =
        |is_delayed: &dyn Fn(usize) -> bool| recurrent(&|k| if is_delayed(k) { 40.0 } else { 0.0 });
    let d = "recurrent.delay_ms";
    write("projection.npz", &[(d, &delay(&there))])?;
    write("areas.npz", &[(d, &delay(&|k| there(k) || back(k)))])?;
    write(
        "scattered.npz",
        &[(d, &recurrent(&|k| 20.0 * (k % 3) as f64))],
    )?;
    write("covariance.npz", &[("covariance", &covariance)])?;
    Ok(())
}

/// Milliseconds of the shortest of a few steps.
fn visit(trainer: &mut Trainer<Backend>, steps: usize) -> Result<f64, Box<dyn Error>> {
    let mut shortest = f64::INFINITY;
    for _ in 0..steps {
        let began = Instant::now();
        trainer.steps_only(1)?;
        shortest = shortest.min(1e3 * began.elapsed().as_secs_f64());
    }
    Ok(shortest)
}

fn print_table(times: &[(&str, f64)]) {
    let of = |wanted: &str| {
        let found = times.iter().find(|(name, _)| *name == wanted);
        found.map_or(f64::NAN, |(_, ms)| *ms)
    };
    let (plain, shared) = (of("plain"), of(SHARED));
    println!(
        "{:28} {:>8} {:>9} {:>9}",
        "variant", "ms", "/ plain", "/ noise"
    );
    for (name, ms) in times {
        print!("{name:28} {ms:8.3} {:9.3}", ms / plain);
        if name.starts_with("noise") {
            println!(" {:9.3}", ms / shared);
        } else {
            println!();
        }
    }
}
