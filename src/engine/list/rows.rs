//! The rows of an uploaded list: persons or merchants, as the header says. A document number becomes a root pseudonym here and ends here.

use jiff::civil::Date;

use super::csv_rows;
use super::csv_rows::{Cells, CsvRows};
use crate::domain::document::{NamesNobody, Naming};
use crate::domain::ids;
use crate::domain::person::{MacKey, Root};
use crate::domain::refusal::{Code, FieldError, Refusal};
use crate::store::list::{ListKind, StoredMember};

const COLUMNS: [&str; 7] =
    ["document_type", "document_number", "person_digest", "entries", "channel", "pack_id", "merchant_id"];

/// Faults told of one file; whoever has more has one cause for them.
const MOST_FAULTS: usize = 100;
/// Different channels or packs in one list: members carry a position of one byte.
const MOST_NAMES: usize = 200;

/// Who is on the list by one row.
#[derive(Clone, PartialEq)]
pub enum Listed {
    Person(Root, StoredMember),
    Merchant(String),
}

/// One row with the line it begins at.
#[derive(Clone, PartialEq)]
pub struct ListRow {
    pub line: u64,
    pub listed: Listed,
}

/// Reads a CSV stream of list members; faults of rows are gathered, so that one answer tells them all.
pub struct ListRows {
    rows: CsvRows,
    columns: Option<Vec<&'static str>>,
    identity_key: MacKey,
    today: Date,
    /// Names that members carry by position, in order of appearance.
    pub channels: Vec<String>,
    pub packs: Vec<String>,
    pub faults: Vec<FieldError>,
}

