//! Pairs of areas, and the projections between them.

use std::ops::Range;

use super::{Projection, Projections, UnitGroup};
use crate::CtrnnConfig;

/// Largest number of projections between two areas.
pub(super) const MOST_PROJECTIONS: usize = 1 << 16;

/// The key of a projection, `"FROM -> TO"`; either side may be `*`, all areas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direction<'a> {
    /// Area of the presynaptic units.
    pub from: &'a str,
    /// Area of the postsynaptic units.
    pub to: &'a str,
}

impl<'a> Direction<'a> {
    /// All areas.
    pub const ANY: &'static str = "*";

    /// Parses a key.
    pub fn parse(key: &'a str) -> Option<Self> {
        let (from, to) = key.split_once("->")?;
        let (from, to) = (from.trim(), to.trim());
        let is_whole = !from.is_empty() && !to.is_empty() && !to.contains("->");
        is_whole.then_some(Self { from, to })
    }

    /// Returns the number of sides that name one area, if the key holds for this pair.
    pub(crate) fn fit(self, from: &str, to: &str) -> Option<usize> {
        let one_side = |own: &str, asked: &str| match own {
            Self::ANY => Some(0),
            name => (name == asked).then_some(1),
        };
        Some(one_side(self.from, from)? + one_side(self.to, to)?)
    }
}

/// Two areas, or twice the same, with the projections from the one to the other.
#[derive(Clone, Debug, PartialEq)]
pub struct PairOfAreas<'a> {
    /// Area of the presynaptic units.
    pub from: &'a str,
    /// Area of the postsynaptic units.
    pub to: &'a str,
    /// Keys of the table that hold for the pair and name the most of its areas; more than one is an error.
    pub keys: Vec<&'a str>,
    /// Projections of the first of the keys; all connections if there is no key, within an area; none between areas.
    pub projections: Vec<Projection>,
}

impl CtrnnConfig {
    /// Returns all pairs of areas, row after row of the recurrent matrix.
    pub fn pairs_of_areas(&self) -> Vec<PairOfAreas<'_>> {
        let post = self.areas.names();
        let pairs = post.flat_map(|to| self.areas.names().map(move |from| (from, to)));
        pairs.map(|(from, to)| self.pair(from, to)).collect()
    }

    /// Returns the postsynaptic and the presynaptic units of a direction whose areas exist.
    pub fn units_of(&self, direction: Direction) -> Option<[Range<usize>; 2]> {
        let units = |side: &str| match side {
            Direction::ANY => Some(0..self.n_units),
            area => self.area_units(area),
        };
        Some([units(direction.to)?, units(direction.from)?])
    }

    fn pair<'a>(&'a self, from: &'a str, to: &'a str) -> PairOfAreas<'a> {
        let fitting: Vec<(usize, &str, &Projections)> = self
            .projections
            .iter()
            .filter_map(|(key, own)| Some((Direction::parse(key)?.fit(from, to)?, key, own)))
            .collect();
        let best = fitting.iter().map(|(fit, ..)| *fit).max();
        let mut best = fitting
            .iter()
            .filter(|(fit, ..)| Some(*fit) == best)
            .peekable();
        let projections = match best.peek() {
            Some((_, _, own)) => own.all().to_vec(),
            None if from == to => vec![Projection::default()],
            None => Vec::new(),
        };
        PairOfAreas {
            from,
            to,
            keys: best.map(|(_, key, _)| *key).collect(),
            projections,
        }
    }
}

/// Returns the units at the two ends of a projection between two areas: postsynaptic and presynaptic ones.
pub(super) fn ends(
    groups: &[UnitGroup],
    pair: &PairOfAreas,
    projection: &Projection,
) -> [Vec<usize>; 2] {
    let units = |area: &str, cell_type: Option<&str>| {
        let is_end = |group: &&UnitGroup| {
            group.area == area && cell_type.is_none_or(|word| group.is_of_type(word))
        };
        let own = groups.iter().filter(is_end);
        own.flat_map(|group| group.units.clone()).collect()
    };
    [
        units(pair.to, projection.to.as_deref()),
        units(pair.from, projection.from.as_deref()),
    ]
}
