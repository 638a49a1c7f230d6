//! The npz format of numpy: a zip archive with one `.npy` file per array.
//!
//! Reads what `np.savez` and `np.savez_compressed` write, in either byte order and memory layout, and never anything
//! that numpy would need `allow_pickle` for. Writes what `np.load` reads: stored entries, row-major, little-endian.
//!
//! ```
//! use ctrnn_files::{Array, npz};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("states.npz");
//!
//! let mut writer = npz::NpzWriter::create(&path)?;
//! writer.append("rates", &Array::f32(&[1, 2], vec![0.5, 1.0]))?; // first trial
//! writer.append("rates", &Array::f32(&[1, 2], vec![0.0, 0.25]))?; // second trial
//! writer.add("t_ms", &Array::f64(&[2], vec![20.0, 40.0]))?;
//! writer.finish()?;
//!
//! let rates = npz::NpzReader::open(&path)?.read("rates")?;
//! assert_eq!(rates, Array::f32(&[2, 2], vec![0.5, 1.0, 0.0, 0.25]));
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Cursor, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crc32fast::Hasher;

use crate::array::{Array, Dtype, PackedArray};
use crate::container::Container;
use crate::error::{FileError, FormatError, ReadError};
use crate::limits::{check_count, check_name};
use crate::npy::{self, NpyHeader};
use crate::output::OutputFile;
use crate::regular_file;
use crate::zip::{self, Content, Directory, Entry};

const EXTENSION: &str = ".npy";
/// Most bytes of an array of texts, which take several times as much in memory.
const MOST_TEXT_BYTES: u64 = 1 << 24;

/// Reads all arrays of a file.
///
/// # Errors
/// If the file is missing or unreadable, or any of its arrays breaks a rule of the format or a limit of
/// [`limits`](crate::limits).
pub fn read(path: &Path) -> Result<BTreeMap<String, Array>, FileError> {
    let mut reader = NpzReader::open(path)?;
    let names: Vec<String> = reader.names().map(str::to_owned).collect();
    names
        .into_iter()
        .map(|name| reader.read(&name).map(|array| (name, array)))
        .collect()
}

/// Reads all arrays of a file of numbers.
///
/// # Errors
/// As [`read`], or if an array contains text.
pub(crate) fn read_numbers(path: &Path) -> Result<BTreeMap<String, Array>, FileError> {
    let mut reader = NpzReader::open(path)?;
    let names: Vec<String> = reader.names().map(str::to_owned).collect();
    names
        .into_iter()
        .map(|name| Ok((name.clone(), reader.read_packed(&name)?.unpacked())))
        .collect()
}

/// Writes arrays atomically; the same arrays give the same bytes.
///
/// # Errors
/// If a name is not allowed or the file cannot be written.
pub fn write(path: &Path, arrays: &BTreeMap<String, Array>) -> Result<(), FileError> {
    write_to(OutputFile::ours(path)?, arrays)
}

/// Writes arrays to a file named by the user.
///
/// # Errors
/// If a name is not allowed or the file cannot be written.
pub fn write_to(file: OutputFile, arrays: &BTreeMap<String, Array>) -> Result<(), FileError> {
    let mut writer = NpzWriter::to(file);
    for (name, array) in arrays {
        writer.add(name, array)?;
    }
    writer.finish()
}

/// Shape and type of an array in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArrayHeader {
    /// Sizes, the slowest index first.
    pub shape: Vec<usize>,
    /// Type in the file, before widening.
    pub dtype: Dtype,
}

/// An npz file whose arrays are read one by one.
#[derive(Debug)]
pub struct NpzReader<R = BufReader<File>> {
    path: PathBuf,
    source: R,
    directory: Directory,
}

impl NpzReader {
    /// Opens a file and reads the names of its arrays.
    ///
    /// # Errors
    /// If the file is missing or unreadable, is not a zip archive, or declares more than the limits allow.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let (file, bytes) = regular_file::open(path)?;
        Self::from_source(BufReader::new(file), bytes, path)
    }

    /// Opens a file of another program and skips entries whose names are not allowed here, such as the optimizer's
    /// `W_rec/Adam` in files of PsychRNN.
    ///
    /// # Errors
    /// As [`NpzReader::open`].
    pub fn open_foreign(path: &Path) -> Result<Self, FileError> {
        let (file, bytes) = regular_file::open(path)?;
        let mut source = BufReader::new(file);
        let entries = read_directory(&mut source, bytes, path).map_err(ReadError::at(path))?;
        let directory = entries
            .into_iter()
            .filter_map(|(name, entry)| Some((array_name(&name).ok()?, entry)))
            .collect();
        Ok(Self {
            path: path.to_owned(),
            source,
            directory,
        })
    }
}

