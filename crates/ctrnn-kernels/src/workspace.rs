//! Memory that is reused from one sweep to the next.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use crate::instruction_set::KernelPath;

/// Largest number of idle buffers; beyond it the oldest is freed.
const MAX_IDLE: usize = 256;
/// Alignment of vectors in bytes: the longest vector and a cache line.
const ALIGNMENT: usize = 64;

/// Instruction set of a sequence of sweeps, and the memory they reuse: after the first step of a shape, no sweep allocates memory
/// from the operating system.
///
/// Threads may share it. Buffers whose content crosses sweeps (histories, outputs) can live here as well: [`Workspace::take`] one,
/// and [`Workspace::give`] it back when the step is over.
#[derive(Debug)]
pub struct Workspace<E> {
    path: KernelPath,
    idle: Mutex<Vec<Vec<E>>>,
}

impl<E: Copy + Default> Workspace<E> {
    /// Creates an empty workspace for sweeps on `path`.
    ///
    /// # Panics
    /// If this CPU lacks the instructions of `path`.
    #[must_use]
    pub fn new(path: KernelPath) -> Self {
        assert!(path.is_available(), "this CPU has no {path} instructions");
        Self {
            path,
            idle: Mutex::default(),
        }
    }

    /// Returns the instruction set.
    #[must_use]
    pub const fn path(&self) -> KernelPath {
        self.path
    }

    /// Returns a buffer of `len` numbers whose content is arbitrary, though initialised.
    #[must_use]
    pub fn take(&self, len: usize) -> Vec<E> {
        let mut buffer = self.fitting(len).unwrap_or_default();
        buffer.resize(len, E::default());
        buffer
    }

    /// Puts a buffer back for later use.
    pub fn give(&self, buffer: Vec<E>) {
        if buffer.capacity() == 0 {
            return;
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() == MAX_IDLE {
            idle.remove(0);
        }
        idle.push(buffer);
    }

    /// Returns the smallest idle buffer that holds `len` numbers and at most twice as many.
    fn fitting(&self, len: usize) -> Option<Vec<E>> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, _) = idle
            .iter()
            .enumerate()
            // A much larger buffer stays for larger requests.
            .filter(|(_, buffer)| (len..=2 * len).contains(&buffer.capacity()))
            .min_by_key(|(_, buffer)| buffer.capacity())?;
        Some(idle.remove(at))
    }

    /// Returns an aligned buffer of arbitrary content, which goes back to the workspace when dropped.
    pub(crate) fn scratch(&self, len: usize) -> Scratch<'_, E> {
        if len == 0 {
            return Scratch {
                home: self,
                buffer: Vec::new(),
                range: 0..0,
            };
        }
        let buffer = self.take(len + ALIGNMENT / size_of::<E>());
        let start = buffer.as_ptr().align_offset(ALIGNMENT);
        Scratch {
            home: self,
            buffer,
            range: start..start + len,
        }
    }

    /// Returns an aligned buffer of zeros, which goes back to the workspace when dropped.
    pub(crate) fn zeros(&self, len: usize) -> Scratch<'_, E> {
        let mut scratch = self.scratch(len);
        scratch.fill(E::default());
        scratch
    }
}

/// Aligned buffer on loan from a [`Workspace`].
pub(crate) struct Scratch<'a, E: Copy + Default> {
    home: &'a Workspace<E>,
    buffer: Vec<E>,
    range: std::ops::Range<usize>,
}

impl<E: Copy + Default> Deref for Scratch<'_, E> {
    type Target = [E];
    #[inline(always)]
    fn deref(&self) -> &[E] {
        &self.buffer[self.range.start..self.range.end]
    }
}

impl<E: Copy + Default> DerefMut for Scratch<'_, E> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [E] {
        &mut self.buffer[self.range.start..self.range.end]
    }
}

impl<E: Copy + Default> Drop for Scratch<'_, E> {
    fn drop(&mut self) {
        self.home.give(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_returned_buffer_is_taken_again() {
        let workspace = Workspace::<f32>::new(KernelPath::Portable);
        let buffer = workspace.take(1000);
        let place = buffer.as_ptr();
        workspace.give(buffer);
        let again = workspace.take(900);
        assert_eq!(again.as_ptr(), place);
    }

    #[test]
    fn a_much_larger_buffer_stays_for_larger_requests() {
        let workspace = Workspace::<f32>::new(KernelPath::Portable);
        workspace.give(Vec::with_capacity(1000));
        assert!(workspace.take(10).capacity() < 1000);
    }

    #[test]
    fn scratch_is_aligned_and_comes_back() {
        let workspace = Workspace::<f64>::new(KernelPath::Portable);
        let scratch = workspace.zeros(33);
        assert_eq!(scratch.as_ptr() as usize % ALIGNMENT, 0);
        assert_eq!(*scratch, [0.0; 33]);
        drop(scratch);
        assert_eq!(workspace.idle.lock().unwrap().len(), 1);
    }
}
