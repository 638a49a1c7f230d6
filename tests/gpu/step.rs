//! What a training step does to the device, as wgpu's log tells it.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use burn::backend::Autodiff;
use ctrnn_model::{CtrnnConfig, Gpu};
use ctrnn_tasks::GoNogo;
use ctrnn_train::{TrainSettings, Trainer};

/// Kernels launched, and buffers read by the host.
static LAUNCHES: AtomicUsize = AtomicUsize::new(0);
static READS: AtomicUsize = AtomicUsize::new(0);

struct Counter;

impl log::Log for Counter {
    fn enabled(&self, metadata: &log::Metadata) -> bool {
        metadata.target().starts_with("wgpu_core")
    }

    fn log(&self, record: &log::Record) {
        let text = if self.enabled(record.metadata()) {
            record.args().to_string()
        } else {
            return;
        };
        if text.starts_with("ComputePass::dispatch ") {
            LAUNCHES.fetch_add(1, Relaxed);
        }
        if text.starts_with("Buffer::map_async") {
            READS.fetch_add(1, Relaxed);
        }
    }

    fn flush(&self) {}
}

const ALONE: &str = "CTRNN_TEST_ALONE";

/// The log is that of a process, so this test has one to itself.
fn alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new(program)
        .args(["--exact", test, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .expect("this program starts");
    assert!(output.status.success(), "{output:#?}");
    false
}

/// Loss and gradient norm are read every tenth step. What is between is launched and not waited for.
#[test]
fn a_step_reads_nothing_and_launches_little() {
    if !alone("step::a_step_reads_nothing_and_launches_little") {
        return;
    }
    log::set_logger(&Counter).expect("there is no other logger");
    log::set_max_level(log::LevelFilter::Trace);
    let task = GoNogo::default();
    let mut settings = TrainSettings {
        check_every: 10,
        ..TrainSettings::default()
    };
    settings.train.steps = 1000;
    settings.train.log_every = 10;
    settings.train.batch_size = 4;
    settings.train.clip_grad_norm = Some(1.0);
    settings.validate.trials = 4;
    settings.validate.every_steps = 0;
    settings.checkpoint.every_steps = 0;
    let config = CtrnnConfig::new(3, 8, 2);
    let network = config
        .init::<Autodiff<Gpu>>(1, &Default::default())
        .unwrap();
    let mut trainer = Trainer::new(network, &task, settings).unwrap();
    trainer.steps_only(10).unwrap();
    let (reads, launches) = (READS.load(Relaxed), LAUNCHES.load(Relaxed));
    trainer.steps_only(9).unwrap();
    assert_eq!(READS.load(Relaxed), reads, "nine steps without a read");
    trainer.steps_only(1).unwrap();
    assert_ne!(READS.load(Relaxed), reads, "the tenth step reads the loss");
    let per_step = (LAUNCHES.load(Relaxed) - launches) as f64 / 10.0;
    println!("{per_step} launches per step");
    assert!(per_step <= 20.0, "{per_step} launches per step");
}
