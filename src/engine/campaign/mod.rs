//! The life of a campaign: draft, review, approval by another person, publication, pause, resume, stop.

pub mod amendment;
pub(in crate::engine) mod draft;
pub(in crate::engine) mod file;
mod known;

use std::sync::Arc;

use serde_json::Value;

use crate::domain::campaign::{self, Campaign, Fault, Parsed, effective};
use crate::domain::noun::Noun;
use crate::domain::ranking::Rule;
use crate::domain::refusal::{Code, Refusal};
use crate::engine::area::unpinned_areas;
use crate::engine::config::bounds;
use crate::engine::config::expect::Expect;
use crate::engine::config::view::CampaignView;
use crate::engine::key::ApiKey;
use crate::engine::list::pins::unpinned_lists;
use crate::engine::{Engine, Failure};
use crate::store::campaign::{CampaignRecord, RoundRecord, Scope, State};
use crate::store::config::{Kind, Purpose};
use draft::written;
use file::{
    buckets, check_file, draft, faults, invalid, refused_in, refused_later, require_state,
    reservation_maximum_over_shards, status,
};

/// A campaign as the office sees it.
#[derive(Clone, Debug)]
pub struct CampaignStatus {
    pub campaign_id: String,
    pub version: u64,
    pub body: Value,
    pub created: bool,
}

impl Engine {
    /// Creates or replaces a draft; with `validate_only` nothing is stored.
    pub async fn put_campaign(
        &self,
        key: &ApiKey,
        campaign_id: &str,
        expect: Option<Expect>,
        file: &[u8],
        validate_only: bool,
    ) -> Result<CampaignStatus, Refusal> {
        let parsed = check_file(campaign_id, file)?;
        let held = self.held_campaign(key, campaign_id).await?;
        if held.as_ref().is_none_or(|held| held.is_draft) {
            self.require_free_name(key, campaign_id).await?;
        }
        let warnings = self.warnings_of(&key.program, &parsed).await?;
        if validate_only {
            let number = held.as_ref().map(|held| held.value.number).unwrap_or_default();
            let record = draft(number, key, file, &parsed);
            let body = status(campaign_id, &record, &parsed.campaign, &warnings, self.now());
            return Ok(CampaignStatus { campaign_id: campaign_id.to_owned(), version: 0, body, created: false });
        }
        let expected = match (expect, &held) {
            (None, _) => return Err(Code::PreconditionRequired.into()),
            (Some(Expect::Absent), None) => 0,
            (Some(expect), Some(held)) if expect.holds_for(held.version) => held.version,
            (Some(expect), held) => {
                let version = held.as_ref().map(|held| held.version);
                return Err(Noun::Campaign.has_changed(campaign_id, version, Some(&expect.as_sent())));
            }
        };
        if let Some(held) = held.as_ref().filter(|held| held.value.state != State::Draft) {
            return Err(refused_in(&held.value));
        }
        let (number, rev) = held.as_ref().map(|held| (held.value.number, held.value.rev)).unwrap_or_default();
        let mut record = draft(number, key, file, &parsed);
        record.rev = rev + 1;
        let version = match held {
            Some(held) if !held.is_draft => self.replace(campaign_id, expected, &record).await?,
            _ => self.put_draft(campaign_id, expected, &record).await?,
        };
        let body = status(campaign_id, &record, &parsed.campaign, &warnings, self.now());
        Ok(CampaignStatus { campaign_id: campaign_id.to_owned(), version, body, created: expected == 0 })
    }

    /// What an officer should look at in a draft: the file's own warnings, and what a later step would refuse as things are now.
    async fn warnings_of(&self, program: &str, parsed: &Parsed) -> Result<Vec<Fault>, Refusal> {
        let campaign = &parsed.campaign;
        let mut warnings = parsed.warnings.clone();
        let (lists, found) = self.pin_lists(program, campaign).await?;
        warnings.extend(found);
        warnings.extend(self.unknown_merchants(program, campaign, &lists).await?);
        warnings.extend(self.pin_areas(program, campaign).await?.1);
        warnings.extend(self.refused_later(campaign));
        Ok(warnings)
    }

