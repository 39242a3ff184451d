//! The three small files: campaign, commitment and proof; what they say, and whether they fit each other.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::files::{json, json_if_there};
use super::{Failure, Faults, beacon};

/// Said before anybody could know the result.
#[derive(Debug, Clone, Deserialize)]
pub struct Commitment {
    pub round_id: String,
    pub count: u64,
    pub root: String,
    pub rules_hash: String,
    pub secret_commitment: Option<String>,
    pub entropy: Vec<String>,
    pub drand_round: Option<u64>,
    /// The version of the rules; the first was published without its name.
    pub draw: Option<String>,
    /// The file with the amendments that were in force when the list closed; absent when there were none.
    pub amended_rules_hash: Option<String>,
}

/// Said after the round has ended.
#[derive(Debug, Clone, Deserialize)]
struct Reveal {
    #[serde(default)]
    secret: String,
    #[serde(default)]
    entropy_values: Vec<String>,
    cutoffs: Vec<Cutoff>,
    /// Where chance gives the packs: the last winner of each by second score.
    tiers: Option<Vec<Cutoff>>,
    #[serde(default)]
    waves: Vec<Wave>,
    /// Packs as they were fixed at the draw, for a `money` supply or with `carry_over: next_round`.
    supply: Option<Vec<Fixed>>,
    drand_signature: Option<String>,
    #[serde(default)]
    amendments: Vec<Amendment>,
}

/// What was changed in the published file, openly, before the list closed.
#[derive(Debug, Clone, Deserialize)]
struct Amendment {
    changes: Vec<Change>,
}

#[derive(Debug, Clone, Deserialize)]
struct Change {
    pointer: String,
    #[serde(default)]
    current: Value,
    target: Value,
}

/// A window after the round's own, in which packs that nobody had claimed went to the next scores.
#[derive(Debug, Clone, Deserialize)]
pub struct Wave {
    pub cutoffs: Vec<Cutoff>,
    pub tiers: Option<Vec<Cutoff>>,
    /// What was left to share; the first version does not say.
    pub supply: Option<Vec<Fixed>>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Fixed {
    pub channel: Option<String>,
    pub pack_id: String,
    pub count: u64,
}

/// The last winner of a group, or of a pack within it.
#[derive(Debug, Clone, Deserialize)]
pub struct Cutoff {
    pub channel: Option<String>,
    pub pack_id: Option<String>,
    pub score: Option<String>,
    pub pseudonym: Option<String>,
    pub winners: u64,
}

pub struct Proof {
    /// The file that the draw goes by: as published, with the amendments that were in force.
    pub campaign: Value,
    published: Value,
    /// The campaign's entry for this round.
    pub round: Value,
    pub commitment: Commitment,
    /// The draw, then each wave.
    pub windows: Vec<Wave>,
    pub supply: Option<Vec<Fixed>>,
    reveal: Reveal,
    /// The proof as it is, to compare what it repeats with the commitment.
    raw_proof: Value,
    raw_commitment: Value,
    /// Files and fields that are not there, and so were compared with nothing.
    pub not_checked: Vec<&'static str>,
}

/// What every commitment says, and what every proof adds.
const COMMITTED: [&str; 7] = ["round_id", "count", "root", "rules_hash", "secret_commitment", "entropy", "closed_at"];
const REVEALED: [&str; 3] = ["secret", "entropy_values", "cutoffs"];

/// Names every field that is lacking: such a file says nothing about the draw. The proof repeats whatever the commitment has said.
fn require_fields(proof: &Value, commitment: Option<&Value>) -> Result<(), Failure> {
    let said = commitment.and_then(Value::as_object).into_iter().flatten().map(|(name, _)| name.as_str());
    let mut of_proof: Vec<&str> = COMMITTED.into_iter().chain(REVEALED).chain(said).collect();
    let mut met = std::collections::HashSet::new();
    of_proof.retain(|name| met.insert(*name) && proof.get(name).is_none());
    let mut of_commitment = COMMITTED.to_vec();
    of_commitment.retain(|name| commitment.is_some_and(|commitment| commitment.get(name).is_none()));
    let lacking = [("proof.json", of_proof), ("commitment.json", of_commitment)];
    let faults: Vec<String> = lacking
        .into_iter()
        .filter(|(_, fields)| !fields.is_empty())
        .map(|(file, fields)| format!("{file} lacks {}", fields.join(", ")))
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(Failure::CouldNotLook(faults)) }
}

