//! Times whole training steps for `benches/peers/bench_peers.py`, through the public module, autodiff and optimizer.
//!
//! ```text
//! cargo build --release --example step_bench
//! python benches/peers/bench_peers.py --shape M --threads 1 --keep-heap --exec "ours=target/release/examples/step_bench"
//! ```
//!
//! The protocol is JSON lines, see `benches/peers/README.md`. `--noise SIGMA` adds pre-activation noise to every step; `--rank R` trains
//! two factors of rank R in place of the recurrent matrix and `--plastic` gives the synapses short-term plasticity, so that the loss
//! is another one than that of the peers. Built with the feature `wgpu`, `--gpu` computes on the best adapter; steps are then timed
//! together, with one wait at their end.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, Write, stdin, stdout};
use std::path::PathBuf;
use std::time::Instant;

use burn::backend::Autodiff;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{ElementConversion, Tensor, TensorData};
use clap::Parser;
use cpu_time::ProcessTime;
use ctrnn::files::{Array, npz};
use ctrnn::model::{
    Biases, CtrnnConfig, CtrnnModule, Forward, InitialState, LowRank, Noise, NoiseAddress,
    Parameter, ShortTermPlasticity, TrainingBackend,
};
use ctrnn::train::{Adam, Batch, Gradients, Loss, Normalisation, Optimizer, OptimizerState};
use serde::Deserialize;
use serde_json::json;

/// Only its ratio to dt, alpha, is in the data.
const TAU_MS: f64 = 100.0;

#[cfg(not(feature = "flex"))]
type Cpu = burn::backend::NdArray<f32>;
/// Built with `--features flex`.
#[cfg(feature = "flex")]
type Cpu = burn::backend::Flex;

/// One training step of a leaky recurrent network, timed.
#[derive(Parser)]
struct Args {
    /// Data and initial weights.
    #[arg(long)]
    data: PathBuf,
    /// Where to write loss and gradients at the initial weights.
    #[arg(long)]
    check_file: PathBuf,
    /// CPU threads.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Sigma of the pre-activation noise, in the convention of the specification.
    #[arg(long, default_value_t = 0.0)]
    noise: f64,
    /// Train factors of this rank in place of the recurrent matrix; the check file then lacks its gradient.
    #[arg(long, default_value_t = 0)]
    rank: usize,
    /// Short-term plasticity: every other unit facilitates or depresses.
    #[arg(long)]
    plastic: bool,
    /// Compute on a graphics adapter.
    #[arg(long)]
    gpu: bool,
}

#[derive(Deserialize)]
#[serde(tag = "cmd", rename_all = "lowercase")]
enum Command {
    Run { n: usize },
    Parts,
    End,
}

/// A network in training on one batch.
struct Bench<B: AutodiffBackend> {
    network: CtrnnModule<B>,
    optimizer: OptimizerState<B::InnerBackend>,
    batch: Batch<B>,
    lr: f64,
    step: u32,
}

