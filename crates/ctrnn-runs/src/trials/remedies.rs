//! Remedies for invalid trial files, as lines of numpy.

use ctrnn_files::{ErrorKind, FileError, FormatError};
use ctrnn_tasks::TaskError;

/// Creates the error of a file that cannot be read at all.
pub(crate) fn unreadable(key: &str, error: &FileError) -> TaskError {
    match error {
        FileError::Missing { path } => {
            TaskError::data(key, format!("{} does not exist", path.display())).with_help(
                "relative paths start at the configuration file, or in an override at the current folder: \
                 task.npz.files=[\"FILE\"]; commands that read a run find data that have moved by --data-root DIR",
            )
        }
        FileError::Format {
            path,
            rule: rule @ FormatError::Container { container },
        } => {
            let what = format!("{}: {}", path.display(), rule);
            TaskError::data(key, what).with_help(container.remedy())
        }
        _ if error.kind() == ErrorKind::Io => TaskError::io(key, error.to_string()),
        _ => TaskError::data(key, error.to_string()),
    }
}

/// Returns lines of numpy that convert an array of Python objects, which may be numbers, names, or arrays of different
/// lengths.
pub(crate) fn numbers_of_objects(name: &str) -> String {
    let may_be_ragged = !(["n_steps", "dt_ms"].contains(&name) || name.starts_with("cond_"));
    let padded = may_be_ragged.then(|| {
        format!(
            "arrays of different lengths: n_steps = np.array([len(x) for x in {name}]); {name} = np.stack([np.pad(np.array(x, \
             \"f8\"), [(0, n_steps.max() - len(x))] + [(0, 0)] * (np.ndim(x) - 1)) for x in {name}])"
        )
    });
    let numbers = format!("if it holds numbers: {}", as_numbers(name));
    let names = as_ranks(name).map(|names| format!("names: {names}"));
    let all = [Some(numbers), names, padded].into_iter().flatten();
    all.collect::<Vec<_>>().join("; ")
}

/// Returns a line of numpy that converts an array to double precision.
fn as_numbers(name: &str) -> String {
    format!("{name} = {name}.astype(\"f8\")")
}

/// Returns a line of numpy that replaces values, which may be names, by their ranks.
fn as_ranks(name: &str) -> Option<String> {
    let may_be_names = name == "labels" || name.starts_with("cond_");
    may_be_names.then(|| {
        format!(
            "{name} = np.unique({name}.astype(str), return_inverse=True)[1].reshape({name}.shape)"
        )
    })
}

/// Returns a line of numpy that converts an array of another type, given as in its header, to numbers.
pub(crate) fn numbers_of(name: &str, dtype: &str) -> String {
    match dtype
        .trim_start_matches(['<', '>', '=', '|'])
        .chars()
        .next()
    {
        Some('U' | 'S' | 'T' | 'a') => match as_ranks(name) {
            Some(names) => format!("if it holds numbers: {}; names: {names}", as_numbers(name)),
            None => as_numbers(name),
        },
        Some('M') => format!("{name} = {name}.astype(\"datetime64[ms]\").astype(float)"),
        Some('m') => format!("{name} = {name}.astype(\"timedelta64[ms]\").astype(float)"),
        Some('c') => {
            format!("{name} = {name}.real, or both parts: np.stack([{name}.real, {name}.imag], -1)")
        }
        Some('[' | 'V') => {
            format!("take the field that holds the numbers: {name} = {name}[\"FIELD\"]")
        }
        _ => as_numbers(name),
    }
}

/// Returns a line of numpy that reshapes an array to the expected shape, if that can be inferred from its own.
pub(crate) fn reshaping(name: &str, found: &[usize], expected: &[usize]) -> Option<String> {
    let is_swapped = |[a, b]: [usize; 2]| {
        let mut swapped = found.to_vec();
        swapped.swap(a, b);
        swapped == expected
    };
    let whole = expected.get(1).copied().unwrap_or(1);
    match (found, expected) {
        _ if [found, &[1]].concat() == expected => Some(format!(
            "it lacks its last axis: {name} = {name}[..., None]"
        )),
        _ if [expected, &[1]].concat() == found => {
            Some(format!("it has an axis too many: {name} = {name}[..., 0]"))
        }
        _ if [&[1], expected].concat() == found => {
            Some(format!("it has an axis too many: {name} = {name}[0]"))
        }
        ([_, _, ..], [_, _, ..]) if found.len() == expected.len() && is_swapped([0, 1]) => Some(
            format!("its first axis is time, not trial: {name} = {name}.swapaxes(0, 1)"),
        ),
        ([_, _, _], [_, _, _]) if is_swapped([1, 2]) => Some(format!(
            "its last axis is time: {name} = {name}.swapaxes(1, 2)"
        )),
        ([b, t, _], [e_b, e_t]) if [b, t] == [e_b, e_t] && name == "labels" => {
            Some("one-hot labels become classes: labels = labels.argmax(-1)".to_owned())
        }
        ([b], [e_b, ..]) if b == e_b && expected.len() == 2 => Some(format!(
            "one value for each trial: {name} = np.repeat({name}[:, None], {whole}, axis=1)"
        )),
        ([t], [b, e_t]) if t == e_t => Some(format!(
            "one value for each time step: {name} = np.tile({name}, ({b}, 1))"
        )),
        ([b, _], [e_b]) if b == e_b => Some(format!(
            "one value for each trial, such as the first: {name} = {name}[:, 0]"
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that texts that may be numbers are never replaced by their ranks, which are other data.
    #[test]
    fn numbers_that_were_saved_as_text_stay_numbers() {
        for name in ["inputs", "targets", "mask", "n_steps", "dt_ms"] {
            for help in [numbers_of(name, "<U32"), numbers_of_objects(name)] {
                assert!(help.contains(&format!("{name} = {name}.astype(\"f8\")")));
                assert!(!help.contains("np.unique"), "{help}");
            }
        }
        for name in ["labels", "cond_side"] {
            for help in [numbers_of(name, "|S4"), numbers_of_objects(name)] {
                assert!(help.starts_with(&format!("if it holds numbers: {name} = {name}.astype")));
                assert!(help.contains("names: "), "{help}");
            }
        }
        assert!(numbers_of_objects("inputs").contains("n_steps = np.array"));
        assert!(!numbers_of_objects("n_steps").contains("np.pad"));
    }
}
