//! How one header is filled.

use std::ops::Range;

use regex::Regex;

use super::Checker;
use super::section::{Field, Section};
use crate::infiniti::contract::{Header, HeaderRule, Kind, Presence, Unique};
use crate::infiniti::value::{CHANNELS, VALUE_BYTES_MAX, canonical};
use crate::mapping::code::Code;
use crate::mapping::diagnostic::Finding;
use crate::mapping::keys;
use crate::mapping::secret;
use crate::mapping::yaml::{Content, Node, Style};
use crate::mapping::{Input, Lookup, Rule, Send, Template, Transform};

/// A rule, and what it gives if that is the same in every row.
pub(super) struct CheckedRule {
    pub(super) rule: Rule,
    pub(super) literal: Literal,
    /// Where it says which column it reads.
    pub(super) place: Range<usize>,
}

/// What a rule gives.
pub(super) enum Literal {
    /// This text in every row.
    Constant(String),
    /// What the row says.
    Varies,
}

impl Checker<'_> {
    pub(super) fn rule(&mut self, header: Header, key: &Node, value: &Node) -> Option<CheckedRule> {
        let about = self.feed.rule(header);
        match &value.content {
            Content::Scalar { text, style } => self.column_rule(header, value, text, *style),
            Content::Mapping(_) => {
                let section = self.section(&keys::RULE, &key.span, value)?;
                self.full_rule(header, key, &section)
            }
            Content::Null => {
                let message = format!("the header `{}` has no rule", about.name);
                let hint = match about.presence {
                    Presence::Mandatory | Presence::Content | Presence::OneOfContent => {
                        "write the name of a result column after it"
                    }
                    Presence::OneOfCohort => {
                        "write the name of a result column after it; students need `graduationyear` or `academiclevel`"
                    }
                    Presence::Optional => "write the name of a result column after it, or delete the line",
                };
                self.report(Finding::error(Code::NoRule, &key.span, message).hint(hint));
                None
            }
            Content::Sequence(_) => {
                let message = format!("the header `{}` cannot be filled by a list", about.name);
                self.report(
                    Finding::error(Code::RuleAsList, &value.span, message)
                        .hint("for text made of several columns write `{ template: \"{{ A }} {{ B }}\" }`"),
                );
                None
            }
        }
    }

    /// `header: Column`.
    fn column_rule(&mut self, header: Header, node: &Node, text: &str, style: Style) -> Option<CheckedRule> {
        let about = self.feed.rule(header);
        self.raw_text(node, about.name)?;
        let looks_like_value = match about.kind {
            Kind::Boolean | Kind::Year | Kind::OneOf(_) | Kind::Channel => {
                style == Style::Plain && fits(about, text).is_ok()
            }
            Kind::Open(words) | Kind::Codes(words) => style == Style::Plain && words.contains(&text),
            Kind::Text
            | Kind::Email
            | Kind::Password
            | Kind::Reach
            | Kind::Group
            | Kind::Picture
            | Kind::PictureFile => false,
        };
        if looks_like_value {
            let message = format!("`{text}` is read as the name of a result column");
            self.report(
                Finding::error(Code::ValueAsColumn, &node.span, message)
                    .hint(format!("for the same text in every row write `{{ value: {text} }}`")),
            );
            return None;
        }
        let column = self.column_name(node, text)?;
        self.warn_password(about, false, &node.span);
        let rule = Rule {
            header,
            input: Input::Column(column),
            lookup: None,
            transforms: Vec::new(),
            default: None,
            send: Send::Always,
            split: None,
        };
        Some(CheckedRule { rule, literal: Literal::Varies, place: node.span.clone() })
    }

    fn column_name(&mut self, node: &Node, text: &str) -> Option<String> {
        let finding = if text.trim().is_empty() {
            Finding::error(Code::ColumnName, &node.span, "the name of a result column is blank")
                .hint("to send nothing, delete the line")
        } else if text.contains("{{") || text.contains("{%") {
            Finding::error(Code::TemplateAsColumn, &node.span, "this is a template, not a result column")
                .hint("write `{ template: \"{{ … }}\" }`")
        } else if text.contains(['\n', '\t']) {
            Finding::error(Code::ColumnName, &node.span, "the name of a result column holds a line break or a tab")
        } else {
            return Some(text.trim().to_owned());
        };
        self.report(finding);
        None
    }

    fn full_rule(&mut self, header: Header, key: &Node, section: &Section<'_>) -> Option<CheckedRule> {
        let about = self.feed.rule(header);
        let input = self.input(about, key, section);
        let transforms = section.get("transform").map_or(Some(Vec::new()), |field| self.transforms(field));
        let outputs = |text: &str| transformed(transforms.as_deref().unwrap_or_default(), text);
        let lookup = match section.get("lookup") {
            Some(field) => self.lookup(field, about, &outputs).map(Some),
            None => Some(None),
        };
        let default = match section.get("default") {
            Some(field) => self.raw_text(field.node, "default").map(|text| Some((text.to_owned(), field))),
            None => Some(None),
        };
        if let Some(Some((text, field))) = &default {
            self.warn_reference(text, &field.node.span);
            self.check_literal(about, text, &field.node.span, "this `default`");
            if text.trim().is_empty() && about.presence == Presence::Mandatory {
                let message = format!("the mandatory header `{}` cannot be blank", about.name);
                self.report(Finding::error(Code::MandatoryBlank, &field.node.span, message));
            }
        }
        let default = default.map(|default| default.map(|(text, _)| text));
        let send = self.one_of(section, "send").map(|word| if word == "create" { Send::Create } else { Send::Always });
        if send == Some(Send::Create)
            && about.presence == Presence::Mandatory
            && let Some(field) = section.get("send")
        {
            let message = format!("the mandatory header `{}` must be sent always", about.name);
            self.report(Finding::error(Code::MandatorySend, &field.node.span, message).hint("delete `send`"));
        } else if send == Some(Send::Create)
            && self.feed.account.is_some()
            && let Some(field) = section.get("send")
        {
            let message = format!(
                "`send: create` is for accounts: `{}` replaces what Infiniti has, so what is left out later would be gone",
                self.feed.feed
            );
            self.report(Finding::error(Code::SendOfFeed, &field.node.span, message).hint("delete `send`"));
        }
        let split = match section.get("split") {
            Some(field) => self.split(about, field).map(Some),
            None => Some(None),
        };
        self.check_picture(about, section);
        self.warn_password(about, send != Some(Send::Always), &key.span);

        let (input, lookup, default, split) = (input?, lookup?, default?, split?);
        let transforms = transforms?;
        let mut literal = Literal::Varies;
        if let (Input::Value(text), Some(field)) = (&input, section.get("value")) {
            let text = text.trim();
            let looked_up = match &lookup {
                Some(lookup) => lookup.get(text),
                None => Some(text),
            };
            let Some(looked_up) = looked_up else {
                self.report(
                    Finding::error(Code::LookupWithoutEntry, &field.node.span, "`lookup` has no entry for this value")
                        .hint("add one, or `\"*\"` for any other"),
                );
                return None;
            };
            let mut constant = transformed(&transforms, looked_up);
            if constant.trim().is_empty() {
                constant = default.clone().unwrap_or_default();
            }
            self.check_constant(header, &constant, &field.node.span);
            self.warn_reference(text, &field.node.span);
            literal = Literal::Constant(constant);
        }
        let rule = Rule { header, input, lookup, transforms, default, send: send?, split };
        let given = ["column", "template"].into_iter().find_map(|name| section.get(name));
        let place = given.map_or_else(|| key.span.clone(), |field| field.node.span.clone());
        Some(CheckedRule { rule, literal, place })
    }

    /// What stands between several values in one cell.
    fn split(&mut self, about: &HeaderRule, field: &Field<'_>) -> Option<String> {
        let separator = self.raw_text(field.node, "split")?;
        let finding = if about.kind != Kind::Reach {
            let message = format!("`{}` is not split: `split` is for `contact` in `contacts`", about.name);
            let first = "delete it; for the first of several values write `transform: [{ first_of: \";\" }]`";
            Finding::error(Code::Split, &field.key_span, message).hint(first)
        } else if separator.trim().is_empty() {
            Finding::error(Code::Blank, &field.node.span, "the separator of `split` is blank")
                .hint("write what stands between the addresses or numbers: `split: \";\"`")
        } else {
            return Some(separator.to_owned());
        };
        self.report(finding);
        None
    }

    /// A picture is taken as the database gives it.
    fn check_picture(&mut self, about: &HeaderRule, section: &Section<'_>) {
        if about.kind != Kind::Picture {
            return;
        }
        let other =
            ["value", "template", "lookup", "transform", "default"].into_iter().find_map(|name| section.get(name));
        if let Some(field) = other {
            let message = format!(
                "`{}` is sent as the database gives it: `{}` does nothing to a picture",
                about.name, field.key.name
            );
            self.report(
                Finding::error(Code::Picture, &field.key_span, message)
                    .hint("name the binary column alone: `image: Photo`; for the path of a file write `file`"),
            );
        }
    }

    /// Exactly one of `column`, `value` and `template`.
    fn input(&mut self, about: &HeaderRule, key: &Node, section: &Section<'_>) -> Option<Input> {
        let given: Vec<&Field<'_>> =
            ["column", "value", "template"].into_iter().filter_map(|name| section.get(name)).collect();
        let field = match given.as_slice() {
            [field] => *field,
            [] if section.is_doubtful => return None,
            [] => {
                let message = format!("the rule of `{}` needs one of `column`, `value` and `template`", about.name);
                self.report(
                    Finding::error(Code::NoInput, &key.span, message)
                        .hint("say where the value comes from: `column: NAME`"),
                );
                return None;
            }
            [first, second, ..] => {
                let message = format!("`{}` and `{}` exclude each other", first.key.name, second.key.name);
                self.report(
                    Finding::error(Code::ExclusiveKeys, &second.key_span, message)
                        .hint("a header has one source: delete one of the two"),
                );
                return None;
            }
        };
        let text = self.raw_text(field.node, field.key.name)?;
        match field.key.name {
            "column" => self.column_name(field.node, text).map(Input::Column),
            "value" => Some(Input::Value(text.to_owned())),
            _ => self.template(field, text).map(Input::Template),
        }
    }

    fn template(&mut self, field: &Field<'_>, text: &str) -> Option<Template> {
        match Template::compile(text) {
            Ok(template) => {
                if template.variables().is_empty() {
                    self.report(
                        Finding::warning(
                            Code::TemplateWithoutColumn,
                            &field.node.span,
                            "the template names no result column, so every row gets the same text",
                        )
                        .hint("columns stand in double braces: `\"{{ Year + 12 }}\"`; for a fixed text write `value`"),
                    );
                }
                Some(template)
            }
            Err(error) => {
                let place = if text.trim_end().contains('\n') {
                    format!(" (line {} of the template)", error.line)
                } else {
                    String::new()
                };
                self.report(
                    Finding::error(Code::Template, &field.node.span, format!("{error}{place}"))
                        .hint("columns stand in double braces: `\"{{ Year + 12 }}\"`; a column whose name holds spaces needs another one, by AS in the SQL"),
                );
                None
            }
        }
    }

    fn lookup(&mut self, field: &Field<'_>, about: &HeaderRule, outputs: &dyn Fn(&str) -> String) -> Option<Lookup> {
        let Content::Mapping(entries) = &field.node.content else {
            let message = format!("`lookup` must be a table, not {}", field.node.what());
            self.report(
                Finding::error(Code::NotATable, &field.node.span, message)
                    .hint("write `{ Male: M, Female: F, \"*\": \"\" }`"),
            );
            return None;
        };
        let mut lookup = Lookup::default();
        let mut is_right = true;
        for (key, value) in entries {
            let from = key.text().unwrap_or_default();
            let to = if value.is_null() { "" } else { self.raw_text(value, from)? };
            is_right &= self.check_literal(about, &outputs(to), &value.span, "this output of `lookup`");
            if lookup.insert(from, to).is_err() {
                let message = format!("`{from}` differs from an earlier entry only in case, and says another thing");
                self.report(
                    Finding::error(Code::LookupContradiction, &key.span, message)
                        .hint("lookups have no regard to case: delete one of the two"),
                );
                is_right = false;
            }
        }
        is_right.then_some(lookup)
    }

    fn transforms(&mut self, field: &Field<'_>) -> Option<Vec<Transform>> {
        let Content::Sequence(items) = &field.node.content else {
            let message = format!("`transform` must be a list, not {}", field.node.what());
            self.report(
                Finding::error(Code::NotAList, &field.node.span, message).hint("write it in brackets: `[lower]`"),
            );
            return None;
        };
        let transforms: Vec<_> = items.iter().map(|item| self.transform(item)).collect();
        transforms.into_iter().collect()
    }

    fn transform(&mut self, item: &Node) -> Option<Transform> {
        if let Some(word) = item.text() {
            return match word {
                "lower" => Some(Transform::Lower),
                "upper" => Some(Transform::Upper),
                "title" => Some(Transform::Title),
                "digits" => Some(Transform::Digits),
                "strip_accents" => Some(Transform::StripAccents),
                _ => {
                    self.unknown_transform(word, &item.span);
                    None
                }
            };
        }
        let Content::Mapping(entries) = &item.content else {
            self.report(
                Finding::error(Code::Transform, &item.span, format!("a transform cannot be {}", item.what()))
                    .hint(TRANSFORMS),
            );
            return None;
        };
        let [(key, value)] = entries.as_slice() else {
            self.report(
                Finding::error(Code::Transform, &item.span, "one item of `transform` holds several")
                    .hint("write each as an item of its own: `[{ first_of: \";\" }, lower]`"),
            );
            return None;
        };
        match key.text().unwrap_or_default() {
            "first_of" => {
                let separator = self.raw_text(value, "first_of")?;
                if separator.is_empty() {
                    self.report(
                        Finding::error(Code::Blank, &value.span, "the separator of `first_of` is blank")
                            .hint("write what stands between the parts: `first_of: \";\"`"),
                    );
                    return None;
                }
                Some(Transform::FirstOf(separator.to_owned()))
            }
            "replace" => self.replace(key, value),
            word @ ("lower" | "upper" | "title" | "digits" | "strip_accents") => {
                self.report(
                    Finding::error(Code::Transform, &key.span, format!("the transform `{word}` takes no value"))
                        .hint(format!("write the word alone: `[{word}]`")),
                );
                None
            }
            word => {
                self.unknown_transform(word, &key.span);
                None
            }
        }
    }

    fn replace(&mut self, key: &Node, value: &Node) -> Option<Transform> {
        let section = self.section(&keys::REPLACE, &key.span, value)?;
        let with = section.get("with").and_then(|field| self.raw_text(field.node, "with"));
        let field = section.get("pattern")?;
        let pattern = self.raw_text(field.node, "pattern")?;
        match Regex::new(pattern) {
            Ok(pattern) => Some(Transform::Replace { pattern, with: with?.to_owned() }),
            Err(error) => {
                self.report(regex_error(&field.node.span, &error));
                None
            }
        }
    }

    fn unknown_transform(&mut self, word: &str, span: &Range<usize>) {
        let hint = match keys::nearest(word, keys::TRANSFORM.keys.iter().map(|key| key.name)) {
            Some(nearest @ "first_of") => format!("did you mean `{nearest}`? It is written `{{ first_of: \";\" }}`"),
            Some(nearest @ "replace") => {
                format!("did you mean `{nearest}`? It is written `{{ replace: {{ pattern: '…', with: '…' }} }}`")
            }
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None if word == "trim" => "delete it: outer white space always goes".to_owned(),
            None => TRANSFORMS.to_owned(),
        };
        let message = match word {
            "first_of" | "replace" => format!("the transform `{word}` needs a value"),
            _ => format!("unknown transform `{word}`"),
        };
        let hint = match word {
            "first_of" => "write `{ first_of: \";\" }`".to_owned(),
            "replace" => "write `{ replace: { pattern: '…', with: '…' } }`".to_owned(),
            _ => hint,
        };
        self.report(Finding::error(Code::UnknownTransform, span, message).hint(hint));
    }

    fn warn_password(&mut self, about: &HeaderRule, is_create: bool, span: &Range<usize>) {
        if about.kind == Kind::Password && !is_create {
            self.report(
                Finding::warning(
                    Code::PasswordSentAlways,
                    span,
                    "every push sets the password again, also of patrons who changed theirs",
                )
                .hint("write `password: { column: NAME, send: create }`"),
            );
        }
    }

    /// Values are sent as they are written.
    pub(super) fn warn_reference(&mut self, text: &str, span: &Range<usize>) {
        let inner = text.trim().strip_prefix("${").and_then(|inner| inner.strip_suffix('}'));
        if inner.is_some_and(secret::looks_like_reference) {
            self.report(
                Finding::warning(
                    Code::ReferenceNotReplaced,
                    span,
                    "references are not replaced here: Infiniti gets this as it is",
                )
                .hint("write the value itself; references are for `source`, `target` and `state`"),
            );
        }
    }

    /// A text that stands in every row.
    fn check_constant(&mut self, header: Header, text: &str, span: &Range<usize>) {
        let about = self.feed.rule(header);
        let must_differ = about.unique != Unique::No || header == self.feed.key();
        if must_differ && !text.trim().is_empty() {
            let message =
                format!("every row would have the same `{}`, which must differ from patron to patron", about.name);
            self.report(Finding::error(Code::ConstantOfUnique, span, message).hint("name a result column instead"));
        } else if matches!(about.presence, Presence::Mandatory | Presence::Content | Presence::OneOfContent)
            && text.trim().is_empty()
        {
            self.report(Finding::error(
                Code::MandatoryBlank,
                span,
                format!("the mandatory header `{}` cannot be blank", about.name),
            ));
        } else {
            self.check_literal(about, text, span, "this `value`");
        }
    }

    /// Whether a text that the mapping itself gives keeps the header's rule. `origin` says which key gives it.
    fn check_literal(&mut self, about: &HeaderRule, text: &str, span: &Range<usize>, origin: &str) -> bool {
        if text.trim().is_empty() {
            return true;
        }
        match fits(about, text.trim()) {
            Ok(()) if about.kind == Kind::Group => self.check_group(about, text.trim(), span, origin),
            Ok(()) => {
                self.warn_unlisted(about, text.trim(), span, origin);
                true
            }
            Err(rule) => {
                let message = format!("{origin} is not right for the header `{}`", about.name);
                self.report(Finding::error(Code::ValueOfHeader, span, message).hint(rule));
                false
            }
        }
    }

    fn check_group(&mut self, about: &HeaderRule, text: &str, span: &Range<usize>, origin: &str) -> bool {
        // Without its list nobody knows.
        if self.allow.is_empty() || self.allow.iter().any(|group| group.to_lowercase() == text.to_lowercase()) {
            return true;
        }
        let message =
            format!("{origin} is not right for the header `{}`: `groups.allow` has no such group", about.name);
        let hint = match keys::nearest(text, self.allow.iter().map(String::as_str)) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("the groups are {}", super::query::listed(&self.allow)),
        };
        self.report(Finding::error(Code::ValueOfHeader, span, message).hint(hint));
        false
    }

    /// There are more values than anybody wrote down, so that others are sent as they are.
    fn warn_unlisted(&mut self, about: &HeaderRule, text: &str, span: &Range<usize>, origin: &str) {
        let (known, given): (_, Vec<&str>) = match about.kind {
            Kind::Open(known) => (known, vec![text]),
            Kind::Codes(known) => (known, text.split(';').map(str::trim).filter(|code| !code.is_empty()).collect()),
            Kind::Text
            | Kind::Boolean
            | Kind::Email
            | Kind::Year
            | Kind::OneOf(_)
            | Kind::Password
            | Kind::Channel
            | Kind::Reach
            | Kind::Group
            | Kind::Picture
            | Kind::PictureFile => return,
        };
        // Of a role the case is put right.
        let is_known = |given: &&str| match about.kind {
            Kind::Open(_) => known.iter().any(|one| one.eq_ignore_ascii_case(given)),
            _ => known.contains(given),
        };
        for unknown in given.into_iter().filter(|given| !is_known(given)) {
            let message = format!("{origin} holds `{unknown}`, which is no known value of `{}`", about.name);
            let hint = match keys::nearest(unknown, known.iter().copied()) {
                Some(nearest) if nearest.eq_ignore_ascii_case(unknown) => {
                    format!("write it in capitals, as Infiniti does: `{nearest}`")
                }
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!(
                    "known are {}; any other is sent as it is: try it with one patron first, and look at that patron in Infiniti",
                    super::query::listed(known)
                ),
            };
            self.report(Finding::warning(Code::UnlistedValue, span, message).hint(hint));
        }
    }
}

