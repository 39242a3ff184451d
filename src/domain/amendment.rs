//! Amendments: a published file may still give more, and never less. A change names one field, what it is now and what it becomes;
//! the table below says which fields may move, in which direction, and until when.

mod direction;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::campaign::schema::{Campaign, Mode, Round, RoundReservation};
use super::refusal::FieldError;
use super::time::{Ms, parse_rfc3339};
use direction::Direction;

/// One field of the campaign file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// RFC 6901 pointer into the campaign file.
    pub pointer: String,
    /// What the file says now; null where it says nothing.
    #[serde(default)]
    pub current: Value,
    pub target: Value,
}

/// Until when a field may move. What has been decided from it stays as it was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// It is judged anew each time it is used.
    Always,
    /// The list of the round is committed to.
    ListCloses,
    /// The claim window opens, or the list it goes by is committed to.
    WindowOpens,
    /// The packs of the round are counted for good.
    SupplyIsFixed,
    /// The first pack may be issued: its money is kept under the hour at which it expires.
    FirstPack,
}

/// What a change that may be made has to wait for, or come before.
#[derive(Clone, Debug, PartialEq)]
pub struct Touch {
    pub pointer: String,
    pub until: Until,
    /// Positions of the rounds that the field belongs to.
    pub rounds: Vec<usize>,
    /// An end that moves must not have come.
    pub ends_at: Option<Ms>,
}

struct Row(Direction, Until);

/// The fields that an amendment may touch.
fn row(path: &[&str]) -> Option<Row> {
    use Direction::*;
    use Until::*;
    let row = match path {
        ["budget"] | ["max_amount_by_day"] => Row(Up(None), Always),
        ["refund_days"] => Row(Up(Some(365)), Always),
        ["reverse_hours"] => Row(Up(Some(24)), Always),
        ["max_restores_per_voucher"] => Row(Up(Some(3)), Always),
        ["merchant_enrolment", "closes_at"] => Row(Later, Always),
        ["merchant_enrolment", "opens_at"] => Row(Earlier, Always),
        ["merchant_enrolment", "kinds" | "registered_in"] => Row(More, Always),
        ["limits", _, "max_count" | "max_amount"] => Row(Up(None), Always),
        ["reservation", field] => return reservation(field),
        ["validity", field] => return validity(field),
        ["use_rule", field] => return use_rule(field, true),
        ["rounds", _, rest @ ..] => return of_round(rest),
        ["packs", _, "vouchers", _, "validity", field] => return validity(field),
        ["packs", _, "use_rule", field] => return use_rule(field, false),
        ["packs", _, "vouchers", _, "use_rule", field] => return use_rule(field, false),
        _ => return None,
    };
    Some(row)
}

fn of_round(path: &[&str]) -> Option<Row> {
    use Direction::*;
    use Until::*;
    let row = match path {
        ["packs", _] | ["packs", _, "count"] | ["packs", _, "by_channel", _] => Row(Up(None), SupplyIsFixed),
        ["money", "amount"] => Row(Up(None), SupplyIsFixed),
        ["draw", "at" | "close_list_at"] => Row(Later, ListCloses),
        ["closes_at"] | ["waves", _, "closes_at"] => Row(Later, WindowOpens),
        ["limits", _, "max_count" | "max_amount"] => Row(Up(None), Always),
        ["reservation", field] => return reservation(field),
        ["validity", field] => return validity(field),
        ["use_rule", field] => return use_rule(field, true),
        _ => return None,
    };
    Some(row)
}

fn reservation(field: &str) -> Option<Row> {
    match field {
        "closes_at" | "withdraw_until" => Some(Row(Direction::Later, Until::ListCloses)),
        "max_reservations" => Some(Row(Direction::Up(None), Until::ListCloses)),
        _ => None,
    }
}

fn validity(field: &str) -> Option<Row> {
    match field {
        "available_begin_time" => Some(Row(Direction::Earlier, Until::Always)),
        "available_end_time" => Some(Row(Direction::Later, Until::FirstPack)),
        "available_day_after_receive" => Some(Row(Direction::Up(None), Until::FirstPack)),
        _ => None,
    }
}

