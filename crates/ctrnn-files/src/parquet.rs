//! Tables in Apache Parquet: typed columns with missing values, which pandas, polars, R and DuckDB read.
//!
//! ```text
//! "PAR1" | a page for each column | FileMetaData | its length u32 | "PAR1"                            little-endian
//! page     PageHeader | length of the levels u32 | levels | values that are not missing
//! levels   1 where there is a value and 0 where it is missing, as runs: length << 1 (a varint), level u8
//! values   PLAIN: i64, f64, bits from the lowest up, or length u32 | UTF-8
//! ```
//!
//! One row group and no compression: tables of results are small. The structures of the format are those of
//! `polars-parquet-format`.
//!
//! # References
//! The Apache Parquet format, version 2: `parquet.thrift`, `Encodings.md`.

use polars_parquet_format::thrift::protocol::TCompactOutputProtocol;
use polars_parquet_format::{
    ColumnChunk, ColumnMetaData, CompressionCodec, ConvertedType, DataPageHeader, Encoding,
    FieldRepetitionType, FileMetaData, LogicalType, PageHeader, PageType, RowGroup, SchemaElement,
    StringType, Type,
};

const MAGIC: &[u8] = b"PAR1";

/// Values of a column; `None` is a missing one.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Whole numbers.
    Integers(Vec<Option<i64>>),
    /// Real numbers.
    Floats(Vec<Option<f64>>),
    /// Truth values.
    Booleans(Vec<Option<bool>>),
    /// Texts.
    Texts(Vec<Option<String>>),
}

impl Column {
    /// Returns the number of rows.
    pub fn n_rows(&self) -> usize {
        match self {
            Self::Integers(values) => values.len(),
            Self::Floats(values) => values.len(),
            Self::Booleans(values) => values.len(),
            Self::Texts(values) => values.len(),
        }
    }

    fn physical_type(&self) -> Type {
        match self {
            Self::Integers(_) => Type::INT64,
            Self::Floats(_) => Type::DOUBLE,
            Self::Booleans(_) => Type::BOOLEAN,
            Self::Texts(_) => Type::BYTE_ARRAY,
        }
    }

    /// Returns levels and values as a page has them.
    fn page(&self) -> Vec<u8> {
        match self {
            Self::Integers(values) => {
                page(values, |all| all.flat_map(|x| x.to_le_bytes()).collect())
            }
            Self::Floats(values) => page(values, |all| all.flat_map(|x| x.to_le_bytes()).collect()),
            Self::Booleans(values) => page(values, bits),
            Self::Texts(values) => page(values, |all| {
                all.flat_map(|text| sized(text.as_bytes())).collect()
            }),
        }
    }
}

/// Returns a table as the bytes of a Parquet file. The same table gives the same bytes.
///
/// # Panics
/// If the columns differ in their numbers of rows.
pub fn parquet_bytes(columns: &[(String, Column)]) -> Vec<u8> {
    let n_rows = columns.first().map_or(0, |(_, column)| column.n_rows());
    let mut file = MAGIC.to_vec();
    let mut chunks = Vec::new();
    for (name, column) in columns {
        assert_eq!(column.n_rows(), n_rows, "rows of the column {name}");
        let offset = file.len();
        let page = column.page();
        put(&mut file, |to| {
            page_header(n_rows, page.len()).write_to_out_protocol(to)
        });
        file.extend(page);
        chunks.push(chunk(name, column, offset..file.len()));
    }
    let metadata = file_metadata(columns, chunks, n_rows, file.len() - MAGIC.len());
    let begin = file.len();
    put(&mut file, |to| metadata.write_to_out_protocol(to));
    let length = (file.len() - begin) as u32;
    file.extend(length.to_le_bytes());
    file.extend(MAGIC);
    file
}

/// Appends a structure in the compact protocol of Thrift.
fn put(
    file: &mut Vec<u8>,
    structure: impl FnOnce(
        &mut TCompactOutputProtocol<&mut Vec<u8>>,
    ) -> polars_parquet_format::thrift::Result<usize>,
) {
    let written = structure(&mut TCompactOutputProtocol::new(file));
    written.expect("memory can be written to");
}

fn page_header(n_rows: usize, n_bytes: usize) -> PageHeader {
    PageHeader {
        type_: PageType::DATA_PAGE,
        uncompressed_page_size: n_bytes as i32,
        compressed_page_size: n_bytes as i32,
        crc: None,
        data_page_header: Some(DataPageHeader {
            num_values: n_rows as i32,
            encoding: Encoding::PLAIN,
            definition_level_encoding: Encoding::RLE,
            repetition_level_encoding: Encoding::RLE,
            statistics: None,
        }),
        index_page_header: None,
        dictionary_page_header: None,
        data_page_header_v2: None,
    }
}

