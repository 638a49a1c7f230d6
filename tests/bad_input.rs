//! Every mistake has its message, its place, a remedy and its exit code, and leaves nothing behind.
//!
//! In the tables, `«` and `»` stand around what the caret has to point at; the program never sees them.

use ctrnn_files::Array;

use crate::project::{Answer, Project, SMOKE};

/// One mistake in a training that is otherwise right: `train smoke.toml`.
struct Mistake {
    name: &'static str,
    /// What is written into `smoke.toml`, and in which line's place; nothing where the line is empty.
    line: (&'static str, &'static str),
    /// What follows on the command line.
    arguments: &'static [&'static str],
    /// What stderr has to say, besides the places.
    says: &'static [&'static str],
}

/// A mistake in the file.
const fn file(
    name: &'static str,
    line: (&'static str, &'static str),
    says: &'static [&'static str],
) -> Mistake {
    Mistake {
        name,
        line,
        arguments: &[],
        says,
    }
}

/// A mistake on the command line.
const fn overrides(
    name: &'static str,
    arguments: &'static [&'static str],
    says: &'static [&'static str],
) -> Mistake {
    Mistake {
        name,
        line: ("", ""),
        arguments,
        says,
    }
}

const MISTAKES: &[Mistake] = &[
    // Keys
    file(
        "misspelt key",
        ("n_units", "«n_unit» = 32"),
        &[
            "error[C001]: unknown key model.n_unit",
            r#"help: did you mean "n_units"?"#,
        ],
    ),
    file(
        "key of another tool",
        ("n_units", "«hidden» = 32"),
        &["error[C001]", r#"did you mean "n_units"?"#],
    ),
    file(
        "key of another table",
        ("batch_size", "«learning_rate» = 1e-3"),
        &["error[C001]", r#"did you mean "train.optimizer.lr"?"#],
    ),
    file(
        "misspelt table",
        ("[model]", "[«modle»]"),
        &["error[C001]: unknown key modle", r#"did you mean "model"?"#],
    ),
    file(
        "misspelt key of the task",
        ("delay_ms", "«dealy_ms» = 100"),
        &["error[C001]", r#"did you mean "delay_ms"?"#],
    ),
    overrides(
        "key without its unit",
        &["task.go_nogo.«delay»=3"],
        &["error[C001]", r#"did you mean "delay_ms"?"#],
    ),
    overrides(
        "balance without inhibition",
        &[
            "model.dale={excitatory_fraction=1.0}",
            "model.init.balance=\"row\"",
        ],
        &[
            "error[C016]: the recurrent weights cannot be balanced",
            "help: model.init.balance=none",
        ],
    ),
    file(
        "misspelt kind of duration",
        ("delay_ms", "delay_ms = { «unifrom» = [100, 200] }"),
        &["error[C001]", r#"did you mean "uniform"?"#],
    ),
    // Types
    file(
        "string for an integer",
        ("n_units", r#"n_units = «"many"»"#),
        &[
            "error[C002]: model.n_units must be an integer",
            "help: the default is model.n_units = 128",
        ],
    ),
    file(
        "fraction for an integer",
        ("n_units", "n_units = «32.5»"),
        &["error[C002]: model.n_units must be an integer"],
    ),
    file(
        "string for a duration",
        ("delay_ms", r#"delay_ms = «"100ms"»"#),
        &["error[C002]: task.go_nogo.delay_ms must be a number or a table"],
    ),
    overrides(
        "number for a table",
        &["model=«8»"],
        &[
            "error[C002]: model must be a table",
            "help: Keys of [model]:",
        ],
    ),
    // Words
    file(
        "unknown task",
        ("[task.go_nogo]", "[task.«go_noogo»]"),
        &[
            "error[C011]: unknown task go_noogo",
            r#"help: did you mean "go_nogo"?"#,
        ],
    ),
    file(
        "unknown activation",
        ("n_units", "activation = «\"tahn\"»"),
        &[
            r#"error[C003]: "tahn" is not an activation"#,
            r#"help: did you mean "tanh"?"#,
        ],
    ),
    file(
        "unknown optimizer",
        ("steps", r#"optimizer = { name = «"adm"» }"#),
        &[
            r#"error[C003]: "adm" is not an optimizer"#,
            r#"help: did you mean "adam"?"#,
        ],
    ),
    overrides(
        "unknown form",
        &["model.form=«volt»"],
        &[
            r#"error[C003]: "volt" is not a form"#,
            r#""voltage", "rate""#,
        ],
    ),
    overrides(
        "unknown convention",
        &["model.noise.convention=«sing»"],
        &["error[C003]", r#"did you mean "song"?"#],
    ),
    overrides(
        "unknown metric",
        &["checkpoint.best=«val.acc»"],
        &["error[C003]", r#""val.loss", "val.accuracy""#],
    ),
    // Losses and training
    overrides(
        "unknown loss",
        &["train.loss.name=«\"mae\"»"],
        &["error[C003]: \"mae\" is not a loss", "\"bce\""],
    ),
    overrides(
        "unknown penalty",
        &["train.loss.«rate_l»=1"],
        &["error[C001]: unknown key train.loss.rate_l", "rate_l1"],
    ),
    overrides(
        "unknown normalisation",
        &["train.loss.normalisation=«\"trial\"»"],
        &["error[C003]", "did you mean \"trials\"?"],
    ),
    overrides(
        "warm-up longer than the run",
        &["train.schedule.warmup_steps=«9999»"],
        &[
            "error[C025]: a warm-up of 9999 steps is longer than the run",
            "help: ",
        ],
    ),
    overrides(
        "unknown schedule",
        &["train.schedule.name=«\"linear\"»"],
        &["error[C003]: \"linear\" is not a schedule", "\"cosine\""],
    ),
    overrides(
        "learning rate of what is not trained",
        &[
            "model.initial_state=\"zero\"",
            "train.groups.initial_state=«{lr=1e-4}»",
        ],
        &[
            "error[C025]: train.groups.initial_state has a learning rate",
            "help: ",
        ],
    ),
    overrides(
        "two ways of clipping",
        &["train.clip_grad_norm=«1.0»", "train.clip_grad_value=«0.1»"],
        &["error[C025]: the gradient is clipped in one way", "help: "],
    ),
    overrides(
        "unknown way to handle errors",
        &["checkpoint.on_error=«ignore»"],
        &[
            r#"error[C003]: "ignore" is not a way to handle errors"#,
            r#""stop", "retry""#,
        ],
    ),
    overrides(
        "no best checkpoint",
        &["checkpoint.keep_best=«0»"],
        &["error[C004]: checkpoint.keep_best = 0 must be"],
    ),
    overrides(
        "a rate that does not shrink",
        &["train.divergence.lr_factor=«1»"],
        &["error[C004]: train.divergence.lr_factor = 1 must be"],
    ),
    // Tasks
    file(
        "two tasks",
        ("[validate]", "[task.«perceptual_decision»]\n[validate]"),
        &["error[C013]: a run has one task", "help: keep one of them"],
    ),
    overrides(
        "no task",
        &["task=none"],
        &["error[C012]", "help: add a table of its name"],
    ),
    // Time
    file(
        "time step longer than tau",
        ("[model]", "[time]\ndt_ms = «20»\n[model]\ntau_ms = «10»"),
        &[
            "error[C015]: time.dt_ms = 20 is longer than model.tau_ms = 10",
            "the time step",
            "the time constant",
            "help: alpha = dt / tau must lie in (0, 1]",
        ],
    ),
    overrides(
        "time step longer than tau, overridden",
        &["model.tau_ms=«10»"],
        &["error[C015]"],
    ),
    overrides(
        "no time step",
        &["time.dt_ms=«0»"],
        &["error[C004]: time.dt_ms = 0 must be above 0"],
    ),
    overrides(
        "time step beyond every duration",
        &[
            "time.dt_ms=1e9",
            "model.tau_ms=1e9",
            "task.go_nogo.delay_ms=«100»",
        ],
        &[
            "error[C014]: task.go_nogo.delay_ms: 100 ms is not a multiple of dt_ms = 1000000000; the nearest are 0 and 1000000000",
        ],
    ),
    overrides(
        "time constant beside which a step is nothing",
        &["time.dt_ms=«1e-30»", "model.tau_ms=«1e20»"],
        &["error[C015]: alpha = dt / tau is 0 in single precision for 1e-30 ms and 1e20 ms"],
    ),
    overrides(
        "beyond single precision",
        &["train.clip_grad_norm=«1e39»"],
        &[
            "error[C004]: train.clip_grad_norm = 1e39 must be at most 3.4e38: networks compute in single precision",
        ],
    ),
    overrides(
        "zero in single precision",
        &["train.optimizer.eps=«1e-300»"],
        &[
            "error[C004]: train.optimizer.eps = 1e-300 must be at least 1.2e-38: networks compute in single precision, where it is 0",
        ],
    ),
    overrides(
        "one in single precision",
        &["train.optimizer.betas=[0.9,«0.99999999»]"],
        &[
            "error[C004]: train.optimizer.betas[1] = 0.99999999 is 1 in single precision, in which networks compute",
        ],
    ),
    overrides(
        "metric that is never measured",
        &[
            "task.white_noise={}",
            "train.stop={metric=«\"val.accuracy\"»,patience=3}",
        ],
        &[
            "error[C025]: train.stop.metric = \"val.accuracy\" can never be measured: no validation trial has a correct answer",
            "help: this task has no correct answers: use val.loss (train.stop.metric = \"val.loss\")",
        ],
    ),
    file(
        "off the grid",
        ("delay_ms", "delay_ms = «110»"),
        &[
            "error[C014]: task.go_nogo.delay_ms: 110 ms is not a multiple of dt_ms = 20; the nearest are 100 and 120",
        ],
    ),
    overrides(
        "off the grid, overridden",
        &["task.go_nogo.delay_ms=«110»"],
        &["error[C014]", "the nearest are 100 and 120"],
    ),
    file(
        "bound off the grid",
        ("delay_ms", "delay_ms = { uniform = «[100, 250]» }"),
        &["error[C014]", "250 ms is not a multiple"],
    ),
    file(
        "bounds the wrong way",
        ("delay_ms", "delay_ms = { uniform = «[300, 100]» }"),
        &["error[C014]", "give the shorter duration first"],
    ),
    file(
        "negative duration",
        ("delay_ms", "delay_ms = «-100»"),
        &["error[C004]", "must be at least 0"],
    ),
    file(
        "no time to respond",
        ("response_ms", "response_ms = «0»"),
        &["error[C014]"],
    ),
    // Numbers
    overrides(
        "learning rate nan",
        &["train.optimizer.lr=«nan»"],
        &["error[C004]: train.optimizer.lr = nan must be a finite number"],
    ),
    file(
        "learning rate nan in the file",
        ("steps", "optimizer = { lr = «nan» }"),
        &["error[C004]: train.optimizer.lr = nan must be a finite number"],
    ),
    overrides(
        "learning rate infinite",
        &["train.optimizer.lr=«inf»"],
        &["error[C004]"],
    ),
    overrides(
        "learning rate zero",
        &["train.optimizer.lr=«0»"],
        &["error[C004]"],
    ),
    file(
        "empty batch",
        ("batch_size", "batch_size = «0»"),
        &[
            "error[C004]: train.batch_size = 0 must be at least 1",
            "help: the default is train.batch_size = 64",
        ],
    ),
    overrides(
        "no unit",
        &["model.n_units=«0»"],
        &["error[C004]: model.n_units = 0 must be at least 1"],
    ),
    overrides(
        "negative seed",
        &["seed=«-1»"],
        &["error[C004]: seed = -1 must be at least 0"],
    ),
    overrides(
        "negative noise",
        &["model.noise.preactivation=«-1»"],
        &["error[C004]"],
    ),
    overrides(
        "negative input noise",
        &["task.go_nogo.input_noise=«-1»"],
        &["error[C0"],
    ),
    overrides(
        "momentum of one",
        &["train.optimizer={name=\"sgd\",momentum=«1.0»}"],
        &["error[C004]", "must be below 1"],
    ),
    overrides(
        "spectral radius of zero weights",
        &[
            "model.init.recurrent=«zero»",
            "model.init.spectral_radius=«1»",
        ],
        &["error[C016]", "help: remove model.init.spectral_radius"],
    ),
    overrides(
        "initial state of another size",
        &["model.initial_state=«[1,2]»"],
        &["error[C016]: model.initial_state has 2 numbers for 32 units"],
    ),
    overrides(
        "time constants of another size",
        &["model.tau_ms=«[100,50]»"],
        &["error[C004]: model.tau_ms = a list of 2 must have a number for each unit"],
    ),
    overrides(
        "learned time constants without bounds",
        &["model.tau_ms={«learned»={initial=100}}"],
        &["error[C005]: model.tau_ms.learned.bounds is missing"],
    ),
    overrides(
        "learned time constants that begin at a bound",
        &["model.tau_ms=«{learned={initial=20,bounds=[20,500]}}»"],
        &["error[C004]: model.tau_ms.learned.initial = 20 ms must lie strictly within the bounds"],
    ),
    overrides(
        "covariance of another size",
        &["model.noise.preactivation=«{covariance=[[1]]}»"],
        &["error[C004]", "must have a row and a column for each unit"],
    ),
    overrides(
        "noise of a carried state",
        &[
            "model.initial_state=«carry»",
            "model.noise.initial_state=«0.1»",
        ],
        &["error[C016]: a carried initial state takes no noise"],
    ),
    overrides(
        "answer that does not fit the loss",
        &[
            "model.output_nonlinearity=«sigmoid»",
            "train.loss.name=«cross_entropy»",
        ],
        &["error[C026]: the loss cross_entropy does not fit"],
    ),
    overrides(
        "softmax of one output",
        &["task.sine={}", "model.output_nonlinearity=«softmax»"],
        &[
            "error[C026]: the softmax of a single output is 1 whatever the network does",
            "help: write model.output_nonlinearity = \"sigmoid\"",
        ],
    ),
    overrides(
        "penalty on other weights than there are",
        &["train.loss.weight_l2={recurrent=1,on=«\"effectiv\"»}"],
        &["error[C003]", "did you mean \"effective\"?"],
    ),
    overrides(
        "stop without a bound",
        &["train.«stop».metric=val.accuracy"],
        &["error[C017]", "at_least = 0.9"],
    ),
    overrides(
        "stop beyond reach",
        &["train.stop={metric=\"val.accuracy\",at_least=«1.1»}"],
        &["error[C004]", "help: 90 % is written 0.9"],
    ),
    file(
        "another version",
        ("version", "version = «2»"),
        &["error[C008]: version = 2, but this build reads version 1"],
    ),
    // Overrides
    overrides(
        "no equals sign",
        &["«model.n_units»"],
        &[
            "error[C009]",
            "is not KEY=VALUE",
            "help: for instance model.n_units=64",
        ],
    ),
    overrides(
        "no value",
        &["model.n_units="],
        &["error[C009]", "has no value"],
    ),
    overrides("no key", &["=8"], &["error[C009]"]),
    overrides(
        "an open list",
        &["model.initial_state=[1,"],
        &[
            "error[C009]: not TOML",
            "help: put the whole override between single quotes",
        ],
    ),
    overrides(
        "wrong type",
        &["model.n_units=«abc»"],
        &["error[C002]: model.n_units must be an integer"],
    ),
    overrides(
        "key of a number",
        &["model.«n_units».x=8"],
        &["error[C009]", "help: "],
    ),
    overrides(
        "unknown key",
        &["model.«n_unit»=8"],
        &["error[C001]", r#"did you mean "n_units"?"#],
    ),
    overrides(
        "last part of a key",
        &["«lr»=8"],
        &["error[C001]", r#"did you mean "train.optimizer.lr"?"#],
    ),
    overrides(
        "repeated",
        &["«model.n_units»=8", "«model.n_units»=9"],
        &[
            "error[C010]: model.n_units is overridden twice",
            "help: keep one of them",
        ],
    ),
    overrides(
        "repeated by a flag",
        &["«seed»=3", "--seed", "4"],
        &["error[C010]: seed is overridden twice"],
    ),
    overrides(
        "set and removed",
        &[
            "~«train.stop»",
            "«train.stop»={metric=\"val.loss\",at_most=1}",
        ],
        &["error[C010]: train.stop is overridden twice"],
    ),
    overrides(
        "unknown device",
        &["--device", "tpu"],
        &[r#"error[C003]: "tpu" is not a backend"#, r#""cpu", "wgpu""#],
    ),
];

/// `smoke.toml` with a line replaced.
fn edited((line, by): (&str, &str)) -> String {
    if line.is_empty() {
        return SMOKE.to_owned();
    }
    let is_it = |text: &&str| text.starts_with(line);
    assert_eq!(
        SMOKE.lines().filter(is_it).count(),
        1,
        "{line} in smoke.toml"
    );
    let replace = |text| if is_it(&text) { by } else { text };
    SMOKE.lines().map(replace).collect::<Vec<_>>().join("\n")
}

/// Takes the marks out of a text; the places between them as `name:line:column`, with the carets under them.
fn unmarked(name: &str, text: &str) -> (String, Vec<(String, String)>) {
    let (mut places, mut lines) = (vec![], vec![]);
    for (line, text) in text.lines().enumerate() {
        let mut clean = String::new();
        for (i, part) in text.split(['«', '»']).enumerate() {
            if i % 2 == 1 {
                let column = clean.chars().count() + 1;
                let carets = "^".repeat(part.chars().count());
                places.push((format!("{name}:{}:{column}\n", line + 1), carets));
            }
            clean.push_str(part);
        }
        lines.push(clean);
    }
    (lines.join("\n"), places)
}

/// What is wrong with an answer to a mistake.
fn complaints(answer: &Answer, code: i32, says: &[&str]) -> Vec<String> {
    let mut complaints = vec![];
    let mut expect = |right: bool, complaint: String| (!right).then(|| complaints.push(complaint));
    expect(
        answer.code == Some(code),
        format!("exit code {:?}, expected {code}", answer.code),
    );
    expect(
        answer.stdout.is_empty(),
        format!("stdout: {}", answer.stdout),
    );
    expect(
        answer
            .stderr
            .lines()
            .find(|line| !line.starts_with("note: "))
            .is_some_and(|line| line.starts_with("error[")),
        "does not begin with error[".into(),
    );
    for part in ["help: "].iter().chain(says) {
        expect(
            answer.stderr.contains(part),
            format!("does not say {part:?}"),
        );
    }
    complaints
}

/// Runs the program and asserts its answer and that it wrote nothing.
#[track_caller]
fn assert_refused(project: &Project, arguments: &[&str], code: i32, says: &[&str]) {
    let before = project.tree("");
    let answer = project.run(arguments);
    let complaints = complaints(&answer, code, says);
    assert!(
        complaints.is_empty(),
        "{arguments:?}: {complaints:#?}\n{}",
        answer.stderr
    );
    assert!(project.tree("") == before, "{arguments:?} wrote something");
}

#[test]
fn every_mistake_is_explained_and_writes_nothing() {
    let project = Project::new();
    let mut failures = vec![];
    for mistake in MISTAKES {
        let (config, mut places) = unmarked("smoke.toml", &edited(mistake.line));
        project.write("smoke.toml", config);
        let before = project.tree("");
        let mut arguments = vec!["train".to_owned(), "smoke.toml".to_owned()];
        for argument in mistake.arguments {
            let (argument, in_it) = unmarked("command line", argument);
            arguments.push(argument);
            places.extend(in_it);
        }

        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let answer = project.run(&arguments);

        let mut wrong = complaints(&answer, 2, mistake.says);
        for (place, carets) in places {
            if !answer.stderr.contains(&place) || !answer.stderr.contains(&format!(" {carets}")) {
                wrong.push(format!("does not point at {}", place.trim_end()));
            }
        }
        if project.tree("") != before {
            wrong.push("wrote something".into());
        }
        if !wrong.is_empty() {
            failures.push(format!("{}: {wrong:#?}\n{}", mistake.name, answer.stderr));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn all_mistakes_of_a_file_are_reported_at_once() {
    let project = Project::new();
    project.write(
        "smoke.toml",
        "version = 1\n[task.go_nogo]\nfixation_ms = 110\n[model]\nn_unitz = 3\nactivation = 'tahn'\n\
         tau_ms = true\n[train]\nsteps = -1\noptimizer = { lr = nan }\n",
    );
    let answer = project
        .run(&["train", "smoke.toml", "train.batch_size=0"])
        .exits(2);
    let codes: Vec<&str> = answer
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("error["))
        .map(|line| &line[..4])
        .collect();
    assert_eq!(
        answer.stderr.matches("help: ").count(),
        7,
        "{}",
        answer.stderr
    );
    let mut sorted = codes.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        ["C001", "C002", "C003", "C004", "C004", "C004", "C014"],
        "{}",
        answer.stderr
    );
}

#[test]
fn a_configuration_that_cannot_be_read() {
    let project = Project::new();
    project.write("image.toml", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    project.write("notes.toml", "hello world\n");
    std::fs::create_dir(project.path("folder")).unwrap();
    for (config, says) in [
        (
            "missing.toml",
            [
                "error[C007]: cannot read missing.toml",
                "there is no such file",
            ],
        ),
        (
            "folder",
            ["error[C007]: cannot read folder", "it is a folder"],
        ),
        (
            "image.toml",
            ["error[C007]: cannot read image.toml", "it is not UTF-8"],
        ),
        ("notes.toml", ["error[C006]: not TOML", "notes.toml:1:"]),
    ] {
        for command in ["train", "check"] {
            assert_refused(&project, &[command, config], 2, &says);
        }
    }
}

const FILES: &str = r#"task.npz.files=["trials.npz"]"#;

/// `numpy.savez_compressed("trials.npz", inputs=numpy.array([[[None]]], dtype=object))`
const OBJECTS: &[u8] = b"\
    PK\x03\x04-\x00\x00\x00\x08\x00\x00\x00!\x00\x0b$\xcet\xff\xff\xff\xff\xff\xff\xff\xff\
    \x0a\x00\x14\x00inputs.npy\x01\x00\x10\x00\x19\x01\x00\x00\x00\x00\x00\x00\xc5\x00\x00\
    \x00\x00\x00\x00\x00\x9b\xec\x17\xea\x1b\x10\xc9\xc8P\xc6P\xad\x9e\x92Z\x9c\x5c\xa4n\
    \xa5\xa0^\xe3\xaf\xae\xa3\xa0\x9e\x96_TR\x94\x98\x17\x9f_\x94\x92\x0a\x12vK\xcc)N\x05\
    \x8a\x17g$\x16\xa4\x02\xf9\x1a\x86:\x0a \xa4\xa9\xa3P\xab@&\xe0j`\x99\xda\xc7\x00\x01=\
    by\xa5\xb9\x05\x95z\xf1\xc9\xf9E\xa9z\xb9\xa59%\x99\x89EE\x89\x95Szx\xe2\x8bR\x93\xf3\
    \xf3\x8aK\x8aJ\x93K\xa6L\x9e\xd2\xc3\x0aV9\xa5\x87=/\x05\xa2d\xf2\x14o\x86\xd6)\xce\
    \x8cIS\xda\xa7\x04M\xd1\xf0f\x84\xc0\xf6)\x19\xcc=\xac)%\x95\x05\xa9 mL\xfe\x16S:; *\
    \x98{\x18k\xa6\xf8\xf9\xf9y\xfd\x07\x020\xe1m_2%\xa93v\x8a_\x22\x90\xd6\x03\x00PK\x01\
    \x02-\x03-\x00\x00\x00\x08\x00\x00\x00!\x00\x0b$\xcet\xc5\x00\x00\x00\x19\x01\x00\x00\
    \x0a\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x01\x00\x00\x00\x00inputs.npyPK\
    \x05\x06\x00\x00\x00\x00\x01\x00\x01\x008\x00\x00\x00\x01\x01\x00\x00\x00\x00";

/// Four trials of three time steps, one input, two classes, dt 20 ms; then an array of a test's own.
fn write_trials(project: &Project, name: &str, array: Array) {
    let inputs = (0..12).map(|i| i as f32 * 0.1).collect();
    let labels = (0..12).map(|i| i % 2).collect();
    project.write_arrays(
        "trials.npz",
        [
            ("inputs", Array::f32(&[4, 3, 1], inputs)),
            ("labels", Array::i64(&[4, 3], labels)),
            ("mask", Array::f32(&[4, 3], vec![1.0; 12])),
            ("dt_ms", Array::f64(&[], vec![20.0])),
            (name, array), // the last of a name counts
        ],
    );
}

#[test]
fn trials_that_are_right_are_trained_on() {
    let project = Project::new();
    write_trials(
        &project,
        "cond_side",
        Array::f32(&[4], vec![0.0, 1.0, 0.0, 1.0]),
    );
    project.train("run", &[FILES, "train.steps=1"]).exits(0);
}

#[test]
fn trials_that_are_wrong_are_refused() {
    let project = Project::new();
    let mut inputs = vec![0.0; 12];
    inputs[7] = f32::NAN;
    for (name, array, says) in [
        (
            "inputs",
            Array::f32(&[4, 3, 1], inputs),
            "inputs holds NaN at trial 2, time step 1, input 0",
        ),
        (
            "inputs",
            Array::f32(&[4, 3], vec![0.0; 12]),
            "must be [trial, time, input]",
        ),
        (
            "labels",
            Array::i64(&[5, 3], vec![0; 15]),
            "labels has shape [5, 3], but inputs ask for [4, 3]",
        ),
        (
            "labels",
            Array::i64(&[4, 3], vec![-1; 12]),
            "label -1 at trial 0, time step 0 is not a class",
        ),
        (
            "labels",
            Array::i64(&[4, 3], vec![1_000_000; 12]),
            "label 1000000 at trial 0, time step 0 is not a class",
        ),
        (
            "mask",
            Array::f32(&[4, 3], vec![0.0; 12]),
            "mask is 0 everywhere",
        ),
        ("mask", Array::f32(&[4, 3], vec![-1.0; 12]), "mask holds -1"),
        (
            "mask",
            Array::f32(&[4, 2], vec![1.0; 8]),
            "mask has shape [4, 2]",
        ),
        (
            "n_steps",
            Array::i64(&[4], vec![4; 4]),
            "n_steps holds 4 at trial 0; it must be 1 to 3",
        ),
        (
            "dt_ms",
            Array::f64(&[], vec![10.0]),
            "has time steps of 10 ms, but time.dt_ms = 20",
        ),
        (
            "cond_side",
            Array::f32(&[5], vec![0.0; 5]),
            "cond_side has shape [5]",
        ),
    ] {
        write_trials(&project, name, array);
        let says = ["error[D001]: task.npz.files: ", says, "command line:1:16"];
        assert_refused(&project, &["train", "smoke.toml", FILES], 4, &says);
    }
}

#[test]
fn trial_files_that_are_no_npz_are_refused() {
    let project = Project::new();
    write_trials(&project, "dt_ms", Array::f64(&[], vec![20.0]));
    let whole = project.bytes("trials.npz");
    for (content, says) in [
        (
            &b"hello, this is no archive"[..],
            "is text, such as CSV or JSON, not an npz (zip) archive",
        ),
        (&[], "is an empty file, not an npz (zip) archive"),
        (
            &whole[..whole.len() / 2],
            "is not a complete npz (zip) archive",
        ),
        (OBJECTS, "inputs is an array of Python objects"),
    ] {
        project.write("trials.npz", content);
        assert_refused(
            &project,
            &["train", "smoke.toml", FILES],
            4,
            &["error[D001]", says],
        );
    }
    std::fs::remove_file(project.path("trials.npz")).unwrap();
    assert_refused(
        &project,
        &["train", "smoke.toml", FILES],
        4,
        &["error[D001]", "does not exist"],
    );
}

/// What needs no memory to know must not take the memory to find out.
#[test]
fn sizes_that_no_machine_holds_are_refused() {
    let project = Project::new();
    for size in [
        "model.n_units=100000000000",
        "train.batch_size=100000000000000",
    ] {
        assert_refused(&project, &["train", "smoke.toml", size], 2, &["error[C0"]);
    }
}

#[test]
fn what_is_not_a_run_is_refused() {
    let project = Project::new();
    for arguments in [
        &["resume", "missing"][..],
        &["resume", "smoke.toml"],
        &["eval", "missing"],
        &["simulate", "missing", "-o", "states.npz"],
        &["train", "smoke.toml", "--resume", "must"],
        &["train", "smoke.toml", "--init-from", "missing"],
    ] {
        assert_refused(&project, arguments, 4, &["error[D001]"]);
    }
}

#[test]
fn a_backend_that_was_not_built_is_refused() {
    let project = Project::new();
    let (wgpu, cuda) = (cfg!(feature = "wgpu"), cfg!(feature = "cuda"));
    for (device, feature, is_built) in [
        ("wgpu", "wgpu", wgpu),
        ("wgpu:1", "wgpu", wgpu),
        ("cuda:1", "cuda", cuda),
    ] {
        if is_built {
            continue;
        }
        let arguments = ["train", "smoke.toml", "--device", device];
        let build = format!("cargo build --release --features {feature}");
        assert_refused(&project, &arguments, 6, &["error[G001]", &build]);
    }
}

#[test]
fn inputs_of_a_simulation_are_checked() {
    let project = Project::new();
    project.train("run", &["train.steps=0"]).exits(0);
    let zeros = |shape: &[usize]| Array::f32(shape, vec![0.0; shape.iter().product()]);
    for (name, array, says) in [
        ("inputs", zeros(&[2, 7, 5]), "inputs has shape [2, 7, 5]"),
        ("inputs", zeros(&[2, 0, 3]), "inputs has shape [2, 0, 3]"),
        (
            "inputs",
            Array::f32(&[1, 1, 3], vec![f32::NAN; 3]),
            "inputs holds NaN",
        ),
        ("initial_state", zeros(&[7]), "initial_state has shape [7]"),
        (
            "preactivation_noise",
            zeros(&[2, 7, 9]),
            "preactivation_noise has shape [2, 7, 9]",
        ),
        ("noise", zeros(&[2, 7, 8]), r#"array "noise" is unknown"#),
    ] {
        project.write_arrays("in.npz", [("inputs", zeros(&[2, 7, 3])), (name, array)]);
        let simulate = ["simulate", "run", "--inputs", "in.npz", "-o", "states.npz"];
        assert_refused(&project, &simulate, 4, &["error[D004]: in.npz: ", says]);
    }
}