impl<'a> NpzReader<Cursor<&'a [u8]>> {
    /// Reads from memory; `path` is only named in errors.
    ///
    /// # Errors
    /// As [`NpzReader::open`].
    pub fn from_bytes(bytes: &'a [u8], path: &Path) -> Result<Self, FileError> {
        Self::from_source(Cursor::new(bytes), bytes.len() as u64, path)
    }
}

impl<R: BufRead + Seek> NpzReader<R> {
    fn from_source(mut source: R, bytes: u64, path: &Path) -> Result<Self, FileError> {
        let entries = read_directory(&mut source, bytes, path).map_err(ReadError::at(path))?;
        let directory = entries
            .into_iter()
            .map(|(name, entry)| Ok((array_name(&name)?, entry)));
        let directory = directory
            .collect::<Result<_, _>>()
            .map_err(FileError::format(path))?;
        Ok(Self {
            path: path.to_owned(),
            source,
            directory,
        })
    }

    /// Returns the names of the arrays, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.directory.keys().map(String::as_str)
    }

    /// Returns true if there is an array of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.directory.contains_key(name)
    }

    /// Reads shape and type of an array, without its elements.
    ///
    /// # Errors
    /// If there is no such array, or its type, shape or size breaks a rule.
    pub fn header(&mut self, name: &str) -> Result<ArrayHeader, FileError> {
        let (header, _) = self.open_array(name)?;
        Ok(ArrayHeader {
            shape: header.shape,
            dtype: header.dtype,
        })
    }

    /// Reads an array.
    ///
    /// # Errors
    /// If there is no such array, its type, shape or size breaks a rule, or its bytes are damaged.
    pub fn read(&mut self, name: &str) -> Result<Array, FileError> {
        Ok(self.read_any(name)?.unpacked())
    }

    /// Reads an array of numbers without widening its type: it takes as much memory as its elements in the file, also
    /// while it is being read.
    ///
    /// # Errors
    /// As [`NpzReader::read`], or if the array contains text.
    pub fn read_packed(&mut self, name: &str) -> Result<PackedArray, FileError> {
        let array = self.read_any(name)?;
        match array.dtype() {
            Dtype::Text(characters) => Err(FileError::format(&self.path)(FormatError::Dtype {
                name: name.to_owned(),
                dtype: format!("<U{characters}"),
            })),
            _ => Ok(array),
        }
    }

    fn read_any(&mut self, name: &str) -> Result<PackedArray, FileError> {
        let path = self.path.clone();
        let (header, content) = self.open_array(name)?;
        let elements = read_elements(&header, content);
        elements.map_err(|error| ReadError::at(&path)(damaged(name, error)))
    }

    fn open_array(&mut self, name: &str) -> Result<(NpyHeader, Content<'_, R>), FileError> {
        let Some(entry) = self.directory.get(name) else {
            let present = self.names().map(str::to_owned).collect();
            let rule = FormatError::NoSuchArray {
                name: name.to_owned(),
                present,
            };
            return Err(FileError::format(&self.path)(rule));
        };
        open_entry(name, entry, &mut self.source)
            .map_err(|error| ReadError::at(&self.path)(damaged(name, error)))
    }
}

/// Reads the directory of an archive of arrays; an error names the format of any other file.
fn read_directory(
    source: &mut (impl Read + Seek),
    bytes: u64,
    path: &Path,
) -> Result<Directory, ReadError> {
    let entries = match zip::read_directory(source, bytes) {
        Err(ReadError::Format(FormatError::Archive { why })) => {
            let known = Container::from_source(source).or_else(|| Container::from_extension(path));
            let rule = match known {
                Some(container) => FormatError::Container { container },
                None => FormatError::Archive { why },
            };
            return Err(rule.into());
        }
        read => read?,
    };
    let mut names = entries.keys().map(String::as_str);
    if entries.is_empty() || names.any(|name| name.ends_with(EXTENSION)) {
        return Ok(entries);
    }
    let container = Container::from_entries(entries.keys().map(String::as_str));
    Err(FormatError::Container { container }.into())
}

