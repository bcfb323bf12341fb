//! The feeds beside `users`: contacts, images and groups.

use std::path::PathBuf;

use url::Url;

use super::Checker;
use super::section::{Field, Section};
use crate::infiniti::contract::{ADMINSYSTEMID, CONTACTS, Contract, FEEDS, GROUP, GROUPS, Header, IMAGES, Kind, USERS};
use crate::mapping::code::Code;
use crate::mapping::diagnostic::Finding;
use crate::mapping::keys::{self, Shape};
use crate::mapping::secret;
use crate::mapping::yaml::Content;
use crate::mapping::{Extract, Feed, ImageSettings, Input, Limits, Rule, Send};

/// What stands in a path for the mode.
const MODE: &str = "{mode}";

/// The query that gives the files of `images.folder`.
const LISTING: &str = "folder";

impl Checker<'_> {
    /// The feeds beside `users`, of which `users` and `limits` are the queries and the limits, if they are right themselves.
    pub(super) fn others(
        &mut self,
        section: &Section<'_>,
        users: Option<&[Extract]>,
        limits: Option<&Limits>,
    ) -> Option<Vec<Feed>> {
        let limits = limits.copied().unwrap_or_default();
        let mut feeds = Vec::new();
        if let Some(field) = section.get(CONTACTS.feed) {
            feeds.push(self.of_feed(&CONTACTS, |checker| checker.contacts(field, limits)));
        }
        if let Some(field) = section.get(IMAGES.feed) {
            feeds.push(self.of_feed(&IMAGES, |checker| checker.images(field, users, limits)));
        }
        if let Some(field) = section.get(GROUPS.feed) {
            feeds.push(self.of_feed(&GROUPS, |checker| checker.groups(field, limits)));
        }
        let feeds: Vec<Feed> = feeds.into_iter().collect::<Option<_>>()?;
        self.hold_paths_apart(section, &feeds);
        Some(feeds)
    }

    /// Two feeds of one path: one of the two would be imported as what it is not.
    fn hold_paths_apart(&mut self, section: &Section<'_>, feeds: &[Feed]) {
        let of_contract = |feed: &&'static Contract| Some((*feed, feed.path?.split(MODE).next()?));
        let known: Vec<(&Contract, &str)> = FEEDS.iter().filter_map(of_contract).collect();
        for (index, feed) in feeds.iter().enumerate().filter(|(_, feed)| feed.contract.path.is_none()) {
            let is_taken = |other: &str| match other.strip_suffix('/') {
                // Whatever its mode.
                Some(folder) => lower(&feed.path).starts_with(&format!("{}/", lower(folder))),
                None => lower(&feed.path) == lower(other),
            };
            let before = feeds[..index].iter().map(|feed| (feed.contract, feed.path.as_str()));
            let other = known.iter().copied().chain(before).find(|(_, path)| is_taken(path));
            let name = feed.contract.feed;
            let path = section.get(name).and_then(|field| field.node.entry("path"));
            if let (Some((other, _)), Some(path)) = (other, path) {
                let message = format!("`{name}.path` is where `{}` are posted to", other.feed);
                let hint = format!(
                    "each feed has a path of its own: look at Infiniti's help page \"autoSync patron {name}\", or ask Concord's support"
                );
                self.report(Finding::error(Code::FeedPath, &path.span, message).hint(hint));
            }
        }
    }

    fn of_feed<T>(&mut self, feed: &'static Contract, check: impl FnOnce(&mut Self) -> T) -> T {
        self.feed = feed;
        let checked = check(self);
        self.feed = &USERS;
        checked
    }

    /// The keys of a feed. A list is what `users` is, so who knows that writes one.
    fn feed<'n>(&mut self, shape: &'static Shape, field: &Field<'n>) -> Option<Section<'n>> {
        if let Content::Sequence(_) = field.node.content {
            let message = format!("`{}` must be a group of keys, not {}", field.path, field.node.what());
            self.report(
                Finding::error(Code::NotAGroup, &field.node.span, message)
                    .hint(format!("put the queries below `extracts:`, indented below `{}:`", field.path)),
            );
            return None;
        }
        self.section(shape, &field.key_span, field.node)
    }

    fn contacts(&mut self, field: &Field<'_>, limits: Limits) -> Option<Feed> {
        let section = self.feed(&keys::CONTACTS, field)?;
        let known = section.shape.key("mode").and_then(|key| key.default).unwrap_or_default();
        let mode = match section.get("mode") {
            Some(field) => self.mode_of_feed(field).inspect(|mode| {
                if *mode != known {
                    let message = format!("of all modes only `{known}` was seen at work");
                    let mut finding = Finding::warning(Code::UnseenMode, &field.node.span, message);
                    if mode.eq_ignore_ascii_case(known) {
                        finding = finding.hint(format!("write it as it is spelt there: `{known}`"));
                    } else {
                        finding = finding.hint("ask Concord's support what it does with the contacts that are there, and try it with one patron first");
                    }
                    self.report(finding);
                }
            }),
            None => Some(known),
        };
        let extracts = section.get("extracts").and_then(|field| self.extracts(field));
        let limits = self.limits_over(section.get("limits"), &keys::FEED_LIMITS, limits);
        let path = CONTACTS.path.unwrap_or_default().replace(MODE, mode?);
        Some(Feed { path, ..Feed::new(&CONTACTS, extracts?, limits?) })
    }

    fn images(&mut self, field: &Field<'_>, users: Option<&[Extract]>, limits: Limits) -> Option<Feed> {
        let section = self.feed(&keys::IMAGES, field)?;
        let path = section.get("path").and_then(|field| self.path_of_feed(field, None));
        let folder = section.get("folder").map(|field| self.folder(field));
        let resize = self.switch(&section, "resize");
        let max_zip = self.size(&section, "max_zip");
        let limits = self.limits_over(section.get("limits"), &keys::FEED_LIMITS, limits);
        let extracts = match (section.get("extracts"), section.get("folder")) {
            (Some(field), folder) => self.extracts(field).inspect(|extracts| {
                self.hold_against_folder(extracts, field, folder);
            }),
            (None, Some(folder)) => Some(vec![self.listing(folder)]),
            (None, None) if section.is_doubtful => None,
            (None, None) => {
                let message = "`images` has neither `folder` nor `extracts`";
                let hint = "add `folder: photos` for a folder of files such as `00012345.jpg`, or `extracts` with a query that gives them";
                self.report(Finding::error(Code::MissingKey, &field.key_span, message).hint(hint));
                None
            }
        };
        let is_listed = section.get("extracts").is_none();
        if let Some(users) = users
            && !users.iter().any(|extract| extract.rules.iter().any(|rule| rule.header == ADMINSYSTEMID))
        {
            let message = "`images` needs `adminsystemid`, by which Infiniti knows whose picture it is, and no query of `users` fills it";
            self.report(
                Finding::error(Code::AccountHeader, &field.key_span, message)
                    .hint("add `adminsystemid: NAME_OF_A_COLUMN` to the `columns` of `users`"),
            );
        }
        let folder = match folder {
            Some(folder) => Some(folder?),
            None => None,
        };
        let images = ImageSettings { folder, is_listed, resize: resize?, max_zip: max_zip? };
        Some(Feed { path: path?, images: Some(images), ..Feed::new(&IMAGES, extracts?, limits?) })
    }

    /// The files of a folder as if a query gave them.
    fn listing(&mut self, folder: &Field<'_>) -> Extract {
        if let Some((_, feed)) = self.extract_names.iter().find(|(name, _)| name.eq_ignore_ascii_case(LISTING)) {
            let message =
                format!("a query of `{}` is named `{LISTING}`, as the pictures of this folder are", feed.feed);
            self.report(
                Finding::error(Code::ExtractTwice, &folder.key_span, message).hint("give the query another name"),
            );
        }
        self.extract_names.push((LISTING.to_owned(), self.feed));
        let rule = |header: Header| Rule {
            header,
            input: Input::Column(IMAGES.rule(header).name.to_owned()),
            lookup: None,
            transforms: Vec::new(),
            default: None,
            send: Send::Always,
            split: None,
        };
        let rules = IMAGES.iter().filter(|header| *header == IMAGES.key() || self.is_file(*header)).map(rule).collect();
        Extract {
            name: LISTING.to_owned(),
            query: String::new(),
            query_file: None,
            file: self.files.at(folder.key_span.start).0.to_path_buf(),
            line: self.files.line(self.text, folder.key_span.start),
            min_rows: None,
            rules,
        }
    }

    fn is_file(&self, header: Header) -> bool {
        self.feed.rule(header).kind == Kind::PictureFile
    }

    /// Paths need a folder, and a folder needs paths.
    fn hold_against_folder(&mut self, extracts: &[Extract], field: &Field<'_>, folder: Option<&Field<'_>>) {
        let names_files = extracts.iter().any(|extract| extract.rules.iter().any(|rule| self.is_file(rule.header)));
        match folder {
            None if names_files => {
                let message = "`file` is a path below `images.folder`, and that is missing";
                let hint = "add `folder: photos` to `images`: the folder in which the paths start";
                self.report(Finding::error(Code::MissingKey, &field.key_span, message).hint(hint));
            }
            Some(folder) if !names_files && !extracts.is_empty() => {
                let message = "`images.folder` does nothing beside queries that give the pictures themselves (`image`)";
                let hint = "delete it; to send the files of the folder delete `extracts` instead";
                self.report(Finding::warning(Code::IdleKey, &folder.key_span, message).hint(hint));
            }
            _ => {}
        }
    }

    fn groups(&mut self, field: &Field<'_>, limits: Limits) -> Option<Feed> {
        let section = self.feed(&keys::GROUPS, field)?;
        let mode = section.get("mode").map(|field| self.mode_of_feed(field));
        let path = section.get("path").and_then(|field| {
            let path = self.path_of_feed(field, Some(mode.flatten()))?;
            self.hold_mode_against_path(&section, field)?;
            Some(path)
        });
        let header = section.get("header").and_then(|field| self.header_name(field));
        let allow = section.get("allow").and_then(|field| self.allowed(field));
        self.allow.clone_from(allow.as_ref().unwrap_or(&Vec::new()));
        let extracts = section.get("extracts").and_then(|field| self.extracts(field));
        let limits = self.limits_over(section.get("limits"), &keys::FEED_LIMITS, limits);
        Some(Feed {
            path: path?,
            renamed: Some((GROUP, header?)),
            allow: allow?,
            ..Feed::new(&GROUPS, extracts?, limits?)
        })
    }

    /// A mode, and a place for it: one without the other is a slip.
    fn hold_mode_against_path(&mut self, section: &Section<'_>, path: &Field<'_>) -> Option<()> {
        let has_place = path.node.text().is_some_and(|text| text.contains(MODE));
        match section.get("mode") {
            None if has_place => {
                let message = "`groups.mode` is missing: `groups.path` has `{mode}`";
                let hint = "add `mode`: Infiniti's help page \"autoSync patron groups\" names the modes, or ask Concord's support";
                self.report(Finding::error(Code::MissingKey, &path.node.span, message).hint(hint));
                None
            }
            Some(mode) if !has_place => {
                let (at, [mode, path]) = self.of_both([(mode, &mode.path), (path, &path.path)]);
                let message = format!("{mode} does nothing: {path} has no `{MODE}`");
                let hint = "write `{mode}` into the path where the mode belongs, or delete `mode`";
                self.report(Finding::error(Code::IdleKey, at, message).hint(hint));
                None
            }
            _ => Some(()),
        }
    }

    /// A word that stands in a path.
    fn mode_of_feed<'n>(&mut self, field: &Field<'n>) -> Option<&'n str> {
        let text = self.text(field)?;
        let is_word = text.starts_with(|char: char| char.is_ascii_alphanumeric())
            && text.chars().all(|char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.'));
        if !is_word {
            let message = format!("`{}` must be one word: it stands in the path", field.path);
            self.report(
                Finding::error(Code::FeedMode, &field.node.span, message).hint("use letters, digits, `-`, `_` and `.`"),
            );
            return None;
        }
        Some(text)
    }

    /// A path below the school's address. `mode` is what `{mode}` in it becomes; nothing where there can be none.
    #[expect(clippy::option_option, reason = "no mode can be, none is given, and this one are three things")]
    fn path_of_feed(&mut self, field: &Field<'_>, mode: Option<Option<&str>>) -> Option<String> {
        let text = self.text(field)?;
        let path = match mode {
            Some(mode) => text.replace(MODE, mode.unwrap_or("mode")),
            None => text.to_owned(),
        };
        if let Err((message, hint)) = fit_path(&path) {
            let message = format!("`{}` {message}", field.path);
            self.report(Finding::error(Code::FeedPath, &field.node.span, message).hint(hint));
            return None;
        }
        Some(path)
    }

    fn header_name(&mut self, field: &Field<'_>) -> Option<String> {
        let text = self.text(field)?.trim();
        let key = self.feed.rule(self.feed.key()).name;
        let (message, hint) = if text.is_empty() {
            (format!("`{}` is blank", field.path), "write what Infiniti calls the group's column")
        } else if text.eq_ignore_ascii_case(key) {
            (
                format!("`{}` is `{key}`, which is the other column", field.path),
                "write what Infiniti calls the group's column",
            )
        } else if text.contains(|char: char| char.is_control() || matches!(char, ',' | ';' | '"')) {
            (format!("`{}` must be one name", field.path), "delete the comma, semicolon, quote or line break")
        } else {
            self.warn_reference(text, &field.node.span);
            return Some(text.to_owned());
        };
        self.report(Finding::error(Code::HeaderName, &field.node.span, message).hint(hint));
        None
    }

    fn allowed(&mut self, field: &Field<'_>) -> Option<Vec<String>> {
        let Content::Sequence(items) = &field.node.content else {
            let message = format!("`{}` must be a list, not {}", field.path, field.node.what());
            self.report(
                Finding::error(Code::NotAList, &field.node.span, message)
                    .hint("write it in brackets: `[Students, Staff]`"),
            );
            return None;
        };
        let (mut allow, mut is_right) = (Vec::<String>::new(), !items.is_empty());
        if items.is_empty() {
            let message = format!("`{}` is empty, so that every row would be rejected", field.path);
            self.report(
                Finding::error(Code::ListEmpty, &field.node.span, message)
                    .hint("list the groups that may be sent, as Infiniti spells them: `[Students, Staff]`"),
            );
        }
        for item in items {
            let Some(text) = self.raw_text(item, &field.path).map(str::trim) else {
                is_right = false;
                continue;
            };
            let finding = if text.is_empty() {
                Finding::error(Code::Blank, &item.span, format!("a group of `{}` is blank", field.path))
                    .hint("write its name as Infiniti spells it, or delete it")
            } else if allow.iter().any(|before| before.to_lowercase() == text.to_lowercase()) {
                Finding::error(Code::GroupTwice, &item.span, format!("`{}` has `{text}` twice", field.path))
                    .hint("groups are found without regard to case: keep the one that is spelt as in Infiniti")
            } else {
                self.warn_reference(text, &item.span);
                allow.push(text.to_owned());
                continue;
            };
            self.report(finding);
            is_right = false;
        }
        is_right.then_some(allow)
    }

    /// A folder, which need not be there now: a share may be away.
    fn folder(&mut self, field: &Field<'_>) -> Option<PathBuf> {
        let text = self.text(field)?;
        let finding = if text.trim().is_empty() {
            Finding::error(Code::Blank, &field.node.span, format!("`{}` is blank", field.path))
                .hint("write the folder's path, such as `photos`")
        } else if secret::references(text).next().is_some() {
            let message = format!("`{}`: references are not replaced here", field.path);
            Finding::error(Code::Reference, &field.node.span, message)
                .hint("write the path itself; references are for `source`, `target` and `state`")
        } else {
            return Some(self.files.folder(field.node.span.start).join(text));
        };
        self.report(finding);
        None
    }
}

