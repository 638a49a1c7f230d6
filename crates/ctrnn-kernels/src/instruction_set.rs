//! The instruction set that the kernels use, chosen when the program runs.

use std::fmt;
use std::sync::OnceLock;

use thiserror::Error;

/// Environment variable that overrides the choice.
const VARIABLE: &str = "CTRNN_KERNEL";

/// An instruction set that the kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KernelPath {
    /// x86-64 with AVX-512 F, BW, DQ and VL: 16 numbers of 32 bits at once.
    Avx512,
    /// x86-64 with AVX2 and FMA: 8 numbers at once.
    Avx2,
    /// 64-bit ARM: 4 numbers at once.
    Neon,
    /// Plain Rust, for every machine; no fused multiply-add.
    Portable,
}

impl KernelPath {
    /// Every path, the fastest first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// Returns the name, as used in the environment variable and in run manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        }
    }

    /// Returns true if this CPU has the instructions.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && Self::Avx2.is_available()
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            Self::Portable => true,
            #[allow(unreachable_patterns, reason = "the paths of other architectures")]
            _ => false,
        }
    }

    /// Returns the paths of this CPU, the fastest first; the last is always [`KernelPath::Portable`].
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|path| path.is_available())
    }

    /// Returns the fastest path of this CPU.
    pub fn detected() -> Self {
        Self::available().next().unwrap_or(Self::Portable)
    }

    /// Returns the path to use: the one that the environment variable `CTRNN_KERNEL` names, else the detected one. The variable
    /// is read once per process.
    ///
    /// # Errors
    /// If the variable names an unknown path, or one that this CPU lacks.
    pub fn selected() -> Result<Self, KernelPathError> {
        static SELECTED: OnceLock<Result<KernelPath, KernelPathError>> = OnceLock::new();
        SELECTED
            .get_or_init(|| match std::env::var_os(VARIABLE) {
                None => Ok(Self::detected()),
                Some(name) => Self::from_name(&name.to_string_lossy()),
            })
            .clone()
    }

    /// Returns the path called `name`.
    ///
    /// # Errors
    /// If there is no such path, or this CPU lacks its instructions.
    pub fn from_name(name: &str) -> Result<Self, KernelPathError> {
        let path = Self::ALL
            .into_iter()
            .find(|path| path.name() == name)
            .ok_or_else(|| KernelPathError::Unknown(name.to_owned()))?;
        if path.is_available() {
            Ok(path)
        } else {
            Err(KernelPathError::Unavailable(path))
        }
    }
}

impl fmt::Display for KernelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Reason why a kernel path cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum KernelPathError {
    /// The name is not one of [`KernelPath::ALL`].
    #[error("kernel path \"{0}\" does not exist; CTRNN_KERNEL is avx512, avx2, neon or portable")]
    Unknown(String),
    /// The CPU lacks the instructions.
    #[error("this CPU has no {0} instructions; unset CTRNN_KERNEL to use what it has")]
    Unavailable(KernelPath),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_their_paths() {
        for path in KernelPath::available() {
            assert_eq!(KernelPath::from_name(path.name()), Ok(path));
        }
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        let error = KernelPath::from_name("sse9").unwrap_err();
        assert_eq!(error, KernelPathError::Unknown("sse9".to_owned()));
    }

    #[test]
    fn the_instructions_of_another_architecture_are_an_error() {
        let foreign = if cfg!(target_arch = "aarch64") {
            KernelPath::Avx2
        } else {
            KernelPath::Neon
        };
        let error = KernelPath::from_name(foreign.name()).unwrap_err();
        assert_eq!(error, KernelPathError::Unavailable(foreign));
    }
}
