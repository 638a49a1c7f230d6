//! Networks of low rank through every command: training, resuming, files, analyses, and a start from a full-rank network.

use std::collections::BTreeMap;

use ctrnn_files::TensorFile;

use crate::project::Project;

const LOW_RANK: &str = "model.low_rank={rank=2,full=\"fixed\",gain=0.6,train=[\"left\"]}";

/// The weights with which a run began, by name.
fn initial_weights(project: &Project, run: &str) -> BTreeMap<String, Vec<f64>> {
    let path = project.path(format!("{run}/initial/weights.safetensors"));
    let tensors = TensorFile::read(&path).unwrap().tensors.into_iter();
    tensors
        .map(|(name, array)| (name, array.to_f64().unwrap()))
        .collect()
}

#[test]
fn a_run_of_low_rank_stopped_and_resumed_equals_an_uninterrupted_one() {
    let project = Project::new();
    project
        .train("whole", &[LOW_RANK, "train.steps=10"])
        .exits(0);
    project
        .train("parts", &[LOW_RANK, "train.steps=10", "--max-time", "0s"])
        .exits(75);
    project.run(&["resume", "parts"]).exits(0);
    project.assert_same_run("whole", "parts");
    let weights = project.arrays("whole/model/weights.npz");
    assert_eq!(weights["recurrent.left"].shape(), [8, 2]);
    let initial = initial_weights(&project, "whole");
    let same = |name: &str| weights[name].to_f64().unwrap() == initial[name];
    let held = ["recurrent.right", "recurrent.weight_raw"].map(same);
    assert!(held == [true, true] && !same("recurrent.left") && !same("recurrent.weight"));
    let [left, right, full, effective] = ["left", "right", "weight_raw", "weight"]
        .map(|name| weights[&format!("recurrent.{name}")].to_f64().unwrap());
    for k in 0..64 {
        let (post, pre) = (k / 8, k % 8);
        let product = (0..2).map(|r| left[2 * post + r] * right[2 * pre + r] / 8.0);
        let expected = full[k] + product.sum::<f64>();
        assert!(
            (effective[k] - expected).abs() < 1e-6,
            "{k}: {} is not {expected}",
            effective[k]
        );
    }
}

/// The factors of a start from a full-rank run are those of its largest singular values, whose squares are the norm of the product.
#[test]
fn a_full_rank_run_shapes_the_start_of_one_of_low_rank() {
    let project = Project::new();
    project.train("full", &["train.steps=5"]).exits(0);
    let start = [
        "--init-from",
        "full",
        "model.low_rank={rank=8}",
        "train.steps=0",
    ];
    project.train("all", &start).exits(0);
    let [full, all] = ["full", "all"].map(|run| {
        project.arrays(&format!("{run}/model/weights.npz"))["recurrent.weight"]
            .to_f64()
            .unwrap()
    });
    assert!(full.iter().zip(&all).all(|(a, b)| (a - b).abs() < 1e-6)); // rank 8 of 8 units is the whole matrix
    let start = [
        "--init-from",
        "full",
        "model.low_rank={rank=2}",
        "train.steps=3",
    ];
    project.train("two", &start).exits(0);
    let weights = initial_weights(&project, "two");
    let norm = |values: &[f64]| values.iter().map(|x| x * x).sum::<f64>();
    let product = norm(&weights["recurrent.weight"]);
    assert!(product < norm(&full) && product > 0.25 * norm(&full));
    let on_top = [
        "--init-from",
        "full",
        "model.low_rank={rank=2,full=\"trained\"}",
    ];
    project.train("none", &on_top).exits(4).says(&[
        "recurrent.weight of the weights contradicts the configuration",
        "give recurrent.left, recurrent.right and recurrent.weight_raw",
    ]);
}

#[test]
fn check_and_analyze_know_the_factors() {
    let project = Project::new();
    let found = project
        .run(&["check", "smoke.toml", "model.n_units=8", LOW_RANK])
        .exits(0);
    for part in [
        "recurrent.weight [8,8], 64 parameters, 0 of them free: frozen",
        "recurrent.left [8,2], 16 parameters",
        "recurrent.right [8,2], 16 parameters, 0 of them free: frozen",
        "rank 2, factors drawn with standard deviations 1 and 1, on a fixed gaussian matrix of gain 0.6",
    ] {
        assert!(
            found.stdout.contains(part),
            "{part:?} is not in {}",
            found.stdout
        );
    }
    project
        .train("run", &["model.low_rank={rank=1}", "train.steps=5"])
        .exits(0);
    project
        .run(&[
            "analyze", "run", "low_rank", "-o", "found", "--trials", "20",
        ])
        .exits(0);
    let arrays = project.arrays("found/low_rank.npz");
    for name in [
        "overlaps",
        "kappa",
        "line_velocity_0",
        "population",
        "course_0",
        "readme",
    ] {
        assert!(arrays.contains_key(name), "{name}");
    }
    assert!(
        project
            .text("found/low_rank.svg")
            .contains("cosines of the vectors")
    );
    assert!(project.path("found/low_rank_flow.svg").is_file());
    project.train("plain", &["train.steps=2"]).exits(0);
    project
        .run(&["analyze", "plain", "low_rank", "-o", "none"])
        .exits(2)
        .says(&["the recurrent weights have no factors"]);
    // A perturbed network has the effective matrix.
    let lesioned = [
        "analyze", "run", "low_rank", "-o", "lesioned", "--lesion", "0",
    ];
    project
        .run(&lesioned)
        .says(&["the recurrent weights have no factors"]);
}

#[test]
fn rules_about_single_entries_are_refused_with_their_places() {
    let project = Project::new();
    let text = format!(
        "{}\n[model.low_rank]\nrank = 9\n[model.density]\nrecurrent = 0.5\n",
        crate::project::SMOKE
    );
    project.write("broken.toml", text.replace("n_units = 32", "n_units = 8"));
    project.run(&["check", "broken.toml"]).exits(2).says(&[
        "model.low_rank.rank = 9 is larger than the number of units, 8",
        "no matrix of 8 units has a higher rank",
        "model.density.recurrent = 0.5 takes single entries out of W_rc",
        "remove model.density.recurrent, or model.low_rank for a full matrix",
        "rank = 9",
    ]);
    project
        .train("run", &["model.low_rank={rank=1,init={overlap=[[9.0]]}}"])
        .exits(2)
        .says(&["column 0 of the right factor cannot have the overlaps asked for at a standard deviation of 1: they need 9"]);
}
