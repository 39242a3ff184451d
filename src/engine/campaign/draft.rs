//! Campaigns that are not published yet. A draft is a record of its program alone: it takes no number and holds no name, no node follows it,
//! and nobody else can see, block or slow it. With its publication, in one step, a campaign gets its number, for good, and the name
//! that everybody knows it by, if no other program has published under it first.

use super::file::refused_in;
use crate::domain::noun::Noun;
use crate::domain::refusal::Code;
use crate::engine::config::bounds;
use crate::engine::config::expect::Expect;
use crate::engine::config::view::Head;
use crate::engine::key::ApiKey;
use crate::engine::{Engine, Refusal};
use crate::store::StoreError;
use crate::store::campaign::{CampaignRecord, State};
use crate::store::config::{Kind, Purpose, PutError};

/// A campaign's record as it was read, to be replaced by compare-and-set.
#[derive(Clone, Debug)]
pub(in crate::engine) struct Held {
    pub version: u64,
    pub value: CampaignRecord,
    /// It is held as a draft. Older binaries kept drafts among the campaigns, where they stay until they are published.
    pub is_draft: bool,
}

impl Engine {
    /// A campaign that belongs to the caller's program; anybody else's does not exist.
    pub(in crate::engine) async fn own_campaign(&self, key: &ApiKey, campaign_id: &str) -> Result<Held, Refusal> {
        self.held_campaign(key, campaign_id).await?.ok_or_else(|| Noun::Campaign.not_found(campaign_id))
    }

