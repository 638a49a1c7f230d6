//! Trial files, and inputs of a simulation: npz from anybody.

use super::archive::{End, Entry, archive, archive_with, header, npy};
use super::{Case, Evil, assert_all_refused, case};
use crate::project::Project;

/// Two trials of two time steps with one input, as f32.
fn inputs() -> Vec<u8> {
    npy(&header("<f4", "(2, 2, 1)"), &[0; 16])
}

/// An archive with this `inputs.npy` and labels that fit it.
fn with_inputs(inputs: &[u8]) -> Vec<u8> {
    let labels = npy(&header("<i8", "(2, 2)"), &[0; 32]);
    archive(&[
        Entry::stored("inputs.npy", inputs),
        Entry::stored("labels.npy", &labels),
    ])
}

/// An archive whose `inputs.npy` has this type and shape, and 16 bytes of elements.
fn of(descr: &str, shape: &str) -> Vec<u8> {
    with_inputs(&npy(&header(descr, shape), &[0; 16]))
}

fn named(name: &[u8]) -> Vec<u8> {
    archive(&[Entry {
        name: name.to_vec(),
        ..Entry::stored("", &inputs())
    }])
}

fn altered(alter: impl FnOnce(&mut Entry)) -> Vec<u8> {
    let mut entry = Entry::deflated("inputs.npy", &inputs());
    alter(&mut entry);
    archive(&[entry])
}

fn headers() -> Vec<Case> {
    let with_header = |text: &str| with_inputs(&npy(text, &[0; 16]));
    vec![
        case("object array", of("|O", "(2, 2, 1)"), "Python objects"),
        case(
            "object array, version 2 spelling",
            of("O", "(2, 2, 1)"),
            "Python objects",
        ),
        case(
            "structured type",
            with_header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 2, 1), }"),
            "has dtype",
        ),
        case("strings", of("<U4", "(1, 1, 1)"), "has dtype <U4"),
        case("complex numbers", of("<c8", "(1, 2, 1)"), "has dtype <c8"),
        case("dates", of("<M8[ns]", "(1, 2, 1)"), "has dtype <M8[ns]"),
        case("long doubles", of("<f16", "(1, 1, 1)"), "has dtype <f16"),
        case(
            "bytes without a type",
            of("|V4", "(2, 2, 1)"),
            "has dtype |V4",
        ),
        case(
            "an escape sequence as type",
            of("\x1b[2J", "(2, 2, 1)"),
            "has dtype",
        ),
        case("negative shape", of("<f4", "(-2, 2, 1)"), "malformed"),
        case(
            "shape of 2^63 by 2",
            of("<f4", "(9223372036854775808, 2)"),
            "has shape",
        ),
        case(
            "shape of 2^64",
            of("<f4", "(18446744073709551616,)"),
            "malformed",
        ),
        case(
            "bytes overflow 64 bits",
            of("<f8", "(4294967296, 4294967296)"),
            "has shape",
        ),
        case(
            "4 billion elements",
            of("<f4", "(4294967296,)"),
            "needs 17179869184 bytes",
        ),
        case(
            "empty with a huge size",
            of("<f4", "(0, 1099511627776)"),
            "has shape",
        ),
        case(
            "33 dimensions",
            of("<f4", &format!("({})", "1, ".repeat(33))),
            "has shape",
        ),
        case(
            "larger than its data",
            of("<f4", "(2, 2, 2)"),
            "needs 32 bytes",
        ),
        case(
            "smaller than its data",
            of("<f4", "(2, 1, 1)"),
            "needs 8 bytes",
        ),
        case("no dictionary", with_header("import os"), "malformed"),
        case(
            "an open dictionary",
            with_header("{'descr': '<f4'"),
            "malformed",
        ),
        case(
            "a key twice",
            with_header("{'descr': '<f4', 'descr': '<f8'}"),
            "occurs twice",
        ),
        case(
            "a key of its own",
            with_header("{'descr': '<f4', 'code': 'x'}"),
            "unknown",
        ),
        case(
            "an order that is a number",
            with_header("{'fortran_order': 1}"),
            "True or False",
        ),
        case(
            "version 9",
            {
                let mut npy = inputs();
                npy[6] = 9;
                with_inputs(&npy)
            },
            "version 9",
        ),
        case(
            "header of 4 GiB",
            {
                let mut npy = b"\x93NUMPY\x02\0".to_vec();
                npy.extend(u32::MAX.to_le_bytes());
                with_inputs(&npy)
            },
            "it declares 4294967295 bytes",
        ),
        case(
            "header that is no text",
            {
                let mut npy = inputs();
                npy[20] = 0xff;
                with_inputs(&npy)
            },
            "not text",
        ),
        case("no header", with_inputs(b""), "damaged"),
        case(
            "NaN",
            with_inputs(&npy(&header("<f4", "(2, 2, 1)"), &[0xff; 16])),
            "holds NaN",
        ),
    ]
}

