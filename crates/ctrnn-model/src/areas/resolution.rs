//! Resolution of areas into signs, time constants, masks, plasticities and delays.

use super::pairs::{MOST_PROJECTIONS, ends};
use super::rules;
use super::{Area, Projection, ReadOut, Sign, UnitGroup, is_name_of};
use crate::connectivity::{Matrix, Share, SparseBlock};
use crate::{CtrnnConfig, Dale, LearnedTimeConstants, ModelError, TimeConstants, Violation};

impl CtrnnConfig {
    /// Returns the same network with its areas and projections resolved, for a task with these names of inputs and outputs.
    /// A network without areas stays as it is, but for its numbers of inputs and outputs.
    ///
    /// ```
    /// use ctrnn_model::{Area, CtrnnConfig, Named, Projection};
    /// let area = |units| Area { units, ..Area::default() };
    /// let sparse = Projection { density: Some(0.2), ..Projection::default() };
    /// let config = CtrnnConfig {
    ///     areas: Named::from([("sensory", area(30)), ("motor", area(20))]),
    ///     projections: Named::from([("sensory -> motor", sparse.into())]),
    ///     ..CtrnnConfig::default()
    /// };
    /// let config = config.resolved(&["u".to_owned()], &["y".to_owned()])?;
    /// assert_eq!((config.n_units, config.unit_area(30)), (50, Some("motor")));
    /// # Ok::<(), ctrnn_model::ModelError>(())
    /// ```
    ///
    /// # Errors
    /// [`ModelError::Config`] with all violations of the rules of areas.
    pub fn resolved(mut self, inputs: &[String], outputs: &[String]) -> Result<Self, ModelError> {
        if !self.areas.is_empty() {
            self.n_units = self.units_of_areas();
        }
        let violations = self.violations_of_areas();
        if !violations.is_empty() {
            return Err(ModelError::Config(violations));
        }
        self.n_inputs = inputs.len();
        self.n_outputs = outputs.len();
        let network = self.with_areas();
        match network.violations_of_channels(inputs, outputs) {
            violations if violations.is_empty() => Ok(network.with_channels(inputs, outputs)),
            violations => Err(ModelError::Config(violations)),
        }
    }

    /// Returns the violations of the rules about areas and projections that need nothing of the task.
    pub fn violations_of_areas(&self) -> Vec<Violation> {
        rules::all(self)
    }

    /// Returns the violations of the rules about the inputs and outputs of areas.
    pub fn violations_of_channels(&self, inputs: &[String], outputs: &[String]) -> Vec<Violation> {
        rules::of_channels(self, inputs, outputs)
    }

    /// Returns the same network with everything that follows from its valid areas and projections alone: groups of units,
    /// signs, time constants, and the connections between units.
    #[must_use]
    pub fn with_areas(mut self) -> Self {
        if self.areas.is_empty() {
            return self;
        }
        self.groups = self.groups_of_table();
        if self.is_under_dale() {
            self.dale.get_or_insert_with(Dale::default);
            let sign = |group: &UnitGroup| group.sign.map_or(1.0, Sign::value);
            self.connectivity.signs = Some(self.of_groups(sign));
        }
        self.tau_ms = self.tau_of_groups();
        self.connect_areas();
        self
    }

    /// Returns the same network with inputs and outputs connected as its areas, which must be resolved, say.
    #[must_use]
    pub fn with_channels(mut self, inputs: &[String], outputs: &[String]) -> Self {
        if self.groups.is_empty() {
            return self;
        }
        let n = self.n_units;
        let areas: Vec<(&Area, std::ops::Range<usize>)> = self
            .areas
            .iter()
            .filter_map(|(name, area)| Some((area, self.area_units(name)?)))
            .collect();
        let mut input = vec![0.0; n * inputs.len()];
        let mut output = vec![0.0; outputs.len() * n];
        for (area, units) in areas {
            for channel in area.channels_received(inputs) {
                units
                    .clone()
                    .for_each(|unit| input[unit * inputs.len() + channel] = 1.0);
            }
            for channel in self.channels_driven(area, outputs) {
                output[channel * n..][units.clone()].fill(1.0);
            }
        }
        let of_units = self.unit_plasticity().into_iter().flatten();
        let of_inputs = of_units.flat_map(|factor| vec![factor; inputs.len()]);
        self.connectivity.input.plasticity = unless_full(of_inputs.collect());
        for (matrix, mask) in [(Matrix::Input, input), (Matrix::Output, output)] {
            self.connectivity.of_mut(matrix).mask = unless_full(mask);
        }
        self
    }

