//! Arrays of numbers in host memory, row-major, as stored in files.

use std::ops::Range;

use thiserror::Error;

/// Largest number of characters of a text in an array; longer ones are cut off.
const MOST_CHARACTERS: usize = 4096;

/// A type of elements in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "self-explanatory: a letter for the kind and the number of bits"
)]
pub enum Dtype {
    F16,
    BF16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
    /// Text of at most so many characters, padded with NUL; 4 bytes each.
    Text(u16),
}

impl Dtype {
    /// Returns the number of bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::Text(characters) => 4 * usize::from(characters),
        }
    }

    /// Returns the number of bytes whose order depends on the machine: those of a number, or of a character of a text.
    pub(crate) fn word_bytes(self) -> usize {
        match self {
            Self::Text(_) => 4,
            number => number.bytes(),
        }
    }
}

/// The elements of an [`Array`]. Other types in files are widened to one of these without loss:
/// half precision to `F32`, `i8`, `i16` and `u16` to `I32`, `u32` and `u64` to `I64`.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    missing_docs,
    reason = "self-explanatory: a letter for the kind and the number of bits"
)]
pub enum ArrayData {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    U8(Vec<u8>),
    Bool(Vec<bool>),
    Text(Vec<String>),
}

/// An array: elements in row-major order (the last index runs fastest) and their shape.
///
/// An empty shape is a scalar, which has one element. Shape and elements always agree.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    shape: Vec<usize>,
    data: ArrayData,
}

/// An array whose elements keep the type of the file until they are read, so that a large array takes no more memory
/// than its file.
#[derive(Debug, Clone, PartialEq)]
pub struct PackedArray {
    shape: Vec<usize>,
    dtype: Dtype,
    /// Little-endian, row-major.
    bytes: Vec<u8>,
}

/// A value that the requested type cannot hold.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("value {value} at index {index} is not representable as {wanted}")]
pub struct ValueError {
    /// Flat index of the element.
    pub index: usize,
    /// The element.
    pub value: String,
    /// The requested type.
    pub wanted: &'static str,
}

impl Array {
    /// Creates an array of the given shape.
    ///
    /// # Panics
    /// If the shape does not have as many elements as `data`.
    pub fn new(shape: &[usize], data: ArrayData) -> Self {
        assert_eq!(
            shape.iter().product::<usize>(),
            data.len(),
            "shape {shape:?} needs another number of elements"
        );
        Self {
            shape: shape.to_vec(),
            data,
        }
    }

    /// Creates an array of f32; panics as [`Array::new`].
    pub fn f32(shape: &[usize], data: Vec<f32>) -> Self {
        Self::new(shape, ArrayData::F32(data))
    }

    /// Creates an array of f64; panics as [`Array::new`].
    pub fn f64(shape: &[usize], data: Vec<f64>) -> Self {
        Self::new(shape, ArrayData::F64(data))
    }

    /// Creates an array of i64; panics as [`Array::new`].
    pub fn i64(shape: &[usize], data: Vec<i64>) -> Self {
        Self::new(shape, ArrayData::I64(data))
    }

