//! A program that makes trials: it is started once, asked on its standard input, and answers on its standard output.
//!
//! A question is a line of JSON. An answer is a line of JSON, too; if it has the key `bytes`, so many bytes follow. An answer
//! with the key `error` is the program's way to say that it cannot. What it writes to its standard error is quoted where
//! it fails. The process is ended, by its own id, when the generator is dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// A longer line of JSON, or more bytes after it, are taken for garbage.
const MAX_LINE: u64 = 1 << 20;
const MAX_BYTES: u64 = 1 << 32;
/// How much of the standard error is kept.
const MAX_ERRORS: usize = 2000;
/// How long a process that has closed its output may take to end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A running program.
#[derive(Debug)]
pub(crate) struct Generator {
    child: Child,
    questions: ChildStdin,
    answers: Receiver<Result<Option<Answer>, String>>,
    errors: Arc<Mutex<Vec<u8>>>,
    errors_ended: Receiver<()>,
}

/// A line of JSON and what followed it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub header: Value,
    pub bytes: Vec<u8>,
}

impl Generator {
    /// Starts `command` (the program and its arguments) in `folder`.
    pub fn start(command: &[String], folder: &Path) -> Result<Self, String> {
        let (program, arguments) = command.split_first().ok_or("no program is named")?;
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{program} cannot be started: {error}"))?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(questions), Some(stdout), Some(stderr)) = pipes else {
            unreachable!("three pipes were asked for");
        };
        let (send, answers) = channel();
        on_a_thread(move || read_answers(BufReader::new(stdout), &send))?;
        let errors = Arc::new(Mutex::new(Vec::new()));
        let (ended, errors_ended) = channel();
        let kept = Arc::clone(&errors);
        on_a_thread(move || {
            keep_last(stderr, &kept);
            let _ = ended.send(()); // nobody may be left to hear it
        })?;
        Ok(Self {
            child,
            questions,
            answers,
            errors,
            errors_ended,
        })
    }

    /// Asks and waits for the answer; after an error the generator is of no more use.
    pub fn ask(&mut self, question: &Value, timeout: Duration) -> Result<Answer, String> {
        let line = format!("{question}\n");
        let written = self.questions.write_all(line.as_bytes());
        if written.and_then(|()| self.questions.flush()).is_err() {
            return Err(self.how_it_ended());
        }
        let answer = match self.answers.recv_timeout(timeout) {
            Ok(Ok(Some(answer))) => answer,
            Ok(Ok(None)) | Err(RecvTimeoutError::Disconnected) => return Err(self.how_it_ended()),
            Ok(Err(garbage)) => return Err(garbage),
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("gave no answer within {} ms", timeout.as_millis()));
            }
        };
        match answer.header["error"].as_str() {
            Some(error) => Err(format!("says: {error}")),
            None => Ok(answer),
        }
    }

    fn how_it_ended(&mut self) -> String {
        let mut message = match self.wait() {
            Some(status) => format!("ended without an answer ({status})"),
            None => "closed its standard output without an answer".to_owned(),
        };
        let _ = self.errors_ended.recv_timeout(LAST_WORDS); // a grandchild may keep it open
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let errors = String::from_utf8_lossy(&errors);
        if !errors.trim().is_empty() {
            message += &format!("; its last words: {}", errors.trim());
        }
        message
    }

    /// How the process ended; none if it goes on.
    fn wait(&mut self) -> Option<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < LAST_WORDS {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// The id of the process.
    #[cfg(test)]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

/// Does something on a thread of its own; the system may allow none.
fn on_a_thread(work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let started = thread::Builder::new().spawn(work);
    started
        .map(drop)
        .map_err(|error| format!("needs a thread, which cannot be started: {error}"))
}

/// Sends every answer, then the end or what was wrong.
fn read_answers(mut stdout: impl BufRead, send: &Sender<Result<Option<Answer>, String>>) {
    loop {
        let answer = read_answer(&mut stdout);
        let goes_on = matches!(answer, Ok(Some(_)));
        if send.send(answer).is_err() || !goes_on {
            return;
        }
    }
}

/// The next answer; none at the end.
fn read_answer(stdout: &mut impl BufRead) -> Result<Option<Answer>, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read from: {error}");
    let mut line = Vec::new();
    let mut start = stdout.by_ref().take(MAX_LINE);
    start.read_until(b'\n', &mut line).map_err(unreadable)?;
    if line.is_empty() {
        return Ok(None);
    }
    let header: Value = serde_json::from_slice(&line).map_err(|_| garbage(&line))?;
    if !header.is_object() {
        return Err(garbage(&line));
    }
    let n_bytes = match &header["bytes"] {
        Value::Null => 0,
        n => n.as_u64().filter(|&n| n <= MAX_BYTES).ok_or_else(|| {
            format!("announces bytes = {n}; it must be a number from 0 to {MAX_BYTES}")
        })?,
    };
    let mut bytes = Vec::new();
    let mut rest = stdout.by_ref().take(n_bytes);
    rest.read_to_end(&mut bytes).map_err(unreadable)?;
    if (bytes.len() as u64) < n_bytes {
        return Err(format!("ended after {} of {n_bytes} bytes", bytes.len()));
    }
    Ok(Some(Answer { header, bytes }))
}

fn garbage(line: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(line)
        .trim_end()
        .chars()
        .take(80)
        .collect();
    format!(
        "wrote {text:?} to its standard output, where only answers belong: a line of JSON {{..}} each"
    )
}

/// Reads to the end and keeps the last of it.
fn keep_last(mut stderr: impl Read, kept: &Mutex<Vec<u8>>) {
    let mut piece = [0; 1024];
    while let Ok(n) = stderr.read(&mut piece) {
        if n == 0 {
            return;
        }
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&piece[..n]);
        let surplus = kept.len().saturating_sub(MAX_ERRORS);
        kept.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut text: &[u8]) -> Result<Option<Answer>, String> {
        read_answer(&mut text)
    }

    #[test]
    fn an_answer_is_a_line_and_the_bytes_that_it_announces() {
        let mut text = &b"{\"bytes\": 3}\nabc{\"a\": 1}\n"[..];
        let first = read_answer(&mut text).unwrap().unwrap();
        assert_eq!(first.bytes, b"abc");
        let second = read_answer(&mut text).unwrap().unwrap();
        assert_eq!(
            (second.header["a"].as_i64(), second.bytes.len()),
            (Some(1), 0)
        );
        assert_eq!(read_answer(&mut text), Ok(None));
    }

    #[test]
    fn says_what_is_wrong_with_an_answer() {
        let table = [
            (
                &b"Loading model...\n"[..],
                "wrote \"Loading model...\" to its standard output",
            ),
            (&b"3\n"[..], "wrote \"3\" to its"),
            (&b"{\"bytes\": -1}\n"[..], "announces bytes = -1"),
            (&b"{\"bytes\": 9}\nabc"[..], "ended after 3 of 9 bytes"),
        ];
        for (text, expected) in table {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