fn archives() -> Vec<Case> {
    let whole = with_inputs(&inputs());
    let end = |end: End| archive_with(&[Entry::stored("inputs.npy", &inputs())], &end);
    let twins = [
        Entry::stored("inputs.npy", &inputs()),
        Entry::stored("inputs.npy", &inputs()),
    ];
    let wide = |bytes: u64, packed: u64| {
        let mut extra = vec![1, 0, 16, 0];
        extra.extend(bytes.to_le_bytes());
        extra.extend(packed.to_le_bytes());
        altered(|entry| {
            (entry.bytes, entry.packed_bytes) = (u32::MAX, u32::MAX);
            entry.extra = extra;
        })
    };
    let zeros = npy(&header("<f4", "(2, 500000, 1)"), &vec![0; 4_000_000]);
    vec![
        case("nothing", "", "an empty file"),
        case("a text", "hello", "is text"),
        case(
            "a pickle",
            b"\x80\x04\x95\x1e\0\0\0\0\0\0\0\x8c\x05posix\x8c\x06system\x93.".to_vec(),
            "a Python pickle",
        ),
        case("a single array", inputs(), "a single array"),
        case(
            "cut in half",
            whole[..whole.len() / 2].to_vec(),
            "no end record",
        ),
        case(
            "data after the end",
            [whole.as_slice(), b"rm -rf"].concat(),
            "no end record",
        ),
        case(
            "data before the start",
            [b"#!/bin/sh\n", whole.as_slice()].concat(),
            "does not lie before",
        ),
        case(
            "several files",
            end(End {
                disk: 1,
                ..End::default()
            }),
            "spans several files",
        ),
        case(
            "65535 entries",
            end(End {
                entries: Some(u16::MAX),
                ..End::default()
            }),
            "holds 65535 arrays",
        ),
        case(
            "an entry less than there is",
            end(End {
                entries: Some(0),
                ..End::default()
            }),
            "more entries than it says",
        ),
        case(
            "an entry more than there is",
            end(End {
                entries: Some(2),
                ..End::default()
            }),
            "cut short",
        ),
        case(
            "directory elsewhere",
            end(End {
                directory_offset: Some(0),
                ..End::default()
            }),
            "does not lie before",
        ),
        case(
            "zip64 record that lies",
            end(End {
                directory_offset: Some(u32::MAX),
                before: [
                    b"PK\x06\x07".as_slice(),
                    &[0; 4],
                    &u64::MAX.to_le_bytes(),
                    &[1, 0, 0, 0],
                ]
                .concat(),
                ..End::default()
            }),
            "does not lie before",
        ),
        case(
            "1025 arrays",
            archive(
                &(0..1025)
                    .map(|k| Entry::stored(&format!("a{k}.npy"), b""))
                    .collect::<Vec<_>>(),
            ),
            "holds 1025 arrays",
        ),
        case(
            "a directory of 5 MiB",
            archive(
                &(0..80)
                    .map(|k| Entry {
                        comment: vec![b'x'; 65_535],
                        ..Entry::stored(&format!("a{k}.npy"), b"")
                    })
                    .collect::<Vec<_>>(),
            ),
            "too long",
        ),
        case("two arrays of one name", archive(&twins), "occurs twice"),
        case(
            "two arrays in one place",
            archive_with(
                &[
                    Entry::stored("a.npy", &inputs()),
                    Entry::stored("b.npy", &inputs()),
                ],
                &End {
                    share_offset: true,
                    ..End::default()
                },
            ),
            "overlaps",
        ),
        case(
            "name of a parent folder",
            named(b"../inputs.npy"),
            "is not an allowed name",
        ),
        case(
            "absolute name",
            named(b"/etc/inputs.npy"),
            "is not an allowed name",
        ),
        case(
            "hidden name",
            named(b".inputs.npy"),
            "is not an allowed name",
        ),
        case(
            "name with a backslash",
            named(b"..\\inputs.npy"),
            "is not an allowed name",
        ),
        case(
            "name with an escape sequence",
            named(b"\x1b[2J.npy"),
            "is not an allowed name",
        ),
        case(
            "name that is not UTF-8",
            named(b"\xff\xfe.npy"),
            "not UTF-8",
        ),
        case(
            "name of 300 bytes",
            named(format!("{}.npy", "x".repeat(300)).as_bytes()),
            "is not an allowed name",
        ),
        case("no array", named(b"inputs.exe"), "without .npy arrays"),
        case(
            "another name before the content",
            altered(|entry| entry.local_name = Some(b"labels.npy".to_vec())),
            "differ",
        ),
        case("encrypted", altered(|entry| entry.flags = 1), "encrypted"),
        case(
            "another compression",
            altered(|entry| entry.method = 12),
            "compressed by method 12",
        ),
        case(
            "wrong checksum",
            altered(|entry| entry.crc ^= 1),
            "checksum",
        ),
        case(
            "bomb of 4 GiB",
            altered(|entry| entry.bytes = u32::MAX - 1),
            "declares 4294967294 bytes",
        ),
        case(
            "zip64 bomb of 2^63",
            wide(
                1 << 63,
                Entry::deflated("inputs.npy", &inputs()).packed.len() as u64,
            ),
            "declares 9223372036854775808 bytes",
        ),
        case("zip64 content of 2^64 - 1", wide(100, u64::MAX), "overlaps"),
        case(
            "zip64 without its sizes",
            altered(|entry| entry.bytes = u32::MAX),
            "64-bit size is missing",
        ),
        case(
            "more content than it says",
            {
                let small = inputs().len() as u32;
                let mut entry = Entry::deflated("inputs.npy", &zeros);
                entry.bytes = small;
                archive(&[entry])
            },
            "inputs",
        ),
        case(
            "less content than it says",
            altered(|entry| entry.bytes += 1000),
            "inputs",
        ),
        case(
            "deflate cut short",
            altered(|entry| {
                entry.packed.truncate(entry.packed.len() / 2);
                entry.packed_bytes = entry.packed.len() as u32;
            }),
            "inputs",
        ),
        case(
            "deflate of noise",
            altered(|entry| entry.packed.fill(0xa5)),
            "inputs",
        ),
        case(
            "4 MB of zeros in 4 kB, and no labels",
            archive(&[Entry::deflated("inputs.npy", &zeros)]),
            "neither labels",
        ),
    ]
}