    /// The file's own warnings, and until it is published what the publication would refuse.
    fn warnings_in(&self, state: State, parsed: &Parsed) -> Vec<Fault> {
        let later = Some(&parsed.campaign).filter(|_| state != State::Published);
        parsed.warnings.iter().cloned().chain(later.into_iter().flat_map(|file| self.refused_later(file))).collect()
    }

    fn refused_later(&self, campaign: &Campaign) -> Vec<Fault> {
        refused_later(campaign, self.now(), u64::from(self.store.shards()))
    }

    /// A campaign of the caller's program.
    pub async fn get_campaign(
        &self,
        key: &ApiKey,
        campaign_id: &str,
        effective_view: bool,
    ) -> Result<CampaignStatus, Refusal> {
        let held = self.own_campaign(key, campaign_id).await?;
        let parsed = campaign::parse(held.value.file.as_bytes()).map_err(invalid)?;
        let warnings = match held.value.state {
            State::Draft => self.warnings_of(&key.program, &parsed).await?,
            state => self.warnings_in(state, &parsed),
        };
        let mut body = status(campaign_id, &held.value, &parsed.campaign, &warnings, self.now());
        let shown = if effective_view { effective::effective_view(&parsed.campaign) } else { parsed.value };
        body[if effective_view { "effective" } else { "campaign" }] = shown;
        Ok(CampaignStatus { campaign_id: campaign_id.to_owned(), version: held.version, body, created: false })
    }

    /// Hands a draft over with the lists and areas as they are now; whoever approves it approves these.
    pub async fn submit_campaign(&self, key: &ApiKey, campaign_id: &str) -> Result<CampaignStatus, Refusal> {
        let held = self.own_campaign(key, campaign_id).await?.value;
        require_state(&held, State::Draft)?;
        let named = campaign::parse(held.file.as_bytes()).map_err(invalid)?.campaign;
        let (lists, mut found) = self.pin_lists(&key.program, &named).await?;
        let (areas, unknown) = self.pin_areas(&key.program, &named).await?;
        found.extend(unknown);
        if !found.is_empty() {
            return Err(faults(Code::CampaignInvalid, found));
        }
        self.change(key, campaign_id, |record| {
            require_state(record, State::Draft)?;
            // Lists and areas were looked up for the file that was read first; another file has to be read again.
            if record.rules_hash != held.rules_hash {
                let (zh, en) = (
                    "提交期间草稿被修改，请核对后再提交。",
                    "The draft was changed while it was handed over: look at it and submit it again.",
                );
                return Err(Refusal::new(Code::PreconditionFailed).with("current", Value::Null).detail(zh, en));
            }
            record.lists = lists.clone();
            record.areas = areas.iter().map(|(area_id, (version, _))| (area_id.clone(), *version)).collect();
            record.area_hashes = areas.iter().map(|(area_id, (_, hash))| (area_id.clone(), hash.clone())).collect();
            record.state = State::Review;
            record.submitted_by = Some(key.holder());
            Ok(())
        })
        .await
    }

    /// Another person than the one who wrote it and the one who submitted it, unless four-eyes is off.
    pub async fn approve_campaign(&self, key: &ApiKey, campaign_id: &str) -> Result<CampaignStatus, Refusal> {
        self.change(key, campaign_id, |record| {
            require_state(record, State::Review)?;
            for proposer in record.submitted_by.iter().chain([&record.put_by]) {
                self.require_another_person(key, proposer)?;
            }
            record.state = State::Approved;
            record.approved_by = Some(key.holder());
            Ok(())
        })
        .await
    }