    /// Creates a list of texts.
    pub fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        let texts: Vec<String> = texts.into_iter().map(Into::into).collect();
        Self::new(&[texts.len()], ArrayData::Text(texts))
    }

    /// Returns the sizes, the slowest index first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the elements in row-major order.
    pub fn data(&self) -> &ArrayData {
        &self.data
    }

    /// Returns shape and elements, without a copy.
    pub fn into_parts(self) -> (Vec<usize>, ArrayData) {
        (self.shape, self.data)
    }

    /// Returns a range of rows along the first dimension.
    ///
    /// # Panics
    /// If the array is a scalar or does not have these rows.
    #[must_use]
    pub fn rows(&self, rows: Range<usize>) -> Self {
        let width: usize = self.shape[1..].iter().product();
        let shape = [&[rows.len()], &self.shape[1..]].concat();
        let some = rows.start * width..rows.end * width;
        let data = match &self.data {
            ArrayData::F32(data) => ArrayData::F32(data[some].to_vec()),
            ArrayData::F64(data) => ArrayData::F64(data[some].to_vec()),
            ArrayData::I32(data) => ArrayData::I32(data[some].to_vec()),
            ArrayData::I64(data) => ArrayData::I64(data[some].to_vec()),
            ArrayData::U8(data) => ArrayData::U8(data[some].to_vec()),
            ArrayData::Bool(data) => ArrayData::Bool(data[some].to_vec()),
            ArrayData::Text(data) => ArrayData::Text(data[some].to_vec()),
        };
        Self::new(&shape, data)
    }

    /// Returns the elements as f32. f64 is rounded to the nearest; integers must be exact.
    ///
    /// # Errors
    /// [`ValueError`] at the first integer that f32 does not hold, or the first finite f64 beyond the largest f32.
    pub fn to_f32(&self) -> Result<Vec<f32>, ValueError> {
        match &self.data {
            ArrayData::F32(data) => Ok(data.clone()),
            ArrayData::F64(data) => convert(data, F32, narrow),
            ArrayData::I32(data) => convert(data, F32, |x| exact_f32(i64::from(x))),
            ArrayData::I64(data) => convert(data, F32, exact_f32),
            ArrayData::U8(data) => Ok(data.iter().map(|&x| f32::from(x)).collect()),
            ArrayData::Bool(data) => Ok(data.iter().map(|&x| f32::from(x)).collect()),
            ArrayData::Text(data) => no_number(data, "f32"),
        }
    }

    /// Checks that f32 holds the elements as [`Array::to_f32`] gives them, without a copy.
    ///
    /// # Errors
    /// See [`Array::to_f32`].
    pub fn check_f32(&self) -> Result<(), ValueError> {
        match &self.data {
            ArrayData::F32(_) | ArrayData::U8(_) | ArrayData::Bool(_) => Ok(()),
            ArrayData::F64(data) => check(data, F32, narrow),
            ArrayData::I32(data) => check(data, F32, |x| exact_f32(i64::from(x))),
            ArrayData::I64(data) => check(data, F32, exact_f32),
            ArrayData::Text(data) => no_number::<f32>(data, F32).map(drop),
        }
    }

    /// Returns the elements as f64; integers must be exact.
    ///
    /// # Errors
    /// [`ValueError`] at the first integer that f64 does not hold.
    pub fn to_f64(&self) -> Result<Vec<f64>, ValueError> {
        match &self.data {
            ArrayData::F32(data) => Ok(data.iter().map(|&x| f64::from(x)).collect()),
            ArrayData::F64(data) => Ok(data.clone()),
            ArrayData::I32(data) => Ok(data.iter().map(|&x| f64::from(x)).collect()),
            ArrayData::I64(data) => convert(data, "f64", exact_f64),
            ArrayData::U8(data) => Ok(data.iter().map(|&x| f64::from(x)).collect()),
            ArrayData::Bool(data) => Ok(data.iter().map(|&x| f64::from(x)).collect()),
            ArrayData::Text(data) => no_number(data, "f64"),
        }
    }

    /// Returns the elements as i64; floating-point numbers must be whole.
    ///
    /// # Errors
    /// [`ValueError`] at the first number that is not whole, not finite, or beyond 2^63.
    pub fn to_i64(&self) -> Result<Vec<i64>, ValueError> {
        match &self.data {
            ArrayData::F32(data) => convert(data, "integer", |x| whole(f64::from(x))),
            ArrayData::F64(data) => convert(data, "integer", whole),
            ArrayData::I32(data) => Ok(data.iter().map(|&x| i64::from(x)).collect()),
            ArrayData::I64(data) => Ok(data.clone()),
            ArrayData::U8(data) => Ok(data.iter().map(|&x| i64::from(x)).collect()),
            ArrayData::Bool(data) => Ok(data.iter().map(|&x| i64::from(x)).collect()),
            ArrayData::Text(data) => no_number(data, "integer"),
        }
    }

    /// Returns the flat index of the first NaN or infinity.
    pub fn first_nonfinite(&self) -> Option<usize> {
        match &self.data {
            ArrayData::F32(data) => data.iter().position(|x| !x.is_finite()),
            ArrayData::F64(data) => data.iter().position(|x| !x.is_finite()),
            _ => None,
        }
    }
}

