//! Suggestions for misspelt keys and words.

use ctrnn_model::edit_distance;
pub(crate) use ctrnn_model::quoted;
pub use ctrnn_model::word_like;

/// Common names of our keys in other tools and in the literature.
const ALIASES: [(&str, &str); 92] = [
    ("random_seed", "seed"),
    ("rng_seed", "seed"),
    ("dt", "time.dt_ms"),
    ("delta_t", "time.dt_ms"),
    ("step_size", "time.dt_ms"),
    ("hidden", "model.n_units"),
    ("hidden_dim", "model.n_units"),
    ("hidden_size", "model.n_units"),
    ("n_cells", "model.n_units"),
    ("n_hid", "model.n_units"),
    ("n_hidden", "model.n_units"),
    ("n_neurons", "model.n_units"),
    ("n_rec", "model.n_units"),
    ("n_rnn", "model.n_units"),
    ("neurons", "model.n_units"),
    ("num_units", "model.n_units"),
    ("size", "model.n_units"),
    ("units", "model.n_units"),
    ("tau", "model.tau_ms"),
    ("time_constant", "model.tau_ms"),
    ("act", "model.activation"),
    ("activation_function", "model.activation"),
    ("nonlinearity", "model.activation"),
    ("transfer_function", "model.activation"),
    ("h0", "model.initial_state"),
    ("hidden_init", "model.initial_state"),
    ("init_state", "model.initial_state"),
    ("x0", "model.initial_state"),
    ("b_rec", "model.bias.recurrent"),
    ("b_out", "model.bias.readout"),
    ("preact_noise", "model.noise.preactivation"),
    ("rec_noise", "model.noise.preactivation"),
    ("recurrent_noise", "model.noise.preactivation"),
    ("sigma", "model.noise.preactivation"),
    ("sigma_rec", "model.noise.preactivation"),
    ("sigma_x", "model.noise.input"),
    ("sigma_in", "model.noise.input"),
    ("var_in", "model.noise.input"),
    ("sigma0", "model.noise.initial_state"),
    ("baseline_in", "model.input.baseline"),
    ("output_activation", "model.output_nonlinearity"),
    ("f_out", "model.output_nonlinearity"),
    ("postact_noise", "model.noise.postactivation"),
    ("sigma_out", "model.noise.postactivation"),
    ("g", "model.init.spectral_radius"),
    ("rho", "model.init.spectral_radius"),
    ("rho0", "model.init.spectral_radius"),
    ("weights", "model.init.file"),
    ("load_weights", "model.init.file"),
    ("autapses", "model.self_connections"),
    ("allow_self", "model.self_connections"),
    ("dale_ratio", "model.dale.excitatory_fraction"),
    ("ei_ratio", "model.dale.excitatory_fraction"),
    ("exc_pct", "model.dale.excitatory_fraction"),
    ("sparsity", "model.density.recurrent"),
    ("p_rec", "model.density.recurrent"),
    ("mask", "model.connectivity.file"),
    ("fixed_weights", "model.connectivity.file"),
    ("frozen", "train.freeze"),
    ("epochs", "train.steps"),
    ("iterations", "train.steps"),
    ("max_steps", "train.steps"),
    ("n_steps", "train.steps"),
    ("training_iters", "train.steps"),
    ("batch", "train.batch_size"),
    ("minibatch", "train.batch_size"),
    ("n_batch", "train.batch_size"),
    ("n_trials", "train.batch_size"),
    ("accumulation_steps", "train.accumulate"),
    ("grad_accum", "train.accumulate"),
    ("tbptt", "train.truncate_steps"),
    ("dropout_rate", "train.dropout"),
    ("optim", "train.optimizer"),
    ("eta", "train.optimizer.lr"),
    ("learning_rate", "train.optimizer.lr"),
    ("lr", "train.optimizer.lr"),
    ("scheduler", "train.schedule"),
    ("clip", "train.clip_grad_norm"),
    ("clip_norm", "train.clip_grad_norm"),
    ("grad_clip", "train.clip_grad_norm"),
    ("gradient_clip", "train.clip_grad_norm"),
    ("max_grad_norm", "train.clip_grad_norm"),
    ("criterion", "train.loss"),
    ("loss_function", "train.loss"),
    ("early_stopping", "train.stop"),
    ("target_accuracy", "train.stop"),
    ("n_validation", "validate.trials"),
    ("validation_trials", "validate.trials"),
    ("eval_every", "validate.every_steps"),
    ("save_every", "checkpoint.every_steps"),
    ("device", "device.backend"),
    ("num_threads", "device.threads"),
];