impl<B: TrainingBackend> Bench<B> {
    fn new(
        arrays: &BTreeMap<String, Array>,
        noise: f64,
        rank: usize,
        plastic: bool,
    ) -> Result<Self, Box<dyn Error>> {
        let device = Default::default();
        let tensor = |name: &str| -> Result<Tensor<B, 3>, Box<dyn Error>> {
            let array = &arrays[name];
            Ok(Tensor::from_data(
                TensorData::new(array.to_f32()?, array.shape().to_vec()),
                &device,
            ))
        };
        let scalar = |name: &str| -> Result<f64, Box<dyn Error>> { Ok(arrays[name].to_f64()?[0]) };
        let (inputs, targets, mask) = (tensor("u")?, tensor("target")?, tensor("mask")?);
        let mut config = CtrnnConfig {
            initial_state: InitialState::Zero,
            bias: Biases {
                recurrent: true,
                readout: false,
                range: None,
            },
            ..CtrnnConfig::new(
                inputs.dims()[2],
                arrays["w_rc"].shape()[0],
                targets.dims()[2],
            )
        };
        config.tau_ms = TAU_MS.into();
        config.dt_ms = scalar("alpha")? * TAU_MS;
        config.noise.preactivation = noise.into();
        config.low_rank = (rank > 0).then(|| LowRank {
            rank,
            ..LowRank::default()
        });
        config.short_term_plasticity = plastic.then_some(ShortTermPlasticity::Half);
        let named = [
            (Parameter::INPUT_WEIGHT, "w_in"),
            (Parameter::RECURRENT_WEIGHT, "w_rc"),
            (Parameter::RECURRENT_BIAS, "b"),
            (Parameter::OUTPUT_WEIGHT, "w_out"),
        ];
        let mut weights = BTreeMap::new();
        for (parameter, name) in named {
            if !parameter.is_trained(&config) {
                continue;
            }
            let array = &arrays[name];
            weights.insert(
                parameter.name().to_owned(),
                TensorData::new(array.to_f32()?, array.shape().to_vec()),
            );
        }
        let network = config.init(0, &device)?.with_weights(&weights)?;
        let [n_steps, n_trials, _] = inputs.dims();
        let within = TensorData::new(vec![1.0f32; n_steps * n_trials], [n_steps, n_trials, 1]);
        let batch = Batch {
            inputs: inputs.swap_dims(0, 1),
            mask_sum: mask.clone().sum().into_scalar().elem(),
            targets,
            mask_of_trials: mask.clone(),
            mask,
            within: Tensor::from_data(within, &device),
            within_sum: (n_steps * n_trials) as f64,
            n_steps: vec![n_steps; n_trials],
            counted_trials: n_trials,
            recordings: None,
        };
        Ok(Self {
            network,
            optimizer: OptimizerState::new(Optimizer::Adam(Adam::default())),
            batch,
            lr: scalar("lr")?,
            step: 0,
        })
    }

    /// The peers' loss, `mean(mask (y - target)^2)` over all entries, from ours, which divides by the mask.
    fn loss(&self) -> Tensor<B, 1> {
        let forward = Forward {
            noise: Noise::Drawn(NoiseAddress {
                step: self.step,
                ..NoiseAddress::default()
            }),
            ..Forward::default()
        };
        let outputs = self
            .network
            .forward(self.batch.inputs.clone(), &forward)
            .outputs;
        let entries = self.batch.targets.shape().num_elements() as f64;
        let counted = Loss::Mse.weight(Normalisation::Mask, &self.batch);
        Loss::Mse.value(outputs, &self.batch) * (counted / entries)
    }

    fn gradients(&self, loss: &Tensor<B, 1>) -> Gradients<B::InnerBackend> {
        Gradients::of(&self.network, loss.backward())
    }

    fn update(&mut self, gradients: Gradients<B::InnerBackend>) {
        self.network = self
            .optimizer
            .step(self.lr, self.network.clone(), gradients);
        self.step += 1;
    }

    /// One training step; returns the loss, which is still on the device.
    fn step(&mut self) -> Tensor<B, 1> {
        let loss = self.loss();
        let gradients = self.gradients(&loss);
        self.update(gradients);
        loss
    }

