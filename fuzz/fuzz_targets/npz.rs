//! Any bytes as an npz file: its arrays, or an error.
#![no_main]

use std::path::Path;

use ctrnn_files::npz::NpzReader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut reader) = NpzReader::from_bytes(bytes, Path::new("x.npz")) else {
        return;
    };
    let names: Vec<String> = reader.names().map(str::to_owned).collect();
    for name in names {
        let header = reader.header(&name);
        if let Ok(array) = reader.read(&name) {
            assert_eq!(header.expect("it was read").shape, array.shape());
        }
    }
});