/// Returns the keys closest to `unknown`, a full path; at most three.
///
/// `keys` are the full paths of the schema. Every key is compared by its last part and by its aliases; at equal
/// distance a key of the same table wins. Keys of distant tables must match exactly unless the word is long: a short
/// word is similar to some key of some table by chance.
pub(crate) fn keys_like<'a>(unknown: &str, keys: &[&'a str]) -> Vec<&'a str> {
    let (table, word) = split(unknown);
    let word = word.to_lowercase().replace('-', "_");
    let rank = |key: &&'a str| {
        let names = ALIASES
            .iter()
            .filter(|(_, target)| target == key)
            .map(|(alias, _)| *alias);
        let (own_table, own) = split(key);
        // Whoever leaves out the unit of a key of this table means that key, whatever is spelt similarly elsewhere.
        let without_unit = own.strip_suffix("_ms").filter(|_| own_table == table);
        let distance = names
            .chain([own])
            .chain(without_unit)
            .filter_map(|name| edit_distance(&word, name))
            .min()?;
        if distance > 0 && word.len() < LONG && !is_beside(table, split(key).0) {
            return None;
        }
        let is_alias = ALIASES.contains(&(word.as_str(), *key));
        Some((distance, split(key).0 != table, !is_alias))
    };
    let ranked: Vec<_> = keys
        .iter()
        .filter_map(|key| Some((rank(key)?, *key)))
        .collect();
    let best = ranked.iter().map(|(rank, _)| *rank).min();
    ranked
        .into_iter()
        .filter(|(rank, _)| Some(*rank) == best)
        .map(|(_, key)| key)
        .take(3)
        .collect()
}

/// Smallest length of a word that is recognised in distant tables despite a spelling mistake.
const LONG: usize = 5;

/// Returns true if two tables are the same, or `other` directly contains `table`.
fn is_beside(table: &str, other: &str) -> bool {
    table == other || split(table).0 == other
}

/// Names of our tasks in the literature.
const TASK_ALIASES: [(&str, &str); 30] = [
    ("2afc", "perceptual_decision"),
    ("dot_motion", "perceptual_decision"),
    ("perceptual_decision_making", "perceptual_decision"),
    ("random_dots", "perceptual_decision"),
    ("random_dot_motion", "perceptual_decision"),
    ("rdk", "perceptual_decision"),
    ("rdm", "perceptual_decision"),
    ("reaction_time", "perceptual_decision_reaction_time"),
    ("context_dependent_decision_making", "context_decision"),
    ("contextdm", "context_decision"),
    ("ctxdm", "context_decision"),
    ("mante", "context_decision"),
    ("antisaccade", "anti"),
    ("category", "delayed_match_to_category"),
    ("dmc", "delayed_match_to_category"),
    ("dms", "delayed_match_to_sample"),
    ("dmts", "delayed_match_to_sample"),
    ("dual_dms", "dual_delayed_match_to_sample"),
    ("memory_saccade", "delay_go"),
    ("odr", "delay_go"),
    ("delayed_comparison", "delayed_discrimination"),
    ("parametric_working_memory", "delayed_discrimination"),
    ("romo", "delayed_discrimination"),
    ("go_no_go", "go_nogo"),
    ("clicks", "pulse_accumulation"),
    ("poisson_clicks", "pulse_accumulation"),
    ("123go", "one_two_three_go"),
    ("rsg", "ready_set_go"),
    ("memory_bits", "flip_flop"),
    ("yang19", "multitask"),
];

