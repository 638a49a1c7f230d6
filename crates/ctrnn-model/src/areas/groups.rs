//! Groups of units: those of one area and one cell type.

use std::cmp::Reverse;
use std::ops::Range;

use burn::tensor::TensorData;

use super::{Area, CellType, Sign, UnitGroup};
use crate::{CtrnnConfig, Dale, Weights};

/// Name of the areas of the units in weight files.
pub const UNIT_AREA: &str = "unit.area";
/// Name of the cell types of the units in weight files.
pub const UNIT_TYPE: &str = "unit.type";

impl Area {
    /// Returns the parts of the area, excitatory ones first, each with its number of units, which may be 0.
    ///
    /// `fraction` is that of excitatory units in an area without types; it is absent without Dale's law.
    fn parts(&self, fraction: Option<f64>) -> Vec<(usize, AreaPart<'_>)> {
        let n = self.units as f64;
        if let Some(fraction) = fraction.filter(|_| self.types.is_empty()) {
            let excitatory = (self.excitatory_fraction.unwrap_or(fraction) * n).round() as usize;
            return vec![
                (excitatory, AreaPart::of_sign(Sign::Excitatory)),
                (
                    self.units.saturating_sub(excitatory),
                    AreaPart::of_sign(Sign::Inhibitory),
                ),
            ];
        }
        if self.types.is_empty() {
            return vec![(self.units, AreaPart::default())];
        }
        let mut types: Vec<(&str, &CellType)> = self.types.iter().collect();
        types.sort_by_key(|(_, own)| Reverse(own.sign.map_or(0, |sign| sign.value() as i8)));
        // The ends are rounded rather than the sizes, so that the sizes add up to the whole.
        let (mut fraction, mut first) = (0.0, 0);
        let size = |(_, own): (&str, &CellType)| {
            fraction += own.fraction;
            let end = (fraction * n).round() as usize;
            let units = end.saturating_sub(first);
            first = end;
            units
        };
        let sizes: Vec<usize> = types.iter().copied().map(size).collect();
        let parts = types.into_iter().map(|(name, own)| AreaPart {
            cell_type: Some(name),
            sign: own.sign,
            tau_ms: own.tau_ms,
        });
        sizes.into_iter().zip(parts).collect()
    }
}

/// Cell type of a part of an area.
#[derive(Clone, Copy, Default)]
struct AreaPart<'a> {
    cell_type: Option<&'a str>,
    sign: Option<Sign>,
    tau_ms: Option<f64>,
}

impl AreaPart<'_> {
    fn of_sign(sign: Sign) -> Self {
        let name = match sign {
            Sign::Excitatory => "e",
            Sign::Inhibitory => "i",
        };
        AreaPart {
            cell_type: Some(name),
            sign: Some(sign),
            tau_ms: None,
        }
    }
}

impl CtrnnConfig {
    /// Returns true if the units have signs: `model.dale`, or an area that has excitatory or inhibitory units.
    pub(super) fn is_under_dale(&self) -> bool {
        let has_signs = |area: &Area| {
            area.excitatory_fraction.is_some()
                || area.types.iter().any(|(_, own)| own.sign.is_some())
        };
        self.dale.is_some() || self.areas.iter().any(|(_, area)| has_signs(area))
    }

    /// Returns the groups of units that the table of areas describes, in the order of the units; none is empty.
    pub(super) fn groups_of_table(&self) -> Vec<UnitGroup> {
        let fraction = self.is_under_dale().then(|| {
            let given = self.dale.as_ref().and_then(|dale| dale.excitatory_fraction);
            given.unwrap_or(Dale::EXCITATORY_FRACTION)
        });
        let mut groups: Vec<UnitGroup> = Vec::new();
        for (name, area) in self.areas.iter() {
            for (size, part) in area.parts(fraction).into_iter().filter(|(n, _)| *n > 0) {
                let first = groups.last().map_or(0, |group| group.units.end);
                groups.push(UnitGroup {
                    area: name.to_owned(),
                    cell_type: part.cell_type.map(str::to_owned),
                    sign: part.sign,
                    tau_ms: part.tau_ms.or(area.tau_ms),
                    units: first..first + size,
                });
            }
        }
        groups
    }

    /// Returns the number of units of all areas.
    pub fn units_of_areas(&self) -> usize {
        self.areas
            .iter()
            .fold(0, |sum, (_, area)| area.units.saturating_add(sum))
    }

    /// Returns the units of an area.
    pub fn area_units(&self, area: &str) -> Option<Range<usize>> {
        let mut own = self.groups.iter().filter(|group| group.area == area);
        let first = own.next()?.units.clone();
        let last = own.next_back().map_or(first.end, |group| group.units.end);
        Some(first.start..last)
    }

    /// Returns the name of the area of a unit, if the network has areas.
    pub fn unit_area(&self, unit: usize) -> Option<&str> {
        let mut groups = self.groups.iter();
        let group = groups.find(|group| group.units.contains(&unit))?;
        Some(&group.area)
    }

    /// Returns the names of the cell types of all areas, in the order of the units.
    pub fn type_names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for name in self.groups.iter().filter_map(|g| g.cell_type.as_deref()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// Returns the numbers of the area and of the cell type of each unit, by their names in weight files: indices of the areas
    /// and of [`CtrnnConfig::type_names`], -1 without a type. Empty for a network without areas.
    pub(crate) fn unit_labels(&self) -> Weights {
        if self.groups.is_empty() {
            return Weights::new();
        }
        let types = self.type_names();
        let place = |place: Option<usize>| place.map_or(-1, |place| place as i64);
        let area = |group: &UnitGroup| place(self.areas.names().position(|a| a == group.area));
        let cell_type = |group: &UnitGroup| {
            let own = group.cell_type.as_deref();
            place(own.and_then(|own| types.iter().position(|name| *name == own)))
        };
        let labels = |label: &dyn Fn(&UnitGroup) -> i64| {
            TensorData::new(self.of_groups(label), [self.n_units])
        };
        let mut arrays = Weights::from([(UNIT_AREA.to_owned(), labels(&area))]);
        if !types.is_empty() {
            arrays.insert(UNIT_TYPE.to_owned(), labels(&cell_type));
        }
        arrays
    }

    /// Returns a value for each unit that depends on its group.
    pub(super) fn of_groups<T: Clone>(&self, value: impl Fn(&UnitGroup) -> T) -> Vec<T> {
        let groups = self.groups.iter();
        groups
            .flat_map(|group| vec![value(group); group.units.len()])
            .collect()
    }

    /// Returns the units of a cell type in all areas; `e` and `i` are those of a sign.
    pub fn type_units(&self, cell_type: &str) -> Vec<usize> {
        let own = self.groups.iter().filter(|g| g.is_of_type(cell_type));
        own.flat_map(|group| group.units.clone()).collect()
    }
}
