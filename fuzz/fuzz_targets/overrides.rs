//! Any lines as overrides of a configuration: a run, or errors that can be shown.
#![no_main]

use std::cell::LazyCell;
use std::path::Path;

use ctrnn_config::RunConfig;
use ctrnn_tasks::Registry;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static TASKS: LazyCell<Registry> = LazyCell::new(ctrnn_runs::registry);
}

fuzz_target!(|text: &str| {
    let overrides: Vec<String> = text.lines().map(str::to_owned).collect();
    let config = "[task.go_nogo]\n[train]\nsteps = 1\n";
    let read = |tasks: &LazyCell<Registry>| {
        RunConfig::from_text(config, "x.toml", Path::new("/nowhere"), &overrides, tasks)
    };
    match TASKS.with(read) {
        Ok(run) => assert!(!run.resolved_toml().is_empty()),
        Err(errors) => assert!(errors.render(true).contains("error[")),
    }
});
