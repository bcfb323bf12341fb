//! What the tests share: servers, a sandbox, and a folder with a school in it.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its own part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests may fail the test")]

pub mod browser;
pub mod context;
pub mod drops;
#[cfg(unix)]
pub mod every_feed;
pub mod feeds;
#[cfg(unix)]
pub mod gate;
pub mod network;
pub mod receivers;
pub mod servers;
pub mod shipped;
pub mod source_suite;
pub mod state_suite;
#[cfg(unix)]
pub mod units;
