//! A person's record and the persons of a ledger line in their stored form, written from the formats that ARCHITECTURE names.

use rmpv::Value;

/// {pseudonym's tail, entries, packs, uses, holds}, as `lua/record.lua` lays them out.
pub fn person(record: &[u8]) -> Value {
    let (tail, mut rest) = record[2..].split_at(23);
    let mut take = |n: usize| {
        let (taken, behind) = rest.split_at(n);
        rest = behind;
        taken.to_vec()
    };
    let entry = |take: &mut dyn FnMut(usize) -> Vec<u8>| {
        let [round, channel, choice, flags] = take(4)[..] else { unreachable!() };
        let at = number(&take(4));
        let digests = take(8 * usize::from(flags / 4));
        Value::Array(vec![round.into(), channel.into(), choice.into(), (flags % 4).into(), at, Value::Binary(digests)])
    };
    let entries = (0..record[0]).map(|_| entry(&mut take)).collect();
    let pack = |take: &mut dyn FnMut(usize) -> Vec<u8>| {
        let [round, channel, pack, units] = take(4)[..] else { unreachable!() };
        let (no, at) = (number(&take(4)), number(&take(4)));
        Value::Array(vec![round.into(), channel.into(), pack.into(), no, at, Value::Binary(take(usize::from(units)))])
    };
    let packs = (0..record[1]).map(|_| pack(&mut take)).collect();
    let mut parts = vec![Value::Binary(tail.to_vec()), Value::Array(entries), Value::Array(packs)];
    match rest {
        [] => parts.extend([Value::Array(vec![]), Value::Array(vec![])]),
        mut more => match rmpv::decode::read_value(&mut more).unwrap() {
            Value::Array(more) => parts.extend(more),
            other => panic!("{other} is not an array"),
        },
    }
    Value::Array(parts)
}

/// The record again.
pub fn person_bytes(person: &Value) -> Vec<u8> {
    let parts = person.as_array().unwrap();
    let list = |index: usize| parts[index].as_array().unwrap();
    let mut record = vec![list(1).len() as u8, list(2).len() as u8];
    record.extend(parts[0].as_slice().unwrap());
    let byte = |value: &Value| value.as_u64().unwrap() as u8;
    let number = |value: &Value| (value.as_u64().unwrap() as u32).to_be_bytes();
    for entry in list(1).iter().map(|entry| entry.as_array().unwrap()) {
        let digests = entry[5].as_slice().unwrap();
        let flags = byte(&entry[3]) + 4 * (digests.len() / 8) as u8;
        record.extend([byte(&entry[0]), byte(&entry[1]), byte(&entry[2]), flags]);
        record.extend(number(&entry[4]));
        record.extend(digests);
    }
    for pack in list(2).iter().map(|pack| pack.as_array().unwrap()) {
        let units = pack[5].as_slice().unwrap();
        record.extend([byte(&pack[0]), byte(&pack[1]), byte(&pack[2]), units.len() as u8]);
        record.extend([number(&pack[3]), number(&pack[4])].concat());
        record.extend(units);
    }
    if !list(3).is_empty() || !list(4).is_empty() {
        rmpv::encode::write_value(&mut record, &Value::Array(parts[3..].to_vec())).unwrap();
    }
    record
}

fn number(bytes: &[u8]) -> Value {
    u32::from_be_bytes(bytes.try_into().unwrap()).into()
}

/// The kind of a stored line as a line of one person has it, and the persons it is about.
pub fn line(line: &Value) -> (String, Vec<Vec<u8>>) {
    let parts = line.as_array().unwrap();
    let kind = parts[0].as_str().unwrap();
    let bytes = |index: usize| match &parts[index] {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Binary(bytes) => bytes.clone(),
        other => panic!("{other} is not a string"),
    };
    // Where the persons stand, and how many bytes each takes; those of `q` have their second behind them.
    let (kind, place, width) = match kind {
        "p" => ("P", 6, 9),
        "q" => ("P", 6, 13),
        "r" => ("R", 5, 9),
        kind => (kind, 2, 9),
    };
    (kind.to_owned(), bytes(place).chunks(width).map(|person| person[..9].to_vec()).collect())
}