    pub async fn reject_campaign(&self, key: &ApiKey, campaign_id: &str) -> Result<CampaignStatus, Refusal> {
        self.change(key, campaign_id, |record| {
            if !matches!(record.state, State::Review | State::Approved) {
                return Err(refused_in(record));
            }
            record.state = State::Draft;
            record.submitted_by = None;
            record.approved_by = None;
            record.lists.clear();
            record.areas.clear();
            record.area_hashes.clear();
            Ok(())
        })
        .await
    }

    /// Freezes the rules. What this version cannot execute, and a window that has passed, is refused here with its pointer.
    pub async fn publish_campaign(&self, key: &ApiKey, campaign_id: &str) -> Result<CampaignStatus, Refusal> {
        let now = self.now();
        let shards = u64::from(self.store.shards());
        let held = self.own_campaign(key, campaign_id).await?.value;
        if held.state == State::Published {
            // Whoever published it may have stopped before every shard was told.
            self.tell_shards_again(&held).await?;
            return Err(refused_in(&held));
        }
        let own = |view: &&Arc<CampaignView>| view.is_published() && view.record.program == key.program;
        if self.view().by_number.values().filter(own).count() >= bounds::PUBLISHED.most {
            return Err(bounds::PUBLISHED.refusal());
        }
        self.change(key, campaign_id, |record| {
            require_state(record, State::Approved)?;
            let parsed = campaign::parse(record.file.as_bytes()).map_err(invalid)?;
            let mut unsupported = campaign::unsupported(&parsed.campaign);
            unsupported.extend(reservation_maximum_over_shards(&parsed.campaign, shards));
            if !unsupported.is_empty() {
                return Err(faults(Code::NotSupportedYet, unsupported));
            }
            let mut found = campaign::not_in_past(&parsed.campaign, now);
            found.extend(campaign::ignored(&parsed.campaign).refused);
            if !found.is_empty() {
                return Err(faults(Code::CampaignInvalid, found));
            }
            let mut unpinned = unpinned_lists(&parsed.campaign, &record.lists);
            unpinned.extend(unpinned_areas(&parsed.campaign, &record.areas));
            if !unpinned.is_empty() {
                return Err(faults(Code::CampaignInvalid, unpinned));
            }
            record.state = State::Published;
            record.published_at = Some(now);
            record.buckets = buckets(&parsed.campaign, shards);
            let round = RoundRecord { rule: Rule::V2, ..RoundRecord::default() };
            record.rounds = vec![round; parsed.campaign.rounds.len()];
            Ok(())
        })
        .await
    }

    pub async fn pause_campaign(
        &self,
        key: &ApiKey,
        campaign_id: &str,
        scopes: &[Scope],
        reason: &str,
    ) -> Result<CampaignStatus, Refusal> {
        self.change_for(Purpose::Stops, key, campaign_id, |record| {
            require_state(record, State::Published)?;
            for scope in scopes {
                if !record.paused.contains(scope) {
                    record.paused.push(*scope);
                }
            }
            record.pause_reason = Some(reason.to_owned());
            Ok(())
        })
        .await
    }

    pub async fn resume_campaign(
        &self,
        key: &ApiKey,
        campaign_id: &str,
        scope: Option<&[Scope]>,
    ) -> Result<CampaignStatus, Refusal> {
        self.change(key, campaign_id, |record| {
            require_state(record, State::Published)?;
            record.paused.retain(|paused| scope.is_some_and(|scope| !scope.contains(paused)));
            if record.paused.is_empty() && !record.stopped {
                record.pause_reason = None;
            }
            Ok(())
        })
        .await
    }

    /// No further reservation, draw or issue; issued vouchers stay valid.
    pub async fn stop_campaign(
        &self,
        key: &ApiKey,
        campaign_id: &str,
        reason: &str,
    ) -> Result<CampaignStatus, Refusal> {
        self.change_for(Purpose::Stops, key, campaign_id, |record| {
            require_state(record, State::Published)?;
            record.stopped = true;
            record.pause_reason = Some(reason.to_owned());
            Ok(())
        })
        .await
    }

