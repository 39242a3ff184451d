//! Rows of a CSV file as it arrives: cut at line ends outside quotes, so a file of any length needs one row of memory.

use crate::domain::refusal::{Code, Refusal};

/// Bytes of one row; longer, a quote was probably not closed.
pub const LONGEST_ROW: usize = 16 * 1024;

/// The cells of one row without the spaces around them, with the line the row begins at, as text editors count lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells {
    pub line: u64,
    pub cells: Vec<String>,
}

/// Cuts a stream into rows; empty lines are none.
#[derive(Default)]
pub struct CsvRows {
    rest: Vec<u8>,
    /// Bytes of `rest` that were looked at, and whether they end inside quotes.
    seen: usize,
    quoted: bool,
    line: u64,
}

impl CsvRows {
    /// Takes the next bytes of the file and gives the rows that are complete.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<Cells>, Refusal> {
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
                return Err(fault(
                    self.line + 1,
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
    pub fn finish(&mut self) -> Result<Option<Cells>, Refusal> {
        let rest = std::mem::take(&mut self.rest);
        self.seen = 0;
        self.row(&rest)
    }

    fn row(&mut self, bytes: &[u8]) -> Result<Option<Cells>, Refusal> {
        let line = self.line + 1;
        let bytes = if self.line == 0 { bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes) } else { bytes };
        let cells = cells(bytes)
            .ok_or_else(|| fault(line, "not_utf8", "请另存为 UTF-8 编码的 CSV。", "Save the file as CSV in UTF-8."))?;
        self.line += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        Ok((!cells.is_empty()).then_some(Cells { line, cells }))
    }
}

/// `None` when the bytes are no text; nothing for an empty line.
fn cells(bytes: &[u8]) -> Option<Vec<String>> {
    // Most files quote nothing, and a reader for each row would cost more than the row.
    if !bytes.contains(&b'"') {
        let text = std::str::from_utf8(bytes).ok()?.trim_end_matches(['\r', '\n']);
        let cells = text.split(',').map(|cell| cell.trim().to_owned());
        return Some(if text.is_empty() { Vec::new() } else { cells.collect() });
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(bytes);
    match reader.records().next() {
        None => Some(Vec::new()),
        Some(record) => Some(record.ok()?.iter().map(str::to_owned).collect()),
    }
}

/// Where each known column stands in a header line; what is unknown, twice there or missing is refused.
pub fn columns(
    fields: &[String],
    known: &[&'static str],
    needed: impl Fn(&str) -> bool,
) -> Result<Vec<&'static str>, Refusal> {
    let mut refusal = Refusal::new(Code::InvalidRequest);
    let mut columns = Vec::new();
    for field in fields {
        match known.iter().find(|column| *column == field) {
            Some(column) if !columns.contains(column) => columns.push(*column),
            _ => {
                let en = format!("Each of these columns at most once: {}.", known.join(", "));
                refusal = refusal.field("/1", "unknown_column", "列名未知或重复。", en);
                columns.push("");
            }
        }
    }
    for missing in known.iter().filter(|column| needed(column) && !columns.contains(column)) {
        let (zh, en) = (format!("缺少列 {missing}。"), format!("Column {missing} is missing."));
        refusal = refusal.field("/1", "missing_column", zh, en);
    }
    if refusal.errors.is_empty() { Ok(columns) } else { Err(refusal) }
}

/// A file without any line.
pub fn empty() -> Refusal {
    fault(1, "empty", "文件为空。", "The file is empty; its first line names the columns.")
}

/// A fault that ends the file; its pointer is the line.
fn fault(line: u64, code: &'static str, zh: &str, en: &str) -> Refusal {
    Refusal::new(Code::InvalidRequest).field(format!("/{line}"), code, zh, en)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_the_same_wherever_the_stream_is_cut() {
        let file = "\u{feff}a,b\r\n 1 ,\"x \"\"y\"\",\nz\"\n\n2,\r\n3,4";
        for chunk in 1..file.len() {
            let mut rows = CsvRows::default();
            let mut found = Vec::new();
            for chunk in file.as_bytes().chunks(chunk) {
                found.extend(rows.push(chunk).expect("a readable file"));
            }
            found.extend(rows.finish().expect("a readable file"));
            let cells = |line, cells: [&str; 2]| Cells { line, cells: cells.map(str::to_owned).to_vec() };
            let expected =
                [cells(1, ["a", "b"]), cells(2, ["1", "x \"y\",\nz"]), cells(5, ["2", ""]), cells(6, ["3", "4"])];
            assert_eq!(found, expected, "chunks of {chunk}");
        }
    }
}