impl Proof {
    pub fn read(folder: &Path) -> Result<Proof, Failure> {
        let raw_proof = json(folder, "proof.json")?;
        // The proof repeats the commitment and carries the campaign; the files that were saved earlier count, where they are there.
        let said_before = json_if_there(folder, "commitment.json")?;
        require_fields(&raw_proof, said_before.as_ref())?;
        let mut not_checked = Vec::new();
        if said_before.is_none() {
            not_checked.push("commitment.json");
        }
        let raw_commitment = said_before.unwrap_or_else(|| raw_proof.clone());
        let commitment: Commitment = serde_json::from_value(raw_commitment.clone())
            .map_err(|error| Failure::unreadable(format!("commitment.json is not a commitment: {error}")))?;
        let saved = json_if_there(folder, "campaign.json")?;
        let repeated = raw_proof.get("campaign").cloned();
        let published = saved.clone().or(repeated.clone()).ok_or_else(|| {
            Failure::unreadable("campaign.json is not there, and proof.json does not repeat it".to_owned())
        })?;
        if saved.is_none() {
            not_checked.push("campaign.json");
        }
        match (&saved, &repeated) {
            (Some(_), Some(repeated)) if hash_of(repeated) != commitment.rules_hash => {
                let fault = "proof.json repeats a campaign file that the rules_hash of the commitment is not of";
                return Err(Failure::difference(fault.to_owned()));
            }
            (Some(_), None) => not_checked.push("campaign of proof.json"),
            _ => {}
        }
        let published = file_of(published, &commitment.rules_hash);
        let reveal: Reveal = serde_json::from_value(raw_proof.clone())
            .map_err(|error| Failure::unreadable(format!("proof.json is not a proof: {error}")))?;
        let campaign = amended(&published, &reveal.amendments)?;
        let rounds = campaign["rounds"].as_array().map(Vec::as_slice).unwrap_or_default();
        let round = rounds
            .iter()
            .find(|round| round["round_id"].as_str() == Some(&commitment.round_id))
            .cloned()
            .ok_or_else(|| Failure::difference(format!("campaign.json has no round {}", commitment.round_id)))?;
        if round["assignment"] == "chance" && reveal.tiers.is_none() {
            not_checked.push("tiers of proof.json");
        }
        let drawn = Wave { cutoffs: reveal.cutoffs.clone(), tiers: reveal.tiers.clone(), supply: None };
        let windows = std::iter::once(drawn).chain(reveal.waves.iter().cloned()).collect();
        let supply = reveal.supply.clone();
        Ok(Proof {
            campaign,
            published,
            round,
            commitment,
            windows,
            supply,
            reveal,
            raw_proof,
            raw_commitment,
            not_checked,
        })
    }

    /// Whether the campaign file alone says how many win.
    pub fn supply_from_file(&self) -> bool {
        self.round.get("money").is_none() && self.campaign["carry_over"] != "next_round"
    }

    /// How chance shares the packs, by the version that was committed to.
    pub fn sharing(&self) -> Result<Sharing, String> {
        match self.commitment.draw.as_deref() {
            None | Some("quanyu.draw.v1") => Ok(Sharing::InTurn),
            Some("quanyu.draw.v2") => Ok(Sharing::InProportion),
            Some(other) => Err(format!("the draw follows {other}, which this program does not know")),
        }
    }

    /// Checks the small files against each other and answers the seed they lead to.
    pub fn check(&self, faults: &mut Faults) -> [u8; 32] {
        self.check_repetition(faults);
        self.check_rules(faults);
        self.check_entropy(faults);
        let secret = from_hex(&self.reveal.secret, "secret", faults);
        let commitment = hex::encode(Sha256::digest(&secret));
        match &self.commitment.secret_commitment {
            Some(said) if *said == commitment => {}
            None if secret.is_empty() => {}
            said => faults.add(format!(
                "SHA-256 of the secret is {commitment}, the commitment says {}",
                said.as_deref().unwrap_or("nothing about a secret")
            )),
        }
        let mut seed = Sha256::new()
            .chain_update(b"quanyu.draw.v1\0")
            .chain_update(lp(self.campaign["campaign_id"].as_str().unwrap_or_default().as_bytes()))
            .chain_update(lp(self.commitment.round_id.as_bytes()))
            .chain_update(from_hex(&self.commitment.rules_hash, "rules_hash", faults))
            .chain_update(from_hex(&self.commitment.root, "root", faults))
            .chain_update(self.commitment.count.to_be_bytes());
        for value in &self.reveal.entropy_values {
            seed.update(lp(&from_hex(value, "entropy value", faults)));
        }
        seed.chain_update(secret).finalize().into()
    }

    /// The proof repeats the commitment; a word that changed in between would be a second commitment.
    fn check_repetition(&self, faults: &mut Faults) {
        let said = self.raw_commitment.as_object().into_iter().flatten();
        for (name, value) in said {
            if self.raw_proof.get(name).is_some_and(|repeated| repeated != value) {
                faults.add(format!("proof.json says another {name} than commitment.json"));
            }
        }
        if self.commitment.draw.is_none() && self.raw_proof.get("draw").is_some() {
            faults.add("proof.json names a version of the draw that commitment.json does not".to_owned());
        }
    }

