//! What the words mean: the rules of a voucher campaign as pure functions. No clock, no random source, no Redis, no HTTP.

pub mod area;
pub mod basket;
pub mod campaign;
pub mod cashier;
pub mod contact;
pub mod document;
pub mod draw;
pub mod eligibility;
pub mod ids;
pub mod merchant;
pub mod money;
pub mod order;
pub mod pass;
pub mod paycode;
pub mod person;
pub mod refund;
pub mod refusal;
pub mod release;
pub mod reserve_limit;
pub mod rules;
pub mod settlement;
pub mod stagger;
pub mod time;
pub mod voucher;
