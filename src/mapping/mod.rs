//! Mapping files: one YAML file is one school's sync.
//!
//! [`Mapping::load`] reads a file and checks everything that needs no network: every problem found is reported at
//! once, each with its place ([`MappingError`]). References to secrets (`${NAME}`, `${file:PATH}` and others) stay as they are
//! until [`Mapping::resolve`], so any character in a secret is safe.
//!
//! A mapping may include one base with what others share: the two are read as one document, whose places know their file.
//!
//! The format itself is data ([`keys`]), of which [`schema`] makes a JSON Schema. A new mapping is one of [`shipped`], or made
//! from a look at the database ([`propose`]).

mod check;
mod code;
mod diagnostic;
mod dotenv;
mod expect;
mod include;
pub mod keys;
mod load;
mod lookup;
mod mask;
pub mod notify;
pub mod propose;
pub mod schema;
mod secret;
mod settings;
mod share;
pub mod shipped;
mod state;
mod syntax;
mod template;
mod text;
mod transform;
mod yaml;

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;

pub(crate) use check::{duration, school_address};
pub use code::Code;
pub use diagnostic::{MappingError, Problem, Severity};
pub(crate) use dotenv::{line as secret_line, names as secret_names};
pub use expect::{Check, Consequence, Expectation, ValueRule};
pub(crate) use include::base_of;
pub use keys::nearest;
pub use load::{Found, Part, find};
pub(crate) use load::{folder_of, resolve_new_source};
pub use lookup::Lookup;
pub use notify::Notify;
pub use secret::Origin;
pub(crate) use secret::{bare, environment, keyring, stop_commands};
pub use settings::{Hold, LeaverAction, Leavers, Limit, Limits, Mode};
pub use share::{Shareable, shareable};
pub use state::{StateLocation, StateLocationError};
pub use template::{Template, TemplateError, TemplateFailure};
pub use transform::Transform;

use crate::infiniti::contract::{Contract, Header};
use crate::source::Connection;

/// A mapping that passed every check that needs no network.
#[derive(Debug)]
pub struct Mapping {
    /// The key of its state and history: the file's stem unless `name` says otherwise.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The base that it includes.
    pub base: Option<PathBuf>,
    /// Where patrons are read.
    pub source: Connection,
    /// Where they are pushed.
    pub target: TargetSettings,
    /// The accounts. Their extracts are never empty.
    pub users: Feed,
    /// The other feeds, in the order in which they are sent.
    pub others: Vec<Feed>,
    /// What a push sends.
    pub mode: Mode,
    /// In delta mode, how often everybody is sent all the same: what is edited in Infiniti by hand, a delta does not
    /// see.
    pub full_every: Option<Duration>,
    /// What happens to those whom the source no longer has.
    pub leavers: Leavers,
    /// When nothing is sent.
    pub hold: Vec<Hold>,
    /// Where it is kept what Infiniti has accepted.
    pub state: StateLocation,
    /// What must hold of the data, in the order of the file.
    pub expect: Vec<Expectation>,
    /// Who is told what became of a push. References to secrets stay as they are ([`notify::contact`]).
    pub notify: Notify,
    /// What is allowed but looks wrong.
    pub warnings: Vec<Problem>,
    /// What [`Mapping::resolve`] has yet to do.
    unresolved: load::Unresolved,
}

impl Mapping {
    /// All feeds, in the order in which they are sent.
    pub fn feeds(&self) -> impl Iterator<Item = &Feed> {
        std::iter::once(&self.users).chain(&self.others)
    }

    /// The hold that is in force on a day.
    pub fn hold_on(&self, day: jiff::civil::Date) -> Option<&Hold> {
        self.hold.iter().find(|hold| (hold.from..=hold.until).contains(&day))
    }
}

/// Where and how to post.
#[derive(Clone, Debug)]
pub struct TargetSettings {
    /// The school's address, without a path: `https://example.concordinfiniti.com`.
    pub url: url::Url,
    /// The account that imports.
    pub username: String,
    /// Its password.
    pub password: Secret,
    /// The longest wait for the answer to one batch.
    pub timeout: Duration,
    /// Rows a batch; `None` is one POST.
    pub batch_rows: Option<std::num::NonZeroUsize>,
    /// How often a batch is tried again after a transient failure.
    pub retries: u32,
    /// Whether a batch whose answer did not come in time is tried again. Off: the import may still be running.
    pub retry_timeouts: bool,
    /// Which proxy.
    pub proxy: Proxy,
    /// An authority to trust beside the operating system's, as PEM.
    pub ca_file: Option<PathBuf>,
}

