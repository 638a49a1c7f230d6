//! Parts of a network.

use std::ops::Range;

/// A part of a network on which a penalty acts.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// The rates of these units.
    Units(Range<usize>),
    /// The recurrent weights onto the first units from the second ones.
    Weights([Range<usize>; 2]),
}
