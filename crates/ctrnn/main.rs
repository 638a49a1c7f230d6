//! The program `train-ctrnn`.

fn main() -> std::process::ExitCode {
    ctrnn::cli::run(ctrnn::runs::registry())
}
