//! The part of the zip format that npz files need: stored and deflated entries in one file.
//!
//! ```text
//! (local header | content) for each entry | directory | [zip64 end record | its locator] | end record
//! ```
//!
//! The reader trusts nothing: the directory must be complete and end where the end record begins, its entries may
//! neither overlap nor share a name, and together they may not declare much more than the file can hold. General
//! readers search damaged files for a directory and keep the last of several entries with one name; here both are
//! refused before memory is allocated for them.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Seek, SeekFrom, Take};

use crc32fast::Hasher;
use flate2::bufread::DeflateDecoder;

use crate::error::{FormatError, ReadError};
use crate::limits::{MAX_HEADER_BYTES, check_count, max_content_bytes};

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;

const LOCAL_BYTES: usize = 30;
const CENTRAL_BYTES: usize = 46;
const END_BYTES: usize = 22;
const END_64_BYTES: usize = 56;
const LOCATOR_64_BYTES: usize = 20;
const MAX_COMMENT_BYTES: u64 = 0xffff;

const EXTRA_64: u16 = 1;
const VERSION_64: u16 = 45;
const ENCRYPTED: u16 = 1;
const UTF_8: u16 = 1 << 11;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
const MIDNIGHT: u16 = 0;
const FIRST_OF_JANUARY_1980: u16 = 0x21;

/// One entry of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub name: String,
    pub deflated: bool,
    pub crc: u32,
    /// Number of bytes in the archive.
    pub packed: u64,
    /// Number of bytes of the content.
    pub bytes: u64,
    /// Position of the local header.
    pub offset: u64,
}

/// Entries by name.
pub(crate) type Directory = BTreeMap<String, Entry>;

/// Reads the directory of an archive that is `file_bytes` long.
pub(crate) fn read_directory<R: Read + Seek>(
    reader: &mut R,
    file_bytes: u64,
) -> Result<Directory, ReadError> {
    let place = find_directory(reader, file_bytes)?;
    check_count(place.entries)?;
    if place.bytes > MAX_HEADER_BYTES {
        return Err(broken("its directory is too long").into());
    }
    let table = read_at(reader, place.offset, place.bytes as usize)?;
    let entries = parse_directory(&table, place.entries)?;
    check_places(&entries, place.offset)?;
    check_total(&entries, file_bytes)?;
    by_name(entries).map_err(Into::into)
}

/// Position and size of the directory according to the end record.
struct Place {
    entries: u64,
    bytes: u64,
    offset: u64,
}

fn find_directory<R: Read + Seek>(reader: &mut R, file_bytes: u64) -> Result<Place, ReadError> {
    let tail_bytes = file_bytes.min(END_BYTES as u64 + MAX_COMMENT_BYTES);
    let tail_offset = file_bytes - tail_bytes;
    let tail = read_at(reader, tail_offset, tail_bytes as usize)?;
    let end = find_end(&tail).ok_or_else(|| broken("it has no end record"))?;
    let record = Fields(&tail[end..]);
    let end = tail_offset + end as u64;
    if record.u16(4) != 0 || record.u16(6) != 0 || record.u16(8) != record.u16(10) {
        return Err(broken("it spans several files").into());
    }
    let place = Place {
        entries: record.u16(10).into(),
        bytes: record.u32(12).into(),
        offset: record.u32(16).into(),
    };
    // An archive with 64-bit sizes has another end record before this one, so that its directory does not reach to here.
    if place.offset + place.bytes == end {
        return Ok(place);
    }
    find_directory_64(reader, end)
}

/// Finds the end record, which together with its comment reaches to the end of the file.
fn find_end(tail: &[u8]) -> Option<usize> {
    let last = tail.len().checked_sub(END_BYTES)?;
    (0..=last).rev().find(|&start| {
        let record = Fields(&tail[start..]);
        record.u32(0) == END && start + END_BYTES + usize::from(record.u16(20)) == tail.len()
    })
}

