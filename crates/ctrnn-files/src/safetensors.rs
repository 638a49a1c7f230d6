//! The safetensors format: a JSON header, then the bytes of all tensors.
//!
//! ```text
//! u64 little-endian: length of the header | header, padded with spaces | tensors without holes
//! ```
//!
//! Equal content always gives equal bytes: keys are sorted, and the tensors of the widest type come first
//! so that each is aligned.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::io::{Cursor, Read};
use std::path::Path;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::array::{Array, Dtype, PackedArray};
use crate::error::{FileError, FormatError, ReadError};
use crate::limits::{MAX_HEADER_BYTES, check_count, check_name, check_shape};
use crate::{atomic, regular_file};

const METADATA: &str = "__metadata__";
const ALIGNMENT: usize = 8;
const DTYPES: [(&str, Dtype); 13] = [
    ("F16", Dtype::F16),
    ("BF16", Dtype::BF16),
    ("F32", Dtype::F32),
    ("F64", Dtype::F64),
    ("I8", Dtype::I8),
    ("I16", Dtype::I16),
    ("I32", Dtype::I32),
    ("I64", Dtype::I64),
    ("U8", Dtype::U8),
    ("U16", Dtype::U16),
    ("U32", Dtype::U32),
    ("U64", Dtype::U64),
    ("BOOL", Dtype::Bool),
];

/// The content of a safetensors file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TensorFile {
    /// Free text by key.
    pub metadata: BTreeMap<String, String>,
    /// Tensors by name.
    pub tensors: BTreeMap<String, Array>,
}

impl TensorFile {
    /// Reads a file.
    ///
    /// # Errors
    /// If it is missing or unreadable, or breaks a rule of the format or a limit of [`limits`](crate::limits).
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let (file, bytes) = regular_file::open(path)?;
        from_reader(file, bytes).map_err(ReadError::at(path))
    }

    /// Reads from memory; `path` is only named in errors.
    ///
    /// # Errors
    /// As [`TensorFile::read`].
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, FileError> {
        from_reader(Cursor::new(bytes), bytes.len() as u64).map_err(ReadError::at(path))
    }

    /// Returns the bytes of the file, which depend only on the content.
    ///
    /// # Panics
    /// If a tensor has the name `__metadata__`, which the format reserves.
    pub fn to_bytes(&self) -> Vec<u8> {
        assert!(
            !self.tensors.contains_key(METADATA),
            "no tensor may be named {METADATA}"
        );
        let mut tensors: Vec<_> = self.tensors.iter().collect();
        tensors.sort_by_key(|(name, tensor)| (usize::MAX - tensor.data().dtype().bytes(), *name));

        let mut header = BTreeMap::from([(METADATA, HeaderValue::Metadata(&self.metadata))]);
        let mut data = Vec::new();
        for (name, tensor) in tensors {
            let begin = data.len();
            data.append(&mut tensor.data().to_bytes());
            header.insert(
                name,
                HeaderValue::Tensor {
                    dtype: dtype_name(tensor.data().dtype()),
                    shape: tensor.shape(),
                    data_offsets: [begin, data.len()],
                },
            );
        }
        let mut text = serde_json::to_vec(&header).expect("names and numbers have a JSON form");
        text.resize(text.len().next_multiple_of(ALIGNMENT), b' ');
        [&(text.len() as u64).to_le_bytes(), text.as_slice(), &data].concat()
    }

    /// Replaces or creates a file atomically.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        atomic::write(path, &self.to_bytes())
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum HeaderValue<'a> {
    Metadata(&'a BTreeMap<String, String>),
    Tensor {
        dtype: &'static str,
        shape: &'a [usize],
        data_offsets: [usize; 2],
    },
}