fn array_name(entry: &str) -> Result<String, FormatError> {
    let Some(name) = entry.strip_suffix(EXTENSION) else {
        let why = format!("entry {entry:?} is not an {EXTENSION} file");
        return Err(FormatError::Archive { why });
    };
    check_name(name)?;
    Ok(name.to_owned())
}

/// Reads the header of an array and checks it against the size of the entry.
fn open_entry<'a, R: BufRead + Seek>(
    name: &str,
    entry: &'a Entry,
    source: &'a mut R,
) -> Result<(NpyHeader, Content<'a, R>), ReadError> {
    let mut content = Content::open(source, entry)?;
    let header = npy::read_header(name, &mut content)?;
    if let Dtype::Text(characters) = header.dtype
        && header.data_bytes() > MOST_TEXT_BYTES
    {
        let dtype = format!("<U{characters}");
        let name = name.to_owned();
        return Err(FormatError::Dtype { name, dtype }.into());
    }
    let needed = header.data_bytes();
    let found = entry.bytes.saturating_sub(header.header_bytes);
    if needed != found {
        return Err(FormatError::Size {
            name: name.to_owned(),
            needed,
            found,
        }
        .into());
    }
    Ok((header, content))
}

fn read_elements<R: BufRead + Seek>(
    header: &NpyHeader,
    mut content: Content<'_, R>,
) -> Result<PackedArray, ReadError> {
    let width = header.dtype.bytes();
    let mut bytes = vec![0; header.data_bytes() as usize];
    if header.fortran_order {
        read_column_major(&mut content, &header.shape, width, &mut bytes)?;
    } else {
        content.read_exact(&mut bytes)?;
    }
    content.finish()?;
    if header.big_endian {
        let word = header.dtype.word_bytes();
        bytes.chunks_exact_mut(word).for_each(<[u8]>::reverse);
    }
    Ok(PackedArray::new(&header.shape, header.dtype, bytes))
}

/// Number of bytes read at a time, rounded to whole elements.
const BLOCK_BYTES: usize = 1 << 16;

/// Reads column-major elements of `width` bytes each into row-major order.
///
/// Every element is written to its final place, because transposing afterwards would take as much memory again.
fn read_column_major(
    content: &mut impl Read,
    shape: &[usize],
    width: usize,
    out: &mut [u8],
) -> io::Result<()> {
    let mut strides = vec![width; shape.len()];
    for k in (1..shape.len()).rev() {
        strides[k - 1] = strides[k] * shape[k];
    }
    let mut index = vec![0; shape.len()];
    let mut at = 0;
    let mut block = vec![0; (BLOCK_BYTES / width).max(1) * width];
    let mut left = out.len();
    while left > 0 {
        let some = left.min(block.len());
        let block = &mut block[..some];
        content.read_exact(block)?;
        left -= block.len();
        for element in block.chunks_exact(width) {
            out[at..at + width].copy_from_slice(element);
            for (k, stride) in strides.iter().enumerate() {
                index[k] += 1;
                at += stride;
                if index[k] < shape[k] {
                    break;
                }
                at -= stride * shape[k];
                index[k] = 0;
            }
        }
    }
    Ok(())
}

/// Turns the I/O errors of the decompressor and of a short entry into damage to the array.
fn damaged(name: &str, error: ReadError) -> ReadError {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    match error {
        ReadError::Io(error)
            if matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof) =>
        {
            let why = error.to_string();
            ReadError::Format(FormatError::Damaged {
                name: name.to_owned(),
                why,
            })
        }
        other => other,
    }
}

/// A writer of an npz file. The file appears when [`NpzWriter::finish`] succeeds; if the writer is dropped before, it
/// leaves no trace.
///
/// Arrays are written whole ([`NpzWriter::add`]) or grow along their first dimension ([`NpzWriter::append`]), several at
/// a time. Growing arrays are kept in unnamed files next to the target, not in memory.
#[derive(Debug)]
pub struct NpzWriter {
    file: OutputFile,
    offset: u64,
    entries: Vec<Entry>,
    growing: Vec<GrowingArray>,
}

