//! Vectors of numbers, one file per instruction set, and the choice among them at run time.
//!
//! This folder holds the crate's `unsafe` code for CPUs; launches of kernels on a GPU (`gpu`) have their own. Two rules keep it sound:
//!
//! * values of a vector type are made only below [`Vectors::dispatch`], which runs a [`Job`] inside a function compiled
//!   for an instruction set after the CPU was seen to have it ([`KernelPath::is_available`]);
//! * raw pointers appear only in the inner loops of `product.rs`, whose callers compare every extent with the length of
//!   its slice first.
#![allow(
    unsafe_code,
    reason = "vector instructions and the unchecked inner loops of the products"
)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod normals_avx2;
#[cfg(target_arch = "x86_64")]
mod normals_avx512;
mod portable;
mod product;
mod vector;

pub(crate) use product::{Accumulate, AccumulatePart, Block, Packed, Product, Term, dots, padded};
pub use vector::{Element, Job, Simd};
pub(crate) use vector::{GROUP, NORMALS, each_vector, groups, groups_mut};

use crate::instruction_set::KernelPath;
use vector::Vectors;

macro_rules! dispatch {
    ($elem:ty, $avx512:ident, $avx2:ident, $neon:ident) => {
        impl Vectors for $elem {
            #[inline]
            fn dispatch<J: Job<Self>>(path: KernelPath, job: J) -> J::Output {
                assert!(path.is_available(), "this CPU has no {path} instructions");
                match path {
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: the assertion above checked the CPU's features.
                    KernelPath::Avx512 => unsafe { avx512::$avx512(job) },
                    #[cfg(target_arch = "x86_64")]
                    // SAFETY: as above.
                    KernelPath::Avx2 => unsafe { avx2::$avx2(job) },
                    #[cfg(target_arch = "aarch64")]
                    // SAFETY: as above.
                    KernelPath::Neon => unsafe { neon::$neon(job) },
                    _ => job.run::<portable::Array<Self>>(),
                }
            }
        }
    };
}
dispatch!(f32, run_f32, run_f32, run_f32);
dispatch!(f64, run_f64, run_f64, run_f64);
