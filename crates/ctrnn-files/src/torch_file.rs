//! The files of `torch.save(model.state_dict(), PATH)`: a zip archive with a pickle and one entry for each storage.
//!
//! ```text
//! NAME/data.pkl   NAME/data/0   NAME/data/1 ...   NAME/byteorder   NAME/version
//! ```
//!
//! Nothing in the file is executed (see [`pickle`]). A tensor may be any view of its storage, but may not have more
//! elements than the storage.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;

use crate::array::{Array, PackedArray};
use crate::error::{FileError, FormatError, ReadError};
use crate::limits::{MAX_HEADER_BYTES, check_name, check_shape, max_content_bytes};
use crate::pickle::{self, TensorView};
use crate::regular_file;
use crate::zip::{self, Content, Directory};

const PICKLE: &str = "/data.pkl";

/// The tensors of a file by name.
#[derive(Clone, Debug, PartialEq)]
pub struct StateDict {
    /// Path of keys that leads to their dictionary, joined by dots; empty if it is the whole file.
    pub entry: String,
    /// The tensors.
    pub tensors: BTreeMap<String, Array>,
}

/// Reads the tensors of a state_dict: the whole file, the only one in it, or the one under `entry`.
///
/// # Errors
/// If the file is missing, unreadable, incomplete or not an archive, holds no such dictionary of tensors or several, or
/// would take far more memory than its own length.
pub fn read_state_dict(path: &Path, entry: Option<&str>) -> Result<StateDict, FileError> {
    let (file, bytes) = regular_file::open(path)?;
    read(BufReader::new(file), bytes, entry).map_err(ReadError::at(path))
}

/// Returns true if a file was written by `torch.save`, judged by its directory; false if it cannot be read.
pub fn is_torch_file(path: &Path) -> bool {
    let Ok((file, bytes)) = regular_file::open(path) else {
        return false;
    };
    Archive::open(BufReader::new(file), bytes).is_ok()
}

/// Reads the tensors of a state_dict from memory; `path` is only named in errors.
///
/// # Errors
/// As [`read_state_dict`].
pub fn state_dict_from_bytes(
    bytes: &[u8],
    path: &Path,
) -> Result<BTreeMap<String, Array>, FileError> {
    let read = read(Cursor::new(bytes), bytes.len() as u64, None);
    read.map(|read| read.tensors).map_err(ReadError::at(path))
}

fn read<R: BufRead + Seek>(
    source: R,
    file_bytes: u64,
    entry: Option<&str>,
) -> Result<StateDict, ReadError> {
    Archive::open(source, file_bytes)?.state_dict(entry)
}

struct Archive<R> {
    source: R,
    file_bytes: u64,
    directory: Directory,
    /// Folder in the archive that holds every entry.
    root: String,
}

impl<R: BufRead + Seek> Archive<R> {
    fn open(mut source: R, file_bytes: u64) -> Result<Self, ReadError> {
        let directory = zip::read_directory(&mut source, file_bytes).map_err(of_torch)?;
        let mut roots = directory
            .keys()
            .filter_map(|name| name.strip_suffix(PICKLE));
        let (Some(root), None) = (roots.next(), roots.next()) else {
            return Err(no_state_dict("it holds no data.pkl, or several").into());
        };
        let root = root.to_owned();
        Ok(Self {
            source,
            file_bytes,
            directory,
            root,
        })
    }

    fn state_dict(&mut self, entry: Option<&str>) -> Result<StateDict, ReadError> {
        if self.has("byteorder") && self.read("byteorder", 16)? != b"little" {
            return Err(no_state_dict("it was written on a big-endian machine").into());
        }
        let program = self.read("data.pkl", MAX_HEADER_BYTES)?;
        let pickle::StateDict {
            entry,
            tensors: views,
        } = pickle::state_dict(&program, entry)?;
        let limit = max_content_bytes(self.file_bytes);
        let (mut promised, mut tensors) = (0_u64, BTreeMap::new());
        for (name, view) in views {
            check_name(&name)?;
            let (shape, elements) = check_shape(&name, &view.shape)?;
            check_view(&name, &view, elements as u64)?;
            promised =
                promised.saturating_add(view.storage_len.saturating_mul(view.dtype.bytes() as u64));
            if promised > limit {
                let found = self.file_bytes;
                return Err(FormatError::Bomb {
                    promised,
                    found,
                    limit,
                }
                .into());
            }
            let storage = self.storage(&name, &view)?;
            let content = gather(&storage, &view, elements);
            let tensor = PackedArray::new(&name, &shape, view.dtype, content)?.unpacked();
            if tensors.insert(name.clone(), tensor).is_some() {
                return Err(FormatError::Duplicate { name }.into());
            }
        }
        Ok(StateDict { entry, tensors })
    }