/// Returns the description of a column whose page, with its header, is at these bytes of the file.
fn chunk(name: &str, column: &Column, bytes: std::ops::Range<usize>) -> ColumnChunk {
    ColumnChunk {
        file_path: None,
        file_offset: 0,
        meta_data: Some(ColumnMetaData {
            type_: column.physical_type(),
            encodings: vec![Encoding::PLAIN, Encoding::RLE],
            path_in_schema: vec![name.to_owned()],
            codec: CompressionCodec::UNCOMPRESSED,
            num_values: column.n_rows() as i64,
            total_uncompressed_size: bytes.len() as i64,
            total_compressed_size: bytes.len() as i64,
            key_value_metadata: None,
            data_page_offset: bytes.start as i64,
            index_page_offset: None,
            dictionary_page_offset: None,
            statistics: None,
            encoding_stats: None,
            bloom_filter_offset: None,
            bloom_filter_length: None,
            size_statistics: None,
        }),
        offset_index_offset: None,
        offset_index_length: None,
        column_index_offset: None,
        column_index_length: None,
        crypto_metadata: None,
        encrypted_column_metadata: None,
    }
}

fn file_metadata(
    columns: &[(String, Column)],
    chunks: Vec<ColumnChunk>,
    n_rows: usize,
    n_bytes: usize,
) -> FileMetaData {
    let root = SchemaElement {
        num_children: Some(columns.len() as i32),
        repetition_type: None,
        ..schema_element("table", None)
    };
    let leaves = columns
        .iter()
        .map(|(name, column)| schema_element(name, Some(column.physical_type())));
    let group = RowGroup {
        columns: chunks,
        total_byte_size: n_bytes as i64,
        num_rows: n_rows as i64,
        sorting_columns: None,
        file_offset: Some(MAGIC.len() as i64),
        total_compressed_size: Some(n_bytes as i64),
        ordinal: Some(0),
    };
    FileMetaData {
        version: 2,
        schema: std::iter::once(root).chain(leaves).collect(),
        num_rows: n_rows as i64,
        row_groups: vec![group],
        key_value_metadata: None,
        created_by: Some(concat!("ctrnn version ", env!("CARGO_PKG_VERSION")).to_owned()),
        column_orders: None,
        encryption_algorithm: None,
        footer_signing_key_metadata: None,
    }
}

fn schema_element(name: &str, type_: Option<Type>) -> SchemaElement {
    let is_text = type_ == Some(Type::BYTE_ARRAY);
    SchemaElement {
        type_,
        type_length: None,
        repetition_type: Some(FieldRepetitionType::OPTIONAL),
        name: name.to_owned(),
        num_children: None,
        converted_type: is_text.then_some(ConvertedType::UTF8),
        scale: None,
        precision: None,
        field_id: None,
        logical_type: is_text.then_some(LogicalType::STRING(StringType {})),
    }
}

/// Returns the levels of a column and the values that it has, as `encode` writes them.
fn page<'a, T>(
    values: &'a [Option<T>],
    encode: impl FnOnce(std::iter::Flatten<std::slice::Iter<'a, Option<T>>>) -> Vec<u8>,
) -> Vec<u8> {
    let mut levels = Vec::new();
    for run in values.chunk_by(|a, b| a.is_some() == b.is_some()) {
        put_varint(&mut levels, (run.len() as u64) << 1);
        levels.push(u8::from(run[0].is_some()));
    }
    let mut page = sized(&levels);
    page.extend(encode(values.iter().flatten()));
    page
}

/// Returns bytes after their number.
fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

fn bits<'a>(values: impl Iterator<Item = &'a bool>) -> Vec<u8> {
    let values: Vec<bool> = values.copied().collect();
    let byte = |eight: &[bool]| (0..eight.len()).map(|i| u8::from(eight[i]) << i).sum();
    values.chunks(8).map(byte).collect()
}

