//! Zip archives, npy headers and safetensors files that say whatever a test wants them to say.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// An entry of a zip archive as its headers describe it, true or not.
#[derive(Clone)]
pub struct Entry {
    pub name: Vec<u8>,
    /// What lies in the file.
    pub packed: Vec<u8>,
    pub method: u16,
    pub flags: u16,
    pub crc: u32,
    /// Bytes of `packed` as the headers say.
    pub packed_bytes: u32,
    /// Bytes of the content as the headers say.
    pub bytes: u32,
    pub extra: Vec<u8>,
    /// In the directory only.
    pub comment: Vec<u8>,
    /// The name in the header before the content, where it differs.
    pub local_name: Option<Vec<u8>>,
}

impl Entry {
    /// A stored entry that is what it says.
    pub fn stored(name: &str, content: &[u8]) -> Self {
        Self {
            name: name.into(),
            packed: content.to_vec(),
            method: 0,
            flags: 0,
            crc: crc32fast::hash(content),
            packed_bytes: content.len() as u32,
            bytes: content.len() as u32,
            extra: vec![],
            comment: vec![],
            local_name: None,
        }
    }

    /// A deflated entry that is what it says.
    pub fn deflated(name: &str, content: &[u8]) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).unwrap();
        let packed = encoder.finish().unwrap();
        Self {
            packed_bytes: packed.len() as u32,
            packed,
            method: 8,
            ..Self::stored(name, content)
        }
    }

    /// From the flags to the length of the name.
    fn common(&self, name: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for field in [20, self.flags, self.method, 0, 0x21] {
            out.extend(field.to_le_bytes());
        }
        for field in [self.crc, self.packed_bytes, self.bytes] {
            out.extend(field.to_le_bytes());
        }
        out.extend((name.len() as u16).to_le_bytes());
        out.extend((self.extra.len() as u16).to_le_bytes());
        out
    }
}

/// The end of an archive, where it does not say what is true.
#[derive(Default)]
pub struct End {
    pub disk: u16,
    pub entries: Option<u16>,
    /// Puts every entry of the directory at the offset of the first.
    pub share_offset: bool,
    /// Between directory and end record.
    pub before: Vec<u8>,
    pub directory_offset: Option<u32>,
}

/// An archive of these entries.
pub fn archive(entries: &[Entry]) -> Vec<u8> {
    archive_with(entries, &End::default())
}

/// An archive of these entries with an end of the test's own.
pub fn archive_with(entries: &[Entry], end: &End) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let offset = if end.share_offset {
            0
        } else {
            out.len() as u32
        };
        let local = entry.local_name.as_ref().unwrap_or(&entry.name);
        out.extend(b"PK\x03\x04");
        out.extend(entry.common(local));
        out.extend(local);
        out.extend(&entry.extra);
        out.extend(&entry.packed);
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(entry.common(&entry.name));
        directory.extend((entry.comment.len() as u16).to_le_bytes());
        directory.extend([0; 8]);
        directory.extend(offset.to_le_bytes());
        directory.extend(&entry.name);
        directory.extend(&entry.extra);
        directory.extend(&entry.comment);
    }
    let offset = end.directory_offset.unwrap_or(out.len() as u32);
    let count = end.entries.unwrap_or(entries.len() as u16);
    let bytes = directory.len() as u32;
    out.extend(directory);
    out.extend(&end.before);
    out.extend(b"PK\x05\x06");
    for field in [end.disk, end.disk, count, count] {
        out.extend(field.to_le_bytes());
    }
    out.extend(bytes.to_le_bytes());
    out.extend(offset.to_le_bytes());
    out.extend([0; 2]);
    out
}

/// A `.npy` file of format version 1 with this header and these elements.
pub fn npy(header: &str, elements: &[u8]) -> Vec<u8> {
    let mut out = b"\x93NUMPY\x01\0".to_vec();
    out.extend((header.len() as u16).to_le_bytes());
    out.extend(header.as_bytes());
    out.extend(elements);
    out
}

/// The header of an array as numpy writes it.
pub fn header(descr: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n")
}

/// A safetensors file with this header.
pub fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_bytes(), data].concat()
}

/// The entry of a tensor in the header of a safetensors file.
pub fn tensor(name: &str, dtype: &str, shape: &str, offsets: &str) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}"#)
}
