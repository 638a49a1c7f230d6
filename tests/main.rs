//! What the whole program does, as its users see it: the built `train-ctrnn` runs on real folders.
//!
//! * `bad_input`: every mistake has its message, its exit code, and leaves nothing behind
//! * `command_line`: help, results on stdout, `--json`
//! * `runs`: the run folder, stopping, resuming, exit codes of training
//! * `survival`: kills, signals, full disks, twenty processes at once
//! * `determinism`: one seed, one result, to the bit
//! * `simulation`: the exported weights, recomputed here, give the states of `simulate`
//! * `python_files`: numpy, pandas and safetensors read what is written (needs Python: ignored)
//! * `project`: the folder that each test works in

mod bad_input;
mod command_line;
mod determinism;
mod project;
mod python_files;
mod runs;
mod simulation;
mod survival;
