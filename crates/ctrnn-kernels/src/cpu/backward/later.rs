//! Gradients of later drives, which delayed connections carry back to the rates.

use crate::cpu::bands::Past;
use crate::cpu::rows::add;
use crate::delays::Delays;
use crate::simd::Element;
use crate::workspace::{Scratch, Workspace};

/// Gradients with respect to the drives of a tile at the time steps that delays reach.
pub(super) struct LaterDrives<'a, E: Element> {
    delays: &'a Delays,
    steps: usize,
    drives: Past<'a, E>,
    /// For each delay d, the sum over the time steps 0 to d, all of which take the rates of the initial state.
    of_start: Vec<Scratch<'a, E>>,
}

impl<'a, E: Element> LaterDrives<'a, E> {
    /// Returns zeros for a sweep of `steps`, `len` numbers for each time step.
    pub(super) fn new(
        workspace: &'a Workspace<E>,
        delays: &'a Delays,
        steps: usize,
        len: usize,
    ) -> Self {
        let zeros = |_: &usize| workspace.zeros(len);
        Self {
            delays,
            steps,
            drives: Past::new(workspace, delays, steps, len),
            of_start: delays.steps().iter().map(zeros).collect(),
        }
    }

    /// Keeps the gradients of time step `t`; time steps come from the last to the first.
    pub(super) fn set(&mut self, t: usize, drive: &[E]) {
        self.drives.set(t, drive);
        for (&delay, sum) in self.delays.steps().iter().zip(&mut self.of_start) {
            if t <= delay {
                add(sum, drive);
            }
        }
    }

    /// Returns the gradients of the time step that takes the rates before time step `t` by the delay in this place; zeros after the
    /// last time step.
    pub(super) fn at(&self, t: usize, delay: usize) -> &[E] {
        self.drives
            .at(t + self.delays.steps()[delay].min(self.steps))
    }

    /// Returns the sum over the time steps that take the rates of the initial state by the delay in this place.
    pub(super) fn of_start(&self, delay: usize) -> &[E] {
        &self.of_start[delay]
    }
}
