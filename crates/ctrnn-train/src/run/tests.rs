//! What the reading of a configuration accepts, and the exact text of every kind of error.

use super::*;
use crate::registry;

/// A run from a text in the folder `/lab`, which does not exist.
fn read(text: &str, overrides: &[&str]) -> Result<Run, ConfigErrors> {
    let overrides: Vec<String> = overrides.iter().map(|o| (*o).to_owned()).collect();
    RunConfig::from_text(text, "run.toml", Path::new("/lab"), &overrides, &registry())
}

fn run(text: &str, overrides: &[&str]) -> Run {
    read(text, overrides).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The text of the errors; every one of them says what to do.
fn errors(text: &str, overrides: &[&str]) -> String {
    let errors = read(text, overrides).expect_err("the configuration is wrong");
    assert_eq!(errors.exit_code(), 2);
    assert!(
        errors.0.iter().all(|problem| !problem.help.is_empty()),
        "{errors}"
    );
    errors.to_string()
}

#[test]
fn one_unknown_key() {
    let text = "[task.go_nogo]\n[model]\nhiden = 64";
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C001]: unknown key model.hiden
         --> run.toml:3:1
          |
        3 | hiden = 64
          | ^^^^^
        help: did you mean "n_units"? Keys of [model]: activation, bias, form, init, initial_state, n_units, noise, tau_ms
        "#);
}

#[test]
fn a_key_of_another_table() {
    let text = "[task.go_nogo]
[train]
learning_rate = 1e-3
[model]
sigma_rec = 0.1
";
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C001]: unknown key train.learning_rate
         --> run.toml:3:1
          |
        3 | learning_rate = 1e-3
          | ^^^^^^^^^^^^^
        help: did you mean "train.optimizer.lr"? Keys of [train]: batch_size, clip_grad_norm, divergence, log_every, loss, optimizer, schedule, steps, stop

        error[C001]: unknown key model.sigma_rec
         --> run.toml:5:1
          |
        5 | sigma_rec = 0.1
          | ^^^^^^^^^
        help: did you mean "model.noise.preactivation"? Keys of [model]: activation, bias, form, init, initial_state, n_units, noise, tau_ms
        "#);
}

#[test]
fn an_unknown_key_of_a_task() {
    let text = "[task.go_nogo]\nfixaton_ms = 100\ntau = 50";
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C001]: unknown key task.go_nogo.fixaton_ms
         --> run.toml:2:1
          |
        2 | fixaton_ms = 100
          | ^^^^^^^^^^
        help: did you mean "fixation_ms"? Keys of [task.go_nogo]: delay_ms, fixation_ms, go_fraction, input_noise, response_ms, stimulus_ms

        error[C001]: unknown key task.go_nogo.tau
         --> run.toml:3:1
          |
        3 | tau = 50
          | ^^^
        help: did you mean "model.tau_ms"? Keys of [task.go_nogo]: delay_ms, fixation_ms, go_fraction, input_noise, response_ms, stimulus_ms
        "#);
}

#[test]
fn keys_that_do_not_work_yet() {
    let text = "[task.go_nogo]
[model]
dale = { excitatory_fraction = 0.8 }
[train]
loss = { rate_l2 = 1e-3 }
";
    insta::assert_snapshot!(errors(text, &[]), @"
        error[C001]: unknown key model.dale
         --> run.toml:3:1
          |
        3 | dale = { excitatory_fraction = 0.8 }
          | ^^^^
        help: Keys of [model]: activation, bias, form, init, initial_state, n_units, noise, tau_ms

        error[C001]: unknown key train.loss.rate_l2
         --> run.toml:5:10
          |
        5 | loss = { rate_l2 = 1e-3 }
          |          ^^^^^^^
        help: Keys of [train.loss]: name
        ");
}

#[test]
fn wrong_types() {
    let text = r#"seed = "one"
train = 5
[task.go_nogo]
fixation_ms = "long"
[model]
n_units = 64.5
bias = { recurrent = 1 }
"#;
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C002]: seed must be an integer, but is the string "one"
         --> run.toml:1:8
          |
        1 | seed = "one"
          |        ^^^^^ expected an integer
        help: the default is seed = 0

        error[C002]: train must be a table, but is the integer 5
         --> run.toml:2:9
          |
        2 | train = 5
          |         ^ expected a table
        help: Keys of [train]: batch_size, clip_grad_norm, divergence, log_every, loss, optimizer, schedule, steps, stop

        error[C002]: task.go_nogo.fixation_ms must be a number or a table, but is the string "long"
         --> run.toml:4:15
          |
        4 | fixation_ms = "long"
          |               ^^^^^^ expected a number or a table
        help: Keys of [task.go_nogo.fixation_ms]: choice, truncated_exponential, uniform

        error[C002]: model.n_units must be an integer, but is the number 64.5
         --> run.toml:6:11
          |
        6 | n_units = 64.5
          |           ^^^^ expected an integer
        help: the default is model.n_units = 128

        error[C002]: model.bias.recurrent must be true or false, but is the integer 1
         --> run.toml:7:22
          |
        7 | bias = { recurrent = 1 }
          |                      ^ expected true or false
        help: the default is model.bias.recurrent = true
        "#);
}

