//! The counters of a shard's header, by what they count.

use std::collections::BTreeMap;

/// Where a counter belongs; for reservations `pack` is the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell {
    pub c: u16,
    pub round: u8,
    pub channel: u8,
    pub pack: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    Reservations,
    Packs,
    /// By expiry, in hours since the epoch.
    Outstanding(i64),
    Held,
    /// Net of what came back.
    Redeemed,
    Expired,
    Recovered,
    /// Recovered after the voucher's end, for good.
    Late,
    /// Left behind and handed on to later rounds.
    Pool,
    Redemptions,
    /// Never decremented.
    GrossRedeemed,
    GrossReturned,
}

pub type Counter = (Cell, What);

/// Counters or differences of counters; what is not there is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<Counter, i64>);

impl Counters {
    /// Reads header fields; what is not a counter is passed over.
    pub fn of_header<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Counters {
        let mut counters = Counters::default();
        for (name, value) in fields {
            if let Some((cell, what)) = parse(name) {
                counters.add(cell, what, value.parse().unwrap_or(i64::MIN / 4));
            }
        }
        counters
    }

    pub fn add(&mut self, cell: Cell, what: What, n: i64) {
        let value = self.0.entry((cell, what)).or_default();
        *value += n;
        if *value == 0 {
            self.0.remove(&(cell, what));
        }
    }

    pub fn get(&self, cell: Cell, what: What) -> i64 {
        self.0.get(&(cell, what)).copied().unwrap_or_default()
    }

    pub fn iter(&self) -> impl Iterator<Item = (Counter, i64)> + '_ {
        self.0.iter().map(|(counter, n)| (*counter, *n))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn plus(&mut self, other: &Counters) {
        other.iter().for_each(|((cell, what), n)| self.add(cell, what, n));
    }

    pub fn minus(&mut self, other: &Counters) {
        other.iter().for_each(|((cell, what), n)| self.add(cell, what, -n));
    }

    /// How many counters of `part` come closer to zero when it is taken off these differences, and how many do not.
    pub fn improved_by(&self, part: &Counters) -> (usize, usize) {
        let closer = |((cell, what), n): &(Counter, i64)| {
            let whole = self.get(*cell, *what);
            (whole - n).abs() < whole.abs()
        };
        let improved = part.iter().filter(closer).count();
        (improved, part.0.len() - improved)
    }

    /// How many counters of `part` are just these differences.
    pub fn equal_in(&self, part: &Counters) -> usize {
        part.iter().filter(|((cell, what), n)| self.get(*cell, *what) == *n).count()
    }

    /// Whether `part` could be one of several causes of these differences: without it each of its counters is less wrong.
    pub fn contains(&self, part: &Counters) -> bool {
        self.improved_by(part).1 == 0
    }

    /// Sum of a cell's outstanding money over all hours.
    pub fn outstanding(&self, cell: Cell) -> i64 {
        self.0.range((cell, What::Outstanding(i64::MIN))..=(cell, What::Outstanding(i64::MAX))).map(|(_, n)| n).sum()
    }
}

/// `n:<c>:<round>:<channel>:<pack>:<what>[:<hour>]`.
fn parse(name: &str) -> Option<Counter> {
    let mut parts = name.strip_prefix("n:")?.split(':');
    let c = parts.next()?.parse().ok()?;
    let mut index = || parts.next()?.parse::<u8>().ok();
    let cell = Cell { c, round: index()?, channel: index()?, pack: index()? };
    let what = match (parts.next()?, parts.next()) {
        ("rsv", None) => What::Reservations,
        ("pk", None) => What::Packs,
        ("out", Some(hour)) => What::Outstanding(hour.parse().ok()?),
        ("held", None) => What::Held,
        ("red", None) => What::Redeemed,
        ("exp", None) => What::Expired,
        ("rec", None) => What::Recovered,
        ("late", None) => What::Late,
        ("pool", None) => What::Pool,
        ("rn", None) => What::Redemptions,
        ("rg", None) => What::GrossRedeemed,
        ("rf", None) => What::GrossReturned,
        _ => return None,
    };
    Some((cell, what))
}

/// The header field of a counter.
pub fn name((cell, what): Counter) -> String {
    let what = match what {
        What::Reservations => "rsv",
        What::Packs => "pk",
        What::Outstanding(hour) => return format!("{}:out:{hour}", prefix(cell)),
        What::Held => "held",
        What::Redeemed => "red",
        What::Expired => "exp",
        What::Recovered => "rec",
        What::Late => "late",
        What::Pool => "pool",
        What::Redemptions => "rn",
        What::GrossRedeemed => "rg",
        What::GrossReturned => "rf",
    };
    format!("{}:{what}", prefix(cell))
}

fn prefix(cell: Cell) -> String {
    format!("n:{}:{}:{}:{}", cell.c, cell.round, cell.channel, cell.pack)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_has_one_name() {
        for field in ["n:7:0:1:2:pk", "n:7:0:1:255:rsv", "n:7:0:1:2:out:443160", "n:7:3:0:0:rf", "n:7:3:0:0:pool"] {
            assert_eq!(parse(field).map(name).as_deref(), Some(field));
        }
        for other in ["seq", "v:7", "w:7:0:1:2", "n:7:0:1:2:huh", "n:7:0:1:2:pk:3"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_part_is_contained_when_each_of_its_counters_is_less_wrong_without_it() {
        let cell = Cell { c: 1, round: 0, channel: 0, pack: 0 };
        let of = |packs, held| {
            let mut counters = Counters::default();
            counters.add(cell, What::Packs, packs);
            counters.add(cell, What::Held, held);
            counters
        };
        assert!(of(2, -5).contains(&of(1, -5)));
        assert!(of(2, 7999).contains(&of(1, 8000)), "another fault may have taken one fen");
        assert!(!of(2, -5).contains(&of(1, 5)));
        assert!(!of(0, 5).contains(&of(1, 5)));
        assert_eq!(of(0, 5).improved_by(&of(1, 5)), (1, 1));
    }
}