    /// The file that holds and its state, for everybody; once it was amended also the file that `rules_hash` names, and every change.
    pub fn public_campaign(&self, view: &CampaignView) -> Value {
        let mut body = status(&view.id, &view.record, &view.campaign, &[], self.now());
        body["campaign"] = serde_json::from_str(&view.record.file).unwrap_or_default();
        if let Some(published) = &view.record.published_file {
            body["published"] = serde_json::from_str(published).unwrap_or_default();
            body["amendments"] = amendment::published(view, view.record.amendments_count());
        }
        body
    }

    /// A campaign of the caller's program from the node's view, for reads.
    pub async fn own_view(&self, key: &ApiKey, campaign_id: &str) -> Result<std::sync::Arc<CampaignView>, Refusal> {
        match self.campaign_if(campaign_id, |unreadable| unreadable.is_of(&key.program)) {
            Ok(view) if view.record.program == key.program => Ok(view),
            Err(refusal) if refusal.code != Code::NotFound => Err(refusal),
            _ => Err(self.unpublished(key, campaign_id).await),
        }
    }

    async fn change(
        &self,
        key: &ApiKey,
        campaign_id: &str,
        step: impl Fn(&mut CampaignRecord) -> Result<(), Refusal>,
    ) -> Result<CampaignStatus, Refusal> {
        self.change_for(Purpose::Any, key, campaign_id, step).await
    }

    async fn change_for(
        &self,
        purpose: Purpose,
        key: &ApiKey,
        campaign_id: &str,
        step: impl Fn(&mut CampaignRecord) -> Result<(), Refusal>,
    ) -> Result<CampaignStatus, Refusal> {
        for _ in 0..8 {
            let mut held = self.own_campaign(key, campaign_id).await?;
            step(&mut held.value)?;
            held.value.rev += 1;
            let parsed = campaign::parse(held.value.file.as_bytes()).map_err(invalid)?;
            match self.keep(purpose, campaign_id, &mut held).await {
                Err(refusal) if refusal.code == Code::PreconditionFailed => continue,
                Err(refusal) => return Err(refusal),
                Ok(version) => {
                    let warnings = self.warnings_in(held.value.state, &parsed);
                    let body = status(campaign_id, &held.value, &parsed.campaign, &warnings, self.now());
                    return Ok(CampaignStatus { campaign_id: campaign_id.to_owned(), version, body, created: false });
                }
            }
        }
        Err(Refusal::contended())
    }

    /// Writes a campaign's record and brings its new view to every shard before anybody is told.
    pub(super) async fn replace(
        &self,
        campaign_id: &str,
        expected: u64,
        record: &CampaignRecord,
    ) -> Result<u64, Refusal> {
        self.replace_for(Purpose::Any, campaign_id, expected, record).await
    }

    pub(super) async fn replace_for(
        &self,
        purpose: Purpose,
        campaign_id: &str,
        expected: u64,
        record: &CampaignRecord,
    ) -> Result<u64, Refusal> {
        let put = self.store.put_record_for(purpose, Kind::Campaign, campaign_id, expected, record).await;
        let version = written(put)?;
        self.tell_shards(record).await?;
        Ok(version)
    }

    /// One step of a background job on a campaign's record; a step that another node has taken already is not taken again.
    pub(super) async fn advance(
        &self,
        campaign_id: &str,
        step: impl Fn(&mut CampaignRecord) -> bool,
    ) -> Result<(), Failure> {
        for _ in 0..8 {
            let Some(mut held) = self.store.record::<CampaignRecord>(Kind::Campaign, campaign_id).await? else {
                return Ok(());
            };
            if !step(&mut held.value) {
                return Ok(self.tell_shards_again(&held.value).await?);
            }
            held.value.rev += 1;
            match self.replace(campaign_id, held.version, &held.value).await {
                Err(refusal) if refusal.code == Code::PreconditionFailed => continue,
                Err(refusal) => return Err(refusal.into()),
                Ok(_) => return Ok(()),
            }
        }
        Err(Refusal::contended().into())
    }
}
