//! Rules about feedback of the readout.

use super::sources::source_of;
use crate::{CtrnnConfig, Topic, Violation};

const TABLE: &str = "model.feedback";

/// Returns the violations of the rules that need no arrays: the loop is closed by a sum with the full matrix of the recurrent weights.
pub(super) fn of_table(config: &CtrnnConfig) -> Vec<Violation> {
    if config.feedback.is_none() {
        return Vec::new();
    }
    let others = [
        (
            "model.low_rank",
            config.low_rank.is_some(),
            "a network of low rank has no full matrix that could take up the feedback",
        ),
        (
            "model.short_term_plasticity",
            config.short_term_plasticity.is_some(),
            "feedback carries the readout of the rates, and plastic synapses transmit something else",
        ),
    ];
    let given = others.into_iter().filter(|(_, is_given, _)| *is_given);
    given
        .map(|(key, _, reason)| refused(reason.to_owned(), key))
        .collect()
}

/// Returns the violation of the rule about arrays: feedback has no delays.
pub(super) fn of_arrays(config: &CtrnnConfig) -> Option<Violation> {
    let is_broken = config.feedback.is_some() && config.longest_delay_ms().is_some();
    is_broken.then(|| {
        let reason = "feedback acts at the next time step, but recurrent connections are delayed";
        refused(reason.to_owned(), source_of(config))
    })
}

fn refused(message: String, other: &str) -> Violation {
    Violation::new(
        Topic::Connections,
        message,
        format!("remove {TABLE}, or {other}"),
    )
    .at(TABLE, "the feedback")
    .at(other, "the other")
}