/// Appends a number in groups of seven bits, the lowest first; the highest bit of a byte says that another follows.
fn put_varint(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

#[cfg(test)]
mod tests {
    use polars_parquet_format::thrift::protocol::TCompactInputProtocol;

    use super::*;

    /// Returns the next `n` bytes and goes on behind them.
    fn take<'a>(bytes: &mut &'a [u8], n: usize) -> &'a [u8] {
        let (head, tail) = bytes.split_at(n);
        *bytes = tail;
        head
    }

    fn take_length(bytes: &mut &[u8]) -> usize {
        u32::from_le_bytes(take(bytes, 4).try_into().unwrap()) as usize
    }

    /// Reads the levels of a page.
    fn levels(mut bytes: &[u8]) -> Vec<bool> {
        let mut levels = Vec::new();
        while !bytes.is_empty() {
            let (mut number, mut shift) = (0, 0);
            loop {
                let byte = take(&mut bytes, 1)[0];
                number |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            assert_eq!(number & 1, 0, "a run");
            let level = take(&mut bytes, 1)[0] == 1;
            levels.extend(std::iter::repeat_n(level, number >> 1));
        }
        levels
    }

    fn values<T>(levels: &[bool], mut next: impl FnMut(usize) -> T) -> Vec<Option<T>> {
        let mut n = 0;
        let value = |&has: &bool| {
            has.then(|| {
                n += 1;
                next(n - 1)
            })
        };
        levels.iter().map(value).collect()
    }

    /// Reads a file as the format describes it: the footer first, then each column at its offset.
    fn read(file: &[u8]) -> Vec<(String, Column)> {
        assert_eq!((&file[..4], &file[file.len() - 4..]), (MAGIC, MAGIC));
        let mut end = &file[file.len() - 8..];
        let footer = file.len() - 8 - take_length(&mut end);
        let mut protocol = TCompactInputProtocol::new(&file[footer..], 1 << 20);
        let metadata = FileMetaData::read_from_in_protocol(&mut protocol).unwrap();
        assert_eq!(
            metadata.schema[0].num_children,
            Some(metadata.schema.len() as i32 - 1)
        );
        let chunks = &metadata.row_groups[0].columns;
        let mut next_offset = 4;
        let column = |(chunk, schema): (&ColumnChunk, &SchemaElement)| {
            let about = chunk.meta_data.as_ref().unwrap();
            assert_eq!(
                (about.type_, next_offset),
                (schema.type_.unwrap(), about.data_page_offset)
            );
            next_offset += about.total_compressed_size;
            let mut bytes = &file[about.data_page_offset as usize..next_offset as usize];
            let mut protocol = TCompactInputProtocol::new(&mut bytes, 1 << 20);
            let header = PageHeader::read_from_in_protocol(&mut protocol).unwrap();
            assert_eq!(header.compressed_page_size as usize, bytes.len());
            let n_levels = take_length(&mut bytes);
            let levels = levels(take(&mut bytes, n_levels));
            assert_eq!(levels.len() as i64, metadata.num_rows);
            let mut eight = || take(&mut bytes, 8).try_into().unwrap();
            let column = match about.type_ {
                Type::INT64 => Column::Integers(values(&levels, |_| i64::from_le_bytes(eight()))),
                Type::DOUBLE => Column::Floats(values(&levels, |_| f64::from_le_bytes(eight()))),
                Type::BOOLEAN => {
                    Column::Booleans(values(&levels, |n| bytes[n / 8] >> (n % 8) & 1 == 1))
                }
                _ => Column::Texts(values(&levels, |_| {
                    assert_eq!(schema.converted_type, Some(ConvertedType::UTF8));
                    let length = take_length(&mut bytes);
                    String::from_utf8(take(&mut bytes, length).to_vec()).unwrap()
                })),
            };
            (schema.name.clone(), column)
        };
        chunks
            .iter()
            .zip(&metadata.schema[1..])
            .map(column)
            .collect()
    }

    #[test]
    fn a_table_is_read_back() {
        // 700 rows: runs longer than a varint of one byte, and more than one byte of booleans.
        let every =
            |k: usize| move |i: usize| (i % k != 1 && !(100..400).contains(&i)).then_some(i);
        let rows = 0..700_usize;
        let table = [
            (
                "whole".to_owned(),
                Column::Integers(
                    rows.clone()
                        .map(every(3))
                        .map(|i| Some(i64::MIN + i? as i64))
                        .collect(),
                ),
            ),
            (
                "real".to_owned(),
                Column::Floats(
                    rows.clone()
                        .map(every(5))
                        .map(|i| Some(0.1 * i? as f64))
                        .collect(),
                ),
            ),
            (
                "truth".to_owned(),
                Column::Booleans(
                    rows.clone()
                        .map(every(7))
                        .map(|i| Some(i? % 4 == 2))
                        .collect(),
                ),
            ),
            (
                "text, \"ä\"".to_owned(),
                Column::Texts(
                    rows.map(every(2))
                        .map(|i| Some("ü".repeat(i? % 5)))
                        .collect(),
                ),
            ),
        ];
        assert_eq!(read(&parquet_bytes(&table)), table);
    }

    #[test]
    fn no_row_and_no_value_are_tables_too() {
        let empty = [
            ("a".to_owned(), Column::Floats(vec![])),
            ("b".to_owned(), Column::Texts(vec![])),
        ];
        assert_eq!(read(&parquet_bytes(&empty)), empty);
        let missing = [("a".to_owned(), Column::Booleans(vec![None; 3]))];
        assert_eq!(read(&parquet_bytes(&missing)), missing);
    }
}