impl PackedArray {
    /// Creates an array from little-endian, row-major bytes.
    pub(crate) fn new(shape: &[usize], dtype: Dtype, bytes: Vec<u8>) -> Self {
        Self {
            shape: shape.to_vec(),
            dtype,
            bytes,
        }
    }

    /// Returns the sizes, the slowest index first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the type in the file.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Returns a range of elements by flat index, widened if needed.
    ///
    /// # Panics
    /// If the range is out of bounds.
    pub fn elements(&self, range: Range<usize>) -> ArrayData {
        let width = self.dtype.bytes();
        ArrayData::from_bytes(
            self.dtype,
            &self.bytes[range.start * width..range.end * width],
        )
    }

    /// Returns all elements, widened if needed.
    pub fn unpacked(&self) -> Array {
        let elements = self.shape.iter().product();
        Array::new(&self.shape, self.elements(0..elements))
    }
}

impl From<&Array> for PackedArray {
    fn from(array: &Array) -> Self {
        Self {
            shape: array.shape.clone(),
            dtype: array.data.dtype(),
            bytes: array.data.to_bytes(),
        }
    }
}

impl ArrayData {
    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(data) => data.len(),
            Self::F64(data) => data.len(),
            Self::I32(data) => data.len(),
            Self::I64(data) => data.len(),
            Self::U8(data) => data.len(),
            Self::Bool(data) => data.len(),
            Self::Text(data) => data.len(),
        }
    }

    /// Returns true if there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the type of the elements.
    pub fn dtype(&self) -> Dtype {
        match self {
            Self::F32(_) => Dtype::F32,
            Self::F64(_) => Dtype::F64,
            Self::I32(_) => Dtype::I32,
            Self::I64(_) => Dtype::I64,
            Self::U8(_) => Dtype::U8,
            Self::Bool(_) => Dtype::Bool,
            Self::Text(data) => {
                let longest = data.iter().map(|text| text.chars().count()).max();
                Dtype::Text(longest.unwrap_or(0).clamp(1, MOST_CHARACTERS) as u16)
            }
        }
    }

    /// Returns the elements as little-endian bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(data) => encode(data, f32::to_le_bytes),
            Self::F64(data) => encode(data, f64::to_le_bytes),
            Self::I32(data) => encode(data, i32::to_le_bytes),
            Self::I64(data) => encode(data, i64::to_le_bytes),
            Self::U8(data) => data.clone(),
            Self::Bool(data) => data.iter().map(|&x| u8::from(x)).collect(),
            Self::Text(data) => {
                let width = self.dtype().bytes() / 4;
                let padded = |text: &String| {
                    let characters = text.chars().chain(std::iter::repeat('\0'));
                    let codes = characters.take(width).map(u32::from);
                    codes.flat_map(u32::to_le_bytes).collect::<Vec<u8>>()
                };
                data.iter().flat_map(padded).collect()
            }
        }
    }

    /// Reads elements from little-endian bytes and widens them if needed; unsigned ones beyond the largest i64 become floats.
    pub(crate) fn from_bytes(dtype: Dtype, bytes: &[u8]) -> Self {
        match dtype {
            Dtype::F16 => Self::F32(decode(bytes, |x| half_to_f32(u16::from_le_bytes(x)))),
            Dtype::BF16 => Self::F32(decode(bytes, |x| {
                f32::from_bits(u32::from(u16::from_le_bytes(x)) << 16)
            })),
            Dtype::F32 => Self::F32(decode(bytes, f32::from_le_bytes)),
            Dtype::F64 => Self::F64(decode(bytes, f64::from_le_bytes)),
            Dtype::I8 => Self::I32(decode(bytes, |x| i32::from(i8::from_le_bytes(x)))),
            Dtype::I16 => Self::I32(decode(bytes, |x| i32::from(i16::from_le_bytes(x)))),
            Dtype::I32 => Self::I32(decode(bytes, i32::from_le_bytes)),
            Dtype::I64 => Self::I64(decode(bytes, i64::from_le_bytes)),
            Dtype::U64 => {
                let values = decode(bytes, u64::from_le_bytes);
                let signed = values.iter().map(|&x| i64::try_from(x));
                match signed.collect() {
                    Ok(signed) => Self::I64(signed),
                    Err(_) => Self::F64(values.iter().map(|&x| x as f64).collect()),
                }
            }
            Dtype::U8 => Self::U8(bytes.to_vec()),
            Dtype::U16 => Self::I32(decode(bytes, |x| i32::from(u16::from_le_bytes(x)))),
            Dtype::U32 => Self::I64(decode(bytes, |x| i64::from(u32::from_le_bytes(x)))),
            Dtype::Bool => Self::Bool(bytes.iter().map(|&x| x != 0).collect()),
            Dtype::Text(_) => {
                let texts = bytes.chunks_exact(dtype.bytes()).map(|text| {
                    let codes = decode(text, u32::from_le_bytes).into_iter();
                    let characters = codes.map(|c| char::from_u32(c).unwrap_or('\u{fffd}'));
                    let padded: String = characters.collect();
                    padded.trim_end_matches('\0').to_owned()
                });
                Self::Text(texts.collect())
            }
        }
    }

    /// Returns the elements rounded to f32, or NaN for one that does not fit: an integer that is not exact, or a finite
    /// number beyond the largest f32.
    pub fn into_f32_or_nan(self) -> Vec<f32> {
        let integer = |x: i64| exact_f32(x).unwrap_or(f32::NAN);
        match self {
            Self::F32(data) => data,
            Self::F64(data) => {
                let finite = |x: f32| if x.is_finite() { x } else { f32::NAN };
                data.iter().map(|&x| finite(x as f32)).collect()
            }
            Self::I32(data) => data.iter().map(|&x| integer(x.into())).collect(),
            Self::I64(data) => data.iter().map(|&x| integer(x)).collect(),
            Self::U8(data) => data.iter().map(|&x| f32::from(x)).collect(),
            Self::Bool(data) => data.iter().map(|&x| f32::from(x)).collect(),
            Self::Text(data) => vec![f32::NAN; data.len()],
        }
    }

    /// Returns the elements as integers, or `None` for one that is not whole, not finite, or beyond 2^63.
    pub fn integers(&self) -> Vec<Option<i64>> {
        match self {
            Self::F32(data) => data.iter().map(|&x| whole(f64::from(x))).collect(),
            Self::F64(data) => data.iter().map(|&x| whole(x)).collect(),
            Self::I32(data) => data.iter().map(|&x| Some(x.into())).collect(),
            Self::I64(data) => data.iter().map(|&x| Some(x)).collect(),
            Self::U8(data) => data.iter().map(|&x| Some(x.into())).collect(),
            Self::Bool(data) => data.iter().map(|&x| Some(x.into())).collect(),
            Self::Text(data) => vec![None; data.len()],
        }
    }

    /// Formats an element as text.
    ///
    /// # Panics
    /// If the index is out of bounds.
    pub fn text(&self, index: usize) -> String {
        match self {
            Self::F32(data) => data[index].to_string(),
            Self::F64(data) => data[index].to_string(),
            Self::I32(data) => data[index].to_string(),
            Self::I64(data) => data[index].to_string(),
            Self::U8(data) => data[index].to_string(),
            Self::Bool(data) => data[index].to_string(),
            Self::Text(data) => data[index].clone(),
        }
    }
}