    /// The record of the caller's program with this id. Of one that cannot be read nobody else hears.
    pub(in crate::engine) async fn held_campaign(
        &self,
        key: &ApiKey,
        campaign_id: &str,
    ) -> Result<Option<Held>, Refusal> {
        // The draft is read first: a publication in between shows as both, never as neither.
        let draft = self.draft(key, campaign_id).await?;
        match self.store.record::<CampaignRecord>(Kind::Campaign, campaign_id).await {
            Ok(Some(held)) if held.value.program == key.program => {
                Ok(Some(Held { version: held.version, value: held.value, is_draft: false }))
            }
            Ok(_) => Ok(draft),
            Err(StoreError::Broken(_)) => {
                self.refresh().await?;
                let own = self.campaign_if(campaign_id, |unreadable| unreadable.is_of(&key.program));
                match own {
                    Err(refusal) if refusal.code != Code::NotFound => Err(refusal),
                    _ => Ok(draft),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The draft of the caller's program with this id.
    pub(in crate::engine) async fn draft(&self, key: &ApiKey, campaign_id: &str) -> Result<Option<Held>, Refusal> {
        let id = draft_id(&key.program, campaign_id);
        match self.store.record::<CampaignRecord>(Kind::Draft, &id).await {
            Ok(held) => Ok(held.map(|held| Held { version: held.version, value: held.value, is_draft: true })),
            Err(StoreError::Broken(_)) => Err(crate::engine::config::cannot_be_read()),
            Err(error) => Err(error.into()),
        }
    }

    /// Why a campaign that is not in the view is not there: it is a draft of the caller's program, or it does not exist.
    pub(in crate::engine) async fn unpublished(&self, key: &ApiKey, campaign_id: &str) -> Refusal {
        match self.draft(key, campaign_id).await {
            Ok(Some(held)) => refused_in(&held.value),
            Ok(None) => Noun::Campaign.not_found(campaign_id),
            Err(refusal) => refusal,
        }
    }

    /// Refuses an id under which another program has published.
    pub(in crate::engine) async fn require_free_name(&self, key: &ApiKey, campaign_id: &str) -> Result<(), Refusal> {
        match self.store.record::<Head>(Kind::Campaign, campaign_id).await {
            Ok(None) => Ok(()),
            Ok(Some(held)) if !held.value.is_published() || held.value.program == key.program => Ok(()),
            // Nobody may know whose a record is that cannot be read, and it may be published.
            Ok(Some(_)) | Err(StoreError::Broken(_)) => Err(Code::CampaignIdTaken.into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what was made of a record, where it was read.
    pub(in crate::engine) async fn keep(
        &self,
        purpose: Purpose,
        campaign_id: &str,
        held: &mut Held,
    ) -> Result<u64, Refusal> {
        if !held.is_draft {
            return self.replace_for(purpose, campaign_id, held.version, &held.value).await;
        }
        if held.value.state == State::Published {
            return self.publish_draft(campaign_id, held).await;
        }
        self.put_draft(campaign_id, held.version, &held.value).await
    }

    pub(in crate::engine) async fn put_draft(
        &self,
        campaign_id: &str,
        expected: u64,
        record: &CampaignRecord,
    ) -> Result<u64, Refusal> {
        let id = draft_id(&record.program, campaign_id);
        if expected > 0 {
            return written(self.store.put_record(Kind::Draft, &id, expected, record).await);
        }
        let made = self.make(Kind::Draft, &bounds::DRAFTS, (&record.program, &id), record).await?;
        made.ok_or_else(|| Code::PreconditionFailed.into())
    }

    /// Removes what was never published; a published campaign stays for good.
    pub async fn delete_draft(&self, key: &ApiKey, campaign_id: &str, expect: Option<Expect>) -> Result<(), Refusal> {
        let held = self.own_campaign(key, campaign_id).await?;
        let Some(expect) = expect else { return Err(Code::PreconditionRequired.into()) };
        if !held.is_draft {
            return Err(refused_in(&held.value));
        }
        let has_changed = |holds| Noun::Campaign.has_changed(campaign_id, holds, Some(&expect.as_sent()));
        if !expect.holds_for(held.version) {
            return Err(has_changed(Some(held.version)));
        }
        let id = draft_id(&key.program, campaign_id);
        match self.store.drop_record(Kind::Draft, &key.program, &id, held.version).await {
            Ok(()) => Ok(()),
            Err(PutError::Conflict(holds)) => Err(has_changed((holds > 0).then_some(holds))),
            Err(PutError::Store(error)) => Err(error.into()),
        }
    }

    /// The draft becomes a campaign, with its number, and is no draft any more.
    async fn publish_draft(&self, campaign_id: &str, held: &mut Held) -> Result<u64, Refusal> {
        let in_its_place = self.make_way(&held.value.program, campaign_id).await?;
        if held.value.number == 0 {
            held.value.number = self.store.next_campaign_number().await?;
        }
        let id = draft_id(&held.value.program, campaign_id);
        let published = self
            .store
            .publish_draft(&held.value.program, (&id, held.version), (campaign_id, in_its_place), &held.value)
            .await;
        let version = written(published)?;
        self.tell_shards(&held.value).await?;
        Ok(version)
    }

    /// The version that stands under the name of a campaign: none, or a draft that another program had among the campaigns before drafts
    /// had a place of their own, which is given one now.
    async fn make_way(&self, program: &str, campaign_id: &str) -> Result<u64, Refusal> {
        let in_the_way = match self.store.record::<CampaignRecord>(Kind::Campaign, campaign_id).await {
            Ok(None) => return Ok(0),
            Ok(Some(held)) => held,
            Err(StoreError::Broken(_)) => return Err(Code::CampaignIdTaken.into()),
            Err(error) => return Err(error.into()),
        };
        if in_the_way.value.program == program {
            // Another of the program's clients was quicker with this very draft; what it has become is read again.
            return Err(Code::PreconditionFailed.into());
        }
        if in_the_way.value.state == State::Published {
            return Err(Code::CampaignIdTaken.into());
        }
        let id = draft_id(&in_the_way.value.program, campaign_id);
        // It was there before, so it is not counted: nobody's publication waits for another program to make room.
        match self.store.put_record(Kind::Draft, &id, 0, &in_the_way.value).await {
            Ok(_) | Err(PutError::Conflict(_)) => Ok(in_the_way.version),
            Err(PutError::Store(error)) => Err(error.into()),
        }
    }
}

pub(in crate::engine) fn written(put: Result<u64, PutError>) -> Result<u64, Refusal> {
    match put {
        Ok(version) => Ok(version),
        Err(PutError::Conflict(_)) => Err(Code::PreconditionFailed.into()),
        Err(PutError::Store(error)) => Err(error.into()),
    }
}

fn draft_id(program: &str, campaign_id: &str) -> String {
    format!("{program}/{campaign_id}")
}
