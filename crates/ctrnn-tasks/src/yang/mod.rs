//! The 20 tasks of Yang et al. (2019): four structs and their shared parts.
//!
//! Every task has the same inputs and outputs: a fixation input, two rings of stimuli (modalities), a
//! fixation output and a ring of responses. A trial is built from stimuli on the rings
//! ([`Scene::show`](scene::Scene::show)) and a response ([`Scene::respond`](scene::Scene::respond)) or none.
//!
//! Numbers are those of the authors' code. There, durations are drawn once for a batch, so that all its trials have
//! one length; here they are drawn for each trial, and short trials are padded. There, durations drawn
//! from an interval are rounded down to the time grid; here only multiples of the time step are drawn.

mod decision;
mod delayed_decision;
mod evidence;
mod go;
mod matching;
mod scene;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use decision::YangDecision;
pub use delayed_decision::YangDelayedDecision;
pub use evidence::Evidence;
pub use go::YangGo;
pub use matching::YangMatch;

use crate::{Registry, Task, TaskEntry};
use scene::Member;

/// Names of the 20 tasks.
pub(crate) const NAMES: [&str; 20] = [
    "yang_fdgo",
    "yang_reactgo",
    "yang_delaygo",
    "yang_fdanti",
    "yang_reactanti",
    "yang_delayanti",
    "yang_dm1",
    "yang_dm2",
    "yang_contextdm1",
    "yang_contextdm2",
    "yang_multidm",
    "yang_delaydm1",
    "yang_delaydm2",
    "yang_contextdelaydm1",
    "yang_contextdelaydm2",
    "yang_multidelaydm",
    "yang_dmsgo",
    "yang_dmsnogo",
    "yang_dmcgo",
    "yang_dmcnogo",
];

/// Adds the 20 tasks.
pub(crate) fn add_to(registry: &mut Registry) {
    add_family(registry, go::family());
    add_family(registry, decision::family());
    add_family(registry, delayed_decision::family());
    add_family(registry, matching::family());
}

fn add_family<T>(registry: &mut Registry, members: Vec<Member<T>>)
where
    T: Task + Serialize + DeserializeOwned + JsonSchema + 'static,
{
    for (name, doc, defaults) in members {
        registry.add_entry(TaskEntry::of_variant(name, &doc, defaults));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_twenty_tasks() {
        let registry = Registry::built_in();
        let ours = registry.names().filter(|name| name.starts_with("yang_"));
        assert_eq!(ours.count(), 20);
        assert!(NAMES.iter().all(|name| registry.get(name).is_some()));
        let layout = scene::layout();
        assert_eq!((layout.inputs.len(), layout.outputs.len()), (65, 33));
    }
}
