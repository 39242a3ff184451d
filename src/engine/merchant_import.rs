//! Merchants from a CSV file, read as it arrives: rows are cut at line ends outside quotes, so a file of any length needs one row of memory.

use crate::domain::merchant::{Draft, DraftStore, Name};
use crate::domain::refusal::{Code, Refusal};

/// Bytes of one row; longer, a quote was probably not closed.
const LONGEST_ROW: usize = 16 * 1024;

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

/// Cuts a CSV stream into rows.
#[derive(Default)]
pub struct Rows {
    rest: Vec<u8>,
    /// Bytes of `rest` that were looked at, and whether they end inside quotes.
    seen: usize,
    quoted: bool,
    line: u64,
    columns: Option<Vec<&'static str>>,
}

impl Rows {
    /// Takes the next bytes of the file and gives the rows that are complete.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<Row>, Refusal> {
        self.rest.extend_from_slice(chunk);
        let mut rows = Vec::new();
        let mut begin = 0;
        while let Some(byte) = self.rest.get(self.seen) {
            self.seen += 1;
            match byte {
                b'"' => self.quoted = !self.quoted,
                b'\n' if !self.quoted => {
                    let row = self.rest[begin..self.seen].to_vec();
                    begin = self.seen;
                    rows.extend(self.row(&row)?);
                }
                _ => {}
            }
            if self.seen - begin > LONGEST_ROW {
                return Err(self.fault(
                    "row_too_long",
                    "一行过长，引号可能未关闭。",
                    "A row is too long; a quote may not be closed.",
                ));
            }
        }
        self.rest.drain(..begin);
        self.seen -= begin;
        Ok(rows)
    }

    /// The last row, when the file does not end with a line end.
    pub fn finish(mut self) -> Result<Option<Row>, Refusal> {
        let rest = std::mem::take(&mut self.rest);
        let last = self.row(&rest)?;
        match self.columns {
            Some(_) => Ok(last),
            None => Err(self.fault("empty", "文件为空。", "The file is empty; its first line names the columns.")),
        }
    }

    fn row(&mut self, bytes: &[u8]) -> Result<Option<Row>, Refusal> {
        let line = self.line + 1;
        let fields = self.fields(bytes)?;
        self.line += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        let Some(fields) = fields else { return Ok(None) };
        let Some(columns) = &self.columns else {
            self.columns = Some(self.header(&fields)?);
            return Ok(None);
        };
        let cell = |name: &str| {
            let place = columns.iter().position(|column| *column == name)?;
            fields.get(place).filter(|text| !text.is_empty()).cloned()
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
        Ok(Some(Row { line, draft }))
    }

    /// The cells of one row without the spaces around them; `None` for an empty line.
    fn fields(&self, bytes: &[u8]) -> Result<Option<Vec<String>>, Refusal> {
        let bytes = if self.line == 0 { bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes) } else { bytes };
        let mut reader = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(bytes);
        match reader.records().next() {
            None => Ok(None),
            Some(Ok(record)) => Ok(Some(record.iter().map(str::to_owned).collect())),
            Some(Err(_)) => {
                Err(self.fault("not_utf8", "请另存为 UTF-8 编码的 CSV。", "Save the file as CSV in UTF-8."))
            }
        }
    }

    fn header(&self, fields: &[String]) -> Result<Vec<&'static str>, Refusal> {
        let mut refusal = Refusal::new(Code::InvalidRequest);
        let mut columns = Vec::new();
        for field in fields {
            match COLUMNS.iter().find(|column| *column == field) {
                Some(column) if !columns.contains(column) => columns.push(*column),
                _ => {
                    let en = format!("Each of these columns at most once: {}.", COLUMNS.join(", "));
                    refusal = refusal.field("/1", "unknown_column", "列名未知或重复。", en);
                    columns.push("");
                }
            }
        }
        for missing in COLUMNS.iter().filter(|column| !OPTIONAL.contains(column) && !columns.contains(column)) {
            refusal = refusal.field(
                "/1",
                "missing_column",
                format!("缺少列 {missing}。"),
                format!("Column {missing} is missing."),
            );
        }
        if refusal.errors.is_empty() { Ok(columns) } else { Err(refusal) }
    }

    /// A fault that ends the file; its pointer is the line.
    fn fault(&self, code: &'static str, zh: &str, en: &str) -> Refusal {
        Refusal::new(Code::InvalidRequest).field(format!("/{}", self.line + 1), code, zh, en)
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
