//! Number of computing threads.

use std::error::Error as _;
use std::io;

use ctrnn_config::Run;

use crate::failure::{DEVICE, Failure};
use crate::terminal::Terminal;

/// Environment variables for the number of threads.
const RAYON: &str = "RAYON_NUM_THREADS";
const SLURM: &str = "SLURM_CPUS_PER_TASK";

/// Maximum number of threads for each core: they wait only for work, so more than one for each core brings nothing.
const MOST_PER_CORE: usize = 4;
/// Maximum number on a machine with few cores, so that users can check that results do not depend on the number.
const MOST_ANYWHERE: usize = 16;

/// Number of multiplications in a time step (trials times units squared) below which training uses a single thread.
///
/// A core does about 5e10 multiplications per second, so below this a time step takes less than 2 us, and a sweep over
/// 30 time steps, of which a training step has two, less than 60 us: as long as waking and joining other threads. With
/// two threads, a step of 32 trials of 64 units (1.3e5) is 1.5 times faster (docs/performance.md), one of 32 units
/// (3.3e4) slower.
const ONE_THREAD_BELOW: usize = 100_000;

/// Starts the threads of this process. Only the first call counts.
///
/// # Errors
/// If the system allows no more threads.
pub fn start(n: usize) -> Result<(), Failure> {
    let mut pool = rayon::ThreadPoolBuilder::new().num_threads(n);
    if n == 1 {
        pool = pool.use_current_thread(); // no thread has to be started
    }
    match pool.build_global() {
        Err(error)
            if error
                .source()
                .is_some_and(<dyn std::error::Error>::is::<io::Error>) =>
        {
            Err(not_started(n, &error))
        }
        // An error without a source means that the pool exists already, in a program that uses this crate as a library.
        _ => Ok(()),
    }
}

/// Prints a note if there are fewer threads than requested.
pub fn tell(run: &Run, terminal: &Terminal) {
    let (asked, n) = (run.config.device.threads, rayon::current_num_threads());
    if n < asked {
        terminal.note(format!(
            "{asked} threads are more than this machine can use, which is {n}"
        ));
    }
}

/// Prints notes on environment variables for the number of threads that do not hold a number.
pub fn tell_variables(terminal: &Terminal) {
    for note in unread_variables(variable) {
        terminal.note(note);
    }
}

fn unread_variables(variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let note = |name: &str| {
        let value = variable(name)?;
        let is_number = value.trim().parse::<usize>();
        // rayon itself treats 0 as unset.
        let is_fine = match is_number {
            Ok(0) => name == RAYON,
            Ok(_) => true,
            Err(_) => value.trim().is_empty(),
        };
        (!is_fine)
            .then(|| format!("{name} = {value:?} has no effect: it is not a number of threads"))
    };
    [RAYON, SLURM].into_iter().filter_map(note).collect()
}

/// Returns the number of threads that train a run.
pub fn in_training(run: &Run) -> usize {
    decide(
        run.config.device.threads,
        variable,
        cores(),
        useful_in_training(run),
    )
}

/// Returns the number of threads for anything else, given the requested number; 0 means that none was requested.
pub fn elsewhere(asked: usize) -> usize {
    decide(asked, variable, cores(), usize::MAX)
}

/// Decides the number of threads that compute.
///
/// It is the first of these that is given: the key `device.threads` (unless 0), `RAYON_NUM_THREADS`, the CPUs that
/// Slurm assigned to the task, the cores. The last two are limited to the number of useful threads.
fn decide(
    key: usize,
    variable: impl Fn(&str) -> Option<String>,
    cores: usize,
    useful: usize,
) -> usize {
    let number = |name: &str| -> Option<usize> {
        let number = variable(name)?.trim().parse().ok();
        number.filter(|&n| n > 0)
    };
    let most = (MOST_PER_CORE * cores).max(MOST_ANYWHERE);
    let asked = (key > 0).then_some(key);
    let n = asked
        .or_else(|| number(RAYON))
        .unwrap_or_else(|| number(SLURM).unwrap_or(cores).min(useful));
    n.min(most)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Returns the number of cores that this process may use, within its affinity and the quota of its control group.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Returns the number of threads that make the training of a network faster; unlimited if the network is large enough.
fn useful_in_training(run: &Run) -> usize {
    let units = run.model.n_units;
    let multiplications = units
        .saturating_mul(units)
        .saturating_mul(run.config.train.batch_size);
    // With trials from another program, a second thread trains while the first waits for the program.
    let waits = run.task.interrupt().is_some();
    if multiplications < ONE_THREAD_BELOW && !waits {
        1
    } else {
        usize::MAX
    }
}

/// Creates the error of a system that allows no more threads.
pub fn not_started(n: usize, why: impl std::fmt::Display) -> Failure {
    Failure::new(
        DEVICE,
        "G006",
        format!("cannot start {n} threads: {why}"),
        "use fewer: --threads 1; or raise the limit on processes (`ulimit -u`, or that of the job)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decides on four cores, with the key and the two variables given.
    fn decided(key: usize, rayon: &str, slurm: &str, useful: usize) -> usize {
        let variable = |name: &str| match name {
            "RAYON_NUM_THREADS" => Some(rayon.to_owned()),
            "SLURM_CPUS_PER_TASK" => Some(slurm.to_owned()),
            _ => None,
        };
        decide(key, variable, 4, useful)
    }

    #[test]
    fn the_first_that_is_given_decides() {
        const MANY: usize = usize::MAX;
        assert_eq!(decided(3, "2", "1", MANY), 3);
        assert_eq!(decided(0, "2", "1", MANY), 2);
        assert_eq!(decided(0, "", "3", MANY), 3);
        assert_eq!(decided(0, "0", "many", MANY), 4);
    }

    #[test]
    fn a_small_network_takes_one_unless_asked() {
        assert_eq!(decided(0, "", "", 1), 1);
        assert_eq!(decided(0, "", "8", 1), 1);
        assert_eq!(decided(0, "2", "8", 1), 2);
        assert_eq!(decided(2, "", "8", 1), 2);
    }

    #[test]
    fn no_more_are_started_than_can_be_used() {
        assert_eq!(decided(1000, "", "", 1), 16);
        assert_eq!(decided(0, "5000", "", 1), 16);
        assert_eq!(decided(0, "", "5000", usize::MAX), 16);
        let none = |_: &str| None;
        assert_eq!(decide(1000, none, 64, 1), 256);
    }

    #[test]
    fn the_work_of_a_time_step_tells_small_networks() {
        let useful = |text: &str| {
            let registry = ctrnn_runs::registry();
            let here = std::path::Path::new("/");
            let run = ctrnn_config::RunConfig::from_text(text, "a.toml", here, &[], &registry);
            useful_in_training(&run.unwrap())
        };
        let small = "[task.go_nogo]\n[model]\nn_units = 32\n[train]\nbatch_size = 32\n";
        assert_eq!(useful(small), 1);
        assert_eq!(
            useful(&small.replace("n_units = 32", "n_units = 64")),
            usize::MAX
        );
    }
}
