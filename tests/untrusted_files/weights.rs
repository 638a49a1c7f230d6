//! Weight files to begin with: safetensors from anybody.

use super::archive::{Entry, archive, header, npy, safetensors, tensor};
use super::{Case, Evil, assert_all_refused, case};
use crate::project::Project;

/// A file with one tensor, `recurrent.bias [32]` in f32, described so.
fn one(dtype: &str, shape: &str, offsets: &str) -> Vec<u8> {
    let header = format!("{{{}}}", tensor("recurrent.bias", dtype, shape, offsets));
    safetensors(&header, &[0; 128])
}

/// Two tensors of 64 bytes, described so.
fn two(first: &str, second: &str) -> Vec<u8> {
    safetensors(&format!("{{{first},{second}}}"), &[0; 128])
}

fn half(name: &str, offsets: &str) -> String {
    tensor(name, "F32", "[16]", offsets)
}

fn many(count: usize) -> Vec<u8> {
    let tensors = (0..count).map(|k| tensor(&format!("t{k}"), "U8", "[0]", "[0,0]"));
    let header = format!("{{{}}}", tensors.collect::<Vec<_>>().join(","));
    safetensors(&header, &[])
}

fn cases() -> Vec<Case> {
    let nan = safetensors(
        &format!("{{{}}}", tensor("recurrent.bias", "F32", "[32]", "[0,128]")),
        &[0xff; 128],
    );
    let claims = |length: u64| length.to_le_bytes().to_vec();
    let mut sparse = 100_u64.to_le_bytes().to_vec();
    let text = format!(
        "{{{}}}",
        tensor("recurrent.bias", "F32", "[2000000000]", "[0,8000000000]")
    );
    sparse.extend(format!("{text:100}").as_bytes());
    vec![
        case("nothing", "", "needs 8 bytes"),
        case("a text", "hello, world", "it declares"),
        case(
            "a pickle",
            b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n".to_vec(),
            "it declares",
        ),
        case(
            "header of 2^63 bytes",
            claims(1 << 63),
            "it declares 9223372036854775808 bytes",
        ),
        case(
            "header of 4 MiB and 1",
            [claims((4 << 20) + 1), vec![b' '; (4 << 20) + 1]].concat(),
            "at most 4194304",
        ),
        case(
            "header longer than the file",
            claims(1000),
            "needs 1000 bytes",
        ),
        case(
            "no JSON",
            safetensors("import os; os.system('x')", &[]),
            "malformed",
        ),
        case(
            "header that is not UTF-8",
            [claims(4), vec![0xff; 4]].concat(),
            "malformed",
        ),
        case(
            "deep JSON",
            safetensors(&"[".repeat(1_000_000), &[]),
            "malformed",
        ),
        case(
            "deep tensors",
            safetensors(&r#"{"a":"#.repeat(500_000), &[]),
            "malformed",
        ),
        case("1025 tensors", many(1025), "at most 1024"),
        case("a million tensors", many(1_000_000), "at most"),
        case(
            "as many tensors as the header holds",
            many(60_000),
            "at most 1024",
        ),
        case(
            "dtype of twice the size",
            one("F64", "[32]", "[0,128]"),
            "needs 256 bytes",
        ),
        case(
            "unknown dtype",
            one("F8_E5M2", "[128]", "[0,128]"),
            "has dtype F8_E5M2",
        ),
        case(
            "dtype with an escape sequence",
            one("\\u001b[2J", "[128]", "[0,128]"),
            "has dtype",
        ),
        case(
            "shape of 2^63 by 2",
            one("F32", "[9223372036854775808,2]", "[0,128]"),
            "has shape",
        ),
        case(
            "shape that overflows bytes",
            one("F64", "[4294967296,1]", "[0,128]"),
            "needs 34359738368 bytes",
        ),
        case(
            "negative shape",
            one("F32", "[-32]", "[0,128]"),
            "malformed",
        ),
        case(
            "fractional shape",
            one("F32", "[32.5]", "[0,128]"),
            "malformed",
        ),
        case(
            "offsets beyond the file",
            one("F32", "[32]", "[0,18446744073709551615]"),
            "cut short",
        ),
        case(
            "offsets beyond 64 bits",
            one("F32", "[32]", "[0,18446744073709551616]"),
            "malformed",
        ),
        case(
            "offsets the wrong way",
            one("F32", "[32]", "[128,0]"),
            "takes bytes 128 to 0",
        ),
        case(
            "overlapping tensors",
            two(&half("recurrent.bias", "[0,64]"), &half("x", "[32,96]")),
            "must begin at 64",
        ),
        case(
            "a hole between tensors",
            two(&half("recurrent.bias", "[0,64]"), &half("x", "[68,132]")),
            "must begin at 64",
        ),
        case(
            "bytes of no tensor",
            one("F32", "[16]", "[0,64]"),
            "after the last tensor",
        ),
        case(
            "two tensors of one name",
            two(&half("x", "[0,64]"), &half("x", "[64,128]")),
            "occurs twice",
        ),
        case(
            "name of a parent folder",
            two(&half("../x", "[0,64]"), &half("y", "[64,128]")),
            "is not an allowed name",
        ),
        case(
            "a key of its own",
            safetensors(
                r#"{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"run":"x"}}"#,
                &[],
            ),
            "malformed",
        ),
        case(
            "metadata that is no text",
            safetensors(r#"{"__metadata__":{"a":[1]}}"#, &[]),
            "malformed",
        ),
        case(
            "metadata twice",
            safetensors(r#"{"__metadata__":{},"__metadata__":{}}"#, &[]),
            "occurs twice",
        ),
        case("NaN", nan, "not a finite number"),
        case(
            "8 GB of nothing",
            Evil::Hole(sparse, 8_000_000_108),
            "at most",
        ),
        case(
            "a tensor that the network has not",
            safetensors(
                &format!("{{{}}}", tensor("virus", "U8", "[0]", "[0,0]")),
                &[],
            ),
            "virus",
        ),
        case("another shape", one("F32", "[4,8]", "[0,128]"), "has shape"),
        case("a folder", Evil::Folder, "not a regular file"),
        #[cfg(unix)]
        case("a pipe", Evil::Pipe, "not a regular file"),
        #[cfg(unix)]
        case(
            "a device",
            Evil::LinkTo("/dev/zero"),
            "is not a weight file",
        ),
    ]
}

#[test]
fn safetensors_to_begin_with() {
    let project = Project::new();
    let train = [
        "train",
        "smoke.toml",
        "model.init.file=evil.safetensors",
        "--run-dir=run",
    ];
    assert_all_refused(&project, "evil.safetensors", cases(), &train, 4);
    assert!(!project.path("run").exists());
}

#[test]
fn npz_to_begin_with() {
    let project = Project::new();
    let bias = |header: &str, byte: u8| {
        let array = npy(header, &[byte; 128]);
        archive(&[Entry::stored("recurrent.bias.npy", &array)])
    };
    let cases = vec![
        case(
            "object array",
            bias(&header("|O", "(16,)"), 0),
            "Python objects",
        ),
        case(
            "NaN",
            bias(&header("<f4", "(32,)"), 0xff),
            "not a finite number",
        ),
        case(
            "another shape",
            bias(&header("<f4", "(8, 4)"), 0),
            "has shape",
        ),
        case("a folder", Evil::Folder, "not a regular file"),
    ];
    let train = [
        "train",
        "smoke.toml",
        "model.init.file=evil.npz",
        "--run-dir=run",
    ];
    assert_all_refused(&project, "evil.npz", cases, &train, 4);
    assert!(!project.path("run").exists());
}

/// A pickle is not even opened.
#[test]
fn only_weight_files_are_opened() {
    let project = Project::new();
    let cases = vec![case(
        "a pickle",
        b"\x80\x04.".to_vec(),
        "expected a name that ends in .safetensors or .npz",
    )];
    let train = ["train", "smoke.toml", "model.init.file=weights.pt"];
    assert_all_refused(&project, "weights.pt", cases, &train, 4);
}
