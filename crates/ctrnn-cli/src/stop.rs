//! Requests to stop: signals and the time limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::failure::{Failure, IO};

/// Listens for what asks a run to stop.
pub struct StopRequests {
    signal: Arc<AtomicUsize>,
    deadline: Option<Instant>,
}

impl StopRequests {
    /// Listens from now on. The first Ctrl-C or TERM asks to stop, the second one stops at once with code 130 or 143.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn listen(max_time: Option<Duration>) -> Result<Self, Failure> {
        let signal = Arc::new(AtomicUsize::new(0));
        register(&signal).map_err(|error| {
            Failure::new(
                IO,
                "F003",
                format!("cannot listen for signals: {error}"),
                "this is worth a report",
            )
        })?;
        Ok(Self {
            signal,
            deadline: max_time.and_then(|time| Instant::now().checked_add(time)),
        })
    }

    /// Why to stop now, if there is a reason.
    pub fn reason(&self) -> Option<String> {
        match self.signal.load(Ordering::Relaxed) {
            0 => {}
            signal => return Some(format!("signal {}", name(signal as i32))),
        }
        let is_over = self
            .deadline
            .is_some_and(|deadline| Instant::now() >= deadline);
        is_over.then(|| "the time limit".to_owned())
    }
}

fn register(signal: &Arc<AtomicUsize>) -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use std::sync::atomic::AtomicBool;
    for (once, exit_code) in [(SIGINT, 130), (SIGTERM, 143)] {
        let seen = Arc::new(AtomicBool::new(false));
        // In this order, the second signal finds the flag set by the first.
        signal_hook::flag::register_conditional_shutdown(once, exit_code, Arc::clone(&seen))?;
        signal_hook::flag::register(once, seen)?;
        signal_hook::flag::register_usize(once, Arc::clone(signal), once as usize)?;
    }
    #[cfg(unix)]
    for other in [
        signal_hook::consts::SIGUSR1,
        signal_hook::consts::SIGUSR2,
        signal_hook::consts::SIGHUP,
    ] {
        signal_hook::flag::register_usize(other, Arc::clone(signal), other as usize)?;
    }
    // A file that grows over the limit of `ulimit -f` is then an error as on a full disk, not the end of the process.
    #[cfg(unix)]
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default())?;
    Ok(())
}

fn name(signal: i32) -> String {
    signal_hook::low_level::signal_name(signal).map_or_else(|| signal.to_string(), str::to_owned)
}
