//! Monitors of a training: their files, their analysis, and resuming. `python_files` recomputes their numbers.

use crate::project::{NOISE, Project, TINY};

const MONITORS: [&str; 6] = [
    "silent",
    "saturated",
    "participation",
    "radius",
    "drift",
    "drift_last",
];

const ON: &str = "validate.monitors=true";

fn train<'a>(run: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let begin = ["train", "smoke.toml", "--run-dir", run, NOISE];
    [&begin[..], &TINY, &["train.steps=12"], more].concat()
}

#[test]
fn monitors_are_columns_of_the_validation_and_change_nothing_else() {
    let project = Project::in_memory();
    project.run(&train("run", &[ON])).exits(0);
    let rows = project.metrics("run");
    for row in &rows {
        let is_measured = row["split"] == "val";
        for name in MONITORS {
            assert_eq!(!row[name].is_empty(), is_measured, "{name} in {row:?}");
        }
    }
    let units = project.text("run/units.csv");
    assert_eq!(units.lines().count(), 1 + 3 * 8); // after steps 5, 10 and 12
    assert!(units.starts_with("step,unit,mean,peak\n5,0,"));
    project.run(&train("without", &[])).exits(0);
    assert!(!project.path("without/units.csv").exists());
    let plain = |run: &str| {
        let mut rows = project.metrics(run);
        for row in &mut rows {
            row.retain(|name, _| !MONITORS.contains(&name.as_str()));
        }
        rows
    };
    assert_eq!(plain("run"), plain("without"));
    let weights = |run: &str| project.arrays(&format!("{run}/model/weights.npz"));
    assert_eq!(
        weights("run")["recurrent.weight"],
        weights("without")["recurrent.weight"]
    );
}

/// Stops after every step: the drift since the last validation needs weights that no checkpoint of that step has any more.
#[test]
fn a_training_with_monitors_stopped_after_every_step_equals_an_uninterrupted_one() {
    let project = Project::in_memory();
    let stages = [
        "train.stage=[{steps=7},{steps=5,model={noise={preactivation=0.2}}}]",
        ON,
    ];
    project.run(&train("whole", &stages)).exits(0);
    let begin = train("parts", &[stages[0], ON, "--max-time", "0s"]);
    project.run(&begin).exits(75);
    for _ in 0..9 {
        project
            .run(&["resume", "parts", "--max-time", "0s"])
            .exits(75);
    }
    project.run(&["resume", "parts"]).exits(0);
    let units = |run: &str| project.text(format!("{run}/units.csv"));
    // A stop does not validate: the rows are those of an uninterrupted training.
    assert_eq!(units("whole"), units("parts"));
    project.assert_same_run("whole", "parts");
}

#[test]
fn an_analysis_and_the_report_show_the_monitors() {
    let project = Project::in_memory();
    project.run(&train("run", &[ON])).exits(0);
    let shown = project
        .run(&["analyze", "run", "participation", "-o", "found"])
        .exits(0);
    let said = format!("{}{}", shown.stdout, shown.stderr);
    assert!(
        said.contains("% of the units are silent: their rate never exceeds 0.01"),
        "{said}"
    );
    let arrays = project.arrays("found/participation.npz");
    assert_eq!(arrays["drift_step"].to_f64().unwrap(), [5.0, 10.0, 12.0]);
    let drift = arrays["drift"].to_f64().unwrap();
    assert!(drift.windows(2).all(|pair| pair[0] < pair[1]), "{drift:?}");
    project.run(&["report", "run"]).exits(0);
    assert!(
        project
            .text("run/report.html")
            .contains("participation ratio")
    );
    project.run(&train("without", &[])).exits(0);
    project
        .run(&["analyze", "without", "participation", "-o", "none"])
        .exits(2)
        .says(&["the run has no monitors"]);
}
