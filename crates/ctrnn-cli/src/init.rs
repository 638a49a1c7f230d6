//! `init`: creates a project that is ready to train.

use std::path::Path;

use ctrnn_config::schema;
use ctrnn_files::output;
use ctrnn_tasks::Registry;

use crate::args::InitArgs;
use crate::failure::{Failure, IO};
use crate::terminal::Terminal;

/// The only file that may exist already; it is then left as it is.
const GITIGNORE: &str = ".gitignore";

/// Configuration of a new project: a copy of `configs/perceptual_decision.toml`, so that the sources of the crate alone can be built.
const CONFIG: &str = include_str!("perceptual_decision.toml");

/// Returns the files of a new project.
fn files(registry: &Registry) -> [(&'static str, String); 3] {
    let config = CONFIG.replace("configs/", "");
    let schema = serde_json::to_string_pretty(schema(registry)).expect("a JSON value");
    [
        ("perceptual_decision.toml", config),
        ("ctrnn.schema.json", schema),
        (GITIGNORE, "/runs\n".to_owned()),
    ]
}

/// Creates a project in a folder; existing files are not overwritten.
pub fn run(args: &InitArgs, registry: &Registry, terminal: &Terminal) -> Result<(), Failure> {
    std::fs::create_dir_all(&args.dir).map_err(|error| {
        let what = format!("cannot create {}: {error}", args.dir.display());
        Failure::new(IO, "F002", what, "choose another folder")
    })?;
    let files = files(registry);
    let is_there = |name: &str| args.dir.join(name).symlink_metadata().is_ok();
    if let Some((name, _)) = files
        .iter()
        .find(|(name, _)| *name != GITIGNORE && is_there(name))
    {
        let what = format!(
            "{} exists already; nothing was overwritten",
            args.dir.join(name).display()
        );
        return Err(Failure::new(IO, "F004", what, "choose another folder"));
    }
    for (name, text) in files.iter().filter(|(name, _)| !is_there(name)) {
        output::write(&args.dir.join(name), false, text.as_bytes())?;
    }
    terminal.wrote(&args.dir)?;
    let enter = match args.dir.as_path() {
        here if here == Path::new(".") => String::new(),
        dir => format!("cd {} && ", dir.display()),
    };
    terminal.say(format!(
        "next: {enter}train-ctrnn train perceptual_decision.toml"
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_configuration_is_that_of_the_repository() {
        let original = include_str!("../../../configs/perceptual_decision.toml");
        assert_eq!(
            super::CONFIG,
            original,
            "copy the file: cp configs/perceptual_decision.toml crates/ctrnn-cli/src/"
        );
    }
}
