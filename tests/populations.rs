//! Several runs, and the runs of a sweep, in `analyze` and `report`.

use ctrnn_files::ArrayData;

use crate::project::Project;

/// A sweep of two sizes and two seeds whose trials are done, in a task with evidence.
fn project() -> Project {
    let project = Project::new();
    project.write(
        "base.toml",
        "version = 1\n[task.perceptual_decision]\ncoherences = [0.1, 0.5]\nstimulus_ms = 200\n\
         [model]\nn_units = 8\n[train]\nsteps = 20\nbatch_size = 4\n\
         [validate]\ntrials = 8\nevery_steps = 10\n",
    );
    project.write(
        "s.toml",
        "base = \"base.toml\"\nseeds = 2\n[grid]\nmodel.n_units = [6, 8]\n",
    );
    project.run(&["sweep", "run", "s.toml"]).exits(0);
    project
}

fn texts(project: &Project, file: &str, name: &str) -> Vec<String> {
    match project.arrays(file)[name].data() {
        ArrayData::Text(texts) => texts.clone(),
        other => panic!("{other:?}"),
    }
}

fn numbers(project: &Project, file: &str, name: &str) -> Vec<f64> {
    project.arrays(file)[name].to_f64().unwrap()
}

/// Returns the paths of the trials.
fn runs(project: &Project) -> Vec<String> {
    let status = project
        .run(&["sweep", "status", "sweeps/s", "--json"])
        .exits(0)
        .json();
    let trials = status["trials"].as_array().unwrap();
    let path = |trial: &serde_json::Value| format!("sweeps/s/{}", trial["trial"].as_str().unwrap());
    trials.iter().map(path).collect()
}

#[test]
fn a_sweep_is_analysed_by_groups() {
    let project = project();
    // Dynamical similarity takes seconds for each pair in an unoptimised program; `ctrnn-analysis` tests it.
    let quick = [
        "fixed_points.starts=24",
        "similarity.most_dsa=2",
        "--trials",
        "40",
    ];
    let all = [&["analyze", "s.toml", "all"][..], &quick].concat();
    project.run(&all).exits(0).says(&[
        "n_units = 6 (2 networks)",
        "n_units = 8: validation loss",
        "between networks of a group",
        "type 1: ",
    ]);
    let runs = runs(&project);
    let file = |name: &str| format!("sweeps/s/analysis/{name}.npz");
    for name in [
        "compare",
        "curves",
        "psychometric",
        "similarity",
        "fixed_points",
    ] {
        let groups = texts(&project, &file(name), "groups");
        assert_eq!(groups, ["n_units = 6", "n_units = 8"], "{name}");
        assert_eq!(
            numbers(&project, &file(name), "group_index"),
            [0.0, 0.0, 1.0, 1.0]
        );
        let figure = project.text(format!("sweeps/s/analysis/{name}.svg"));
        assert!(figure.starts_with("<svg"), "{name}");
    }
    let last = |run: &String| -> f64 {
        let rows = project.metrics(run);
        let row = rows.iter().rfind(|row| row["split"] == "val").unwrap();
        row["loss"].parse().unwrap()
    };
    let losses: Vec<f64> = runs.iter().map(last).collect();
    assert_eq!(numbers(&project, &file("compare"), "loss"), losses);
    assert_eq!(numbers(&project, &file("curves"), "loss_last"), losses);
    let mean = numbers(&project, &file("curves"), "loss_mean")[1];
    assert!((mean - (losses[0] + losses[1]) / 2.0).abs() < 1e-12);
}

#[test]
fn several_runs_are_grouped_by_their_configurations() {
    let project = project();
    let runs = runs(&project);
    let runs: Vec<&str> = runs.iter().map(String::as_str).collect();
    let several = |words: &[&'static str]| [&["analyze"][..], &runs, words].concat();
    project
        .run(&several(&[
            "compare", "curves", "-o", "out", "--trials", "8",
        ]))
        .exits(0);
    assert_eq!(
        texts(&project, "out/compare.npz", "keys"),
        ["model.n_units", "seed"]
    );
    let groups = texts(&project, "out/compare.npz", "groups");
    assert_eq!(groups, ["n_units = 6", "n_units = 8"]);

    project
        .run(&several(&["compare"]))
        .exits(2)
        .says(&["several runs", "-o DIR"]);
    project
        .run(&several(&["comparison", "-o", "x"]))
        .exits(2)
        .says(&["not an analysis of several networks", "similarity"]);
    project
        .run(&["analyze", runs[0], "no/run", "compare", "-o", "x"])
        .exits(2)
        .says(&["no/run is not a run"]);
    project
        .run(&["analyze", runs[0], "compare"])
        .exits(2)
        .says(&["an analysis of several runs"]);
    project
        .run(&several(&["similarity", "similarity.rank=x", "-o", "x"]))
        .exits(2)
        .says(&["similarity.rank"]);
    assert!(!project.path("x").exists());

    let other = ["train", "base.toml", "time.dt_ms=10", "--run-dir=other"];
    project.run(&other).exits(0);
    project
        .run(&["analyze", runs[0], "other", "compare", "-o", "x"])
        .exits(4)
        .says(&["other has [", "dt_ms = 10"]);
    // The page itself is tested in `ctrnn-analysis`: all analyses take their time in an unoptimised program.
    project
        .run(&["report", runs[0], runs[2]])
        .exits(2)
        .says(&["several runs", "-o FILE.html"]);
}