/// Which proxy to go through.
#[derive(Clone, Debug)]
pub enum Proxy {
    /// The system's: `HTTPS_PROXY` and `NO_PROXY`, or the Windows settings.
    System,
    /// None, whatever the system says.
    Off,
    /// This one. May hold a username and a password, so never shown.
    Url(Secret),
}

/// What goes to one place of Infiniti's import.
#[derive(Clone, Debug)]
pub struct Feed {
    /// What Infiniti says of it.
    pub contract: &'static Contract,
    /// Its queries, in the order of the file.
    pub extracts: Vec<Extract>,
    /// Where it is posted to, below the school's address: with the mode in its place.
    pub path: String,
    /// What a plan may do.
    pub limits: Limits,
    /// A header whose name in the CSV is a setting, and that name.
    pub renamed: Option<(Header, String)>,
    /// Of [`Kind::Group`](crate::infiniti::contract::Kind::Group), the groups that may be sent, as Infiniti spells them.
    pub allow: Vec<String>,
    /// Of pictures, where they are and how they are sent.
    pub images: Option<ImageSettings>,
}

impl Feed {
    /// A feed of queries that is posted to the path of its contract.
    pub fn new(contract: &'static Contract, extracts: Vec<Extract>, limits: Limits) -> Self {
        let path = contract.path.unwrap_or_default().to_owned();
        Self { contract, extracts, path, limits, renamed: None, allow: Vec::new(), images: None }
    }

    /// The name of a header as the CSV has it.
    pub fn header_name(&self, header: Header) -> &str {
        match &self.renamed {
            Some((renamed, name)) if *renamed == header => name,
            _ => self.contract.rule(header).name,
        }
    }
}

/// Where pictures are, and how they are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSettings {
    /// The folder of the files: all that are in it, or those that the queries name.
    pub folder: Option<PathBuf>,
    /// Whether the feed's rows are the files of the folder: `adminsystemid`, which is the file's name without its ending, and
    /// `file`. Otherwise they are those of queries.
    pub is_listed: bool,
    /// Whether they are brought within the size that Infiniti shows.
    pub resize: bool,
    /// The most bytes of one zip.
    pub max_zip: u64,
}

/// One query of a feed, and how its columns become headers.
#[derive(Clone, Debug)]
pub struct Extract {
    /// Its name, for messages. Unique within the mapping, whatever its feed.
    pub name: String,
    /// The SQL. Of a folder that is [listed](ImageSettings::is_listed) there is none.
    pub query: String,
    /// The file that the SQL stands in, as the mapping names it; `None` if it stands in the mapping.
    pub query_file: Option<PathBuf>,
    /// The file in which it stands: the mapping, or its base.
    pub file: PathBuf,
    /// The line of that file in which the SQL, or its file, is named.
    pub line: usize,
    /// The fewest rows that it must give, in the place of [`Limits::min_rows`].
    pub min_rows: Option<u64>,
    /// The rules, in the contract's order. Every mandatory header has one.
    pub rules: Vec<Rule>,
}

/// How one header is filled: input, then lookup, then transforms, then default.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The header.
    pub header: Header,
    /// Where the value comes from.
    pub input: Input,
    /// A table from value to value.
    pub lookup: Option<Lookup>,
    /// Changes to the text, in order.
    pub transforms: Vec<Transform>,
    /// What a blank becomes. `Some("")` says that a blank is sent, and may clear what Infiniti holds; without a
    /// default a blank is left out of what is sent.
    pub default: Option<String>,
    /// When it is sent.
    pub send: Send,
    /// What stands between several values in one cell, each of which makes a row of its own. The cell is cut first: lookup,
    /// transforms and default are of each part. Never blank; only of a [`Kind::Reach`](crate::infiniti::contract::Kind::Reach).
    pub split: Option<String>,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub enum Input {
    /// A column of the result, matched without regard to case.
    Column(String),
    /// The same text in every row.
    Value(String),
    /// Text made of columns.
    Template(Template),
}

/// When a header is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Send {
    /// With every row.
    Always,
    /// Only for patrons that Infiniti has not accepted yet.
    Create,
}
