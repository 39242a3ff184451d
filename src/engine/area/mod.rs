//! Areas of a program: put as versions, pinned by campaigns when they are submitted, and kept in memory where they are judged.

use crate::engine::blocking;
use crate::engine::config::was_written;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::domain::area::{Area, Location, name_of_use};
use crate::domain::campaign::Fault;
use crate::domain::campaign::schema::{Campaign, Eligibility, UseRule};
use crate::domain::noun::Noun;
use crate::domain::refusal::{Code, Refusal};
use crate::engine::config::bounds;
use crate::engine::config::view::CampaignView;
use crate::engine::key::ApiKey;
use crate::engine::list::check_list_id;
use crate::engine::list::pins::not_pinned;
use crate::engine::resident::Resident;
use crate::engine::{Engine, Failure};
use crate::store::StoreError;
use crate::store::area::{AreaRecord, AreaVersion};
use crate::store::config::Kind;

/// Versions of one area.
const MOST_VERSIONS: usize = 100;
/// Points of all versions of one area: they are kept in one record.
const MOST_POINTS: usize = 100_000;

/// A version of an area as the office sees it.
#[derive(Clone, Debug)]
pub struct AreaStatus {
    pub area_id: String,
    pub version: u32,
    pub sha256: String,
    pub area: Value,
    /// False when the newest version was the same already.
    pub created: bool,
}

impl Engine {
    /// Makes a new version of an area; the same again is the version that is there.
    pub async fn put_area(&self, key: &ApiKey, area_id: &str, area: &Value) -> Result<AreaStatus, Refusal> {
        check_list_id(area_id)?;
        // Thousands of edges are compared with each other: not on a worker that others wait for.
        let sent = area.clone();
        let taken = blocking(move || Area::take(&sent)).await.map_err(Failure::into_refusal)?;
        let (taken, area) = taken.map_err(|fault| {
            let mut refusal = Refusal::new(Code::InvalidRequest);
            refusal.errors = vec![fault];
            refusal
        })?;
        let area = &area;
        let sha256 = hex::encode(crate::domain::campaign::rules_hash(area));
        let id = record_id(&key.program, area_id);
        for _ in 0..8 {
            let held = self.store.record::<AreaRecord>(Kind::Area, &id).await?;
            let (expected, mut record) = held.map(|held| (held.version, held.value)).unwrap_or_default();
            let created = record.versions.last().is_none_or(|newest| newest.sha256 != sha256);
            if !created {
                return status(area_id, &record, false);
            }
            let points: usize =
                record.versions.iter().filter_map(|one| Area::parse(&one.area).ok()).map(|one| one.points()).sum();
            if record.versions.len() >= MOST_VERSIONS || points + taken.points() > MOST_POINTS {
                let zh = "该区域已有 100 个版本，或各版本合计已有 100,000 个点；请另建区域。";
                let en = "The area has 100 versions, or versions of 100,000 points in all; begin another one.";
                return Err(Refusal::new(Code::InvalidRequest).detail(zh, en));
            }
            let (area, put_by) = (area.clone(), key.name.clone());
            record.versions.push(AreaVersion { area, sha256: sha256.clone(), put_by, put_at: self.now() });
            let written = match expected {
                0 => self.make(Kind::Area, &bounds::AREAS, (&key.program, &id), &record).await?.is_some(),
                _ => was_written(self.store.put_record(Kind::Area, &id, expected, &record).await)?,
            };
            if written {
                return status(area_id, &record, true);
            }
        }
        Err(Refusal::contended())
    }

    /// The newest version of an area of the caller's program.
    pub async fn area_status(&self, key: &ApiKey, area_id: &str) -> Result<AreaStatus, Refusal> {
        let held = self.store.record::<AreaRecord>(Kind::Area, &record_id(&key.program, area_id)).await?;
        status(area_id, &held.ok_or_else(|| Noun::Area.not_found(area_id))?.value, false)
    }

    /// An area that the campaign was submitted with. A version never changes, so it is read once.
    pub async fn area(&self, view: &CampaignView, area_id: &str) -> Result<Arc<Area>, StoreError> {
        let version = view.record.areas.get(area_id).copied().unwrap_or_default();
        let id = record_id(&view.record.program, area_id);
        let cached = format!("{id}@{version}");
        if let Some(area) = self.areas.get(&cached, 0) {
            return Ok(area);
        }
        let broken = || StoreError::Broken(format!("area {cached} cannot be read"));
        let held = self.store.record::<AreaRecord>(Kind::Area, &id).await?.ok_or_else(broken)?.value;
        let pinned = held.versions.get((version as usize).wrapping_sub(1)).ok_or_else(broken)?;
        let area = Arc::new(Area::parse(&pinned.area).map_err(|_| broken())?);
        self.areas.put(&cached, 0, area.clone());
        Ok(area)
    }

