//! Diagnostics: problems of a configuration, with their place in the text and a remedy.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use ctrnn_files::printable;

/// Code of a kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// A key that is not in the schema, in the file or in an override.
    UnknownKey,
    /// A value of the wrong type for its key.
    WrongType,
    /// A word that is not among the allowed ones.
    UnknownWord,
    /// A number, or the length of a list, outside its range; NaN and infinities.
    OutOfRange,
    /// A missing key that its table requires.
    MissingKey,
    /// A syntax error: text that is not TOML.
    Syntax,
    /// An unreadable file: missing, a folder, or not UTF-8.
    Unreadable,
    /// An unsupported version of the configuration format.
    Version,
    /// An override that is not `KEY=VALUE` or `~KEY`.
    BadOverride,
    /// Two overrides of the same key.
    RepeatedOverride,
    /// A task that is not in the registry.
    UnknownTask,
    /// A configuration without a task.
    NoTask,
    /// A configuration with more than one task.
    SeveralTasks,
    /// A value that breaks a rule of its task, for instance a duration between two time steps.
    TaskRule,
    /// A time step longer than the time constant.
    TimeStep,
    /// Initial weights or an initial state that cannot be made.
    Initial,
    /// A stopping rule without a bound, with two bounds, or with one that cannot be met.
    StopRule,
    /// Training settings that contradict each other.
    Training,
    /// A changed key that a resumed run must keep.
    FixedKey,
    /// An output nonlinearity that does not fit the loss or the number of outputs.
    Readout,
    /// Connections or signs that contradict each other or the activation.
    Connections,
    /// An override of a key that the command does not allow to be overridden.
    NotHere,
    /// Fewer steps than a resumed run has already done.
    StepsDone,
    /// An input file that is missing, corrupt, or of a kind other than the configuration says.
    Data,
    /// An I/O error while reading a file.
    Io,
    /// A program named in the configuration that is not started, for lack of permission.
    Program,
}

impl Code {
    /// All codes, in the order of the documentation.
    pub const ALL: [Self; 26] = [
        Self::UnknownKey,
        Self::WrongType,
        Self::UnknownWord,
        Self::OutOfRange,
        Self::MissingKey,
        Self::Syntax,
        Self::Unreadable,
        Self::Version,
        Self::BadOverride,
        Self::RepeatedOverride,
        Self::UnknownTask,
        Self::NoTask,
        Self::SeveralTasks,
        Self::TaskRule,
        Self::TimeStep,
        Self::Initial,
        Self::StopRule,
        Self::FixedKey,
        Self::NotHere,
        Self::StepsDone,
        Self::Connections,
        Self::Training,
        Self::Readout,
        Self::Data,
        Self::Io,
        Self::Program,
    ];

    /// Returns the code as printed; its meaning does not change between releases.
    pub const fn id(self) -> &'static str {
        match self {
            Self::UnknownKey => "C001",
            Self::WrongType => "C002",
            Self::UnknownWord => "C003",
            Self::OutOfRange => "C004",
            Self::MissingKey => "C005",
            Self::Syntax => "C006",
            Self::Unreadable => "C007",
            Self::Version => "C008",
            Self::BadOverride => "C009",
            Self::RepeatedOverride => "C010",
            Self::UnknownTask => "C011",
            Self::NoTask => "C012",
            Self::SeveralTasks => "C013",
            Self::TaskRule => "C014",
            Self::TimeStep => "C015",
            Self::Initial => "C016",
            Self::StopRule => "C017",
            Self::FixedKey => "C018",
            Self::NotHere => "C019",
            Self::StepsDone => "C021",
            Self::Connections => "C023",
            Self::Training => "C025",
            Self::Readout => "C026",
            Self::Data => "D001",
            Self::Io => "D002",
            Self::Program => "D006",
        }
    }

    /// Returns the exit code of a command that ends with this problem: 2 configuration, 4 data, 5 input/output.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Data | Self::Program => 4,
            Self::Io => 5,
            _ => 2,
        }
    }
}

/// A source text: the configuration file, or one override.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// Position in reading order: 0 for the file, 1 for the first override.
    pub order: usize,
    /// Name used in messages: the path as given, or `command line`.
    pub name: String,
    /// The content.
    pub text: String,
    /// The base folder of relative paths in the text.
    pub folder: PathBuf,
}

/// A place in a source text: a range of bytes of a [`Source`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The source text.
    pub source: Arc<Source>,
    /// The range of bytes.
    pub span: Range<usize>,
}

