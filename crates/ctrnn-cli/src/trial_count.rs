//! The number of trials that a command takes of a task.

use ctrnn_config::Run;

use crate::terminal::Terminal;

/// The number that is asked for, or else `default`; of files that a network is tested with, all. There may be fewer.
pub fn trial_count(
    run: &Run,
    asked: Option<u32>,
    default: impl FnOnce() -> usize,
    terminal: &Terminal,
) -> usize {
    let asked = asked.map(|n| n as usize);
    let Some(set) = run.task.trial_set() else {
        return asked.unwrap_or_else(default);
    };
    let (there, is_test) = (set.n_held_out(), set.n_training() == 0);
    if let Some(n) = asked.filter(|&n| n > there) {
        let of_all = match is_test {
            true => format!("{there} trials are there"),
            false => format!(
                "{there} of {} trials are held out of training",
                there + set.n_training()
            ),
        };
        terminal.note(format!("--trials {n}: {of_all}; these are taken"));
    }
    let default = || if is_test { there } else { default() };
    asked.unwrap_or_else(default).min(there)
}