fn find_directory_64<R: Read + Seek>(reader: &mut R, end: u64) -> Result<Place, ReadError> {
    let misplaced = || broken("its directory does not lie before its end record");
    let locator_offset = end
        .checked_sub(LOCATOR_64_BYTES as u64)
        .ok_or_else(misplaced)?;
    let locator = read_at(reader, locator_offset, LOCATOR_64_BYTES)?;
    let locator = Fields(&locator);
    let record_offset = locator.u64(8);
    let record_ends = record_offset.checked_add(END_64_BYTES as u64);
    if locator.u32(0) != LOCATOR_64 || record_ends != Some(locator_offset) {
        return Err(misplaced().into());
    }
    let record = read_at(reader, record_offset, END_64_BYTES)?;
    let record = Fields(&record);
    let place = Place {
        entries: record.u64(32),
        bytes: record.u64(40),
        offset: record.u64(48),
    };
    if record.u32(0) != END_64 || place.offset.checked_add(place.bytes) != Some(record_offset) {
        return Err(misplaced().into());
    }
    Ok(place)
}

fn parse_directory(mut table: &[u8], count: u64) -> Result<Vec<Entry>, FormatError> {
    let mut entries = Vec::new();
    for _ in 0..count {
        let (entry, rest) = parse_entry(table)?;
        entries.push(entry);
        table = rest;
    }
    if table.is_empty() {
        Ok(entries)
    } else {
        Err(broken("its directory has more entries than it says"))
    }
}

fn parse_entry(table: &[u8]) -> Result<(Entry, &[u8]), FormatError> {
    let cut = || broken("its directory is cut short");
    let (fixed, rest) = table.split_at_checked(CENTRAL_BYTES).ok_or_else(cut)?;
    let fixed = Fields(fixed);
    if fixed.u32(0) != CENTRAL {
        return Err(broken("its directory is damaged"));
    }
    let (name, rest) = rest
        .split_at_checked(fixed.u16(28).into())
        .ok_or_else(cut)?;
    let (extra, rest) = rest
        .split_at_checked(fixed.u16(30).into())
        .ok_or_else(cut)?;
    let (_comment, rest) = rest
        .split_at_checked(fixed.u16(32).into())
        .ok_or_else(cut)?;
    let name = str::from_utf8(name).map_err(|_| broken("the name of an entry is not UTF-8"))?;
    let mut wide = Wide {
        extra: extra_64(extra),
    };
    // The order of the 64-bit values in the extra field is content, packed, offset.
    let bytes = wide.resolve(fixed.u32(24))?;
    let packed = wide.resolve(fixed.u32(20))?;
    let offset = wide.resolve(fixed.u32(42))?;
    let deflated = is_deflated(name, fixed.u16(8), fixed.u16(10))?;
    if !deflated && packed != bytes {
        return Err(FormatError::Size {
            name: name.to_owned(),
            needed: bytes,
            found: packed,
        });
    }
    let entry = Entry {
        name: name.to_owned(),
        deflated,
        crc: fixed.u32(16),
        packed,
        bytes,
        offset,
    };
    Ok((entry, rest))
}

fn is_deflated(name: &str, flags: u16, method: u16) -> Result<bool, FormatError> {
    let refuse = |how| {
        Err(FormatError::Packing {
            name: name.to_owned(),
            how,
        })
    };
    if flags & ENCRYPTED != 0 {
        return refuse("encrypted".to_owned());
    }
    match method {
        STORED => Ok(false),
        DEFLATED => Ok(true),
        other => refuse(format!("compressed by method {other}")),
    }
}

/// The 64-bit values of an entry: one for each 32-bit field that holds the mark for "see the extra field", in order.
struct Wide<'a> {
    extra: &'a [u8],
}

impl Wide<'_> {
    fn resolve(&mut self, narrow: u32) -> Result<u64, FormatError> {
        if narrow != u32::MAX {
            return Ok(narrow.into());
        }
        let (value, rest) = self
            .extra
            .split_first_chunk()
            .ok_or_else(|| broken("a 64-bit size is missing"))?;
        self.extra = rest;
        Ok(u64::from_le_bytes(*value))
    }
}

/// Returns the content of the zip64 field among the extra fields, or nothing if there is none.
fn extra_64(mut extra: &[u8]) -> &[u8] {
    while let Some((head, rest)) = extra.split_at_checked(4) {
        let head = Fields(head);
        let Some((field, rest)) = rest.split_at_checked(head.u16(2).into()) else {
            break;
        };
        if head.u16(0) == EXTRA_64 {
            return field;
        }
        extra = rest;
    }
    &[]
}

