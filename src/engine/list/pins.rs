//! Which versions of lists a campaign uses: fixed when it is submitted, so that what is approved is what is published, and its rules
//! cannot change under it.

use std::collections::{BTreeMap, HashSet};

use super::newest;
use crate::domain::campaign::schema::{Campaign, Eligibility, UseRule};
use crate::domain::campaign::{Fault, Round};
use crate::engine::Engine;
use crate::store::StoreError;
use crate::store::config::Kind;
use crate::store::list::{ListKind, ListVersion, PinnedList, steps};
use crate::store::merchant::MerchantRecord;

/// Merchants that one fault names.
const MOST_SHOWN: usize = 20;

/// One place of a campaign file that names a list.
struct Named<'a> {
    pointer: String,
    list_id: &'a str,
    kind: ListKind,
    /// Channels and packs of the members mean something here.
    with_names: bool,
}

impl Engine {
    /// The newest version of every list that a campaign names, and the faults: lists that are missing or do not fit.
    pub(in crate::engine) async fn pin_lists(
        &self,
        program: &str,
        campaign: &Campaign,
    ) -> Result<(BTreeMap<String, PinnedList>, Vec<Fault>), StoreError> {
        let mut pinned = BTreeMap::new();
        let mut found = Vec::new();
        for named in named(campaign) {
            let record = self.list_record(program, named.list_id).await?;
            match record.as_ref().and_then(newest) {
                None => {
                    let id = named.list_id;
                    let zh = format!("没有名单“{id}”：请先用 PUT /v1/lists/{id} 上传。");
                    let en = format!("There is no list \"{id}\": upload it with PUT /v1/lists/{id} first.");
                    found.push(fault(&named, "unknown_list", &zh, &en));
                }
                Some((_, held)) if held.kind != named.kind => {
                    let (zh, en) = match named.kind {
                        ListKind::Persons => ("须为人员名单。", "A list of persons is needed here."),
                        ListKind::Merchants => ("须为商户名单。", "A list of merchants is needed here."),
                    };
                    found.push(fault(&named, "wrong_kind_of_list", zh, en));
                }
                Some((version, held)) => {
                    let list = pin(campaign, version, held);
                    let lost = list.channels.iter().chain(&list.packs).any(Option::is_none);
                    if named.with_names && lost {
                        let names = held.channels.iter().zip(&list.channels).chain(held.packs.iter().zip(&list.packs));
                        let lost: Vec<&str> =
                            names.filter(|(_, place)| place.is_none()).map(|(name, _)| name.as_str()).collect();
                        let zh = format!("名单中的渠道或券包不在活动中：{}。", lost.join("、"));
                        let en = format!(
                            "The list names channels or packs that the campaign does not have: {}.",
                            lost.join(", ")
                        );
                        found.push(fault(&named, "unknown_name_in_list", &zh, &en));
                    }
                    pinned.insert(named.list_id.to_owned(), list);
                }
            }
        }
        Ok((pinned, found))
    }

    /// For every list of merchants that a draft names, which of its merchants are not registered with the program. Some may register while
    /// the campaign runs; of a misspelt id nobody would notice.
    pub(in crate::engine) async fn unknown_merchants(
        &self,
        program: &str,
        campaign: &Campaign,
        pinned: &BTreeMap<String, PinnedList>,
    ) -> Result<Vec<Fault>, StoreError> {
        let mut found = Vec::new();
        for named in named(campaign).into_iter().filter(|named| named.kind == ListKind::Merchants) {
            if let Some(list) = pinned.get(named.list_id).filter(|list| list.kind == ListKind::Merchants) {
                // Boxed, so that what waits for it stays of a size that can be computed.
                found.extend(Box::pin(self.unknown_in_list(program, &named, list)).await?);
            }
        }
        Ok(found)
    }

    async fn unknown_in_list(
        &self,
        program: &str,
        named: &Named<'_>,
        list: &PinnedList,
    ) -> Result<Option<Fault>, StoreError> {
        let mut unknown = Vec::new();
        for buckets in steps(list.buckets) {
            let listed = self.store.list_merchants(list.number, buckets).await?;
            let known = self.store.records_named::<MerchantRecord>(Kind::Merchant, &listed).await?;
            // One that cannot be read is there; what is wrong with it is told elsewhere.
            let own = |read: &Result<MerchantRecord, StoreError>| {
                read.as_ref().map_or(true, |merchant| merchant.program == program)
            };
            let own: HashSet<String> = known.into_iter().filter(|(_, read)| own(read)).map(|(id, _)| id).collect();
            unknown.extend(listed.into_iter().filter(|id| !own.contains(id)));
            if unknown.len() > MOST_SHOWN {
                break;
            }
        }
        if unknown.is_empty() {
            return Ok(None);
        }
        unknown.sort_unstable();
        let more = unknown.len() > MOST_SHOWN;
        unknown.truncate(MOST_SHOWN);
        let names = (unknown.join("、"), unknown.join(", "));
        let (and_zh, and_en) = if more { ("等", " and others") } else { ("", "") };
        let zh = format!("名单中有未登记的商户：{}{and_zh}。未登记的商户不能收券；如有写错，请改正名单。", names.0);
        let en = format!(
            "Not registered: {}{and_en}. They take no vouchers until they are; correct the list if an id is misspelt.",
            names.1
        );
        Ok(Some(fault(named, "unknown_merchant", &zh, &en)))
    }
}

