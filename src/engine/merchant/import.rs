//! Merchants from a CSV file, read as it arrives.

use crate::domain::merchant::{Draft, DraftStore, Name};
use crate::domain::refusal::Refusal;
use crate::engine::list::csv_rows;
use crate::engine::list::csv_rows::{Cells, CsvRows};

/// Columns by name, in any order; the first line of the file names them.
const COLUMNS: [&str; 9] = [
    "merchant_id",
    "code",
    "kind",
    "name_zh",
    "name_en",
    "registered_district",
    "operating_district",
    "industry_code",
    "stores",
];
const OPTIONAL: [&str; 3] = ["merchant_id", "name_en", "stores"];

/// One row with the line it begins at, as text editors count lines.
#[derive(Clone, Debug)]
pub struct Row {
    pub line: u64,
    pub draft: Draft,
}

/// Reads a CSV stream of merchants.
#[derive(Default)]
pub struct Rows {
    rows: CsvRows,
    columns: Option<Vec<&'static str>>,
}

impl Rows {
    /// Takes the next bytes of the file and gives the rows that are complete.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<Row>, Refusal> {
        let rows = self.rows.push(chunk)?;
        rows.into_iter().filter_map(|cells| self.row(cells).transpose()).collect()
    }

    /// The last rows, when the file does not end with a line end.
    pub fn finish(&mut self) -> Result<Vec<Row>, Refusal> {
        let last = self.rows.finish()?;
        let last = last.into_iter().filter_map(|cells| self.row(cells).transpose()).collect::<Result<_, _>>()?;
        if self.columns.is_some() { Ok(last) } else { Err(csv_rows::empty()) }
    }

    /// Rows read so far below the header.
    pub fn rows_read(&self) -> u64 {
        self.rows.rows_read()
    }

    fn row(&mut self, row: Cells) -> Result<Option<Row>, Refusal> {
        let Some(columns) = &self.columns else {
            self.columns = Some(csv_rows::columns(&row.cells, &COLUMNS, |column| !OPTIONAL.contains(&column))?);
            return Ok(None);
        };
        let cell = |name: &str| {
            let place = columns.iter().position(|column| *column == name)?;
            row.cells.get(place).filter(|text| !text.is_empty()).cloned()
        };
        let draft = Draft {
            merchant_id: cell("merchant_id"),
            code: cell("code"),
            kind: cell("kind"),
            name: match (cell("name_zh"), cell("name_en")) {
                (Some(zh), Some(en)) => Some(Name::Both { zh, en }),
                (zh, _) => zh.map(Name::One),
            },
            registered_district: cell("registered_district"),
            operating_district: cell("operating_district"),
            industry_code: cell("industry_code"),
            stores: cell("stores").map(|text| stores(&text)).unwrap_or_default(),
        };
        Ok(Some(Row { line: row.line, draft }))
    }
}

/// `id|name|district`, several of them apart by semicolons.
fn stores(text: &str) -> Vec<DraftStore> {
    let store = |text: &str| {
        let mut parts = text.split('|').map(|part| Some(part.trim().to_owned()).filter(|part| !part.is_empty()));
        let (store_id, name, district) = (parts.next(), parts.next(), parts.next());
        DraftStore { store_id: store_id.flatten(), name: name.flatten().map(Name::One), district: district.flatten() }
    };
    text.split(';').filter(|text| !text.trim().is_empty()).map(store).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::list::csv_rows::LONGEST_ROW;

    const HEADER: &str = "code,kind,name_zh,name_en,registered_district,operating_district,industry_code,stores\r\n";

    fn read(file: &[u8], chunk: usize) -> Result<Vec<Row>, Refusal> {
        let mut rows = Rows::default();
        let mut found = Vec::new();
        for chunk in file.chunks(chunk) {
            found.extend(rows.push(chunk)?);
        }
        found.extend(rows.finish()?);
        Ok(found)
    }

    #[test]
    fn rows_are_the_same_wherever_the_stream_is_cut() {
        let file = format!(
            "\u{feff}{HEADER}9144030071526726XG,enterprise,\"蓉城\"\"小\"\"馆,\r\n总店\",,510104,510104,6210,s1|春熙路店|510104; s2|b\r\n\r\nX,y,z,e,1,2,3,"
        );
        for chunk in 1..file.len() {
            let rows = read(file.as_bytes(), chunk).expect("a readable file");
            assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2, 5], "chunks of {chunk}");
            assert_eq!(rows[0].draft.name, Some(Name::One("蓉城\"小\"馆,\r\n总店".into())));
            assert_eq!(rows[0].draft.stores.len(), 2);
            assert_eq!(rows[0].draft.stores[1].district, None);
            assert_eq!(rows[1].draft.name, Some(Name::Both { zh: "z".into(), en: "e".into() }));
            assert!(rows[1].draft.merchant_id.is_none() && rows[1].draft.stores.is_empty());
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_says_which_line_and_why() {
        let long = format!("{HEADER}\"{}", "x".repeat(LONGEST_ROW + 1));
        let gbk = [HEADER.as_bytes(), b"9144030071526726XG,enterprise,\xc8\xd8\xb3\xc7,,1,1,1,\n"].concat();
        type Row<'a> = (&'a [u8], &'a [(&'a str, &'a str)]);
        let table: [Row; 5] = [
            (b"", &[("/1", "empty")]),
            (b"code,kind,colour\n", &[("/1", "unknown_column"), ("/1", "missing_column")]),
            (b"code,code\n", &[("/1", "unknown_column"), ("/1", "missing_column")]),
            (long.as_bytes(), &[("/2", "row_too_long")]),
            (&gbk, &[("/2", "not_utf8")]),
        ];
        for (file, expected) in table {
            let refusal = read(file, 64).expect_err("refused");
            let mut found: Vec<(&str, &str)> = refusal.errors.iter().map(|e| (e.pointer.as_str(), e.code)).collect();
            found.dedup();
            assert_eq!(found, expected);
        }
    }
}
