//! Properties of every task of the registry.

use std::path::Path;

use ctrnn_random::{Key, Rng, Stream};
use ctrnn_tasks::{
    BatchRequest, BuildContext, Clock, Condition, ConditionOrder, Mask, Meaning, Programs,
    Registry, Target, Task, Trial, TrialBatch,
};

const TRIALS: usize = 400;

/// The tasks in which nothing is random.
const WITHOUT_CHANCE: [&str; 1] = ["sine"];

fn clock() -> Clock {
    Clock::new(20.0).unwrap()
}

/// Every task with its defaults, by name.
fn tasks() -> Vec<(String, Box<dyn Task>)> {
    let registry = Registry::built_in();
    let context = BuildContext {
        clock: clock(),
        seed: 1,
        base_dir: Path::new("."),
        registry: &registry,
        programs: Programs::NEVER,
        trained: None,
    };
    let build = |name: &str| {
        let entry = registry.get(name).unwrap();
        (
            name.to_owned(),
            entry.build(toml::Table::new(), &context).unwrap(),
        )
    };
    registry.names().map(build).collect()
}

fn request(seed: u64, step: u64, n_trials: usize) -> BatchRequest {
    let key = Key::new(seed, Stream::Trials, 0);
    BatchRequest {
        clock: clock(),
        first_trial: 0,
        n_trials,
        key,
        step,
        conditions: ConditionOrder::Weighted,
    }
}

fn batch(task: &dyn Task, n_trials: usize) -> TrialBatch {
    task.sample_batch(&request(1, 0, n_trials)).unwrap()
}

fn trials(task: &dyn Task) -> Vec<Trial> {
    let batch = batch(task, TRIALS);
    (0..TRIALS).map(|b| batch.trial(b)).collect()
}

#[test]
fn arrays_have_the_shapes_of_the_layout() {
    for (name, task) in tasks() {
        let layout = task.layout();
        for trial in trials(&*task) {
            let steps = trial.n_steps;
            assert!(steps > 0, "{name}");
            assert_eq!(trial.inputs.len(), steps * layout.inputs.len(), "{name}");
            assert!(trial.inputs.iter().all(|input| input.is_finite()), "{name}");
            match &trial.target {
                Target::Values(values) => assert_eq!(values.len(), steps * layout.outputs.len()),
                Target::Classes(classes) => assert_eq!(classes.len(), steps, "{name}"),
            }
            match &trial.mask {
                Mask::Steps(mask) => assert_eq!(mask.len(), steps, "{name}"),
                Mask::Outputs(mask) => assert_eq!(mask.len(), steps * layout.outputs.len()),
            }
            assert!(
                trial.last_counted_step().is_some(),
                "{name}: a trial counts somewhere"
            );
        }
        assert!(
            layout
                .choices
                .iter()
                .all(|&choice| choice < layout.outputs.len()),
            "{name}"
        );
    }
}

#[test]
fn epochs_tile_the_trial_and_keep_their_durations() {
    for (name, task) in tasks() {
        for trial in trials(&*task) {
            let mut end = 0;
            for (epoch, steps) in &trial.timeline.epochs {
                assert_eq!(
                    steps.start, end,
                    "{name}: {epoch} starts where the last one ends"
                );
                end = steps.end;
            }
            assert_eq!(end, trial.n_steps, "{name}");
            for epoch in task.epochs() {
                let ms = trial.timeline.steps(epoch.name).len() as f64 * clock().dt_ms();
                let [low, high] = epoch.duration.bounds_ms();
                assert!(
                    (low..=high).contains(&ms),
                    "{name}: {} of {ms} ms",
                    epoch.name
                );
            }
        }
    }
}

