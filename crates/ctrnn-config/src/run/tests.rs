//! Tests of reading a configuration: accepted input, and the exact text of every kind of error.

use std::path::PathBuf;

use super::*;
use ctrnn_model::{CtrnnConfig, Form, Parameter};
use ctrnn_runs::registry;
use ctrnn_tasks::{TaskEntry, TaskError};
use ctrnn_train::{
    Bound, Clip, ForTask, Loss, Metric, On, Penalty, PerMatrix, Schedule, StopConfig,
};

/// Reads a run from a text in the folder `/lab`, which does not exist.
fn read(text: &str, overrides: &[&str]) -> Result<Run, ConfigErrors> {
    let overrides: Vec<String> = overrides.iter().map(|o| (*o).to_owned()).collect();
    RunConfig::from_text(text, "run.toml", Path::new("/lab"), &overrides, &registry())
}

fn run(text: &str, overrides: &[&str]) -> Run {
    read(text, overrides).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Returns the text of the errors; each of them must have a remedy.
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
        help: did you mean "n_units"? Keys of [model]: activation, areas, bias, connectivity, dale, density, feedback, form, init, initial_state, input, layer, low_rank, n_units, noise, output_nonlinearity, positive_input, projections, self_connections, short_term_plasticity, tau_ms
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
        help: did you mean "train.optimizer.lr"? Keys of [train]: accumulate, batch_size, clip_grad_norm, clip_grad_norm_per_tensor, clip_grad_value, continual, divergence, dropout, freeze, groups, log_every, loss, noise_schedule, optimizer, perturbation, recompute, rule, schedule, stage, steps, stop, teacher_forcing, truncate_steps, truncate_stride

        error[C001]: unknown key model.sigma_rec
         --> run.toml:5:1
          |
        5 | sigma_rec = 0.1
          | ^^^^^^^^^
        help: did you mean "model.noise.preactivation"? Keys of [model]: activation, areas, bias, connectivity, dale, density, feedback, form, init, initial_state, input, layer, low_rank, n_units, noise, output_nonlinearity, positive_input, projections, self_connections, short_term_plasticity, tau_ms
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
fn penalties_that_are_mistyped() {
    let text = r#"[task.go_nogo]
[train.loss]
normalisation = "masked"
rate_l3 = 1e-3
rate_l2 = -1
weight_l2 = { recurent = 1e-3 }
rate_spread = { weight = 1, measure = "std" }
rate_target = { rate = 0.1 }
"#;
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C003]: "masked" is not a normalisation
         --> run.toml:3:17
          |
        3 | normalisation = "masked"
          |                 ^^^^^^^^
        help: did you mean "mask"? train.loss.normalisation is one of "mask", "entries", "trials"

        error[C001]: unknown key train.loss.rate_l3
         --> run.toml:4:1
          |
        4 | rate_l3 = 1e-3
          | ^^^^^^^
        help: did you mean "rate_l1" or "rate_l2"? Keys of [train.loss]: areas, hebbian, in_degree, name, normalisation, omega, participation, population_kl, projections, python, rate_entropy, rate_l1, rate_l2, rate_range, rate_spread, rate_target, state_prediction, unit_rates, weight_deviation, weight_l1, weight_l2, yield_to_task

        error[C004]: train.loss.rate_l2 = -1 must be at least 0
         --> run.toml:5:11
          |
        5 | rate_l2 = -1
          |           ^^
        help: `train-ctrnn config explain train.loss.rate_l2` says what it means

        error[C001]: unknown key train.loss.weight_l2.recurent
         --> run.toml:6:15
          |
        6 | weight_l2 = { recurent = 1e-3 }
          |               ^^^^^^^^
        help: did you mean "recurrent"? Keys of [train.loss.weight_l2]: input, on, output, recurrent

        error[C003]: "std" is not a measure of spread
         --> run.toml:7:39
          |
        7 | rate_spread = { weight = 1, measure = "std" }
          |                                       ^^^^^
        help: did you mean "sd"? train.loss.rate_spread.measure is one of "sd", "cv", "mean_ad", "max_ad"

        error[C005]: train.loss.rate_target.weight is missing
         --> run.toml:8:1
          |
        8 | rate_target = { rate = 0.1 }
          | ^^^^^^^^^^^ has no weight
        help: `train-ctrnn config explain train.loss.rate_target.weight` says what it means
        "#);
}

#[test]
fn penalties_that_do_not_fit_the_network_or_the_time_grid() {
    let text = r#"[task.go_nogo]
[model]
n_units = 10
form = "rate"
[train.loss]
omega = { weight = 2 }
population_kl = { weight = 1, first = [0, 5], second = [5, 11] }
state_prediction = { weight = 1, lag_ms = 30 }
"#;
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C025]: train.loss.omega is defined for model.form = "voltage"
         --> run.toml:6:9
          |
        6 | omega = { weight = 2 }
          |         ^^^^^^^^^^^^^^
         ::: run.toml:4:8
          |
        4 | form = "rate"
          |        ^^^^^^ the rate form
        help: remove train.loss.omega, or model.form = "voltage"

        error[C025]: train.loss.population_kl.second = [5, 11] is not a group of the 10 units, which are counted from 0
         --> run.toml:7:56
          |
        7 | population_kl = { weight = 1, first = [0, 5], second = [5, 11] }
          |                                                        ^^^^^^^
        help: for instance the halves of the network: first = [0, 5], second = [5, 10]

        error[C025]: train.loss.state_prediction.lag_ms: 30 ms is not a multiple of dt_ms = 20; the nearest are 20 and 40
         --> run.toml:8:43
          |
        8 | state_prediction = { weight = 1, lag_ms = 30 }
          |                                           ^^
        help: a multiple of time.dt_ms, for instance train.loss.state_prediction.lag_ms = 20
        "#);
}

