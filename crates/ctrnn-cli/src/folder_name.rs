//! Names of run folders.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ctrnn_config::Difference;
use toml::Value;

/// Returns the default folder of a run, `runs/<config stem>-s<seed>`.
pub fn default_path(config: &Path, seed: u64) -> PathBuf {
    let stem = config.file_stem().unwrap_or_default().to_string_lossy();
    Path::new("runs").join(format!("{stem}-s{seed}"))
}

/// Suggests a free folder for a run other than the one at `path`: the same name with the first values that differ, such
/// as `runs/smoke-s1-lr0.003`, and a number if needed.
pub fn folder_beside(path: &Path, differing: &[Difference]) -> PathBuf {
    let path = with_name(path);
    let name = with_values(&path, differing);
    if differing.is_empty() {
        return numbered_name(&name);
    }
    free_name(name)
}

/// Returns this name if it is free, otherwise the name with a number.
pub fn free_name(name: OsString) -> PathBuf {
    match Path::new(&name).symlink_metadata() {
        Err(_) => name.into(),
        Ok(_) => numbered_name(&name),
    }
}

fn numbered_name(name: &OsString) -> PathBuf {
    let mut names = (2..).map(|number| {
        let mut name = name.clone();
        name.push(format!("-{number}"));
        PathBuf::from(name)
    });
    names
        .find(|path| path.symlink_metadata().is_err())
        .expect("there is no last number")
}

/// Returns the path of a folder so that it ends in its name, unlike `.` and `..`.
pub fn with_name(path: &Path) -> PathBuf {
    let named = path.components().as_path(); // without a slash or a dot at its end
    let has_name = named.file_name().is_some();
    match path.canonicalize() {
        Ok(absolute) if !has_name => absolute,
        _ => named.to_owned(),
    }
}

fn with_values(path: &Path, differing: &[Difference]) -> OsString {
    let mut telling: Vec<&Difference> = differing
        .iter()
        .filter(|d| d.right.is_some() && !d.key.starts_with("device."))
        .collect();
    if telling.is_empty() {
        telling = differing.iter().collect();
    }
    let mut name = path.components().as_path().as_os_str().to_owned(); // without a slash at its end
    for difference in telling.into_iter().take(3) {
        name.push("-");
        name.push(name_part(difference));
    }
    name
}

/// Formats a difference for a folder's name: `lr0.003`, `activation-tanh`, `no-stop`; only the name for a longer value.
fn name_part(Difference { key, right, .. }: &Difference) -> String {
    let name = key.rsplit('.').next().unwrap_or(key);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match right {
        None => format!("no-{name}"),
        Some(value @ (Value::Integer(_) | Value::Float(_))) => format!("{name}{value}"),
        Some(Value::Boolean(value)) => format!("{name}-{value}"),
        Some(Value::String(word)) if word.len() <= 20 && word.chars().all(is_plain) => {
            format!("{name}-{word}")
        }
        Some(_) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_beside_another_is_named_after_what_differs() {
        let name = |differing: &[(&str, Option<Value>)]| {
            let differing = differing.iter().map(|(key, right)| Difference {
                key: (*key).to_owned(),
                left: None,
                right: right.clone(),
            });
            with_values(Path::new("runs/a"), &differing.collect::<Vec<_>>())
        };
        let lr = ("train.optimizer.lr", Some(Value::Float(0.003)));
        assert_eq!(name(&[lr]), "runs/a-lr0.003");
        assert_eq!(name(&[]), "runs/a");
        let word = |word: &str| Some(Value::String(word.to_owned()));
        let several = [
            ("device.threads", Some(Value::Integer(1))),
            ("model.activation", word("tanh")),
            ("task.npz.path", word("/a path/to trials.npz")),
            ("train.stop", None),
            ("validate.trials", Some(Value::Integer(2))),
        ];
        assert_eq!(name(&several), "runs/a-activation-tanh-path-trials2");
        assert_eq!(name(&several[..1]), "runs/a-threads1");
        assert_eq!(name(&several[3..4]), "runs/a-no-stop");
        assert_eq!(folder_beside(Path::new("a"), &[]), Path::new("a-2"));
    }
}