    /// Reads the bytes of the storage of which a tensor is a view.
    fn storage(&mut self, name: &str, view: &TensorView) -> Result<Vec<u8>, ReadError> {
        let needed = view.storage_len * view.dtype.bytes() as u64;
        let bytes = self.read(&format!("data/{}", view.storage), needed)?;
        match bytes.len() as u64 {
            found if found == needed => Ok(bytes),
            found => Err(FormatError::Size {
                name: name.to_owned(),
                needed,
                found,
            }
            .into()),
        }
    }

    fn has(&self, entry: &str) -> bool {
        self.directory
            .contains_key(&format!("{}/{entry}", self.root))
    }

    fn read(&mut self, entry: &str, limit: u64) -> Result<Vec<u8>, ReadError> {
        let name = format!("{}/{entry}", self.root);
        let Some(entry) = self.directory.get(&name) else {
            return Err(no_state_dict(&format!("it has no entry {entry}")).into());
        };
        let bytes = entry.bytes;
        if bytes > limit {
            return Err(FormatError::TooLong { bytes, limit }.into());
        }
        let mut content = Content::open(&mut self.source, entry)?;
        let mut whole = vec![0; bytes as usize];
        content
            .read_exact(&mut whole)
            .map_err(|error| FormatError::Damaged {
                name: name.clone(),
                why: error.to_string(),
            })?;
        content.finish()?;
        Ok(whole)
    }
}

/// Checks that every element of a view is within its storage, and that the view has no more elements than the storage.
fn check_view(name: &str, view: &TensorView, elements: u64) -> Result<(), FormatError> {
    let refuse = || FormatError::Size {
        name: name.to_owned(),
        needed: elements,
        found: view.storage_len,
    };
    if view.strides.len() != view.shape.len() || elements > view.storage_len {
        return Err(refuse());
    }
    if elements == 0 {
        return Ok(());
    }
    let mut steps = view.shape.iter().zip(&view.strides);
    let last = steps.try_fold(view.offset, |at, (size, stride)| {
        at.checked_add((size - 1).checked_mul(*stride)?)
    });
    match last {
        Some(last) if last < view.storage_len => Ok(()),
        _ => Err(refuse()),
    }
}

/// Collects the elements of a checked view, row-major.
fn gather(storage: &[u8], view: &TensorView, elements: usize) -> Vec<u8> {
    let width = view.dtype.bytes();
    let mut index = vec![0; view.shape.len()];
    let mut out = Vec::with_capacity(elements * width);
    for _ in 0..elements {
        let steps = index.iter().zip(&view.strides);
        let at = view.offset + steps.map(|(i, stride)| i * stride).sum::<u64>();
        let at = at as usize * width;
        out.extend_from_slice(&storage[at..at + width]);
        for k in (0..index.len()).rev() {
            index[k] += 1;
            if index[k] < view.shape[k] {
                break;
            }
            index[k] = 0;
        }
    }
    out
}

fn no_state_dict(why: &str) -> FormatError {
    FormatError::NoStateDict {
        why: why.to_owned(),
    }
}

/// Replaces the error for a damaged archive, whose remedy is about numpy, by the one for `torch.save`.
fn of_torch(error: ReadError) -> ReadError {
    match error {
        ReadError::Format(FormatError::Archive { why }) => no_state_dict(&why).into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(shape: &[u64], strides: &[u64], offset: u64) -> TensorView {
        TensorView {
            storage: "0".to_owned(),
            dtype: crate::Dtype::U8,
            storage_len: 6,
            offset,
            shape: shape.to_vec(),
            strides: strides.to_vec(),
        }
    }

    #[test]
    fn views_are_read_by_their_strides() {
        let storage = [0, 1, 2, 3, 4, 5];
        let read = |view: &TensorView, n| {
            assert_eq!(check_view("x", view, n as u64), Ok(()));
            gather(&storage, view, n)
        };
        assert_eq!(read(&view(&[2, 3], &[3, 1], 0), 6), [0, 1, 2, 3, 4, 5]);
        assert_eq!(read(&view(&[3, 2], &[1, 3], 0), 6), [0, 3, 1, 4, 2, 5]); // transposed
        assert_eq!(read(&view(&[2], &[2], 3), 2), [3, 5]);
        assert_eq!(read(&view(&[], &[], 4), 1), [4]); // a scalar
        assert!(read(&view(&[0, 3], &[3, 1], 0), 0).is_empty());
    }

    #[test]
    fn views_beyond_their_storage_are_refused() {
        for (shape, strides, offset) in [
            (&[2, 3][..], &[3, 1][..], 1), // the last element is one too far
            (&[2], &[6], 0),
            (&[2], &[u64::MAX], 1), // the place overflows
            (&[7], &[0], 0),        // more elements than there are
            (&[2, 3], &[3], 0),     // a stride is missing
            (&[1], &[1], 6),
        ] {
            let elements = shape.iter().product();
            assert!(
                check_view("x", &view(shape, strides, offset), elements).is_err(),
                "{shape:?} {strides:?}"
            );
        }
    }
}