const TRANSFORMS: &str = "the transforms are `lower`, `upper`, `title`, `digits`, `strip_accents`, `{ first_of: \";\" }` and `{ replace: { pattern: '…', with: '…' } }`";

pub(super) fn regex_error(span: &Range<usize>, error: &regex::Error) -> Finding {
    // The library draws the pattern over several lines; its last one says what is wrong.
    let reason = error.to_string();
    let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
    Finding::error(Code::RegularExpression, span, format!("the regular expression is not right: {reason}"))
        .hint("put a backslash before a sign that stands for itself, and the whole in single quotes: `'\\(.*\\)'`")
}

pub(super) fn transformed(transforms: &[Transform], text: &str) -> String {
    transforms.iter().fold(text.to_owned(), |text, transform| {
        let mut out = String::new();
        transform.apply(&text, &mut out);
        out
    })
}

/// Whether a text that is not blank keeps the rule of its header; else what to write.
pub(super) fn fits(about: &HeaderRule, text: &str) -> Result<(), String> {
    canonical(about.kind, text).map(drop).map_err(|_| match about.kind {
        Kind::Boolean => "write `true` or `false` (also `Y`, `N`, `yes`, `no`, `1`, `0`)".into(),
        Kind::Year => "write a year of four digits: `2032`".into(),
        Kind::OneOf(words) => format!("write `{}` or `\"\"`", words.join("`, `")),
        Kind::Email => "write an e-mail address: `library@example.edu`".into(),
        Kind::Channel => format!("write `{}`", CHANNELS.join("` or `")),
        Kind::Text
        | Kind::Password
        | Kind::Reach
        | Kind::Open(_)
        | Kind::Codes(_)
        | Kind::Group
        | Kind::Picture
        | Kind::PictureFile => {
            format!("write a text of at most {VALUE_BYTES_MAX} bytes")
        }
    })
}
