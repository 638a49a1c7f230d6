//! External program that makes trials: started once, queried on its standard input, read from its standard output.
//!
//! A question is a line of JSON with an `id`; if it has the key `bytes`, that many bytes follow. An answer is a line of JSON that repeats the `id`; if it has the key
//! `bytes`, that many bytes follow. With the key `error` the program reports a failure. Its standard error is quoted on
//! failure, without control characters.
//!
//! The program has its own process group, which signals from the terminal do not reach. The whole group is killed when
//! the generator is dropped, and when this process ends in any way, including `kill -9`. Processes that leave the
//! group, as with `setsid`, continue.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ctrnn_files::printable;
use ctrnn_tasks::Interrupt;
use serde_json::Value;

/// Limit on the length of a JSON line, in bytes; a longer one is treated as garbage.
const MAX_LINE: u64 = 1 << 20;
/// Number of bytes of the standard error that are kept.
const MAX_ERRORS: usize = 2000;
/// Interval at which a wait checks for a request to stop.
const POLL: Duration = Duration::from_millis(50);
/// Time that a process may take to exit after it has closed its output.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A running program.
#[derive(Debug)]
pub(crate) struct Generator {
    child: Child,
    #[cfg(unix)]
    group: ProcessGroup,
    questions: ChildStdin,
    /// Number of questions asked, which is the `id` of the last one.
    asked: u64,
    /// Limit on the number of bytes that follow the line of an answer.
    longest: Arc<AtomicU64>,
    answers: Receiver<Result<Option<Answer>, String>>,
    errors: Arc<Mutex<Vec<u8>>>,
    errors_ended: Receiver<()>,
}

/// A line of JSON, and the bytes that follow it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub header: Value,
    pub bytes: Vec<u8>,
}

