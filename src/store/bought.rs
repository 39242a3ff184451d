//! Stored form of what was bought with an order: msgpack {1, lines, returns}, or where a line has a serial number {2, lines, returns,
//! serial numbers of the lines, empty for none}. A line is {sku, quantity, net, what each voucher took off, ...}, a return {place of the
//! refund in the order, line, quantity, line, quantity, ...}. It is written with the order, and again with each refund that names goods;
//! both times by the script that writes the order.

use rmpv::Value;

use super::keys;
use super::order::StoredOrder;
use super::script::{Args, raw};
use super::{Store, StoreError};
use crate::domain::bought::{Bought, BoughtLine, Part, Returned};
use crate::domain::money::Fen;
use crate::domain::order::OrderKey;

/// What was bought as it was read: its bytes are compared by the script that changes it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredBought {
    pub bought: Bought,
    pub bytes: Vec<u8>,
}

pub fn encode(bought: &Bought) -> Vec<u8> {
    let line = |list: Args, line: &BoughtLine| {
        list.list(|args| {
            let args = args.bytes(&line.sku).int(line.quantity).int(line.net.0);
            line.off.iter().fold(args, |args, off| args.int(off.0))
        })
    };
    let returned = |list: Args, one: &Returned| {
        let place = |number: usize| i64::try_from(number).expect("a body of bounded length has few lines");
        list.list(|args| {
            let args = args.int(place(one.refund));
            one.parts.iter().fold(args, |args, part| args.int(place(part.line)).int(part.quantity))
        })
    };
    let serial = |line: &BoughtLine| line.serial.clone().unwrap_or_default();
    let serials = bought.lines.iter().any(|line| line.serial.is_some());
    let record = Args::default().list(|args| {
        let args = args.int(1 + i64::from(serials)).list(|list| bought.lines.iter().fold(list, line));
        let args = args.list(|list| bought.returns.iter().fold(list, returned));
        if !serials {
            return args;
        }
        args.list(|list| bought.lines.iter().fold(list, |list, line| list.bytes(serial(line))))
    });
    record.bytes
}

fn decode(mut bytes: &[u8]) -> Option<Bought> {
    let value = rmpv::decode::read_value(&mut bytes).ok()?;
    let [_, lines, returns, serials @ ..] = value.as_array()?.as_slice() else { return None };
    let mut lines: Vec<BoughtLine> = lines.as_array()?.iter().map(line).collect::<Option<_>>()?;
    if let [serials] = serials {
        for (line, serial) in lines.iter_mut().zip(serials.as_array()?) {
            let text = String::from_utf8_lossy(raw(serial)).into_owned();
            line.serial = Some(text).filter(|text| !text.is_empty());
        }
    }
    let returns: Vec<Returned> = returns.as_array()?.iter().map(returned).collect::<Option<_>>()?;
    let known = returns.iter().flat_map(|one| &one.parts).all(|part| part.line < lines.len());
    known.then_some(Bought { lines, returns })
}

fn line(value: &Value) -> Option<BoughtLine> {
    let [sku, quantity, net, off @ ..] = value.as_array()?.as_slice() else { return None };
    Some(BoughtLine {
        sku: String::from_utf8_lossy(raw(sku)).into_owned(),
        serial: None,
        quantity: quantity.as_u64()?.try_into().ok()?,
        net: Fen(net.as_i64()?),
        off: off.iter().map(|fen| fen.as_i64().map(Fen)).collect::<Option<_>>()?,
    })
}

fn returned(value: &Value) -> Option<Returned> {
    let numbers: Vec<usize> =
        value.as_array()?.iter().map(|one| one.as_u64()?.try_into().ok()).collect::<Option<_>>()?;
    let (refund, parts) = numbers.split_first()?;
    let part = |pair: &[usize]| Some(Part { line: pair[0], quantity: pair[1].try_into().ok()? });
    Some(Returned { refund: *refund, parts: parts.chunks_exact(2).map(part).collect::<Option<_>>()? })
}

impl StoredBought {
    pub fn decode(bytes: &[u8]) -> Result<StoredBought, StoreError> {
        let bought = decode(bytes).ok_or_else(|| StoreError::Broken("goods of an order".into()))?;
        Ok(StoredBought { bought, bytes: bytes.to_vec() })
    }
}

impl Store {
    /// An order and what was bought with it, at one instant.
    pub async fn order_with_goods(
        &self,
        shard: u8,
        key: &OrderKey,
    ) -> Result<(Option<StoredOrder>, Option<StoredBought>), StoreError> {
        let names = [keys::order_bucket(shard, key), keys::bought_bucket(shard, key)];
        let (_, values) = self.read_together(shard, &names.map(|name| (name, key.to_vec()))).await?;
        let [order, bought] = values.as_slice() else { return Err(StoreError::malformed("reading")) };
        let order = (!order.is_empty()).then(|| StoredOrder::decode(order)).transpose()?;
        Ok((order, (!bought.is_empty()).then(|| StoredBought::decode(bought)).transpose()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_bought_reads_as_it_was_written_and_takes_few_bytes() {
        let line = |sku: &str, off: &[i64]| BoughtLine {
            sku: sku.into(),
            serial: None,
            quantity: 3,
            net: Fen(6_000),
            off: off.iter().map(|fen| Fen(*fen)).collect(),
        };
        let part = |line, quantity| Part { line, quantity };
        let mut bought =
            Bought { lines: vec![line("6901234567892", &[]), line("米", &[0, 2_000])], returns: Vec::new() };
        let lines = "93ad3639303132333435363738393203cd177095a3e7b1b303cd177000cd07d0";
        assert_eq!(hex::encode(encode(&bought)), format!("930192{lines}90"));
        bought.returns.push(Returned { refund: 0, parts: vec![part(1, 2), part(0, 3)] });
        bought.returns.push(Returned { refund: 2, parts: Vec::new() });
        assert_eq!(decode(&encode(&bought)), Some(bought.clone()));
        bought.lines[1].serial = Some("SN-7".into());
        let with_serial = encode(&bought);
        assert_eq!(hex::encode(&with_serial[..2]), "9402", "a record of its own kind");
        assert_eq!(decode(&with_serial), Some(bought.clone()));
        bought.returns[0].parts[0].line = 2;
        assert_eq!(decode(&encode(&bought)), None, "no such line");
        assert_eq!(decode(&[]), None);
    }
}