    fn check_rules(&self, faults: &mut Faults) {
        let rules_hash = hash_of(&self.published);
        if rules_hash != self.commitment.rules_hash {
            faults.add(format!(
                "the rules_hash of campaign.json is {rules_hash}, the commitment says {}",
                self.commitment.rules_hash
            ));
        }
        let amended = (!self.reveal.amendments.is_empty()).then(|| hash_of(&self.campaign));
        if amended != self.commitment.amended_rules_hash {
            faults.add(format!(
                "with its amendments the campaign has the hash {}, the commitment says {}",
                amended.as_deref().unwrap_or("of the published file"),
                self.commitment.amended_rules_hash.as_deref().unwrap_or("that there were none")
            ));
        }
    }

    fn check_entropy(&self, faults: &mut Faults) {
        let draw = &self.round["draw"];
        let named: Vec<&str> = draw["entropy"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if self.commitment.entropy != named {
            faults.add(format!(
                "the commitment names the entropy {}, the campaign file {}",
                self.commitment.entropy.join(", "),
                named.join(", ")
            ));
        }
        if self.commitment.drand_round.is_some()
            && draw["drand_round"].as_u64().is_some_and(|n| Some(n) != self.commitment.drand_round)
        {
            faults.add("the commitment names another drand round than the campaign file".to_owned());
        }
        let public = self.commitment.entropy.iter().filter(|source| *source != "operator").count();
        if public != self.reveal.entropy_values.len() {
            faults.add(format!(
                "{public} public entropy values were named, the proof has {}",
                self.reveal.entropy_values.len()
            ));
        }
        let mut public = self.commitment.entropy.iter().filter(|source| *source != "operator");
        if let Some(beacon) = public.position(|source| source == "drand") {
            let value = self.reveal.entropy_values.get(beacon).map_or("", String::as_str);
            let signature = self.reveal.drand_signature.as_deref().unwrap_or_default();
            if let Err(fault) = beacon::check(self.commitment.drand_round, signature, value) {
                faults.add(fault);
            }
        }
        if self.commitment.entropy.iter().any(|source| source == "operator") && self.reveal.secret.is_empty() {
            faults.add("the operator's secret was named and is missing from the proof".to_owned());
        }
    }
}

/// How chance shares the packs of a round among its winners.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Each pack in file order until it is given away.
    InTurn,
    /// Each in proportion to its supply.
    InProportion,
}

/// u32 big-endian length, then the bytes: so that no two different inputs read the same.
pub fn lp(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), bytes].concat()
}

fn hash_of(file: &Value) -> String {
    hex::encode(Sha256::digest(serde_json_canonicalizer::to_vec(file).unwrap_or_default()))
}

/// The campaign file in what was saved: the text itself, or the public answer about the campaign, where it stands under `campaign` and,
/// once it was amended, as it was under `published`. The text that the commitment names counts.
fn file_of(saved: Value, rules_hash: &str) -> Value {
    let held = ["campaign", "published"].map(|name| saved.get(name));
    let of_hash = held.into_iter().flatten().find(|file| hash_of(file) == rules_hash);
    let file = of_hash.or(held[1].or(held[0]).filter(|_| saved.get("rounds").is_none())).cloned();
    file.unwrap_or(saved)
}

/// Makes the changes one after another; each names what it finds, so none can be left out or put in unseen.
fn amended(published: &Value, amendments: &[Amendment]) -> Result<Value, Failure> {
    let mut file = published.clone();
    for Change { pointer, current, target } in amendments.iter().flat_map(|amendment| &amendment.changes) {
        if file.pointer(pointer).unwrap_or(&Value::Null) != current {
            let fault = format!("an amendment says that {pointer} was {current}, and the file does not");
            return Err(Failure::difference(fault));
        }
        let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
        if let Some(place) = file.pointer_mut(pointer) {
            *place = target.clone();
            continue;
        }
        match file.pointer_mut(parent) {
            Some(Value::Object(fields)) => {
                fields.insert(name.replace("~1", "/").replace("~0", "~"), target.clone());
            }
            _ => {
                let fault = format!("an amendment names {pointer}, which the file has no place for");
                return Err(Failure::difference(fault));
            }
        }
    }
    Ok(file)
}

fn from_hex(text: &str, what: &str, faults: &mut Faults) -> Vec<u8> {
    hex::decode(text).unwrap_or_else(|_| {
        faults.add(format!("the {what} is not hex"));
        Vec::new()
    })
}