/// Refuses texts where numbers are wanted, unless there are none.
fn no_number<T>(data: &[String], wanted: &'static str) -> Result<Vec<T>, ValueError> {
    match data.first() {
        None => Ok(Vec::new()),
        Some(text) => Err(ValueError {
            index: 0,
            value: format!("{text:?}"),
            wanted,
        }),
    }
}

fn encode<T: Copy, const N: usize>(data: &[T], to_bytes: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    data.iter()
        .map(|&x| to_bytes(x))
        .collect::<Vec<_>>()
        .into_flattened()
}

fn decode<T, const N: usize>(bytes: &[u8], from_bytes: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks().0.iter().map(|&x| from_bytes(x)).collect()
}

/// Name of single precision in errors.
const F32: &str = "f32";

fn convert<T: Copy + ToString, U>(
    data: &[T],
    wanted: &'static str,
    try_one: impl Fn(T) -> Option<U>,
) -> Result<Vec<U>, ValueError> {
    converted(data, wanted, try_one).collect()
}

/// Checks that every element can be converted.
fn check<T: Copy + ToString, U>(
    data: &[T],
    wanted: &'static str,
    try_one: impl Fn(T) -> Option<U>,
) -> Result<(), ValueError> {
    converted(data, wanted, try_one).try_for_each(|x| x.map(drop))
}

