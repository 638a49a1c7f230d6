//! The two streams: data on stdout, everything else on stderr.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use ctrnn_files::printable;

use crate::args::{Output, ProgressStyle, When};
use crate::failure::Failure;

/// How to talk to the user.
#[derive(Clone, Debug)]
pub struct Terminal {
    json: bool,
    quiet: bool,
    verbose: bool,
    color: bool,
    progress: ProgressStyle,
}

impl Terminal {
    /// What the command line asks for, on the streams that there are.
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

    /// Whether results are printed as JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// How to show progress: anything but auto.
    pub fn progress(&self) -> ProgressStyle {
        self.progress
    }

    /// Tells the user something, on stderr.
    pub fn say(&self, message: impl AsRef<str>) {
        if !self.quiet {
            to_stderr(&printable(message.as_ref()));
        }
    }

    /// Tells the user something only if they want to know more.
    pub fn detail(&self, message: impl AsRef<str>) {
        if self.verbose {
            to_stderr(&printable(message.as_ref()));
        }
    }

    /// Tells the user what a result does not show, on stderr.
    pub fn note(&self, message: impl AsRef<str>) {
        self.say(format!("note: {}", message.as_ref()));
    }

    /// Prints a result on stdout: the JSON value if JSON is asked for, else the text.
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

    /// Where JSON is asked for, prints which file was written.
    pub fn wrote(&self, path: &Path) -> Result<(), Failure> {
        self.print_json(|| serde_json::json!({ "wrote": path_text(path) }))
    }

    /// Prints a JSON value on stdout, where JSON is asked for.
    pub fn print_json(&self, json: impl FnOnce() -> serde_json::Value) -> Result<(), Failure> {
        match self.json {
            true => self.print(String::new, json),
            false => Ok(()),
        }
    }

    /// Prints an error on stderr.
    pub fn error(&self, failure: &Failure) {
        to_stderr(failure.render(self.color).trim_end());
    }
}

/// Turns the outcome of printing on stdout into an error; a closed pipe is none.
pub fn printed(written: io::Result<()>) -> Result<(), Failure> {
    match written.and_then(|()| io::stdout().flush()) {
        // Whoever reads has seen enough: `train-ctrnn tasks list | head -1`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::stdout(&error)),
    }
}

/// A path in JSON, which holds text: bytes that are not UTF-8 are shown as U+FFFD.
pub fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Writes a line to stderr. If nobody listens any more, as after a hang-up, training still goes on.
pub fn to_stderr(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