/// An array that is still growing.
#[derive(Debug)]
struct GrowingArray {
    name: String,
    dtype: Dtype,
    /// The first size is the number of rows so far.
    shape: Vec<usize>,
    bytes: u64,
    crc: Hasher,
    spool: BufWriter<File>,
}

impl NpzWriter {
    /// Creates a file at `path`.
    ///
    /// # Errors
    /// If the folder is missing or cannot be written.
    pub fn create(path: &Path) -> Result<Self, FileError> {
        Ok(Self::to(OutputFile::ours(path)?))
    }

    /// Writes to a file named by the user. A pipe or device receives the bytes as they are written.
    pub fn to(file: OutputFile) -> Self {
        Self {
            file,
            offset: 0,
            entries: vec![],
            growing: vec![],
        }
    }

    /// Writes a whole array.
    ///
    /// # Errors
    /// If the name is not allowed or already used, or the disk is full.
    pub fn add(&mut self, name: &str, array: &Array) -> Result<(), FileError> {
        self.check_new(name)?;
        let header = npy::header(array.data().dtype(), array.shape());
        let content = array.data().to_bytes();
        let mut crc = Hasher::new();
        crc.update(&header);
        crc.update(&content);
        let bytes = (header.len() + content.len()) as u64;
        self.write_entry(name, crc, bytes, header.chain(content.as_slice()))
    }

    /// Appends to an array along its first dimension; the first piece creates the array.
    ///
    /// # Errors
    /// If the name is not allowed or already used, or the disk is full.
    ///
    /// # Panics
    /// If the piece is a scalar, or differs from the first in type or in a size other than the first.
    pub fn append(&mut self, name: &str, piece: &Array) -> Result<(), FileError> {
        let known = self.growing.iter().position(|array| array.name == name);
        let at = match known {
            Some(at) => at,
            None => self.begin(name, piece)?,
        };
        self.growing[at]
            .append(piece)
            .map_err(FileError::io("write", self.file.path()))
    }

    /// Returns the names of the arrays so far.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let written = self
            .entries
            .iter()
            .filter_map(|entry| entry.name.strip_suffix(EXTENSION));
        written.chain(self.growing.iter().map(|array| &array.name[..]))
    }

    /// Completes the file and renames it into place.
    ///
    /// # Errors
    /// If the disk is full or the file cannot be replaced.
    pub fn finish(mut self) -> Result<(), FileError> {
        for array in std::mem::take(&mut self.growing) {
            self.write_growing(array)?;
        }
        let directory = zip::directory(&self.entries, self.offset);
        self.file
            .write_all(&directory)
            .map_err(|e| self.failed(e))?;
        self.file.commit()
    }

    fn check_new(&self, name: &str) -> Result<(), FileError> {
        self.check_name_and_count(name)
            .map_err(FileError::format(self.file.path()))
    }

    fn check_name_and_count(&self, name: &str) -> Result<(), FormatError> {
        check_name(name)?;
        check_count((self.entries.len() + self.growing.len() + 1) as u64)?;
        let written = self
            .entries
            .iter()
            .any(|entry| entry.name == entry_name(name));
        if written || self.growing.iter().any(|array| array.name == name) {
            return Err(FormatError::Duplicate {
                name: name.to_owned(),
            });
        }
        Ok(())
    }

    fn begin(&mut self, name: &str, piece: &Array) -> Result<usize, FileError> {
        self.check_new(name)?;
        let spool = tempfile::tempfile_in(self.file.spool_folder());
        let spool = BufWriter::new(spool.map_err(FileError::io("create", self.file.path()))?);
        let mut shape = piece.shape().to_vec();
        *shape
            .first_mut()
            .expect("a scalar should not be appended to") = 0;
        let (dtype, crc) = (piece.data().dtype(), Hasher::new());
        self.growing.push(GrowingArray {
            name: name.to_owned(),
            dtype,
            shape,
            bytes: 0,
            crc,
            spool,
        });
        Ok(self.growing.len() - 1)
    }

    fn write_growing(&mut self, array: GrowingArray) -> Result<(), FileError> {
        let header = npy::header(array.dtype, &array.shape);
        let mut crc = Hasher::new();
        crc.update(&header);
        crc.combine(&array.crc);
        let bytes = header.len() as u64 + array.bytes;
        let mut spool = array
            .spool
            .into_inner()
            .map_err(|e| self.failed(e.into_error()))?;
        spool.rewind().map_err(|e| self.failed(e))?;
        self.write_entry(&array.name, crc, bytes, header.chain(spool))
    }

    fn write_entry(
        &mut self,
        name: &str,
        crc: Hasher,
        bytes: u64,
        mut content: impl Read,
    ) -> Result<(), FileError> {
        let (name, crc) = (entry_name(name), crc.finalize());
        let entry = Entry {
            name,
            deflated: false,
            crc,
            packed: bytes,
            bytes,
            offset: self.offset,
        };
        let header = zip::local_header(&entry);
        self.file.write_all(&header).map_err(|e| self.failed(e))?;
        let copied = io::copy(&mut content, &mut self.file).map_err(|e| self.failed(e))?;
        assert_eq!(
            copied, bytes,
            "the content should have the length in its header"
        );
        self.offset += header.len() as u64 + bytes;
        self.entries.push(entry);
        Ok(())
    }

    fn failed(&self, error: io::Error) -> FileError {
        FileError::io("write", self.file.path())(error)
    }
}

