//! Areas, cell types and projections by name, from the configuration to every command and file.

use std::path::Path;

use ctrnn_files::{ArrayData, TensorFile};
use serde_json::json;

use crate::project::Project;

/// Two areas under Dale's law with cell types, in an order that is not that of the alphabet.
const AREAS: &str = r#"
[task.go_nogo]

[model.areas]
sensory = { units = 6, types = { pyr = { fraction = 0.5, sign = "excitatory" }, pv = { fraction = 0.5, sign = "inhibitory", tau_ms = 40 } } }
motor = { units = 4, excitatory_fraction = 0.5, inputs = ["fixation"], read_out = true }

[model.projections]
"sensory -> motor" = { from = "pyr", in_degree = 2 }
"motor -> sensory" = { from = "e", to = "pyr", density = 0.5, plasticity = 0.0 }

[train]
steps = 4
batch_size = 4

[validate]
trials = 8
every_steps = 0

[checkpoint]
every_steps = 0
"#;

fn project() -> Project {
    let project = Project::new();
    project.write("areas.toml", AREAS);
    project
}

fn texts(data: &ArrayData) -> Vec<&str> {
    match data {
        ArrayData::Text(texts) => texts.iter().map(String::as_str).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn check_draws_the_blocks() {
    let project = project();
    let text = project.run(&["check", "areas.toml"]).exits(0).stdout;
    let lines: Vec<&str> = text.lines().collect();
    let first = lines
        .iter()
        .position(|line| line.starts_with("areas "))
        .unwrap();
    let expected = [
        "areas        sensory: units 0 to 5: 3 pyr, 3 pv; 3 inputs: fixation, go_cue, nogo_cue; no outputs",
        "             motor: units 6 to 9: 2 e, 2 i; 1 input: fixation; 2 outputs: fixation, go",
        "projections  to, from  sensory                  motor",
        "             sensory   all                      50 %, e to pyr, plasticity 0",
        "             motor     2 onto each, pyr to all  all",
    ];
    for (found, expected) in lines[first..].iter().zip(expected) {
        assert_eq!(words(found), words(expected), "{text}");
    }
    let found = project
        .run(&["check", "areas.toml", "--json"])
        .exits(0)
        .json();
    assert_eq!(found["areas"]["groups"][1]["type"], "pv");
    assert_eq!(
        found["areas"]["pairs"][1],
        json!({
            "from": "motor", "to": "sensory",
            "projections": [{ "from": "e", "to": "pyr", "density": 0.5, "plasticity": 0.0 }],
        })
    );
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn files_and_commands_know_areas_by_name() {
    let project = project();
    project
        .run(&["train", "areas.toml", "--run-dir", "run"])
        .exits(0);
    let (first, last) = (
        TensorFile::read(&project.path("run/initial/weights.safetensors"))
            .unwrap()
            .tensors,
        project.arrays("run/model/weights.npz"),
    );
    let numbers = |name: &str| last[name].to_f64().unwrap();
    assert_eq!(
        numbers("unit.area"),
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]
    );
    assert_eq!(
        numbers("unit.type"),
        [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    );
    let model = &project.json("run/model/model.json")["model"];
    assert_eq!(model["area_names"], json!(["sensory", "motor"]));
    assert_eq!(model["cell_type_names"], json!(["pyr", "pv", "e", "i"]));
    assert_eq!(model["tau_ms"][3], 40.0);
    let before = first["recurrent.weight"].to_f64().unwrap();
    let after = numbers("recurrent.weight");
    let block = |w: &[f64]| -> Vec<f64> { (0..3).map(|i| w[i * 10 + 6]).collect() };
    assert_eq!(block(&before), block(&after)); // plasticity 0
    assert_ne!(before, after);

    project
        .run(&["simulate", "run", "--trials", "4", "-o", "states.npz"])
        .exits(0);
    let states = project.arrays("states.npz");
    assert_eq!(
        texts(states["unit_areas"].data())[5..7],
        ["sensory", "motor"]
    );
    assert_eq!(texts(states["unit_types"].data())[2..4], ["pyr", "pv"]);

    let analyze = |more: &[&str]| {
        let all = [&["analyze", "run", "--trials", "8", "--force"][..], more].concat();
        project.run(&all)
    };
    analyze(&["weights", "rates", "--area", "motor"]).exits(0);
    let weights = project.arrays("run/analysis/weights.npz");
    assert_eq!(texts(weights["group_names"].data()), ["motor e", "motor i"]);
    assert_eq!(weights["recurrent_sorted"].shape(), [4, 4]);
    analyze(&["lyapunov", "--area", "motor"])
        .exits(2)
        .says(&["needs the whole network, not only the area motor"]);
    analyze(&["rates", "--area", "premotor"])
        .exits(2)
        .says(&["has no area premotor", "areas: sensory, motor"]);
    project
        .run(&[
            "eval",
            "run",
            "--silence",
            "area:motor",
            "--lesion",
            "pv:0.5",
        ])
        .exits(0);
    project
        .run(&["plot", "run", "weights", "-o", "weights.svg"])
        .exits(0);
    let figure = project.text("weights.svg");
    assert!(figure.contains(">sensory pyr</text>") && figure.contains(">motor i</text>"));
}

/// The names of areas, and their order, survive files whose tables are sorted by the alphabet.
#[test]
fn an_exported_network_of_areas_is_imported_with_them() {
    let project = project();
    project
        .run(&["train", "areas.toml", "--run-dir", "run"])
        .exits(0);
    project
        .run(&["export", "run", "--to", "npz", "-o", "w.npz"])
        .exits(0);
    project
        .run(&["import", "w.npz", "--from", "npz", "-o", "again"])
        .exits(0);
    let model = |run: &str| project.json(Path::new(run).join("model/model.json"))["model"].clone();
    assert_eq!(model("again")["area_names"], model("run")["area_names"]);
    assert_eq!(model("again")["areas"], model("run")["areas"]);
    let resolved = project.text("run/config.resolved.toml");
    let place = |text: &str| resolved.find(text).unwrap();
    assert!(place("[model.areas.sensory]") < place("[model.areas.motor]"));
}