#[test]
fn penalties_are_read() {
    let text = "[task.go_nogo]\n[train.loss]\nrate_l2 = 1e-3\nweight_l2 = 1e-4\nweight_l1 = { recurrent = 1e-5, on = \"raw\" }";
    let overrides = ["train.loss.state_prediction={weight=2,lag_ms=60}"];
    let objective = run(text, &overrides).objective;
    let l1 = PerMatrix {
        recurrent: 1e-5,
        on: On::Raw,
        ..PerMatrix::default()
    };
    let l2 = PerMatrix {
        input: 1e-4,
        recurrent: 1e-4,
        output: 1e-4,
        on: On::Effective,
    };
    let expected = [
        Penalty::WeightL1(l1),
        Penalty::WeightL2(l2),
        Penalty::RateL2(1e-3),
        Penalty::StatePrediction(2.0, 3),
    ];
    assert_eq!(objective.penalties, expected);
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
        help: Keys of [train]: accumulate, batch_size, clip_grad_norm, clip_grad_norm_per_tensor, clip_grad_value, continual, divergence, dropout, freeze, groups, log_every, loss, noise_schedule, optimizer, perturbation, recompute, rule, schedule, stage, steps, stop, teacher_forcing, truncate_steps, truncate_stride

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
schedule.name = "cosin"
[checkpoint]
best = "val_accuracy"
[device]
backend = "cudda"
"#;
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C003]: "tahn" is not an activation
         --> run.toml:3:14
          |
        3 | activation = "tahn"
          |              ^^^^^^
        help: did you mean "tanh"? model.activation is one of "relu", "tanh", "sigmoid", "retanh", "softplus", "power", "linear", "leaky_relu", "clipped_relu", "cubic"

        error[C003]: "zeros" is not an initial state
         --> run.toml:4:17
          |
        4 | initial_state = "zeros"
          |                 ^^^^^^^
        help: did you mean "zero"? model.initial_state is one of "zero", "learned", "learned_per_condition", "carry"

        error[C003]: "adma" is not an optimizer
         --> run.toml:6:22
          |
        6 | optimizer = { name = "adma" }
          |                      ^^^^^^
        help: did you mean "adam"? train.optimizer is one of "adam", "adamw", "sgd", "rmsprop", "adagrad", "lbfgs"

        error[C003]: "rmse" is not a loss
         --> run.toml:7:13
          |
        7 | loss.name = "rmse"
          |             ^^^^^^
        help: did you mean "mse"? train.loss.name is one of "mse", "bce", "cross_entropy", "soft_cross_entropy"

        error[C003]: "cosin" is not a schedule
         --> run.toml:8:17
          |
        8 | schedule.name = "cosin"
          |                 ^^^^^^^
        help: did you mean "cosine"? train.schedule is one of "constant", "cosine", "exponential", "step", "plateau"

        error[C003]: "val_accuracy" is not a metric
          --> run.toml:10:8
           |
        10 | best = "val_accuracy"
           |        ^^^^^^^^^^^^^^
        help: did you mean "val.accuracy"? checkpoint.best is one of "val.loss", "val.accuracy", "val.min_accuracy", "val.task_accuracy", "val.min_task_accuracy"

        error[C003]: "cudda" is not a backend
          --> run.toml:12:11
           |
        12 | backend = "cudda"
           |           ^^^^^^^
        help: did you mean "cuda"? device.backend is one of "cpu", "wgpu", "cuda"
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
        help: Keys of [train.optimizer] with name = "sgd": lr, momentum, name, nesterov, weight_decay
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

        error[C014]: task.go_nogo.go_fraction: 1.5 is not a number from 0 to 1
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
        help: train.stop.metric is one of "val.loss", "val.accuracy", "val.min_accuracy", "val.task_accuracy", "val.min_task_accuracy"
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
        error[C004]: train.stop.at_least = 90 is not an accuracy; expected a fraction from 0 to 1
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
fn a_patience_that_is_to_meet_a_bound() {
    let text = r#"[task.go_nogo]
[train]
stop = { metric = "val.loss", patience = 5, required = true }
"#;
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C017]: train.stop has no bound that could be required
         --> run.toml:3:8
          |
        3 | stop = { metric = "val.loss", patience = 5, required = true }
          |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        help: add one, for instance at_least = 0.9, or remove required
        "#);
}

#[test]
fn settings_of_the_training_that_contradict_one_another() {
    let text = r#"[task.go_nogo]
[model]
initial_state = "zero"
bias = { readout = false }
[train]
steps = 100
schedule = { name = "cosine", warmup_steps = 200 }
optimizer = { name = "sgd", nesterov = true }
clip_grad_norm = 1.0
clip_grad_value = 1.0
groups = { initial_state = { lr = 1e-4 }, output.bias = { lr = 0 } }
"#;
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C025]: a warm-up of 200 steps is longer than the run of 100 steps
         --> run.toml:7:46
          |
        7 | schedule = { name = "cosine", warmup_steps = 200 }
          |                                              ^^^ the warm-up
         ::: run.toml:6:9
          |
        6 | steps = 100
          |         ^^^ the run
        help: the rate would never reach train.optimizer.lr: train.schedule.warmup_steps = 100 or less, or a longer run

        error[C025]: Nesterov's correction without momentum does nothing
         --> run.toml:8:40
          |
        8 | optimizer = { name = "sgd", nesterov = true }
          |                                        ^^^^
        help: add momentum = 0.9, or remove nesterov

        error[C025]: the gradient is clipped in one way, not several
          --> run.toml:9:18
           |
         9 | clip_grad_norm = 1.0
           |                  ^^^
          ::: run.toml:10:19
           |
        10 | clip_grad_value = 1.0
           |                   ^^^
        help: keep one of them; train.clip_grad_norm is the usual one

        error[C025]: train.groups.initial_state has a learning rate, but initial_state is not trained
          --> run.toml:11:28
           |
        11 | groups = { initial_state = { lr = 1e-4 }, output.bias = { lr = 0 } }
           |                            ^^^^^^^^^^^^^
        help: model.initial_state = "learned" trains it; else remove the group

        error[C025]: train.groups.output.bias has a learning rate, but output.bias is not trained
          --> run.toml:11:57
           |
        11 | groups = { initial_state = { lr = 1e-4 }, output.bias = { lr = 0 } }
           |                                                         ^^^^^^^^^^
        help: `train-ctrnn config explain model.bias` says how to train it; else remove the group
        "#);
}

#[test]
fn a_group_of_what_is_no_parameter() {
    let text = "[task.go_nogo]\n[train.groups]\nrecurent.weight = { lr = 1e-4 }\nrecurrent.wight.lr = 1e-4";
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C001]: unknown key train.groups.recurent
         --> run.toml:3:1
          |
        3 | recurent.weight = { lr = 1e-4 }
          | ^^^^^^^^
        help: did you mean "recurrent"? Keys of [train.groups]: initial_state, input, output, recurrent, tau_raw

        error[C001]: unknown key train.groups.recurrent.wight
         --> run.toml:4:11
          |
        4 | recurrent.wight.lr = 1e-4
          |           ^^^^^
        help: did you mean "right" or "weight"? Keys of [train.groups.recurrent]: bias, left, right, weight
        "#);
}

