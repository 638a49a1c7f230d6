//! Counter-based random numbers: a draw is a function of its address, not of what was drawn before.
//!
//! The generator is [`philox`] (Philox4x32-10): 128 bits of counter and 64 bits of key give 128
//! random bits. The key selects a [`Stream`] of a seed ([`Key`]), the counter a
//! number within it. So results do not depend on the number of threads, on the order of work or on
//! vector width, and a run that is resumed has no generator state to restore.
//!
//! There are two ways to read a stream; any one stream is read in only one of them:
//!
//! * [`unit_normals`]: the noise of one unit at four consecutive time steps, for kernels;
//! * [`Rng`]: a sequence of draws that starts at a (trial, step) address, for weights and trials.
//!
//! The integers are the same on every device. Normals use IEEE operations and the polynomials of
//! [`normal`] alone, so they are the same to the bit on every CPU; a GPU that contracts or
//! approximates differs by about 1e-6.
//!
//! Not suitable for cryptography.
//!
//! ```
//! use ctrnn_random::{Key, Rng, Stream};
//!
//! let key = Key::new(42, Stream::Trials, 0);
//! let mut rng = Rng::new(key, 7, 0); // trial 7 of step 0
//! let coherence = *rng.choose(&[0.128, 0.256, 0.512]);
//! let mut noise = [0.0; 50];
//! rng.fill_normal(&mut noise);
//!
//! let mut again = Rng::new(key, 7, 0);
//! assert_eq!(coherence, *again.choose(&[0.128, 0.256, 0.512]));
//! assert_eq!(noise[0], again.normal());
//! ```

mod lanes;
pub mod normal;
mod philox;
mod rng;
mod stream;

pub use philox::{philox, philox_lanes};
pub use rng::Rng;
pub use stream::{Key, Stream, unit_normals, unit_normals_lanes};
