//! A pass proves that eligibility was judged once, so that a tap costs one MAC: `qp1.<payload>.<mac>`, both base64url.

use std::hash::Hash;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use super::person::{MacKey, Pseudonym};
use super::time::{DAY, Ms};

/// What a pass says; it names no person but by the campaign's pseudonym. One that a caller sent is read by [`Unbound::bind`] only.
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
    /// For another round or another campaign.
    Elsewhere,
    /// The round has been over for a day.
    Expired,
}

/// A pass that a caller sent, with a MAC that fits. What it says counts on its own round and nowhere else, so nothing of it can be read
/// before it is bound to the round that the request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbound(Pass);

/// What a pass is shown for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To take part at this instant. A tap soon after the last close is told the result; a pass a day old is over.
    Tap(Ms),
    /// To read the bearer's own result, for as long as the round is known.
    Result,
}

impl Unbound {
    /// The pass, if it was given out for this round of this campaign.
    pub fn bind(&self, campaign: u16, round: u8, purpose: Purpose) -> Result<Pass, PassFault> {
        let Unbound(pass) = self;
        if (pass.campaign, pass.round) != (campaign, round) {
            return Err(PassFault::Elsewhere);
        }
        match purpose {
            Purpose::Tap(now) if now >= pass.expires_at.saturating_add(DAY) => Err(PassFault::Expired),
            Purpose::Tap(_) | Purpose::Result => Ok(*pass),
        }
    }

    /// One bearer in one round, to be counted by.
    pub fn bearer(&self) -> impl Hash {
        let Unbound(pass) = self;
        (pass.campaign, pass.round, pass.channel, pass.pseudonym)
    }
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

    /// Checks the MAC with each of the valid keys (two while rotating).
    pub fn decode(text: &str, keys: &[MacKey]) -> Result<Unbound, PassFault> {
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
        Ok(Unbound(Pass {
            campaign: u16::from_be_bytes([payload[0], payload[1]]),
            round: payload[2],
            shard: payload[3],
            channel: payload[4],
            choice: payload[5],
            entries: payload[6],
            pseudonym: Pseudonym(pseudonym),
            expires_at: Ms::from_be_bytes(expires_at),
        }))
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

    const PASS: Pass = Pass {
        campaign: 7,
        round: 1,
        shard: 3,
        channel: 0,
        choice: 255,
        entries: 1,
        pseudonym: Pseudonym([9; 32]),
        expires_at: 1 << 40,
    };

    #[test]
    fn a_pass_is_read_on_its_own_round_and_taps_until_a_day_after_its_close() {
        let check = |campaign: u16, round: u8, purpose: Purpose, expected: Result<Pass, PassFault>| {
            assert_eq!(Unbound(PASS).bind(campaign, round, purpose), expected, "{campaign} {round} {purpose:?}");
        };
        let over = PASS.expires_at + DAY;
        check(7, 1, Purpose::Tap(over - 1), Ok(PASS));
        check(7, 1, Purpose::Tap(over), Err(PassFault::Expired));
        check(7, 1, Purpose::Result, Ok(PASS));
        for purpose in [Purpose::Tap(0), Purpose::Tap(over), Purpose::Result] {
            check(7, 0, purpose, Err(PassFault::Elsewhere));
            check(8, 1, purpose, Err(PassFault::Elsewhere));
        }
    }

    #[test]
    fn a_pass_survives_the_trip_and_no_bit_of_it_can_be_changed() {
        let [one, two] = [MacKey::new(&[1; 32]), MacKey::new(&[2; 32])];
        let text = PASS.encode(&one);
        assert_eq!(Pass::decode(&text, &[two.clone(), one.clone()]), Ok(Unbound(PASS)));
        assert_eq!(Pass::decode(&text, &[two]), Err(PassFault::Mac));
        for i in PREFIX.len()..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[i] = if changed[i] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(changed == text || Pass::decode(&changed, std::slice::from_ref(&one)).is_err(), "position {i}");
        }
    }
}
