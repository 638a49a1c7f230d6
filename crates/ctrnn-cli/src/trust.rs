//! Consent to start programs that configurations name.
//!
//! A configuration is untrusted, and it can name programs that make its trials or compute terms of its loss. Such a
//! program is started only if it is needed, and only if the user has agreed: by `train CONFIG`, or by `--trust`. Consent is remembered,
//! outside of any run folder, by a digest of the program ([ADR 10](../../../docs/adr/0010-programs-are-agreed-to.md)).

use std::path::{Path, PathBuf};

use ctrnn_files::{atomic, digest};
use ctrnn_runs::as_typed;
use ctrnn_tasks::TaskError;
use serde_json::{Value as Json, json};

use crate::args::Trust;
use crate::terminal::Terminal;

impl Trust {
    /// Returns the consent for a command that makes trials.
    pub fn consent(self, terminal: &Terminal) -> Consent<'_> {
        Consent {
            is_given: self.trust,
            terminal,
        }
    }
}

/// The user's consent to start a program.
#[derive(Clone, Copy)]
pub struct Consent<'a> {
    is_given: bool,
    terminal: &'a Terminal,
}

impl<'a> Consent<'a> {
    /// Returns the consent of a user who trains with the configuration that names the program.
    pub fn given(terminal: &'a Terminal) -> Self {
        Self {
            is_given: true,
            terminal,
        }
    }

    /// Remembers consent to the program with this command line, or checks that consent was given before.
    ///
    /// # Errors
    /// If there is no consent: shows the program, and how to agree.
    pub fn agree(&self, words: &[String]) -> Result<(), TaskError> {
        let program = Program::of(words)?;
        let memory = Memory::of_user();
        if !self.is_given {
            if memory.is_some_and(|memory| memory.knows(&program)) {
                return Ok(());
            }
            return Err(program.refused());
        }
        let remembered = match memory {
            Some(memory) => memory.remember(&program),
            None => Err("the home folder is not known".to_owned()),
        };
        if let Err(why) = remembered {
            self.terminal.note(format!(
                "your consent to the program of the task cannot be saved, so other commands will require --trust: {why}"
            ));
        }
        Ok(())
    }
}

/// A program as covered by consent.
#[derive(Debug, PartialEq)]
struct Program {
    words: Vec<String>,
    /// Folder from which relative words start; none if there are no such words.
    folder: Option<PathBuf>,
    /// Words that are files, with the digests of their content.
    files: Vec<(String, String)>,
}

/// Maximum number of files in a folder that is run as a program.
const MAX_FILES: usize = 10_000;

/// Files that Python or Node starts in a folder that is run as a program.
const STARTED: [&str; 6] = [
    "__main__.py",
    "__main__.pyc",
    "package.json",
    "index.js",
    "index.json",
    "index.node",
];

/// Lists the file at a path, or the files of a folder that an interpreter would run. Other folders hold data and are
/// left out.
fn files_at(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !STARTED.iter().any(|name| path.join(name).is_file()) {
        return Ok(path
            .is_file()
            .then(|| path.to_owned())
            .into_iter()
            .collect());
    }
    let mut files = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(folder)?;
        let mut paths = entries
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<Vec<_>>>()?;
        paths.sort();
        for path in paths {
            // Files that Python compiles change although the program does not.
            if path.ends_with("__pycache__") {
                continue;
            }
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if path.is_file() {
                files.push(path);
            }
            if files.len() > MAX_FILES {
                let what = format!("a folder of more than {MAX_FILES} files");
                return Err(std::io::Error::other(what));
            }
        }
    }
    Ok(files)
}

impl Program {
    fn of(words: &[String]) -> Result<Self, TaskError> {
        let is_absolute = |word: &String| Path::new(word).is_absolute();
        // The first word is searched in PATH, unless it contains a slash.
        let is_name = words.first().is_some_and(|word| !word.contains('/'));
        let further = words.iter().skip(usize::from(is_name));
        let unreadable = |what: &dyn std::fmt::Display| {
            TaskError::io(
                "command",
                format!("cannot read {}: {what}", as_typed(words)),
            )
        };
        // A program without further words, such as `make`, may read everything from the current folder.
        let names_all = further.clone().next().is_some() && further.clone().all(is_absolute);
        let folder = if names_all {
            None
        } else {
            Some(std::env::current_dir().map_err(|error| unreadable(&error))?)
        };
        let mut files = Vec::new();
        for word in further {
            for file in files_at(Path::new(word)).map_err(|error| unreadable(&error))? {
                let digest = digest::blake3_file(&file).map_err(|error| unreadable(&error))?;
                files.push((file.to_string_lossy().into_owned(), digest));
            }
        }
        Ok(Self {
            words: words.to_vec(),
            folder,
            files,
        })
    }

    fn json(&self) -> Json {
        json!({ "words": self.words, "folder": self.folder.as_ref().map(|f| f.to_string_lossy()), "files": self.files })
    }