#[test]
fn optimizers_schedules_and_groups_are_read() {
    let text = "[task.go_nogo]\n[train]\ngroups.recurrent.weight.lr = 1e-4";
    let overrides = [
        "train.optimizer={name=\"rmsprop\",momentum=0.9}",
        "train.schedule={name=\"plateau\",metric=\"val.accuracy\"}",
        "train.groups.initial_state.lr=0",
        "train.clip_grad_value=0.1",
    ];
    let train = run(text, &overrides).config.train;
    let groups = [
        (Parameter::RECURRENT_WEIGHT, 1e-4),
        (Parameter::INITIAL_STATE, 0.0),
    ];
    let network = CtrnnConfig::new(3, 2, 1);
    assert_eq!(train.groups.rates(&network), groups.into());
    assert_eq!(train.clip(), Some(Clip::Value(0.1)));
    assert_eq!(train.optimizer.name(), "rmsprop");
    assert!(
        matches!(train.schedule, Schedule::Plateau(plateau) if plateau.metric == Metric::ACCURACY)
    );
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
        help: did you mean "perceptual_decision"? `train-ctrnn tasks list` shows all tasks
        "#);
}

#[test]
fn a_mistake_in_a_task_of_a_mixture() {
    let text = "[task.multitask]
weights = {}
tasks.go_nogo = { delay = 100 }
tasks.perceptual_decison = {}
tasks.npz = {}";
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C001]: unknown key task.multitask.tasks.go_nogo.delay
         --> run.toml:3:19
          |
        3 | tasks.go_nogo = { delay = 100 }
          |                   ^^^^^
        help: did you mean "delay_ms"? Keys of [task.multitask.tasks.go_nogo]: delay_ms, fixation_ms, go_fraction, input_noise, response_ms, stimulus_ms

        error[C011]: unknown task perceptual_decison
         --> run.toml:4:7
          |
        4 | tasks.perceptual_decison = {}
          |       ^^^^^^^^^^^^^^^^^^
        help: did you mean "perceptual_decision"? `train-ctrnn tasks list` shows all tasks

        error[C014]: task.multitask.tasks.npz: cannot be mixed; only tasks that make their own trials can
         --> run.toml:5:13
          |
        5 | tasks.npz = {}
          |             ^^
        help: `train-ctrnn tasks describe multitask` explains its keys
        "#);
    let text = "[task.multitask]
weights = { go_nogo = -1 }
tasks.go_nogo = { delay_ms = 30 }";
    insta::assert_snapshot!(errors(text, &[]), @"
        error[C014]: task.multitask.weights.go_nogo: -1 is not a positive number; to exclude a task, leave out its table
         --> run.toml:2:23
          |
        2 | weights = { go_nogo = -1 }
          |                       ^^
        help: `train-ctrnn tasks describe multitask` explains its keys

        error[C014]: task.multitask.tasks.go_nogo.delay_ms: 30 ms is not a multiple of dt_ms = 20; the nearest are 20 and 40
         --> run.toml:3:30
          |
        3 | tasks.go_nogo = { delay_ms = 30 }
          |                              ^^
        help: `train-ctrnn tasks describe multitask` explains its keys
        ");
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
        help: a task is a table of its name: [task.go_nogo]. `train-ctrnn tasks list` shows all tasks
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

        error[C014]: task.go_nogo.go_fraction: 2 is not a number from 0 to 1
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
        help: give one number for each unit, or one of the words "zero", "learned", "learned_per_condition", "carry"

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
fn time_constants_that_cannot_be() {
    let text = "[task.go_nogo]\n[model]\nn_units = 3\ntau_ms = [100, 50]";
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C004]: model.tau_ms = a list of 2 must have a number for each unit
         --> run.toml:4:10
          |
        4 | tau_ms = [100, 50]
          |          ^^^^^^^^^
        help: `train-ctrnn config explain model.tau_ms` says what it may be
        "#);
    let within = |tau: &str| errors("[task.go_nogo]", &[&format!("model.tau_ms={tau}")]);
    for (tau, rule) in [
        (
            "{uniform=[10,50]}",
            "error[C015]: time.dt_ms = 20 is longer than the shortest of model.tau_ms, 10",
        ),
        ("{uniform=[100,50]}", "needs the smaller bound first"),
        ("{uniform=[100]}", "error[C004]"),
        (
            "{unifrom=[50,100]}",
            "error[C001]: unknown key model.tau_ms.unifrom",
        ),
        (
            "{learned={initial=100,bounds=[20,100]}}",
            "must lie strictly within the bounds",
        ),
        ("{learned={initial=100,bounds=[5,500]}}", "error[C015]"),
        (
            "{learned={initial=100}}",
            "error[C005]: model.tau_ms.learned.bounds is missing",
        ),
        (
            "{lognormal={median=10,sigma=0.5,min=40,max=400}}",
            "must have its median within min and max",
        ),
        (
            "fast",
            "error[C002]: model.tau_ms must be a number or a list or a table",
        ),
    ] {
        let found = within(tau);
        assert!(found.contains(rule), "{tau}: {found}");
    }
    // The exponential integrator takes any time step.
    run(
        "[task.go_nogo]",
        &["model.tau_ms=10", "time.integrator=exponential"],
    );
}

#[test]
fn noise_that_cannot_be() {
    let text = "[task.go_nogo]\n[model]\nn_units = 2\n[model.noise]";
    for (noise, rule) in [
        (
            "preactivation=[0.1]",
            "error[C004]: model.noise.preactivation = a list of 1 must have a finite number",
        ),
        (
            "preactivation=[0.1,-0.1]",
            "error[C004]: model.noise.preactivation[1] = -0.1 must be at least 0",
        ),
        (
            "preactivation={covariance=[[1,2],[2,1]]}",
            "must be positive semidefinite",
        ),
        (
            "preactivation={covariance=[[1,0],[0.5,1]]}",
            "must be symmetric",
        ),
        (
            "preactivation={covariance=[[1]]}",
            "must have a row and a column for each unit",
        ),
        (
            "preactivation={cov=[[1]]}",
            "error[C001]: unknown key model.noise.preactivation.cov",
        ),
        (
            "input=-1",
            "error[C004]: model.noise.input = -1 must be at least 0",
        ),
        (
            "input_tau_ms=0",
            "error[C004]: model.noise.input_tau_ms = 0 must be above 0",
        ),
    ] {
        let found = errors(text, &[&format!("model.noise.{noise}")]);
        assert!(found.contains(rule), "{noise}: {found}");
    }
    let carried = ["model.initial_state=carry", "model.noise.initial_state=0.1"];
    let found = errors(text, &carried);
    assert!(
        found.contains("error[C016]: a carried initial state takes no noise"),
        "{found}"
    );
    run(
        text,
        &["model.noise.preactivation={covariance=[[1,0.5],[0.5,1]]}"],
    );
}

