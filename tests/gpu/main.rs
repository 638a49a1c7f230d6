//! The GPU path, on whatever Vulkan adapter there is; a software driver will do.
//!
//! * `agreement`: forward sweep and all gradients against the CPU in double precision
//! * `networks`: networks of layers, of low rank and of areas run by one sweep for each layer, and agree with the CPU
//! * `optimizer`: the update of the weights against that of the CPU
//! * `sums`: squared errors, norms and clipping against the CPU in double precision
//! * `step`: how much a training step launches, and that it waits for nothing
//! * `tiles`: what a cube of threads takes
//! * `training`: the program trains on the device as it does on the CPU, resumes across devices, and says what is wrong
//! * `project`: the folder that each test works in
//!
//! Shapes are tiny: a software driver compiles and runs kernels on the CPU.

// What the program has compiled for the device need not be compiled again.
use ctrnn_cli as _;

mod agreement;
mod networks;
mod optimizer;
#[expect(dead_code, reason = "shared with the other test binary")]
#[path = "../project.rs"]
mod project;
mod step;
mod sums;
mod tiles;
mod training;
