//! Truncation, accumulation and interventions as read from a configuration: their values, and the text of each error.

use super::*;
use ctrnn_runs::registry;
use ctrnn_tasks::Clock;

fn read(train: &str, overrides: &[&str]) -> Result<Run, ConfigErrors> {
    let text = format!("[task.go_nogo]\n[model]\nn_units = 10\n[train]\n{train}");
    let overrides: Vec<String> = overrides.iter().map(|o| (*o).to_owned()).collect();
    RunConfig::from_text(
        &text,
        "run.toml",
        Path::new("/lab"),
        &overrides,
        &registry(),
    )
}

#[track_caller]
fn refused(train: &str, overrides: &[&str], parts: &[&str]) {
    let errors = read(train, overrides).expect_err("the configuration is wrong");
    assert_eq!(errors.exit_code(), 2);
    let text = errors.to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(text.contains("help: "), "{text}");
}

#[test]
fn a_stride_divides_its_window() {
    let run = read("truncate_steps = 12\ntruncate_stride = 4", &[]).unwrap();
    let train = run.settings().train;
    assert_eq!(
        (train.truncate_steps, train.truncate_stride),
        (Some(12), Some(4))
    );
    refused(
        "truncate_steps = 12\ntruncate_stride = 5",
        &[],
        &[
            "train.truncate_stride = 5 is not a divisor of train.truncate_steps = 12",
            "run.toml:6:1",
            "train.truncate_stride = 12",
        ],
    );
    refused(
        "truncate_stride = 5",
        &[],
        &["windows that do not exist", "train.truncate_steps = 5"],
    );
    for key in [
        "truncate_steps = 0",
        "truncate_stride = 0",
        "accumulate = 0",
    ] {
        refused(key, &[], &["error[C004]"]);
    }
}

#[test]
fn what_is_no_sum_cannot_be_divided() {
    let penalties = [
        ("rate_target", "{ weight = 1, rate = 0.1 }"),
        ("rate_spread", "{ weight = 1, measure = \"sd\" }"),
        ("rate_range", "{ weight = 1, at_most = 0.5 }"),
        ("participation", "{ weight = 1, at_most = 5 }"),
        (
            "population_kl",
            "{ weight = 1, first = [0, 5], second = [5, 10] }",
        ),
        ("hebbian", "0.1"),
        ("state_prediction", "{ weight = 1, lag_ms = 20 }"),
        ("omega", "{ weight = 2 }"),
    ];
    for (name, value) in penalties {
        for key in ["truncate_steps", "accumulate"] {
            let train = format!("{key} = 4\nloss = {{ {name} = {value} }}");
            let message = format!(
                "train.loss.{name} is not a sum over trials and time steps, so train.{key}"
            );
            refused(&train, &[], &[&message]);
        }
    }
    let sums = "loss = { weight_l1 = 1e-3, weight_l2 = 1e-3, weight_deviation = 1e-3, rate_l1 = 1e-3, rate_l2 = 1e-3, rate_entropy = 1e-3, in_degree = { weight = 1e-3, at_most = 2 } }";
    read(&format!("truncate_steps = 4\naccumulate = 2\n{sums}"), &[]).unwrap();
}

#[test]
fn a_trial_with_delays_is_not_cut() {
    let areas = "areas.a.units = 5\nareas.b.units = 5\nprojections.\"a -> b\" = { density = 0.5, delay_ms = 40 }";
    let text =
        |train: &str| format!("[task.go_nogo]\n[model]\nn_units = 10\n{areas}\n[train]\n{train}");
    let read = |train: &str| {
        RunConfig::from_text(
            &text(train),
            "run.toml",
            Path::new("/lab"),
            &[],
            &registry(),
        )
    };
    let errors = read("truncate_steps = 4")
        .err()
        .map(|errors| errors.to_string());
    let errors = errors.unwrap_or_default();
    assert!(
        errors.contains("connections are delayed by up to 40 ms"),
        "{errors}"
    );
    read("accumulate = 4").unwrap();
}

#[test]
fn a_window_that_covers_the_trial_is_told() {
    let longest = read("", &[])
        .unwrap()
        .task
        .longest_steps(Clock::new(20.0).unwrap())
        .unwrap();
    let noted = |window: usize| {
        read(&format!("truncate_steps = {window}"), &[])
            .unwrap()
            .unused_keys()
    };
    assert!(
        noted(longest)[0].contains("train.truncate_steps has no effect: the longest trial has")
    );
    assert_eq!(noted(longest - 1), [""; 0]);
    let noise = read("noise_schedule = { to = 0.5 }", &[])
        .unwrap()
        .unused_keys();
    assert!(
        noise[0].contains("every level of model.noise is 0"),
        "{noise:?}"
    );
}

