fn main() -> std::process::ExitCode {
    ctrnn_cli::run(ctrnn::tasks::Registry::built_in())
}