/// A rule that is added to another restricts nothing that it does not name, so what it leaves out cannot be widened.
fn use_rule(field: &str, has_defaults: bool) -> Option<Row> {
    use Direction::*;
    let or = |number| has_defaults.then_some(number);
    let direction = match field {
        "categories" | "districts" | "scenes" | "hours" | "eligible_items" => More,
        "dates_excluded" | "excluded_items" => Fewer,
        "channels" => Channels,
        "combine_with_merchant_offers" | "combine_with_campaigns" => To(true),
        "require_items" => To(false),
        "max_vouchers_per_payment" => Up(or(1)),
        "hold_seconds" => Up(or(120)),
        "minimum_payable" => Down(or(1)),
        _ => return None,
    };
    Some(Row(direction, Until::Always))
}

/// Changes whose `current` is not what the file says, with what it does say.
pub fn stale<'c>(file: &Value, changes: &'c [Change]) -> Vec<(&'c Change, Value)> {
    let says = |change: &'c Change| (change, file.pointer(&change.pointer).cloned().unwrap_or_default());
    changes.iter().map(says).filter(|(change, says)| change.current != *says).collect()
}

/// Judges each change of a file that holds what they say it does: what each has to come before, or every reason against them.
pub fn judge(campaign: &Campaign, changes: &[Change]) -> Result<Vec<Touch>, Vec<FieldError>> {
    let (mut touches, mut faults) = (Vec::new(), Vec::new());
    for (n, change) in changes.iter().enumerate() {
        if changes[..n].iter().any(|other| other.pointer == change.pointer) {
            faults.push(fault(&change.pointer, "named_twice", "同一字段写了两次。", "The field is named twice."));
            continue;
        }
        match judge_one(campaign, change) {
            Ok(touch) => touches.push(touch),
            Err(found) => faults.push(found),
        }
    }
    if faults.is_empty() { Ok(touches) } else { Err(faults) }
}

fn judge_one(campaign: &Campaign, change: &Change) -> Result<Touch, FieldError> {
    let pointer = &change.pointer;
    let tokens = tokens(pointer);
    let path: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let Some(Row(direction, until)) = row(&path) else {
        let (zh, en) = ("发布后此字段不能修改。", "This field cannot be amended once the campaign is published.");
        return Err(fault(pointer, "not_amendable", zh, en));
    };
    direction.check(&change.current, &change.target).map_err(|(zh, en)| fault(pointer, "not_additive", zh, en))?;
    let moves = direction == Direction::Later && until != Until::Always;
    let ends_at = change.current.as_str().filter(|_| moves).and_then(parse_rfc3339);
    Ok(Touch { pointer: pointer.clone(), until, rounds: rounds_of(campaign, &path), ends_at })
}

/// The rounds for which a field holds.
fn rounds_of(campaign: &Campaign, path: &[&str]) -> Vec<usize> {
    let which = |holds: &dyn Fn(&Round) -> bool| {
        let rounds = campaign.rounds.iter().enumerate();
        rounds.filter(|(_, round)| holds(round)).map(|(index, _)| index).collect()
    };
    match path {
        ["rounds", index, ..] => index.parse().into_iter().collect(),
        ["reservation", ..] => {
            which(&|round| round.reservation == RoundReservation::Campaigns && round.mode != Mode::Grant)
        }
        ["validity", ..] => which(&|round| round.validity.is_none()),
        ["packs", index, ..] => {
            let pack = index.parse().ok().and_then(|index: usize| campaign.packs.get(index));
            let gives = |pack_id: &str| pack.is_some_and(|pack| pack.pack_id == pack_id);
            which(&|round| round.supply.pack_ids().any(gives))
        }
        _ => Vec::new(),
    }
}

/// The file with the changes made; every pointer has been found to say what its change says.
pub fn apply(file: &Value, changes: &[Change]) -> Result<Value, Vec<FieldError>> {
    let (mut amended, mut faults) = (file.clone(), Vec::new());
    for Change { pointer, target, .. } in changes {
        let name = tokens(pointer).pop().unwrap_or_default();
        let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
        if let Some(place) = amended.pointer_mut(pointer) {
            *place = target.clone();
        } else if let Some(Value::Object(fields)) = amended.pointer_mut(parent) {
            fields.insert(name, target.clone());
        } else {
            let (zh, en) = ("文件中没有这一节。", "The file has no such section.");
            faults.push(fault(pointer, "no_such_section", zh, en));
        }
    }
    if faults.is_empty() { Ok(amended) } else { Err(faults) }
}

fn tokens(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect()
}

fn fault(pointer: &str, code: &'static str, zh: impl Into<String>, en: impl Into<String>) -> FieldError {
    FieldError { pointer: pointer.to_owned(), code, zh: zh.into(), en: en.into() }
}

#[cfg(test)]
#[path = "amendment_tests.rs"]
mod tests;
