//! Expansion, identity and tables, on real configurations.

use std::path::Path;

use ctrnn_tasks::Registry;

use crate::{Sweep, SweepError, SweepFile, Table};

const BASE: &str = "[task.go_nogo]\n[model]\nn_units = 8\n";

/// Opens a sweep of [`BASE`] in a folder, with lines after `base`.
fn sweep(folder: &Path, lines: &str) -> Sweep {
    let path = folder.join("s.toml");
    std::fs::write(folder.join("base.toml"), BASE).unwrap();
    std::fs::write(&path, format!("base = 'base.toml'\n{lines}")).unwrap();
    Sweep::open(&path, Some(&folder.join("sweep")), &Registry::built_in()).unwrap()
}

fn names(sweep: &Sweep) -> Vec<String> {
    sweep
        .trials
        .iter()
        .map(|trial| trial.name.clone())
        .collect()
}

#[test]
fn all_axes_are_combined_and_the_seed_varies_fastest() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "seeds = [5, 7]\n[grid]\ntrain.batch_size = [2, 4]\nmodel.activation = ['tanh', 'relu']\n\
        [[list]]\nmodel.n_units = 4\ntrain.steps = 10\n[[list]]\nmodel.n_units = 6\ntrain.steps = 20\n";
    let sweep = sweep(folder.path(), lines);
    assert_eq!(sweep.trials.len(), 16);
    let keys = [
        "train.batch_size",
        "model.activation",
        "model.n_units",
        "train.steps",
        "seed",
    ];
    assert_eq!(sweep.keys, keys);
    let words: Vec<String> = sweep.trials.iter().map(crate::Trial::words).collect();
    assert_eq!(
        words[0],
        "batch_size=2 activation=\"tanh\" n_units=4 steps=10 seed=5"
    );
    assert_eq!(
        words[1],
        "batch_size=2 activation=\"tanh\" n_units=4 steps=10 seed=7"
    );
    assert_eq!(
        words[15],
        "batch_size=4 activation=\"relu\" n_units=6 steps=20 seed=7"
    );
    assert_eq!(sweep.trials[15].value("model.activation"), Some("relu"));
}

#[test]
fn a_trial_is_its_resolved_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let few = names(&sweep(
        folder.path(),
        "seeds = 2\n[grid]\nmodel.n_units = [4, 8]\n",
    ));
    let many = names(&sweep(
        folder.path(),
        "seeds = 3\n[grid]\nmodel.n_units = [8, 16, 4]\n",
    ));
    assert!(few.iter().all(|name| many.contains(name)));
    // The default written out, and the device, are no other trial.
    let plain = names(&sweep(folder.path(), "seeds = [1]\n"));
    let written = sweep(
        folder.path(),
        "seeds = [1, 1]\n[grid]\nmodel.n_units = [8]\ndevice.threads = [1, 2]\n",
    );
    assert_eq!(names(&written), plain);
    assert_eq!(written.n_repeated, 3);
}

#[test]
fn more_draws_leave_the_earlier_ones() {
    let folder = tempfile::tempdir().unwrap();
    let random = |n: u32| {
        format!(
            "[random]\nn = {n}\nseed = 3\ntrain.optimizer.lr = {{ log_uniform = [1e-4, 1e-2] }}\nmodel.n_units = {{ integer = [4, 400] }}\n"
        )
    };
    let few = names(&sweep(folder.path(), &random(5)));
    let many = names(&sweep(folder.path(), &random(9)));
    assert_eq!(few, many[..5]);
}

#[test]
fn another_base_is_refused_unless_told() {
    let folder = tempfile::tempdir().unwrap();
    let first = sweep(folder.path(), "seeds = 2\n");
    first.record(false).unwrap();
    let listed = sweep(folder.path(), "seeds = 2\n");
    assert_eq!(names(&listed), names(&first));
    std::fs::write(folder.path().join("base.toml"), BASE.replace('8', "9")).unwrap();
    let path = folder.path().join("s.toml");
    let changed = Sweep::open(&path, Some(first.folder()), &Registry::built_in()).unwrap();
    assert_ne!(names(&changed), names(&first));
    assert!(matches!(
        changed.record(false),
        Err(SweepError::ChangedBase { .. })
    ));
    changed.record(true).unwrap();
    changed.record(false).unwrap();
}

