//! Rows of a CSV file as it arrives, so a file of any length needs one row of memory.

use crate::domain::refusal::{Code, Refusal};

/// Bytes of one row; longer, a quote was probably not closed.
pub const LONGEST_ROW: usize = 16 * 1024;

/// The cells of one row without the spaces around them, with the line the row begins at, as text editors count lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Cells {
    pub line: u64,
    pub cells: Vec<String>,
}

/// Reads a stream into rows; empty lines are none.
pub struct CsvRows {
    reader: csv_core::Reader,
    /// The first bytes, until they show whether the file begins with a byte order mark.
    head: Option<Vec<u8>>,
    begun: bool,
    /// Line ends so far, and those before the row that is being read.
    line: u64,
    row_line: u64,
    row_bytes: usize,
    cells: Vec<Vec<u8>>,
    cell: Cell,
    rows: u64,
    /// Why reading ended, while the rows before it are given first.
    fault: Option<Refusal>,
}

impl Default for CsvRows {
    fn default() -> CsvRows {
        CsvRows {
            // Its own default has no table of states and takes every byte for a row.
            reader: csv_core::Reader::new(),
            head: None,
            begun: false,
            line: 0,
            row_line: 0,
            row_bytes: 0,
            cells: Vec::new(),
            cell: Cell::default(),
            rows: 0,
            fault: None,
        }
    }
}

/// A cell while it arrives: what it says, and how its bytes were quoted.
#[derive(Default)]
struct Cell {
    text: Vec<u8>,
    raw: Vec<u8>,
}

impl Cell {
    /// Whether quotes that open the cell also close it, with nothing but spaces behind them. A quote inside a cell that none opens is
    /// an ordinary character.
    fn fits(&self) -> bool {
        let raw = self.raw.trim_ascii_end();
        let quotes = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'"').count();
        !raw.starts_with(b"\"") || (raw.ends_with(b"\"") && quotes(raw) == 2 + 2 * quotes(&self.text))
    }
}

/// Characters of a column's name that are repeated to its author.
const LONGEST_SHOWN: usize = 40;

const BOM: &[u8] = b"\xef\xbb\xbf";

