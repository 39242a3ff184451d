//! Merchants of a program: registered, frozen, admitted to campaigns, and their keys.

use quanyu::domain::merchant::{Draft, EnrolState, Name};
use quanyu::engine::Engine;
use quanyu::engine::config::expect::Expect;
use quanyu::engine::key::terminal::Rotation;
use quanyu::engine::key::till::KeyScope;
use quanyu::store::config::Kind;
use quanyu::store::merchant::MerchantRecord;
use serde_json::Value;

use super::office::file;
use super::toll::Trouble;
use super::town::Town;
use super::{Turn, each_call};
use crate::histories::town::draft;

pub async fn table(town: &Town, trouble: Trouble) {
    for (verb, change) in [
        ("create a merchant", Shop::Create),
        ("change a merchant", Shop::Change),
        ("freeze", Shop::Freeze(true)),
        ("unfreeze", Shop::Freeze(false)),
        ("application", Shop::Apply),
        ("admission", Shop::Move(EnrolState::Approved)),
        ("suspension", Shop::Move(EnrolState::Suspended)),
        ("create a terminal", Shop::Terminal),
        ("rotate a terminal's key", Shop::Rotate),
        ("revoke a terminal's key", Shop::Revoke),
        ("create a merchant's key", Shop::Key),
        ("rotate a merchant's key", Shop::RotateKey),
        ("revoke a merchant's key", Shop::RevokeKey),
    ] {
        each_call(town, verb, trouble, async |turn| changes_a_shop(turn, change).await).await;
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Shop {
    Create,
    Change,
    Freeze(bool),
    Apply,
    Move(EnrolState),
    Terminal,
    Rotate,
    Revoke,
    Key,
    RotateKey,
    RevokeKey,
}

const CAMPAIGN: &str = "city";

async fn changes_a_shop(turn: &Turn<'_>, change: Shop) {
    let town = turn.town;
    let (node, key, id) = (&town.clean, &town.key, format!("m-{}", town.number()));
    if node.campaign(CAMPAIGN).is_err() {
        town.publish(CAMPAIGN, &file(CAMPAIGN, town.clock.now())).await;
    }
    let draft = draft(&id);
    let mut key_id = String::new();
    if change != Shop::Create {
        node.create_merchant(key, draft.clone()).await.expect("a merchant");
    }
    match change {
        Shop::Freeze(false) => drop(node.freeze_merchant(key, &id, true, None).await.expect("a freeze")),
        Shop::Move(to) => {
            node.apply_to_campaign(key, CAMPAIGN, &id).await.expect("an application");
            if to == EnrolState::Suspended {
                node.move_enrolment(key, CAMPAIGN, &id, EnrolState::Approved, None).await.expect("an approval");
            }
        }
        Shop::Rotate | Shop::Revoke => drop(node.create_terminal(key, &id, "t1").await.expect("a terminal")),
        Shop::RotateKey | Shop::RevokeKey => {
            let made =
                node.create_till_key(key, KeyScope::Merchant { merchant_id: id.clone() }, "").await.expect("a key");
            key_id = made.body["key_id"].as_str().expect("an id").to_owned();
        }
        _ => {}
    }
    let rotation = Rotation { from_version: Some(1), keep_previous: true };
    let request = async |node: &Engine| match change {
        Shop::Create => node.create_merchant(key, draft.clone()).await.map(drop),
        Shop::Change => {
            let changed = Draft { name: Some(Name::One("another".to_owned())), ..draft.clone() };
            node.replace_merchant(key, &id, Some(Expect::OneOf(vec![1], String::new())), changed).await.map(drop)
        }
        Shop::Freeze(frozen) => node.freeze_merchant(key, &id, frozen, None).await.map(drop),
        Shop::Apply => node.apply_to_campaign(key, CAMPAIGN, &id).await.map(drop),
        Shop::Move(to) => node.move_enrolment(key, CAMPAIGN, &id, to, None).await.map(drop),
        Shop::Terminal => node.create_terminal(key, &id, "t1").await.map(drop),
        Shop::Rotate => node.rotate_terminal(key, &id, "t1", rotation).await.map(drop),
        Shop::Revoke => node.revoke_terminal(key, &id, "t1", None).await.map(drop),
        Shop::Key => node.create_till_key(key, KeyScope::Merchant { merchant_id: id.clone() }, "").await.map(drop),
        Shop::RotateKey => node.rotate_till_key(key, &key_id, rotation).await.map(drop),
        Shop::RevokeKey => node.revoke_till_key(key, &key_id, None).await.map(drop),
    };
    let effects = async |node: &Engine| shop_shows(node, turn, &id, &key_id, change).await;
    turn.ask(request, effects).await;
    if turn.told.get() {
        the_slot_knows(turn, &id).await;
    }
    // Nobody has seen the secret of a key whose answer was lost: there is another one then.
    if change != Shop::Key {
        turn.repeat(request, effects).await;
        the_slot_knows(turn, &id).await;
    }
}

async fn shop_shows(node: &Engine, turn: &Turn<'_>, id: &str, key_id: &str, change: Shop) -> usize {
    let key = &turn.town.key;
    let held = node.store.record::<MerchantRecord>(Kind::Merchant, id).await.expect("a record");
    let Some(record) = held.map(|held| held.value) else { return 0 };
    let enrolled = |state: EnrolState| record.enrolments.values().filter(|one| one.state == state).count();
    let version = |version: u32| (version as usize).saturating_sub(1);
    let terminal = record.terminals.get("t1");
    match change {
        Shop::Create => 1,
        Shop::Change => record.changes.len(),
        Shop::Freeze(frozen) => usize::from(record.frozen == frozen),
        Shop::Apply => enrolled(EnrolState::Applied),
        Shop::Move(to) => enrolled(to),
        Shop::Terminal => usize::from(terminal.is_some()),
        Shop::Rotate | Shop::Revoke => {
            let key_id = &terminal.expect("a terminal").key_id;
            let till = node.till(key_id).await.expect("an answer").expect("a key");
            if change == Shop::Rotate { till.secrets.len() - 1 } else { usize::from(till.revoked) }
        }
        Shop::Key => {
            let all = node.list_till_keys(key, None).await.expect("keys");
            let own = |one: &&Value| one["merchant_id"] == *id;
            all["items"].as_array().expect("a list").iter().filter(own).count()
        }
        Shop::RotateKey => {
            let body = node.get_till_key(key, key_id).await.expect("a key");
            version(body["version"].as_u64().expect("a number") as u32)
        }
        Shop::RevokeKey => usize::from(node.get_till_key(key, key_id).await.expect("a key")["revoked"] == true),
    }
}

/// What was answered holds where orders are judged.
async fn the_slot_knows(turn: &Turn<'_>, id: &str) {
    let held = turn.town.clean.store.record::<MerchantRecord>(Kind::Merchant, id).await.expect("a record");
    let Some(record) = held.map(|held| held.value) else { return };
    let approved = record.enrolments.values().filter(|one| one.state == EnrolState::Approved).count();
    let expected = (if record.frozen { "frozen" } else { "active" }.to_owned(), approved);
    let known = turn.town.merchant_on_its_slot(id);
    if known.as_ref() != Some(&expected) {
        turn.fault(&format!("the merchant's slot has {known:?} instead of {expected:?}"));
    }
}
