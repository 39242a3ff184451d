//! A pass proves that eligibility was judged once, so that a tap costs one MAC: `qp1.<payload>.<mac>`, both base64url.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use super::person::{MacKey, Pseudonym};
use super::time::Ms;

/// What a pass says; it names no person but by the campaign's pseudonym.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    pub campaign: u16,
    pub round: u8,
    pub shard: u8,
    pub channel: u8,
    /// Position of the chosen pack, 255 when nothing was to choose.
    pub choice: u8,
    /// How many entries the person has in the draw: 1, or what the round's entries list gives.
    pub entries: u8,
    pub pseudonym: Pseudonym,
    /// The round's last close, on the campaign clock.
    pub expires_at: Ms,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassFault {
    Malformed,
    /// Tampered with, or made with a key that is no longer valid.
    Mac,
}

const PREFIX: &str = "qp1.";
const PAYLOAD: usize = 2 + 1 + 1 + 1 + 1 + 1 + 32 + 8;
const MAC: usize = 16;

impl Pass {
    pub fn encode(&self, key: &MacKey) -> String {
        let mut payload = [0; PAYLOAD];
        payload[..2].copy_from_slice(&self.campaign.to_be_bytes());
        payload[2..7].copy_from_slice(&[self.round, self.shard, self.channel, self.choice, self.entries]);
        payload[7..39].copy_from_slice(&self.pseudonym.0);
        payload[39..].copy_from_slice(&self.expires_at.to_be_bytes());
        let tag = key.mac(&[b"pass", &payload]);
        format!("{PREFIX}{}.{}", URL_SAFE_NO_PAD.encode(payload), URL_SAFE_NO_PAD.encode(&tag[..MAC]))
    }

    /// Checks the MAC with each of the valid keys (two while rotating); expiry and round are the caller's to judge.
    pub fn decode(text: &str, keys: &[MacKey]) -> Result<Pass, PassFault> {
        let (payload, tag) =
            text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('.')).ok_or(PassFault::Malformed)?;
        let payload: [u8; PAYLOAD] = exactly(payload).ok_or(PassFault::Malformed)?;
        let tag: [u8; MAC] = exactly(tag).ok_or(PassFault::Malformed)?;
        if !keys.iter().any(|key| bool::from(key.mac(&[b"pass", &payload])[..MAC].ct_eq(&tag))) {
            return Err(PassFault::Mac);
        }
        let mut pseudonym = [0; 32];
        pseudonym.copy_from_slice(&payload[7..39]);
        let mut expires_at = [0; 8];
        expires_at.copy_from_slice(&payload[39..]);
        Ok(Pass {
            campaign: u16::from_be_bytes([payload[0], payload[1]]),
            round: payload[2],
            shard: payload[3],
            channel: payload[4],
            choice: payload[5],
            entries: payload[6],
            pseudonym: Pseudonym(pseudonym),
            expires_at: Ms::from_be_bytes(expires_at),
        })
    }
}

/// The bytes of a text of just that length.
fn exactly<const N: usize>(text: &str) -> Option<[u8; N]> {
    // The decoder wants room for whole groups of three bytes.
    let mut room = [0; 64];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut room).ok()?;
    room[..length].try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_survives_the_trip_and_no_bit_of_it_can_be_changed() {
        let pass = Pass {
            campaign: 7,
            round: 1,
            shard: 3,
            channel: 0,
            choice: 255,
            entries: 1,
            pseudonym: Pseudonym([9; 32]),
            expires_at: 1 << 40,
        };
        let [one, two] = [MacKey::new(&[1; 32]), MacKey::new(&[2; 32])];
        let text = pass.encode(&one);
        assert_eq!(Pass::decode(&text, &[two.clone(), one.clone()]), Ok(pass));
        assert_eq!(Pass::decode(&text, &[two]), Err(PassFault::Mac));
        for i in PREFIX.len()..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[i] = if changed[i] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(changed == text || Pass::decode(&changed, std::slice::from_ref(&one)).is_err(), "position {i}");
        }
    }
}