/// The header as read, in which no key occurs twice.
#[derive(Debug, Default)]
struct Header {
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, TensorInfo>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TensorInfo {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

fn from_reader(mut reader: impl Read, bytes: u64) -> Result<TensorFile, ReadError> {
    let header_bytes = header_bytes(&mut reader, bytes)?;
    let mut text = vec![0; header_bytes as usize];
    reader.read_exact(&mut text)?;
    let header: Header = serde_json::from_slice(&text).map_err(|e| malformed(e.to_string()))?;

    let mut infos: Vec<_> = header.tensors.iter().collect();
    infos.sort_by_key(|(_, info)| info.data_offsets);
    check_offsets(&infos, bytes - 8 - header_bytes)?;

    let mut tensors = BTreeMap::new();
    for (name, info) in infos {
        tensors.insert(name.clone(), read_tensor(&mut reader, name, info)?);
    }
    Ok(TensorFile {
        metadata: header.metadata,
        tensors,
    })
}

fn header_bytes(reader: &mut impl Read, bytes: u64) -> Result<u64, ReadError> {
    if bytes < 8 {
        return Err(truncated("the length of the header", 8, bytes).into());
    }
    let mut length = [0; 8];
    reader.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES {
        let why = format!("it declares {length} bytes, but at most {MAX_HEADER_BYTES} are read");
        return Err(malformed(why).into());
    }
    if length > bytes - 8 {
        return Err(truncated("the header", length, bytes - 8).into());
    }
    Ok(length)
}

/// Checks tensors sorted by offset: each must begin where the previous one ends, and the last must end with the file.
fn check_offsets(infos: &[(&String, &TensorInfo)], found: u64) -> Result<(), FormatError> {
    let mut expected = 0;
    for (
        name,
        TensorInfo {
            data_offsets: [begin, end],
            ..
        },
    ) in infos
    {
        if *begin != expected || end < begin {
            return Err(FormatError::Offset {
                name: name.to_string(),
                begin: *begin,
                end: *end,
                expected,
            });
        }
        if *end > found {
            return Err(truncated(&format!("tensor `{name}`"), *end, found));
        }
        expected = *end;
    }
    if expected != found {
        return Err(FormatError::Trailing {
            bytes: found - expected,
        });
    }
    Ok(())
}

fn read_tensor(reader: &mut impl Read, name: &str, info: &TensorInfo) -> Result<Array, ReadError> {
    let dtype = dtype(name, &info.dtype)?;
    let (shape, elements) = check_shape(name, &info.shape)?;
    let needed = (elements * dtype.bytes()) as u64;
    let found = info.data_offsets[1] - info.data_offsets[0];
    if needed != found {
        return Err(FormatError::Size {
            name: name.to_owned(),
            needed,
            found,
        }
        .into());
    }
    let mut bytes = vec![0; elements * dtype.bytes()];
    reader.read_exact(&mut bytes)?;
    Ok(PackedArray::new(name, &shape, dtype, bytes)?.unpacked())
}

fn dtype_name(dtype: Dtype) -> &'static str {
    DTYPES
        .iter()
        .find(|(_, known)| *known == dtype)
        .expect("every type should have a name")
        .0
}

fn dtype(name: &str, dtype: &str) -> Result<Dtype, FormatError> {
    let known = DTYPES
        .iter()
        .find(|(known, _)| *known == dtype)
        .map(|&(_, dtype)| dtype);
    known.ok_or_else(|| FormatError::Dtype {
        name: name.to_owned(),
        dtype: dtype.to_owned(),
    })
}

fn malformed(why: String) -> FormatError {
    FormatError::Header {
        name: "safetensors".to_owned(),
        why,
    }
}

fn truncated(what: &str, needed: u64, found: u64) -> FormatError {
    FormatError::Truncated {
        what: what.to_owned(),
        needed,
        found,
    }
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut metadata = None;
        let mut tensors = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA {
                let UniqueKeys(texts) = map.next_value()?;
                if metadata.replace(texts).is_some() {
                    return Err(de::Error::custom(FormatError::Duplicate { name }));
                }
            } else {
                check_name(&name).map_err(de::Error::custom)?;
                insert(&mut tensors, name, map.next_value()?)?;
                check_count(tensors.len() as u64).map_err(de::Error::custom)?;
            }
        }
        Ok(Header {
            metadata: metadata.unwrap_or_default(),
            tensors,
        })
    }
}

