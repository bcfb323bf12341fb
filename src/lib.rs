//! sispush reads patrons from a school's Student Information System (SIS) database and pushes them to Concord Infiniti.
//!
//! ```text
//! mapping file -> Mapping -> source: rows -> patron: patrons + rejections -> plan (against state, under limits)
//!              -> batches: CSV or zip -> target: receipts -> state + run record -> result, notifications, exit code
//! ```
//!
//! Four feeds go this way: the accounts (`users`), and `contacts`, `images` and `groups`, which hang on them. A feed is data, a
//! `Contract` (`infiniti::contract`) and a mapping's `Feed`; each has its extracts, its patrons, its plan and its book of the
//! state. All are read in one session and planned before anything is sent (`sync::Request`), then sent in this order. What is
//! compared and accepted is all that a key has: one row, or its several rows together, or the content of its picture, which is
//! looked at while it is read and read again to be sent (`sync::album`).
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
//! - `mapping`, `infiniti::{contract, builder, patron, trace, payload, image, answer}`, `state::layer`, `sync::expect`,
//!   `sync::plan`, `ops::notify::{event, text}` and `ops::report` (but for its server) do no I/O and read no clock; `mapping`
//!   reads its own files and looks its secrets up, by which a program may run. A builder is handed who looks at pictures.
//! - No patron leaves but by `sync::run`; a dry run stops just before it, with the very same plans.
//! - Plans have one id and one approval; over a limit of any feed nothing is sent of any. Nothing of another feed leaves for
//!   somebody whose account Infiniti has not accepted.
//! - Only `cli::output` prints; only `main` exits.
//! - A row counts as accepted only if Infiniti said so, and a patron only with all rows; only `infiniti::client` makes a
//!   receipt. Before a batch leaves, the state says that its outcome is unknown, unless nobody was ever sent before.
//! - What is sent of several rows replaces what Infiniti has: while one of them is rejected, what it has stays.
//! - No error and no log line holds a secret or a value of a row: usernames, headers, columns and counts only. No picture is
//!   kept beyond the batch that it leaves in. Values are shown by what is asked for them: `preview`, `explain`,
//!   `test --show-values`. Passwords never are, and of a picture its description is.
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
