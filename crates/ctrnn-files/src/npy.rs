//! The header of one array in an npz file: a Python dictionary literal with type, order and shape.
//!
//! ```text
//! \x93NUMPY | major, minor | header length (u16 in version 1, u32 in 2 and 3) | {'descr': '<f4', ...} | elements
//! ```

use std::fmt::Write as _;
use std::io::Read;

use crate::array::Dtype;
use crate::error::{FormatError, ReadError};
use crate::limits::check_shape;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// More than version 1 of the format allows, and far more than the header of a plain array needs.
const MAX_TEXT_BYTES: usize = 1 << 16;
/// The elements begin at a multiple of this, as the format asks for, so that they can be memory-mapped.
const ALIGNMENT: usize = 64;

/// Types as numpy writes them: a letter for the kind and the number of bytes.
const KINDS: [(&str, Dtype); 12] = [
    ("f2", Dtype::F16),
    ("f4", Dtype::F32),
    ("f8", Dtype::F64),
    ("i1", Dtype::I8),
    ("i2", Dtype::I16),
    ("i4", Dtype::I32),
    ("i8", Dtype::I64),
    ("u1", Dtype::U8),
    ("u2", Dtype::U16),
    ("u4", Dtype::U32),
    ("u8", Dtype::U64),
    ("b1", Dtype::Bool),
];

/// The content of a header, and its length in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NpyHeader {
    pub dtype: Dtype,
    pub big_endian: bool,
    pub fortran_order: bool,
    pub shape: Vec<usize>,
    pub elements: usize,
    pub header_bytes: u64,
}

impl NpyHeader {
    /// Returns the number of bytes of all elements.
    pub(crate) fn data_bytes(&self) -> u64 {
        (self.elements * self.dtype.bytes()) as u64
    }
}

/// Builds the header of an array for writing: little-endian, row-major, version 1.
pub(crate) fn header(dtype: Dtype, shape: &[usize]) -> Vec<u8> {
    let kind = match dtype {
        Dtype::Text(characters) => format!("U{characters}"),
        number => {
            let known = KINDS.iter().find(|(_, known)| *known == number);
            known.expect("numpy should know the type").0.to_owned()
        }
    };
    let order = if dtype.bytes() == 1 { '|' } else { '<' };
    let mut sizes = String::new();
    for size in shape {
        let _ = write!(sizes, "{size}, "); // writing to a string cannot fail
    }
    let tuple = match shape.len() {
        1 => sizes.trim_end(), // Python needs the comma in `(5,)`
        _ => sizes.trim_end_matches(", "),
    };
    let text =
        format!("{{'descr': '{order}{kind}', 'fortran_order': False, 'shape': ({tuple}), }}");
    let whole = (MAGIC.len() + 4 + text.len() + 1).next_multiple_of(ALIGNMENT);
    let text_bytes = whole - MAGIC.len() - 4;
    let length = (text_bytes as u16).to_le_bytes();
    let padded = format!("{text:<width$}\n", width = text_bytes - 1);
    [MAGIC.as_slice(), &[1, 0], &length, padded.as_bytes()].concat()
}

/// Reads a header; `name` is that of the array, for errors.
pub(crate) fn read_header(name: &str, reader: &mut impl Read) -> Result<NpyHeader, ReadError> {
    let mut start = [0; 8];
    reader.read_exact(&mut start)?;
    if !start.starts_with(MAGIC) {
        return Err(malformed(name, "it does not begin with \\x93NUMPY").into());
    }
    let length_bytes = match start[6] {
        1 => 2,
        2 | 3 => 4,
        other => return Err(malformed(name, &format!("version {other} is unknown")).into()),
    };
    let mut length = [0; 4];
    reader.read_exact(&mut length[..length_bytes])?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_TEXT_BYTES {
        let why = format!("it declares {length} bytes, but at most {MAX_TEXT_BYTES} are read");
        return Err(malformed(name, &why).into());
    }
    let mut text = vec![0; length];
    reader.read_exact(&mut text)?;
    let text = String::from_utf8(text).map_err(|_| malformed(name, "it is not text"))?;
    Ok(parse(
        name,
        &text,
        (start.len() + length_bytes + length) as u64,
    )?)
}

fn parse(name: &str, text: &str, header_bytes: u64) -> Result<NpyHeader, FormatError> {
    let literal = Literal::parse(text).map_err(|why| malformed(name, &why))?;
    let (big_endian, dtype) = dtype(name, &literal.descr)?;
    let (shape, elements) = check_shape(name, &literal.shape)?;
    Ok(NpyHeader {
        dtype,
        big_endian,
        fortran_order: literal.fortran_order,
        shape,
        elements,
        header_bytes,
    })
}

