//! Final metrics of a run, in `result.json`.

use std::fs;

use ctrnn_config::Run;
use ctrnn_files::{FileError, RunFolder, read_at_most};
use ctrnn_train::{Counters, TrainError};
use serde_json::{Map, Value, json};

use super::run_log::{MAX_METRICS_BYTES, split};

/// Columns of the log that are not final metrics: the one that depends on the machine, and the name of the stage, which stands alone.
const LEFT_OUT: [&str; 2] = ["wall_s", "stage"];

/// Writes the final metrics: the last row of each kind in metrics.csv, the best validation, and the last stage. They depend on
/// neither time nor machine.
///
/// # Errors
/// If metrics.csv cannot be read, or the file cannot be written.
pub(crate) fn write_result(
    folder: &RunFolder,
    counters: &Counters,
    run: &Run,
) -> Result<(), TrainError> {
    let log = read_at_most(&folder.metrics(), MAX_METRICS_BYTES)?;
    let log = String::from_utf8_lossy(&log);
    let stage = counters.stage.map(|stage| &run.stages[stage.index]);
    let config = &stage.map_or(run, |stage| &stage.run).config;
    let metric = config.checkpoint.best.name();
    let best = counters
        .best
        .as_ref()
        .map(|best| json!({ "metric": metric, "step": best.step, "value": best.value }));
    let mut result = json!({
        "schema": 1,
        "step": counters.step,
        "best": best,
        "validation": last_row(&log, "val"),
        "training": last_row(&log, "train"),
    });
    if let Some(stage) = stage {
        result["stage"] = stage.settings.name.clone().into();
    }
    let sets = config.validate.sets.keys();
    let sets = sets.map(|set| (set.clone(), last_row(&log, &split(Some(set))).into()));
    let sets: Map<String, Value> = sets.collect();
    if !sets.is_empty() {
        result["validation_sets"] = sets.into();
    }
    let text = serde_json::to_vec_pretty(&result).expect("a JSON value");
    Ok(folder.write(&folder.result(), &text)?)
}

/// Removes the final metrics of a run that goes on.
///
/// # Errors
/// If they cannot be removed.
pub(crate) fn remove_result(folder: &RunFolder) -> Result<(), FileError> {
    folder.check_held()?;
    let path = folder.result();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(FileError::io("remove", &path)(error))
        }
        _ => Ok(()),
    }
}

/// Returns the numbers of the last row of a kind, by column; empty without such a row.
fn last_row(log: &str, split: &str) -> Map<String, Value> {
    let columns: Vec<&str> = log.lines().next().unwrap_or_default().split(',').collect();
    let Some(of_split) = columns.iter().position(|&column| column == "split") else {
        return Map::new();
    };
    let row = log
        .lines()
        .rev()
        .map(|row| row.split(',').collect::<Vec<_>>())
        .find(|row| row.get(of_split) == Some(&split));
    let fields = columns.into_iter().zip(row.unwrap_or_default());
    let numbers = fields
        .filter(|(column, _)| !LEFT_OUT.contains(column))
        .filter_map(|(column, field)| {
            let value: Value = match field.parse::<u64>() {
                Ok(number) => number.into(),
                Err(_) => field.parse::<f64>().ok()?.into(),
            };
            Some((column.to_owned(), value))
        });
    numbers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_row_of_a_kind_counts() {
        let log =
            "step,wall_s,split,loss,accuracy\n5,0.1,train,2,\n5,0.1,val,1.5,0.25\n6,0.2,train,1,\n";
        let row = |split| Value::Object(last_row(log, split));
        assert_eq!(
            row("val"),
            json!({ "step": 5, "loss": 1.5, "accuracy": 0.25 })
        );
        assert_eq!(row("train"), json!({ "step": 6, "loss": 1 }));
        assert_eq!(row("test"), json!({}));
    }
}
