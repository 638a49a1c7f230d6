//! Formats that users mistake for npz, recognised by their first bytes so that the error can name them.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// A file format that is often used for arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Container {
    Empty,
    Matlab,
    Matlab73,
    Hdf5,
    Npy,
    Pickle,
    Torch,
    Safetensors,
    Parquet,
    Compressed,
    Zip,
    Text,
}

/// Offsets at which the signature of an HDF5 file may be: a block for the user may come first, as in files of MATLAB 7.3.
const HDF5_OFFSETS: [usize; 4] = [0, 512, 1024, 2048];
const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";
/// The number 0x1950a86a20f9469cfc6c as a pickle of protocol 2: `torch.save` before version 1.6.
const OLD_TORCH: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
/// Enough for every signature, the last of which may be at byte 2048, and for a sample of text.
const HEAD_BYTES: u64 = 4096;

impl Container {
    /// Guesses the format of a file that cannot be read as an npz archive from its first bytes.
    pub(crate) fn from_source(source: &mut (impl Read + Seek)) -> Option<Self> {
        let mut head = Vec::new();
        source.seek(SeekFrom::Start(0)).ok()?;
        source.take(HEAD_BYTES).read_to_end(&mut head).ok()?;
        Self::from_head(&head)
    }

    fn from_head(head: &[u8]) -> Option<Self> {
        let is_hdf5 = |&at: &usize| head.get(at..).is_some_and(|rest| rest.starts_with(HDF5));
        let begins: [(&[u8], Self); 9] = [
            (b"MATLAB 7.3", Self::Matlab73),
            (b"MATLAB 5.0", Self::Matlab),
            (b"\x93NUMPY", Self::Npy),
            (OLD_TORCH, Self::Torch),
            (b"PAR1", Self::Parquet),
            (b"\x1f\x8b", Self::Compressed),
            (b"BZh", Self::Compressed),
            (b"\xfd7zXZ\0", Self::Compressed),
            (b"\x28\xb5\x2f\xfd", Self::Compressed), // zstd
        ];
        let known = begins.iter().find(|(magic, _)| head.starts_with(magic));
        match head {
            [] => Some(Self::Empty),
            _ if known.is_some() => known.map(|(_, container)| *container),
            _ if HDF5_OFFSETS.iter().any(is_hdf5) => Some(Self::Hdf5),
            [0x80, 2..=5, ..] => Some(Self::Pickle),
            [_, _, _, _, _, _, _, 0, b'{', ..] => Some(Self::Safetensors),
            _ => is_text(head).then_some(Self::Text),
        }
    }

    /// Guesses the format from the extension of a file's name.
    pub(crate) fn from_extension(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_lowercase();
        match &extension[..] {
            "mat" => Some(Self::Matlab),
            "h5" | "hdf5" => Some(Self::Hdf5),
            "npy" => Some(Self::Npy),
            "pkl" | "pickle" => Some(Self::Pickle),
            "pt" | "pth" => Some(Self::Torch),
            "csv" | "tsv" | "txt" | "json" => Some(Self::Text),
            _ => None,
        }
    }

    /// Guesses the format of a zip archive without arrays from the names of its entries.
    pub(crate) fn from_entries<'a>(mut names: impl Iterator<Item = &'a str>) -> Self {
        if names.any(|name| name == "data.pkl" || name.ends_with("/data.pkl")) {
            Self::Torch
        } else {
            Self::Zip
        }
    }

    /// Returns the name of the format, with its article.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "an empty file",
            Self::Matlab => "a MATLAB file (version 5 to 7)",
            Self::Matlab73 => "a MATLAB file of version 7.3 (HDF5)",
            Self::Hdf5 => "an HDF5 file",
            Self::Npy => "a single array (.npy)",
            Self::Pickle => "a Python pickle",
            Self::Torch => "a file of torch.save",
            Self::Safetensors => "a safetensors file",
            Self::Parquet => "a Parquet table",
            Self::Compressed => "a compressed file",
            Self::Zip => "a zip archive without .npy arrays",
            Self::Text => "text, such as CSV or JSON",
        }
    }

    /// Returns a line of Python (with `numpy as np`) or a shell command that converts the file to npz.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Empty => "copy the file again",
            Self::Matlab => {
                "np.savez(\"trials.npz\", **{k: v for k, v in scipy.io.loadmat(FILE).items() if k[0] != \"_\"})"
            }
            Self::Matlab73 => {
                "np.savez(\"trials.npz\", **{k: v[()].T for k, v in h5py.File(FILE).items() if k[0] != \"#\"})"
            }
            Self::Hdf5 => {
                "np.savez(\"trials.npz\", **{k: v[()] for k, v in h5py.File(FILE).items()})"
            }
            Self::Npy => "np.savez(\"trials.npz\", inputs=np.load(FILE), labels=...)",
            Self::Pickle => {
                "np.savez(\"trials.npz\", **pickle.load(open(FILE, \"rb\"))) if it is a dictionary of arrays of your own"
            }
            Self::Torch => {
                "np.savez(\"trials.npz\", **{k: v.numpy() for k, v in torch.load(FILE).items()})"
            }
            Self::Safetensors => "np.savez(\"trials.npz\", **safetensors.numpy.load_file(FILE))",
            Self::Parquet => {
                "np.savez(\"trials.npz\", inputs=pandas.read_parquet(FILE).to_numpy().reshape(n_trials, n_steps, n_inputs), labels=...)"
            }
            Self::Compressed => "unpack it first (gunzip, bunzip2, unxz, unzstd)",
            Self::Zip => "write it with np.savez(\"trials.npz\", inputs=..., labels=...)",
            Self::Text => {
                "np.savez(\"trials.npz\", inputs=np.loadtxt(FILE, delimiter=\",\", skiprows=1).reshape(n_trials, n_steps, n_inputs), labels=...)"
            }
        }
    }
}

/// Returns true if the bytes are printable UTF-8; the last character may be cut off.
fn is_text(head: &[u8]) -> bool {
    let text = match str::from_utf8(head) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && text.chars().all(|c| !c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_known_by_their_first_bytes() {
        let at_512 = [&[0; 512], HDF5].concat();
        let table: [(&[u8], Container); 14] = [
            (b"", Container::Empty),
            (b"MATLAB 5.0 MAT-file, Platform: GLNXA64", Container::Matlab),
            (
                b"MATLAB 7.3 MAT-file, Platform: GLNXA64",
                Container::Matlab73,
            ),
            (b"\x89HDF\r\n\x1a\n\0\0", Container::Hdf5),
            (&at_512, Container::Hdf5),
            (b"\x93NUMPY\x01\0", Container::Npy),
            (b"\x80\x04\x95\x10\0", Container::Pickle),
            (OLD_TORCH, Container::Torch),
            (b"\x40\0\0\0\0\0\0\0{\"a\":", Container::Safetensors),
            (b"\x1f\x8b\x08\0", Container::Compressed),
            (b"PAR1\x15\x04", Container::Parquet),
            (b"trial,time,u\n0,0,1.5\n", Container::Text),
            ("t\u{e9}".as_bytes(), Container::Text),
            (&"t\u{e9}".as_bytes()[..2], Container::Text),
        ];
        for (head, expected) in table {
            assert_eq!(Container::from_head(head), Some(expected), "{head:?}");
        }
        for unknown in [&b"PK\x03\x04\x2d\0"[..], b"\x01\x02\x03", b"abc\0def"] {
            assert_eq!(Container::from_head(unknown), None, "{unknown:?}");
        }
    }
}
