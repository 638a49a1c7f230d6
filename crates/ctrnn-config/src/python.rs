//! Command lines of Python, for files of the user's that a configuration names.

use std::collections::BTreeMap;

use ctrnn_train::{PythonTerm, TrainConfig};

/// Environment variable with the Python that runs files of the user's; the command line of the Python package sets it to its own.
const INTERPRETER: &str = "CTRNN_PYTHON";

/// Returns the Python that runs a file: the given one, that of the package whose command line this is, or `python3`.
pub fn interpreter(given: Option<&str>) -> String {
    let given = given.map(str::to_owned);
    let installed = || std::env::var(INTERPRETER).ok();
    given
        .or_else(installed)
        .unwrap_or_else(|| "python3".to_owned())
}

/// Returns the command lines of the programs that compute terms of the loss, by the names of the terms.
pub(crate) fn programs_of_terms(train: &TrainConfig) -> BTreeMap<String, Vec<String>> {
    let words = |(name, term): (&String, &PythonTerm)| {
        let function = match term.function.as_str() {
            "" => name,
            function => function,
        };
        let arguments = serde_json::to_string(&term.arguments).expect("JSON values");
        let words = [
            &interpreter(term.interpreter.as_deref()),
            "-m",
            "ctrnn.loss",
            &term.file.0.to_string_lossy(),
            function,
            &arguments,
        ];
        (name.clone(), words.map(str::to_owned).into())
    };
    train.loss.python.iter().map(words).collect()
}