#[test]
fn variants_are_resolved_and_read_again() {
    for overrides in [
        &["model.tau_ms={learned={initial=100,bounds=[20,500]}}"][..],
        &["model.tau_ms={learned={initial={uniform=[50,100]},bounds=[20,500]}}"],
        &["model.tau_ms={lognormal={median=100,sigma=0.5,min=40,max=400}}"],
        &[
            "model.n_units=2",
            "model.tau_ms=[50,100]",
            "time.integrator=exponential",
        ],
        &["model.n_units=2", "model.noise.preactivation=[0,0.1]"],
        &[
            "model.n_units=2",
            "model.noise.preactivation={covariance=[[1,0.5],[0.5,1]]}",
        ],
        &[
            "model.initial_state=learned_per_condition",
            "model.noise.initial_state=0.1",
        ],
        &[
            "model.initial_state=carry",
            "model.input={baseline=0.2,rectify=true}",
        ],
        &["model.output_nonlinearity=sigmoid"],
    ] {
        let first = run("[task.go_nogo]", overrides);
        let second = run(&first.resolved_toml(), &[]);
        assert_eq!(first.config, second.config);
        assert_eq!(first.model, second.model);
    }
}

#[test]
fn answers_that_do_not_fit_the_loss() {
    let text = "[task.perceptual_decision]\n[model]\noutput_nonlinearity = 'sigmoid'\n[train.loss]\nname = 'cross_entropy'";
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C026]: the loss cross_entropy does not fit model.output_nonlinearity = "sigmoid"
         --> run.toml:3:23
          |
        3 | output_nonlinearity = 'sigmoid'
          |                       ^^^^^^^^^ the answer
         ::: run.toml:5:8
          |
        5 | name = 'cross_entropy'
          |        ^^^^^^^^^^^^^^^ the loss
        help: cross_entropy makes softmax(y) the answer: model.output_nonlinearity = "softmax", or train.loss.name = "mse"
        "#);
    run(text, &["model.output_nonlinearity=softmax"]);
    run(text, &["train.loss.name=mse"]);
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
        help: did you mean "relu"? model.activation is one of "relu", "tanh", "sigmoid", "retanh", "softplus", "power", "linear", "leaky_relu", "clipped_relu", "cubic"

        error[C004]: train.batch_size = 0 must be at least 1
          --> run.toml:10:14
           |
        10 | batch_size = 0
           |              ^
        help: the default is train.batch_size = 64
        "#);
}

#[test]
fn connections_that_contradict_each_other() {
    let text = r#"
[task.go_nogo]
[model]
activation = "tanh"
dale = { parametrization = "square" }
self_connections = false
init = { recurrent = "diagonal" }
[train]
freeze = ["input", "readout.bias"]
"#;
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C023]: Dale's law needs rates that are never negative, but the activation is tanh: a negative rate turns an excitatory unit into an inhibitory one
         --> run.toml:4:14
          |
        4 | activation = "tanh"
          |              ^^^^^^ can be negative
         ::: run.toml:5:8
          |
        5 | dale = { parametrization = "square" }
          |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ Dale's law
        help: model.activation may be relu, sigmoid, retanh, softplus, power, clipped_relu; or remove model.dale

        error[C023]: model.init.recurrent = "diagonal" has weights at zero, which the parametrization square can never leave: the slope of w^2 is zero there
         --> run.toml:7:22
          |
        7 | init = { recurrent = "diagonal" }
          |                      ^^^^^^^^^^
         ::: run.toml:5:8
          |
        5 | dale = { parametrization = "square" }
          |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ W = s w^2
        help: model.dale.parametrization = "abs", or another distribution

        error[C023]: a diagonal W_rc consists of self-connections, which are not allowed
         --> run.toml:7:22
          |
        7 | init = { recurrent = "diagonal" }
          |                      ^^^^^^^^^^
         ::: run.toml:6:20
          |
        6 | self_connections = false
          |                    ^^^^^
        help: model.self_connections = true, or model.init.recurrent = "gaussian"

        error[C003]: "readout.bias" in train.freeze is not a parameter or a group of them
         --> run.toml:9:20
          |
        9 | freeze = ["input", "readout.bias"]
          |                    ^^^^^^^^^^^^^^
        help: parameters: input.weight, recurrent.weight, recurrent.left, recurrent.right, recurrent.bias, output.weight, output.bias, initial_state, tau_raw; groups: input, recurrent, output
        "#);
}

#[test]
fn recomputation_with_a_penalty_on_rates() {
    insta::assert_snapshot!(
        errors("[task.go_nogo]\n[train]\nrecompute = true\nloss = { hebbian = 1e-3 }", &[]), @r#"
        error[C025]: train.recompute does not keep the rates that a penalty of train.loss needs
         --> run.toml:3:13
          |
        3 | recompute = true
          |             ^^^^
         ::: run.toml:4:8
          |
        4 | loss = { hebbian = 1e-3 }
          |        ^^^^^^^^^^^^^^^^^^
        help: remove train.recompute, or the penalties on rates
        "#
    );
}

#[test]
fn time_constants_of_cell_types_without_dale() {
    insta::assert_snapshot!(
        errors("[task.go_nogo]\n[model]\ntau_ms = { e = 100, i = 50 }", &[]), @r#"
        error[C023]: time constants of cell types need Dale's law, which says which units are excitatory
         --> run.toml:3:10
          |
        3 | tau_ms = { e = 100, i = 50 }
          |          ^^^^^^^^^^^^^^^^^^^ e and i
        help: add model.dale = { excitatory_fraction = 0.8 }, or one number for model.tau_ms
        "#
    );
}

#[test]
fn balance_without_dale_and_densities_that_are_no_fractions() {
    let text = "[task.go_nogo]
[model]
density = { recurrent = 1.5 }
init = { balance = 'row' }
dale = 'abs'
";
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C004]: model.density.recurrent = 1.5 must be at most 1
         --> run.toml:3:25
          |
        3 | density = { recurrent = 1.5 }
          |                         ^^^
        help: the default is model.density.recurrent = 1.0

        error[C002]: model.dale must be a table, but is the string "abs"
         --> run.toml:5:8
          |
        5 | dale = 'abs'
          |        ^^^^^ expected a table
        help: Keys of [model.dale]: excitatory_fraction, parametrization, readout, signs
        "#);
    let text = "[task.go_nogo]