/// Known beforehand, and not much more than what comes: padding would be paid for.
#[test]
fn the_longest_trial_is_known() {
    for (name, task) in tasks() {
        let longest = task.longest_steps(clock()).unwrap();
        let seen = (0..20)
            .map(|step| task.sample_batch(&request(1, step, 100)).unwrap())
            .map(|batch| batch.max_steps);
        let seen = seen.max().unwrap();
        assert!(seen <= longest, "{name}: {seen} of at most {longest}");
        assert!(
            9 * longest <= 10 * seen,
            "{name}: {seen} of at most {longest}"
        );
    }
}

#[test]
fn padding_is_zero_and_does_not_count() {
    for (name, task) in tasks() {
        let batch = batch(&*task, 16);
        let zeros = |array: &[f32], width: usize| {
            array
                .chunks_exact(batch.max_steps * width)
                .zip(&batch.n_steps)
                .all(|(rows, n_steps)| rows[n_steps * width..].iter().all(|&x| x == 0.0))
        };
        assert!(
            batch.n_inputs == 0 || zeros(&batch.inputs, batch.n_inputs),
            "{name}"
        );
        assert!(match &batch.mask {
            Mask::Steps(mask) => zeros(mask, 1),
            Mask::Outputs(mask) => zeros(mask, batch.n_outputs),
        });
        if let Target::Values(values) = &batch.target {
            assert!(zeros(values, batch.n_outputs), "{name}");
        }
    }
}

#[test]
fn a_batch_depends_on_seed_and_step_alone() {
    for (name, task) in tasks() {
        let first = batch(&*task, 8);
        assert_eq!(first, batch(&*task, 8), "{name}");
        let larger = batch(&*task, 20);
        assert!((0..8).all(|b| larger.trial(b) == first.trial(b)), "{name}");
        for other in [request(2, 0, 8), request(1, 1, 8)] {
            let other = task.sample_batch(&other).unwrap();
            assert_eq!(first == other, WITHOUT_CHANCE.contains(&&*name), "{name}");
        }
    }
}

#[test]
fn the_target_makes_the_correct_choice() {
    for (name, task) in tasks() {
        let choices = task.layout().choices;
        for trial in trials(&*task) {
            let correct = trial.correct;
            assert!(
                correct.is_none() || trial.target_choice(&choices) == correct,
                "{name}"
            );
            if let Target::Values(values) = &trial.target {
                let judged = task.is_correct(&trial, values);
                assert_ne!(judged, Some(false), "{name}: {:?}", trial.condition);
                assert!(correct.is_none() || judged == Some(true), "{name}");
            }
        }
    }
}

/// A readout that knows nothing is right with the probability p = `chance()`: in m answered trials m p
/// times, with the standard deviation sqrt(m p (1 - p)), of which five are allowed; and one trial in a hundred, where
/// the chance is not quite the 0 that the task states.
#[test]
fn a_blind_readout_scores_at_chance() {
    for (name, task) in tasks() {
        let Some(chance) = task.chance() else {
            let accuracy = trials(&*task)
                .iter()
                .map(|t| task.is_correct(t, &vec![0.0; t.n_steps * t.n_outputs]))
                .next();
            assert_eq!(
                accuracy,
                Some(None),
                "{name}: no chance level, so no accuracy"
            );
            continue;
        };
        let mut rng = Rng::new(Key::new(9, Stream::Eval, 0), 0, 0);
        let answers = trials(&*task).into_iter().filter_map(|trial| {
            let mut readout = vec![0.0; trial.n_steps * trial.n_outputs];
            rng.fill_normal(&mut readout);
            task.is_correct(&trial, &readout)
        });
        let answers: Vec<bool> = answers.collect();
        let expected = answers.len() as f64 * chance;
        let right = answers.iter().filter(|&&right| right).count() as f64;
        let allowed = 5.0 * (expected * (1.0 - chance)).sqrt();
        assert!(
            (right - expected).abs() <= allowed + 0.01 * TRIALS as f64,
            "{name}: {right} of {}",
            answers.len()
        );
    }
}