impl Place {
    /// Returns line and column of the first byte, both counted from 1; columns count characters.
    pub fn line_column(&self) -> (usize, usize) {
        let before = &self.source.text[..self.start()];
        let column = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, column.chars().count() + 1)
    }

    /// Returns the range of bytes of the line with the first byte, without the line break.
    pub(crate) fn line_span(&self) -> Range<usize> {
        let text = &self.source.text;
        let start = text[..self.start()].rfind('\n').map_or(0, |n| n + 1);
        let line = text[start..].lines().next().unwrap_or_default();
        start..start + line.len()
    }

    /// Returns the line with the first byte, without the line break.
    fn line(&self) -> &str {
        &self.source.text[self.line_span()]
    }

    /// Returns the line for display; a long one is cut to an excerpt around the place.
    fn excerpt(&self) -> Excerpt {
        const LONGEST: usize = 160;
        const BEFORE: usize = 60;
        let line = printable(&self.line().replace('\t', " "));
        let (indent, width) = (self.line_column().1 - 1, self.width());
        if line.chars().nth(LONGEST).is_none() {
            return Excerpt {
                text: line,
                indent,
                width,
            };
        }
        let skipped = indent.saturating_sub(BEFORE);
        let mut text: String = line.chars().skip(skipped).take(LONGEST).collect();
        let indent = indent - skipped;
        let width = width.min(LONGEST.saturating_sub(indent)).max(1);
        let shown_before = if skipped > 0 { "..." } else { "" };
        text = format!("{shown_before}{text}...");
        Excerpt {
            text,
            indent: indent + shown_before.len(),
            width,
        }
    }

    /// Returns the index of the first byte, moved back to a character boundary inside the text.
    fn start(&self) -> usize {
        self.source.text.floor_char_boundary(self.span.start)
    }

    /// Returns the number of characters to underline on the first line; at least one.
    fn width(&self) -> usize {
        let end = self
            .source
            .text
            .floor_char_boundary(self.span.end)
            .max(self.start());
        let text = &self.source.text[self.start()..end];
        text.lines()
            .next()
            .unwrap_or_default()
            .trim_end()
            .chars()
            .count()
            .max(1)
    }
}

/// A line for display, and the position of the carets under it.
struct Excerpt {
    text: String,
    indent: usize,
    width: usize,
}

/// A label: a place in the text, with a note that may be empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub place: Place,
    /// The note.
    pub text: String,
}

/// A diagnostic: one problem of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The kind of the problem.
    pub code: Code,
    /// The problem in one line.
    pub message: String,
    /// Places in the text, the one to change first; empty if there is no text to show.
    pub labels: Vec<Label>,
    /// The remedy; empty if the message suffices.
    pub help: String,
}

impl Diagnostic {
    /// Creates a diagnostic without places and remedy.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            labels: Vec::new(),
            help: String::new(),
        }
    }

    /// Adds a label.
    #[must_use]
    pub fn at(mut self, place: &Place, text: impl Into<String>) -> Self {
        self.labels.push(Label {
            place: place.clone(),
            text: text.into(),
        });
        self
    }

    /// Sets the remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// Renders the problem for a terminal, with colours if requested; ends with a newline.
    pub fn render(&self, color: bool) -> String {
        let mut text = heading(self.code.id(), &self.message, color);
        let lines = self.labels.iter().map(|label| label.place.line_column().0);
        let gutter = lines.max().map_or(0, |line| line.to_string().len());
        for (i, label) in self.labels.iter().enumerate() {
            let is_continued = i > 0 && self.labels[i - 1].place.source == label.place.source;
            let arrow = if is_continued { ":::" } else { "-->" };
            text += &label.render(arrow, gutter, Paint(color));
        }
        text + &help_line(&self.help, color)
    }
}

impl Label {
    /// Renders the line of the source, with the place underlined, below a heading with its position.
    fn render(&self, arrow: &str, gutter: usize, paint: Paint) -> String {
        let (line, column) = self.place.line_column();
        let Excerpt {
            text: source_line,
            indent,
            width,
        } = self.place.excerpt();
        let bar = paint.blue("|");
        let number = paint.blue(&format!("{line:>gutter$}"));
        let carets = paint.red(&"^".repeat(width));
        let note = match self.text.as_str() {
            "" => String::new(),
            note => format!(" {}", paint.red(note)),
        };
        format!(
            "{:gutter$}{} {}:{line}:{column}\n{:gutter$} {bar}\n{number} {bar} {source_line}\n{:gutter$} {bar} {:indent$}{carets}{note}\n",
            "",
            paint.blue(arrow),
            printable(&self.place.source.name),
            "",
            "",
            "",
        )
    }
}

/// Returns an error without a place as shown on a terminal: its code, what is wrong, and the remedy.
pub fn render_error(code: &str, message: &str, help: &str, color: bool) -> String {
    heading(code, message, color) + &help_line(help, color)
}

