//! Trains a network to remember three bits and finds the fixed points that store them:
//!
//! ```text
//! cargo run --release --example 04_fixed_points
//! ```
//!
//! A memory of three bits is a cube of eight stable fixed points, separated by saddle points from which the network
//! moves to one side or
//! the other (Sussillo & Barak 2013).

use burn::backend::{Autodiff, NdArray};
use ctrnn::analysis::{Dynamics, Search};
use ctrnn::model::{Activation, CtrnnConfig};
use ctrnn::random::{Key, Rng, Stream};
use ctrnn::tasks::FlipFlop;
use ctrnn::train::{Adam, Optimizer, TrainSettings, Trainer};
use ndarray::{Array1, Array2};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = CtrnnConfig {
        activation: Activation::Tanh,
        ..CtrnnConfig::new(3, 32, 3)
    };
    let network = config.init::<Autodiff<NdArray>>(1, &Default::default())?;
    let mut settings = TrainSettings::default();
    settings.train.steps = 3000;
    settings.train.optimizer = Optimizer::Adam(Adam {
        lr: 3e-3,
        ..Adam::default()
    });
    settings.train.clip_grad_norm = Some(1.0);
    let task = FlipFlop::default();
    let mut trainer = Trainer::new(network, &task, settings)?;
    trainer.run()?;

    let dynamics = Dynamics::of(trainer.network());
    let silence = dynamics.input_drive(&Array1::zeros(3)); // between pulses the inputs are 0
    // States around which the search starts; with all the same, it spreads its starts itself.
    let mut rng = Rng::new(Key::new(1, Stream::Eval, 0), 0, 0);
    let visited = Array2::from_shape_simple_fn((300, 32), || f64::from(rng.normal()));
    let found = Search::default().run(&dynamics, &silence, visited.view(), 1)?;
    println!("unstable directions   slowest mode (ms)   hits   readout");
    for point in &found.points {
        let timescale_ms = dynamics.timescale_ms(point.modes.values[0]);
        let readout = dynamics.readout(&point.state);
        println!(
            "{:19}   {timescale_ms:17.0}   {:4}   {readout:5.2}",
            point.n_unstable, point.hits
        );
    }
    let stable = found
        .points
        .iter()
        .filter(|point| point.is_stable())
        .count();
    println!(
        "{stable} stable points of {}; {} starts",
        found.points.len(),
        found.n_starts
    );
    Ok(())
}
