//! The format of mapping files as data: every key with its kind, its default and what it means.
//!
//! The checks for unknown and missing keys, the reference tables in `mappings/README.md` and the JSON Schema all come from
//! here.

use std::fmt::Write as _;
use std::time::Duration;

/// A group of keys.
#[derive(Debug)]
pub struct Shape {
    /// Where the group stands: `source`, `users[].columns.HEADER`; blank for the file itself. What several feeds have stands
    /// below `users[]` or [`FEED`].
    pub path: &'static str,
    /// Its keys, in the order of the reference.
    pub keys: &'static [Key],
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// The key as written.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
    /// What holds when it is not there, as it would be written.
    pub default: Option<&'static str>,
    /// One line for the reference.
    pub about: &'static str,
}

/// What the value of a key looks like.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Text.
    Text,
    /// Text that may hold references to secrets: `${NAME}`, `${file:PATH}` and the other kinds.
    Secret,
    /// `true` or `false`.
    Switch,
    /// A whole number, from and to these.
    Count(u64, u64),
    /// `90s`, `5m`, `1h30m`, `7d`: from and to these.
    Duration(Duration, Duration),
    /// A day: `2026-12-10`.
    Date,
    /// A count, or per cent: `20`, `5%`.
    Limit,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A file, relative to the folder of the file in which it is named.
    Path,
    /// A folder, relative likewise.
    Folder,
    /// `95MiB`, `30MB`: from and to these, in bytes.
    Size(u64, u64),
    /// A group of keys.
    Group(&'static Shape),
    /// A list of groups of keys.
    List(&'static Shape),
    /// A number, perhaps with a fraction.
    Number,
    /// A list of texts.
    Texts,
    /// A list of some of these words.
    SomeOf(&'static [&'static str]),
    /// From names to texts.
    Table,
    /// From headers to rules.
    Columns,
    /// A list of transforms.
    Transforms,
    /// The word alone, without a value.
    Word,
}

const DAY: Duration = Duration::from_hours(24);

/// Of one request or query. A run comes every day, so longer makes no sense.
const TIMEOUT: Kind = Kind::Duration(Duration::from_secs(1), DAY);

/// More than any school year.
const YEAR: Duration = Duration::from_hours(366 * 24);

const fn key(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { name, kind, required: false, default: None, about }
}

const fn required(name: &'static str, kind: Kind, about: &'static str) -> Key {
    Key { required: true, ..key(name, kind, about) }
}

