//! Runs the tests of the Python packages in `python/` with the extension module of this build.

use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

/// Copies a folder with all that is in it, except for what Python has compiled.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_name() == "__pycache__" {
            continue;
        } else if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs Python with numpy"]
fn python_uses_the_extension() -> io::Result<()> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python");
    let folder = tempfile::tempdir()?;
    copy(&project, folder.path())?;
    let built = env::current_exe()?.with_file_name("lib_ctrnn.so");
    fs::copy(built, folder.path().join("ctrnn/_ctrnn.abi3.so"))?;
    let python = env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let tests = Command::new(python)
        .args(["-m", "unittest", "discover", "-s", "tests", "-t", "."])
        .env("CTRNN_CONFIGS", project.join("../configs"))
        .current_dir(folder.path())
        .status()?;
    assert!(tests.success());
    Ok(())
}