#[test]
fn a_folder_has_the_trials_that_were_run_last() {
    let folder = tempfile::tempdir().unwrap();
    let first = sweep(folder.path(), "seeds = 2\n[grid]\nmodel.n_units = [4, 8]\n");
    assert!(!Sweep::is_folder(first.folder()));
    first.record(false).unwrap();
    let found = Sweep::in_folder(first.folder()).unwrap();
    assert_eq!((names(&found), &found.keys), (names(&first), &first.keys));
    assert_eq!(
        (&found.file.name, &found.file.base),
        (&first.file.name, &first.file.base)
    );
    assert_eq!(found.group_keys().collect::<Vec<_>>(), ["model.n_units"]);
    std::fs::write(first.folder().join("trials.jsonl"), "{").unwrap();
    let damaged = Sweep::in_folder(first.folder()).unwrap_err();
    assert!(
        matches!(damaged, SweepError::DamagedList { .. }),
        "{damaged}"
    );
}

#[test]
fn nested_tables_are_bounded() {
    let key = vec!["a"; 70].join(".");
    for text in [
        format!("base = 'b'\n[grid]\n{key} = [1]\n"),
        format!(
            "base = 'b'\n[grid]\na = [{}1{}]\n",
            "[".repeat(70),
            "]".repeat(70)
        ),
        format!("base = 'b'\n[[list]]\n{} = 1\n", vec!["a"; 50].join(".")),
    ] {
        let errors = SweepFile::from_text(&text, "s.toml", Path::new(".")).unwrap_err();
        assert!(errors.to_string().contains("in each other"), "{errors}");
    }
}

#[test]
fn trials_are_found_by_number_and_name() {
    let folder = tempfile::tempdir().unwrap();
    let sweep = sweep(folder.path(), "seeds = 3\n");
    let second = &sweep.trials[1];
    assert_eq!(sweep.trial("2").unwrap(), second);
    assert_eq!(sweep.trial(&second.name).unwrap(), second);
    for word in ["0", "4", "", "zzzz"] {
        assert!(
            matches!(sweep.trial(word), Err(SweepError::NoTrial { .. })),
            "{word}"
        );
    }
}

#[test]
fn results_are_joined_over_seeds() {
    let folder = tempfile::tempdir().unwrap();
    let sweep = sweep(folder.path(), "seeds = 3\n[grid]\nmodel.n_units = [4, 8]\n");
    for (k, trial) in sweep.trials.iter().enumerate().take(4) {
        let run = sweep.run(trial);
        std::fs::create_dir_all(run.root()).unwrap();
        let state = r#"{"schema":1,"id":"a","state":"done","exit_code":0,"reason":null,"created":"","started":null,"ended":null,"host":"h","pid":1,"restarts":0}"#;
        std::fs::write(run.run_json(), state).unwrap();
        let best = [1.0, 2.0, 6.0, 4.0][k];
        let result = format!(
            r#"{{"schema":1,"step":9,"best":{{"metric":"val.loss","step":5,"value":{best}}},"validation":{{"step":9,"loss":{best}}},"training":{{}}}}"#
        );
        std::fs::write(run.result(), result).unwrap();
    }
    let table = Table::of(&sweep);
    let groups = table.groups();
    // Of 1, 2 and 6 the mean is 3, and (4 + 1 + 9) / 2 = 7.
    assert_eq!(groups[0].best(), [3.0, 7.0_f64.sqrt()]);
    assert_eq!((groups[0].n, groups[1].n), ((3, 3), (1, 3)));
    assert_eq!(groups[1].means["val_loss"].mean, 4.0);
    assert!(
        table.means_text().contains("3/3   3.0000"),
        "{}",
        table.means_text()
    );
    let csv = table.trials().csv();
    assert!(
        csv.starts_with(
            "trial,state,model.n_units,seed,metric,best,best_step,steps,val_loss,run,reason\n"
        ),
        "{csv}"
    );
    assert_eq!(
        csv.lines().filter(|row| row.contains(",waiting,")).count(),
        2
    );
    let page = crate::report(&table);
    let requests = page.replace("xmlns=\"http:", "");
    assert!(
        page.contains("<svg") && !requests.contains("http:"),
        "{page}"
    );
}

#[test]
fn no_text_makes_it_panic() {
    for text in [
        "",
        "a",
        "[[list]]",
        "[random]\nn=1",
        "base=1\nseeds=[]\nlist=3\ngrid=1\nrandom=2",
        "base='b'\n[grid.a]\n[random]\nn=2\na.b={uniform=[1]}",
        &format!(
            "base='b'\n[random]\nn=2\n{}={{choice=[1]}}",
            vec!["a"; 5000].join(".")
        ),
    ] {
        let read = SweepFile::from_text(text, "s.toml", Path::new("."));
        assert!(read.is_err() || read.unwrap().points().is_ok(), "{text}");
    }
}
