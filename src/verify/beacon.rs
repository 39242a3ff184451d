//! Whether a value is the one that the beacon drand (network quicknet) gave for a round: its threshold signature under the network's key.

use blst::min_sig::{PublicKey, Signature};
use sha2::{Digest, Sha256};

/// As published by the network: period 3 s, scheme bls-unchained-g1-rfc9380.
const QUICKNET: &str = "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451\
                        0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a";

pub fn check(round: Option<u64>, signature: &str, value: &str) -> Result<(), String> {
    let round = round.ok_or("the commitment names no drand round")?;
    let signature = hex::decode(signature).map_err(|_| "the drand signature is not hex")?;
    if signature.is_empty() {
        return Err("the proof has no drand_signature".to_owned());
    }
    if hex::encode(Sha256::digest(&signature)) != value {
        return Err("the drand value is not the SHA-256 of its signature".to_owned());
    }
    let key = PublicKey::from_bytes(&hex::decode(QUICKNET).unwrap_or_default());
    let message = Sha256::digest(round.to_be_bytes());
    let tag = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_";
    let signed =
        key.and_then(|key| Ok(Signature::from_bytes(&signature)?.verify(true, &message, tag, &[], &key, true)));
    match signed {
        Ok(blst::BLST_ERROR::BLST_SUCCESS) => Ok(()),
        _ => Err(format!("the signature is not that of quicknet for round {round}")),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn only_the_beacons_own_signature_and_value_pass() {
        let signature =
            "b713718a38ae728dfd477991af2822e08d2f305e47718cef9f7848ce4050e7be41076862b98fad56e91a6b85b89cd97b";
        let value = "fc1873a13f3545aeade8401532ef5519920652eee6b0d2b19ca12643b87b3587";
        assert_eq!(check(Some(657_413), signature, value), Ok(()));
        assert!(check(Some(657_414), signature, value).is_err());
        assert!(check(Some(657_413), &signature.replace('7', "8"), value).is_err());
        assert!(check(Some(657_413), signature, &value.replace('f', "e")).is_err());
        assert!(check(Some(657_413), "", value).is_err());
        assert!(check(None, signature, value).is_err());
    }
}