impl Generator {
    /// Starts `command` (a program and its arguments) in `folder`.
    pub fn start(command: &[String], folder: &Path) -> Result<Self, String> {
        let (program, arguments) = command.split_first().ok_or("no program is named")?;
        let cannot = |error: std::io::Error| {
            let program = printable(program);
            format!("{program} cannot be started: {error}")
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(cannot)?;
        #[cfg(unix)]
        let group = match ProcessGroup::of(&child) {
            Ok(group) => group,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(cannot(error));
            }
        };
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(questions), Some(stdout), Some(stderr)) = pipes else {
            unreachable!("three pipes were asked for");
        };
        let longest = Arc::new(AtomicU64::new(0));
        let (errors, errors_ended) = collect_errors(stderr)?;
        // A capacity of 1 bounds the memory for answers of a program that sends them unasked: it has to wait.
        let (send, answers) = sync_channel(1);
        let allowed = Arc::clone(&longest);
        on_a_thread(move || read_answers(BufReader::new(stdout), &allowed, &send))?;
        Ok(Self {
            child,
            #[cfg(unix)]
            group,
            questions,
            asked: 0,
            longest,
            answers,
            errors,
            errors_ended,
        })
    }

    /// Sends a question, with the bytes that follow its line, and waits for its answer, with at most `longest` bytes after its line.
    /// After an error the generator must not be used again.
    pub fn ask(
        &mut self,
        mut question: Value,
        content: &[u8],
        longest: u64,
        timeout: Duration,
        interrupt: &Interrupt,
    ) -> Result<Answer, String> {
        self.asked += 1;
        question["id"] = self.asked.into();
        if !content.is_empty() {
            question["bytes"] = content.len().into();
        }
        self.longest.store(longest, Ordering::SeqCst);
        let line = format!("{question}\n");
        let questions = &mut self.questions;
        let written = questions
            .write_all(line.as_bytes())
            .and_then(|()| questions.write_all(content))
            .and_then(|()| questions.flush());
        if written.is_err() {
            return Err(self.how_it_ended());
        }
        let answer = self.answer_within(timeout, interrupt)?;
        match answer.header["error"].as_str() {
            Some(error) => Err(format!(
                "says: {}",
                printable(&beginning(error, MAX_ERRORS))
            )),
            None => self.to_the_last_question(answer),
        }
    }

    fn answer_within(
        &mut self,
        timeout: Duration,
        interrupt: &Interrupt,
    ) -> Result<Answer, String> {
        let asked = Instant::now();
        loop {
            let left = timeout.saturating_sub(asked.elapsed());
            match self.answers.recv_timeout(left.min(POLL)) {
                Ok(Ok(Some(answer))) => return Ok(answer),
                Ok(Ok(None)) | Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.how_it_ended());
                }
                Ok(Err(garbage)) => return Err(garbage),
                Err(RecvTimeoutError::Timeout) if interrupt.is_set() => {
                    return Err("was not waited for any longer".to_owned());
                }
                Err(RecvTimeoutError::Timeout) if left <= POLL => {
                    return Err(format!("gave no answer within {} ms", timeout.as_millis()));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Returns the answer if it belongs to the last question.
    fn to_the_last_question(&self, mut answer: Answer) -> Result<Answer, String> {
        let asked = self.asked;
        let Some(id) = answer.header.as_object_mut().and_then(|h| h.remove("id")) else {
            return Err(format!(
                "answered without the id of the question; each answer repeats it: {{\"id\": {asked}, ..}}"
            ));
        };
        if id.as_u64() == Some(asked) {
            Ok(answer)
        } else {
            Err(format!(
                "gave an answer with \"id\": {} to the question with \"id\": {asked}; each question has one answer, which repeats its id",
                shortened(&id.to_string())
            ))
        }
    }

    fn how_it_ended(&mut self) -> String {
        let mut message = match self.wait() {
            Some(status) => format!("ended without an answer ({status})"),
            None => "closed its standard output without an answer".to_owned(),
        };
        let _ = self.errors_ended.recv_timeout(LAST_WORDS); // a grandchild may keep it open
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let errors = printable(&String::from_utf8_lossy(&errors));
        if !errors.trim().is_empty() {
            message += &format!("; its last words: {}", errors.trim());
        }
        message
    }

    /// Returns the exit status of the process, or `None` if it is still running.
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

    /// Returns the process id.
    #[cfg(test)]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        #[cfg(unix)]
        self.group.end();
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

/// Process group of a program, with all processes that it starts, unless they leave the group.
///
/// A shell holds the read end of a pipe whose write end only this process has. The read returns when this process asks
/// for the end or exits for any reason, and the shell then kills the group.
#[cfg(unix)]
#[derive(Debug)]
struct ProcessGroup {
    keeper: Child,
}

#[cfg(unix)]
impl ProcessGroup {
    /// Script of that shell. Signals that ask this process to stop must not end it; only the end of the pipe does.
    const KEEPER: &str = "trap '' INT TERM HUP; read _; kill -s KILL -- \"-$0\"";

    /// Returns the process group that `leader` leads.
    fn of(leader: &Child) -> std::io::Result<Self> {
        use std::os::unix::process::CommandExt;
        let keeper = Command::new("/bin/sh")
            .args(["-c", Self::KEEPER, &leader.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self { keeper })
    }

    /// Kills every process of the group.
    fn end(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Appends numbers to the bytes that follow a question.
pub(crate) fn append_little_endian(content: &mut Vec<u8>, values: &[f32]) {
    content.reserve(4 * values.len());
    for value in values {
        content.extend_from_slice(&value.to_le_bytes());
    }
}

/// Returns the beginning of a text that may be long.
fn shortened(text: &str) -> String {
    beginning(text, 80)
}

/// Returns the first `n` characters of a text, with a mark if there are more.
fn beginning(text: &str, n: usize) -> String {
    match text.char_indices().nth(n) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Runs work on its own thread; fails if the system allows no more threads.
fn on_a_thread(work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let started = thread::Builder::new().spawn(work);
    started
        .map(drop)
        .map_err(|error| format!("needs a thread, which cannot be started: {error}"))
}

/// Sends every answer, and finally the end of the output or an error.
fn read_answers(
    mut stdout: impl BufRead,
    longest: &AtomicU64,
    send: &SyncSender<Result<Option<Answer>, String>>,
) {
    loop {
        let answer = read_answer(&mut stdout, longest);
        let goes_on = matches!(answer, Ok(Some(_)));
        if send.send(answer).is_err() || !goes_on {
            return;
        }
    }
}

/// Reads the next answer; `None` at the end of the output.
fn read_answer(stdout: &mut impl BufRead, longest: &AtomicU64) -> Result<Option<Answer>, String> {
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
    let longest = longest.load(Ordering::SeqCst);
    let n_bytes = match &header["bytes"] {
        Value::Null => 0,
        n => n.as_u64().filter(|&n| n <= longest).ok_or_else(|| {
            format!(
                "announces bytes = {}; the answer to this question has from 0 to {longest}",
                shortened(&printable(&n.to_string()))
            )
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
    let line = String::from_utf8_lossy(line);
    let text = shortened(line.trim_end());
    format!(
        "wrote {text:?} to its standard output, where only answers belong: a line of JSON {{..}} each"
    )
}

/// Last bytes of the standard error of a program, and a message when it has ended.
type LastErrors = (Arc<Mutex<Vec<u8>>>, Receiver<()>);

/// Keeps the last bytes of the standard error of a program.
fn collect_errors(stderr: impl Read + Send + 'static) -> Result<LastErrors, String> {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let (ended, errors_ended) = channel();
    let kept = Arc::clone(&errors);
    on_a_thread(move || {
        keep_last(stderr, &kept);
        let _ = ended.send(()); // best effort: the receiver may be gone
    })?;
    Ok((errors, errors_ended))
}

/// Reads to the end and keeps only the last bytes.
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
        read_answer(&mut text, &AtomicU64::new(10))
    }

    #[test]
    fn an_answer_is_a_line_and_the_bytes_that_it_announces() {
        let mut text = &b"{\"bytes\": 3}\nabc{\"a\": 1}\n"[..];
        let longest = AtomicU64::new(10);
        let first = read_answer(&mut text, &longest).unwrap().unwrap();
        assert_eq!(first.bytes, b"abc");
        let second = read_answer(&mut text, &longest).unwrap().unwrap();
        assert_eq!(
            (second.header["a"].as_i64(), second.bytes.len()),
            (Some(1), 0)
        );
        assert_eq!(read_answer(&mut text, &longest), Ok(None));
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(beginning("\u{e9}\u{e8}", 2), "\u{e9}\u{e8}");
        assert_eq!(beginning("\u{e9}\u{e8}a", 2), "\u{e9}\u{e8}...");
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
            (
                &b"{\"bytes\": 11}\nabc"[..],
                "announces bytes = 11; the answer to this question has from 0 to 10",
            ),
            (&b"{\"bytes\": 9}\nabc"[..], "ended after 3 of 9 bytes"),
        ];
        for (text, expected) in table {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
