//! What the words mean: the rules of a voucher campaign as pure functions. No clock, no random source, no Redis, no HTTP.

pub mod basket;
pub mod campaign;
pub mod cashier;
pub mod claim_limit;
pub mod document;
pub mod draw;
pub mod eligibility;
pub mod goods;
pub mod ids;
pub mod industry;
pub mod limit;
pub mod merchant;
pub mod money;
pub mod order;
pub mod pass;
pub mod paycode;
pub mod person;
pub mod refund;
pub mod refusal;
pub mod release;
pub mod rules;
pub mod settlement;
pub mod time;
pub mod voucher;
