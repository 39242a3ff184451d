//! The passes of the whole crowd in little memory.
//!
//! Five million passes as `String`s would be more than a gigabyte of text and headers. Their two parts are base64,
//! so the bytes behind them are kept, packed one after the other in stripes; what does not decode is kept as text.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const STRIPE: usize = 1024;
const PREFIX: &str = "qp1.";

pub struct Passes {
    stripes: Vec<Stripe>,
}

#[derive(Default)]
struct Stripe {
    bytes: Vec<u8>,
    /// Where each person's record begins, plus one; zero means no pass.
    starts: Vec<u32>,
}

impl Passes {
    pub fn new(people: u32) -> Self {
        let count = (people as usize).div_ceil(STRIPE);
        let stripe = || Stripe { bytes: Vec::new(), starts: vec![0; STRIPE] };
        Self { stripes: (0..count).map(|_| stripe()).collect() }
    }

    pub fn put(&mut self, person: u32, pass: &str) {
        let record = pack(pass);
        let stripe = &mut self.stripes[person as usize / STRIPE];
        if stripe.bytes.is_empty() {
            // All passes of a round are of one length: no room is taken that is not needed.
            stripe.bytes.reserve_exact(record.len() * STRIPE);
        }
        stripe.starts[person as usize % STRIPE] = stripe.bytes.len() as u32 + 1;
        stripe.bytes.extend_from_slice(&record);
    }

    /// Writes the person's pass to the end of `out`; false when there is none.
    pub fn append(&self, person: u32, out: &mut Vec<u8>) -> bool {
        let stripe = &self.stripes[person as usize / STRIPE];
        let start = stripe.starts[person as usize % STRIPE];
        if start == 0 {
            return false;
        }
        unpack(&stripe.bytes[start as usize - 1..], out);
        true
    }
}

/// Record: u16 length of the first part, u16 length of the second, both parts; 0xFFFF first means plain text.
fn pack(pass: &str) -> Vec<u8> {
    let parts = pass.strip_prefix(PREFIX).and_then(|rest| rest.split_once('.'));
    let decoded = parts.and_then(|(payload, mac)| Some((raw(payload)?, raw(mac)?)));
    let (first, second, lead) = match &decoded {
        Some((payload, mac)) => (payload.as_slice(), mac.as_slice(), payload.len() as u16),
        None => (pass.as_bytes(), &[][..], u16::MAX),
    };
    let tail = if lead == u16::MAX { first.len() } else { second.len() };
    let mut record = Vec::with_capacity(4 + first.len() + second.len());
    record.extend_from_slice(&lead.to_be_bytes());
    record.extend_from_slice(&(tail as u16).to_be_bytes());
    record.extend_from_slice(first);
    record.extend_from_slice(second);
    record
}

/// The bytes of a base64 part, if encoding them again gives exactly this part.
fn raw(part: &str) -> Option<Vec<u8>> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    (URL_SAFE_NO_PAD.encode(&bytes) == part).then_some(bytes)
}

fn unpack(record: &[u8], out: &mut Vec<u8>) {
    let lead = u16::from_be_bytes([record[0], record[1]]);
    let tail = usize::from(u16::from_be_bytes([record[2], record[3]]));
    let body = &record[4..];
    if lead == u16::MAX {
        out.extend_from_slice(&body[..tail]);
        return;
    }
    let (payload, rest) = body.split_at(usize::from(lead));
    out.extend_from_slice(PREFIX.as_bytes());
    encode(payload, out);
    out.push(b'.');
    encode(&rest[..tail], out);
}

/// Appends base64 without padding.
pub fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut out[start..]).expect("the slice has room for all padding");
    out.truncate(start + written);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_comes_back_as_it_was_whatever_its_form() {
        let real = format!("qp1.{}.{}", URL_SAFE_NO_PAD.encode([7_u8; 61]), URL_SAFE_NO_PAD.encode([9_u8; 16]));
        let mut passes = Passes::new(3_000);
        for (person, pass) in [(0, real.as_str()), (2_999, "qp1.not base64.x"), (5, "another")] {
            passes.put(person, pass);
            let mut out = b"> ".to_vec();
            assert!(passes.append(person, &mut out));
            assert_eq!(out, format!("> {pass}").into_bytes());
        }
        assert!(!passes.append(6, &mut Vec::new()));
    }
}