#[test]
fn the_wrong_shape_of_a_duration() {
    let text = "[task.go_nogo]
stimulus_ms = { unifrom = [1, 2] }
delay_ms = { uniform = [100] }
response_ms = { truncated_exponential = { mean = 100, min = 20 } }
";
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C001]: unknown key task.go_nogo.stimulus_ms.unifrom
         --> run.toml:2:17
          |
        2 | stimulus_ms = { unifrom = [1, 2] }
          |                 ^^^^^^^
        help: did you mean "uniform"? Keys of [task.go_nogo.stimulus_ms]: choice, truncated_exponential, uniform

        error[C004]: task.go_nogo.delay_ms.uniform must have 2 items, not 1
         --> run.toml:3:24
          |
        3 | delay_ms = { uniform = [100] }
          |                        ^^^^^
        help: `train-ctrnn config explain task.go_nogo.delay_ms.uniform` says what it means

        error[C005]: task.go_nogo.response_ms.truncated_exponential.max is missing
         --> run.toml:4:17
          |
        4 | response_ms = { truncated_exponential = { mean = 100, min = 20 } }
          |                 ^^^^^^^^^^^^^^^^^^^^^ has no max
        help: `train-ctrnn config explain task.go_nogo.response_ms.truncated_exponential.max` says what it means
        "#);
}

#[test]
fn unknown_words() {
    let text = r#"[task.go_nogo]
[model]
activation = "tahn"
initial_state = "zeros"
[train]
optimizer = { name = "adma" }
loss.name = "rmse"
schedule.name = "cosine"
[checkpoint]
best = "val_accuracy"
[device]
backend = "cuda"
"#;
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C003]: "tahn" is not an activation
         --> run.toml:3:14
          |
        3 | activation = "tahn"
          |              ^^^^^^
        help: did you mean "tanh"? model.activation is one of "relu", "tanh", "sigmoid", "retanh", "softplus", "power", "linear"

        error[C003]: "zeros" is not an initial state
         --> run.toml:4:17
          |
        4 | initial_state = "zeros"
          |                 ^^^^^^^
        help: did you mean "zero"? model.initial_state is one of "zero", "learned"

        error[C003]: "adma" is not an optimizer
         --> run.toml:6:22
          |
        6 | optimizer = { name = "adma" }
          |                      ^^^^^^
        help: did you mean "adam"? train.optimizer is one of "adam", "sgd"

        error[C003]: "rmse" is not a loss
         --> run.toml:7:13
          |
        7 | loss.name = "rmse"
          |             ^^^^^^
        help: did you mean "mse"? train.loss.name is one of "mse", "cross_entropy"

        error[C003]: "cosine" is not a schedule
         --> run.toml:8:17
          |
        8 | schedule.name = "cosine"
          |                 ^^^^^^^^
        help: train.schedule is one of "constant"

        error[C003]: "val_accuracy" is not a metric
          --> run.toml:10:8
           |
        10 | best = "val_accuracy"
           |        ^^^^^^^^^^^^^^
        help: did you mean "val.accuracy"? checkpoint.best is one of "val.loss", "val.accuracy"

        error[C003]: "cuda" is not a backend
          --> run.toml:12:11
           |
        12 | backend = "cuda"
           |           ^^^^^^
        help: device.backend is one of "cpu", "wgpu"
        "#);
}

#[test]
fn keys_of_another_optimizer() {
    let text = r#"[task.go_nogo]
[train]
optimizer = { name = "sgd", betas = [0.9, 0.99] }
"#;
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C001]: unknown key train.optimizer.betas
         --> run.toml:3:29
          |
        3 | optimizer = { name = "sgd", betas = [0.9, 0.99] }
          |                             ^^^^^
        help: Keys of [train.optimizer] with name = "sgd": lr, momentum, name
        "#);
}

