//! Event files of TensorBoard: a sequence of records, each an `Event` in the wire format of protocol buffers.
//!
//! ```text
//! record   length u64 | masked crc of the length u32 | data | masked crc of the data u32        little-endian
//! Event    1: wall_time double   2: step int64   3: file_version string   5: Summary   7: SessionLog
//! Summary  1: Value { 1: tag string   2: simple_value float   5: HistogramProto }
//! HistogramProto  1: min   2: max   3: num   4: sum   5: sum_squares double   6: bucket_limit   7: bucket packed double
//! ```
//!
//! The checksum is CRC-32C, masked as `rotate_right(crc, 15) + 0xa282ead8`, so that the checksum of data that contain
//! checksums is a good one too.
//!
//! # References
//! TensorFlow's `core/lib/io/record_writer.cc`, `core/lib/hash/crc32c.h`, `core/util/event.proto`, `core/framework/summary.proto`.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::FileError;
use crate::lock::host_name;
use crate::regular_file::append_whole;

/// A summary of what was measured at a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Summary {
    /// A number.
    Scalar(f64),
    /// The distribution of some numbers.
    Histogram(Vec<f64>),
}

/// Number of buckets of a histogram, all of the same width.
const BUCKETS: usize = 30;

/// An event file that grows by whole records. Every process of a run writes its own file, and TensorBoard reads them in
/// order.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
    /// Records that could not be written yet.
    waiting: Vec<u8>,
}

impl EventFile {
    /// Creates a new event file in a folder, which is created if it is missing. Values in older files for steps from
    /// `first_step` on are discarded, because a resumed run makes these steps again.
    ///
    /// # Errors
    /// If the folder or the file cannot be written, or the folder is a link, which may lead anywhere.
    pub fn create(folder: &Path, first_step: u64) -> Result<Self, FileError> {
        if folder.is_symlink() {
            let path = folder.to_owned();
            return Err(FileError::Linked { path });
        }
        std::fs::create_dir_all(folder).map_err(FileError::io("create", folder))?;
        let path = folder.join(next_name(folder)?);
        let file = OpenOptions::new().append(true).create_new(true).open(&path);
        let file = file.map_err(FileError::io("create", &path))?;
        let mut events = Self {
            path,
            file,
            waiting: Vec::new(),
        };
        events.put(0, &field(3, b"brain.Event:2"));
        events.forget_from(first_step)?;
        Ok(events)
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends what was measured at a step, one summary for each tag. A histogram of no numbers is left out.
    ///
    /// # Errors
    /// If it cannot be written. The file is then as before, and the values wait for the next call.
    pub fn append(&mut self, step: u64, tagged: &[(String, Summary)]) -> Result<(), FileError> {
        let mut summary = Vec::new();
        for (tag, found) in tagged {
            let mut value = field(1, tag.as_bytes());
            match found {
                Summary::Scalar(x) => {
                    value.push(2 << 3 | FIXED_32);
                    value.extend((*x as f32).to_le_bytes());
                }
                Summary::Histogram(numbers) => match histogram(numbers) {
                    Some(found) => value.extend(field(5, &found)),
                    None => continue,
                },
            }
            summary.extend(field(1, &value));
        }
        self.put(step, &field(5, &summary));
        self.flush()
    }

    /// Tells TensorBoard to discard values for steps from `first_step` on.
    ///
    /// # Errors
    /// As [`EventFile::append`].
    pub fn forget_from(&mut self, first_step: u64) -> Result<(), FileError> {
        const START: u8 = 1;
        self.put(first_step, &field(7, &[1 << 3 | VARINT, START]));
        self.flush()
    }

    fn put(&mut self, step: u64, content: &[u8]) {
        let event = event(now_s(), step, content);
        self.waiting.extend(record(&event));
    }

    fn flush(&mut self) -> Result<(), FileError> {
        append_whole(&mut self.file, &self.waiting)
            .map_err(FileError::io("append to", &self.path))?;
        self.waiting.clear();
        Ok(())
    }
}

pub(crate) const PREFIX: &str = "events.out.tfevents.";

/// Returns a file name `events.out.tfevents.SECONDS.HOST.PID`. TensorBoard sorts files by name, so the seconds are
/// greater than those of any existing file.
fn next_name(folder: &Path) -> Result<String, FileError> {
    let entries = std::fs::read_dir(folder).map_err(FileError::io("read", folder))?;
    let seconds = |name: std::ffi::OsString| -> Option<u64> {
        let digits = name.to_str()?.strip_prefix(PREFIX)?.split('.').next()?;
        digits.parse().ok()
    };
    let last = entries
        .filter_map(|entry| seconds(entry.ok()?.file_name()))
        .max();
    let after = last.map_or(0, |last| last.saturating_add(1));
    let seconds = (now_s() as u64).max(after);
    Ok(format!(
        "{PREFIX}{seconds:010}.{}.{}",
        plain(&host_name()),
        std::process::id()
    ))
}

/// Makes a host name usable as a part of a file name.
fn plain(name: &str) -> String {
    name.chars()
        .take(64)
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect()
}

fn now_s() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |time| time.as_secs_f64())
}

