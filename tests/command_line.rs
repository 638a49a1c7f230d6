//! Help, results on stdout, `--json`, and the commands beside training.

use ctrnn_files::Array;
use insta::assert_snapshot;
use serde_json::json;

use crate::project::Project;

fn shape<'a>(arrays: &'a std::collections::BTreeMap<String, Array>, name: &str) -> &'a [usize] {
    arrays[name].shape()
}

#[test]
fn help() {
    let answer = Project::new().run(&["--help"]).exits(0);
    assert_snapshot!(answer.stdout, @r#"
    Train continuous-time recurrent neural networks on cognitive tasks

    Usage: train-ctrnn [OPTIONS] <COMMAND>

    Commands:
      init         Create a project that is ready to train
      tasks        List the tasks; describe or draw one, or write its trials to a file
      check        Report all errors of a configuration, or show what it would train
      train        Train a network
      resume       Continue a run from its newest undamaged checkpoint
      sweep        Run populations of networks: grids, lists, random draws, seeds
      eval         Measure the accuracy and loss of a trained network
      simulate     Run a trained network and write its states to an npz file
      export       Write the weights of a run for other programs
      import       Create a finished run from a network that another program trained
      analyze      Analyse trained networks: behaviour, state space, fixed points, units, weights
      plot         Draw one analysis of a trained network
      report       Write an HTML page about runs: configuration, curves, figures of all analyses
      ckpt         List, verify, show or remove the checkpoints of a run
      config       Inspect configurations: schema, all values, differences, one key
      info         Show version, machine, kernels and devices
      completions  Print a completion script for a shell
      man          Print the manual page
      help         Print this message or the help of the given subcommand(s)

    Options:
      -q, --quiet             Print only errors
      -v, --verbose           Print more details
          --json              Print results as JSON on stdout, and nothing else there
          --color <WHEN>      When to use colours [default: auto] [possible values: auto, always, never]
          --progress <STYLE>  Style of the progress display; auto is a bar on a terminal and plain lines
                              elsewhere [default: auto] [possible values: auto, bar, plain, none]
      -h, --help              Print help
      -V, --version           Print version

    Examples:
      train-ctrnn init my_project
      train-ctrnn train configs/smoke.toml train.batch_size=32 --seed 7
      train-ctrnn eval runs/smoke-s7 --json

    Exit codes: 0 success, 2 wrong command line or configuration, 3 training failed, 4 data or
    checkpoint, 5 input/output, 6 device, 75 stopped and saved (`resume` continues), 1 a bug.
    "#);
}

#[test]
fn help_of_train() {
    let answer = Project::new().run(&["train", "-h"]).exits(0);
    assert_snapshot!(answer.stdout, @r#"
    Train a network

    Usage: train-ctrnn train [OPTIONS] <CONFIG> [KEY=VALUE]...

    Arguments:
      <CONFIG>        The configuration, a TOML file
      [KEY=VALUE]...  Overrides: KEY=VALUE as in the file, such as model.n_units=64; '~KEY' removes a
                      key, and so does KEY=none unless none is a value of the key

    Options:
          --run-dir <DIR>       Folder of the run [default: runs/<config>-s<seed>]
          --seed <N>            Seed of the run, as seed=N
          --device <BACKEND>    Device that computes: cpu, wgpu, wgpu:INDEX, wgpu:NAME, cuda or
                                cuda:INDEX
          --resume <RESUME>     Action if the run folder exists already [default: auto under Slurm, else
                                never] [possible values: auto, never, must]
          --force               Replace an existing run; a requeued Slurm job continues the run that it
                                began itself
          --max-time <TIME>     Stop and save after this time, such as 3h50m; `resume` continues
          --init-from <RUN>     Begin with the weights of another run: the newest, or those of RUN@best,
                                RUN@last or RUN@STEP. The step starts at 0, and so does the optimizer's
                                state without --with-optimizer [alias: --from]
          --with-optimizer      Begin with the state of that run's optimizer, too; train.optimizer.name
                                must be the same
          --checkpoint <WHICH>  Checkpoint of that run to begin with: last, best or a number of steps
          --data-root <DIR>     Folder in which to look for the input files instead of their original
                                place; files that have changed are refused [env: CTRNN_DATA_ROOT]
          --threads <N>         Number of CPU threads, as device.threads; 0 means all cores, or one for
                                a small network
          --dry-run             Check everything and report what would be done, but write nothing
          --trust               Agree to start the programs that the configuration names, now and in
                                later commands until they change (docs/trust.md)
      -q, --quiet               Print only errors
      -v, --verbose             Print more details
          --json                Print results as JSON on stdout, and nothing else there
          --color <WHEN>        When to use colours [default: auto] [possible values: auto, always,
                                never]
          --progress <STYLE>    Style of the progress display; auto is a bar on a terminal and plain
                                lines elsewhere [default: auto] [possible values: auto, bar, plain,
                                none]
      -h, --help                Print help (see more with '--help')

    Examples:
      train-ctrnn train configs/smoke.toml train.batch_size=32 --seed 7
      train-ctrnn train fine.toml train.optimizer.lr=1e-4 --init-from runs/smoke-s1 --checkpoint best
    "#);
}

#[test]
fn a_wrong_command_line_is_an_error_like_any_other() {
    let project = Project::new();
    for (arguments, says) in [
        (
            &["trian", "smoke.toml"][..],
            ["error[U001]: unrecognized subcommand 'trian'", "'train'"],
        ),
        (
            &["train", "smoke.toml", "--frobnicate"],
            [
                "error[U002]: unexpected argument '--frobnicate' found",
                "Usage: train-ctrnn train",
            ],
        ),
        (
            &["train", "smoke.toml", "--max-time", "soon"],
            [
                "error[U003]: invalid value 'soon' for '--max-time <TIME>'",
                "3h50m",
            ],
        ),
        (
            &["train", "smoke.toml", "--resume", "maybe"],
            ["error[U003]", "[possible values: auto, never, must]"],
        ),
        (
            &["train"],
            [
                "error[U004]: the following required arguments were not provided: <CONFIG>",
                "Usage: ",
            ],
        ),
        (
            &["simulate", "run"],
            ["error[U004]", "--output <STATES.npz>"],
        ),
        (
            &["train", "smoke.toml", "--force", "--resume", "must"],
            ["error[U005]", "cannot be used with"],
        ),
    ] {
        let answer = project
            .run(arguments)
            .exits(2)
            .says(&says)
            .says(&["help: "]);
        assert!(answer.stdout.is_empty(), "{answer:#?}");
        assert!(answer.stderr.starts_with("error["), "{answer:#?}");
    }
    let nothing = project.run(&[]).exits(2);
    assert!(
        nothing.stderr.contains("Usage: train-ctrnn"),
        "{nothing:#?}"
    );
    assert_eq!(
        project.tree("").into_keys().collect::<Vec<_>>(),
        ["smoke.toml"]
    );
}

/// The names of all tasks, as the program lists them.
fn task_names(project: &Project) -> Vec<String> {
    let answer = project.run(&["tasks", "list", "--json"]).exits(0);
    assert_eq!(answer.stderr, "");
    let json = answer.json();
    let tasks = json["tasks"].as_array().unwrap().iter();
    let name = |task: &serde_json::Value| {
        assert!(task["summary"].is_string());
        task["name"].as_str().unwrap().to_owned()
    };
    tasks.map(name).collect()
}

#[test]
fn tasks_are_listed() {
    let names = task_names(&Project::new());
    assert!(names.is_sorted());
    for name in ["command", "go_nogo", "npz", "perceptual_decision"] {
        assert!(names.iter().any(|task| task == name), "{name}");
    }
}

#[test]
fn every_task_is_described() {
    let project = Project::new();
    for task in task_names(&project) {
        let answer = project.run(&["tasks", "describe", &task]).exits(0);
        assert!(
            answer.stdout.starts_with(&format!("# {task}\n")),
            "{answer:#?}"
        );
        assert!(answer.stdout.contains("## Options"), "{answer:#?}");
    }
    let unknown = project.run(&["tasks", "describe", "go_nog"]).exits(2);
    unknown.says(&["error[C011]", "help: ", "go_nogo"]);
}

#[test]
fn a_task_is_drawn() {
    let project = Project::new();
    let preview = |arguments: &[&str]| project.run(&[&["tasks", "preview"], arguments].concat());
    preview(&["go_nogo"]).exits(0);
    let svg = project.text("go_nogo.svg");
    for text in ["go cue", "stimulus", "mask", "time (ms)"] {
        assert!(svg.contains(&format!(">{text}</text>")), "{text}");
    }
    preview(&["go_nogo", "--trials", "1", "-o", "one.png"]).exits(0);
    assert!(project.bytes("one.png").starts_with(b"\x89PNG"));
    preview(&["go_nogo", "-o", "fig.pdf"]).exits(0);
    assert!(project.bytes("fig.pdf").starts_with(b"%PDF-"));
    preview(&["go_nogo", "-o", "fig.eps"])
        .exits(2)
        .says(&["error[C031]", "help: write to fig.svg"]);
    preview(&["npz"]).exits(2).says(&["task.npz.files"]);
    let delay = "task.go_nogo.delay_ms=110";
    preview(&["go_nogo", delay])
        .exits(2)
        .says(&["error[C014]", "the nearest are 100 and 120"]);
    preview(&["go_nogo", "task.sine={}"])
        .exits(2)
        .says(&["error[C019]", "its options begin with task.go_nogo."]);
    preview(&["command", "command=[\"python3\"]"])
        .exits(2)
        .says(&[
            "error[C019]",
            "write the key in full: task.command.command=VALUE",
        ]);
}

/// 100 + 200 + 400 + 200 ms are 45 time steps.
#[test]
fn exported_trials_are_those_of_the_options() {
    let project = Project::new();
    let export = ["tasks", "export", "go_nogo", "--trials", "2", "-o", "t.npz"];
    let delay = ["task.go_nogo.delay_ms=400"];
    project.run(&[&export[..], &delay].concat()).exits(0);
    let trials = project.arrays("t.npz");
    assert_eq!(trials["n_steps"].to_f64(), Ok(vec![45.0, 45.0]));
}

/// With a threshold that every output exceeds, the decision comes in the first time step of the evidence.
#[test]
fn evaluation_tells_reaction_times() {
    let project = Project::new();
    project.write(
        "rt.toml",
        "[task.perceptual_decision_reaction_time]\n[model]\nn_units = 4\n\
         [train]\nsteps = 0\n[validate]\ntrials = 11\n", // all conditions
    );
    let train = ["train", "rt.toml", "--run-dir", "rt"];
    project.run(&train).exits(0);
    let high = "task.perceptual_decision_reaction_time.high=99";
    let threshold = "task.perceptual_decision_reaction_time.threshold=98";
    let eval = ["eval", "rt", high, threshold, "--json"];
    let found = project.run(&eval).exits(0).json();
    assert!(found.get("reaction_ms").is_none(), "no output exceeds 98");

    let low = "task.perceptual_decision_reaction_time.low=-9";
    let threshold = "task.perceptual_decision_reaction_time.threshold=-8";
    let eval = ["eval", "rt", low, threshold];
    let found = project
        .run(&[&eval[..], &["--json"]].concat())
        .exits(0)
        .json();
    assert_eq!(found["reaction_ms"], 20.0);
    let by = &found["by"];
    assert_eq!(by["coh"]["0.512"]["reaction_ms"], 20.0);
    assert!(by["catch"]["1"].get("reaction_ms").is_none());
    let table = project.run(&eval).exits(0).stdout;
    assert!(table.contains("reaction time 20 ms"), "{table}");
}

/// Exported trials are trials that can be trained on.
#[test]
fn exported_trials_are_trained_on() {
    let project = Project::new();
    let export = [
        "tasks",
        "export",
        "go_nogo",
        "--trials",
        "6",
        "--seed",
        "3",
        "-o",
        "trials.npz",
    ];
    project.run(&export).exits(0);

    let trials = project.arrays("trials.npz");
    let [n_trials, n_steps, n_inputs] = shape(&trials, "inputs").try_into().unwrap();
    assert_eq!((n_trials, n_inputs), (6, 3));
    assert_eq!(shape(&trials, "targets"), [6, n_steps, 2]);
    assert_eq!(shape(&trials, "mask"), [6, n_steps]);
    assert_eq!(shape(&trials, "n_steps"), [6]);
    assert_eq!(shape(&trials, "cond_go"), [6]);
    assert_eq!(trials["dt_ms"].to_f64(), Ok(vec![20.0]));

    let files = "task.npz.files=[\"trials.npz\"]";
    project.train("run", &[files, "train.steps=2"]).exits(0);
    let evaluated = project.run(&["eval", "run", "--json"]).exits(0).json();
    assert_eq!(
        evaluated["trials"], 1,
        "a fifth of six, rounded to at least one"
    );
}

#[test]
fn check_finds_the_sizes_and_writes_nothing() {
    let project = Project::new();
    let before = project.tree("");
    let answer = project
        .run(&["check", "smoke.toml", "model.n_units=10", "--json"])
        .exits(0);
    let found = answer.json();
    assert_eq!(
        (&found["n_inputs"], &found["n_outputs"]),
        (&json!(3), &json!(2))
    );
    // w_in 10*3, w_rc 10*10, b 10, w_out 2*10, b_out 2, initial state 10
    assert_eq!(found["parameters"], 172);
    assert_eq!(found["max_steps_in_a_trial"], 30, "600 ms of 20 ms");
    assert!(project.tree("") == before);
}

#[test]
fn training_reports_one_json_object_on_stdout() {
    let project = Project::new();
    let answer = project.train("run", &["train.steps=10", "--json"]).exits(0);
    let found = answer.json();
    assert_eq!(
        (&found["run"], &found["step"], &found["exit_code"]),
        (&json!("run"), &json!(10), &json!(0))
    );
}

#[test]
fn progress_without_a_terminal_is_plain_lines() {
    let project = Project::new();
    let answer = project.train("run", &["train.steps=10"]).exits(0);
    assert_eq!(answer.stdout, "");
    assert!(
        answer.stderr.contains("step 10  val loss 0."),
        "{answer:#?}"
    );
    assert!(!answer.stderr.contains(['\r', '\x1b']), "{answer:#?}");

    let quiet = project
        .train("quiet", &["train.steps=10", "--quiet"])
        .exits(0);
    assert_eq!((quiet.stdout, quiet.stderr), (String::new(), String::new()));
}

#[test]
fn evaluation_tells_accuracy_by_condition() {
    let project = Project::new();
    project.train("run", &["train.steps=1"]).exits(0);
    let answer = project
        .run(&["eval", "run", "--trials", "10", "--json"])
        .exits(0);
    let found = answer.json();
    assert_eq!(found["trials"], 10);
    let keys: Vec<&String> = found.as_object().unwrap().keys().collect();
    let expected = [
        "accuracy",
        "by",
        "confusion",
        "loss",
        "noise",
        "step",
        "trials",
        "trials_from",
        "worst",
    ];
    assert_eq!(keys, expected);
    let confusion = &found["confusion"];
    assert_eq!(confusion["choices"], json!(["fixation", "go"]));
    let rows = confusion["counts"].as_array().unwrap().iter();
    let sum = |row: &serde_json::Value| {
        row.as_array()
            .unwrap()
            .iter()
            .filter_map(serde_json::Value::as_u64)
            .sum()
    };
    let of_rows: Vec<u64> = rows.map(sum).collect();
    assert_eq!(of_rows, [5, 5], "five trials for each correct choice");
    let by = &found["by"]["go"];
    assert_eq!(
        (&by["0"]["trials"], &by["1"]["trials"]),
        (&json!(5), &json!(5))
    );
    let mean =
        (by["0"]["accuracy"].as_f64().unwrap() + by["1"]["accuracy"].as_f64().unwrap()) / 2.0;
    assert_eq!(
        found["accuracy"].as_f64(),
        Some(mean),
        "both conditions have five trials"
    );
    let least = ["0", "1"].map(|go| by[go]["accuracy"].as_f64().unwrap());
    let worst = &found["worst"];
    assert_eq!(
        worst["accuracy"].as_f64(),
        least.into_iter().reduce(f64::min)
    );
    assert_eq!(worst["trials"], 5);
}

/// The conditions of a test are its own: forced by overrides, and the correct answers follow.
#[test]
fn evaluation_takes_any_grid_of_conditions() {
    let project = Project::new();
    project.train("run", &["train.steps=1"]).exits(0);
    let eval = [
        "eval",
        "run",
        "--trials",
        "6",
        "--json",
        "task.go_nogo.go_fraction=1",
    ];
    let by = project.run(&eval).exits(0).json()["by"]["go"].clone();
    assert_eq!(by["1"]["trials"], 6, "{by}");

    let decision =
        "[task.perceptual_decision]\nfixation_ms = 100\nstimulus_ms = 200\nresponse_ms = 100\n";
    let decision = format!(
        "{decision}[model]\nn_units = 8\n[train]\nsteps = 1\nbatch_size = 4\n[validate]\ntrials = 4\n"
    );
    project.write("decision.toml", &decision);
    let train = ["train", "decision.toml", "--run-dir", "decision"];
    project.run(&train).exits(0);
    let grid = "task.perceptual_decision.coherences=[0.1, 0.3]";
    let eval = ["eval", "decision", "--trials", "8", "--json", grid];
    let by = project.run(&eval).exits(0).json()["by"]["coh"].clone();
    let values: Vec<&String> = by.as_object().unwrap().keys().collect();
    assert!(
        values
            .iter()
            .all(|v| v.contains("0.1") || v.contains("0.3")),
        "{by}"
    );
    let table = project.run(&["eval", "decision", "--trials", "8"]).exits(0);
    assert!(table.stdout.contains("chosen"), "{table:?}");
}

/// Trials without a correct answer are counted, but not in the accuracy; conditions are named as they were written.
#[test]
fn evaluation_leaves_out_trials_without_an_answer() {
    let project = Project::new();
    let coherence = [0.0, 6.4, 12.8, 0.0, 6.4, 12.8, 0.0, 6.4, 12.8, 0.0];
    let inputs = Array::f32(&[10, 2, 1], vec![1.0; 20]);
    let labels = Array::i64(&[10, 2], vec![1; 20]);
    let coherence = Array::f32(&[10], coherence.to_vec());
    project.write_arrays(
        "trials.npz",
        [
            ("inputs", inputs),
            ("labels", labels),
            ("cond_coh", coherence),
        ],
    );
    let task = "task.npz={files=[\"trials.npz\"],no_answer={coh=[0]},validation_fraction=0.9}";
    project.train("run", &[task, "train.steps=1"]).exits(0);

    let found = project.run(&["eval", "run", "--json"]).exits(0).json();
    let by = found["by"]["coh"].as_object().unwrap();
    assert_eq!(by.keys().collect::<Vec<_>>(), ["0", "12.8", "6.4"]);
    assert_eq!(by["0"]["accuracy"], json!(null));
    assert!(by["6.4"]["accuracy"].is_number());
}

#[test]
fn evaluation_takes_a_checkpoint() {
    let project = Project::new();
    project.train("run", &["train.steps=10"]).exits(0);
    let eval =
        |checkpoint: &[&str]| project.run(&[&["eval", "run", "--json"], checkpoint].concat());
    let now = eval(&[]).exits(0).stdout;
    assert_eq!(eval(&["--checkpoint", "last"]).exits(0).stdout, now);
    assert_eq!(eval(&["--checkpoint", "10"]).exits(0).stdout, now);
    assert_ne!(eval(&["--checkpoint", "5"]).exits(0).stdout, now);
    eval(&["--checkpoint", "7"])
        .exits(4)
        .says(&["error[D", "steps 5, 10"]);
    let other = ["eval", "run", "model.n_units=9"];
    project.run(&other).exits(2).says(&[
        "error[C019]: model.n_units",
        "command line:1:1",
        "help: ",
    ]);
}

#[test]
fn simulated_trials_hold_every_array() {
    let project = Project::new();
    project.train("run", &["train.steps=1"]).exits(0);
    let simulate = ["simulate", "run", "--trials", "4", "-o", "states.npz"];
    project.run(&simulate).exits(0);

    let states = project.arrays("states.npz");
    let names: Vec<&String> = states.keys().collect();
    assert_eq!(
        names,
        [
            "choice",
            "choice_names",
            "cond_go",
            "correct",
            "correct_choice",
            "epoch_names",
            "epoch_steps",
            "input_names",
            "inputs",
            "mask",
            "n_steps",
            "output_names",
            "outputs",
            "potentials",
            "rates",
            "readme",
            "t_ms",
            "targets",
            "unit_names"
        ]
    );
    assert_eq!(shape(&states, "epoch_steps")[..1], [4]);
    assert_eq!(
        shape(&states, "readme"),
        [names.len()],
        "one line about each array"
    );
    assert_eq!(shape(&states, "potentials"), [4, 30, 8]);
    assert_eq!(shape(&states, "rates"), [4, 30, 8]);
    assert_eq!(shape(&states, "inputs"), [4, 30, 3]);
    assert_eq!(shape(&states, "outputs"), [4, 30, 2]);
    assert_eq!(shape(&states, "targets"), [4, 30, 2]);
    assert_eq!(shape(&states, "mask")[..2], [4, 30]);
    assert_eq!(shape(&states, "cond_go"), [4]);
    let t_ms = states["t_ms"].to_f64().unwrap();
    assert_eq!(
        (t_ms[0], t_ms[29]),
        (20.0, 600.0),
        "states are those after the input"
    );
    let rates = states["rates"].to_f64().unwrap();
    assert!(rates.iter().all(|&rate| rate >= 0.0), "relu");
}

/// Half the time step, twice the states.
#[test]
fn a_network_is_simulated_at_another_time_step() {
    let project = Project::new();
    project.train("run", &["train.steps=0"]).exits(0);
    let simulate = ["simulate", "run", "time.dt_ms=10", "-o", "states.npz"];
    project.run(&simulate).exits(0);
    assert_eq!(shape(&project.arrays("states.npz"), "rates"), [2, 60, 8]);
}

#[test]
fn init_makes_a_project_that_trains() {
    let project = Project::new();
    project
        .run(&["init", "mine"])
        .exits(0)
        .says(&["cd mine && train-ctrnn train "]);
    let config = project
        .tree("mine")
        .into_keys()
        .find(|name| name.ends_with(".toml"))
        .expect("a configuration");
    let train = [
        "train",
        &format!("mine/{config}"),
        "--run-dir",
        "run",
        "train.steps=1",
        "validate.trials=10",
    ];
    project.run(&train).exits(0);

    let before = project.tree("mine");
    project
        .run(&["init", "mine"])
        .exits(5)
        .says(&["exists already", "help: "]);
    assert!(project.tree("mine") == before, "nothing is overwritten");
}

#[test]
fn configurations_are_shown_and_explained() {
    let project = Project::new();
    let shown = project
        .run(&["config", "show", "smoke.toml", "model.n_units=9"])
        .exits(0);
    for line in ["n_units = 9\n", "tau_ms = 100.0\n"] {
        assert!(shown.stdout.contains(line), "{shown:#?}");
    }

    let schema = project.run(&["config", "schema"]).exits(0).json();
    assert!(schema["properties"]["model"].is_object());

    let explained = project.run(&["config", "explain", "tau_ms"]).exits(0);
    assert_snapshot!(explained.stdout, @r#"
        model.tau_ms: a number or a list or a table
          Time constants of the units in ms, at least `time.dt_ms` under Euler's integrator. A number holds for all units, a list has one value for each, `{ e = 100, i = 50 }` one for each cell type of `model.dale` (e and i may also be distributions). `{ uniform = [50, 200] }` and `{ lognormal = { median = 100, sigma = 0.5, min = 40, max = 400 } }` draw one for each unit (sigma is the standard deviation of ln tau; the law is cut off at min and max). `{ learned = { initial = 100.0, bounds = [20, 500], per_unit = true } }` trains them: with bounds [lo, hi], tau = lo + (hi - lo) / (1 + exp(-raw)), and raw is the parameter, so that tau stays within the bounds and alpha within (0, 1] at every step of any optimizer; `initial` is any of the other kinds, `per_unit = false` trains one for all. 100 ms is the choice of Song et al. (2016) and Yang et al. (2019); different and learned ones are those of Perez-Nieves et al. (2021).
          default: 100.0
          unit:    ms
          range:   above 0
          keys:
            e          Those of excitatory units in ms: a number, uniform or lognormal
            i          Those of inhibitory units in ms
            learned    Time constants that are trained within bounds
            lognormal  A normal ln tau, cut off at both ends
            uniform    Smallest and largest value in ms
        `train-ctrnn config explain model.tau_ms.KEY` explains a key
        "#);
    let listed = project.run(&["config", "explain"]).exits(0).stdout;
    for table in [
        "checkpoint  Checkpoints during training",
        "model       The network: ",
    ] {
        assert!(listed.contains(table), "{listed}");
    }
    let listed = project
        .run(&["config", "explain", "model.dale"])
        .exits(0)
        .stdout;
    assert!(
        listed.contains("parametrization      Parametrization of a weight W of sign s"),
        "{listed}"
    );
    let of_a_task = ["config", "explain", "task.go_nogo.delay_ms"];
    let explained = project.run(&of_a_task).exits(0);
    assert!(explained.stdout.contains("unit:    ms"), "{explained:#?}");
    let unknown = project.run(&["config", "explain", "sigma_rec"]).exits(2);
    unknown.says(&[
        "error[C001]",
        r#"did you mean "model.noise.preactivation"?"#,
    ]);
}

#[test]
fn names_that_are_nearly_right_are_recognised() {
    let project = Project::new();
    project.train("run", &["train.steps=0"]).exits(0);
    for (arguments, says) in [
        (
            &["plot", "run", "psychometrics", "-o", "a.svg"][..],
            "did you mean psychometric?",
        ),
        (
            &["analyze", "run", "fixedpoints"],
            "did you mean fixed_points?",
        ),
        (
            &["tasks", "describe", "rdm"],
            "did you mean perceptual_decision?",
        ),
        (
            &["tasks", "describe", "mante"],
            "did you mean context_decision?",
        ),
        (
            &["tasks", "describe", "DMS"],
            "did you mean delayed_match_to_sample?",
        ),
        (
            &["check", "smoke.toml", "task.dms.delay_ms=4"],
            "did you mean \"delayed_match_to_sample\"?",
        ),
    ] {
        project.run(arguments).exits(2).says(&[says]);
    }
    for unknown in ["train.loss.mine=1", "model.stp=1"] {
        let answer = project.run(&["check", "smoke.toml", unknown]).exits(2);
        assert!(!answer.stderr.contains("did you mean"), "{answer:#?}");
    }
    let mixing = project
        .run(&["tasks", "describe", "multitask"])
        .exits(0)
        .stdout;
    assert!(
        mixing.contains("  * `blocks`: The tasks take turns"),
        "{mixing}"
    );
}

#[test]
fn configurations_are_compared_by_their_values() {
    let project = Project::new();
    project
        .train(
            "run",
            &[
                "train.steps=1",
                "train.stop={metric=\"val.loss\",at_most=0}",
            ],
        )
        .exits(0);
    project.write(
        "same.toml",
        format!("# a comment\n{}", crate::project::SMOKE),
    );

    let diff = |a, b| project.run(&["config", "diff", a, b]).exits(0).stdout;
    assert_eq!(diff("smoke.toml", "same.toml"), "no differences\n");
    let found = diff("run", "smoke.toml");
    assert!(
        found.contains("model.n_units: 8 (command line) | 32 (file)\n"),
        "{found}"
    );
    assert!(
        found.contains("checkpoint.every_steps: 5 (command line) | "),
        "{found}"
    );
    assert!(found.contains("train.stop: "), "{found}");
    assert!(found.contains(" | absent\n"), "{found}");
    assert!(!found.contains("model.tau_ms"), "{found}");

    let json = project
        .run(&["config", "diff", "run", "smoke.toml", "--json"])
        .exits(0)
        .json();
    assert_eq!(json["same"], false);
    let keys = json["differences"].as_array().unwrap();
    let units = keys.iter().find(|d| d["key"] == "model.n_units").unwrap();
    assert_eq!(
        units["left"],
        json!({ "value": 8, "origin": "command line" })
    );

    project
        .run(&["config", "diff", "run", "nothing.toml"])
        .exits(2)
        .says(&["error[C007]"]);
    std::fs::create_dir(project.path("empty")).unwrap();
    project
        .run(&["config", "diff", "run", "empty"])
        .exits(4)
        .says(&["error[D001]", "is not a run"]);
}

#[test]
fn the_program_documents_itself() {
    let project = Project::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let answer = project.run(&["completions", shell]).exits(0);
        assert!(answer.stdout.contains("simulate"), "{shell}");
    }
    let manual = project.run(&["man"]).exits(0).stdout;
    assert!(manual.contains(".TH train-ctrnn 1"), "{manual}");
    let info = project.run(&["info", "--json"]).exits(0).json();
    assert!(info["backends"].as_array().unwrap().contains(&json!("cpu")));
}

/// Results of every command that has some are one JSON value, and nothing else is on stdout.
#[test]
fn json_is_all_there_is_on_stdout() {
    let project = Project::new();
    project.train("run", &["train.steps=1"]).exits(0);
    for arguments in [
        &["simulate", "run", "-o", "states.npz"][..],
        &[
            "tasks",
            "export",
            "go_nogo",
            "--trials",
            "2",
            "-o",
            "trials.npz",
        ],
        &["tasks", "describe", "go_nogo"],
        &["tasks", "preview", "go_nogo", "-o", "fig.svg"],
        &["init", "mine"],
        &["config", "show", "run"],
        &["config", "diff", "run", "smoke.toml"],
        &["ckpt", "list", "run"],
        &["ckpt", "verify", "run"],
        &["ckpt", "show", "run"],
        &["ckpt", "prune", "run"],
        &["config", "explain", "model.tau_ms"],
    ] {
        let answer = project.run(&[arguments, &["--json"]].concat()).exits(0);
        assert!(answer.json().is_object(), "{arguments:?}: {answer:#?}");
    }
}