fn converted<T: Copy + ToString, U>(
    data: &[T],
    wanted: &'static str,
    try_one: impl Fn(T) -> Option<U>,
) -> impl Iterator<Item = Result<U, ValueError>> {
    let refuse = move |index, value: T| ValueError {
        index,
        value: value.to_string(),
        wanted,
    };
    let elements = data.iter().enumerate();
    elements.map(move |(index, &x)| try_one(x).ok_or_else(|| refuse(index, x)))
}

/// Converts f64 to the nearest f32, unless that makes a finite number infinite.
fn narrow(x: f64) -> Option<f32> {
    let narrow = x as f32;
    (narrow.is_finite() == x.is_finite()).then_some(narrow)
}

/// Converts an integer to f32 if that is exact.
fn exact_f32(x: i64) -> Option<f32> {
    // Compared in i128, because a float as large as 2^63 would saturate in i64 and look exact.
    (x as f32 as i128 == i128::from(x)).then_some(x as f32)
}

/// Converts an integer to f64 if that is exact; see [`exact_f32`].
fn exact_f64(x: i64) -> Option<f64> {
    (x as f64 as i128 == i128::from(x)).then_some(x as f64)
}

/// Converts a whole number in [-2^63, 2^63) to an integer.
fn whole(x: f64) -> Option<i64> {
    const TWO_TO_63: f64 = 9_223_372_036_854_775_808.0;
    (x.fract() == 0.0 && (-TWO_TO_63..TWO_TO_63).contains(&x)).then_some(x as i64)
}

/// Converts IEEE 754 binary16 to f32: 1 sign bit, 5 exponent bits (bias 15) and 10 fraction bits.
fn half_to_f32(bits: u16) -> f32 {
    let power_of_two = |exponent: u32| f32::from_bits((exponent + 127 - 25) << 23); // 2^(exponent - 25)
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let fraction = f32::from(bits & 0x3ff);
    let magnitude = match u32::from(bits >> 10 & 0x1f) {
        0 => fraction * power_of_two(1),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        exponent => (1024.0 + fraction) * power_of_two(exponent),
    };
    sign * magnitude
}

#[cfg(test)]
mod tests {
    use super::*;

    fn i64s(data: &[i64]) -> Array {
        Array::i64(&[data.len()], data.to_vec())
    }

    fn f64s(data: &[f64]) -> Array {
        Array::f64(&[data.len()], data.to_vec())
    }

    #[test]
    #[should_panic(expected = "[2, 3]")]
    fn a_shape_with_another_number_of_elements_panics() {
        Array::f32(&[2, 3], vec![0.0; 5]);
    }

