//! Any text as a configuration: a run, or errors that can be shown.
#![no_main]

use std::path::Path;

use ctrnn_train::RunConfig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let registry = ctrnn_train::registry();
    match RunConfig::from_text(text, "x.toml", Path::new("/nowhere"), &[], &registry) {
        Ok(run) => assert!(!run.resolved_toml().is_empty()),
        Err(errors) => assert!(errors.render(true).contains("error[")),
    }
});
