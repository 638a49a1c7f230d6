//! Counts of kernel launches. Launches cost host time; running a time loop in a single launch is the purpose of this module.

use std::cell::Cell;

/// Numbers of launches of kernels of this crate, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Launches {
    /// Forward time loops: one per sweep, or one per time step where a network is too large for that.
    pub forward: usize,
    /// Backward time loops.
    pub backward: usize,
    /// All other kernels.
    pub other: usize,
}

thread_local! {
    static LAUNCHES: Cell<Launches> = const { Cell::new(Launches { forward: 0, backward: 0, other: 0 }) };
}

/// Returns the numbers of launches of this thread so far.
#[must_use]
pub fn launches() -> Launches {
    LAUNCHES.get()
}

/// Counts a launch.
pub(super) fn count(kind: impl FnOnce(&mut Launches) -> &mut usize) {
    let mut launches = LAUNCHES.get();
    *kind(&mut launches) += 1;
    LAUNCHES.set(launches);
}
