//! Requests to stop: signals and the time limit.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ctrnn_files::RunFolder;
#[cfg(unix)]
use ctrnn_runs::note_abrupt_end;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::failure::{Failure, IO};
use crate::threads::not_started;

/// Signals within this time of each other are one request: a scheduler sends its signal to every process of a job, of which
/// a driver and a job script pass it on to their children.
#[cfg(unix)]
const TOGETHER: Duration = Duration::from_millis(200);

/// Requests to stop a run: by a signal or the time limit.
pub struct StopRequests {
    signal: Arc<AtomicUsize>,
    deadline: Option<Instant>,
    run: Arc<OnceLock<RunFolder>>,
    n_signals: Arc<AtomicUsize>,
}

impl StopRequests {
    /// Starts to listen. The first Ctrl-C or TERM requests a stop, a second one more than 0.2 s later stops at
    /// once with exit code 130 or 143. A signal that was ignored when this process started stays ignored.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn listen(max_time: Option<Duration>) -> Result<Self, Failure> {
        let requests = Self::until(max_time);
        requests.register().map_err(not_listening)?;
        Ok(requests)
    }

    /// Starts to count signals, none of which ends this process: it waits for its children.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn counting(max_time: Option<Duration>) -> Result<Self, Failure> {
        let requests = Self::until(max_time);
        requests.count().map_err(not_listening)?;
        Ok(requests)
    }

    fn until(max_time: Option<Duration>) -> Self {
        Self {
            signal: Arc::default(),
            deadline: max_time.and_then(|time| Instant::now().checked_add(time)),
            run: Arc::default(),
            n_signals: Arc::default(),
        }
    }

    /// Returns the number of signals that were counted.
    pub fn n_signals(&self) -> usize {
        self.n_signals.load(Ordering::Relaxed)
    }

    #[cfg(unix)]
    fn count(&self) -> std::io::Result<()> {
        use std::os::unix::net::UnixStream;
        let (mut received, sent) = UnixStream::pair()?;
        for signal in [
            SIGINT,
            SIGTERM,
            signal_hook::consts::SIGHUP,
            signal_hook::consts::SIGUSR1,
            signal_hook::consts::SIGUSR2,
        ] {
            if !is_ignored(signal) {
                signal_hook::low_level::pipe::register(signal, sent.try_clone()?)?; // a byte for each signal
            }
        }
        let counted = Arc::clone(&self.n_signals);
        let count = move || {
            let mut last = None;
            while is_requested(&mut received, &mut last) {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        };
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(count)?;
        Ok(())
    }

    #[cfg(not(unix))]
    fn count(&self) -> std::io::Result<()> {
        self.note(SIGINT)
    }

    /// Sets the run that is training, whose `RUN.json` is updated if it is stopped at once.
    pub fn trains(&self, run: &RunFolder) {
        // Set only once, because a process trains one run.
        let _ = self.run.set(run.clone());
    }

    /// Returns the reason to stop now, if there is one.
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

    fn register(&self) -> std::io::Result<()> {
        for (signal, exit_code) in [(SIGINT, 130), (SIGTERM, 143)] {
            if is_ignored(signal) {
                continue;
            }
            self.note(signal)?;
            stop_at_the_second(signal, exit_code, Arc::clone(&self.run))?;
        }
        #[cfg(unix)]
        for signal in [
            signal_hook::consts::SIGUSR1,
            signal_hook::consts::SIGUSR2,
            signal_hook::consts::SIGHUP,
            // The soft limit of CPU time; the hard one ends the process later.
            libc::SIGXCPU,
        ] {
            if !is_ignored(signal) {
                self.note(signal)?;
            }
        }
        // With a handler, a file that exceeds the limit of `ulimit -f` gives an error, as on a full disk, instead of
        // ending the process.
        #[cfg(unix)]
        signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default())?;
        Ok(())
    }

    fn note(&self, signal: i32) -> std::io::Result<()> {
        let told = Arc::clone(&self.signal);
        signal_hook::flag::register_usize(signal, told, signal as usize).map(|_id| ())
    }
}

