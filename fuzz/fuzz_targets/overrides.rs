//! Any lines as overrides of a configuration: a run, or errors that can be shown.
#![no_main]

use std::path::Path;

use ctrnn_train::RunConfig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let registry = ctrnn_train::registry();
    let overrides: Vec<String> = text.lines().map(str::to_owned).collect();
    let config = "[task.go_nogo]\n[train]\nsteps = 1\n";
    match RunConfig::from_text(config, "x.toml", Path::new("/nowhere"), &overrides, &registry) {
        Ok(run) => assert!(!run.resolved_toml().is_empty()),
        Err(errors) => assert!(errors.render(true).contains("error[")),
    }
});
