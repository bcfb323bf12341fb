//! The state: what Infiniti has accepted, never what was hoped.
//!
//! One store, a SQLite file or a PostgreSQL database, holds a *book* for every mapping, the target it pushes to, and the
//! feed. A book has a random key, some facts, and what is known of its patrons, in *layers*: each layer is a list of patrons in
//! key order, packed into pages, and what a later layer says of a patron overrides what an earlier one says. So a
//! transaction writes only what it changes, a million patrons are read at the speed of the disk, and both databases hold
//! the very same bytes ([`layer`] has the format).
//!
//! A batch leaves two traces. Before its first byte is sent, a layer says that the outcome of its patrons is unknown;
//! after the receipt, one transaction replaces that layer by one with what Infiniti said, row by row. Whatever happens
//! in between, a cut connection or a cut power line, the state is right: it does not know, so the patrons are sent again.
//!
//! No value of a pupil is kept beyond the username: rows are [fingerprints](crate::infiniti::fingerprint).

mod book;
mod error;
mod history;
pub mod layer;
mod open;
mod place;
mod postgres;
mod run;
mod sqlite;
mod store;
mod summary;

pub use book::Facts;
pub use error::StateError;
pub use history::{History, read as read_history};
pub use layer::{Accepted, Entry, Moment, Outcome, Standing};
pub use open::{Identity, State};
pub use place::{Place, default_file};
pub use run::Run;
pub use store::{Owner, RUNS_KEPT_DAYS};
pub use summary::{Expectations, Seconds, Summary};

/// The version of the store's tables and of the pages in them.
///
/// | version | change |
/// |---:|---|
/// | 1 | the first |
/// | 2 | notices: what each channel of notifications was told last |
/// | 3 | a book for each feed; those before are of `users` |
///
/// An older store is upgraded when it is opened for a push; a newer one is refused. Before a change, think of the old
/// and the new program, and of the old and the new store.
pub const STATE_VERSION: u32 = 3;
