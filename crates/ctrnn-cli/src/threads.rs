//! Number of threads that compute: the one place where it is decided.

use std::error::Error as _;
use std::io;

use ctrnn_config::Run;

use crate::failure::{DEVICE, Failure};
use crate::terminal::Terminal;

/// Bound on the threads for each core: they never wait for anything but work, so more than one is of no use.
const MOST_PER_CORE: usize = 4;
/// Bound on a machine with few cores, where somebody may want to see that results do not depend on the number.
const MOST_ANYWHERE: usize = 16;

/// Number of multiplications in a time step, trials times units squared, below which one thread trains alone.
///
/// A core does some 5e10 a second, so below this a time step takes less than 2 us, and a sweep over 30 time steps, of which a
/// training step has two, less than 60 us: as long as it takes to wake other threads and to wait for them. Two threads make a
/// step of 32 trials of 64 units (1.3e5) 1.5 times faster (docs/performance.md), one of 32 units (3.3e4) slower.
const ONE_THREAD_BELOW: usize = 100_000;

/// Starts the threads of this process. Only the first call counts.
///
/// # Errors
/// If the system allows no more threads.
pub fn start(n: usize) -> Result<(), Failure> {
    let mut pool = rayon::ThreadPoolBuilder::new().num_threads(n);
    if n == 1 {
        pool = pool.use_current_thread(); // then none is started
    }
    match pool.build_global() {
        Err(error)
            if error
                .source()
                .is_some_and(<dyn std::error::Error>::is::<io::Error>) =>
        {
            Err(not_started(n, &error))
        }
        // Another error has no cause: a program with tasks of its own has started its threads already.
        _ => Ok(()),
    }
}

/// Tells the user if there are fewer threads than the configuration or the command line asks for.
pub fn tell(run: &Run, terminal: &Terminal) {
    let (asked, n) = (run.config.device.threads, rayon::current_num_threads());
    if n < asked {
        terminal.note(format!(
            "{asked} threads are more than this machine can use; {n} compute"
        ));
    }
}

/// The number of threads that train a run.
pub fn in_training(run: &Run) -> usize {
    decide(
        run.config.device.threads,
        variable,
        cores(),
        useful_in_training(run),
    )
}

/// The number of threads that do anything else, where so many are asked for; 0: nobody asks.
pub fn elsewhere(asked: usize) -> usize {
    decide(asked, variable, cores(), usize::MAX)
}

/// The number of threads that compute.
///
/// The first of these that is given decides: the key `device.threads` (0 is none), `RAYON_NUM_THREADS`, what Slurm gave the
/// task, the cores; the last two only as far as threads are useful.
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
        .or_else(|| number("RAYON_NUM_THREADS"))
        .unwrap_or_else(|| number("SLURM_CPUS_PER_TASK").unwrap_or(cores).min(useful));
    n.min(most)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The cores that this process may use: those of the machine, less what its affinity and the quota of its control group take.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The number of threads that make the training of a network faster; not bounded where it is large enough.
fn useful_in_training(run: &Run) -> usize {
    let units = run.model.n_units;
    let multiplications = units
        .saturating_mul(units)
        .saturating_mul(run.config.train.batch_size);
    // While the trials of another program are waited for, a second thread trains.
    let waits = run.task_name == "command";
    if multiplications < ONE_THREAD_BELOW && !waits {
        1
    } else {
        usize::MAX
    }
}

/// The error of a system that allows no more threads.
pub fn not_started(n: usize, why: impl std::fmt::Display) -> Failure {
    Failure::new(
        DEVICE,
        "G006",
        format!("cannot start {n} threads: {why}"),
        "ask for fewer: --threads 1; or raise the limit on processes (`ulimit -u`, or that of the job)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decides on four cores, where `key` and these variables are given.
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