// Wire types of protocol buffers.
const VARINT: u8 = 0;
const FIXED_64: u8 = 1;
const BYTES: u8 = 2;
const FIXED_32: u8 = 5;

/// Encodes an `Event` with one further field.
fn event(wall_time: f64, step: u64, content: &[u8]) -> Vec<u8> {
    let mut event = vec![1 << 3 | FIXED_64];
    event.extend(wall_time.to_le_bytes());
    event.push(2 << 3 | VARINT);
    event.extend(varint(step));
    event.extend(content);
    event
}

/// Encodes a field of bytes: a string or a nested message.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | BYTES];
    field.extend(varint(content.len() as u64));
    field.extend(content);
    field
}

/// Encodes the histogram of numbers, of which those that are not finite are left out; `None` if there are none.
fn histogram(numbers: &[f64]) -> Option<Vec<u8>> {
    let finite: Vec<f64> = numbers.iter().copied().filter(|x| x.is_finite()).collect();
    let least = finite.iter().copied().reduce(f64::min)?;
    let most = finite.iter().copied().reduce(f64::max)?;
    let n_buckets = if least < most { BUCKETS } else { 1 };
    let width = (most - least) / n_buckets as f64;
    let mut counts = vec![0.0; n_buckets];
    for x in &finite {
        let bucket = ((x - least) / width) as usize; // 0 if the width is
        counts[bucket.min(n_buckets - 1)] += 1.0;
    }
    let limit = |k: usize| {
        if k == n_buckets {
            most
        } else {
            least + k as f64 * width
        }
    };
    let limits: Vec<f64> = (1..=n_buckets).map(limit).collect();
    let sum = finite.iter().sum::<f64>();
    let squares = finite.iter().map(|x| x * x).sum::<f64>();
    let mut encoded = Vec::new();
    for (number, x) in (1..).zip([least, most, finite.len() as f64, sum, squares]) {
        encoded.push(number << 3 | FIXED_64);
        encoded.extend(x.to_le_bytes());
    }
    for (number, list) in [(6, limits), (7, counts)] {
        let bytes: Vec<u8> = list.into_iter().flat_map(f64::to_le_bytes).collect();
        encoded.extend(field(number, &bytes));
    }
    Some(encoded)
}

/// Encodes an integer with seven bits in each byte, the lowest first; a set top bit means that more follow.
fn varint(mut x: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while x >= 0x80 {
        bytes.push(x as u8 | 0x80);
        x >>= 7;
    }
    bytes.push(x as u8);
    bytes
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = length.to_vec();
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked_crc(data).to_le_bytes());
    record
}

fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Computes CRC-32C, with Castagnoli's polynomial 0x1edc6f41, bits reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)]
    })
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 * (crc & 1));
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, appendix B.4.
    #[test]
    fn checksums_are_those_of_the_standard() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&ascending), 0x46dd_794e);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn integers_take_seven_bits_a_byte() {
        assert_eq!(varint(0), [0]);
        assert_eq!(varint(127), [127]);
        assert_eq!(varint(300), [0xac, 0x02]);
        assert_eq!(varint(u64::MAX).len(), 10);
    }

    /// The data of each record, after a check of every checksum.
    fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk::<8>() {
            let (crc, rest) = rest.split_first_chunk().unwrap();
            assert_eq!(u32::from_le_bytes(*crc), masked_crc(length));
            let (data, rest) = rest.split_at(u64::from_le_bytes(*length) as usize);
            let (crc, rest) = rest.split_first_chunk().unwrap();
            assert_eq!(u32::from_le_bytes(*crc), masked_crc(data));
            found.push(data.to_vec());
            bytes = rest;
        }
        found
    }

    #[test]
    fn a_file_is_version_start_and_scalars() {
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(&folder.path().join("tb"), 7).unwrap();
        let loss = ("train/loss".to_owned(), Summary::Scalar(0.5));
        events.append(7, &[loss]).unwrap();
        let found = records(&std::fs::read(events.path()).unwrap());
        // After nine bytes of wall time: step 0 and the version; step 7 and a session that starts; step 7 and a value.
        assert_eq!(found[0][9..], *b"\x10\x00\x1a\x0dbrain.Event:2");
        assert_eq!(found[1][9..], *b"\x10\x07\x3a\x02\x08\x01");
        assert_eq!(
            found[2][9..],
            *b"\x10\x07\x2a\x13\x0a\x11\x0a\x0atrain/loss\x15\0\0\0\x3f"
        );
        assert_eq!(found.len(), 3);
    }

    /// Returns the doubles in some bytes.
    fn doubles(bytes: &[u8]) -> Vec<f64> {
        let (chunks, rest) = bytes.as_chunks::<8>();
        assert!(rest.is_empty());
        chunks.iter().map(|x| f64::from_le_bytes(*x)).collect()
    }

    /// 0, 1, 1 and 30 fall into buckets of width 1 that begin at 0, 1, 1 and 29; the last limit is the largest number.
    #[test]
    fn a_histogram_has_thirty_buckets_of_one_width() {
        let bytes = histogram(&[0.0, 30.0, f64::NAN, 1.0, 1.0]).unwrap();
        let numbers: Vec<u8> = bytes[..45]
            .chunks(9)
            .flat_map(|x| x[1..].to_vec())
            .collect();
        assert_eq!(doubles(&numbers), [0.0, 30.0, 4.0, 32.0, 902.0]);
        let tags: Vec<u8> = bytes[..45].chunks(9).map(|x| x[0]).collect();
        assert_eq!(tags, [0x09, 0x11, 0x19, 0x21, 0x29]);
        let lists = &bytes[45..];
        let length = [0xf0, 0x01]; // 240 bytes
        assert_eq!((lists[0], &lists[1..3]), (0x32, &length[..]));
        let limits: Vec<f64> = (1..=30).map(f64::from).collect();
        assert_eq!(doubles(&lists[3..243]), limits);
        assert_eq!((lists[243], &lists[244..246]), (0x3a, &length[..]));
        let counts = doubles(&lists[246..]);
        assert_eq!((counts[0], counts[1], counts[29]), (1.0, 2.0, 1.0));
        assert_eq!(counts.iter().sum::<f64>(), 4.0);
        let same = histogram(&[2.0, 2.0]).unwrap();
        assert_eq!(doubles(&same[47..55]), [2.0]);
        assert_eq!(histogram(&[f64::NAN]), None);
    }

    #[test]
    fn a_later_file_has_a_later_name() {
        let folder = tempfile::tempdir().unwrap();
        let ahead = format!("{PREFIX}9999999990.elsewhere.1"); // a clock that was wrong
        std::fs::write(folder.path().join(&ahead), b"").unwrap();
        let first = EventFile::create(folder.path(), 0).unwrap();
        let second = EventFile::create(folder.path(), 0).unwrap();
        assert!(*folder.path().join(ahead) < *first.path() && first.path() < second.path());
    }
}