/// Checks that each entry ends before the next one begins, and the last before the directory.
fn check_places(entries: &[Entry], directory: u64) -> Result<(), FormatError> {
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by_key(|entry| entry.offset);
    let begins = sorted
        .iter()
        .skip(1)
        .map(|entry| entry.offset)
        .chain([directory]);
    for (entry, next) in sorted.iter().zip(begins) {
        let header = (LOCAL_BYTES + entry.name.len()) as u64;
        let end = entry
            .offset
            .checked_add(header)
            .and_then(|data| data.checked_add(entry.packed));
        if end.is_none_or(|end| end > next) {
            return Err(broken(&format!(
                "entry {:?} overlaps what follows",
                entry.name
            )));
        }
    }
    Ok(())
}

fn check_total(entries: &[Entry], found: u64) -> Result<(), FormatError> {
    let promised = entries
        .iter()
        .fold(0_u64, |sum, entry| sum.saturating_add(entry.bytes));
    let limit = max_content_bytes(found);
    if promised > limit {
        Err(FormatError::Bomb {
            promised,
            found,
            limit,
        })
    } else {
        Ok(())
    }
}

fn by_name(entries: Vec<Entry>) -> Result<Directory, FormatError> {
    let mut directory = Directory::new();
    for entry in entries {
        if let Some(twin) = directory.insert(entry.name.clone(), entry) {
            return Err(FormatError::Duplicate { name: twin.name });
        }
    }
    Ok(directory)
}

/// A reader of one entry's content; [`Content::finish`] checks it.
pub(crate) struct Content<'a, R> {
    entry: &'a Entry,
    source: Source<'a, R>,
    left: u64,
    crc: Hasher,
}

enum Source<'a, R> {
    Stored(Take<&'a mut R>),
    Deflated(DeflateDecoder<Take<&'a mut R>>),
}

impl<'a, R: BufRead + Seek> Content<'a, R> {
    /// Seeks to the content of an entry.
    pub(crate) fn open(reader: &'a mut R, entry: &'a Entry) -> Result<Self, ReadError> {
        let header = read_at(reader, entry.offset, LOCAL_BYTES + entry.name.len())?;
        let fixed = Fields(&header);
        let same_name = &header[LOCAL_BYTES..] == entry.name.as_bytes()
            && usize::from(fixed.u16(26)) == entry.name.len();
        if fixed.u32(0) != LOCAL || !same_name {
            let why = format!(
                "the directory and the header of entry {:?} differ",
                entry.name
            );
            return Err(broken(&why).into());
        }
        reader.seek_relative(fixed.u16(28).into())?;
        let packed = reader.take(entry.packed);
        let source = if entry.deflated {
            Source::Deflated(DeflateDecoder::new(packed))
        } else {
            Source::Stored(packed)
        };
        Ok(Self {
            entry,
            source,
            left: entry.bytes,
            crc: Hasher::new(),
        })
    }

    /// Checks that the content was read to its end, has the declared length and matches its checksum.
    pub(crate) fn finish(mut self) -> Result<(), ReadError> {
        let name = self.entry.name.clone();
        if self.left > 0 || self.source.read(&mut [0])? > 0 {
            let why = "it is longer than it declares".to_owned();
            return Err(FormatError::Damaged { name, why }.into());
        }
        let (promised, found) = (self.entry.crc, self.crc.finalize());
        if promised != found {
            return Err(FormatError::Checksum {
                name,
                promised,
                found,
            }
            .into());
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let n = self.source.read(&mut buffer[..wanted])?;
        self.crc.update(&buffer[..n]);
        self.left -= n as u64;
        Ok(n)
    }
}

impl<R: BufRead> Read for Source<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Stored(source) => source.read(buffer),
            Self::Deflated(source) => source.read(buffer),
        }
    }
}

/// Builds the local header of an entry. 64-bit sizes are written only if needed, because not every reader of npz files
/// supports them.
pub(crate) fn local_header(entry: &Entry) -> Vec<u8> {
    let extra = field_64(&entry.wide_sizes());
    let mut out = LOCAL.to_le_bytes().to_vec();
    out.extend(entry.common_fields());
    out.extend(u16_bytes(extra.len()));
    out.extend(entry.name.as_bytes());
    out.extend(extra);
    out
}

