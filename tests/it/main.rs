//! One test crate, black box over HTTP against real `quanyu serve` processes with real Redis.
//!
//! `harness` starts and drives them, `oracle` predicts what they must answer. Feature tests bear
//! the name of their noun; `conservation`, `contention` and `bad_input` hold for all of them, and
//! `tidy` checks the repository itself. `histories` alone drives nodes inside this process, to stop
//! their calls between two steps.

mod four_eyes;
mod harness;
mod oracle;

mod amendment;
mod answers;
mod area;
mod audit;
mod bad_input;
mod callers;
mod campaign;
mod carried;
mod certify;
mod claim;
mod commands;
mod conservation;
mod contention;
mod drafts;
mod histories;
mod installation;
mod languages;
mod late;
mod list;
mod load;
mod merchant;
mod openapi;
mod order;
mod plays;
mod pool;
mod reservation;
mod roles;
mod scope;
mod settings;
mod settlement;
mod store_health;
mod store_link;
mod store_process;
mod strangers;
mod tidy;
mod told;
mod unreadable;
mod wallet_history;
