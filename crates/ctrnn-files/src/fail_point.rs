//! Fail points: places where a test can end the process as abruptly as a kill would. Release builds have none.
//!
//! `CTRNN_FAIL_POINT=synced@step-00000010` ends it at the point `synced` for a path that contains `step-00000010`;
//! several parts, all of which the path must contain, are joined by `+`.

use std::path::Path;

/// Aborts the process here if the environment asks for it: no destructor runs and nothing is printed.
#[cfg(debug_assertions)]
pub(crate) fn fail_point(point: &str, path: &Path) {
    use std::sync::LazyLock;
    static ASKED: LazyLock<Option<String>> =
        LazyLock::new(|| std::env::var("CTRNN_FAIL_POINT").ok());
    let is_here = |asked: &String| is_asked(asked, point, &path.to_string_lossy());
    if ASKED.as_ref().is_some_and(is_here) {
        std::process::abort();
    }
}

/// Does nothing in a release build.
#[cfg(not(debug_assertions))]
pub(crate) fn fail_point(_point: &str, _path: &Path) {}

#[cfg(debug_assertions)]
fn is_asked(asked: &str, point: &str, path: &str) -> bool {
    let Some((name, parts)) = asked.split_once('@') else {
        return false;
    };
    name == point && parts.split('+').all(|part| path.contains(part))
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_named_by_its_step_and_parts_of_the_path() {
        let path = "run/checkpoints/.step-00000010.tmp-abc123/state.json";
        assert!(is_asked("torn@step-00000010+state", "torn", path));
        for other in [
            "torn@step-00000020",
            "synced@step-00000010",
            "torn@step-00000010+last",
            "torn",
        ] {
            assert!(!is_asked(other, "torn", path), "{other}");
        }
    }
}