const fn with_default(name: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Key {
    Key { default: Some(default), ..key(name, kind, about) }
}

/// The file itself.
pub static ROOT: Shape = Shape {
    path: "",
    keys: &[
        required("version", Kind::OneOf(&["1"]), "the version of the format"),
        key(
            "name",
            Kind::Text,
            "the key of the mapping's history: letters, digits, `-`, `_`, `.`; without it the file's name, less its ending",
        ),
        key("include", Kind::Path, "a base file, whose keys hold where this one has none: what schools share"),
        required("source", Kind::Group(&SOURCE), "the database that patrons are read from"),
        required("target", Kind::Group(&TARGET), "the Infiniti that they are pushed to"),
        with_default(
            "mode",
            Kind::OneOf(&["full", "delta"]),
            "full",
            "what is sent: everybody, or who is new or changed since Infiniti accepted them last",
        ),
        key(
            "full_every",
            Kind::Duration(Duration::from_hours(1), YEAR),
            "in delta mode, send everybody at least this often",
        ),
        required("users", Kind::List(&EXTRACT), "the queries that give patron accounts, at least one"),
        key("contacts", Kind::Group(&CONTACTS), "whom the library writes to about a patron: addresses and numbers"),
        key("images", Kind::Group(&IMAGES), "the patrons' pictures, from a folder or from the database"),
        key("groups", Kind::Group(&GROUPS), "which library groups a patron is in"),
        key("leavers", Kind::Group(&LEAVERS), "what happens to those whom the queries no longer give"),
        key("hold", Kind::List(&HOLD), "days on which nothing is sent"),
        key("limits", Kind::Group(&LIMITS), "what stops a push before anything is sent"),
        key(
            "expect",
            Kind::List(&EXPECT),
            "what must hold of the data: checked by `sispush test` and before every push",
        ),
        key(
            "state",
            Kind::Secret,
            "where it is kept what Infiniti has accepted: a file, `postgres://user@host/database`, or `none`; without it the platform's usual place",
        ),
        key("notify", Kind::Group(&NOTIFY), "who is told what became of a push, and how"),
        // Whoever writes this file gives the leave, and nobody else: no file that it includes may.
        with_default(
            "allow_commands",
            Kind::Switch,
            "false",
            "whether `${command:…}` may run programs; only its owner may then be able to write the mapping",
        ),
    ],
};

/// The keys of [`ROOT`] that a base cannot have.
pub const OF_MAPPING: [&str; 3] = ["name", "include", "allow_commands"];

/// `source`.
pub static SOURCE: Shape = Shape {
    path: "source",
    keys: &[
        required(
            "url",
            Kind::Secret,
            "`mssql://`, `postgres://`, `mysql://`, `sqlite:FILE`, `csv:FOLDER`, `odbc:SOURCE`, or an ADO.NET connection string",
        ),
        key("username", Kind::Secret, "the login, unless `url` names it"),
        key("password", Kind::Secret, "its password; write a reference such as `${SIS_PASSWORD}`"),
        with_default("timeout", TIMEOUT, "5m", "the longest that a query may take"),
        key(
            "encryption",
            Kind::OneOf(&["strict", "required", "login", "off", "preferred"]),
            "how the connection is encrypted; without it `required`, to this machine itself `preferred`",
        ),
        with_default("trust_server_certificate", Kind::Switch, "false", "encrypt without checking who the server is"),
        key("ca_file", Kind::Path, "a certificate authority to trust beside the system's, as PEM"),
    ],
};

/// `target`.
pub static TARGET: Shape = Shape {
    path: "target",
    keys: &[
        required("url", Kind::Text, "the school's address: `https://example.concordinfiniti.com`"),
        required("username", Kind::Secret, "the account that imports"),
        required("password", Kind::Secret, "its password; write a reference such as `${INFINITI_PASSWORD}`"),
        with_default("timeout", TIMEOUT, "10m", "the longest wait for the answer to one batch"),
        with_default("batch_rows", Kind::Count(0, 10_000_000), "5000", "rows in one POST; `0` sends all in one"),
        with_default(
            "retries",
            Kind::Count(0, 100),
            "4",
            "how often a batch is tried again after a failure that may pass",
        ),
        with_default(
            "retry_timeouts",
            Kind::Switch,
            "false",
            "whether that holds for an answer that did not come in time; the import may still be running then",
        ),
        with_default("proxy", Kind::Secret, "system", "`system`, `none`, or the address of a proxy"),
        key(
            "ca_file",
            Kind::Path,
            "a certificate authority to trust beside the system's, as PEM: for a school filter that inspects TLS",
        ),
    ],
};

/// `leavers`.
pub static LEAVERS: Shape = Shape {
    path: "leavers",
    keys: &[
        with_default(
            "action",
            Kind::OneOf(&["report", "deactivate", "ignore"]),
            "report",
            "what is done: they are named, or sent with `enabled` as `N`, or nothing",
        ),
        with_default(
            "after",
            Kind::Duration(Duration::ZERO, YEAR),
            "3d",
            "how long somebody must be missing before being deactivated",
        ),
    ],
};

/// An item of `hold`.
pub static HOLD: Shape = Shape {
    path: "hold[]",
    keys: &[
        required("from", Kind::Date, "the first day on which nothing is sent"),
        required("until", Kind::Date, "the last day on which nothing is sent"),
        required("reason", Kind::Text, "why, for those who wonder: `year rollover`"),
    ],
};

/// `limits`.
pub static LIMITS: Shape = Shape {
    path: "limits",
    keys: &[
        with_default(
            "min_rows",
            Kind::Count(0, u64::MAX),
            "1",
            "the fewest rows that each query must give, unless it has a `min_rows` of its own",
        ),
        with_default(
            "min_rows_in_all",
            Kind::Count(0, u64::MAX),
            "0",
            "the fewest rows that all queries must give together",
        ),
        with_default(
            "max_drop",
            Kind::Limit,
            "25%",
            "how many fewer rows than in the last good run there may be, of each query and of all together; per cent of the rows of that run",
        ),
        key(
            "max_creates",
            Kind::Limit,
            "the most patrons that may be new; per cent of the patrons that Infiniti has accepted so far",
        ),
        key(
            "max_updates",
            Kind::Limit,
            "the most patrons that may change; per cent of the patrons that Infiniti has accepted so far",
        ),
        with_default(
            "max_deactivations",
            Kind::Limit,
            "10%",
            "the most patrons that may be deactivated; per cent of the patrons that Infiniti has accepted so far",
        ),
        with_default(
            "max_rejections",
            Kind::Limit,
            "25%",
            "the most rows that may be rejected; per cent of all rows read",
        ),
    ],
};

/// What stands in the path of a group for the feed's own key: `contacts`, `images` or `groups`.
pub const FEED: &str = "FEED";

/// `limits` of a feed.
pub static FEED_LIMITS: Shape = Shape {
    path: "FEED.limits",
    keys: &[
        key("min_rows", Kind::Count(0, u64::MAX), "the fewest rows that each query of the feed must give"),
        with_default(
            "min_rows_in_all",
            Kind::Count(0, u64::MAX),
            "0",
            "the fewest rows that all queries of the feed must give together",
        ),
        key("max_drop", Kind::Limit, "how many fewer rows than in the last good run there may be"),
        key("max_creates", Kind::Limit, "the most patrons that the feed may have for the first time"),
        key("max_updates", Kind::Limit, "the most patrons of whom something may change"),
        key("max_rejections", Kind::Limit, "the most rows that may be rejected"),
    ],
};

const LIMITS_OF_FEED: Key =
    key("limits", Kind::Group(&FEED_LIMITS), "what stops a push: each key in the place of the mapping's `limits`");

const EXTRACTS_OF_FEED: Key = required("extracts", Kind::List(&EXTRACT), "the queries, as those of `users`");

/// `contacts`.
pub static CONTACTS: Shape = Shape {
    path: "contacts",
    keys: &[
        with_default(
            "mode",
            Kind::Text,
            "replaceDeclaredPatronsKeepCustomContacts",
            "what Infiniti does with the contacts that a patron has: this mode replaces them, but for those made by hand; only this one was seen at work",
        ),
        EXTRACTS_OF_FEED,
        LIMITS_OF_FEED,
    ],
};

/// `images`.
pub static IMAGES: Shape = Shape {
    path: "images",
    keys: &[
        required(
            "path",
            Kind::Text,
            "where Infiniti takes pictures, from the `/` after the host on; it is not publicly known: look at Infiniti's help page \"autoSync patron images\", or ask Concord's support",
        ),
        key(
            "folder",
            Kind::Folder,
            "the folder of the pictures, each named by the patron's `adminsystemid`: `00012345.jpg`; with `extracts` where the paths of `file` start",
        ),
        key("extracts", Kind::List(&EXTRACT), "queries that give the pictures, in the place of all files of `folder`"),
        with_default("resize", Kind::Switch, "false", "bring each picture within 200 x 200 pixels and 160 KB"),
        with_default(
            "max_zip",
            Kind::Size(MIB, 95 * MIB),
            "95MiB",
            "the most that goes in one zip: Infiniti takes less than 100 MB; an older page of its help says 32 MB, so write `30MB` if larger ones are refused",
        ),
        LIMITS_OF_FEED,
    ],
};

const MIB: u64 = 1024 * 1024;

/// `groups`.
pub static GROUPS: Shape = Shape {
    path: "groups",
    keys: &[
        required(
            "path",
            Kind::Text,
            "where Infiniti takes groups, from the `/` after the host on; `{mode}` in it is replaced by `mode`; it is not publicly known: look at Infiniti's help page \"autoSync patron groups\", or ask Concord's support",
        ),
        key(
            "mode",
            Kind::Text,
            "what Infiniti does with the groups that a patron has, if `path` has `{mode}`; Infiniti's help page \"autoSync patron groups\" names the modes",
        ),
        required(
            "header",
            Kind::Text,
            "what Infiniti calls the group's column in the CSV; Infiniti's help page \"autoSync patron groups\" names it",
        ),
        required(
            "allow",
            Kind::Texts,
            "the groups that may be sent, as Infiniti spells them; a row of any other is rejected, since Infiniti's own groups, such as that of its administrators, are within reach",
        ),
        EXTRACTS_OF_FEED,
        LIMITS_OF_FEED,
    ],
};

/// An item of `expect`.
pub static EXPECT: Shape = Shape {
    path: "expect[]",
    keys: &[
        key("extract", Kind::Text, "only rows and patrons of this query; without it those of all"),
        key("header", Kind::Text, "the header whose values are looked at, as they would be sent; blanks are left out"),
        key(
            "rows",
            Kind::Group(&ROWS),
            "how many rows there may be; exactly one of this and the keys from here to `freshness`",
        ),
        key("filled", Kind::Limit, "of `header`: at least so many patrons have a value; per cent of the patrons"),
        key(
            "matches",
            Kind::Text,
            "of `header`: a regular expression that each value matches; `^` and `$` make it the whole value",
        ),
        key("one_of", Kind::Texts, "of `header`: each value is one of these"),
        key("unique", Kind::Switch, "of `header`: no two patrons share a value"),
        key("range", Kind::Group(&RANGE), "of `header`: each value is a number within these bounds"),
        key(
            "no_new_values",
            Kind::Switch,
            "of `header`: each value was among those of an earlier push; for headers with few values, such as `formclass`",
        ),
        key("is", Kind::Table, "of `patron`: from headers to the values that this one patron must have"),
        key("freshness", Kind::Group(&FRESHNESS), "how old the data may be"),
        key("patron", Kind::Text, "a username, for `is`"),
        with_default(
            "severity",
            Kind::OneOf(&["error", "warn"]),
            "error",
            "what happens when it does not hold: nothing is sent, or the report says so",
        ),
    ],
};

/// The keys of which an item of `expect` has exactly one.
pub const CHECKS: [&str; 9] =
    ["rows", "filled", "matches", "one_of", "unique", "range", "no_new_values", "is", "freshness"];

/// `rows` of an item of `expect`.
pub static ROWS: Shape = Shape {
    path: "expect[].rows",
    keys: &[
        key("min", Kind::Count(0, u64::MAX), "the fewest rows"),
        key("max", Kind::Count(0, u64::MAX), "the most rows"),
    ],
};

/// `range` of an item of `expect`.
pub static RANGE: Shape = Shape {
    path: "expect[].range",
    keys: &[key("min", Kind::Number, "the lowest value"), key("max", Kind::Number, "the highest value")],
};

/// `freshness` of an item of `expect`.
pub static FRESHNESS: Shape = Shape {
    path: "expect[].freshness",
    keys: &[
        required(
            "query",
            Kind::Text,
            "one SELECT that gives one time, such as the newest change: `2026-11-23 02:00:00`, with an offset, or in this machine's time zone",
        ),
        key("warn_after", Kind::Duration(Duration::from_mins(1), YEAR), "the report says so when the time is older"),
        key("error_after", Kind::Duration(Duration::from_mins(1), YEAR), "nothing is sent when the time is older"),
    ],
};

/// An item of `users`, or of `extracts` in another feed.
pub static EXTRACT: Shape = Shape {
    path: "users[]",
    keys: &[
        required("name", Kind::Text, "a name for messages, unlike those of all other queries, whatever their feed"),
        key("query", Kind::Text, "the SQL: one SELECT; this or `query_file`"),
        key("query_file", Kind::Path, "a file that holds the SQL"),
        key(
            "min_rows",
            Kind::Count(0, u64::MAX),
            "the fewest rows that this query must give, in the place of `limits.min_rows`",
        ),
        required(
            "columns",
            Kind::Columns,
            "for each header where its values come from: the name of a result column, or the keys below",
        ),
    ],
};

/// A value of `columns`, when it is more than the name of a result column.
pub static RULE: Shape = Shape {
    path: "users[].columns.HEADER",
    keys: &[
        key(
            "column",
            Kind::Text,
            "a result column, matched without regard to case; exactly one of `column`, `value` and `template`",
        ),
        key("value", Kind::Text, "the same text in every row, as written: `N`, `no` and `007` stay"),
        key("template", Kind::Text, "text made of result columns: `\"{{ Year + 12 }}\"`"),
        key("lookup", Kind::Table, "from values to values, without regard to case; `\"*\"` is any other"),
        key("transform", Kind::Transforms, "changes to the text, in order, after the lookup"),
        key(
            "default",
            Kind::Text,
            "what a blank becomes; `\"\"` sends the blank, without a default a blank is not sent",
        ),
        with_default(
            "send",
            Kind::OneOf(&["always", "create"]),
            "always",
            "`create`: only for patrons that Infiniti has not accepted yet; of `users` only",
        ),
        key(
            "split",
            Kind::Text,
            "of `contact` only: what stands between several addresses or numbers in one cell, each of which makes a row: `\";\"`",
        ),
    ],
};

/// An item of `transform`: a word, or one of the keys.
pub static TRANSFORM: Shape = Shape {
    path: "users[].columns.HEADER.transform[]",
    keys: &[
        key("lower", Kind::Word, "lower case"),
        key("upper", Kind::Word, "upper case"),
        key("title", Kind::Word, "a capital at the start of each word, the rest lower"),
        key("digits", Kind::Word, "only the digits 0 to 9"),
        key("strip_accents", Kind::Word, "`é` becomes `e`, `ø` becomes `o`"),
        key("first_of", Kind::Text, "the first part that is not blank, split by this text: `first_of: \";\"`"),
        key("replace", Kind::Group(&REPLACE), "replace what a regular expression matches"),
    ],
};

/// `replace` in an item of `transform`.
pub static REPLACE: Shape = Shape {
    path: "users[].columns.HEADER.transform[].replace",
    keys: &[
        required("pattern", Kind::Text, "a regular expression; put it in single quotes"),
        required("with", Kind::Text, "the replacement; `$1` is the first group, `$$` a dollar sign"),
    ],
};

/// `notify`.
pub static NOTIFY: Shape = Shape {
    path: "notify",
    keys: &[
        key("webhook", Kind::List(&WEBHOOK), "addresses that a message is posted to"),
        key("email", Kind::Group(&EMAIL), "a mail to these people"),
        key(
            "heartbeat",
            Kind::Secret,
            "an address that is asked for (GET) after each push that ended well, so that whoever watches it misses the ones that did not",
        ),
        key(
            "metrics",
            Kind::Secret,
            "a file of metrics for Prometheus' node exporter, relative to the mapping; several mappings may share one",
        ),
        key(
            "not_run_since",
            Kind::Duration(Duration::from_hours(1), YEAR),
            "when no push has ended well for so long, that is told: by the next push, and by `sispush notify overdue`",
        ),
        with_default(
            "remind_every",
            Kind::Duration(Duration::from_hours(1), YEAR),
            "7d",
            "what stays as wrong as it was is told again after this time",
        ),
        key("subject", Kind::Text, "a template of a message's first line, in the place of the usual one"),
        key("text", Kind::Text, "a template of the rest of it"),
    ],
};

/// What can be told, as `on` names it.
pub const EVENTS: [&str; 5] = ["failed", "limit", "rejections", "recovered", "overdue"];

const ON: Key = key("on", Kind::SomeOf(&EVENTS), "what is told there; without it everything");

/// An item of `webhook` in `notify`.
pub static WEBHOOK: Shape = Shape {
    path: "notify.webhook[]",
    keys: &[
        required("url", Kind::Secret, "the address, which is a secret: write a reference such as `${TEAMS_URL}`"),
        with_default(
            "style",
            Kind::OneOf(&["json", "teams", "slack"]),
            "json",
            "what is posted: fields for a program, or a message for Microsoft Teams (Workflows) or Slack",
        ),
        ON,
    ],
};

/// `email` in `notify`.
pub static EMAIL: Shape = Shape {
    path: "notify.email",
    keys: &[
        required("host", Kind::Text, "the mail server (SMTP)"),
        key("port", Kind::Count(1, 65_535), "its port; without it 587, with `security: tls` 465"),
        with_default(
            "security",
            Kind::OneOf(&["starttls", "tls", "none"]),
            "starttls",
            "how the connection is encrypted; `none` is for this machine itself only",
        ),
        key("username", Kind::Secret, "the account, if the server wants a login"),
        key("password", Kind::Secret, "its password; write a reference such as `${SMTP_PASSWORD}`"),
        required("from", Kind::Text, "the sender's address"),
        required("to", Kind::Texts, "the addresses of those who are told"),
        ON,
    ],
};

/// Every group, in the order of the reference.
pub static SHAPES: [&Shape; 21] = [
    &ROOT,
    &SOURCE,
    &TARGET,
    &LEAVERS,
    &HOLD,
    &LIMITS,
    &EXPECT,
    &ROWS,
    &RANGE,
    &FRESHNESS,
    &NOTIFY,
    &WEBHOOK,
    &EMAIL,
    &EXTRACT,
    &RULE,
    &TRANSFORM,
    &REPLACE,
    &CONTACTS,
    &IMAGES,
    &GROUPS,
    &FEED_LIMITS,
];

impl Shape {
    /// The key of that name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The key with its path, as messages and people call it: `source.url`.
    pub fn path_of(&self, name: &str) -> String {
        let path = self.path.trim_start_matches("users[].").trim_start_matches("users[]").replace("[]", "");
        if path.is_empty() || path.starts_with("columns") { name.to_owned() } else { format!("{path}.{name}") }
    }

    /// The group as the reference calls it.
    fn title(&self) -> String {
        let last = self.path.rsplit('.').next().unwrap_or_default();
        match last.strip_suffix("[]") {
            Some("users") => "Each item of `users`, and of `extracts` in the other feeds".to_owned(),
            Some(items) => format!("Each item of `{items}`"),
            None if self.path.starts_with(FEED) => format!("`{last}` of `contacts`, `images` and `groups`"),
            None if last.is_empty() => "The file".to_owned(),
            None if last == "HEADER" => "Each header in `columns`".to_owned(),
            None => format!("`{last}`"),
        }
    }
}

impl Kind {
    /// What may be written, for the reference.
    pub fn words(self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Secret => "text with references".into(),
            Self::Switch => "`true` or `false`".into(),
            Self::Count(least, u64::MAX) => format!("a whole number from {least}"),
            Self::Count(least, most) => format!("a whole number from {least} to {most}"),
            Self::Duration(least, most) => format!("a duration from {} to {}", duration(least), duration(most)),
            Self::Date => "a day: `2026-12-10`".into(),
            Self::Limit => "a count or per cent: `20`, `5%`".into(),
            Self::OneOf(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
            Self::Path => "a file, relative to the mapping".into(),
            Self::Folder => "a folder, relative to the mapping".into(),
            Self::Size(least, most) => format!("a size from {} to {}", size(least), size(most)),
            Self::Group(_) => "a group of keys".into(),
            Self::List(_) => "a list of groups of keys".into(),
            Self::Number => "a number".into(),
            Self::Texts => "a list of texts".into(),
            Self::SomeOf(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
                format!("a list of some of {}", words.join(", "))
            }
            Self::Table => "a table from text to text".into(),
            Self::Columns => "a table from headers to rules".into(),
            Self::Transforms => "a list of transforms".into(),
            Self::Word => "the word alone".into(),
        }
    }
}

/// A bound of a duration, in the largest unit that people would use.
fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (number, unit) = match seconds {
        0 => (0, 'd'),
        // One day is `24h`: nobody asks for a timeout of `1d`.
        _ if duration > DAY && seconds.is_multiple_of(24 * 3600) => (seconds / (24 * 3600), 'd'),
        _ if seconds.is_multiple_of(3600) => (seconds / 3600, 'h'),
        _ if seconds.is_multiple_of(60) => (seconds / 60, 'm'),
        _ => (seconds, 's'),
    };
    format!("`{number}{unit}`")
}