#[test]
fn numbers_out_of_range() {
    let text = "seed = -1
[task.go_nogo]
go_fraction = 1.5
[train]
batch_size = 0
optimizer = { lr = nan, betas = [0.9, 1.0] }
clip_grad_norm = inf
[model]
tau_ms = 0
";
    insta::assert_snapshot!(errors(text, &[]), @"
        error[C004]: seed = -1 must be at least 0
         --> run.toml:1:8
          |
        1 | seed = -1
          |        ^^
        help: the default is seed = 0

        error[C014]: task.go_nogo.go_fraction: 1.5 must be from 0 to 1
         --> run.toml:3:15
          |
        3 | go_fraction = 1.5
          |               ^^^
        help: `train-ctrnn tasks describe go_nogo` explains its keys

        error[C004]: train.batch_size = 0 must be at least 1
         --> run.toml:5:14
          |
        5 | batch_size = 0
          |              ^
        help: the default is train.batch_size = 64

        error[C004]: train.optimizer.lr = nan must be a finite number
         --> run.toml:6:20
          |
        6 | optimizer = { lr = nan, betas = [0.9, 1.0] }
          |                    ^^^
        help: the default is train.optimizer.lr = 0.001

        error[C004]: train.optimizer.betas[1] = 1.0 must be below 1
         --> run.toml:6:39
          |
        6 | optimizer = { lr = nan, betas = [0.9, 1.0] }
          |                                       ^^^
        help: the default is train.optimizer.betas = [0.9,0.999]

        error[C004]: train.clip_grad_norm = inf must be a finite number
         --> run.toml:7:18
          |
        7 | clip_grad_norm = inf
          |                  ^^^
        help: `train-ctrnn config explain train.clip_grad_norm` says what it means

        error[C004]: model.tau_ms = 0 must be above 0
         --> run.toml:9:10
          |
        9 | tau_ms = 0
          |          ^
        help: the default is model.tau_ms = 100.0
        ");
}

#[test]
fn a_list_of_the_wrong_length() {
    let text = "[task.go_nogo]\n[train]\noptimizer = { betas = [0.9] }";
    insta::assert_snapshot!(errors(text, &[]), @"
        error[C004]: train.optimizer.betas must have 2 items, not 1
         --> run.toml:3:23
          |
        3 | optimizer = { betas = [0.9] }
          |                       ^^^^^
        help: the default is train.optimizer.betas = [0.9,0.999]
        ");
}

#[test]
fn an_integer_beyond_64_bits() {
    let text = "seed = 9223372036854775808\n[task.go_nogo]";
    insta::assert_snapshot!(errors(text, &[]), @"
        error[C004]: 9223372036854775808 does not fit in 64 bits
         --> run.toml:1:8
          |
        1 | seed = 9223372036854775808
          |        ^^^^^^^^^^^^^^^^^^^
        help: integers lie between -2^63 and 2^63 - 1
        ");
}

#[test]
fn a_missing_key() {
    let text = "[task.go_nogo]\n[train]\nstop = { at_least = 0.9 }";
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C005]: train.stop.metric is missing
         --> run.toml:3:1
          |
        3 | stop = { at_least = 0.9 }
          | ^^^^ has no metric
        help: train.stop.metric is one of "val.loss", "val.accuracy"
        "#);
}

#[test]
fn stopping_rules_without_sense() {
    let text = r#"[task.go_nogo]
[train.stop]
metric = "val.accuracy"
at_least = 90
"#;
    insta::assert_snapshot!(errors(text, &[]), @"
        error[C004]: train.stop.at_least = 90 is no accuracy, which is a fraction from 0 to 1
         --> run.toml:4:12
          |
        4 | at_least = 90
          |            ^^
        help: 90 % is written 0.9
        ");
}

#[test]
fn a_stopping_rule_with_two_bounds() {
    let text = r#"[task.go_nogo]
[train.stop]
metric = "val.loss"
at_least = 1
at_most = 2
"#;
    insta::assert_snapshot!(errors(text, &[]), @"
        error[C017]: train.stop has two bounds
         --> run.toml:2:1
          |
        2 | [train.stop]
          | ^^^^^^^^^^^^
        help: give one of the two, for instance at_least = 0.9
        ");
}

#[test]
fn a_stopping_rule_without_a_bound() {
    let text = r#"[task.go_nogo]
[train]
stop = { metric = "val.loss" }
"#;
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C017]: train.stop has no bound
         --> run.toml:3:8
          |
        3 | stop = { metric = "val.loss" }
          |        ^^^^^^^^^^^^^^^^^^^^^^^
        help: give one of the two, for instance at_least = 0.9
        "#);
}

#[test]
fn an_unknown_task() {
    let text = "[task.perceptual_decison]\ncoherences = [0.5]";
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C011]: unknown task perceptual_decison
         --> run.toml:1:7
          |
        1 | [task.perceptual_decison]
          |       ^^^^^^^^^^^^^^^^^^
        help: did you mean "perceptual_decision"? Tasks: go_nogo, npz, perceptual_decision
        "#);
}

#[test]
fn a_task_by_name() {
    let text = r#"[task]
name = "go_nogo"
"#;
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C011]: unknown task name
         --> run.toml:2:1
          |
        2 | name = "go_nogo"
          | ^^^^
        help: a task is a table of its name: [task.go_nogo]. Tasks: go_nogo, npz, perceptual_decision
        "#);
}

#[test]
fn no_task() {
    let text = "seed = 1";
    insta::assert_snapshot!(errors(text, &[]), @"
        error[C012]: the configuration names no task
         --> run.toml:1:1
          |
        1 | seed = 1
          | ^
        help: add a table of its name, for instance [task.go_nogo]; `train-ctrnn tasks list` shows all tasks
        ");
}

#[test]
fn two_tasks() {
    let text = "[task.go_nogo]\n[task.perceptual_decision]";
    insta::assert_snapshot!(errors(text, &[]), @"
        error[C013]: a run has one task, not several
         --> run.toml:1:7
          |
        1 | [task.go_nogo]
          |       ^^^^^^^
         ::: run.toml:2:7
          |
        2 | [task.perceptual_decision]
          |       ^^^^^^^^^^^^^^^^^^^
        help: keep one of them
        ");
}

#[test]
fn rules_of_the_task() {
    let text = "[time]
dt_ms = 40
[task.go_nogo]
fixation_ms = 100
response_ms = 0
go_fraction = 2
";
    insta::assert_snapshot!(errors(text, &[]), @"
        error[C014]: task.go_nogo.delay_ms.uniform: 100 ms is not a multiple of dt_ms = 40; the nearest are 80 and 120
         --> run.toml:3:1
          |
        3 | [task.go_nogo]
          | ^^^^^^^^^^^^^^ delay_ms.uniform has its default
        help: `train-ctrnn tasks describe go_nogo` explains its keys

        error[C014]: task.go_nogo.fixation_ms: 100 ms is not a multiple of dt_ms = 40; the nearest are 80 and 120
         --> run.toml:4:15
          |
        4 | fixation_ms = 100
          |               ^^^
        help: `train-ctrnn tasks describe go_nogo` explains its keys

        error[C014]: task.go_nogo.response_ms: 0 ms is too short; the choice is read at its end
         --> run.toml:5:15
          |
        5 | response_ms = 0
          |               ^
        help: `train-ctrnn tasks describe go_nogo` explains its keys

        error[C014]: task.go_nogo.go_fraction: 2 must be from 0 to 1
         --> run.toml:6:15
          |
        6 | go_fraction = 2
          |               ^
        help: `train-ctrnn tasks describe go_nogo` explains its keys
        ");
}

#[test]
fn a_time_step_longer_than_the_time_constant() {
    let text = "[time]\ndt_ms = 100\n[task.go_nogo]\n[model]\ntau_ms = 50";
    insta::assert_snapshot!(errors(text, &[]), @"
        error[C015]: time.dt_ms = 100 is longer than model.tau_ms = 50
         --> run.toml:2:9
          |
        2 | dt_ms = 100
          |         ^^^ the time step
         ::: run.toml:5:10
          |
        5 | tau_ms = 50
          |          ^^ the time constant
        help: alpha = dt / tau must lie in (0, 1]: time.dt_ms = 50 or less, or a longer model.tau_ms
        ");
}

#[test]
fn a_time_step_longer_than_the_default_time_constant() {
    let text = "[time]\ndt_ms = 200\n[task.go_nogo]\nfixation_ms = 200\ndelay_ms = 0";
    insta::assert_snapshot!(errors(text, &[]), @"
        error[C015]: time.dt_ms = 200 is longer than model.tau_ms = 100
         --> run.toml:2:9
          |
        2 | dt_ms = 200
          |         ^^^ the time step
        help: alpha = dt / tau must lie in (0, 1]: time.dt_ms = 100 or less, or a longer model.tau_ms
        ");
}

#[test]
fn initial_values_that_cannot_be() {
    let text = r#"[task.go_nogo]
[model]
n_units = 3
initial_state = [0, 1]
init = { recurrent = "zero", spectral_radius = 1.1 }
"#;
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C016]: model.initial_state has 2 numbers for 3 units
         --> run.toml:4:17
          |
        4 | initial_state = [0, 1]
          |                 ^^^^^^
         ::: run.toml:3:11
          |
        3 | n_units = 3
          |           ^ the number of units
        help: give one number for each unit, or "zero" or "learned"

        error[C016]: a zero matrix cannot be scaled to spectral radius 1.1
         --> run.toml:5:48
          |
        5 | init = { recurrent = "zero", spectral_radius = 1.1 }
          |                                                ^^^ asked for here
         ::: run.toml:5:22
          |
        5 | init = { recurrent = "zero", spectral_radius = 1.1 }
          |                      ^^^^^^ all weights are zero
        help: remove model.init.spectral_radius, or draw the weights: model.init.recurrent = "gaussian"
        "#);
}

#[test]
fn several_errors_of_every_pass() {
    let text = r#"sede = 3
[time]
dt_ms = 200
[task.go_nogo]
fixation_ms = 110
[model]
n_units = "many"
activation = "rleu"
[train]
batch_size = 0
"#;
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C001]: unknown key sede
         --> run.toml:1:1
          |
        1 | sede = 3
          | ^^^^
        help: did you mean "seed"? Tables and keys: checkpoint, device, model, seed, task, time, train, validate, version

        error[C015]: time.dt_ms = 200 is longer than model.tau_ms = 100
         --> run.toml:3:9
          |
        3 | dt_ms = 200
          |         ^^^ the time step
        help: alpha = dt / tau must lie in (0, 1]: time.dt_ms = 100 or less, or a longer model.tau_ms

        error[C014]: task.go_nogo.delay_ms.uniform: 100 ms is not a multiple of dt_ms = 200; the nearest are 0 and 200
         --> run.toml:4:1
          |
        4 | [task.go_nogo]
          | ^^^^^^^^^^^^^^ delay_ms.uniform has its default
        help: `train-ctrnn tasks describe go_nogo` explains its keys

        error[C014]: task.go_nogo.fixation_ms: 110 ms is not a multiple of dt_ms = 200; the nearest are 0 and 200
         --> run.toml:5:15
          |
        5 | fixation_ms = 110
          |               ^^^
        help: `train-ctrnn tasks describe go_nogo` explains its keys

        error[C002]: model.n_units must be an integer, but is the string "many"
         --> run.toml:7:11
          |
        7 | n_units = "many"
          |           ^^^^^^ expected an integer
        help: the default is model.n_units = 128

        error[C003]: "rleu" is not an activation
         --> run.toml:8:14
          |
        8 | activation = "rleu"
          |              ^^^^^^
        help: did you mean "relu"? model.activation is one of "relu", "tanh", "sigmoid", "retanh", "softplus", "power", "linear"

        error[C004]: train.batch_size = 0 must be at least 1
          --> run.toml:10:14
           |
        10 | batch_size = 0
           |              ^
        help: the default is train.batch_size = 64
        "#);
}

#[test]
fn another_version() {
    let text = "version = 2\n[model]\nlayers = 3";
    insta::assert_snapshot!(errors(text, &[]), @"
        error[C008]: version = 2, but this build reads version 1
         --> run.toml:1:11
          |
        1 | version = 2
          |           ^
        help: if a newer release wrote the file, update; if the number is a slip, write version = 1
        ");
}

#[test]
fn not_toml() {
    let text = "hello world";
    insta::assert_snapshot!(errors(text, &[]), @"
        error[C006]: not TOML: key with no value, expected `=`
         --> run.toml:1:7
          |
        1 | hello world
          |       ^
        help: write `key = value` under a [table]; a string stands in double quotes
        ");
}

#[test]
fn several_slips_of_syntax() {
    let text = "[task.go_nogo]
[model]
n_units = 3e
hiden = 5
activation = relu

";
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C006]: not TOML: invalid exponent, expected digits
         --> run.toml:3:13
          |
        3 | n_units = 3e
          |             ^
        help: write `key = value` under a [table]; a string stands in double quotes

        error[C001]: unknown key model.hiden
         --> run.toml:4:1
          |
        4 | hiden = 5
          | ^^^^^
        help: did you mean "n_units"? Keys of [model]: activation, bias, form, init, initial_state, n_units, noise, tau_ms

        error[C006]: not TOML: string values must be quoted, expected literal string
         --> run.toml:5:14
          |
        5 | activation = relu
          |              ^^^^
        help: write `key = value` under a [table]; a string stands in double quotes
        "#);
}

#[test]
fn a_key_twice() {
    let text = "[task.go_nogo]\n[model]\nn_units = 3\nn_units = 4";
    insta::assert_snapshot!(errors(text, &[]), @"
        error[C006]: not TOML: duplicate key
         --> run.toml:4:1
          |
        4 | n_units = 4
          | ^^^^^^^
        help: write `key = value` under a [table]; a string stands in double quotes
        ");
}

#[test]
fn bad_overrides() {
    let text = "[task.go_nogo]\n[train]\nsteps = 5";
    insta::assert_snapshot!(errors(text, &["train.steps", "a..b=1", "seed=", "task.go_nogo.delay_ms=[x]", "train.steps.x=1"]), @r#"
        error[C009]: the override "train.steps" is not KEY=VALUE
         --> command line:1:1
          |
        1 | train.steps
          | ^^^^^^^^^^^
        help: for instance model.n_units=64, or ~train.stop to remove a key

        error[C009]: "" in "a..b=1" is not a key
         --> command line:1:3
          |
        1 | a..b=1
          |   ^
        help: a key is made of names with dots between, for instance train.optimizer.lr

        error[C009]: "seed=" has no value
         --> command line:1:6
          |
        1 | seed=
          |      ^
        help: seed=none removes the key

        error[C009]: not TOML: string values must be quoted, expected literal string
         --> command line:1:24
          |
        1 | task.go_nogo.delay_ms=[x]
          |                        ^
        help: put the whole override between single quotes, so that the shell leaves its quotes alone: 'a.b=["x"]'

        error[C009]: steps is the integer 5 and has no keys to override
         --> command line:1:7
          |
        1 | train.steps.x=1
          |       ^^^^^
         --> run.toml:3:9
          |
        3 | steps = 5
          |         ^ given here
        help: override steps itself
        "#);
}

#[test]
fn repeated_overrides() {
    let text = "[task.go_nogo]";
    insta::assert_snapshot!(errors(text, &["model.n_units=4", "model.n_units=5", "~train.stop", "train.stop=none"]), @"
        error[C010]: model.n_units is overridden twice
         --> command line:1:1
          |
        1 | model.n_units=5
          | ^^^^^^^^^^^^^ again
         --> command line:1:1
          |
        1 | model.n_units=4
          | ^^^^^^^^^^^^^ first
        help: keep one of them

        error[C010]: train.stop is overridden twice
         --> command line:1:1
          |
        1 | train.stop=none
          | ^^^^^^^^^^ again
         --> command line:1:2
          |
        1 | ~train.stop
          |  ^^^^^^^^^^ first
        help: keep one of them
        ");
}

#[test]
fn unknown_keys_in_overrides() {
    let text = "[task.go_nogo]";
    insta::assert_snapshot!(errors(text, &["n_units=4", "every_steps=9", "train.batchsize=3", "~train.stpo", "task.go_nogo.coherences=[1]"]), @r#"
        error[C001]: unknown key n_units
         --> command line:1:1
          |
        1 | n_units=4
          | ^^^^^^^
        help: did you mean "model.n_units"? Tables and keys: checkpoint, device, model, seed, task, time, train, validate, version

        error[C001]: unknown key every_steps
         --> command line:1:1
          |
        1 | every_steps=9
          | ^^^^^^^^^^^
        help: did you mean "checkpoint.every_steps" or "validate.every_steps"? Tables and keys: checkpoint, device, model, seed, task, time, train, validate, version

        error[C001]: unknown key train.batchsize
         --> command line:1:7
          |
        1 | train.batchsize=3
          |       ^^^^^^^^^
        help: did you mean "batch_size"? Keys of [train]: batch_size, clip_grad_norm, divergence, log_every, loss, optimizer, schedule, steps, stop

        error[C001]: unknown key train.stpo
         --> command line:1:2
          |
        1 | ~train.stpo
          |  ^^^^^^^^^^
        help: did you mean "stop"? Keys of [train]: batch_size, clip_grad_norm, divergence, log_every, loss, optimizer, schedule, steps, stop

        error[C001]: unknown key task.go_nogo.coherences
         --> command line:1:14
          |
        1 | task.go_nogo.coherences=[1]
          |              ^^^^^^^^^^
        help: Keys of [task.go_nogo]: delay_ms, fixation_ms, go_fraction, input_noise, response_ms, stimulus_ms
        "#);
}

#[test]
fn wrong_values_in_overrides() {
    let text = "[task.go_nogo]\n[time]\ndt_ms = 20";
    insta::assert_snapshot!(errors(text, &["model.n_units=64x", "model.activation=tahn", "model.tau_ms=10", "train.optimizer.lr=nan", "task.go_nogo.fixation_ms=110"]), @r#"
        error[C015]: time.dt_ms = 20 is longer than model.tau_ms = 10
         --> run.toml:3:9
          |
        3 | dt_ms = 20
          |         ^^ the time step
         --> command line:1:14
          |
        1 | model.tau_ms=10
          |              ^^ the time constant
        help: alpha = dt / tau must lie in (0, 1]: time.dt_ms = 10 or less, or a longer model.tau_ms

        error[C002]: model.n_units must be an integer, but is the string "64x"
         --> command line:1:15
          |
        1 | model.n_units=64x
          |               ^^^ expected an integer
        help: the default is model.n_units = 128

        error[C003]: "tahn" is not an activation
         --> command line:1:18
          |
        1 | model.activation=tahn
          |                  ^^^^
        help: did you mean "tanh"? model.activation is one of "relu", "tanh", "sigmoid", "retanh", "softplus", "power", "linear"

        error[C004]: train.optimizer.lr = nan must be a finite number
         --> command line:1:20
          |
        1 | train.optimizer.lr=nan
          |                    ^^^
        help: the default is train.optimizer.lr = 0.001

        error[C014]: task.go_nogo.fixation_ms: 110 ms is not a multiple of dt_ms = 20; the nearest are 100 and 120
         --> command line:1:26
          |
        1 | task.go_nogo.fixation_ms=110
          |                          ^^^
        help: `train-ctrnn tasks describe go_nogo` explains its keys
        "#);
}

#[test]
fn two_tasks_in_overrides() {
    let text = "seed = 1";
    insta::assert_snapshot!(errors(text, &["task.go_nogo.delay_ms=0", "task.perceptual_decision.delay_ms=0"]), @"
        error[C013]: a run has one task, not several
         --> command line:1:6
          |
        1 | task.go_nogo.delay_ms=0
          |      ^^^^^^^
         --> command line:1:6
          |
        1 | task.perceptual_decision.delay_ms=0
          |      ^^^^^^^^^^^^^^^^^^^
        help: keep one of them
        ");
}

#[test]
fn an_unknown_task_in_an_override() {
    let text = "[task.go_nogo]";
    insta::assert_snapshot!(errors(text, &["task.go_nog.delay_ms=0"]), @r#"
        error[C011]: unknown task go_nog
         --> command line:1:6
          |
        1 | task.go_nog.delay_ms=0
          |      ^^^^^^
        help: did you mean "go_nogo"? Tasks: go_nogo, npz, perceptual_decision
        "#);
}

#[test]
fn the_shortest_configuration_is_resolved_to_every_value() {
    let run = run("[task.go_nogo]\n[train]\nclip_grad_norm = 1", &[]);
    insta::assert_snapshot!(run.resolved_toml(), @r#"
        version = 1
        seed = 0

        [time]
        dt_ms = 20.0

        [task.go_nogo]
        fixation_ms = 100.0
        go_fraction = 0.5
        input_noise = 0.1
        response_ms = 200.0
        stimulus_ms = 200.0

        [task.go_nogo.delay_ms]
        uniform = [100.0, 400.0]

        [model]
        n_units = 128
        form = "voltage"
        activation = "relu"
        tau_ms = 100.0
        initial_state = "learned"

        [model.bias]
        recurrent = true
        readout = true

        [model.noise]
        preactivation = 0.0
        postactivation = 0.0
        convention = "spec"

        [model.init]
        input = "gaussian"
        recurrent = "gaussian"
        output = "gaussian"

        [train]
        steps = 5000
        batch_size = 64
        clip_grad_norm = 1.0
        log_every = 10

        [train.optimizer]
        name = "adam"
        lr = 0.001
        betas = [0.9, 0.999]
        eps = 0.00000001

        [train.schedule]
        name = "constant"

        [train.loss]
        name = "mse"

        [train.divergence]
        max_rollbacks = 3
        lr_factor = 0.5

        [validate]
        every_steps = 100
        trials = 512

        [checkpoint]
        every_steps = 500
        keep_last = 3
        keep_best = 1
        best = "val.loss"
        on_error = "stop"

        [device]
        backend = "cpu"
        threads = 0
        "#);
}

#[test]
fn a_resolved_configuration_reproduces_the_run() {
    let text = r#"
        seed = 7
        [task.perceptual_decision]
        stimulus_ms = { choice = [200, 400] }
        [model]
        n_units = 2
        initial_state = [0, 1]
        init = { file = "w.npz", spectral_radius = 1.5 }
        noise = { preactivation = 0.05, convention = "song" }
        [train]
        optimizer = { name = "sgd", momentum = 0.9 }
        stop = { metric = "val.loss", at_most = 0.01 }
    "#;
    let first = run(text, &["device.backend=wgpu:1"]);
    let second = run(&first.resolved_toml(), &[]);
    assert_eq!(first.resolved, second.resolved);
    assert_eq!(first.model, second.model);
    assert_eq!(first.train, second.train);
    assert_eq!(first.resolved_toml(), second.resolved_toml());
}

#[test]
fn a_run_holds_what_the_file_says() {
    let text = r#"
        seed = 9
        [time]
        dt_ms = 10
        [task.go_nogo]
        [model]
        form = "rate"
        activation = "softplus"
        bias = { readout = false }
        [train]
        stop = { metric = "val.accuracy", at_least = 0.9, required = true }
    "#;
    let run = run(text, &[]);
    assert_eq!(
        (run.seed, run.clock.dt_ms(), run.task_name.as_str()),
        (9, 10.0, "go_nogo")
    );
    let expected = CtrnnConfig {
        dt_ms: 10.0,
        form: ctrnn_model::Form::Rate,
        activation: ctrnn_model::Activation::Softplus,
        bias: Biases {
            recurrent: true,
            readout: false,
        },
        ..CtrnnConfig::new(3, 128, 2) // fixation and two cues in, fixation and go out
    };
    assert_eq!(run.model, expected);
    assert_eq!(run.train.loss, Loss::Mse);
    let stop = Stop {
        metric: Metric::Accuracy,
        bound: Bound::AtLeast(0.9),
        required: true,
    };
    assert_eq!(run.train.stop, Some(stop));
}

#[test]
fn a_bound_is_met_from_its_own_side_and_never_by_nan() {
    assert!(Bound::AtLeast(0.9).is_met(0.9) && !Bound::AtLeast(0.9).is_met(0.89));
    assert!(Bound::AtMost(0.1).is_met(0.1) && !Bound::AtMost(0.1).is_met(0.11));
    assert!(!Bound::AtLeast(0.0).is_met(f64::NAN) && !Bound::AtMost(0.0).is_met(f64::NAN));
}

#[test]
fn overrides_win_over_the_file_and_the_file_over_the_defaults() {
    let text = "[task.go_nogo]\n[model]\nn_units = 3\ntau_ms = 50\n[train.stop]\nmetric = 'val.loss'\nat_most = 1";
    let overrides = [
        "model.n_units=4",
        "model.activation=tanh",
        "train.optimizer={ name = \"sgd\", lr = 3e-4 }",
        "~train.stop",
        "train.clip_grad_norm=none",
    ];
    let run = run(text, &overrides);
    assert_eq!(
        (run.model.n_units, run.model.tau_ms, run.model.dt_ms),
        (4, 50.0, 20.0)
    );
    assert_eq!(run.model.activation, ctrnn_model::Activation::Tanh);
    assert_eq!((run.train.optimizer.lr(), run.train.stop), (3e-4, None));
    let origins = ["model.n_units", "model.tau_ms", "time.dt_ms"].map(|key| run.origin(key));
    assert_eq!(
        origins,
        [Origin::CommandLine, Origin::File, Origin::Default]
    );
}

#[test]
fn another_task_replaces_the_one_of_the_file() {
    let run = run(
        "[task.go_nogo]\ngo_fraction = 0.1",
        &["task.perceptual_decision.coherences=[0.5]"],
    );
    assert_eq!(run.task_name, "perceptual_decision");
    assert_eq!(
        run.notes,
        ["the command line replaces task go_nogo by perceptual_decision"]
    );
}

#[test]
fn a_relative_path_starts_at_the_file_or_for_an_override_at_the_current_folder() {
    let text = "[task.go_nogo]\n[model]\ninit = { file = 'w.npz' }";
    assert_eq!(run(text, &[]).init_file, Some(PathBuf::from("/lab/w.npz")));
    assert_eq!(run(text, &[]).input_files, [PathBuf::from("/lab/w.npz")]);
    let overridden = run(text, &["model.init.file=no/such/v.npz"]);
    let here = std::env::current_dir().unwrap();
    assert_eq!(overridden.init_file, Some(here.join("no/such/v.npz")));
    assert_eq!(overridden.input_files.len(), 1);
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("weights.npz");
    std::fs::write(&binary, b"PK\x03\x04\xff\xfe").unwrap();
    let message = |path: &Path| {
        let errors = RunConfig::load(path, &[], &registry()).expect_err("no configuration");
        assert_eq!(errors.exit_code(), 2);
        errors
            .to_string()
            .replace(folder.path().to_str().unwrap(), "/lab")
    };
    insta::assert_snapshot!(message(&folder.path().join("missing.toml")), @"
        error[C007]: cannot read /lab/missing.toml: there is no such file
        help: check the path; `train-ctrnn init` makes a configuration to start from
        ");
    insta::assert_snapshot!(message(folder.path()), @"
        error[C007]: cannot read /lab: it is a folder
        help: name a file in it, for instance /lab/run.toml
        ");
    insta::assert_snapshot!(message(&binary), @"
        error[C007]: cannot read /lab/weights.npz: it is not UTF-8 text (byte 4)
        help: a configuration is a TOML text; weights and trials are named inside it
        ");
}

#[test]
fn a_text_that_is_no_configuration_does_not_flood_the_screen() {
    let errors = read(&"1;2;3\n".repeat(1000), &[]).expect_err("not TOML");
    assert!(errors.0.len() <= 10, "{}", errors.0.len());
}

/// A task that cannot be built, in the way that its key says.
#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(default)]
struct Broken {
    kind: String,
}

impl Default for Broken {
    fn default() -> Self {
        Self {
            kind: "data".into(),
        }
    }
}

fn with_broken_task() -> Registry {
    let mut registry = registry();
    registry.add_entry(TaskEntry::of_config::<Broken>("broken", |config, _| {
        Err(vec![match config.kind.as_str() {
            "io" => TaskError::io("kind", "permission denied"),
            _ => TaskError::data("kind", "the file is empty").with_help("give another file"),
        }])
    }));
    registry
}

#[test]
fn trials_that_cannot_be_had_have_their_own_exit_codes() {
    let registry = with_broken_task();
    let exit_code = |text: &str| {
        RunConfig::from_text(text, "run.toml", Path::new("/lab"), &[], &registry)
            .unwrap_err()
            .exit_code()
    };
    assert_eq!(exit_code("[task.broken]\nkind = 'data'"), 4);
    assert_eq!(exit_code("[task.broken]\nkind = 'io'"), 5);
    assert_eq!(
        exit_code("[task.broken]\nkind = 'io'\n[model]\nn_units = 0"),
        2
    );
}

fn config(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../configs")
        .join(name)
}

#[test]
fn the_smoke_configuration_is_what_scripts_vary() {
    let load = |overrides: &[String]| {
        RunConfig::load(&config("smoke.toml"), overrides, &registry())
            .unwrap_or_else(|errors| panic!("{errors}"))
    };
    let run = load(&[]);
    let layout = run.task.layout();
    let expected = CtrnnConfig::new(layout.inputs.len(), 32, layout.outputs.len());
    assert_eq!(run.model, expected); // dt 20, tau 100, relu, no noise, no constraints
    assert_eq!(
        (run.train.stop, run.train.clip_grad_norm),
        (None, Some(1.0))
    );
    assert_eq!(run.checkpoint.every_steps, 50);
    for dt in ["5", "10", "25", "50", "100"] {
        load(&[format!("time.dt_ms={dt}"), "train.steps=0".into()]);
    }
}

#[test]
fn every_configuration_of_the_repository_is_read() {
    let mut n_read = 0;
    for entry in std::fs::read_dir(config("")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let read = RunConfig::load(&path, &[], &registry());
            assert!(read.is_ok(), "{}", read.unwrap_err());
            n_read += 1;
        }
    }
    assert!(n_read >= 3, "{n_read}");
}

#[test]
fn trials_of_a_file_are_named_by_absolute_paths_and_imply_cross_entropy() {
    let run = RunConfig::load(&config("neurogym_npz.toml"), &[], &registry()).unwrap();
    let file = config("data/trials.npz").canonicalize().unwrap();
    assert_eq!(run.input_files, run.task.input_files());
    assert_eq!(run.input_files, [file]);
    assert_eq!(run.train.loss, Loss::CrossEntropy);
    let mse = RunConfig::load(
        &config("neurogym_npz.toml"),
        &["train.loss.name=mse".into()],
        &registry(),
    );
    assert_eq!(mse.unwrap().train.loss, Loss::Mse);
}

#[test]
fn errors_in_the_table_of_a_trial_file() {
    let overrides = [
        "task.npz.files=x.npz",
        "task.npz.no_answer={coh=0}",
        "task.npz.validation_fraction=2",
    ];
    insta::assert_snapshot!(errors("[task.npz]", &overrides), @r#"
        error[C002]: task.npz.files must be a list, but is the string "x.npz"
         --> command line:1:16
          |
        1 | task.npz.files=x.npz
          |                ^^^^^ expected a list
        help: a list stands in brackets: ["x.npz"]; on the command line, put the override between single quotes

        error[C002]: task.npz.no_answer.coh must be a list, but is the integer 0
         --> command line:1:25
          |
        1 | task.npz.no_answer={coh=0}
          |                         ^ expected a list
        help: a list stands in brackets: [0]; on the command line, put the override between single quotes

        error[C004]: task.npz.validation_fraction = 2 must be at most 1
         --> command line:1:30
          |
        1 | task.npz.validation_fraction=2
          |                              ^
        help: the default is task.npz.validation_fraction = 0.2
        "#);
}
