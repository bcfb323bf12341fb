//! Groups of keys against their shapes.

use std::ops::Range;

use super::Checker;
use crate::infiniti::contract::Contract;
use crate::mapping::code::Code;
use crate::mapping::diagnostic::Finding;
use crate::mapping::keys::{self, Key, Shape};
use crate::mapping::yaml::{Content, Node};

/// A group of keys whose keys are known.
pub(super) struct Section<'n> {
    pub(super) shape: &'static Shape,
    feed: &'static Contract,
    fields: Vec<Field<'n>>,
    /// Whether a key was wrong, so that another may only seem to be missing.
    pub(super) is_doubtful: bool,
}

/// A key with its value, which is never null.
pub(super) struct Field<'n> {
    pub(super) key: &'static Key,
    pub(super) key_span: Range<usize>,
    pub(super) node: &'n Node,
    /// The key as people call it: `source.url`.
    pub(super) path: String,
}

impl<'n> Section<'n> {
    pub(super) fn get(&self, name: &str) -> Option<&Field<'n>> {
        self.fields.iter().find(|field| field.key.name == name)
    }

    /// The key with its path, as messages and people call it: `contacts.limits.max_drop`.
    pub(super) fn path_of(&self, name: &str) -> String {
        path_of(self.shape, self.feed, name)
    }
}

fn path_of(shape: &Shape, feed: &Contract, name: &str) -> String {
    shape.path_of(name).replace(keys::FEED, feed.feed)
}

impl Checker<'_> {
    /// Holds a group of keys against its shape. `at` is where a missing key is reported: the key of the group.
    pub(super) fn section<'n>(
        &mut self,
        shape: &'static Shape,
        at: &Range<usize>,
        node: &'n Node,
    ) -> Option<Section<'n>> {
        let Content::Mapping(entries) = &node.content else {
            let name = if shape.path.is_empty() { "a mapping".into() } else { self.whose(shape) };
            let keys: Vec<&str> = shape.keys.iter().map(|key| key.name).take(3).collect();
            let more = if shape.keys.len() > keys.len() { ", …" } else { "" };
            self.report(
                Finding::error(
                    Code::NotAGroup,
                    &node.span,
                    format!("{name} must be a group of keys, not {}", node.what()),
                )
                .hint(format!(
                    "write its keys below it, indented, each as `key: value`: `{}`{more}",
                    keys.join("`, `")
                )),
            );
            return None;
        };
        let mut fields = Vec::new();
        // A key that is only misspelt is not reported as missing, too.
        let mut meant = Vec::new();
        for (key_node, value) in entries {
            let name = key_node.text().unwrap_or_default();
            let Some(key) = shape.key(name) else {
                meant.extend(self.unknown_key(shape, name, &key_node.span));
                continue;
            };
            let path = path_of(shape, self.feed, name);
            if value.is_null() {
                let hint = if key.required {
                    "write it after the colon"
                } else {
                    "write it after the colon, or delete the line"
                };
                self.report(Finding::error(Code::NoValue, &key_node.span, format!("`{path}` has no value")).hint(hint));
                continue;
            }
            fields.push(Field { key, key_span: key_node.span.clone(), node: value, path });
        }
        self.lacks_base |= shape.path.is_empty() && meant.contains(&"include");
        for key in shape.keys.iter().filter(|key| key.required) {
            let is_written = entries.iter().any(|(written, _)| written.text() == Some(key.name));
            if !is_written && !meant.contains(&key.name) {
                self.missing_key(shape, key, at);
            }
        }
        Some(Section { shape, feed: self.feed, fields, is_doubtful: !meant.is_empty() })
    }

    fn missing_key(&mut self, shape: &'static Shape, key: &Key, at: &Range<usize>) {
        if self.lacks_base && !shape.path.contains("[]") {
            return;
        }
        let mut hint = format!("add `{}`: {}", key.name, key.about);
        let mut at = at;
        // An item of a list stands whole in one file.
        if let Some(include) = self.files.include.as_ref().filter(|_| !shape.path.contains("[]")) {
            // The base may be right for others: it is this mapping that lacks something.
            if shape.path.is_empty() || self.files.is_base(at.start) {
                at = include;
            }
            hint = format!("neither this file nor `{}` has it: {hint}", self.files.base_name());
        } else if shape.path.is_empty() && self.files.is_named_as_base() {
            hint = super::BASE_ALONE.into();
        }
        let message = format!("`{}` is missing", path_of(shape, self.feed, key.name));
        self.report(Finding::error(Code::MissingKey, at, message).hint(hint));
    }

    /// Reports an unknown key; gives the one that was meant, if it can be told.
    fn unknown_key(&mut self, shape: &'static Shape, name: &str, span: &Range<usize>) -> Option<&'static str> {
        let place = if shape.path.is_empty() { String::new() } else { format!(" in {}", self.whose(shape)) };
        let elsewhere: Vec<_> = keys::SHAPES
            .iter()
            .filter(|other| !other.path.is_empty() && !other.path.contains(['[', '.']) && other.key(name).is_some())
            .map(|other| format!("`{}`", other.path))
            .collect();
        let of_feed = keys::SHAPES.iter().any(|other| other.path == self.feed.feed && other.key(name).is_some());
        let nearest = keys::nearest(name, shape.keys.iter().map(|key| key.name));
        let hint = if let Some(nearest) = nearest {
            format!("did you mean `{nearest}`?")
        } else if shape.path == keys::FEED_LIMITS.path && keys::LIMITS.key(name).is_some() {
            "only accounts are deactivated: write it into `limits` of the file itself".to_owned()
        } else if of_feed {
            format!("it belongs into `{}`: is it indented rightly?", self.feed.feed)
        } else if keys::ROOT.key(name).is_some() {
            format!("it belongs to the file itself: begin the line of `{name}` without blanks")
        } else if !elsewhere.is_empty() {
            format!("it belongs into {}: is it indented rightly?", elsewhere.join(" or "))
        } else {
            let keys: Vec<_> = shape.keys.iter().map(|key| format!("`{}`", key.name)).collect();
            format!("the keys here are {}", keys.join(", "))
        };
        self.report(Finding::error(Code::UnknownKey, span, format!("unknown key `{name}`{place}")).hint(hint));
        nearest
    }

    /// The group as people call it.
    fn whose(&self, shape: &Shape) -> String {
        match shape.path {
            "users[]" if self.feed.account.is_some() => format!("an item of `{}.extracts`", self.feed.feed),
            "users[]" => "an item of `users`".into(),
            "hold[]" => "an item of `hold`".into(),
            "expect[]" => "an item of `expect`".into(),
            "notify.webhook[]" => "an item of `webhook`".into(),
            "users[].columns.HEADER" => "the rule of a header".into(),
            path if path.starts_with(keys::FEED) => format!("`{}`", path.replace(keys::FEED, self.feed.feed)),
            path => {
                format!(
                    "`{}`",
                    path.trim_end_matches("[]").rsplit('.').next().unwrap_or_default().trim_end_matches("[]")
                )
            }
        }
    }
}