    /// Loss and gradients at the weights as they are.
    fn check(&self) -> Result<BTreeMap<String, Array>, Box<dyn Error>> {
        let loss = self.loss();
        let gradients = self.gradients(&loss);
        let mut arrays: BTreeMap<String, Array> = [(
            "loss".to_owned(),
            Array::f32(&[], vec![loss.into_scalar().elem()]),
        )]
        .into();
        let named = [
            (Parameter::INPUT_WEIGHT, "w_in"),
            (Parameter::RECURRENT_WEIGHT, "w_rc"),
            (Parameter::RECURRENT_BIAS, "b"),
            (Parameter::OUTPUT_WEIGHT, "w_out"),
        ];
        for (parameter, name) in named {
            if !parameter.is_trained(self.network.config()) {
                continue;
            }
            let shape = parameter.shape(self.network.config());
            let values = gradients.0[&parameter]
                .to_data()
                .to_vec::<f32>()
                .map_err(|e| format!("{e:?}"))?;
            arrays.insert(name.to_owned(), Array::f32(&shape, values));
        }
        Ok(arrays)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    rayon::ThreadPoolBuilder::new()
        .num_threads(args.threads)
        .build_global()?;
    if !args.gpu {
        return serve::<Autodiff<Cpu>>(&args, 1);
    }
    #[cfg(feature = "wgpu")]
    return serve::<Autodiff<ctrnn::model::Gpu>>(&args, usize::MAX);
    #[cfg(not(feature = "wgpu"))]
    Err("build with `--features wgpu` for --gpu".into())
}

/// Answers commands; up to `together` steps are timed as one.
fn serve<B: TrainingBackend>(args: &Args, together: usize) -> Result<(), Box<dyn Error>> {
    let rss_import = memory_mib("VmRSS");
    let began = Instant::now();
    let arrays = npz::read(&args.data)?;
    let mut bench = Bench::<B>::new(&arrays, args.noise, args.rank, args.plastic)?;
    npz::write(&args.check_file, &bench.check()?)?;
    let setup = began.elapsed().as_secs_f64();
    for _ in 0..3 {
        number(bench.step());
    }
    let began = Instant::now();
    number(bench.step());
    let step = began.elapsed().as_secs_f64();
    say(
        &json!({ "ok": true, "setup_s": setup, "step_s": step, "check": args.check_file, "rss_import": rss_import }),
    )?;
    for line in stdin().lock().lines() {
        match serde_json::from_str(&line?)? {
            Command::Run { n } => say(&run(&mut bench, n, together))?,
            Command::Parts => say(&parts(&mut bench))?,
            Command::End => {
                say(&json!({ "rss_peak": memory_mib("VmHWM") }))?;
                break;
            }
        }
    }
    Ok(())
}

/// The loss on the host, when everything before it is done.
fn number<B: AutodiffBackend>(loss: Tensor<B, 1>) -> f32 {
    loss.into_scalar().elem()
}

fn run<B: TrainingBackend>(bench: &mut Bench<B>, n: usize, together: usize) -> serde_json::Value {
    let (mut times, mut cpu) = (Vec::with_capacity(n), Vec::with_capacity(n));
    let mut loss = number(bench.step());
    let faults = page_faults();
    while times.len() < n {
        let steps = together.min(n - times.len());
        let (wall, process) = (Instant::now(), ProcessTime::now());
        for _ in 1..steps {
            drop(bench.step());
        }
        loss = number(bench.step());
        let mean = |seconds: f64| vec![seconds / steps as f64; steps];
        times.extend(mean(wall.elapsed().as_secs_f64()));
        cpu.extend(mean(process.elapsed().as_secs_f64()));
    }
    let faults = (page_faults() - faults) / n as f64;
    json!({ "times": times, "cpu": cpu, "loss": loss, "bad": !loss.is_finite(), "flt": faults })
}

/// Seconds of forward and loss, backward, and optimizer: the medians of eleven steps.
fn parts<B: TrainingBackend>(bench: &mut Bench<B>) -> serde_json::Value {
    let mut laps: [Vec<f64>; 3] = Default::default();
    for _ in 0..11 {
        let start = Instant::now();
        let loss = bench.loss();
        let forward = Instant::now();
        let gradients = bench.gradients(&loss);
        let backward = Instant::now();
        bench.update(gradients);
        let ends = [forward - start, backward - forward, backward.elapsed()];
        laps.iter_mut()
            .zip(ends)
            .for_each(|(laps, lap)| laps.push(lap.as_secs_f64()));
    }
    let [forward, backward, optimizer] = laps.map(|mut laps| {
        laps.sort_by(f64::total_cmp);
        laps[laps.len() / 2]
    });
    json!({ "parts": { "forward": forward, "backward": backward, "optimizer": optimizer } })
}

fn say(value: &serde_json::Value) -> std::io::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{value}")?;
    out.flush()
}

/// A size of this process; 0 where the system does not tell.
fn memory_mib(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with(field))
        .unwrap_or_default();
    let kib = line
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}

/// Minor page faults of this process so far; 0 where the system does not tell.
fn page_faults() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    fields
        .split_whitespace()
        .nth(7)
        .and_then(|faults| faults.parse().ok())
        .unwrap_or(0.0)
}