/// Builds the directory and the end record, for a directory that begins at `offset`.
pub(crate) fn directory(entries: &[Entry], offset: u64) -> Vec<u8> {
    let mut out: Vec<u8> = entries.iter().flat_map(Entry::central_header).collect();
    let bytes = out.len() as u64;
    if narrow(offset) == u32::MAX {
        out.extend(end_64(entries.len() as u64, bytes, offset));
    }
    out.extend(END.to_le_bytes());
    out.extend([0; 4]); // this disk, disk of the directory
    out.extend(u16_bytes(entries.len()));
    out.extend(u16_bytes(entries.len()));
    out.extend(narrow(bytes).to_le_bytes());
    out.extend(narrow(offset).to_le_bytes());
    out.extend([0; 2]); // length of the comment
    out
}

/// Builds the zip64 end record and its locator.
fn end_64(entries: u64, bytes: u64, offset: u64) -> Vec<u8> {
    let mut out = END_64.to_le_bytes().to_vec();
    out.extend((END_64_BYTES as u64 - 12).to_le_bytes()); // length of what follows
    out.extend([VERSION_64; 2].map(u16::to_le_bytes).as_flattened()); // made by, needed
    out.extend([0; 8]); // this disk, disk of the directory
    out.extend(
        [entries, entries, bytes, offset]
            .map(u64::to_le_bytes)
            .as_flattened(),
    );
    out.extend(LOCATOR_64.to_le_bytes());
    out.extend([0; 4]); // disk of the record
    out.extend((offset + bytes).to_le_bytes());
    out.extend(1_u32.to_le_bytes()); // number of disks
    out
}

impl Entry {
    /// Returns the sizes if they do not fit into 32 bits.
    fn wide_sizes(&self) -> Vec<u64> {
        match narrow(self.bytes.max(self.packed)) {
            u32::MAX => vec![self.bytes, self.packed],
            _ => Vec::new(),
        }
    }

    /// Builds the fields that both headers share: from the required version to the length of the name.
    fn common_fields(&self) -> Vec<u8> {
        let (packed, bytes) = if self.wide_sizes().is_empty() {
            (narrow(self.packed), narrow(self.bytes))
        } else {
            (u32::MAX, u32::MAX)
        };
        let method = if self.deflated { DEFLATED } else { STORED };
        // A fixed date, so that the same arrays always give the same bytes.
        let start = [VERSION_64, UTF_8, method, MIDNIGHT, FIRST_OF_JANUARY_1980];
        let mut out = start.map(u16::to_le_bytes).as_flattened().to_vec();
        out.extend(
            [self.crc, packed, bytes]
                .map(u32::to_le_bytes)
                .as_flattened(),
        );
        out.extend(u16_bytes(self.name.len()));
        out
    }

    fn central_header(&self) -> Vec<u8> {
        let offset = narrow(self.offset);
        let mut wide = self.wide_sizes();
        wide.extend((offset == u32::MAX).then_some(self.offset));
        let extra = field_64(&wide);
        let mut out = CENTRAL.to_le_bytes().to_vec();
        out.extend(VERSION_64.to_le_bytes()); // made by
        out.extend(self.common_fields());
        out.extend(u16_bytes(extra.len()));
        out.extend([0; 10]); // comment, disk, internal and external attributes
        out.extend(offset.to_le_bytes());
        out.extend(self.name.as_bytes());
        out.extend(extra);
        out
    }
}

/// Builds the zip64 extra field, or nothing if there are no values.
fn field_64(values: &[u64]) -> Vec<u8> {
    if values.is_empty() {
        return Vec::new();
    }
    let mut out = EXTRA_64.to_le_bytes().to_vec();
    out.extend(u16_bytes(values.len() * 8));
    out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    out
}

/// Returns the value, or the mark that a 64-bit value is in the extra field.
fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Encodes the length of a name or field or the number of entries, all of which the limits of this crate keep small.
fn u16_bytes(length: usize) -> [u8; 2] {
    u16::try_from(length)
        .expect("names and counts should be within the limits")
        .to_le_bytes()
}

/// Access to the little-endian fields of a record by offset. The record must be long enough.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|k| self.0[at + k])
    }

    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.array(at))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.array(at))
    }
}

