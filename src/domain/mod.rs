//! What the words mean: the rules of a voucher campaign as pure functions. No clock, no random source, no Redis, no HTTP.

pub mod campaign;
pub mod draw;
pub mod eligibility;
pub mod ids;
pub mod merchant;
pub mod money;
pub mod pass;
pub mod person;
pub mod refusal;
pub mod time;
