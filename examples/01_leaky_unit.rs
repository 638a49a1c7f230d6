//! One unit under constant input: the discrete dynamics against the exact solution.
//!
//! ```text
//! cargo run --example 01_leaky_unit
//! ```
//!
//! Without recurrence `tau dv/dt = -v + u` gives `v(t) = u (1 - exp(-t / tau))`. A network runs at any `dt`; its error
//! shrinks in proportion to it.

use burn::backend::NdArray;
use burn::tensor::Tensor;
use ctrnn::model::{Activation, CtrnnConfig, Forward, Matrix, ModelError, WeightInit};

fn main() -> Result<(), ModelError> {
    println!("dt (ms)  v(tau)   exact    error");
    for dt_ms in [20.0, 10.0, 5.0, 2.5] {
        let mut config = CtrnnConfig {
            activation: Activation::Linear,
            dt_ms,
            ..CtrnnConfig::new(1, 1, 1)
        };
        config.init.recurrent = WeightInit::Zero;
        let network = config.init::<NdArray>(0, &Default::default())?;
        let w_in = network.effective_weights(Matrix::Input).into_scalar();
        let steps = (100.0 / dt_ms) as usize;
        let inputs = Tensor::ones([1, steps, 1], &Default::default()) / w_in; // so that W_in u = 1
        let v = network
            .forward(inputs, &Forward::default())
            .final_state
            .activity
            .into_scalar();
        let exact = 1.0 - (-1.0f32).exp();
        println!("{dt_ms:7}  {v:.5}  {exact:.5}  {:.5}", (v - exact).abs());
    }
    Ok(())
}
