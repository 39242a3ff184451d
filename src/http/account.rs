//! A resident's consent to automatic deduction: payments of the token's account with its channel use the vouchers, without a pay code.

use actix_web::web::Data;
use actix_web::{delete, get, put};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::State;
use super::answer::{self, Answer};
use super::auth_resident::TokenHolder;
use super::body::{MaybeBody, NoBody};
use super::wallet::PayCodeRequest as NoMembers;
use crate::domain::account::Account;
use crate::domain::refusal::Refusal;
use crate::engine::resident::Resident;

pub fn configure(config: &mut ServiceConfig) {
    config.service(link_account).service(get_account).service(unlink_account);
}

#[derive(Serialize, ToSchema)]
pub struct AccountLinkBody {
    channel: String,
    /// Whether payments of this account use the caller's vouchers.
    linked: bool,
}

/// The account is what the identity provider calls the person: `sub`, within the token's channel.
fn account(state: &State, token: &TokenHolder) -> Result<(Resident, Account), Refusal> {
    let resident = state.engine.resident(&token.0.identity())?;
    let account = Account::parse(token.0.channel.clone(), token.0.sub.clone())?;
    Ok((resident, account))
}

/// From now on payments of the token's account use the caller's vouchers by themselves. An account that was another person's is the
/// caller's then: the identity provider vouches for it.
#[utoipa::path(tag = "resident", request_body(content = Option<NoMembers>), responses((status = 200, body = AccountLinkBody)))]
#[put("/v1/wallet/account")]
pub async fn link_account(state: Data<State>, token: TokenHolder, _: MaybeBody<NoMembers>) -> answer::Result {
    let (resident, account) = account(&state, &token)?;
    let changed = state.engine.link_account(&resident, &account, true).await?;
    let body = AccountLinkBody { channel: account.channel, linked: true };
    Ok(Answer::ok(&body).effect(&state.engine.settings.durability, !changed))
}

/// Whether payments of the token's account use the caller's vouchers.
#[utoipa::path(tag = "resident", responses((status = 200, body = AccountLinkBody)))]
#[get("/v1/wallet/account")]
pub async fn get_account(state: Data<State>, token: TokenHolder) -> answer::Result {
    let (resident, account) = account(&state, &token)?;
    let linked = state.engine.is_linked(&resident, &account).await?;
    Ok(Answer::ok(&AccountLinkBody { channel: account.channel, linked }))
}

/// Payments of the token's account leave the vouchers alone again.
#[utoipa::path(tag = "resident", responses((status = 200, body = AccountLinkBody)))]
#[delete("/v1/wallet/account")]
pub async fn unlink_account(state: Data<State>, token: TokenHolder, _: NoBody) -> answer::Result {
    let (resident, account) = account(&state, &token)?;
    let changed = state.engine.link_account(&resident, &account, false).await?;
    let body = AccountLinkBody { channel: account.channel, linked: false };
    Ok(Answer::ok(&body).effect(&state.engine.settings.durability, !changed))
}
