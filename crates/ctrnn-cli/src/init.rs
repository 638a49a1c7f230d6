//! `init`: a project that runs at once.

use std::path::Path;

use ctrnn_files::{FileError, atomic};
use ctrnn_tasks::Registry;
use ctrnn_train::schema;

use crate::args::InitArgs;
use crate::failure::{Failure, IO};
use crate::terminal::Terminal;

/// The files of a new project.
fn files(registry: &Registry) -> [(&'static str, String); 3] {
    let config = include_str!("../../../configs/perceptual_decision.toml").replace("configs/", "");
    let schema = serde_json::to_string_pretty(&schema(registry)).expect("a JSON value");
    [
        ("perceptual_decision.toml", config),
        ("ctrnn.schema.json", schema),
        (".gitignore", "/runs\n".to_owned()),
    ]
}

/// Makes a project in a folder; files that are there stay as they are.
pub fn run(args: &InitArgs, registry: &Registry, terminal: &Terminal) -> Result<u8, Failure> {
    std::fs::create_dir_all(&args.dir).map_err(|error| {
        let what = format!("cannot make {}: {error}", args.dir.display());
        Failure::new(IO, "F002", what, "choose another folder")
    })?;
    for (name, text) in files(registry) {
        let path = args.dir.join(name);
        if path.exists() {
            return Err(FileError::AlreadyExists { path }.into());
        }
        atomic::write(&path, text.as_bytes())?;
    }
    terminal.wrote(&args.dir)?;
    let enter = match args.dir.as_path() {
        here if here == Path::new(".") => String::new(),
        dir => format!("cd {} && ", dir.display()),
    };
    terminal.say(format!(
        "next: {enter}train-ctrnn train perceptual_decision.toml"
    ));
    Ok(0)
}
