//! Batches of trials: making them so that a stop can interrupt it, and waiting for those that another thread makes.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use ctrnn_tasks::{BatchRequest, Interrupt, Task, TaskError, TrialBatch};

use super::StopRequest;

/// Interval between checks for a stop request while waiting for trials.
const POLL: Duration = Duration::from_millis(100);

/// Makes a batch, on another thread if making it can be interrupted.
pub(super) fn sampled(
    task: &dyn Task,
    request: &BatchRequest,
    stop: StopRequest,
) -> Result<TrialBatch, TaskError> {
    let Some(interrupt) = task.interrupt() else {
        return task.sample_batch(request);
    };
    let (send, made) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || tell(&send, task.sample_batch(request)));
        awaited(interrupt, &made, stop)
    })
}

/// Sends a batch that was made; the receiver may be gone.
pub(super) fn tell<T>(send: &Sender<T>, made: T) {
    let _ = send.send(made);
}

/// Waits for the batch that another thread makes. If a stop is requested, the task is interrupted.
pub(super) fn awaited(
    interrupt: &Interrupt,
    made: &Receiver<Result<TrialBatch, TaskError>>,
    stop: StopRequest,
) -> Result<TrialBatch, TaskError> {
    let batch = loop {
        match made.recv_timeout(POLL) {
            Ok(batch) => break batch,
            Err(RecvTimeoutError::Timeout) => interrupt.set(stop().is_some()),
            Err(RecvTimeoutError::Disconnected) => panic!("the thread that makes trials panicked"),
        }
    };
    interrupt.set(false);
    batch
}

/// Returns the reason to stop, waiting up to half a second for one: a signal to all processes of a job may reach the
/// program that makes the trials first, and missing trials are then not an error.
pub(super) fn soon(stop: StopRequest) -> Option<String> {
    const MOMENT: Duration = Duration::from_millis(500);
    let begun = Instant::now();
    loop {
        let reason = stop();
        if reason.is_some() || begun.elapsed() > MOMENT {
            return reason;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
