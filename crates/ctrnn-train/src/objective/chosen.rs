//! Choices of the terms of an objective.

/// A choice of the terms of an objective, which are numbered in the order of their names: 0 is the loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen(Vec<bool>);

impl Chosen {
    /// Creates a choice of `n_terms` terms, of the numbers for which a function is true.
    pub fn new(n_terms: usize, is_chosen: impl Fn(usize) -> bool) -> Self {
        Self((0..n_terms).map(is_chosen).collect())
    }

    /// Returns true if the term of a number is chosen.
    pub fn has(&self, number: usize) -> bool {
        self.0[number]
    }

    /// Returns true if no term is chosen.
    pub fn is_empty(&self) -> bool {
        !self.0.contains(&true)
    }
}
