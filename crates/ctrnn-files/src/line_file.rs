//! Text files that grow by whole lines.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::FileError;

/// A file to which whole lines are appended: one that does not fit, as on a full disk, leaves no part of itself. It
/// waits in memory, and goes before the next one.
#[derive(Debug)]
pub struct LineFile {
    path: PathBuf,
    file: File,
    waiting: Vec<u8>,
}

impl LineFile {
    /// Opens a file for appending; it is created if it is missing. The half line of a writer that was killed is cut off.
    ///
    /// # Errors
    /// If the file cannot be opened, read or cut.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let mut options = OpenOptions::new();
        let opened = options.read(true).append(true).create(true).open(path);
        let mut file = opened.map_err(FileError::io("open", path))?;
        cut_half_line(&mut file).map_err(FileError::io("read", path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            waiting: Vec::new(),
        })
    }

    /// Appends a line, after those that wait.
    ///
    /// # Errors
    /// If the disk is full, the file was removed, or anything else keeps it from being written; the file then ends
    /// where it did, and the line waits.
    pub fn append(&mut self, line: &str) -> Result<(), FileError> {
        self.waiting.extend_from_slice(line.as_bytes());
        self.waiting.push(b'\n');
        self.flush()
    }

    /// Appends the lines that wait.
    ///
    /// # Errors
    /// As [`LineFile::append`].
    pub fn flush(&mut self) -> Result<(), FileError> {
        self.write_waiting()
            .map_err(FileError::io("append to", &self.path))
    }

    fn write_waiting(&mut self) -> io::Result<()> {
        let before = self.file.metadata()?;
        if is_removed(&before) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it was removed"));
        }
        if let Err(error) = self.file.write_all(&self.waiting) {
            let _as_far_as_can_be = self.file.set_len(before.len());
            return Err(error);
        }
        self.waiting.clear();
        Ok(())
    }
}

/// Whether the file has no name any more: what is written to it is lost.
#[cfg(unix)]
fn is_removed(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) == 0
}

/// Elsewhere a file in use cannot be removed.
#[cfg(not(unix))]
fn is_removed(_: &Metadata) -> bool {
    false
}

/// Shortens a file to its last line feed, reading backwards.
fn cut_half_line(file: &mut File) -> io::Result<()> {
    const BLOCK: u64 = 4096;
    let length = file.metadata()?.len();
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let mut block = vec![0; (end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block)?;
        if let Some(last) = block.iter().rposition(|&byte| byte == b'\n') {
            end = start + last as u64 + 1;
            break;
        }
        end = start;
    }
    match end < length {
        true => file.set_len(end),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn lines_are_appended_and_half_ones_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut lines = LineFile::open(&path).unwrap();
        lines.append("one").unwrap();
        lines.append("two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");

        let long = "x".repeat(10_000); // over two blocks
        fs::write(&path, format!("one\n{long}")).unwrap();
        LineFile::open(&path).unwrap().append("two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one\ntwo\n");

        fs::write(&path, "half").unwrap();
        LineFile::open(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_was_removed_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let mut lines = LineFile::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let error = lines.append("lost").unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Io);
        assert!(!path.exists());
    }
}
