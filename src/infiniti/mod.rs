//! The target: Concord Infiniti's import API.

pub mod answer;
pub mod builder;
mod clash;
pub mod client;
pub mod contract;
mod error;
pub mod fingerprint;
pub mod image;
pub mod patron;
pub mod payload;
pub mod sandbox;
pub mod trace;
pub mod value;

pub use client::{Target, TargetError};
