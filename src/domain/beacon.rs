//! The public beacon drand, network quicknet: one value every three seconds, signed by many parties together, so that nobody can know
//! one before its time and anybody can check it afterwards. No network is asked here: whoever draws enters the signature.

use blst::BLST_ERROR;
use blst::min_sig::{PublicKey, Signature};
use sha2::{Digest, Sha256};

use super::time::{MINUTE, Ms, SECOND};

/// Chain 52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971, scheme bls-unchained-g1-rfc9380.
const PUBLIC_KEY: &str = "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c\
                          8c4b450b6a0a6c3ac6a5776a2d1064510d1fec758c921cc22b0e17e63aaf4bcb\
                          5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a";
const DOMAIN: &[u8] = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_";

/// Round 1.
const GENESIS: Ms = 1_692_803_367_000;
const PERIOD: Ms = 3 * SECOND;

/// A beacon that goes into a draw is due at least this long after it was named and the list was closed.
pub const LEAD: Ms = MINUTE;

/// When a round's value comes out.
pub fn due_at(round: u64) -> Ms {
    let rounds = i64::try_from(round.saturating_sub(1)).unwrap_or(i64::MAX);
    GENESIS.saturating_add(rounds.saturating_mul(PERIOD))
}

/// The first round whose value comes out at or after an instant.
pub fn round_from(instant: Ms) -> u64 {
    let passed = (instant - GENESIS).max(0) as u64;
    passed.div_ceil(PERIOD as u64) + 1
}

/// The value of a round, when this is its signature.
pub fn value(round: u64, signature: &[u8]) -> Option<[u8; 32]> {
    let key = hex::decode(PUBLIC_KEY).ok().and_then(|bytes| PublicKey::key_validate(&bytes).ok())?;
    let signed = Signature::sig_validate(signature, true).ok()?;
    let message = Sha256::digest(round.to_be_bytes());
    let verdict = signed.verify(true, &message, DOMAIN, &[], &key, true);
    (verdict == BLST_ERROR::BLST_SUCCESS).then(|| Sha256::digest(signature).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: u64 = 657_413;
    const SIGNATURE: &str =
        "b713718a38ae728dfd477991af2822e08d2f305e47718cef9f7848ce4050e7be41076862b98fad56e91a6b85b89cd97b";

    #[test]
    fn a_published_beacon_is_verified_and_any_other_signature_or_round_is_not() {
        let signature = hex::decode(SIGNATURE).unwrap();
        let value = super::value(ROUND, &signature).expect("the signature is the network's");
        assert_eq!(hex::encode(value), "fc1873a13f3545aeade8401532ef5519920652eee6b0d2b19ca12643b87b3587");
        assert_eq!(super::value(ROUND + 1, &signature), None);
        let mut forged = signature.clone();
        forged[47] ^= 1;
        assert_eq!(super::value(ROUND, &forged), None);
        assert_eq!(super::value(ROUND, &signature[..47]), None);
        assert_eq!(super::value(ROUND, &[]), None);
    }

    #[test]
    fn a_round_is_due_every_three_seconds() {
        assert_eq!(due_at(1), GENESIS);
        assert_eq!(due_at(ROUND), 1_694_775_603_000);
        assert_eq!(round_from(due_at(ROUND)), ROUND);
        assert_eq!(round_from(due_at(ROUND) + 1), ROUND + 1);
        assert_eq!(round_from(due_at(ROUND) - 1), ROUND);
        assert_eq!(round_from(0), 1);
    }
}