    #[test]
    fn a_scalar_has_one_element() {
        assert_eq!(Array::f64(&[], vec![20.0]).to_f32(), Ok(vec![20.0]));
    }

    #[test]
    fn integers_convert_only_where_floats_hold_them() {
        // f32 has 24 significant bits, f64 has 53: one more than a power of two is the first that is lost.
        assert_eq!(i64s(&[1 << 24]).to_f32(), Ok(vec![16_777_216.0]));
        let lost = i64s(&[0, (1 << 24) + 1]).to_f32().unwrap_err();
        assert_eq!((lost.index, lost.value.as_str()), (1, "16777217"));
        assert!(i64s(&[(1 << 53) + 1]).to_f64().is_err());
        assert!(
            i64s(&[i64::MAX]).to_f32().is_err(),
            "2^63 - 1 rounds up to 2^63"
        );
        assert_eq!(
            i64s(&[i64::MIN]).to_f64(),
            Ok(vec![-9_223_372_036_854_775_808.0])
        );
    }

    #[test]
    fn doubles_round_to_f32_but_do_not_overflow() {
        assert_eq!(
            f64s(&[0.1, f64::INFINITY]).to_f32(),
            Ok(vec![0.1_f32, f32::INFINITY])
        );
        assert_eq!(f64s(&[1e39]).to_f32().unwrap_err().index, 0);
    }

    #[test]
    fn only_whole_floats_are_integers() {
        assert_eq!(f64s(&[-3.0, 2.0]).to_i64(), Ok(vec![-3, 2]));
        for bad in [0.5, f64::NAN, f64::INFINITY, 9_223_372_036_854_775_808.0] {
            assert!(f64s(&[bad]).to_i64().is_err(), "{bad}");
        }
        assert_eq!(
            Array::new(&[2], ArrayData::Bool(vec![true, false])).to_i64(),
            Ok(vec![1, 0])
        );
    }

    #[test]
    fn the_first_value_that_is_not_finite_is_found() {
        assert_eq!(
            f64s(&[0.0, f64::NAN, f64::INFINITY]).first_nonfinite(),
            Some(1)
        );
        assert_eq!(
            Array::f32(&[1], vec![f32::NEG_INFINITY]).first_nonfinite(),
            Some(0)
        );
        assert_eq!(i64s(&[1, 2]).first_nonfinite(), None);
    }

    #[test]
    fn narrow_types_are_widened() {
        let packed = |dtype: Dtype, bytes: &[u8]| {
            PackedArray::new(&[bytes.len() / dtype.bytes()], dtype, bytes.to_vec())
        };
        let read = |dtype, bytes: &[u8]| packed(dtype, bytes).unpacked().into_parts().1;
        // binary16: 0x3c00 = 1; 0xc200 = -(1 + 512/1024) 2^1 = -3; 0x0001 = 2^-24; 0x7c00 = infinity.
        let half = [0x00, 0x3c, 0x00, 0xc2, 0x01, 0x00, 0x00, 0x7c];
        let two_to_minus_24 = 1.0 / 16_777_216.0;
        let wide = ArrayData::F32(vec![1.0, -3.0, two_to_minus_24, f32::INFINITY]);
        assert_eq!(read(Dtype::F16, &half), wide);
        assert_eq!(
            read(Dtype::BF16, &[0x80, 0x3f, 0x40, 0xc0]),
            ArrayData::F32(vec![1.0, -3.0])
        );
        assert_eq!(read(Dtype::I8, &[0xff]), ArrayData::I32(vec![-1]));
        assert_eq!(read(Dtype::U16, &[0xff, 0xff]), ArrayData::I32(vec![65535]));
        assert_eq!(
            read(Dtype::U32, &[0xff; 4]),
            ArrayData::I64(vec![4_294_967_295])
        );
        assert_eq!(
            read(Dtype::U64, &[0xff; 8]),
            ArrayData::F64(vec![u64::MAX as f64])
        );
    }
}