impl ListRows {
    pub fn new(identity_key: MacKey, today: Date) -> ListRows {
        ListRows {
            rows: CsvRows::default(),
            columns: None,
            identity_key,
            today,
            channels: Vec::new(),
            packs: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Takes the next bytes of the file and gives the rows that are complete and right.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<ListRow>, Refusal> {
        let rows = self.rows.push(chunk)?;
        self.read(rows)
    }

    /// The last row, when the file does not end with a line end.
    pub fn finish(&mut self) -> Result<Vec<ListRow>, Refusal> {
        let last = self.rows.finish()?;
        let rows = self.read(last)?;
        if self.columns.is_some() { Ok(rows) } else { Err(csv_rows::empty()) }
    }

    /// Rows read so far below the header.
    pub fn rows_read(&self) -> u64 {
        self.rows.rows_read()
    }

    /// What the header says the list holds.
    pub fn kind(&self) -> Option<ListKind> {
        let merchants = self.columns.as_ref()?.contains(&"merchant_id");
        Some(if merchants { ListKind::Merchants } else { ListKind::Persons })
    }

    pub fn fault(&mut self, line: u64, column: &str, code: &'static str, zh: &str, en: &str) {
        let pointer = if column.is_empty() { format!("/{line}") } else { format!("/{line}/{column}") };
        self.faults.push(FieldError { pointer, code, zh: zh.into(), en: en.into() });
    }

    /// The refusal of a file with faults, once it is known to be one.
    pub fn refusal(&self) -> Option<Refusal> {
        if self.faults.is_empty() {
            return None;
        }
        let mut refusal = Refusal::new(Code::InvalidRequest).detail(
            "未存入任何内容；各 pointer 的第一段是文件的行号。",
            "Nothing was stored. The first part of a pointer is the line of the file.",
        );
        refusal.errors = self.faults.clone();
        Some(refusal)
    }

    fn read(&mut self, rows: Vec<Cells>) -> Result<Vec<ListRow>, Refusal> {
        let mut read = Vec::with_capacity(rows.len());
        for row in rows {
            if self.columns.is_none() {
                self.columns = Some(header(&row.cells)?);
                continue;
            }
            read.extend(self.row(&row).map(|listed| ListRow { line: row.line, listed }));
            if self.faults.len() >= MOST_FAULTS {
                return Err(self.refusal().unwrap_or_else(|| Code::InvalidRequest.into()));
            }
        }
        Ok(read)
    }

    /// `None` after a fault was noted.
    fn row(&mut self, row: &Cells) -> Option<Listed> {
        let columns = self.columns.as_ref()?;
        if row.cells.len() > columns.len() {
            let en = "The row has more cells than the header has columns.";
            self.fault(row.line, "", "too_many_cells", "该行的单元格多于列数。", en);
            return None;
        }
        let cell = |name: &str| {
            let place = columns.iter().position(|column| *column == name)?;
            row.cells.get(place).map(String::as_str).filter(|text| !text.is_empty())
        };
        if columns.contains(&"merchant_id") {
            return match cell("merchant_id").map(|id| ids::caller_id("", id)) {
                Some(Ok(merchant_id)) => Some(Listed::Merchant(merchant_id)),
                _ => {
                    let en = "Must be 1 to 64 of letters, digits, _ . and -.";
                    self.fault(row.line, "merchant_id", "invalid_id", "须为 1 至 64 个字母、数字或 _ . -。", en);
                    None
                }
            };
        }
        let (document_type, number, digest) = (cell("document_type"), cell("document_number"), cell("person_digest"));
        let (entries, channel, pack) = (cell("entries"), cell("channel"), cell("pack_id"));
        let (entries, channel, pack) =
            (entries.map(str::to_owned), channel.map(str::to_owned), pack.map(str::to_owned));
        let naming = Naming { document_type: document_type.unwrap_or_default(), number, digest };
        let root = naming.person(&self.identity_key, self.today).map(|(root, _)| root);
        let root = root.map_err(|NamesNobody { field, code, zh, en }| self.fault(row.line, field, code, &zh, &en)).ok();
        let entries = self.entries(row.line, entries.as_deref());
        let channel = self.name(row.line, "channel", channel);
        let pack = self.name(row.line, "pack_id", pack);
        Some(Listed::Person(root?, StoredMember { entries: entries?, channel: channel?, pack: pack? }))
    }

    fn entries(&mut self, line: u64, text: Option<&str>) -> Option<u8> {
        let Some(text) = text else { return Some(1) };
        let entries = text.parse().ok().filter(|entries| (1..=64).contains(entries));
        if entries.is_none() {
            self.fault(
                line,
                "entries",
                "out_of_range",
                "须为 1 至 64 的整数。",
                "Must be a whole number from 1 to 64.",
            );
        }
        entries
    }

    /// The position of a name; `Some(None)` when the cell is empty.
    fn name(&mut self, line: u64, column: &'static str, text: Option<String>) -> Option<Option<u8>> {
        let Some(text) = text else { return Some(None) };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let names = if column == "channel" { &mut self.channels } else { &mut self.packs };
        if let Some(position) = names.iter().position(|name| *name == text) {
            return Some(Some(position as u8));
        }
        if (1..=40).contains(&text.len()) && text.chars().all(allowed) && names.len() < MOST_NAMES {
            names.push(text);
            return Some(Some((names.len() - 1) as u8));
        }
        let en = "Must be 1 to 40 of letters, digits, _ . and -, of at most 200 different ones.";
        self.fault(line, column, "invalid_id", "须为 1 至 40 个字母、数字或 _ . -，至多 200 种。", en);
        None
    }
}

/// Persons need a type and a number or digest; merchants stand alone.
fn header(fields: &[String]) -> Result<Vec<&'static str>, Refusal> {
    let merchants = fields.iter().any(|field| field == "merchant_id");
    if merchants {
        return csv_rows::columns(fields, &["merchant_id"], |_| true);
    }
    let either = ["document_number", "person_digest"];
    let none = !fields.iter().any(|field| either.contains(&field.as_str()));
    csv_rows::columns(fields, &COLUMNS[..6], |column| {
        column == "document_type" || (none && column == "document_number")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    const KEY: [u8; 32] = [7; 32];

    fn read(file: &str) -> Result<(ListRows, Vec<ListRow>), Refusal> {
        let mut rows = ListRows::new(MacKey::new(&KEY), date(2020, 7, 13));
        let mut found = rows.push(file.as_bytes())?;
        found.extend(rows.finish()?);
        rows.refusal().map_or(Ok((rows, found)), Err)
    }

    #[test]
    fn persons_become_roots_with_what_the_list_says_about_them() {
        let file = "document_type,document_number,entries,channel,pack_id\ncn_id,11010519491231002x,3,wechat,b\n\ncn_id,440524188001010014,,,\n";
        let (rows, found) = read(file).expect("a good file");
        assert_eq!(
            (rows.channels.as_slice(), rows.packs.as_slice()),
            (["wechat".into()].as_slice(), ["b".into()].as_slice())
        );
        let root = |number: &str| Root::of_document(&MacKey::new(&KEY), "cn_id", number);
        let member = |entries, channel, pack| StoredMember { entries, channel, pack };
        let expected = [
            ListRow { line: 2, listed: Listed::Person(root("11010519491231002X"), member(3, Some(0), Some(0))) },
            ListRow { line: 4, listed: Listed::Person(root("440524188001010014"), member(1, None, None)) },
        ];
        assert!(found == expected && rows.kind() == Some(ListKind::Persons));
        let (rows, found) = read("merchant_id\nm-1\n").expect("a good file");
        assert!(found == [ListRow { line: 2, listed: Listed::Merchant("m-1".into()) }]);
        assert_eq!(rows.kind(), Some(ListKind::Merchants));
    }

    #[test]
    fn every_bad_row_is_told_with_its_line_and_column_and_without_its_content() {
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)]);
        let table: [Case; 8] = [
            ("", &[("/1", "empty")]),
            ("document_type,colour\n", &[("/1", "unknown_column"), ("/1", "missing_column")]),
            ("merchant_id,entries\n", &[("/1", "unknown_column")]),
            ("merchant_id\na b\n", &[("/2/merchant_id", "invalid_id")]),
            (
                "document_type,document_number\ncn_id,110105194912310021\nCN,1\n",
                &[("/2/document_number", "document_invalid"), ("/3/document_type", "unknown_value")],
            ),
            (
                "document_type,document_number,person_digest\ncn_id,11010519491231002X,d\ncn_id,,\n",
                &[("/2/document_number", "exactly_one_of"), ("/3/document_number", "exactly_one_of")],
            ),
            (
                "document_type,person_digest,entries,channel\ncn_id,d d,65,a b\n",
                &[("/2/person_digest", "bad_digest"), ("/2/entries", "out_of_range"), ("/2/channel", "invalid_id")],
            ),
            ("document_type,person_digest\ncn_id,d,1\n", &[("/2", "too_many_cells")]),
        ];
        for (file, expected) in table {
            let refusal = read(file).err().unwrap_or_else(|| panic!("{file} was taken"));
            let found: Vec<(&str, &str)> = refusal.errors.iter().map(|e| (e.pointer.as_str(), e.code)).collect();
            assert_eq!(found, expected, "{file}");
            assert!(!format!("{refusal:?}").contains("110105194912310021"));
        }
    }
}
