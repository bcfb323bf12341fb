//! sispush reads patrons from a school's Student Information System (SIS) database and pushes them to Concord Infiniti.
//!
//! ```text
//! mapping file -> Mapping -> source: rows -> patron: patrons + rejections -> plan (against state, under limits)
//!              -> batches of CSV bytes -> target: receipts -> state + run record -> result, notifications, exit code
//! ```
//!
//! Of many mappings each goes this way by itself (`cli::push`); what they share stands in a base (`mapping::include`). The run
//! records are what `history` and `report` are made of (`state::read_history`, `ops::report`).
//!
//! What tests a mapping leaves this way early: `preview` at the patrons, or at the rows (`sync::columns`); `explain` at one
//! patron's row (`sync::find`, `infiniti::trace`); `test` at what the patrons must hold (`sync::expect`), which a push checks
//! before its plan. `init` goes it backwards, from rows to a mapping's text (`mapping::propose`). `ops::doctor` tries each
//! step by itself, and `ops::schedule` has the machine run the push at night.
//!
//! Invariants:
//! - `mapping`, `infiniti::patron`, `infiniti::trace`, `infiniti::payload`, `infiniti::image`, `state::layer`,
//!   `sync::expect`, `sync::plan`, `ops::notify::{event, text}` and `ops::report` (but for its server) do no I/O and read no
//!   clock; `mapping` reads its own files and looks its secrets up, by which a program may run.
//! - No patron leaves but by `sync::run`; a dry run stops just before it, with the very same plan.
//! - Only `cli::output` prints; only `main` exits.
//! - A row counts as accepted only if Infiniti said so; only `infiniti::client` makes a receipt. Before a batch leaves,
//!   the state says that its outcome is unknown.
//! - No error and no log line holds a secret or a value of a row: usernames, headers, columns and counts only. Values are
//!   shown by what is asked for them: `preview`, `explain`, `test --show-values`. Passwords never are.
//! - What goes further than that (the history, notifications, metrics, reports) holds counts, codes and our own words: no
//!   username, and nothing in the words of a database or of Infiniti (`Error::told`).
//! - What is told of a push comes after it, and changes nothing of what it came to.

pub mod cli;
pub mod error;
pub mod infiniti;
pub mod mapping;
pub mod ops;
pub mod process;
pub mod secret;
pub mod source;
pub mod state;
pub mod sync;
pub mod tls;
