//! Quanyu 券雨: a consumer-voucher engine. A city configures a campaign; residents reserve, a draw decides, a red-packet rain
//! reveals; merchants redeem at the till; every fen is in one account of a ledger that anybody can recompute.
//!
//! `domain` (rules, pure) <- `store` (Redis) <- `engine` (use cases) <- `http` (wire) <- `app`.

pub mod domain;

pub mod clock;
pub mod instance;
pub mod keyring;
pub mod signing;

pub mod store;

pub mod engine;

pub mod http;

pub mod verify;

pub mod certify;
pub mod rehearse;

pub mod app;
pub mod config;
pub mod telemetry;

pub mod cli;