/// Returns the tasks that an unknown name may mean: the one with this name in the literature, or the one spelt most
/// similarly, or those whose name contains it.
pub fn tasks_like<'a>(unknown: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let names: Vec<&str> = names.collect();
    let word = unknown.to_lowercase().replace(['-', ' '], "_");
    let is_alias = |name: &&&str| TASK_ALIASES.contains(&(word.as_str(), **name));
    if let Some(meant) = names.iter().find(is_alias) {
        return vec![meant];
    }
    if let Some(near) = word_like(&word, names.iter().copied()) {
        return vec![near];
    }
    let is_part = |name: &&str| word.len() > 2 && name.contains(&word);
    let mut containing: Vec<&str> = names.into_iter().filter(is_part).collect();
    containing.truncate(5);
    containing
}

/// Splits a path into its table and its last part.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 9] = [
        "model.n_units",
        "model.tau_ms",
        "model.noise.preactivation",
        "time.dt_ms",
        "train.batch_size",
        "train.optimizer.lr",
        "train.steps",
        "validate.every_steps",
        "checkpoint.every_steps",
    ];

    #[test]
    fn a_slip_of_the_finger_finds_its_key() {
        assert_eq!(keys_like("train.bacth_size", &KEYS), ["train.batch_size"]);
        assert_eq!(
            keys_like("validate.every_step", &KEYS),
            ["validate.every_steps"]
        );
    }

    #[test]
    fn an_alias_finds_its_key_in_any_table_even_misspelt() {
        assert_eq!(keys_like("model.hiden", &KEYS), ["model.n_units"]);
        assert_eq!(
            keys_like("train.learning-rate", &KEYS),
            ["train.optimizer.lr"]
        );
        assert_eq!(keys_like("sigma_rec", &KEYS), ["model.noise.preactivation"]);
        assert_eq!(keys_like("model.dt", &KEYS), ["time.dt_ms"]);
        let keys = [
            &KEYS[..],
            &["task.go_nogo.delay_ms", "train.optimizer.decay"],
        ]
        .concat();
        assert_eq!(
            keys_like("task.go_nogo.delay", &keys),
            ["task.go_nogo.delay_ms"]
        );
    }

    #[test]
    fn a_key_without_its_table_is_found_in_all_of_them() {
        assert_eq!(
            keys_like("every_steps", &KEYS),
            ["validate.every_steps", "checkpoint.every_steps"]
        );
    }

    #[test]
    fn every_alias_of_a_task_leads_to_a_task() {
        let registry = ctrnn_runs::registry();
        for (alias, target) in TASK_ALIASES {
            assert!(registry.get(target).is_some(), "{alias} -> {target}");
            assert_eq!(tasks_like(alias, registry.names()), [target]);
        }
        assert_eq!(tasks_like("RDM", registry.names()), ["perceptual_decision"]);
        assert_eq!(tasks_like("go_nogoo", registry.names()), ["go_nogo"]);
        assert_eq!(
            tasks_like("accumulation", registry.names()),
            ["pulse_accumulation"]
        );
        assert!(tasks_like("elephant", registry.names()).is_empty());
    }

    /// In other tables, a short word is similar to some key by chance.
    #[test]
    fn of_short_words_only_the_same_ones_count_in_other_tables() {
        let registry = ctrnn_runs::registry();
        let keys = crate::schema::keys(crate::schema::schema(&registry));
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        for unknown in ["train.loss.mine", "model.stp", "model.mix", "train.lag"] {
            let found = keys_like(unknown, &keys);
            assert!(found.is_empty(), "{unknown}: {found:?}");
        }
        assert_eq!(keys_like("train.stp", &keys), ["train.stop"]);
        assert_eq!(keys_like("model.lr", &keys), ["train.optimizer.lr"]);
        assert_eq!(keys_like("model.bacth_size", &keys), ["train.batch_size"]);
    }

    #[test]
    fn nothing_is_suggested_for_nonsense() {
        assert!(keys_like("model.xyzzy", &KEYS).is_empty());
        assert_eq!(word_like("elephant", ["tanh", "relu"]), None);
        assert_eq!(word_like("Tahn", ["relu", "tanh"]), Some("tanh"));
    }

    #[test]
    fn every_alias_leads_to_a_key_of_the_schema() {
        let registry = ctrnn_runs::registry();
        let keys = crate::schema::keys(crate::schema::schema(&registry));
        for (alias, target) in ALIASES {
            assert!(keys.iter().any(|key| key == target), "{alias} -> {target}");
        }
    }
}