fn read_at<R: Read + Seek>(
    reader: &mut R,
    offset: u64,
    bytes: usize,
) -> Result<Vec<u8>, ReadError> {
    let mut content = vec![0; bytes];
    reader.seek(SeekFrom::Start(offset))?;
    match reader.read_exact(&mut content) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(broken("it is cut short").into())
        }
        other => Ok(other.map(|()| content)?),
    }
}

fn broken(why: &str) -> FormatError {
    FormatError::Archive {
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufReader, Cursor, Write};

    fn entry(name: &str, content: &[u8], offset: u64) -> Entry {
        let bytes = content.len() as u64;
        let crc = crc32fast::hash(content);
        Entry {
            name: name.into(),
            deflated: false,
            crc,
            packed: bytes,
            bytes,
            offset,
        }
    }

    /// Entries `a` and `b`, as they lie in the file, and the directory that `alter` makes of them.
    fn archive(alter: impl FnOnce(&mut Vec<Entry>)) -> Vec<u8> {
        let mut out = Vec::new();
        let mut entries = Vec::new();
        for (name, content) in [("a", b"first"), ("b", b"other")] {
            let entry = entry(name, content, out.len() as u64);
            out.extend(local_header(&entry));
            out.extend(content);
            entries.push(entry);
        }
        alter(&mut entries);
        let offset = out.len() as u64;
        out.extend(directory(&entries, offset));
        out
    }

    fn open(bytes: &[u8]) -> Result<Directory, FormatError> {
        match read_directory(&mut Cursor::new(bytes), bytes.len() as u64) {
            Ok(directory) => Ok(directory),
            Err(ReadError::Format(rule)) => Err(rule),
            Err(ReadError::Io(error)) => panic!("{error}"),
        }
    }

    fn content(bytes: &[u8], entry: &Entry) -> Result<Vec<u8>, ReadError> {
        let mut cursor = Cursor::new(bytes);
        let mut content = Content::open(&mut cursor, entry)?;
        let mut out = vec![0; entry.bytes as usize];
        content.read_exact(&mut out)?;
        content.finish()?;
        Ok(out)
    }

    fn why(rule: FormatError) -> String {
        match rule {
            FormatError::Archive { why } => why,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn entries_come_back() {
        let bytes = archive(|_| {});
        let directory = open(&bytes).unwrap();
        assert_eq!(content(&bytes, &directory["a"]).unwrap(), b"first");
        assert_eq!(content(&bytes, &directory["b"]).unwrap(), b"other");
    }

    #[test]
    fn another_reader_agrees() {
        let bytes = archive(|_| {});
        let mut theirs = ::zip::ZipArchive::new(Cursor::new(&bytes)).unwrap();
        let mut text = String::new();
        theirs
            .by_name("b")
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!((theirs.len(), text.as_str()), (2, "other"));
    }

    #[test]
    fn a_comment_is_allowed_and_other_surroundings_are_not() {
        let whole = archive(|_| {});
        let mut commented = whole.clone();
        let length = commented.len() - 2;
        commented[length] = 2;
        commented.extend(b"hi");
        assert_eq!(open(&commented).unwrap(), open(&whole).unwrap());
        assert_eq!(
            why(open(&[&whole, b"x".as_slice()].concat()).unwrap_err()),
            "it has no end record"
        );
        let prepended = why(open(&[b"x".as_slice(), &whole].concat()).unwrap_err());
        assert_eq!(
            prepended,
            "its directory does not lie before its end record"
        );
    }

    #[test]
    fn no_truncation_is_read() {
        let whole = archive(|_| {});
        for length in 0..whole.len() {
            assert!(open(&whole[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn twins_are_refused() {
        let twins = archive(|entries| entries[1].name = "a".into());
        assert_eq!(
            open(&twins),
            Err(FormatError::Duplicate { name: "a".into() })
        );
    }

    #[test]
    fn overlaps_are_refused() {
        let shared = archive(|entries| entries[1].offset = 0);
        assert!(why(open(&shared).unwrap_err()).contains("overlaps what follows"));
        let beyond = archive(|entries| (entries[1].packed, entries[1].bytes) = (1000, 1000));
        assert!(why(open(&beyond).unwrap_err()).contains("entry \"b\" overlaps what follows"));
        let far = archive(|entries| entries[1].offset = u64::MAX - 3);
        assert!(why(open(&far).unwrap_err()).contains("entry \"b\" overlaps what follows"));
    }

    #[test]
    fn bombs_are_refused() {
        let bomb = archive(|entries| {
            (entries[0].deflated, entries[0].bytes) = (true, 1 << 40);
        });
        assert!(
            matches!(open(&bomb), Err(FormatError::Bomb { promised, .. }) if promised == (1 << 40) + 5)
        );
        let overflow = archive(|entries| {
            for entry in entries {
                (entry.deflated, entry.bytes) = (true, u64::MAX);
            }
        });
        assert!(matches!(
            open(&overflow),
            Err(FormatError::Bomb {
                promised: u64::MAX,
                ..
            })
        ));
    }

    #[test]
    fn a_number_of_entries_that_is_not_true_is_refused() {
        let end = |count: u16| {
            let mut bytes = archive(|_| {});
            let at = bytes.len() - END_BYTES;
            bytes[at + 8..at + 10].copy_from_slice(&count.to_le_bytes());
            bytes[at + 10..at + 12].copy_from_slice(&count.to_le_bytes());
            open(&bytes)
        };
        assert_eq!(
            why(end(1).unwrap_err()),
            "its directory has more entries than it says"
        );
        assert_eq!(why(end(3).unwrap_err()), "its directory is cut short");
        assert_eq!(
            end(1025),
            Err(FormatError::TooManyArrays {
                found: 1025,
                limit: 1024
            })
        );
    }

    #[test]
    fn a_header_that_contradicts_the_directory_is_refused() {
        let bytes = archive(|entries| entries[1].name = "c".into());
        let directory = open(&bytes).unwrap();
        assert!(matches!(
            content(&bytes, &directory["c"]),
            Err(ReadError::Format(_))
        ));
    }

    #[test]
    fn a_checksum_that_differs_is_refused() {
        let bytes = archive(|entries| entries[0].crc ^= 1);
        let directory = open(&bytes).unwrap();
        let error = content(&bytes, &directory["a"]).unwrap_err();
        assert!(matches!(
            error,
            ReadError::Format(FormatError::Checksum { .. })
        ));
    }

    #[test]
    fn encrypted_and_oddly_compressed_entries_are_refused() {
        assert!(matches!(
            is_deflated("a", ENCRYPTED, 0),
            Err(FormatError::Packing { .. })
        ));
        let bzip2 = is_deflated("a", 0, 12).unwrap_err().to_string();
        assert!(
            bzip2.contains("array `a` is compressed by method 12"),
            "{bzip2}"
        );
    }

    /// 5 GiB in, where neither offset fits 32 bits; the file has a hole there and takes no room.
    #[test]
    fn places_beyond_4_gib_come_back() {
        let mut file = tempfile::tempfile().unwrap();
        let far = entry("far", b"content", 5 << 30);
        file.seek(SeekFrom::Start(far.offset)).unwrap();
        file.write_all(&local_header(&far)).unwrap();
        file.write_all(b"content").unwrap();
        let end = file.stream_position().unwrap();
        file.write_all(&directory(std::slice::from_ref(&far), end))
            .unwrap();

        let bytes = file.stream_position().unwrap();
        let mut reader = BufReader::new(file);
        let directory = read_directory(&mut reader, bytes).unwrap();
        assert_eq!(directory["far"], far);
        let mut text = String::new();
        let mut content = Content::open(&mut reader, &far).unwrap();
        content.read_to_string(&mut text).unwrap();
        content.finish().unwrap();
        assert_eq!(text, "content");
    }

    #[test]
    fn sizes_beyond_4_gib_come_back() {
        let huge = Entry {
            packed: 5 << 30,
            bytes: 5 << 30,
            ..entry("huge", b"", 6 << 30)
        };
        let header = huge.central_header();
        assert_eq!(parse_entry(&header).unwrap(), (huge.clone(), &[][..]));
        // The sizes are marked as missing, and the extra field after the name holds tag, length and both.
        let local = local_header(&huge);
        assert_eq!(local[18..26], [0xff; 8]);
        assert_eq!(local[34..38], [1, 0, 16, 0]);
        assert_eq!(local[38..46], (5_u64 << 30).to_le_bytes());
        assert_eq!(
            parse_entry(&header[..header.len() - 1]),
            Err(broken("its directory is cut short"))
        );
    }
}