/// A path to be compared: servers differ in whether case and a last slash matter.
fn lower(path: &str) -> String {
    path.trim_end_matches('/').to_lowercase()
}

/// Whether a path goes to the school's address as it is written; else what is wrong, and what to do.
fn fit_path(path: &str) -> Result<(), (&'static str, &'static str)> {
    const ALONE: &str = "write the path alone, from the `/` after the host on: it is put after `target.url`";
    if path.contains("://") || path.starts_with("//") {
        return Err(("holds a host", ALONE));
    }
    if !path.starts_with('/') {
        return Err(("must begin with `/`", ALONE));
    }
    if path.contains(['?', '#']) {
        return Err(("goes on after the path", "delete what follows the `?` or `#`"));
    }
    if path.contains(['{', '}']) {
        return Err((
            "holds braces",
            "write the path itself; only `{mode}` is replaced, in lower case, and only in `groups.path`",
        ));
    }
    // What an address makes of it tells of `..`, of its disguises, and of signs that cannot stand there.
    let is_same = Url::parse("https://localhost").and_then(|host| host.join(path)).is_ok_and(|url| url.path() == path);
    if !is_same || path.contains("//") || path == "/" {
        return Err((
            "is no path that can be posted to",
            "write it as Infiniti's page has it, without `..`, spaces or backslashes",
        ));
    }
    Ok(())
}
