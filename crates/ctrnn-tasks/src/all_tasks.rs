//! The list of all tasks of this crate, by name.

use crate::{
    Abba, Anti, ContextDecision, DelayGo, DelayedDiscrimination, DelayedMatchToSample,
    DualDelayedMatchToSample, EconomicDecision, FlipFlop, GoNogo, HeadDirection, Integrator,
    IntervalDiscrimination, Lorenz, MatchToCategory, MotorTiming, Multisensory, OneTwoThreeGo,
    Oscillation, PathIntegration, PerceptualDecision, PlaceFields, PulseAccumulation, ReactionTime,
    ReadySetGo, Registry, SequenceReproduction, Sine, TaskEntry, multitask, yang,
};

impl Registry {
    /// Creates the registry of the tasks of this crate.
    #[must_use]
    pub fn built_in() -> Self {
        let mut registry = Self::new();
        registry.add::<Anti>("anti");
        registry.add::<FlipFlop>("flip_flop");
        registry.add::<GoNogo>("go_nogo");
        registry.add::<HeadDirection>("head_direction");
        registry.add::<Integrator>("integrator");
        registry.add::<Lorenz>("lorenz");
        registry.add::<MotorTiming>("motor_timing");
        registry.add::<OneTwoThreeGo>("one_two_three_go");
        registry.add::<Oscillation>("oscillation");
        registry.add::<PathIntegration>("path_integration");
        registry.add::<PlaceFields>("place_fields");
        registry.add::<ReadySetGo>("ready_set_go");
        registry.add::<SequenceReproduction>("sequence_reproduction");
        registry.add::<Sine>("sine");
        registry.add_entry(multitask::entry());
        yang::add_to(&mut registry);
        add_decisions(&mut registry);
        add_working_memory(&mut registry);
        registry
    }
}

fn add_decisions(registry: &mut Registry) {
    registry.add::<PerceptualDecision>("perceptual_decision");
    let versions = [
        (
            "perceptual_decision_fixed",
            "Perceptual decision with a stimulus of fixed length.",
            PerceptualDecision::fixed(),
        ),
        (
            "perceptual_decision_variable",
            "Perceptual decision whose stimulus may end at any time, with catch trials.",
            PerceptualDecision::variable(),
        ),
        (
            "perceptual_decision_delayed",
            "Perceptual decision with a delay between stimulus and response.",
            PerceptualDecision::delayed(),
        ),
    ];
    for (name, doc, task) in versions {
        registry.add_entry(TaskEntry::of_variant(name, doc, task));
    }
    registry.add::<ReactionTime>("perceptual_decision_reaction_time");
    registry.add::<ContextDecision>("context_decision");
    registry.add::<Multisensory>("multisensory");
    registry.add::<PulseAccumulation>("pulse_accumulation");
    registry.add::<IntervalDiscrimination>("interval_discrimination");
    registry.add::<EconomicDecision>("economic_decision");
}

fn add_working_memory(registry: &mut Registry) {
    registry.add::<DelayedDiscrimination>("delayed_discrimination");
    registry.add::<DelayedMatchToSample>("delayed_match_to_sample");
    for degrees in [45, 90, 180] {
        let doc = format!("Delayed match to a sample that is rotated by {degrees} degrees.");
        let task = DelayedMatchToSample::rotated(f64::from(degrees));
        registry.add_entry(TaskEntry::of_variant(
            &format!("dmrs_{degrees}"),
            &doc,
            task,
        ));
    }
    registry.add_entry(TaskEntry::of_variant(
        "delayed_match_to_category",
        "Delayed match to the category of a sample.",
        DelayedMatchToSample::category(),
    ));
    registry.add::<Abba>("abba");
    registry.add_entry(TaskEntry::of_variant(
        "abca",
        "Find the sample again in a sequence of tests without repetitions.",
        Abba::abca(),
    ));
    registry.add::<DualDelayedMatchToSample>("dual_delayed_match_to_sample");
    registry.add_entry(TaskEntry::of_variant(
        "dual_delayed_match_to_sample_sequential",
        "Keep two samples in mind that came one after the other, and compare the cued one with each test.",
        DualDelayedMatchToSample::sequential(),
    ));
    registry.add::<DelayGo>("delay_go");
    registry.add::<MatchToCategory>("match_to_category");
}
