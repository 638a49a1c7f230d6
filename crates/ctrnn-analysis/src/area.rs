//! Restriction of a study to the units of one area.

use std::ops::Range;

use ndarray::{Array3, Axis};

use crate::{Dynamics, Peer, Study};

impl Study<'_> {
    /// Returns the names of the areas of the network, in the order of the units.
    pub fn area_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.groups.iter().map(|group| &group.area[..]).collect();
        names.dedup();
        names
    }

    /// Restricts the study to the units of an area: their states, and the weights among them and from and to the channels.
    /// Returns false if there is no such area.
    pub fn restrict_to_area(&mut self, area: &str) -> bool {
        let own = self.groups.iter().filter(|group| group.area == area);
        let units: Vec<usize> = own.flat_map(|group| group.units.clone()).collect();
        let Some(&first) = units.first() else {
            return false;
        };
        for states in [&mut self.potentials, &mut self.rates] {
            *states = states_of(states, &units);
        }
        if let Some(synapses) = &mut self.synapses {
            for states in [&mut synapses.utilisation, &mut synapses.resources] {
                *states = states_of(states, &units);
            }
        }
        self.dynamics = self.dynamics.of_units(&units);
        self.before = self.before.as_ref().map(|before| before.of_units(&units));
        if let Some(signs) = &mut self.signs {
            *signs = units.iter().map(|&unit| signs[unit]).collect();
        }
        self.groups.retain(|group| group.area == area);
        for group in &mut self.groups {
            group.units = group.units.start - first..group.units.end - first;
        }
        self.area = Some(area.to_owned());
        true
    }
}

impl Peer {
    /// Restricts the rates to some units.
    pub fn restrict_to_units(&mut self, units: Range<usize>) {
        self.rates = states_of(&self.rates, &units.collect::<Vec<_>>());
    }
}

/// Returns the states `[trial, time, unit]` of some units; states of no trials stay as they are.
fn states_of(states: &Array3<f64>, units: &[usize]) -> Array3<f64> {
    if states.is_empty() {
        states.clone()
    } else {
        states.select(Axis(2), units)
    }
}

impl Dynamics {
    /// Returns the part of the network that consists of some units, without the connections to and from the others.
    fn of_units(&self, units: &[usize]) -> Self {
        Self {
            w_in: self.w_in.select(Axis(0), units),
            w_rc: self.w_rc.select(Axis(0), units).select(Axis(1), units),
            bias: self.bias.select(Axis(0), units),
            w_out: self.w_out.select(Axis(1), units),
            gain: self.gain.select(Axis(0), units),
            tau_ms: self.tau_ms.select(Axis(0), units),
            synapses: self
                .synapses
                .as_ref()
                .map(|synapses| synapses.of_units(units)),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use ctrnn_model::{Sign, UnitGroup};
    use ctrnn_tasks::PerceptualDecision;
    use ndarray::Array3;

    use crate::analyses::{NoOptions, observer};
    use crate::dynamics::tests::half_plastic;
    use crate::{Analysis, Answer, SynapseStates};

    /// Three units, of which the last two are the area b.
    #[test]
    fn a_study_of_an_area_has_its_units_only() {
        let task = PerceptualDecision::default();
        let batch = observer::batch(&task, 4);
        let outputs = Array3::zeros((batch.n_trials, batch.max_steps, batch.n_outputs));
        let mut study = observer::study(&task, batch, outputs);
        let group = |area: &str, cell_type: Option<&str>, units| UnitGroup {
            area: area.to_owned(),
            cell_type: cell_type.map(str::to_owned),
            sign: Some(Sign::Excitatory),
            tau_ms: None,
            units,
        };
        study.groups = vec![
            group("a", None, 0..1),
            group("b", Some("pyr"), 1..2),
            group("b", Some("pv"), 2..3),
        ];
        study.rates.index_axis_mut(ndarray::Axis(2), 2).fill(0.5);
        study.dynamics.synapses = half_plastic(3);
        study.synapses = Some(SynapseStates {
            utilisation: study.rates.clone(),
            resources: study.rates.clone(),
        });
        let whole = study.dynamics.clone();
        assert!(!study.restrict_to_area("c"));
        assert_eq!(study.area_names(), ["a", "b"]);
        let found = crate::analyses::weights::SortedWeights::compute(&study, &NoOptions {});
        assert_eq!(found.unwrap().names, ["a", "b pyr", "b pv"]);
        assert!(study.restrict_to_area("b"));
        assert_eq!(study.dynamics.n_units(), 2);
        assert_eq!(study.dynamics.w_rc[[0, 1]], whole.w_rc[[1, 2]]);
        assert_eq!(study.dynamics.w_out[[0, 1]], whole.w_out[[0, 2]]);
        assert_eq!(study.rates.dim().2, 2);
        assert_eq!(study.rates[[0, 0, 1]], 0.5);
        assert_eq!(study.synapses.as_ref().unwrap().resources, study.rates);
        let synapses = study.dynamics.synapses.take().unwrap(); // those of unit 1, which depress, and of unit 2
        assert_eq!(synapses.facilitate, [false, true]);
        assert_eq!(
            synapses.at_rest(&ndarray::Array1::zeros(2)).utilisation,
            ndarray::array![0.45, 0.15]
        );
        assert_eq!(study.groups[1].units, 1..2);
        let rates = Analysis::named("rates").unwrap().run(&study).unwrap();
        let types = format!("{:?}", rates.arrays["unit_types"]);
        assert!(types.contains("pyr") && types.contains("pv"), "{types}");
        let refused = Analysis::named("lyapunov")
            .unwrap()
            .run(&study)
            .unwrap_err();
        let expected =
            "needs the whole network, not only the area b: its units receive input from others";
        assert_eq!(refused.to_string(), expected);
    }
}