fn heading(code: &str, message: &str, color: bool) -> String {
    let paint = Paint(color);
    format!(
        "{}{}\n",
        paint.red(&format!("error[{code}]")),
        paint.bold(&format!(": {}", printable(message))),
    )
}

fn help_line(help: &str, color: bool) -> String {
    if help.is_empty() {
        return String::new();
    }
    format!("{}: {}\n", Paint(color).cyan("help"), printable(help))
}

/// Terminal colours, if enabled.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn wrap(&self, codes: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{codes}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
    fn red(&self, text: &str) -> String {
        self.wrap("1;31", text)
    }
    fn blue(&self, text: &str) -> String {
        self.wrap("1;34", text)
    }
    fn cyan(&self, text: &str) -> String {
        self.wrap("1;36", text)
    }
    fn bold(&self, text: &str) -> String {
        self.wrap("1", text)
    }
}

/// All errors of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<Diagnostic>);

impl ConfigErrors {
    /// Returns the exit code of the command: 2 if any problem is in the configuration itself, otherwise that of the
    /// first problem (4 data, 5 input/output).
    pub fn exit_code(&self) -> u8 {
        let codes = || self.0.iter().map(|problem| problem.code.exit_code());
        codes()
            .find(|&code| code == 2)
            .or_else(|| codes().next())
            .unwrap_or(2)
    }

    /// Renders all problems for a terminal, separated by empty lines.
    pub fn render(&self, color: bool) -> String {
        let texts: Vec<String> = self.0.iter().map(|problem| problem.render(color)).collect();
        texts.join("\n")
    }
}

impl From<Diagnostic> for ConfigErrors {
    fn from(problem: Diagnostic) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, word: &str) -> Place {
        let source = Source {
            order: 0,
            name: "run.toml".into(),
            text: text.into(),
            folder: PathBuf::new(),
        };
        let start = text.find(word).unwrap();
        Place {
            source: Arc::new(source),
            span: start..start + word.len(),
        }
    }

    #[test]
    fn codes_are_unique_and_listed_in_order() {
        let mut ids: Vec<&str> = Code::ALL.iter().map(|code| code.id()).collect();
        assert!(ids.is_sorted());
        ids.dedup();
        assert_eq!(ids.len(), Code::ALL.len());
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        assert_eq!(
            place("a = 1\nname = \"größe\" # x", "# x").line_column(),
            (2, 16)
        );
    }

    #[test]
    fn of_a_long_line_the_place_is_shown() {
        let text = format!("a = \"{}\", b = 1 # {}", "x".repeat(500), "y".repeat(500));
        let shown = Diagnostic::new(Code::UnknownKey, "unknown key b")
            .at(&place(&text, "b = 1"), "")
            .render(false);
        let lines: Vec<&str> = shown.lines().collect();
        let caret = lines[4].find('^').unwrap();
        assert_eq!(lines[3][caret..].get(..5), Some("b = 1"), "{shown}");
        assert!(lines.iter().all(|line| line.len() < 200), "{shown}");
        assert!(lines[1].ends_with(":1:509"), "{shown}");
    }

    #[test]
    fn a_terminal_is_told_nothing_by_a_file() {
        let shown = Diagnostic::new(Code::UnknownKey, "unknown key \x1b[2J")
            .at(&place("\x1b[2J = 1", "\x1b"), "")
            .render(false);
        assert!(!shown.contains('\x1b'), "{shown}");
    }

    #[test]
    fn a_place_past_the_end_is_shown_at_the_end() {
        let mut end = place("a = ", "a");
        end.span = 4..9;
        assert_eq!(
            (end.line_column(), end.width(), end.line()),
            ((1, 5), 1, "a = ")
        );
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let problem = Diagnostic::new(Code::UnknownKey, "unknown key x")
            .at(&place("x = 1", "x"), "here")
            .help("remove it");
        let mut plain = problem.render(true);
        for code in [
            "\x1b[1;31m",
            "\x1b[1;34m",
            "\x1b[1;36m",
            "\x1b[1m",
            "\x1b[0m",
        ] {
            assert!(plain.contains(code));
            plain = plain.replace(code, "");
        }
        assert_eq!(plain, problem.render(false));
    }

    #[test]
    fn the_configuration_counts_before_the_data() {
        let data = Diagnostic::new(Code::Data, "corrupt");
        let io = Diagnostic::new(Code::Io, "permission denied");
        let key = Diagnostic::new(Code::UnknownKey, "unknown key");
        assert_eq!(ConfigErrors(vec![data.clone(), key]).exit_code(), 2);
        assert_eq!(ConfigErrors(vec![data]).exit_code(), 4);
        assert_eq!(ConfigErrors(vec![io]).exit_code(), 5);
    }
}