/// A bound of a size, in the unit in which it is whole.
fn size(bytes: u64) -> String {
    if bytes.is_multiple_of(MIB) { format!("`{}MiB`", bytes / MIB) } else { format!("`{}MB`", bytes / 1_000_000) }
}

/// The reference of all keys as Markdown tables, one for each group: what stands in `mappings/README.md`.
pub fn reference() -> String {
    let mut out = String::new();
    for shape in SHAPES {
        if !out.is_empty() {
            out.push('\n');
        }
        // Writing into a String cannot fail.
        let _ = writeln!(out, "### {}\n\n| key | value | default | meaning |\n|---|---|---|---|", shape.title());
        for key in shape.keys {
            let default = match key.default {
                Some(default) => format!("`{default}`"),
                None if key.required => "required".into(),
                None => "—".into(),
            };
            let cell = |text: &str| text.replace('|', "\\|");
            let _ = writeln!(out, "| `{}` | {} | {default} | {} |", key.name, cell(&key.kind.words()), cell(key.about));
        }
    }
    out
}

/// The candidate nearest to a misspelt word, if one is near enough to be meant.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = word.to_lowercase();
    let distance = |candidate: &str| strsim::damerau_levenshtein(&word, &candidate.to_lowercase());
    let bare = |text: &str| text.to_lowercase().replace(['_', '-', ' '], "");
    candidates
        .into_iter()
        .map(|candidate| (if bare(candidate) == bare(&word) { 0 } else { distance(candidate) }, candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_that_a_key_leads_to_is_listed() {
        for shape in SHAPES {
            for key in shape.keys {
                if let Kind::Group(inner) | Kind::List(inner) = key.kind {
                    assert!(SHAPES.iter().any(|shape| std::ptr::eq(*shape, inner)), "{}", key.name);
                }
                assert!(!key.about.is_empty() && !key.about.ends_with('.'), "{}", key.name);
                assert!(!(key.required && key.default.is_some()), "{}", key.name);
            }
        }
    }

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let names = ["username", "surname", "librarybarcode", "enabled"];
        assert_eq!(nearest("usernmae", names), Some("username"));
        assert_eq!(nearest("library_barcode", names), Some("librarybarcode"));
        assert_eq!(nearest("surename", names), Some("surname"));
        assert_eq!(nearest("colour", names), None);
    }

    #[test]
    fn the_reference_has_every_key() {
        let reference = reference();
        assert_eq!(
            reference.lines().filter(|line| line.starts_with("| `")).count(),
            SHAPES.iter().map(|shape| shape.keys.len()).sum::<usize>()
        );
    }
}