fn not_listening(error: std::io::Error) -> Failure {
    if error.kind() == std::io::ErrorKind::WouldBlock {
        return not_started(2, error); // a thread waits for each of two signals
    }
    Failure::new(
        IO,
        "F003",
        format!("cannot listen for signals: {error}"),
        "please report this as a bug",
    )
}

/// Returns true if this process was started with a signal ignored: HUP by `nohup`, INT by a script that starts it in the
/// background.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    #[expect(unsafe_code, reason = "no safe function asks what happens at a signal")]
    // SAFETY: without a new action the call does nothing but write the present one, for which all bits zero are valid.
    unsafe {
        let mut present: libc::sigaction = std::mem::zeroed();
        let asked = libc::sigaction(signal, std::ptr::null(), &raw mut present);
        asked == 0 && present.sa_sigaction == libc::SIG_IGN
    }
}

/// Returns false: on other systems ignored signals are not inherited.
#[cfg(not(unix))]
fn is_ignored(_: i32) -> bool {
    false
}

/// Waits for a signal, of which `received` has a byte each, that is not part of the request at `last`; false if none can come.
#[cfg(unix)]
fn is_requested(received: &mut impl std::io::Read, last: &mut Option<Instant>) -> bool {
    while received.read_exact(&mut [0]).is_ok() {
        if last.is_none_or(|last| last.elapsed() > TOGETHER) {
            *last = Some(Instant::now());
            return true;
        }
    }
    false
}

/// Starts a thread that waits for the second signal, updates `RUN.json` and ends the process. A third signal ends it
/// immediately.
#[cfg(unix)]
fn stop_at_the_second(
    signal: i32,
    exit_code: u8,
    run: Arc<OnceLock<RunFolder>>,
) -> std::io::Result<()> {
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::AtomicBool;
    let is_ending = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register_conditional_shutdown(
        signal,
        exit_code.into(),
        Arc::clone(&is_ending),
    )?;
    let (mut received, sent) = UnixStream::pair()?;
    signal_hook::low_level::pipe::register(signal, sent)?; // a byte for each signal
    let wait = move || {
        let mut last = None;
        if (0..2).all(|_| is_requested(&mut received, &mut last)) {
            is_ending.store(true, Ordering::Relaxed);
            if let Some(run) = run.get() {
                let reason = format!("stopped at once by a second {}", name(signal));
                // Best effort: the process is exiting, so an error could not be reported.
                let _ = note_abrupt_end(run, exit_code, &reason);
            }
            signal_hook::low_level::exit(exit_code.into());
        }
    };
    std::thread::Builder::new().name(name(signal)).spawn(wait)?;
    Ok(())
}

/// Ends the process from the handler of the second signal, on other systems.
#[cfg(not(unix))]
fn stop_at_the_second(
    signal: i32,
    exit_code: u8,
    _: Arc<OnceLock<RunFolder>>,
) -> std::io::Result<()> {
    use std::sync::atomic::AtomicBool;
    let seen = Arc::new(AtomicBool::new(false));
    // In this order, the second signal finds the flag set by the first.
    signal_hook::flag::register_conditional_shutdown(signal, exit_code.into(), Arc::clone(&seen))?;
    signal_hook::flag::register(signal, seen).map(|_id| ())
}

fn name(signal: i32) -> String {
    signal_hook::low_level::signal_name(signal).map_or_else(|| signal.to_string(), str::to_owned)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn signals_at_one_time_are_one_request() {
        let mut last = None;
        let mut three = &[0; 3][..];
        assert!(is_requested(&mut three, &mut last));
        assert!(!is_requested(&mut three, &mut last));
        last = Instant::now().checked_sub(2 * TOGETHER);
        assert!(is_requested(&mut &[0][..], &mut last));
    }
}
