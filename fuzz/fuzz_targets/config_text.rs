//! Any text as a configuration: a run, or errors that can be shown.
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
    let read = |tasks: &LazyCell<Registry>| {
        RunConfig::from_text(text, "x.toml", Path::new("/nowhere"), &[], tasks)
    };
    match TASKS.with(read) {
        Ok(run) => assert!(!run.resolved_toml().is_empty()),
        Err(errors) => assert!(errors.render(true).contains("error[")),
    }
});