    /// Returns the time constants, with those of areas and cell types in their places.
    fn tau_of_groups(&self) -> TimeConstants {
        if self.groups.iter().all(|group| group.tau_ms.is_none()) {
            return self.tau_ms.clone();
        }
        let given = |tau: &TimeConstants| {
            let base = |group: &UnitGroup| tau.shared_by(group.sign.map_or(0.0, Sign::value));
            let own = |group: &UnitGroup| group.tau_ms.or(base(group)).unwrap_or(f64::NAN);
            TimeConstants::PerUnit(self.of_groups(own))
        };
        match &self.tau_ms {
            TimeConstants::Learned(learned) => TimeConstants::Learned(LearnedTimeConstants {
                initial: Box::new(given(&learned.initial)),
                ..learned.clone()
            }),
            tau => given(tau),
        }
    }

    /// Sets mask, sparse blocks, plasticity and delays of the recurrent connections.
    fn connect_areas(&mut self) {
        let n = self.n_units;
        let mut mask = vec![0.0; n * n];
        let mut sparse = Vec::new();
        let (mut plasticity, mut delay_ms) = (vec![1.0; n * n], vec![0.0; n * n]);
        for (number, pair) in (0..).zip(self.pairs_of_areas()) {
            let of_area = if self.is_frozen_pair(pair.from, pair.to) {
                0.0
            } else {
                self.plasticity_of_area(pair.to)
            };
            for (place, projection) in (0..).zip(&pair.projections) {
                let [post, pre] = ends(&self.groups, &pair, projection);
                let own = post.iter().flat_map(|i| pre.iter().map(move |j| i * n + j));
                for k in own.filter(|_| projection.density != Some(0.0)) {
                    mask[k] = 1.0;
                    plasticity[k] = of_area * projection.plasticity.unwrap_or(1.0);
                    delay_ms[k] = projection.delay_ms.unwrap_or(0.0);
                }
                sparse.extend(projection.share().map(|share| SparseBlock {
                    number: number * MOST_PROJECTIONS as u64 + place,
                    post,
                    pre,
                    share,
                }));
            }
        }
        let recurrent = &mut self.connectivity.recurrent;
        recurrent.mask = unless_full(mask);
        recurrent.sparse = sparse;
        recurrent.plasticity = unless_full(plasticity);
        self.connectivity.delay_ms = delay_ms.iter().any(|&d| d > 0.0).then_some(delay_ms);
    }

    /// Returns the names of the inputs that an area receives and of the outputs that it drives; none for an unknown area.
    pub fn channels_of<'a>(
        &self,
        area: &str,
        inputs: &'a [String],
        outputs: &'a [String],
    ) -> [Vec<&'a str>; 2] {
        let Some(area) = self.areas.get(area) else {
            return Default::default();
        };
        let received = area.channels_received(inputs).into_iter();
        let driven = self.channels_driven(area, outputs).into_iter();
        [
            received.map(|k| inputs[k].as_str()).collect(),
            driven.map(|k| outputs[k].as_str()).collect(),
        ]
    }

    /// Returns the outputs that read the units of an area.
    pub(crate) fn channels_driven(&self, area: &Area, outputs: &[String]) -> Vec<usize> {
        let is_said = self.areas.iter().any(|(_, area)| area.read_out.is_some());
        match &area.read_out {
            None if is_said => Vec::new(),
            None | Some(ReadOut::All(true)) => (0..outputs.len()).collect(),
            Some(ReadOut::All(false)) => Vec::new(),
            Some(ReadOut::Of(names)) => channels(names, outputs),
        }
    }
}

impl Area {
    /// Returns the inputs that the units receive.
    pub(crate) fn channels_received(&self, inputs: &[String]) -> Vec<usize> {
        match &self.inputs {
            None => (0..inputs.len()).collect(),
            Some(names) => channels(names, inputs),
        }
    }
}

impl Projection {
    /// Returns the number of connections that exist, unless all or none do.
    pub(super) fn share(&self) -> Option<Share> {
        let density = self
            .density
            .filter(|&density| density > 0.0 && density < 1.0);
        density
            .map(Share::Density)
            .or(self.in_degree.map(Share::InDegree))
            .or(self.out_degree.map(Share::OutDegree))
    }
}

/// Returns the places of the channels that some names, which may have `*`, mean.
fn channels(names: &[String], all: &[String]) -> Vec<usize> {
    let is_called = |channel: &String| names.iter().any(|name| is_name_of(name, channel));
    (0..all.len()).filter(|&k| is_called(&all[k])).collect()
}

/// Returns the values unless all of them are 1.
pub(super) fn unless_full(values: Vec<f64>) -> Option<Vec<f64>> {
    values.iter().any(|&x| x != 1.0).then_some(values)
}
