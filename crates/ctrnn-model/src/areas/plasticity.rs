//! Learning rates of areas: the factor of every update of the parameters that belong to their units.

use super::Direction;
use super::resolution::unless_full;
use crate::{CtrnnConfig, Parameter, Role};

impl CtrnnConfig {
    /// Returns true if `train.freeze` names an area; a name that is also that of a parameter means the parameter.
    pub fn is_frozen_area(&self, area: &str) -> bool {
        let is_meant = |word: &String| word == area && !Role::ALL.iter().any(|r| r.is_called(word));
        self.areas.get(area).is_some() && self.frozen.iter().any(is_meant)
    }

    /// Returns true if `train.freeze` names the projection between two areas.
    pub(super) fn is_frozen_pair(&self, from: &str, to: &str) -> bool {
        let mut directions = self.frozen.iter().filter_map(|word| Direction::parse(word));
        directions.any(|direction| direction.fit(from, to).is_some())
    }

    /// Returns the factor of the updates of the parameters of an area's units.
    pub(super) fn plasticity_of_area(&self, area: &str) -> f64 {
        if self.is_frozen_area(area) {
            return 0.0;
        }
        let own = self.areas.get(area).and_then(|area| area.plasticity);
        own.unwrap_or(1.0)
    }

    /// Returns the factor of every update of the parameters of each unit, from those of its area; `None`: all are 1.
    pub(super) fn unit_plasticity(&self) -> Option<Vec<f64>> {
        unless_full(self.of_groups(|group| self.plasticity_of_area(&group.area)))
    }

    /// Returns the factor of every update of each entry of a parameter that has entries for the units: biases, initial states and
    /// time constants. `None`: all are 1. Those of weights are in [`Synapses`](crate::Synapses).
    pub fn update_factors(&self, parameter: Parameter) -> Option<Vec<f64>> {
        let is_of_units = matches!(
            parameter.role,
            Role::RecurrentBias | Role::InitialState | Role::TimeConstants
        );
        if !is_of_units {
            return None;
        }
        let n = parameter.shape(self).iter().product();
        Some(
            self.unit_plasticity()?
                .into_iter()
                .cycle()
                .take(n)
                .collect(),
        )
    }

    /// Returns true if training can change no entry of a parameter: it is frozen, or all factors of its updates are 0.
    pub fn is_held(&self, parameter: Parameter) -> bool {
        let are_zero = |factors: &[f64]| factors.iter().all(|&x| x == 0.0);
        let has_no_update = match crate::Matrix::of(parameter) {
            Some(matrix) => {
                let connections = parameter.layer_in(self).connectivity.of(matrix);
                connections.plasticity.as_deref().is_some_and(are_zero)
            }
            None => self
                .update_factors(parameter)
                .as_deref()
                .is_some_and(are_zero),
        };
        self.is_frozen(parameter) || has_no_update
    }
}