/// Places that name a list which was not pinned: the campaign was submitted before lists were pinned then.
pub(in crate::engine) fn unpinned_lists(campaign: &Campaign, pinned: &BTreeMap<String, PinnedList>) -> Vec<Fault> {
    let missing = named(campaign).into_iter().filter(|named| !pinned.contains_key(named.list_id));
    missing.map(|named| not_pinned(named.pointer)).collect()
}

pub(in crate::engine) fn not_pinned(pointer: String) -> Fault {
    let zh = "提交时未固定其版本：请驳回后重新提交。".into();
    let en = "Its version was not fixed at submission: reject the campaign and submit it again.".into();
    Fault { pointer, code: "not_pinned", zh, en }
}

fn pin(campaign: &Campaign, version: u32, held: &ListVersion) -> PinnedList {
    let position = |found: Option<usize>| found.map(|position| position as u8);
    let channel = |name: &String| position(campaign.channels.iter().position(|channel| channel == name));
    let pack = |name: &String| position(campaign.packs.iter().position(|pack| pack.pack_id == *name));
    PinnedList {
        version,
        kind: held.kind,
        count: held.count,
        number: held.number,
        buckets: held.buckets,
        sha256: held.sha256.clone(),
        channels: held.channels.iter().map(channel).collect(),
        packs: held.packs.iter().map(pack).collect(),
    }
}

fn fault(named: &Named, code: &'static str, zh: &str, en: &str) -> Fault {
    Fault { pointer: named.pointer.clone(), code, zh: zh.into(), en: en.into() }
}

/// Every place that names a list.
fn named(campaign: &Campaign) -> Vec<Named<'_>> {
    let mut all = Vec::new();
    of_eligibility(&mut all, campaign.eligibility.as_ref(), "");
    of_rule(&mut all, campaign.use_rule.as_ref(), "");
    add(
        &mut all,
        "/merchant_enrolment/by_list".into(),
        campaign.merchant_enrolment.by_list.as_ref(),
        ListKind::Merchants,
    );
    for (i, pack) in campaign.packs.iter().enumerate() {
        of_rule(&mut all, pack.use_rule.as_ref(), &format!("/packs/{i}"));
        for (j, kind) in pack.vouchers.iter().enumerate() {
            of_rule(&mut all, kind.use_rule.as_ref(), &format!("/packs/{i}/vouchers/{j}"));
        }
    }
    for (i, round) in campaign.rounds.iter().enumerate() {
        of_round(&mut all, round, &format!("/rounds/{i}"));
    }
    all
}

fn of_round<'a>(all: &mut Vec<Named<'a>>, round: &'a Round, at: &str) {
    of_eligibility(all, round.eligibility.as_ref(), at);
    of_rule(all, round.use_rule.as_ref(), at);
    if let Some(list_id) = &round.entries_list {
        all.push(Named { pointer: format!("{at}/entries_list"), list_id, kind: ListKind::Persons, with_names: true });
    }
}

fn of_eligibility<'a>(all: &mut Vec<Named<'a>>, terms: Option<&'a Eligibility>, at: &str) {
    let Some(terms) = terms else { return };
    add(all, format!("{at}/eligibility/allow_list"), terms.allow_list.as_ref(), ListKind::Persons);
    add(all, format!("{at}/eligibility/deny_list"), terms.deny_list.as_ref(), ListKind::Persons);
}

fn of_rule<'a>(all: &mut Vec<Named<'a>>, rule: Option<&'a UseRule>, at: &str) {
    let listed = rule.and_then(|rule| rule.merchants_list.as_ref());
    add(all, format!("{at}/use_rule/merchants_list"), listed, ListKind::Merchants);
}

fn add<'a>(all: &mut Vec<Named<'a>>, pointer: String, list_id: Option<&'a String>, kind: ListKind) {
    all.extend(list_id.map(|list_id| Named { pointer, list_id, kind, with_names: false }));
}