impl CsvRows {
    /// Takes the next bytes of the file and gives the rows that are complete. A fault behind them is the answer of the next call.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<Cells>, Refusal> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        if self.begun {
            return self.read(chunk);
        }
        let head = self.head.get_or_insert_default();
        head.extend_from_slice(chunk);
        if head.len() < BOM.len() { Ok(Vec::new()) } else { self.begin() }
    }

    /// The last rows, when the file does not end with a line end.
    pub fn finish(&mut self) -> Result<Vec<Cells>, Refusal> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let mut rows = if self.begun { Vec::new() } else { self.begin()? };
        if self.row_bytes > 0 {
            // A line end completes the row unless quotes are still open.
            rows.extend(self.read(b"\n")?);
            if self.row_bytes > 0 {
                return Err(self.misfit());
            }
        }
        Ok(rows)
    }

    /// Rows read so far below the header, whatever becomes of them.
    pub fn rows_read(&self) -> u64 {
        self.rows.saturating_sub(1)
    }

    fn begin(&mut self) -> Result<Vec<Cells>, Refusal> {
        self.begun = true;
        let head = self.head.take().unwrap_or_default();
        self.read(head.strip_prefix(BOM).unwrap_or(&head))
    }

    fn read(&mut self, input: &[u8]) -> Result<Vec<Cells>, Refusal> {
        let mut rows = Vec::new();
        match self.read_into(&mut rows, input) {
            Err(fault) if rows.is_empty() => return Err(fault),
            read => self.fault = read.err(),
        }
        Ok(rows)
    }

    fn read_into(&mut self, rows: &mut Vec<Cells>, mut input: &[u8]) -> Result<(), Refusal> {
        let mut output = [0; 1024];
        while let Some(first) = input.first() {
            if self.row_bytes == 0 {
                if matches!(first, b'\r' | b'\n') {
                    self.line += u64::from(*first == b'\n');
                    input = &input[1..];
                    continue;
                }
                self.row_line = self.line + 1;
            }
            let (result, read, written) = self.reader.read_field(input, &mut output);
            let (raw, rest) = input.split_at(read);
            input = rest;
            self.line += raw.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.row_bytes += read;
            if self.row_bytes > LONGEST_ROW {
                let en = "A row is too long; a quote may not be closed.";
                return Err(fault(self.row_line, "row_too_long", "一行过长，引号可能未关闭。", en));
            }
            self.cell.raw.extend_from_slice(raw);
            self.cell.text.extend_from_slice(&output[..written]);
            if let csv_core::ReadFieldResult::Field { record_end } = result {
                self.end_cell()?;
                if record_end {
                    rows.push(self.end_row()?);
                }
            }
        }
        Ok(())
    }

    fn end_cell(&mut self) -> Result<(), Refusal> {
        let mut cell = std::mem::take(&mut self.cell);
        // The byte that ended the cell is the last one that was read.
        cell.raw.pop();
        if !cell.fits() {
            return Err(self.misfit());
        }
        self.cells.push(cell.text);
        Ok(())
    }

    fn end_row(&mut self) -> Result<Cells, Refusal> {
        self.row_bytes = 0;
        self.rows += 1;
        let line = self.row_line;
        let text = |cell: Vec<u8>| String::from_utf8(cell).map(|text| text.trim().to_owned());
        let cells: Result<Vec<String>, _> = std::mem::take(&mut self.cells).into_iter().map(text).collect();
        let (zh, en) = ("请另存为 UTF-8 编码的 CSV。", "Save the file as CSV in UTF-8.");
        cells.map(|cells| Cells { line, cells }).map_err(|_| fault(line, "not_utf8", zh, en))
    }

    fn misfit(&self) -> Refusal {
        let en = "A quote that opens a cell does not close it; write a quote inside quotes twice.";
        fault(self.row_line, "quotes_do_not_fit", "单元格的引号未成对；引号内的引号须写两次。", en)
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
                let named: String = field.chars().take(LONGEST_SHOWN).collect();
                let zh = format!("列名“{named}”未知或重复；可用列名各一次：{}。", known.join("、"));
                let en = format!("\"{named}\": each of these columns at most once: {}.", known.join(", "));
                refusal = refusal.field("/1", "unknown_column", zh, en);
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

    fn read(file: &[u8], chunk: usize) -> Result<Vec<Cells>, Refusal> {
        let mut rows = CsvRows::default();
        let mut found = Vec::new();
        for chunk in file.chunks(chunk) {
            found.extend(rows.push(chunk)?);
        }
        found.extend(rows.finish()?);
        Ok(found)
    }

    #[test]
    fn a_quote_that_opens_no_cell_is_a_character_and_no_row_is_lost() {
        let table: [(&str, &[(u64, &str)]); 6] = [
            ("d0\nd\"1\nd2\nd\"3\nd4\n", &[(1, "d0"), (2, "d\"1"), (3, "d2"), (4, "d\"3"), (5, "d4")]),
            ("24\"店\r\nb\r\n", &[(1, "24\"店"), (2, "b")]),
            ("\n\na\n\r\n\nb", &[(3, "a"), (6, "b")]),
            ("\u{feff}\"a\"\r\n\"\"\"b\"\"\" \r\n", &[(1, "a"), (2, "\"b\"")]),
            ("\"a\nb\"\nc", &[(1, "a\nb"), (3, "c")]),
            ("a", &[(1, "a")]),
        ];
        for (file, expected) in table {
            for chunk in 1..=file.len() {
                let rows = read(file.as_bytes(), chunk).expect("a readable file");
                let found: Vec<(u64, &str)> = rows.iter().map(|row| (row.line, row.cells[0].as_str())).collect();
                assert_eq!(found, expected, "{file:?} in chunks of {chunk}");
            }
        }
    }

    #[test]
    fn quotes_that_do_not_fit_are_refused_with_the_line_of_their_row() {
        for (file, line) in [("a\n\"b\nc\n", "/2"), ("a\n\n\"b\"c\nd\n", "/3"), ("\"", "/1"), ("a,\"b\"c\"d\"\n", "/1")]
        {
            for chunk in 1..=file.len() {
                let refusal = read(file.as_bytes(), chunk).expect_err("refused");
                let [error] = refusal.errors.as_slice() else { panic!("{refusal:?}") };
                assert_eq!((error.pointer.as_str(), error.code), (line, "quotes_do_not_fit"), "{file:?} in {chunk}");
            }
        }
    }
}