/// The value that chi-square exceeds with a probability of 1e-6 (a normal of 4.753), by the
/// approximation of Wilson & Hilferty (1931).
fn chi_square_limit(freedom: f64) -> f64 {
    let spread = 2.0 / (9.0 * freedom);
    freedom * (1.0 - spread + 4.753 * spread.sqrt()).powi(3)
}

#[test]
fn every_condition_occurs_with_its_probability() {
    for (name, task) in tasks() {
        let conditions = task.conditions();
        let total: f64 = conditions.iter().map(|condition| condition.weight).sum();
        let mut rng = Rng::new(Key::new(3, Stream::Trials, 0), 0, 0);
        let mut counts = vec![0.0; conditions.len()];
        for _ in 0..100_000 {
            let drawn = Condition::draw(&conditions, &mut rng);
            counts[conditions
                .iter()
                .position(|c| std::ptr::eq(c, drawn))
                .unwrap()] += 1.0;
        }
        let possible = conditions
            .iter()
            .zip(&counts)
            .filter(|(c, _)| c.weight > 0.0);
        let freedom = possible.clone().count() as f64 - 1.0;
        let chi_square: f64 = possible
            .map(|(condition, count)| {
                let expected = 1e5 * condition.weight / total;
                (count - expected).powi(2) / expected
            })
            .sum();
        assert!(
            freedom == 0.0 || chi_square < chi_square_limit(freedom),
            "{name}: {chi_square}"
        );
    }
}

#[test]
fn balanced_batches_take_every_condition_in_turn() {
    for (name, task) in tasks() {
        let conditions = task.conditions();
        let n_trials = 2 * conditions.len();
        let balanced = BatchRequest {
            conditions: ConditionOrder::Balanced,
            ..request(1, 0, n_trials)
        };
        let batch = task.sample_batch(&balanced).unwrap();
        for b in 0..n_trials {
            assert_eq!(
                batch.trial(b).condition,
                conditions[b % conditions.len()].values,
                "{name}"
            );
        }
    }
}

/// A list of conditions may be another one at test: inputs and outputs stay, and so do the trials of a condition.
#[test]
fn conditions_can_be_forced() {
    let registry = Registry::built_in();
    let context = BuildContext {
        clock: clock(),
        seed: 1,
        base_dir: Path::new("."),
        registry: &registry,
        programs: Programs::NEVER,
        trained: None,
    };
    let mut forced = Vec::new();
    for (name, usual) in tasks() {
        let entry = registry.get(&name).unwrap();
        let table = entry.resolve(toml::Table::new(), &registry).unwrap();
        let is_list = |value: &toml::Value| value.as_array().is_some_and(|list| list.len() > 1);
        for (key, value) in table.into_iter().filter(|(_, value)| is_list(value)) {
            let list = value.as_array().unwrap();
            let fewer = toml::Value::from(list[..list.len() - 1].to_vec());
            let table = toml::Table::from_iter([(key.clone(), fewer)]);
            let task = entry.build(table, &context).unwrap();
            let conditions = task.conditions();
            assert_eq!(task.layout(), usual.layout(), "{name}.{key}");
            assert!(conditions.len() < usual.conditions().len(), "{name}.{key}");
            let rng = || Rng::new(Key::new(4, Stream::Eval, 0), 0, 0);
            let trial = |task: &dyn Task| task.sample_trial(&conditions[0], clock(), &mut rng());
            assert_eq!(trial(&*task), trial(&*usual), "{name}.{key}");
            forced.push(format!("{name}.{key}"));
        }
    }
    assert!(forced.len() > 20, "{forced:?}");
}

