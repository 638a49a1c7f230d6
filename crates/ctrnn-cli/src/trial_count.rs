//! The number of trials that a command uses.

use ctrnn_config::{Origin, Run, counted};

use crate::terminal::Terminal;

/// Returns the requested number of trials, or else `default`, or all trials of test files. Files may hold fewer.
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
    let table = format!("task.{}", run.task_name);
    for (key, why) in run.task.unused_keys() {
        let key = format!("{table}.{key}");
        if run.origin(&key) == Origin::CommandLine {
            terminal.note(format!("{key} has no effect: {why}"));
        }
    }
    let (available, is_test) = (set.n_held_out(), set.n_training() == 0);
    if let Some(n) = asked.filter(|&n| n > available) {
        let are = if available == 1 { "is" } else { "are" };
        let reason = if is_test {
            format!("there {are} only {}", counted(available, "trial"))
        } else {
            let all = available + set.n_training();
            let all = counted(all, "trial");
            format!("only {available} of {all} {are} held out of training")
        };
        terminal.note(format!("--trials {n}: {reason}; no more are used"));
    }
    let default = || if is_test { available } else { default() };
    asked.unwrap_or_else(default).min(available)
}
