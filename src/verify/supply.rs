//! How many packs are set apart for whom: from the campaign file, or for a `money` supply from the proof.

use serde_json::Value;

use super::proof::Proof;

pub struct Part {
    /// None when all channels compete for the packs.
    pub channel: Option<String>,
    pub pack_id: String,
    pub count: u64,
}

pub fn channels(proof: &Proof) -> Vec<String> {
    strings(&proof.campaign["channels"])
}

pub fn parts(proof: &Proof, channels: &[String]) -> Result<Vec<Part>, String> {
    let parts = match (&proof.supply, proof.supply_from_file()) {
        (_, true) => of_file(proof, channels),
        (Some(fixed), false) => {
            let part = |fixed: &super::proof::Fixed| Part {
                channel: fixed.channel.clone(),
                pack_id: fixed.pack_id.clone(),
                count: fixed.count,
            };
            fixed.iter().map(part).collect()
        }
        // Without the fixed counts the published winners are all there is.
        (None, false) => {
            let part = |cutoff: &super::proof::Cutoff| Part {
                channel: cutoff.channel.clone(),
                pack_id: cutoff.pack_id.clone().unwrap_or_default(),
                count: cutoff.winners,
            };
            proof.windows.first().map(|drawn| drawn.cutoffs.iter().map(part).collect()).unwrap_or_default()
        }
    };
    if parts.is_empty() { Err("the round sets no packs apart".to_owned()) } else { Ok(parts) }
}

/// `packs` of the round, in the order of the campaign's `packs`.
fn of_file(proof: &Proof, channels: &[String]) -> Vec<Part> {
    let mut parts = Vec::new();
    let known = proof.campaign["packs"].as_array().into_iter().flatten().filter_map(|pack| pack["pack_id"].as_str());
    for pack_id in known {
        let supply = &proof.round["packs"][pack_id];
        let Some(count) = supply.as_u64().or(supply["count"].as_u64()) else { continue };
        let part =
            |channel: Option<&String>, count| Part { channel: channel.cloned(), pack_id: pack_id.to_owned(), count };
        match &supply["by_channel"] {
            Value::String(word) if word == "equal" => {
                let share = count / channels.len().max(1) as u64;
                let rest = count % channels.len().max(1) as u64;
                parts.extend((0..).zip(channels).map(|(n, channel)| part(Some(channel), share + u64::from(n < rest))));
            }
            Value::Object(counts) => {
                let own = |channel: &String| counts.get(channel).and_then(Value::as_u64).unwrap_or_default();
                parts.extend(channels.iter().map(|channel| part(Some(channel), own(channel))));
            }
            _ => parts.push(part(None, count)),
        }
    }
    parts
}

/// How many packs of the round one person may keep, where the person's entries may win more.
pub fn cap(proof: &Proof, channels: &[String]) -> Option<u64> {
    let round = &proof.round;
    let most = round["max_packs_per_person"].as_u64().unwrap_or(1);
    let offered = [&round["packs"], &round["money"]["weights"]];
    let packs = offered.iter().filter_map(|packs| packs.as_object()).map(|packs| packs.len()).sum::<usize>();
    let each = if round["assignment"] == "each" { packs } else { 1 };
    let reservation =
        if round["reservation"].is_object() { &round["reservation"] } else { &proof.campaign["reservation"] };
    let by_channel = strings(&reservation["one_per"]).iter().any(|one| one == "channel");
    let entries = each * if by_channel { channels.len() } else { 1 };
    (most < entries as u64).then_some(most)
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