/// In a catch trial fixation and a cue are on at most, and what the outputs should be at its end is what they should be at its start.
#[test]
fn catch_trials_show_nothing() {
    let registry = Registry::built_in();
    let context = BuildContext {
        clock: clock(),
        seed: 1,
        base_dir: Path::new("."),
        registry: &registry,
        programs: Programs::NEVER,
        trained: None,
    };
    let mut with_catch = 0;
    for entry in registry.entries() {
        let table = entry.resolve(toml::Table::new(), &registry).unwrap();
        if !table.contains_key("catch_fraction") {
            continue;
        }
        let keys = [
            ("catch_fraction", 0.2),
            ("input_noise", 0.0),
            ("sigma_x", 0.0),
        ];
        let known = keys.into_iter().filter(|(key, _)| table.contains_key(*key));
        let quiet = known.map(|(key, value)| (key.to_owned(), value.into()));
        let task = entry.build(quiet.collect(), &context).unwrap();
        let conditions = task.conditions();
        let total: f64 = conditions.iter().map(|condition| condition.weight).sum();
        let catch = conditions.iter().find(|c| c.is_catch()).unwrap();
        assert!((catch.weight / total - 0.2).abs() < 1e-9, "{}", entry.name);
        let mut rng = Rng::new(Key::new(4, Stream::Eval, 0), 0, 0);
        let trial = task.sample_trial(catch, clock(), &mut rng);
        let is_on = |input: &usize| {
            let column = trial.inputs.iter().skip(*input).step_by(trial.n_inputs);
            column.into_iter().any(|&value| value != 0.0)
        };
        assert!(
            (0..trial.n_inputs).filter(is_on).count() <= 2,
            "{}",
            entry.name
        );
        let Target::Values(values) = &trial.target else {
            panic!("{}: values", entry.name);
        };
        let (first, last) = (
            &values[..trial.n_outputs],
            &values[values.len() - trial.n_outputs..],
        );
        assert_eq!(first, last, "{}", entry.name);
        assert_ne!(
            task.is_correct(&trial, values),
            Some(false),
            "{}",
            entry.name
        );
        with_catch += 1;
    }
    assert!(with_catch > 35, "{with_catch}");
}

#[test]
fn every_task_says_what_it_is() {
    for entry in Registry::built_in().entries() {
        assert!(entry.summary().len() > 20, "{}", entry.name);
        assert!(entry.description().contains("\nSource: "), "{}", entry.name);
        let properties = entry.schema()["properties"].as_object().unwrap();
        for (key, property) in properties {
            assert!(
                property["description"].is_string(),
                "{}.{key} has no documentation",
                entry.name
            );
            assert!(
                property.get("default").is_some(), // null where it follows from other keys
                "{}.{key} has no default",
                entry.name
            );
        }
    }
}

/// A condition whose values are names has a name for each of them; only a catch trial has values without.
#[test]
fn conditions_are_described() {
    for (name, task) in tasks() {
        for condition in task.conditions() {
            for (key, value) in &condition.values {
                let is_named = matches!(task.meaning(key), Meaning::Names(_));
                assert!(
                    !is_named || condition.is_catch() || task.value_name(key, *value).is_some(),
                    "{name}: {key} = {value}"
                );
            }
        }
        if let Some(cues) = task.cues() {
            let [first, second] = cues.single;
            for value in [first, second, cues.both] {
                assert!(task.value_name(&cues.condition, value).is_some(), "{name}");
            }
        }
    }
    let described = |name: &str, key: &str| {
        let (_, task) = tasks()
            .into_iter()
            .find(|(known, _)| known == name)
            .unwrap();
        match task.meaning(key) {
            Meaning::Quantity(quantity) => quantity.axis(),
            other => format!("{other:?}"),
        }
    };
    for (task, key, axis) in [
        ("perceptual_decision", "coh", "coherence (%)"),
        ("multisensory", "rate_hz", "rate (Hz)"),
        ("delay_go", "direction_deg", "direction (deg)"),
        ("ready_set_go", "interval", "interval (ms)"),
        ("yang_contextdm1", "coh2", "coherence on ring 2 (%)"),
    ] {
        assert_eq!(described(task, key), axis);
    }
}