impl GrowingArray {
    fn append(&mut self, piece: &Array) -> io::Result<()> {
        assert_eq!(
            piece.data().dtype(),
            self.dtype,
            "piece of `{}` of another type",
            self.name
        );
        assert_eq!(
            piece.shape()[1..],
            self.shape[1..],
            "piece of `{}` of another shape",
            self.name
        );
        let bytes = piece.data().to_bytes();
        self.spool.write_all(&bytes)?;
        self.crc.update(&bytes);
        self.bytes += bytes.len() as u64;
        self.shape[0] += piece.shape()[0];
        Ok(())
    }
}

fn entry_name(name: &str) -> String {
    format!("{name}{EXTENSION}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::ArrayData;
    use ::zip::write::SimpleFileOptions;
    use ::zip::{CompressionMethod, ZipWriter};

    /// An archive of raw entries, as another writer makes it.
    fn theirs(entries: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in entries {
            let options = SimpleFileOptions::default().compression_method(method);
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn npy(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let text =
            format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let length = (text.len() as u16).to_le_bytes();
        [
            b"\x93NUMPY\x01\x00",
            length.as_slice(),
            text.as_bytes(),
            data,
        ]
        .concat()
    }

    fn read_x(content: &[u8]) -> Result<Array, FileError> {
        let bytes = theirs(&[("x.npy", content)], CompressionMethod::Stored);
        NpzReader::from_bytes(&bytes, Path::new("trials.npz"))?.read("x")
    }

    fn refused(content: &[u8]) -> String {
        read_x(content).unwrap_err().to_string()
    }

    #[test]
    fn arrays_come_back_and_give_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one.npz"), folder.path().join("two.npz"));
        let arrays = BTreeMap::from([
            ("empty".to_owned(), Array::f32(&[4, 3, 0], vec![])),
            (
                "mask".to_owned(),
                Array::new(&[2], ArrayData::Bool(vec![true, false])),
            ),
            ("dt_ms".to_owned(), Array::f64(&[], vec![20.0])),
            ("labels".to_owned(), Array::i64(&[1, 2], vec![-1, i64::MAX])),
            (
                "bytes".to_owned(),
                Array::new(&[1], ArrayData::U8(vec![255])),
            ),
            (
                "steps".to_owned(),
                Array::new(&[1], ArrayData::I32(vec![i32::MIN])),
            ),
        ]);
        write(&one, &arrays).unwrap();
        write(&two, &arrays).unwrap();
        assert_eq!(read(&one).unwrap(), arrays);
        assert_eq!(std::fs::read(one).unwrap(), std::fs::read(two).unwrap());
    }

    #[test]
    fn growing_arrays_equal_whole_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("states.npz");
        let mut writer = NpzWriter::create(&path).unwrap();
        for trial in 0..3_u8 {
            let rates = Array::f32(&[1, 2], vec![f32::from(trial), 0.5]);
            writer.append("rates", &rates).unwrap();
            writer
                .append("n_steps", &Array::i64(&[1], vec![i64::from(trial)]))
                .unwrap();
        }
        writer
            .add("t_ms", &Array::f32(&[2], vec![20.0, 40.0]))
            .unwrap();
        writer.finish().unwrap();
        let arrays = read(&path).unwrap();
        assert_eq!(
            arrays["rates"],
            Array::f32(&[3, 2], vec![0.0, 0.5, 1.0, 0.5, 2.0, 0.5])
        );
        assert_eq!(arrays["n_steps"], Array::i64(&[3], vec![0, 1, 2]));
        assert_eq!(arrays.len(), 3);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_unfinished_file_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = NpzWriter::create(&folder.path().join("states.npz")).unwrap();
        writer
            .append("rates", &Array::f32(&[1], vec![0.0]))
            .unwrap();
        drop(writer);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn names_are_checked_when_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = NpzWriter::create(&folder.path().join("states.npz")).unwrap();
        let array = Array::f32(&[1], vec![0.0]);
        writer.append("rates", &array).unwrap();
        writer.add("t_ms", &array).unwrap();
        for name in ["rates", "t_ms", "../t_ms"] {
            assert!(writer.add(name, &array).is_err(), "{name}");
        }
        assert!(writer.append("t_ms", &array).is_err());
    }

    #[test]
    #[should_panic(expected = "piece of `rates` of another shape")]
    fn pieces_of_other_shapes_panic() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = NpzWriter::create(&folder.path().join("states.npz")).unwrap();
        writer
            .append("rates", &Array::f32(&[1, 2], vec![0.0; 2]))
            .unwrap();
        let _panics = writer.append("rates", &Array::f32(&[2, 1], vec![0.0; 2]));
    }

    #[test]
    fn compressed_files_are_read() {
        let content = npy("<i4", "False", "(1000,)", &[1, 0, 0, 0].repeat(1000));
        let bytes = theirs(&[("x.npy", &content)], CompressionMethod::Deflated);
        assert!(bytes.len() < 1000);
        let mut reader = NpzReader::from_bytes(&bytes, Path::new("x.npz")).unwrap();
        let header = ArrayHeader {
            shape: vec![1000],
            dtype: Dtype::I32,
        };
        assert_eq!(reader.header("x").unwrap(), header);
        let ones = Array::new(&[1000], ArrayData::I32(vec![1; 1000]));
        assert_eq!(reader.read("x").unwrap(), ones);
    }

    /// Numbers of one byte take one byte until they are asked for.
    #[test]
    fn packed_arrays_keep_their_type() {
        let content = npy("|i1", "False", "(2, 2)", &[0xff, 2, 3, 4]);
        let bytes = theirs(&[("x.npy", &content)], CompressionMethod::Stored);
        let mut reader = NpzReader::from_bytes(&bytes, Path::new("x.npz")).unwrap();
        let packed = reader.read_packed("x").unwrap();
        assert_eq!((packed.shape(), packed.dtype()), (&[2, 2][..], Dtype::I8));
        assert_eq!(packed.elements(1..3), ArrayData::I32(vec![2, 3]));
        assert_eq!(packed.unpacked(), reader.read("x").unwrap());
    }

    /// More than one block, in three dimensions: element (i, j, k) of 100 x 3 x 200 is 600 i + 200 j + k.
    #[test]
    fn large_arrays_in_columns_are_turned_round() {
        let sizes =
            || (0..200).flat_map(|k| (0..3).flat_map(move |j| (0..100).map(move |i| [i, j, k])));
        let elements =
            sizes().flat_map(|[i, j, k]: [u32; 3]| (600 * i + 200 * j + k).to_le_bytes());
        let content = npy(
            "<u4",
            "True",
            "(100, 3, 200)",
            &elements.collect::<Vec<_>>(),
        );
        let expected = (0..60_000).collect();
        assert_eq!(
            read_x(&content).unwrap(),
            Array::i64(&[100, 3, 200], expected)
        );
    }

    #[test]
    fn other_orders_are_turned_round() {
        // [[1, 2, 3], [4, 5, 6]]: in Fortran order 1 4 2 5 3 6.
        let big_endian = npy(
            ">i2",
            "True",
            "(2, 3)",
            &[0, 1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6],
        );
        let expected = Array::new(&[2, 3], ArrayData::I32(vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(read_x(&big_endian).unwrap(), expected);
        let scalar = npy("|u1", "True", "()", &[7]);
        assert_eq!(
            read_x(&scalar).unwrap(),
            Array::new(&[], ArrayData::U8(vec![7]))
        );
        let empty = npy("|u1", "True", "(3, 0)", &[]);
        assert_eq!(
            read_x(&empty).unwrap(),
            Array::new(&[3, 0], ArrayData::U8(vec![]))
        );
    }

    /// `np.array([["a", "longer"], ["", "τ"]])` in both byte orders; a file of trials has numbers only.
    #[test]
    fn text_is_read_in_either_byte_order() {
        let texts = ["a", "longer", "", "τ"];
        let padded = |text: &&str| {
            let characters = text.chars().chain(std::iter::repeat('\0')).take(6);
            characters.map(u32::from).collect::<Vec<u32>>()
        };
        let codes: Vec<u32> = texts.iter().flat_map(padded).collect();
        let little: Vec<u8> = codes.iter().flat_map(|c| c.to_le_bytes()).collect();
        let big: Vec<u8> = codes.iter().flat_map(|c| c.to_be_bytes()).collect();
        let expected = Array::new(&[2, 2], ArrayData::Text(texts.map(str::to_owned).to_vec()));
        for (descr, bytes) in [("<U6", &little), (">U6", &big)] {
            let content = npy(descr, "False", "(2, 2)", bytes);
            assert_eq!(read_x(&content).unwrap(), expected);
            let archive = theirs(&[("x.npy", &content)], CompressionMethod::Stored);
            let mut reader = NpzReader::from_bytes(&archive, Path::new("t.npz")).unwrap();
            let error = reader.read_packed("x").unwrap_err().to_string();
            assert!(error.contains("has dtype <U6"), "{error}");
        }
        assert!(refused(&npy("<U0", "False", "(1,)", &[])).contains("dtype <U0"));
        assert!(expected.to_f64().is_err());
    }

    #[test]
    fn shapes_that_lie_are_refused_before_memory_is_taken() {
        let long = refused(&npy("<f8", "False", "(536870912,)", &[0; 8])); // 4 GiB
        let promise =
            "trials.npz: array `x` needs 4294967296 bytes for its shape and dtype, but has 8";
        assert_eq!(long, promise);
        assert!(refused(&npy("<f8", "False", "(1,)", &[0; 9])).contains("needs 8 bytes"));
    }

    #[test]
    fn pickles_are_refused_only_when_they_are_read() {
        let objects = npy("|O", "False", "(1,)", b"\x80\x04N.");
        let number = npy("|u1", "False", "()", &[7]);
        let entries: [(&str, &[u8]); 2] = [("info.npy", &objects), ("x.npy", &number)];
        let bytes = theirs(&entries, CompressionMethod::Stored);
        let mut reader = NpzReader::from_bytes(&bytes, Path::new("x.npz")).unwrap();
        assert!(reader.read("x").is_ok());
        let error = reader.read("info").unwrap_err();
        assert!(
            error
                .to_string()
                .contains("array `info` holds Python objects"),
            "{error}"
        );
        assert_eq!(error.kind(), crate::ErrorKind::Data);
    }

    #[test]
    fn a_missing_array_is_told_with_those_that_are_there() {
        let bytes = theirs(&[("a.npy", b""), ("b.npy", b"")], CompressionMethod::Stored);
        let mut reader = NpzReader::from_bytes(&bytes, Path::new("x.npz")).unwrap();
        let error = reader.read("inputs").unwrap_err().to_string();
        assert_eq!(error, "x.npz: has no array `inputs`; it has: a, b");
        assert!(
            reader
                .read("a")
                .unwrap_err()
                .to_string()
                .contains("array `a` is damaged")
        );
    }

    #[test]
    fn foreign_archives_are_refused() {
        for name in ["archive/data.pkl", "x.txt", "../x.npy", ".npy", "a/x.npy"] {
            let bytes = theirs(&[(name, b"")], CompressionMethod::Stored);
            assert!(
                NpzReader::from_bytes(&bytes, Path::new("x.npz")).is_err(),
                "{name}"
            );
        }
        let error = NpzReader::from_bytes(b"not a zip archive at all", Path::new("x.npz"));
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("x.npz: is text, such as CSV or JSON, not an npz (zip) archive")
        );
    }
}