    /// The areas of rules of use in which a place is, as `campaign number/area_id`, of published campaigns that know the person: nobody
    /// has vouchers of the others, whoever's they are and however many.
    pub(super) async fn areas_of_use(&self, resident: &Resident, place: Location) -> Result<Vec<String>, StoreError> {
        let snapshot = self.view();
        let asks = |view: &&Arc<CampaignView>| view.is_published() && !view.areas_of_use.is_empty();
        let views: Vec<&Arc<CampaignView>> = snapshot.by_number.values().filter(asks).collect();
        if views.is_empty() {
            return Ok(Vec::new());
        }
        let record_of = |view: &&Arc<CampaignView>| {
            let person = self.person(view, resident);
            (person.bucket_key.clone(), person.pseudonym.field().to_vec())
        };
        let fields: Vec<(String, Vec<u8>)> = views.iter().map(record_of).collect();
        let (_, records) = self.store.read_together(resident.shard, &fields).await?;
        let mut inside = Vec::new();
        for (view, _) in views.into_iter().zip(records).filter(|(_, record)| !record.is_empty()) {
            for area_id in &view.areas_of_use {
                if self.area(view, area_id).await?.contains(place) {
                    inside.push(name_of_use(view.number, area_id));
                }
            }
        }
        Ok(inside)
    }

    /// The newest version of every area that a campaign names, with its hash, and a fault for each that is missing.
    pub(super) async fn pin_areas(
        &self,
        program: &str,
        campaign: &Campaign,
    ) -> Result<(BTreeMap<String, (u32, String)>, Vec<Fault>), StoreError> {
        let mut pinned = BTreeMap::new();
        let mut found = Vec::new();
        for (pointer, area_id) in named(campaign) {
            let held = self.store.record::<AreaRecord>(Kind::Area, &record_id(program, area_id)).await?;
            let versions = held.map(|held| held.value.versions).unwrap_or_default();
            match versions.last() {
                Some(newest) => {
                    pinned.insert(area_id.to_owned(), (versions.len() as u32, newest.sha256.clone()));
                }
                None => {
                    let (zh, en) = ("没有这个区域。", "There is no such area.");
                    found.push(Fault { pointer, code: "unknown_area", zh: zh.into(), en: en.into() });
                }
            }
        }
        Ok((pinned, found))
    }
}

/// Places that name an area which was not pinned.
pub(super) fn unpinned_areas(campaign: &Campaign, pinned: &BTreeMap<String, u32>) -> Vec<Fault> {
    let missing = named(campaign).into_iter().filter(|(_, area_id)| !pinned.contains_key(*area_id));
    missing.map(|(pointer, _)| not_pinned(pointer)).collect()
}

fn status(area_id: &str, record: &AreaRecord, created: bool) -> Result<AreaStatus, Refusal> {
    let newest = record.versions.last().ok_or_else(|| Noun::Area.not_found(area_id))?;
    Ok(AreaStatus {
        area_id: area_id.to_owned(),
        version: record.versions.len() as u32,
        sha256: newest.sha256.clone(),
        area: newest.area.clone(),
        created,
    })
}

fn record_id(program: &str, area_id: &str) -> String {
    format!("{program}/{area_id}")
}

/// The areas in which vouchers of a campaign may be used, each once.
pub(super) fn of_use(campaign: &Campaign) -> BTreeSet<&str> {
    let of_packs = campaign
        .packs
        .iter()
        .flat_map(|pack| std::iter::once(&pack.use_rule).chain(pack.vouchers.iter().map(|kind| &kind.use_rule)));
    let of_rounds = campaign.rounds.iter().map(|round| &round.use_rule);
    let all = std::iter::once(&campaign.use_rule).chain(of_packs).chain(of_rounds);
    all.flatten().filter_map(|rule| rule.location.as_ref()).map(|place| place.area_id.as_str()).collect()
}

/// Every place of a campaign file that names an area.
fn named(campaign: &Campaign) -> Vec<(String, &str)> {
    fn add<'a>(
        all: &mut Vec<(String, &'a str)>,
        at: &str,
        eligibility: Option<&'a Eligibility>,
        rule: Option<&'a UseRule>,
    ) {
        let place = eligibility.and_then(|terms| terms.location.as_ref());
        all.extend(place.map(|place| (format!("{at}/eligibility/location/area_id"), place.area_id.as_str())));
        let place = rule.and_then(|rule| rule.location.as_ref());
        all.extend(place.map(|place| (format!("{at}/use_rule/location/area_id"), place.area_id.as_str())));
    }
    let mut all = Vec::new();
    add(&mut all, "", campaign.eligibility.as_ref(), campaign.use_rule.as_ref());
    for (i, pack) in campaign.packs.iter().enumerate() {
        add(&mut all, &format!("/packs/{i}"), None, pack.use_rule.as_ref());
        for (j, kind) in pack.vouchers.iter().enumerate() {
            add(&mut all, &format!("/packs/{i}/vouchers/{j}"), None, kind.use_rule.as_ref());
        }
    }
    for (i, round) in campaign.rounds.iter().enumerate() {
        add(&mut all, &format!("/rounds/{i}"), round.eligibility.as_ref(), round.use_rule.as_ref());
    }
    all
}
