//! Build script that embeds the commit and the toolchain for the manifest of a run.

use std::path::Path;
use std::process::Command;

/// Sources on which results depend: this crate and the crates that it uses.
const SOURCES: [&str; 10] = [
    "src",
    "../ctrnn-config/src",
    "../ctrnn-train/src",
    "../ctrnn-files/src",
    "../ctrnn-kernels/src",
    "../ctrnn-model/src",
    "../ctrnn-random/src",
    "../ctrnn-tasks/src",
    "../../Cargo.lock",
    "../../Cargo.toml",
];

fn output(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

/// Reruns this script if the file or folder changes. A missing path is skipped because it would rerun the script on
/// every build.
fn watch(path: &str) {
    if Path::new(path).exists() {
        println!("cargo:rerun-if-changed={path}");
    }
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    SOURCES.into_iter().for_each(watch);
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = output("git", &["rev-parse", "--git-path", name]) {
            watch(&path);
        }
    }
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = output(&rustc, &["--version"]).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=CTRNN_RUSTC_VERSION={version}");
    let features = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    println!("cargo:rustc-env=CTRNN_TARGET_FEATURES={features}");
    if let Some(commit) = output("git", &["rev-parse", "HEAD"]) {
        println!("cargo:rustc-env=CTRNN_GIT_COMMIT={commit}");
        let changed = output("git", &["status", "--porcelain", "--untracked-files=no"]);
        println!(
            "cargo:rustc-env=CTRNN_GIT_DIRTY={}",
            changed.is_some_and(|lines| !lines.is_empty())
        );
    }
}
