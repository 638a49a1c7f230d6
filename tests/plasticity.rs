//! Networks with short-term plasticity in every command that runs or describes them.

use crate::project::Project;

const PLASTIC: &str = "model.short_term_plasticity=half";

fn run() -> Project {
    let project = Project::new();
    project.train("run", &["train.steps=5", PLASTIC]).exits(0);
    project
}

#[test]
fn the_states_of_synapses_are_written_and_taken_up() {
    let project = run();
    let simulate = |words: &[&str]| {
        let words = [&["simulate", "run", "--force"], words].concat();
        project.run(&words).exits(0);
    };
    simulate(&["-o", "states.npz"]);
    let states = project.arrays("states.npz");
    for name in ["utilisation", "resources"] {
        assert_eq!(states[name].shape(), states["rates"].shape());
        let values = states[name].to_f64().unwrap();
        let known = values.iter().filter(|x| !x.is_nan());
        assert!(known.clone().all(|x| (0.0..=1.0).contains(x)), "{name}");
        assert!(
            known.clone().any(|x| *x != 0.15 && *x != 0.45 && *x != 1.0),
            "{name}"
        );
    }
    simulate(&["--record", "synapses", "-o", "synapses.npz"]);
    let synapses = project.arrays("synapses.npz");
    assert!(synapses.contains_key("resources") && !synapses.contains_key("rates"));
}

#[test]
fn efficacies_are_analysed_and_what_follows_the_units_alone_is_refused() {
    let project = run();
    let efficacy = [
        "analyze", "run", "efficacy", "-o", "found", "--trials", "60",
    ];
    project
        .run(&efficacy)
        .exits(0)
        .says(&["efficacy u x of 4 facilitating units"]);
    let found = project.arrays("found/efficacy.npz");
    assert_eq!(
        found["efficacy_facilitating"].shape(),
        found["resources_depressing"].shape()
    );
    for name in ["flow", "lyapunov"] {
        project
            .run(&["analyze", "run", name, "-o", "no"])
            .exits(2)
            .says(&["error[C034]", "the network has short-term plasticity"]);
    }
    project
        .run(&["analyze", "run", "all", "-o", "all", "--trials", "60"])
        .exits(0);
    let points = project.arrays("all/fixed_points.npz");
    let [n_points, n_units] = points["utilisation"].shape()[..] else {
        panic!("a matrix");
    };
    assert!(n_points > 0);
    assert_eq!(points["eigenvalues_real"].shape(), [n_points, 3 * n_units]);
    let spectrum = project.arrays("all/spectrum.npz");
    assert_eq!(spectrum["timescales_ms"].shape()[1], 3 * n_units);
    // The synapses of a silent unit stay at rest.
    project
        .run(&["simulate", "run", "--silence", "3", "-o", "silent.npz"])
        .exits(0);
    let silent = project.arrays("silent.npz");
    let n_units = silent["resources"].shape()[2];
    let of_unit = |name: &str| {
        let values = silent[name].to_f64().unwrap();
        values.into_iter().skip(3).step_by(n_units)
    };
    assert!(of_unit("resources").all(|x| x == 1.0) && of_unit("rates").all(|r| r == 0.0));
    project
        .run(&["eval", "run", "--lesion", "3@stimulus"])
        .exits(0);
}

#[test]
fn check_and_explain_tell_of_plasticity() {
    let project = Project::new();
    let answer = project.run(&["check", "smoke.toml", PLASTIC]).exits(0);
    let expected = "short-term plasticity: facilitating (even units) and depressing (odd units)";
    assert!(answer.stdout.contains(expected), "{}", answer.stdout);
    let answer = project
        .run(&["config", "explain", "model.short_term_plasticity"])
        .exits(0);
    assert!(answer.stdout.contains("facilitating"), "{}", answer.stdout);
}
