//! Text files that grow by whole lines.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::error::FileError;
use crate::regular_file::{append_whole, open_to_append};

/// A file to which whole lines are appended. If a line does not fit, as on a full disk, no part of it stays in the
/// file: it waits in memory and is written before the next one.
#[derive(Debug)]
pub struct LineFile {
    path: PathBuf,
    file: File,
    /// Lines that could not be written yet.
    waiting: Vec<u8>,
}

impl LineFile {
    /// Opens a file for appending, and creates it if it is missing. An incomplete last line, left by a writer that was
    /// killed, is cut off.
    ///
    /// # Errors
    /// If the file cannot be opened, read or shortened.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let mut file = open_to_append(path)?;
        cut_half_line(&mut file).map_err(FileError::io("read", path))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            waiting: Vec::new(),
        })
    }

    /// Appends a line, after those that are waiting.
    ///
    /// # Errors
    /// If it cannot be written, for instance because the disk is full or the file was removed. The file is then as
    /// before,
    /// and the line waits.
    pub fn append(&mut self, line: &str) -> Result<(), FileError> {
        self.waiting.extend_from_slice(line.as_bytes());
        self.waiting.push(b'\n');
        self.flush()
    }

    /// Appends the lines that are waiting.
    ///
    /// # Errors
    /// As [`LineFile::append`].
    pub fn flush(&mut self) -> Result<(), FileError> {
        self.write_waiting()
            .map_err(FileError::io("append to", &self.path))
    }

    fn write_waiting(&mut self) -> io::Result<()> {
        if is_removed(&self.file.metadata()?) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it was removed"));
        }
        append_whole(&mut self.file, &self.waiting)?;
        self.waiting.clear();
        Ok(())
    }
}

/// Returns true if the file no longer has a name, so that anything written to it is lost.
#[cfg(unix)]
fn is_removed(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) == 0
}

/// Returns false: on other systems a file in use cannot be removed.
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
    if end < length {
        file.set_len(end)?;
    }
    Ok(())
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
