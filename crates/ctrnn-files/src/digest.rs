//! Digests: XXH3 to detect damage (checkpoint manifests), BLAKE3 to identify content (configurations, data files).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use xxhash_rust::xxh3::Xxh3;

use crate::error::FileError;
use crate::regular_file;

/// Computes XXH3 (64 bits) as 16 hexadecimal digits. Detects damage, not forgery.
pub fn xxh3(bytes: &[u8]) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(bytes))
}

/// Computes the XXH3 of a file's content, in constant memory.
///
/// # Errors
/// If the file is missing, not a regular file, or cannot be read.
pub fn xxh3_file(path: &Path) -> Result<String, FileError> {
    let mut hasher = Xxh3::new();
    for_each_block(path, |block| hasher.update(block))?;
    Ok(format!("{:016x}", hasher.digest()))
}

/// Computes BLAKE3 (256 bits) as 64 hexadecimal digits.
pub fn blake3(bytes: &[u8]) -> String {
    ::blake3::hash(bytes).to_hex().to_string()
}

/// Computes the BLAKE3 of a file's content, in constant memory.
///
/// # Errors
/// If the file is missing, not a regular file, or cannot be read.
pub fn blake3_file(path: &Path) -> Result<String, FileError> {
    let mut hasher = ::blake3::Hasher::new();
    for_each_block(path, |block| {
        hasher.update(block);
    })?;
    Ok(hasher.finalize().to_hex().to_string())
}

fn for_each_block(path: &Path, mut visit: impl FnMut(&[u8])) -> Result<(), FileError> {
    let mut file: File = regular_file::open(path)?.0;
    let mut block = vec![0; 1 << 16];
    loop {
        match file.read(&mut block).map_err(FileError::io("read", path))? {
            0 => return Ok(()),
            n => visit(&block[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_the_published_ones() {
        // XXH3-64 with seed 0, and BLAKE3, of the empty input, as their authors publish them.
        assert_eq!(xxh3(b""), "2d06800538d394c2");
        assert_eq!(
            blake3(b""),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
    }

    #[test]
    fn a_file_has_the_digest_of_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        let bytes: Vec<u8> = (0..200_000_u32).map(|k| (k % 251) as u8).collect(); // several blocks
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(xxh3_file(&path).unwrap(), xxh3(&bytes));
        assert_eq!(blake3_file(&path).unwrap(), blake3(&bytes));
    }
}
