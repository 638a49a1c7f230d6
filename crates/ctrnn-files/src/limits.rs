//! Limits on untrusted files, checked before memory is allocated.

use crate::error::FormatError;

/// Maximum number of arrays in one file.
pub const MAX_ARRAYS: usize = 1024;
/// Maximum length of a file's header: 4 MiB.
pub const MAX_HEADER_BYTES: u64 = 4 << 20;
/// Maximum number of dimensions of an array, as in numpy before version 2.
pub const MAX_DIMENSIONS: usize = 32;
/// Maximum number of elements of an array; a size of 0 counts as 1, so that empty arrays have modest sizes too.
pub const MAX_ELEMENTS: u64 = 1 << 32;
/// Maximum length of an array's name in bytes.
pub const MAX_NAME_BYTES: usize = 200;

/// Returns the most bytes that the arrays of a compressed file may take: 100 times its length, but at least 64 MiB.
pub fn max_content_bytes(file_bytes: u64) -> u64 {
    file_bytes.saturating_mul(100).max(64 << 20)
}

/// Refuses names that no array written by this program has.
pub(crate) fn check_name(name: &str) -> Result<(), FormatError> {
    let is_plain = (1..=MAX_NAME_BYTES).contains(&name.len())
        && !name.starts_with('.')
        && !name.contains(|c: char| c.is_control() || c == '/' || c == '\\');
    if is_plain {
        Ok(())
    } else {
        Err(FormatError::Name {
            name: name.chars().take(MAX_NAME_BYTES).collect(),
        })
    }
}

/// Refuses more arrays than [`MAX_ARRAYS`].
pub(crate) fn check_count(found: u64) -> Result<(), FormatError> {
    let limit = MAX_ARRAYS as u64;
    if found > limit {
        Err(FormatError::TooManyArrays { found, limit })
    } else {
        Ok(())
    }
}

/// Converts a shape read from a file to `usize`, and returns it with its number of elements.
pub(crate) fn check_shape(name: &str, shape: &[u64]) -> Result<(Vec<usize>, usize), FormatError> {
    let refuse = || FormatError::Shape {
        name: name.to_owned(),
        shape: shape.iter().take(MAX_DIMENSIONS + 1).copied().collect(),
    };
    let volume = shape
        .iter()
        .try_fold(1_u64, |volume, &size| volume.checked_mul(size.max(1)));
    if shape.len() > MAX_DIMENSIONS || volume.is_none_or(|volume| volume > MAX_ELEMENTS) {
        return Err(refuse());
    }
    let sizes = shape
        .iter()
        .map(|&size| usize::try_from(size))
        .collect::<Result<Vec<_>, _>>();
    let sizes = sizes.map_err(|_| refuse())?;
    let elements = sizes.iter().product();
    Ok((sizes, elements))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_refused() {
        for odd in [
            "",
            ".hidden",
            "../weights",
            "a/b",
            "a\\b",
            "a\nb",
            "a\0",
            &"x".repeat(201),
        ] {
            assert!(check_name(odd).is_err(), "{odd:?}");
        }
        for plain in [
            "inputs",
            "recurrent.weight_raw",
            "cond_coh",
            "layers.0.tau_ms",
            "τ",
            "a b",
        ] {
            assert_eq!(check_name(plain), Ok(()), "{plain:?}");
        }
    }

    #[test]
    fn shapes_beyond_the_limits_are_refused() {
        assert_eq!(check_shape("x", &[]).unwrap(), (vec![], 1));
        assert_eq!(check_shape("x", &[2, 0, 3]).unwrap(), (vec![2, 0, 3], 0));
        assert_eq!(check_shape("x", &[1 << 16, 1 << 16]).unwrap().1, 1 << 32);
        assert!(check_shape("x", &[1 << 16, (1 << 16) + 1]).is_err());
        assert!(
            check_shape("x", &[1 << 63, 2]).is_err(),
            "the product overflows"
        );
        assert!(
            check_shape("x", &[0, 1 << 40]).is_err(),
            "empty, but with a size nobody can loop over"
        );
        assert!(check_shape("x", &[1; 32]).is_ok());
        assert!(check_shape("x", &[1; 33]).is_err());
    }

    #[test]
    fn too_many_arrays_are_refused() {
        assert_eq!(check_count(1024), Ok(()));
        assert_eq!(
            check_count(1025),
            Err(FormatError::TooManyArrays {
                found: 1025,
                limit: 1024
            })
        );
    }
}