fn malformed(name: &str, why: &str) -> FormatError {
    FormatError::Header {
        name: name.to_owned(),
        why: why.to_owned(),
    }
}

/// Parses `descr`: the byte order (`<`, `>`, `=`, or `|` for none), a letter for the kind, and the bytes of an element.
fn dtype(name: &str, descr: &str) -> Result<(bool, Dtype), FormatError> {
    let kind = descr.strip_prefix(['<', '>', '=', '|']).unwrap_or(descr);
    // Python objects have a separate error, because their remedy is different.
    if kind.starts_with('O') {
        return Err(FormatError::Pickle {
            name: name.to_owned(),
        });
    }
    let number = KINDS.iter().find(|(known, _)| *known == kind);
    let number = number.map(|&(_, dtype)| dtype);
    let text = || {
        let characters = kind.strip_prefix('U')?.parse().ok()?;
        (characters > 0).then_some(Dtype::Text(characters))
    };
    match number.or_else(text) {
        Some(dtype) => Ok((descr.starts_with('>'), dtype)),
        None => Err(FormatError::Dtype {
            name: name.to_owned(),
            dtype: descr.to_owned(),
        }),
    }
}

/// The three keys of the dictionary literal.
struct Literal {
    descr: String,
    fortran_order: bool,
    shape: Vec<u64>,
}

impl Literal {
    fn parse(text: &str) -> Result<Self, String> {
        let mut cursor = Cursor { rest: text };
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        cursor.expect("{")?;
        while !cursor.accept("}") {
            let key = cursor.string()?;
            cursor.expect(":")?;
            let repeated = match key.as_str() {
                "descr" => descr.replace(cursor.descr()?).is_some(),
                "fortran_order" => fortran_order.replace(cursor.boolean()?).is_some(),
                "shape" => shape.replace(cursor.tuple()?).is_some(),
                _ => return Err(format!("key {key:?} is unknown")),
            };
            if repeated {
                return Err(format!("key {key:?} occurs twice"));
            }
            if !cursor.accept(",") {
                cursor.expect("}")?;
                break;
            }
        }
        cursor.end()?;
        Ok(Self {
            descr: descr.ok_or("it has no key \"descr\"")?,
            fortran_order: fortran_order.ok_or("it has no key \"fortran_order\"")?,
            shape: shape.ok_or("it has no key \"shape\"")?,
        })
    }
}

/// The part of the text that is still to be parsed.
struct Cursor<'a> {
    rest: &'a str,
}

