//! Any bytes as a safetensors file; what is read comes back when it is written again.
#![no_main]

use std::path::Path;

use ctrnn_files::TensorFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("x.safetensors");
    let Ok(file) = TensorFile::from_bytes(bytes, path) else {
        return;
    };
    let written = file.to_bytes();
    let again = TensorFile::from_bytes(&written, path).expect("what we wrote is right");
    assert_eq!(again.to_bytes(), written);
});