    fn refused(&self) -> TaskError {
        let folder = self.folder.as_ref().map_or_else(String::new, |folder| {
            format!(
                "\n    in {}",
                as_typed(&[folder.to_string_lossy().into_owned()])
            )
        });
        let message = format!(
            "the configuration names a program that you have not agreed to start:\n    {}{folder}",
            as_typed(&self.words)
        );
        TaskError::program("command", message).with_help(
            "if you trust it, repeat the command with --trust: the program is started, and remembered until it changes",
        )
    }
}

/// The programs to which a user has agreed, with a file for each.
struct Memory {
    folder: PathBuf,
}

impl Memory {
    /// Finds `train-ctrnn/trusted` in the user's state folder. A relative folder is ignored, because the current folder
    /// is untrusted.
    fn of_user() -> Option<Self> {
        let absolute = |name: &str| {
            let path = PathBuf::from(std::env::var_os(name)?);
            path.is_absolute().then_some(path)
        };
        let state = absolute("XDG_STATE_HOME")
            .or_else(|| Some(absolute("HOME")?.join(".local/state")))
            .or_else(|| absolute("LOCALAPPDATA"))?;
        Some(Self {
            folder: state.join("train-ctrnn/trusted"),
        })
    }

    /// Returns the path and the content of the file for a program.
    fn entry(&self, program: &Program) -> (PathBuf, Vec<u8>) {
        let json = program.json();
        let digest = digest::blake3(json.to_string().as_bytes());
        let text = serde_json::to_string_pretty(&json).expect("a JSON value") + "\n";
        (
            self.folder.join(format!("{digest}.json")),
            text.into_bytes(),
        )
    }

    fn knows(&self, program: &Program) -> bool {
        let (path, content) = self.entry(program);
        path.is_file() && std::fs::read(path).is_ok_and(|found| found == content)
    }

    fn remember(&self, program: &Program) -> Result<(), String> {
        if self.knows(program) {
            return Ok(());
        }
        let (path, content) = self.entry(program);
        let why = |error: std::io::Error| format!("{}: {error}", self.folder.display());
        private_folder(&self.folder).map_err(why)?;
        atomic::write(&path, &content).map_err(|error| error.to_string())?;
        keep_private(&path).map_err(why)
    }
}

/// Creates a folder and its parents, which other users can neither read nor write.
fn private_folder(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(unix)]
fn keep_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}

#[cfg(not(unix))]
fn keep_private(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(words: &[&str]) -> Program {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        Program::of(&words).unwrap()
    }

    #[test]
    fn a_program_is_its_words_its_files_and_the_folder_of_relative_words() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("trials.py");
        std::fs::write(&script, "a").unwrap();
        let words = ["python3", script.to_str().unwrap()];
        let first = program(&words);
        assert_eq!((first.folder.as_ref(), first.files.len()), (None, 1));
        assert_eq!(first, program(&words));
        std::fs::write(&script, "b").unwrap();
        assert_ne!(first, program(&words));
        let relative = program(&["python3", "-m", "trials"]);
        assert_eq!(relative.folder, std::env::current_dir().ok());
        assert_eq!(program(&["./generator"]).folder, relative.folder);
        assert_ne!(program(&["a b"]).json(), program(&["a", "b"]).json());
    }

    #[test]
    fn a_folder_that_is_run_is_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let package = folder.path().join("package");
        std::fs::create_dir_all(package.join("parts")).unwrap();
        let words = ["python3", package.to_str().unwrap()];
        assert!(program(&words).files.is_empty(), "data, not a program");
        std::fs::write(package.join("__main__.py"), "a").unwrap();
        std::fs::write(package.join("parts/b.py"), "b").unwrap();
        let first = program(&words);
        assert_eq!(first.files.len(), 2);
        std::fs::write(package.join("parts/b.py"), "c").unwrap();
        assert_ne!(first, program(&words));
    }

    /// `python3 FOLDER` runs a compiled `__main__.pyc` too, and `node FOLDER` runs `index.js`.
    #[test]
    fn whatever_an_interpreter_starts_in_a_folder_counts() {
        for name in STARTED {
            let folder = tempfile::tempdir().unwrap();
            let words = ["interpreter", folder.path().to_str().unwrap()];
            assert!(program(&words).files.is_empty());
            let file = folder.path().join(name);
            std::fs::write(&file, "a").unwrap();
            let first = program(&words);
            std::fs::write(&file, "b").unwrap();
            assert_ne!(first, program(&words), "{name}");
        }
    }

    #[test]
    fn a_program_is_known_once_it_is_remembered_and_for_its_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory {
            folder: folder.path().join("state/train-ctrnn/trusted"),
        };
        let (one, other) = (program(&["python3"]), program(&["python"]));
        assert!(!memory.knows(&one));
        memory.remember(&one).unwrap();
        memory.remember(&one).unwrap();
        assert!(memory.knows(&one) && !memory.knows(&other));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&memory.folder), 0o700);
            assert_eq!(mode(&memory.entry(&one).0), 0o600);
        }
        std::fs::write(memory.entry(&other).0, "{}").unwrap();
        assert!(!memory.knows(&other), "a file of that name says nothing");
    }

    #[test]
    fn what_cannot_be_remembered_says_why() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let memory = Memory {
            folder: file.path().join("trusted"),
        };
        let why = memory.remember(&program(&["python3"])).unwrap_err();
        assert!(why.contains("trusted"), "{why}");
    }
}
