//! Folders in which something is said twice, contradicts the file beside it, or is not there.

use super::*;

fn edited(name: &str, edit: impl FnOnce(&mut Value)) -> Folder {
    let folder = single();
    folder.change(name, |text| {
        let mut value = serde_json::from_str(&text).unwrap();
        edit(&mut value);
        value.to_string()
    });
    folder
}

#[test]
fn what_a_file_says_twice_and_another_campaign_in_the_proof_are_differences() {
    for (name, twice) in [
        ("proof.json", "{\"count\":59,"),
        ("commitment.json", "{\"root\":\"ab\","),
        ("campaign.json", "{\"budget\":1,\"budget\":2,"),
    ] {
        let folder = single();
        folder.change(name, |text| text.replacen('{', twice, 1));
        assert!(folder.faults()[0].starts_with(&format!("{name} says something twice: ")), "{:?}", folder.faults());
    }
    for campaign in [json!("x"), json!({"campaign_id": "demo"})] {
        let folder = edited("proof.json", |proof| proof["campaign"] = campaign);
        assert!(folder.faults()[0].starts_with("proof.json repeats a campaign file "), "{:?}", folder.faults());
    }
}

#[test]
fn a_proof_that_lacks_what_every_proof_has_says_nothing_about_the_draw() {
    for field in [
        "round_id",
        "count",
        "root",
        "rules_hash",
        "secret_commitment",
        "entropy",
        "closed_at",
        "secret",
        "entropy_values",
        "cutoffs",
    ] {
        let folder = edited("proof.json", |proof| drop(proof.as_object_mut().unwrap().remove(field)));
        let expected = vec![format!("proof.json lacks {field}")];
        assert_eq!(verify_folder(&folder.0), Err(Failure::CouldNotLook(expected.clone())));
        std::fs::remove_file(folder.0.join("commitment.json")).unwrap();
        assert_eq!(verify_folder(&folder.0), Err(Failure::CouldNotLook(expected)));
    }
    let folder = edited("commitment.json", |commitment| commitment["amended_rules_hash"] = json!("ab"));
    assert_eq!(
        verify_folder(&folder.0),
        Err(Failure::CouldNotLook(vec!["proof.json lacks amended_rules_hash".to_owned()]))
    );
}

#[test]
fn what_was_compared_with_nothing_is_told() {
    let repeating = || {
        let folder = single();
        let campaign: Value = serde_json::from_slice(&std::fs::read(folder.0.join("campaign.json")).unwrap()).unwrap();
        folder.change("proof.json", |text| {
            let mut proof: Value = serde_json::from_str(&text).unwrap();
            proof["campaign"] = campaign;
            proof.to_string()
        });
        folder
    };
    let told = |folder: &Folder| verify_folder(&folder.0).unwrap().not_checked;
    assert!(told(&repeating()).is_empty());
    assert_eq!(told(&single()), ["campaign of proof.json"]);
    assert_eq!(told(&by_chance(None, 10)), ["campaign of proof.json", "tiers of proof.json"]);
    let folder = repeating();
    ["commitment.json", "campaign.json"].iter().for_each(|name| std::fs::remove_file(folder.0.join(name)).unwrap());
    assert_eq!(told(&folder), ["commitment.json", "campaign.json"]);
}
