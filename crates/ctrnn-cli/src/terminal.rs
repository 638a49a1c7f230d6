//! The two streams: data on stdout, everything else on stderr.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use ctrnn_files::printable;

use crate::args::{Output, ProgressStyle, When};
use crate::failure::Failure;

/// The output settings of this process.
#[derive(Clone, Debug)]
pub struct Terminal {
    json: bool,
    quiet: bool,
    verbose: bool,
    color: bool,
    progress: ProgressStyle,
}

impl Terminal {
    /// Creates the settings from the options of the command line and the type of stderr.
    pub fn new(output: &Output) -> Self {
        let is_terminal = io::stderr().is_terminal();
        let has_colors = is_terminal && std::env::var_os("NO_COLOR").is_none();
        let progress = match output.progress {
            _ if output.quiet => ProgressStyle::None,
            ProgressStyle::Auto if is_terminal => ProgressStyle::Bar,
            ProgressStyle::Auto => ProgressStyle::Plain,
            style => style,
        };
        Self {
            json: output.json,
            quiet: output.quiet,
            verbose: output.verbose,
            color: match output.color {
                When::Auto => has_colors,
                When::Always => true,
                When::Never => false,
            },
            progress,
        }
    }

    /// Returns true if results are printed as JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Returns the style of the progress display, which is never auto.
    pub fn progress(&self) -> ProgressStyle {
        self.progress
    }

    /// Prints a message on stderr.
    pub fn say(&self, message: impl AsRef<str>) {
        if !self.quiet {
            to_stderr(&printable(message.as_ref()));
        }
    }

    /// Prints a message on stderr, only with `--verbose`.
    pub fn detail(&self, message: impl AsRef<str>) {
        if self.verbose {
            to_stderr(&printable(message.as_ref()));
        }
    }

    /// Prints a note on stderr about something that a result does not show.
    pub fn note(&self, message: impl AsRef<str>) {
        self.say(format!("note: {}", message.as_ref()));
    }

    /// Prints notes on stderr.
    pub fn notes(&self, messages: impl IntoIterator<Item = impl AsRef<str>>) {
        for message in messages {
            self.note(message);
        }
    }

    /// Prints a result on stdout: the JSON value with `--json`, else the text.
    pub fn print(
        &self,
        text: impl FnOnce() -> String,
        json: impl FnOnce() -> serde_json::Value,
    ) -> Result<(), Failure> {
        let line = if self.json {
            json().to_string()
        } else if io::stdout().is_terminal() {
            printable(&text())
        } else {
            text()
        };
        printed(writeln!(io::stdout(), "{}", line.trim_end()))
    }

    /// Prints the path of a written file as JSON, only with `--json`.
    pub fn wrote(&self, path: &Path) -> Result<(), Failure> {
        self.print_json(|| serde_json::json!({ "wrote": path_text(path) }))
    }

    /// Prints a JSON value on stdout, only with `--json`.
    pub fn print_json(&self, json: impl FnOnce() -> serde_json::Value) -> Result<(), Failure> {
        if self.json {
            self.print(String::new, json)?;
        }
        Ok(())
    }

    /// Prints an error on stderr.
    pub fn error(&self, failure: &Failure) {
        to_stderr(failure.render(self.color).trim_end());
    }
}

/// Turns the result of printing on stdout into an error, except for a closed pipe.
pub fn printed(written: io::Result<()>) -> Result<(), Failure> {
    match written.and_then(|()| io::stdout().flush()) {
        // The reader has seen enough: `train-ctrnn tasks list | head -1`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::stdout(&error)),
    }
}

/// Converts a path to text for JSON: bytes that are not UTF-8 become U+FFFD.
pub fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Writes a line to stderr. Errors are ignored, so that training continues after a hang-up.
pub fn to_stderr(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
