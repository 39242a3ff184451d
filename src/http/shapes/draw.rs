//! What is published about a draw, and about packs that chance deals without one.

use serde_json::Value;
use utoipa::ToSchema;

use super::campaign_file::CampaignFile;
use super::office::PublishedAmendment;
use crate::domain::campaign::schema::Entropy;

/// What was fixed before the draw.
#[derive(ToSchema)]
pub struct DrawCommitment {
    campaign_id: String,
    round_id: String,
    /// Entries on the list.
    count: u64,
    /// Merkle root of the list, hex.
    root: String,
    rules_hash: String,
    /// Of the file with the amendments that were in force when the list closed.
    amended_rules_hash: Option<String>,
    secret_commitment: String,
    entropy: Vec<Entropy>,
    drand_round: Option<u64>,
    /// The version of the rules, where it is not `quanyu.draw.v1`.
    #[schema(example = "quanyu.draw.v2")]
    draw: Option<String>,
    closed_at: String,
}

/// Of a round that deals its packs by chance without a draw.
#[derive(ToSchema)]
pub struct DealCommitment {
    campaign_id: String,
    round_id: String,
    #[schema(example = "quanyu.deal.v2")]
    deal: String,
    rules_hash: String,
    secret_commitment: String,
}

/// Of a drawn round, or of one that deals its packs.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum RoundCommitment {
    Draw(DrawCommitment),
    Deal(DealCommitment),
}

/// All that `quanyu verify-draw` needs besides the two lists.
#[derive(ToSchema)]
pub struct DrawProof {
    #[serde(flatten)]
    commitment: DrawCommitment,
    secret: String,
    /// Hex of the public values, in the order of `entropy`.
    entropy_values: Vec<String>,
    drand_signature: Option<String>,
    cutoffs: Vec<Cutoff>,
    /// Where chance gives the packs: the last winner of each, by second score.
    tiers: Vec<Tier>,
    waves: Vec<WaveProof>,
    /// Where the packs were counted at the draw.
    supply: Option<Vec<CellCount>>,
    campaign: CampaignFile,
    amendments: Option<Vec<PublishedAmendment>>,
    entries_url: String,
    winners_url: String,
}

/// The last winner of a contest.
#[derive(ToSchema)]
pub struct Cutoff {
    /// null: the supply is not divided by channel.
    #[schema(required = true)]
    channel: Option<String>,
    /// null: chance decides, see `tiers`.
    #[schema(required = true)]
    pack_id: Option<String>,
    score: String,
    pseudonym: String,
    winners: u64,
}

#[derive(ToSchema)]
pub struct Tier {
    #[schema(required = true)]
    channel: Option<String>,
    pack_id: String,
    score: String,
    pseudonym: String,
    winners: u64,
}

#[derive(ToSchema)]
pub struct WaveProof {
    frozen_at: String,
    cutoffs: Vec<Cutoff>,
    tiers: Vec<Tier>,
    /// What was left to share, from `quanyu.draw.v2` on.
    supply: Option<Vec<CellCount>>,
}

#[derive(ToSchema)]
pub struct CellCount {
    #[schema(required = true)]
    channel: Option<String>,
    pack_id: String,
    count: u64,
}

#[derive(ToSchema)]
pub struct DealProof {
    #[serde(flatten)]
    commitment: DealCommitment,
    secret: String,
    supply: Vec<CellCount>,
    /// In a grant: the last name of each pack.
    cutoffs: Option<Vec<Cutoff>>,
}

#[derive(ToSchema)]
#[serde(untagged)]
pub enum RoundProof {
    Draw(Box<DrawProof>),
    Deal(DealProof),
}

/// One field of the campaign file and what it becomes; null where the file says nothing.
#[derive(ToSchema)]
pub struct PublishedChange {
    pointer: String,
    current: Value,
    target: Value,
}