/// A JSON object of strings in which no key may occur twice.
struct UniqueKeys(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for UniqueKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UniqueKeysVisitor)
    }
}

struct UniqueKeysVisitor;

impl<'de> Visitor<'de> for UniqueKeysVisitor {
    type Value = UniqueKeys;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueKeys, A::Error> {
        let mut unique = BTreeMap::new();
        while let Some((key, value)) = map.next_entry()? {
            insert(&mut unique, key, value)?;
        }
        Ok(UniqueKeys(unique))
    }
}

fn insert<V, E: de::Error>(map: &mut BTreeMap<String, V>, key: String, value: V) -> Result<(), E> {
    match map.entry(key) {
        Entry::Vacant(place) => {
            place.insert(value);
            Ok(())
        }
        Entry::Occupied(place) => Err(E::custom(FormatError::Duplicate {
            name: place.key().clone(),
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ArrayData;

    fn example() -> TensorFile {
        let metadata = [("format", "pt"), ("ctrnn.schema", "1")];
        TensorFile {
            metadata: metadata
                .map(|(key, value)| (key.into(), value.into()))
                .into(),
            tensors: BTreeMap::from([
                (
                    "mask".into(),
                    Array::new(&[3], ArrayData::Bool(vec![true, false, true])),
                ),
                (
                    "recurrent.weight".into(),
                    Array::f32(&[2, 2], vec![0.5, -1.0, 0.0, 2.0]),
                ),
                ("steps".into(), Array::i64(&[], vec![-7])),
                ("empty".into(), Array::f64(&[0, 4], vec![])),
            ]),
        }
    }

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [
            &(header.len() as u64).to_le_bytes(),
            header.as_bytes(),
            data,
        ]
        .concat()
    }

    fn refused(bytes: &[u8]) -> String {
        TensorFile::from_bytes(bytes, Path::new("w.safetensors"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn tensors_come_back_from_the_same_bytes_every_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        example().write(&path).unwrap();
        assert_eq!(TensorFile::read(&path).unwrap(), example());
        assert_eq!(std::fs::read(&path).unwrap(), example().to_bytes());
    }

    #[test]
    fn the_layout_is_exact() {
        let mut small = TensorFile::default();
        small
            .tensors
            .insert("flag".into(), Array::new(&[1], ArrayData::Bool(vec![true])));
        small
            .tensors
            .insert("bias".into(), Array::f32(&[1], vec![1.0]));
        // Wide types first, so `bias` precedes `flag` by width as well as by name; 132 bytes of text and 4 spaces.
        let header = concat!(
            r#"{"__metadata__":{},"bias":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"#,
            r#""flag":{"dtype":"BOOL","shape":[1],"data_offsets":[4,5]}}    "#
        );
        assert_eq!(header.len() % 8, 0);
        assert_eq!(small.to_bytes(), file(header, &[0, 0, 0x80, 0x3f, 1]));
    }

    #[test]
    fn another_reader_and_writer_agree() {
        let bytes = example().to_bytes();
        let theirs = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let weight = theirs.tensor("recurrent.weight").unwrap();
        assert_eq!(weight.shape(), [2, 2]);
        assert_eq!(weight.data()[..4], 0.5_f32.to_le_bytes());
        assert_eq!(theirs.len(), 4);

        let again = ::safetensors::serialize(theirs.tensors(), None).unwrap();
        let ours = TensorFile::from_bytes(&again, Path::new("theirs")).unwrap();
        assert_eq!(ours.tensors, example().tensors);
    }

    #[test]
    fn half_precision_is_widened() {
        let header = r#"{"x":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}"#;
        let read = TensorFile::from_bytes(&file(header, &[0x80, 0x3f]), Path::new("x")).unwrap();
        assert_eq!(read.tensors["x"], Array::f32(&[1], vec![1.0]));
    }

    #[test]
    fn lies_are_refused() {
        let one = |dtype: &str, shape: &str, offsets: &str| {
            format!(r#""x":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}"#)
        };
        let x = one("U8", "[4]", "[0,4]");
        let y = |offsets: &str| one("U8", "[2]", offsets).replace('x', "y");
        let table = [
            (
                format!("{{{}}}", one("F32", "[2]", "[0,4]")),
                "needs 8 bytes",
            ),
            (
                format!("{{{}}}", one("F32", "[9223372036854775808,2]", "[0,4]")),
                "has shape",
            ),
            (
                format!("{{{}}}", one("F8_E4M3", "[4]", "[0,4]")),
                "has dtype F8_E4M3",
            ),
            (
                format!("{{{}}}", one("U8", "[3]", "[0,3]")),
                "has 1 bytes after the last tensor",
            ),
            (
                format!("{{{}}}", one("U8", "[3]", "[1,4]")),
                "but must begin at 0",
            ),
            (
                format!("{{{}}}", one("U8", "[5]", "[0,5]")),
                "tensor `x` needs 5 bytes but only 4",
            ),
            (
                format!("{{{}}}", one("U8", "[4]", "[4,0]")),
                "takes bytes 4 to 0",
            ),
            (
                format!("{{{}}}", one("U8", "[4]", "[0,18446744073709551615]")),
                "cut short",
            ),
            (
                format!("{{{}}}", one("U8", "[4]", "[0,18446744073709551616]")),
                "malformed",
            ),
            (format!("{{{}}}", one("U8", "[-4]", "[0,4]")), "malformed"),
            (
                format!("{{{x},{}}}", y("[2,4]")),
                "tensor `y` takes bytes 2 to 4 but must begin at 4",
            ),
            (format!("{{{x},{x}}}"), "`x` occurs twice"),
            (
                format!("{{{}}}", x.replace('x', "../x")),
                "\"../x\" is not an allowed name",
            ),
            (
                r#"{"__metadata__":{"a":"1","a":"2"}}"#.into(),
                "`a` occurs twice",
            ),
            (
                r#"{"__metadata__":{},"__metadata__":{}}"#.into(),
                "`__metadata__` occurs twice",
            ),
            (r#"{"__metadata__":{"a":1}}"#.into(), "malformed"),
            ("[".repeat(100_000), "malformed"),
            (
                format!(r#"{{"x":{}"#, r#"{"dtype":"#.repeat(100_000)),
                "malformed",
            ),
        ];
        for (header, message) in table {
            let error = refused(&file(&header, &[0; 4]));
            let start: String = header.chars().take(80).collect();
            assert!(error.contains(message), "{start}: {error}");
        }
    }

    #[test]
    fn headers_that_do_not_fit_are_refused() {
        assert!(refused(b"1234").contains("needs 8 bytes but only 4 are there"));
        assert!(
            refused(&u64::MAX.to_le_bytes()).contains("it declares 18446744073709551615 bytes")
        );
        assert!(
            refused(&1000_u64.to_le_bytes()).contains("the header needs 1000 bytes but only 0")
        );
    }

    #[test]
    fn too_many_tensors_are_refused() {
        let many: Vec<String> = (0..1025)
            .map(|k| format!(r#""t{k}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#))
            .collect();
        let within = file(&format!("{{{}}}", many[1..].join(",")), &[]);
        assert!(TensorFile::from_bytes(&within, Path::new("x")).is_ok());
        let beyond = refused(&file(&format!("{{{}}}", many.join(",")), &[]));
        assert!(beyond.contains("at most 1024 are read"), "{beyond}");
    }
}
