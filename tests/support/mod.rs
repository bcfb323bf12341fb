//! What the tests share: servers, a sandbox, and a folder with a school in it.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its own part")]

pub mod context;
pub mod servers;
pub mod source_suite;