#[test]
fn perturbations_are_read_from_their_words() {
    let text = "[[train.perturbation]]\nsilence = [\"0-3@stimulus\", \"5\"]\nfraction = 0.25\n[[train.perturbation]]\ncurrent = [\"all:0.5@40..80=0.3\"]";
    let run = read(&format!("dropout = 0.1\n{text}"), &[]).unwrap();
    let [first, second] = run.settings().perturbations.try_into().unwrap();
    assert_eq!(first.fraction, 0.25);
    assert_eq!(first.perturbation.clamped[0].units, [0, 1, 2, 3]);
    assert_eq!(first.perturbation.clamped[1].units, [5]);
    assert_eq!(second.perturbation.currents[0].units.len(), 5);
    let again = run.resolved_toml();
    let again = RunConfig::from_text(&again, "run.toml", Path::new("/lab"), &[], &registry());
    assert_eq!(
        again.unwrap().settings().perturbations,
        run.settings().perturbations
    );
}

#[test]
fn mistakes_in_perturbations_have_their_place() {
    let of = |own: &str| format!("[[train.perturbation]]\n{own}");
    for (own, parts) in [
        (
            "fraction = 0.5",
            &["train.perturbation[0] perturbs nothing", "silence = "][..],
        ),
        (
            "lesion = [\"12\"]",
            &["there is no unit 12", "units are 0 to 9", "run.toml:5:"],
        ),
        (
            "silence = [\"e\"]",
            &[
                "train.perturbation[0].silence = \"e\": \"e\" is not a group of units",
                "groups: all (e and i under Dale's law)",
            ],
        ),
        ("lesion = [\"sign:+\"]", &["is not a group of units"]),
        (
            "clamp = [\"3\"]",
            &[
                "\"3\" is not a value of train.perturbation[0].clamp",
                "clamp = \"4@200..400=0.5\"",
            ],
        ),
        (
            "silence = [\"3@sleep\"]",
            &["no trial has an epoch sleep", "stimulus"],
        ),
        ("silence = [\"3@30..50\"]", &["multiples of dt_ms = 20"]),
        (
            "silence = [\"3@900000..\"]",
            &["begins at 900000 ms, but the longest trial ends at"],
        ),
        (
            "silence = [\"3\"]\nlesion = [\"3\"]",
            &["unit 3 is both lesioned and clamped"],
        ),
        (
            "silence = [\"3\"]\n[[train.perturbation]]\nclamp = [\"3=1\"]",
            &["unit 3 is clamped twice"],
        ),
        ("silence = [\"3\"]\nfraction = 0", &["error[C004]"]),
        ("silence = [\"layers.1.3\"]", &["there is no layer 1"]),
        ("silense = [\"3\"]", &["did you mean \"silence\""]),
    ] {
        refused(&of(own), &[], parts);
    }
    let silence = of("silence = [\"3\"]");
    refused(
        &silence,
        &["train.truncate_steps=4"],
        &["train.truncate_steps cuts trials"],
    );
    refused(
        &silence,
        &["train.loss.omega={weight=2}"],
        &["takes a second pass, which runs without train.perturbation"],
    );
    refused(
        &silence,
        &["model.short_term_plasticity=half"],
        &["through which there is no gradient", "a lesion"],
    );
    refused(
        "dropout = 0.1\nloss.omega.weight = 2",
        &[],
        &["runs without train.dropout"],
    );
    refused("dropout = 1", &[], &["error[C004]"]);
}

#[test]
fn groups_have_a_weight_decay() {
    let run = read("optimizer = { name = \"adamw\", weight_decay = 0 }\ngroups.recurrent.weight.weight_decay = 0.1", &[]).unwrap();
    let decays = run.config.train.groups.weight_decays(&run.model);
    assert_eq!(decays.into_values().collect::<Vec<_>>(), [0.1]);
    refused(
        "groups.recurrent.weight = {}",
        &[],
        &["train.groups.recurrent.weight is empty; expected lr or weight_decay"],
    );
    refused(
        "groups.tau_raw.weight_decay = 0.1",
        &[],
        &["train.groups.tau_raw has a weight decay, but tau_raw is not trained"],
    );
}