fn places() -> Vec<Case> {
    vec![
        case("a folder", Evil::Folder, "not a regular file"),
        #[cfg(unix)]
        case("a pipe", Evil::Pipe, "not a regular file"),
        #[cfg(unix)]
        case("a device", Evil::LinkTo("/dev/zero"), "not a regular file"),
        #[cfg(unix)]
        case(
            "a link to nothing",
            Evil::LinkTo("nowhere"),
            "does not exist",
        ),
        case(
            "8 GiB of nothing",
            Evil::Hole(vec![], 8 << 30),
            "no end record",
        ),
    ]
}

const TRAIN: [&str; 4] = [
    "train",
    "smoke.toml",
    r#"task.npz.files=["evil.npz"]"#,
    "--run-dir=run",
];

#[test]
fn headers_of_arrays_in_trial_files() {
    let project = Project::new();
    assert_all_refused(&project, "evil.npz", headers(), &TRAIN, 4);
    assert!(!project.path("run").exists());
}

#[test]
fn archives_of_trials() {
    let project = Project::new();
    assert_all_refused(&project, "evil.npz", archives(), &TRAIN, 4);
    assert!(!project.path("run").exists());
}

#[test]
fn what_is_no_file_is_no_trial_file() {
    let project = Project::new();
    assert_all_refused(&project, "evil.npz", places(), &TRAIN, 4);
}

/// The same reader, another caller.
#[test]
fn inputs_of_a_simulation() {
    let project = Project::new();
    project.train("run", &["train.steps=0"]).exits(0);
    let cases = vec![
        case("object array", of("|O", "(2, 2, 3)"), "Python objects"),
        case(
            "NaN",
            archive(&[Entry::stored(
                "inputs.npy",
                &npy(&header("<f4", "(1, 1, 3)"), &[0xff; 12]),
            )]),
            "NaN",
        ),
        case(
            "bomb",
            altered(|entry| entry.bytes = u32::MAX - 1),
            "declares",
        ),
    ];
    let simulate = [
        "simulate",
        "run",
        "--inputs",
        "evil.npz",
        "-o",
        "states.npz",
    ];
    assert_all_refused(&project, "evil.npz", cases, &simulate, 4);
}

/// What looks odd and is right: other byte orders and memory layouts give the same trials.
#[test]
fn big_endian_and_column_major_arrays_are_read() {
    let numbers: Vec<f32> = (0..4).map(|k| k as f32).collect();
    let bytes = |order: &[usize], encode: fn(f32) -> [u8; 4]| -> Vec<u8> {
        order.iter().flat_map(|&k| encode(numbers[k])).collect()
    };
    let fortran = header("<f4", "(2, 2, 1)").replace("False", "True");
    let project = Project::new();
    for inputs in [
        npy(
            &header("<f4", "(2, 2, 1)"),
            &bytes(&[0, 1, 2, 3], f32::to_le_bytes),
        ),
        npy(
            &header(">f4", "(2, 2, 1)"),
            &bytes(&[0, 1, 2, 3], f32::to_be_bytes),
        ),
        npy(&fortran, &bytes(&[0, 2, 1, 3], f32::to_le_bytes)),
    ] {
        project.write("trials.npz", with_inputs(&inputs));
        let read = project.arrays("trials.npz");
        assert_eq!(read["inputs"].to_f32().unwrap(), numbers);
    }
}
