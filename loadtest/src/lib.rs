//! Load for a running Quanyu, as a stranger who knows only the public API.
//!
//! [`engine`] is the client: it knows HTTP and nothing of vouchers, and serves closed loops as well as open ones.

pub mod engine;
