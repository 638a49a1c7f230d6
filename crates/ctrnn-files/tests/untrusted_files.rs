//! Whatever the bytes of a file are, reading it ends in its content or in an error, never in a panic.
//!
//! `CTRNN_CASES=N` tries N cases of each property in place of those that are asked for here (`just any-bytes`).

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::OnceLock;

use ctrnn_files::npz::{self, NpzReader};
use ctrnn_files::{
    Array, ArrayData, CheckpointFiles, FileError, RunFolder, TensorFile, read_checkpoint,
    state_dict_from_bytes,
};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

/// Cases of what is damaged or random; a round trip writes files, and takes longer.
const MANY: u32 = 10_000;

type Arrays = BTreeMap<String, Array>;

fn config(cases: u32) -> ProptestConfig {
    let rng_seed = RngSeed::Fixed(1);
    let asked = std::env::var("CTRNN_CASES").ok();
    ProptestConfig {
        cases: asked.and_then(|n| n.parse().ok()).unwrap_or(cases),
        rng_seed,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn data(elements: usize) -> BoxedStrategy<ArrayData> {
    prop_oneof![
        vec(-1e6_f32..1e6, elements).prop_map(ArrayData::F32),
        vec(-1e6_f64..1e6, elements).prop_map(ArrayData::F64),
        vec(any::<i32>(), elements).prop_map(ArrayData::I32),
        vec(any::<i64>(), elements).prop_map(ArrayData::I64),
        vec(any::<u8>(), elements).prop_map(ArrayData::U8),
        vec(any::<bool>(), elements).prop_map(ArrayData::Bool),
    ]
    .boxed()
}

fn array() -> impl Strategy<Value = Array> {
    vec(0_usize..5, 0..4).prop_flat_map(|shape| {
        let elements = shape.iter().product();
        data(elements).prop_map(move |data| Array::new(&shape, data))
    })
}

fn arrays() -> impl Strategy<Value = Arrays> {
    btree_map("[a-z][a-z_.]{0,12}", array(), 1..4)
}

fn npz_bytes(arrays: &Arrays) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("arrays.npz");
    npz::write(&path, arrays).unwrap();
    std::fs::read(path).unwrap()
}

/// Packs the same arrays as `np.savez_compressed` would.
fn deflated(npz: &[u8]) -> Vec<u8> {
    use zip::write::SimpleFileOptions;
    let mut stored = zip::ZipArchive::new(Cursor::new(npz)).unwrap();
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for k in 0..stored.len() {
        let mut entry = stored.by_index(k).unwrap();
        writer
            .start_file(entry.name().to_owned(), SimpleFileOptions::default())
            .unwrap();
        std::io::copy(&mut entry, &mut writer).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn read_npz(bytes: &[u8]) -> Result<Arrays, FileError> {
    let mut reader = NpzReader::from_bytes(bytes, Path::new("x.npz"))?;
    let names: Vec<String> = reader.names().map(str::to_owned).collect();
    names
        .into_iter()
        .map(|name| reader.read(&name).map(|array| (name, array)))
        .collect()
}

fn read_safetensors(bytes: &[u8]) -> Result<TensorFile, FileError> {
    TensorFile::from_bytes(bytes, Path::new("x.safetensors"))
}

/// A file of torch.save: see `tests/fixtures/import/make_fixtures.py`.
const STATE_DICT: &[u8] = include_bytes!("../../../tests/fixtures/import/torch_rnn.pt");

fn read_state_dict(bytes: &[u8]) -> Result<Arrays, FileError> {
    state_dict_from_bytes(bytes, Path::new("x.pt"))
}

fn tensor_file() -> impl Strategy<Value = TensorFile> {
    let metadata = btree_map("[a-z.]{1,8}", any::<String>(), 0..3);
    (metadata, arrays()).prop_map(|(metadata, tensors)| TensorFile { metadata, tensors })
}

proptest! {
    #![proptest_config(config(50))]

    #[test]
    fn npz_comes_back(arrays in arrays()) {
        let stored = npz_bytes(&arrays);
        prop_assert_eq!(&read_npz(&deflated(&stored)).unwrap(), &arrays);
        prop_assert_eq!(read_npz(&stored).unwrap(), arrays);
    }

    #[test]
    fn safetensors_come_back(content in tensor_file()) {
        prop_assert_eq!(read_safetensors(&content.to_bytes()).unwrap(), content);
    }
}

/// An npz file to be altered, as it was and as bytes, stored and deflated.
fn npz_example() -> &'static (Arrays, [Vec<u8>; 2]) {
    static EXAMPLE: OnceLock<(Arrays, [Vec<u8>; 2])> = OnceLock::new();
    EXAMPLE.get_or_init(|| {
        let arrays = Arrays::from([
            (
                "inputs".into(),
                Array::f32(&[2, 3, 1], vec![0.5, 1.0, -1.0, 0.0, 2.0, 1.0]),
            ),
            ("labels".into(), Array::i64(&[2, 3], vec![0, 0, 1, 0, 0, 2])),
            ("dt_ms".into(), Array::f64(&[], vec![20.0])),
        ]);
        let stored = npz_bytes(&arrays);
        let deflated = deflated(&stored);
        (arrays, [stored, deflated])
    })
}

proptest! {
    #![proptest_config(config(MANY))]

    /// Checksums find every flip that matters; dates, versions and the like may flip unseen.
    #[test]
    fn no_flipped_bit_changes_what_an_npz_says(
        packing in 0..2_usize, place: prop::sample::Index, bit in 0..8_u8,
    ) {
        let (arrays, packed) = npz_example();
        let mut bytes = packed[packing].clone();
        let at = place.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        if let Ok(read) = read_npz(&bytes) {
            prop_assert_eq!(&read, arrays);
        }
    }

    #[test]
    fn an_altered_npz_does_not_panic(
        packing in 0..2_usize, changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = npz_example().1[packing].clone();
        for (place, byte) in changes {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        let _any_result = read_npz(&bytes);
    }

    /// The format has no checksum, so only the absence of panics can be asked for.
    #[test]
    fn altered_safetensors_do_not_panic(
        content in tensor_file(), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = content.to_bytes();
        for (place, byte) in changes {
            let at = place.index(bytes.len());
            bytes[at] = byte;
        }
        let _any_result = read_safetensors(&bytes);
    }

    #[test]
    fn truncated_safetensors_are_refused(content in tensor_file(), place: prop::sample::Index) {
        let bytes = content.to_bytes();
        prop_assert!(read_safetensors(&bytes[..place.index(bytes.len())]).is_err());
    }

    #[test]
    fn no_flipped_bit_changes_what_a_state_dict_says(place: prop::sample::Index, bit in 0..8_u8) {
        let mut bytes = STATE_DICT.to_vec();
        let at = place.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        if let Ok(read) = read_state_dict(&bytes) {
            prop_assert_eq!(read, read_state_dict(STATE_DICT).unwrap());
        }
    }

    #[test]
    fn random_bytes_are_no_file(bytes in vec(any::<u8>(), 0..300)) {
        prop_assert!(read_state_dict(&bytes).is_err());
        prop_assert!(read_npz(&bytes).is_err());
        prop_assert!(read_safetensors(&bytes).is_err());
    }
}

/// A checkpoint at step 1 with two files, and its manifest.
fn checkpoint_example() -> (tempfile::TempDir, CheckpointFiles, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let files = CheckpointFiles::from([("a".into(), b"1".to_vec()), ("b".into(), b"{}".to_vec())]);
    let run = RunFolder::at(folder.path());
    run.write_checkpoint(1, &files).unwrap();
    let manifest = std::fs::read(run.checkpoint(1).join("MANIFEST.json")).unwrap();
    (folder, files, manifest)
}

thread_local! {
    static CHECKPOINT: (tempfile::TempDir, CheckpointFiles, Vec<u8>) = checkpoint_example();
}

/// Reads the checkpoint under another manifest: what is read must be what was written.
fn read_under(manifest: &[u8]) -> Result<(), TestCaseError> {
    CHECKPOINT.with(|(folder, files, _)| {
        let checkpoint = RunFolder::at(folder.path()).checkpoint(1);
        std::fs::write(checkpoint.join("MANIFEST.json"), manifest).unwrap();
        for (name, content) in read_checkpoint(&checkpoint).unwrap_or_default() {
            prop_assert_eq!(files.get(&name), Some(&content));
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(config(MANY))]

    #[test]
    fn an_altered_manifest_gives_no_other_content(
        changes in vec((any::<prop::sample::Index>(), 0..4_usize, ".{0,3}"), 1..5),
    ) {
        let mut manifest = CHECKPOINT.with(|(_, _, manifest)| manifest.clone());
        for (place, cut, text) in changes {
            let start = place.index(manifest.len() + 1);
            let end = (start + cut).min(manifest.len());
            manifest.splice(start..end, text.bytes());
        }
        read_under(&manifest)?;
    }

    #[test]
    fn no_bytes_as_a_manifest_panic(bytes in vec(any::<u8>(), 0..200)) {
        read_under(&bytes)?;
    }
}

#[test]
fn truncated_npz_are_refused() {
    for packed in &npz_example().1 {
        for length in 0..packed.len() {
            assert!(
                read_npz(&packed[..length]).is_err(),
                "{length} of {}",
                packed.len()
            );
        }
    }
}

#[test]
fn truncated_state_dicts_are_refused() {
    let names: Vec<String> = read_state_dict(STATE_DICT).unwrap().into_keys().collect();
    let (ih, hh) = ("rnn.weight_ih_l0", "rnn.weight_hh_l0");
    assert!(
        names.iter().any(|name| name == ih) && names.iter().any(|name| name == hh),
        "{names:?}"
    );
    for length in 0..STATE_DICT.len() {
        assert!(read_state_dict(&STATE_DICT[..length]).is_err(), "{length}");
    }
}
