//! Any bytes as the manifest of a checkpoint: never is a file outside of its folder read, or a damaged one accepted.
#![no_main]

use std::cell::LazyCell;

use ctrnn_files::{CheckpointFiles, RunFolder, read_checkpoint};
use libfuzzer_sys::fuzz_target;

thread_local! {
    /// A run with a checkpoint at step 1, which holds `a` and `b`.
    static RUN: LazyCell<(tempfile::TempDir, CheckpointFiles)> = LazyCell::new(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = CheckpointFiles::from([("a".into(), b"1".to_vec()), ("b".into(), b"{}".to_vec())]);
        let run = RunFolder::at(folder.path());
        run.write_checkpoint(1, &files).expect("the folder is writable");
        (folder, files)
    });
}

fuzz_target!(|bytes: &[u8]| {
    RUN.with(|run| {
        let (folder, files) = &**run;
        let checkpoint = RunFolder::at(folder.path()).checkpoint(1);
        std::fs::write(checkpoint.join("MANIFEST.json"), bytes).expect("the folder is writable");
        if let Ok(read) = read_checkpoint(&checkpoint) {
            for (name, content) in read {
                assert_eq!(files.get(&name), Some(&content));
            }
        }
    });
});