impl Cursor<'_> {
    fn accept(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.accept(token) {
            Ok(())
        } else {
            Err(self.unexpected(token))
        }
    }

    fn unexpected(&self, wanted: &str) -> String {
        let found: String = self.rest.trim_start().chars().take(20).collect();
        format!("expected {wanted} at {found:?}")
    }

    fn end(&self) -> Result<(), String> {
        if self.rest.trim().is_empty() {
            Ok(())
        } else {
            Err(self.unexpected("the end"))
        }
    }

    /// Parses a quoted string, without escapes: no accepted value contains any.
    fn string(&mut self) -> Result<String, String> {
        let quote = ["'", "\""].into_iter().find(|quote| self.accept(quote));
        let quote = quote.ok_or_else(|| self.unexpected("a string"))?;
        let (text, rest) = self
            .rest
            .split_once(quote)
            .ok_or("a string is not closed")?;
        self.rest = rest;
        Ok(text.to_owned())
    }

    /// Parses the type: a string, or the list of fields of a structured type, which is returned as text to be refused.
    fn descr(&mut self) -> Result<String, String> {
        if !self.rest.trim_start().starts_with('[') {
            return self.string();
        }
        let end = self.rest.rfind(']').ok_or("a list is not closed")? + 1;
        let (list, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(list.trim().chars().take(100).collect())
    }

    fn boolean(&mut self) -> Result<bool, String> {
        if self.accept("True") {
            return Ok(true);
        }
        if self.accept("False") {
            Ok(false)
        } else {
            Err(self.unexpected("True or False"))
        }
    }

    fn tuple(&mut self) -> Result<Vec<u64>, String> {
        self.expect("(")?;
        let mut sizes = Vec::new();
        while !self.accept(")") {
            sizes.push(self.integer()?);
            if !self.accept(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(sizes)
    }

    fn integer(&mut self) -> Result<u64, String> {
        let text = self.rest.trim_start();
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (number, rest) = text.split_at(digits);
        let value = number
            .parse()
            .map_err(|_| self.unexpected("a size below 2^64"))?;
        self.rest = rest;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str) -> Result<NpyHeader, FormatError> {
        parse("x", text, 0)
    }

    fn with_descr(descr: &str) -> Result<NpyHeader, FormatError> {
        parse_text(&format!(
            "{{'descr': {descr}, 'fortran_order': False, 'shape': (2,), }}"
        ))
    }

    #[test]
    fn headers_are_those_of_numpy() {
        // np.lib.format.write_array_header_1_0 of shapes (), (3,) and (3, 4): 10 bytes, the text, spaces, and a
        // newline at byte 128.
        for (shape, tuple) in [(&[][..], "()"), (&[3], "(3,)"), (&[3, 4], "(3, 4)")] {
            let bytes = header(Dtype::F32, shape);
            let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {tuple}, }}");
            assert_eq!(bytes.len(), 128);
            assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00"); // 128 - 10 = 0x76
            assert_eq!(
                std::str::from_utf8(&bytes[10..]).unwrap(),
                format!("{text:<117}\n")
            );
        }
        assert!(header(Dtype::Bool, &[]).windows(4).any(|w| w == b"|b1'"));
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = header(Dtype::I64, &[5, 0, 7]);
        let read = read_header("x", &mut bytes.as_slice()).unwrap();
        assert_eq!(
            (read.dtype, read.shape, read.elements),
            (Dtype::I64, vec![5, 0, 7], 0)
        );
        assert_eq!(read.header_bytes, bytes.len() as u64);
        assert!(!read.fortran_order && !read.big_endian);
    }

    #[test]
    fn order_and_byte_order_are_read() {
        let header = parse_text(r#"{"shape":(2,3),"fortran_order":True,"descr":">f8"}"#).unwrap();
        assert!(header.fortran_order && header.big_endian);
        assert_eq!((header.dtype, header.elements), (Dtype::F64, 6));
    }

    #[test]
    fn pickles_bytes_and_structures_are_refused_by_name() {
        let pickle = with_descr("'|O'").unwrap_err();
        assert_eq!(pickle, FormatError::Pickle { name: "x".into() });
        assert!(
            pickle
                .to_string()
                .contains("array `x` holds Python objects (a pickle)")
        );
        let fields = "[('a', '<f4'), ('b', '|O')]";
        for descr in [
            "'|S5'",
            "'<c8'",
            "'<M8[ns]'",
            "'<f16'",
            "'<f'",
            "''",
            fields,
        ] {
            assert!(
                matches!(with_descr(descr), Err(FormatError::Dtype { .. })),
                "{descr}"
            );
        }
    }

    #[test]
    fn malformed_headers_say_why() {
        let table = [
            ("", "expected {"),
            ("{'descr': '<f4'", "expected }"),
            ("{'descr': '<f4", "a string is not closed"),
            ("{'descr': [('a'", "a list is not closed"),
            ("{'descr': '<f4', 'descr': '<f4'}", "\"descr\" occurs twice"),
            ("{'descr': '<f4', 'colour': 1}", "\"colour\" is unknown"),
            ("{'descr': '<f4', 'shape': ()}", "no key \"fortran_order\""),
            ("{'fortran_order': Maybe}", "True or False"),
            ("{'shape': (-1,)}", "a size below 2^64"),
            ("{'shape': (18446744073709551616,)}", "a size below 2^64"),
            ("{'shape': (1 2)}", "expected )"),
            ("{'shape': 3}", "expected ("),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': ()} + 1",
                "expected the end",
            ),
        ];
        for (text, why) in table {
            let error = parse_text(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn huge_shapes_are_refused() {
        for shape in [
            "(9223372036854775808, 2)",
            "(0, 9223372036854775808)",
            "(65536, 65537)",
        ] {
            let text = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}");
            assert!(
                matches!(parse_text(&text), Err(FormatError::Shape { .. })),
                "{shape}"
            );
        }
    }

    #[test]
    fn foreign_beginnings_are_refused() {
        let read = |bytes: &[u8]| read_header("x", &mut &bytes[..]);
        assert!(matches!(
            read(b"\x80\x04\x95pickle"),
            Err(ReadError::Format(FormatError::Header { .. }))
        ));
        assert!(matches!(
            read(b"\x93NUMPY\x09\x00"),
            Err(ReadError::Format(FormatError::Header { .. }))
        ));
        let long = b"\x93NUMPY\x02\x00\xff\xff\xff\xff";
        assert!(matches!(
            read(long),
            Err(ReadError::Format(FormatError::Header { .. }))
        ));
        assert!(matches!(read(b"\x93NUM"), Err(ReadError::Io(_))));
    }
}