[model.init]
balance = 'row'
";
    insta::assert_snapshot!(errors(text, &[]), @r#"
        error[C023]: model.init.balance needs Dale's law, which says which units are inhibitory
         --> run.toml:3:11
          |
        3 | balance = 'row'
          |           ^^^^^ asked for here
        help: add model.dale = { excitatory_fraction = 0.8 }, or remove model.init.balance
        "#);
}

#[test]
fn lists_of_signs_that_do_not_fit() {
    let text = "[task.go_nogo]
[model]
n_units = 3
dale = { signs = [1, 0, -1, -2], excitatory_fraction = 0.8 }
";
    insta::assert_snapshot!(errors(text, &[]), @r#"
    error[C023]: model.dale has both a list of signs and a fraction
     --> run.toml:4:18
      |
    4 | dale = { signs = [1, 0, -1, -2], excitatory_fraction = 0.8 }
      |                  ^^^^^^^^^^^^^^ one
     ::: run.toml:4:56
      |
    4 | dale = { signs = [1, 0, -1, -2], excitatory_fraction = 0.8 }
      |                                                        ^^^ the other
    help: keep one of the two: model.dale.signs says which units are excitatory

    error[C023]: model.dale.signs has 4 numbers for 3 units
     --> run.toml:4:18
      |
    4 | dale = { signs = [1, 0, -1, -2], excitatory_fraction = 0.8 }
      |                  ^^^^^^^^^^^^^^
     ::: run.toml:3:11
      |
    3 | n_units = 3
      |           ^ the number of units
    help: give 1 or -1 for each unit, or model.dale.excitatory_fraction in place of the list

    error[C023]: model.dale.signs gives unit 1 the sign 0, which is neither 1 nor -1
     --> run.toml:4:22
      |
    4 | dale = { signs = [1, 0, -1, -2], excitatory_fraction = 0.8 }
      |                      ^
    help: 1 makes a unit excitatory, -1 inhibitory; a unit without a sign does not obey Dale's law
    "#);
    let overrides = ["model.n_units=2", "model.dale.signs=[1,0.5]"];
    insta::assert_snapshot!(errors("[task.go_nogo]", &overrides), @"
    error[C002]: model.dale.signs[1] must be an integer, but is the number 0.5
     --> command line:1:21
      |
    1 | model.dale.signs=[1,0.5]
      |                     ^^^ expected an integer
    help: `train-ctrnn config explain model.dale.signs` says what it means
    ");
}

#[test]
fn a_list_of_signs_takes_the_place_of_the_fraction() {
    let text = "[task.go_nogo]\n[model]\nn_units = 3\ndale = { signs = [1, -1, 1] }";
    let run = run(text, &[]);
    assert_eq!(run.model.unit_signs(), Some(vec![1.0, -1.0, 1.0]));
    let dale = &run.resolved_table()["model"]["dale"];
    assert_eq!(dale["signs"].to_string(), "[1, -1, 1]");
    assert!(dale.get("excitatory_fraction").is_none());
}

/// Returns the exit code and the text of the errors for a file of connections.
fn refused_connections(arrays: &[(&str, ctrnn_files::Array)], text: &str) -> (u8, String) {
    let folder = tempfile::tempdir().unwrap();
    let arrays = arrays
        .iter()
        .map(|(name, array)| ((*name).to_owned(), array.clone()));
    ctrnn_files::npz::write(&folder.path().join("c.npz"), &arrays.collect()).unwrap();
    let text = format!(
        "[task.go_nogo]\n[model]\nn_units = 2\nconnectivity = {{ file = \"c.npz\" }}\n{text}"
    );
    let errors =
        RunConfig::from_text(&text, "run.toml", folder.path(), &[], &registry()).unwrap_err();
    let message = errors.0[0].message.clone();
    (errors.exit_code(), message)
}

#[test]
fn files_of_connections_that_do_not_fit() {
    let array = |shape: &[usize], values: &[f64]| ctrnn_files::Array::f64(shape, values.to_vec());
    let table = [
        (
            "recurrent.mask",
            array(&[2, 2], &[1.0, 0.5, 0.0, 1.0]),
            "",
            "recurrent.mask = 0.5 at index 1 must be 0 or 1 everywhere",
        ),
        (
            "recurrent.mask",
            array(&[1, 2], &[1.0, 0.0]),
            "",
            "recurrent.mask has shape [1, 2], but must have [2, 2]",
        ),
        (
            "recurrent.weight",
            array(&[2, 2], &[1.0; 4]),
            "",
            "recurrent.weight is not an array of connections",
        ),
        (
            "readout.mask",
            array(&[2, 2], &[1.0; 4]),
            "",
            "readout.mask is not an array of connections",
        ),
        (
            "recurrent.sign",
            array(&[2], &[1.0, -1.0]),
            "",
            "recurrent.sign gives signs, but there is no model.dale",
        ),
        (
            "recurrent.sign",
            array(&[2], &[1.0, 0.0]),
            "dale = {}",
            "dale.signs = 0 at unit 1 must be +1 or -1",
        ),
        (
            "recurrent.sign",
            array(&[2], &[1.0, -1.0]),
            "dale = { signs = [1, -1] }",
            "recurrent.sign gives signs, and so does model.dale.signs",
        ),
        (
            "recurrent.fixed",
            array(&[2, 2], &[0.5, 0.0, 0.0, 0.0]),
            "self_connections = false",
            "recurrent.fixed = 0.5 from unit 0 to unit 0 stands where",
        ),
        (
            "recurrent.plasticity",
            array(&[2, 2], &[1.0, -1.0, 1.0, 1.0]),
            "",
            "recurrent.plasticity = -1 at index 1 must be finite and at least 0",
        ),
        (
            "recurrent.delay_ms",
            array(&[2, 2], &[0.0, 0.0, 30.0, 0.0]),
            "",
            "recurrent.delay_ms = 30 from unit 0 to unit 1 must be 0 or a whole multiple of time.dt_ms = 20",
        ),
        (
            "input.delay_ms",
            array(&[2, 2], &[0.0; 4]),
            "",
            "input.delay_ms is not an array of connections: those are",
        ),
    ];
    for (name, values, text, expected) in table {
        let (code, message) = refused_connections(&[(name, values)], text);
        let message = message
            .strip_prefix("model.connectivity.file: ")
            .unwrap_or(&message);
        assert!(
            message.starts_with(expected),
            "{message}\nis not\n{expected}"
        );
        assert_eq!(code, 4, "{message}");
    }
    let missing = read(
        "[task.go_nogo]\n[model]\nconnectivity = { file = 'none.npz' }",
        &[],
    )
    .unwrap_err();
    assert_eq!(missing.exit_code(), 4);
}

/// Connections between two units that take 40 ms.
#[test]
fn keys_that_do_not_go_with_delays() {
    let delays = ctrnn_files::Array::f64(&[2, 2], vec![0.0, 40.0, 40.0, 0.0]);
    let delays = ("recurrent.delay_ms", delays);
    let omega = "[train.loss]\nomega = { weight = 1 }";
    let (code, message) = refused_connections(std::slice::from_ref(&delays), omega);
    assert!(
        message.starts_with("train.loss.omega compares"),
        "{message}"
    );
    assert_eq!(code, 2);

    let folder = tempfile::tempdir().unwrap();
    let arrays = [(delays.0.to_owned(), delays.1)].into();
    ctrnn_files::npz::write(&folder.path().join("c.npz"), &arrays).unwrap();
    let text = "[task.go_nogo]\n[model]\nn_units = 2\nconnectivity = { file = \"c.npz\" }\n[train]\nrecompute = true";
    let run = RunConfig::from_text(text, "run.toml", folder.path(), &[], &registry()).unwrap();
    let notes = run.unused_keys();
    let expected = "train.recompute has no effect: recurrent connections are delayed";
    assert!(
        notes.iter().any(|note| note.starts_with(expected)),
        "{notes:?}"
    );
    assert_eq!(run.model.delays().unwrap().steps(), [0, 2]);
}

/// Penalties on the sums of rates go with recomputation, and Omega makes it useless.
#[test]
fn recomputation_and_penalties() {
    let notes = |loss: &str| {
        let text = format!("[task.go_nogo]\n[train]\nrecompute = true\nloss = {{ {loss} }}");
        let run = RunConfig::from_text(&text, "run.toml", Path::new(""), &[], &registry());
        run.unwrap().unused_keys()
    };
    assert_eq!(
        notes("rate_l2 = 1e-3, rate_l1 = 1e-3"),
        Vec::<String>::new()
    );
    let expected = "train.recompute has no effect: train.loss.omega";
    let found = notes("omega = { weight = 1 }");
    assert!(
        found.iter().any(|note| note.starts_with(expected)),
        "{found:?}"
    );
}

/// A word, and a table whose `name` is the word.
#[test]
fn activations_and_initial_weights_with_parameters() {
    let text = r#"[task.go_nogo]
[model]
activation = { name = "power", gain = 0.04 }
initial_state = { learned = { mean = 0.1, std = 0.01 } }
bias = { range = [-1, 1] }
init = { input = { name = "uniform", low = 0, high = 0.1 }, recurrent = { name = "diagonal", gain = 0.5 }, output = "zero" }
"#;
    let resolved = read(text, &[]).unwrap().resolved_toml();
    for line in [
        "name = \"power\"",
        "exponent = 2.0",
        "gain = 0.04",
        "low = 0.0",
        "output = \"zero\"",
        "mean = 0.1",
    ] {
        assert!(resolved.contains(line), "{line} is not in\n{resolved}");
    }
    assert_eq!(read(&resolved, &[]).unwrap().resolved_toml(), resolved);
    let word = read("[task.go_nogo]\n[model]\nactivation = \"leaky_relu\"", &[]);
    let resolved = word.unwrap().resolved_toml();
    assert!(
        resolved.contains("activation = \"leaky_relu\""),
        "{resolved}"
    );
    assert!(resolved.contains("recurrent = \"gaussian\""), "{resolved}");
    assert!(!resolved.contains("range"), "{resolved}");
    let unknown = r#"[task.go_nogo]
[model]
activation = { name = "power", exponent = 0.5, slope = 1 }
init = { input = { name = "uniform", std = 1 }, recurrent = { gain = 1 }, output = { name = "normal" } }
"#;
    let contradictory = r#"[task.go_nogo]
[model]
activation = "elu"
init = { input = { name = "gaussian", std = 0.1, gain = 2 }, recurrent = { name = "diagonal", gain = 0.5 }, spectral_radius = 1 }
bias = { recurrent = false, range = [1, 2] }
"#;
    let both = [unknown, contradictory].map(|text| errors(text, &[]));
    insta::assert_snapshot!(both.join("\n\n"), @r#"
        error[C004]: model.activation.exponent = 0.5 must be at least 1
         --> run.toml:3:43
          |
        3 | activation = { name = "power", exponent = 0.5, slope = 1 }
          |                                           ^^^
        help: the default is model.activation.exponent = 2.0

        error[C001]: unknown key model.activation.slope
         --> run.toml:3:48
          |
        3 | activation = { name = "power", exponent = 0.5, slope = 1 }
          |                                                ^^^^^
        help: Keys of [model.activation] with name = "power": exponent, gain, name, threshold

        error[C001]: unknown key model.init.input.std
         --> run.toml:4:38
          |
        4 | init = { input = { name = "uniform", std = 1 }, recurrent = { gain = 1 }, output = { name = "normal" } }
          |                                      ^^^
        help: did you mean "model.feedback.init.std" or "model.init.output.std" or "model.init.recurrent.std"? Keys of [model.init.input] with name = "uniform": gain, high, low, name

        error[C005]: model.init.recurrent.name is missing
         --> run.toml:4:49
          |
        4 | init = { input = { name = "uniform", std = 1 }, recurrent = { gain = 1 }, output = { name = "normal" } }
          |                                                 ^^^^^^^^^ has no name
        help: the default is model.init.recurrent.name = "gaussian"

        error[C003]: "normal" is not a distribution of weights
         --> run.toml:4:93
          |
        4 | init = { input = { name = "uniform", std = 1 }, recurrent = { gain = 1 }, output = { name = "normal" } }
          |                                                                                             ^^^^^^^^
        help: did you mean "lognormal"? model.init.output is one of "gaussian", "uniform", "gamma", "lognormal", "orthogonal", "diagonal", "zero"


        error[C003]: "elu" is not an activation
         --> run.toml:3:14
          |
        3 | activation = "elu"
          |              ^^^^^
        help: did you mean "relu"? model.activation is one of "relu", "tanh", "sigmoid", "retanh", "softplus", "power", "linear", "leaky_relu", "clipped_relu", "cubic"

        error[C004]: model.init.input.std = 0.1 sets the scale, and so does gain: keep one of the two
         --> run.toml:4:18
          |
        4 | init = { input = { name = "gaussian", std = 0.1, gain = 2 }, recurrent = { name = "diagonal", gain = 0.5 }, spectral_radius = 1 }
          |                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        help: `train-ctrnn config explain model.init.input` says what it may be

        error[C016]: model.init.recurrent gives the scale of the weights, and spectral radius 1 another one
         --> run.toml:4:74
          |
        4 | init = { input = { name = "gaussian", std = 0.1, gain = 2 }, recurrent = { name = "diagonal", gain = 0.5 }, spectral_radius = 1 }
          |                                                                          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ one
         ::: run.toml:4:127
          |
        4 | init = { input = { name = "gaussian", std = 0.1, gain = 2 }, recurrent = { name = "diagonal", gain = 0.5 }, spectral_radius = 1 }
          |                                                                                                                               ^ the other
        help: keep one of the two

        error[C016]: model.bias.range bounds the biases, but model.bias.recurrent = false holds them at zero
         --> run.toml:5:37
          |
        5 | bias = { recurrent = false, range = [1, 2] }
          |                                     ^^^^^^ the range
         ::: run.toml:5:22
          |
        5 | bias = { recurrent = false, range = [1, 2] }
          |                      ^^^^^ no biases
        help: remove one of the two
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
        help: write `key = value` under a [table]; a string needs double quotes
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
        help: write `key = value` under a [table]; a string needs double quotes

        error[C001]: unknown key model.hiden
         --> run.toml:4:1
          |
        4 | hiden = 5
          | ^^^^^
        help: did you mean "n_units"? Keys of [model]: activation, areas, bias, connectivity, dale, density, feedback, form, init, initial_state, input, layer, low_rank, n_units, noise, output_nonlinearity, positive_input, projections, self_connections, short_term_plasticity, tau_ms

        error[C006]: not TOML: string values must be quoted, expected literal string
         --> run.toml:5:14
          |
        5 | activation = relu
          |              ^^^^
        help: write `key = value` under a [table]; a string needs double quotes
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
        help: write `key = value` under a [table]; a string needs double quotes
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
        help: '~seed' removes the key

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
        help: did you mean "checkpoint.every_steps" or "train.rule.every_steps" or "train.schedule.every_steps"? Tables and keys: checkpoint, device, model, seed, task, time, train, validate, version

        error[C001]: unknown key train.batchsize
         --> command line:1:7
          |
        1 | train.batchsize=3
          |       ^^^^^^^^^
        help: did you mean "batch_size"? Keys of [train]: accumulate, batch_size, clip_grad_norm, clip_grad_norm_per_tensor, clip_grad_value, continual, divergence, dropout, freeze, groups, log_every, loss, noise_schedule, optimizer, perturbation, recompute, rule, schedule, stage, steps, stop, teacher_forcing, truncate_steps, truncate_stride

        error[C001]: unknown key train.stpo
         --> command line:1:2
          |
        1 | ~train.stpo
          |  ^^^^^^^^^^
        help: did you mean "stop"? Keys of [train]: accumulate, batch_size, clip_grad_norm, clip_grad_norm_per_tensor, clip_grad_value, continual, divergence, dropout, freeze, groups, log_every, loss, noise_schedule, optimizer, perturbation, recompute, rule, schedule, stage, steps, stop, teacher_forcing, truncate_steps, truncate_stride

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
        help: did you mean "tanh"? model.activation is one of "relu", "tanh", "sigmoid", "retanh", "softplus", "power", "linear", "leaky_relu", "clipped_relu", "cubic"

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
        help: did you mean "go_nogo"? `train-ctrnn tasks list` shows all tasks
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
        integrator = "euler"

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
        output_nonlinearity = "identity"
        tau_ms = 100.0
        initial_state = "learned"
        positive_input = false
        self_connections = true

        [model.input]
        baseline = 0.0
        rectify = false

        [model.bias]
        recurrent = true
        readout = true

        [model.noise]
        preactivation = 0.0
        postactivation = 0.0
        input = 0.0
        input_tau_ms = 100.0
        initial_state = 0.0
        convention = "spec"

        [model.init]
        input = "gaussian"
        recurrent = "gaussian"
        output = "gaussian"
        balance = "none"

        [model.density]
        input = 1.0
        recurrent = 1.0
        output = 1.0

        [model.connectivity]

        [train]
        steps = 5000
        batch_size = 64
        clip_grad_norm = 1.0
        recompute = false
        log_every = 10
        freeze = []

        [train.optimizer]
        name = "adam"
        lr = 0.001
        betas = [0.9, 0.999]
        eps = 0.00000001
        weight_decay = 0.0
        amsgrad = false

        [train.schedule]
        name = "constant"
        warmup_steps = 0

        [train.loss]
        name = "mse"
        normalisation = "mask"

        [train.divergence]
        max_rollbacks = 3
        lr_factor = 0.5

        [validate]
        every_steps = 100
        trials = 512
        noise = true
        balance = "tasks"

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
    for backend in ["wgpu:1", "wgpu:nvidia", "cuda", "cuda:1"] {
        let first = run(text, &[&format!("device.backend={backend}")]);
        let second = run(&first.resolved_toml(), &[]);
        assert_eq!(first.config.device, second.config.device);
        assert_eq!(first.config, second.config);
        assert_eq!(first.model, second.model);
        assert_eq!(first.objective, second.objective);
        assert_eq!(first.resolved_toml(), second.resolved_toml());
    }
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
        (run.config.seed, run.clock.dt_ms(), run.task_name.as_str()),
        (9, 10.0, "go_nogo")
    );
    let expected = CtrnnConfig {
        dt_ms: 10.0,
        form: Form::Rate,
        activation: ctrnn_model::Activation::Softplus,
        bias: ctrnn_model::Biases {
            recurrent: true,
            readout: false,
            range: None,
        },
        ..CtrnnConfig::for_task(run.task.as_ref(), 128)
    };
    assert_eq!(run.model, expected.written_out());
    assert_eq!(run.objective, Loss::Mse.into());
    let stop = StopConfig {
        metric: Metric::ACCURACY,
        over: 1,
        at_least: Some(0.9),
        at_most: None,
        patience: None,
        required: true,
    };
    assert_eq!(run.config.train.stop, Some(stop));
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
        (
            run.model.n_units,
            run.model.tau_ms.range_ms()[0],
            run.model.dt_ms
        ),
        (4, 50.0, 20.0)
    );
    assert_eq!(run.model.activation, ctrnn_model::Activation::Tanh);
    assert_eq!(
        (run.config.train.optimizer.lr(), &run.config.train.stop),
        (3e-4, &None)
    );
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
    assert_eq!(
        run(text, &[]).input_files[0].path,
        PathBuf::from("/lab/w.npz")
    );
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

/// A task that cannot be built; its key selects the kind of error.
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
    let expected = CtrnnConfig::for_task(run.task.as_ref(), 32).written_out();
    assert_eq!(run.model, expected); // dt 20, tau 100, relu, no noise, no constraints
    assert_eq!(
        (&run.config.train.stop, run.config.train.clip()),
        (&None, Some(Clip::GlobalNorm(1.0)))
    );
    assert_eq!(run.config.checkpoint.every_steps, 50);
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
    assert_eq!(run.task.input_files(), std::slice::from_ref(&file));
    assert_eq!(run.input_files[0].path, file);
    assert_eq!(run.objective.loss, Loss::CrossEntropy);
    let mse = RunConfig::load(
        &config("neurogym_npz.toml"),
        &["train.loss.name=mse".into()],
        &registry(),
    );
    assert_eq!(mse.unwrap().objective.loss, Loss::Mse);
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
        help: a list needs brackets: ["x.npz"]; on the command line, put the override between single quotes

        error[C002]: task.npz.no_answer.coh must be a list, but is the integer 0
         --> command line:1:25
          |
        1 | task.npz.no_answer={coh=0}
          |                         ^ expected a list
        help: a list needs brackets: [0]; on the command line, put the override between single quotes

        error[C004]: task.npz.validation_fraction = 2 must be at most 1
         --> command line:1:30
          |
        1 | task.npz.validation_fraction=2
          |                              ^
        help: the default is task.npz.validation_fraction = 0.2
        "#);
}

#[test]
fn rules_of_low_rank_are_shown_at_their_keys() {
    let text = "[task.go_nogo]\n[model]\nn_units = 4\ndale = {}\nlow_rank = { rank = 6 }\n[train]\ngroups.recurrent.weight.lr = 1e-3";
    let found = errors(text, &[]);
    for part in [
        "model.low_rank.rank = 6 is larger than the number of units, 4",
        "--> run.toml:5:21",
        "help: model.low_rank.rank = 4 or less; no matrix of 4 units has a higher rank",
        "error[C023]: Dale's law gives each entry of W_rc a sign, which a product of factors does not have",
        "help: remove model.dale, or model.low_rank for a full matrix",
    ] {
        assert!(found.contains(part), "{part:?} is not in {found}");
    }
    let found = errors(text, &["~model.dale", "model.low_rank.rank=2"]);
    let part =
        "train.groups.recurrent.weight has a learning rate, but recurrent.weight is not trained";
    assert!(found.contains(part), "{found}");
    let unknown = errors(text, &["~model.dale", "model.low_rank.full=\"some\""]);
    assert!(
        unknown.contains("\"some\" is not a full matrix"),
        "{unknown}"
    );
}

/// Turns need a mixture in blocks; the mixture itself has none, so the note is about the stage.
#[test]
fn keys_without_effect_in_a_stage_are_noted() {
    let text = "[task.multitask]\ntasks = { go_nogo = {}, anti = {} }\n[model]\nn_units = 4\n[[train.stage]]\nname = \"first\"\ntask.multitask.turns = [\"anti\"]\n[[train.stage]]\n";
    let why = "only mixing = \"blocks\" and mixing = \"sequence\" use turns";
    assert_eq!(
        run(text, &[]).unused_keys(),
        [format!(
            "task.multitask.turns of stage first has no effect: {why}"
        )]
    );
    let blocks = run(text, &["task.multitask.mixing=\"blocks\""]);
    assert_eq!(blocks.unused_keys(), [""; 0]);
}

#[test]
fn keys_without_effect_on_factors_are_noted() {
    let text = "[task.go_nogo]\n[model]\nlow_rank = { rank = 2, gain = 0.5, train = [\"left\"] }\ninit.recurrent = \"uniform\"\n[train.groups]\nrecurrent.right.lr = 1e-3";
    let found = run(text, &[]).unused_keys().join("\n");
    for part in [
        "model.init.recurrent has no effect: W_rc is the product of its factors alone",
        "model.low_rank.gain has no effect",
        "train.groups.recurrent.right has no effect: model.low_rank leaves recurrent.right as it is drawn",
    ] {
        assert!(found.contains(part), "{part:?} is not in {found}");
    }
    let used = run(text, &["model.low_rank.full=\"fixed\"", "~train.groups"]);
    assert_eq!(used.unused_keys(), [""; 0]);
    let held = [
        "train.loss.weight_l2={recurrent=1.0}",
        "train.freeze=[\"recurrent.left\"]",
        "~train.groups",
    ];
    let found = run(text, &held).unused_keys().join("\n");
    assert!(
        found.contains(
            "train.loss.weight_l2 has no effect: on recurrent.weight, which train.freeze holds"
        ),
        "{found}"
    );
}

#[test]
fn rules_of_short_term_plasticity_have_their_places() {
    let text = "[task.go_nogo]\n[model]\nn_units = 4\n";
    for (model, rule) in [
        (
            "activation = \"tanh\"\nshort_term_plasticity = \"half\"",
            "short-term plasticity needs rates that are never negative, but the activation is tanh",
        ),
        (
            "short_term_plasticity = { e = \"facilitating\", i = \"depressing\" }",
            "short-term plasticity of cell types needs Dale's law",
        ),
        (
            "short_term_plasticity = { tau_u_ms = 100, tau_x_ms = [50, 60], U = 0.5 }",
            "model.short_term_plasticity.tau_x_ms has 2 numbers for 4 units",
        ),
        (
            "short_term_plasticity = { tau_u_ms = 100, tau_x_ms = 50, U = 1.5 }",
            "model.short_term_plasticity.U = 1.5 must be at most 1",
        ),
        (
            "short_term_plasticity = { tau_u_ms = 100, tau_x_ms = 10, U = 0.5 }",
            "time.dt_ms = 20 is longer than the shortest time constant of model.short_term_plasticity, 10 ms",
        ),
        ("short_term_plasticity = \"hal\"", "\"hal\""),
        (
            "short_term_plasticity = { tau_u_ms = 100, tau_x_ms = 50 }",
            "U",
        ),
        (
            "short_term_plasticity = \"half\"\n[train.loss]\nomega = { weight = 1 }",
            "train.loss.omega is defined for synapses that transmit the rate",
        ),
    ] {
        let found = errors(&format!("{text}{model}\n"), &[]);
        assert!(found.contains(rule), "{model}: {found}");
        assert!(found.contains("--> run.toml:"), "{model}: {found}");
        assert!(found.contains("help: "), "{model}: {found}");
    }
    run(text, &["model.short_term_plasticity=half"]);
    run(
        text,
        &[
            "model.short_term_plasticity={e=\"facilitating\",i={tau_u_ms=[50,60,70,80],tau_x_ms=100,U=0.3}}",
            "model.dale={}",
        ],
    );
}
