//! What is expected of the data.

use std::ops::Range;

use regex::Regex;

use super::Checker;
use super::extract::place_of_item;
use super::rule::regex_error;
use super::section::{Field, Section};
use crate::error::Hint;
use crate::infiniti::contract::{Header, HeaderRule, Kind, USERS};
use crate::infiniti::value::{CHANNELS, canonical};
use crate::mapping::code::Code;
use crate::mapping::diagnostic::Finding;
use crate::mapping::keys;
use crate::mapping::yaml::{Content, Node};
use crate::mapping::{Check, Consequence, Expectation, Extract, Input, Limit, Limits, Rule, ValueRule};

const EXAMPLE: &str = "write it like `- { header: formclass, matches: '^[0-9]{1,2}[A-F]$', severity: warn }`";

impl Checker<'_> {
    /// `users` and `limits` are the queries and the limits, if they are right themselves.
    pub(super) fn expect(
        &mut self,
        field: Option<&Field<'_>>,
        users: Option<&[Extract]>,
        limits: Option<&Limits>,
        has_state: bool,
    ) -> Option<Vec<Expectation>> {
        let Some(field) = field else { return Some(Vec::new()) };
        let Content::Sequence(items) = &field.node.content else {
            let message = format!("`expect` must be a list, not {}", field.node.what());
            self.report(Finding::error(Code::NotAList, &field.key_span, message).hint(EXAMPLE));
            return None;
        };
        let mut expectations = Vec::new();
        for item in items {
            let at = place_of_item(item);
            let Some(section) = self.section(&keys::EXPECT, &at, item) else { continue };
            let severity = self.one_of(&section, "severity");
            let check = self.expected(&section, &at, users, has_state);
            let (Some(severity), Some(check)) = (severity, check) else { continue };
            if let (Check::Rows { extract, max: Some(max), .. }, Some(users), Some(limits), Some(field)) =
                (&check, users, limits, section.get("rows"))
            {
                self.warn_below_limit(field, extract.as_deref(), *max, users, limits);
            }
            let is_freshness = matches!(check, Check::Freshness { .. });
            if let (true, Some(field)) = (is_freshness, section.get("severity")) {
                let message = "`severity` does nothing beside `freshness`, which has `warn_after` and `error_after`";
                self.report(Finding::error(Code::ExclusiveKeys, &field.key_span, message).hint("delete it"));
            }
            let consequence = if severity == "warn" { Consequence::Warn } else { Consequence::Stop };
            let line = self.files.line(self.text, at.start);
            let base = self.files.is_base(at.start).then(|| self.files.at(at.start).0.to_path_buf());
            expectations.push(Expectation { check, consequence, base, line });
        }
        Some(expectations)
    }

    fn expected(
        &mut self,
        section: &Section<'_>,
        at: &Range<usize>,
        users: Option<&[Extract]>,
        has_state: bool,
    ) -> Option<Check> {
        let given: Vec<&Field<'_>> = keys::CHECKS.iter().filter_map(|name| section.get(name)).collect();
        let field = match given.as_slice() {
            [field] => *field,
            [] if section.is_doubtful => return None,
            [] => {
                let message = format!("nothing is expected here: one of `{}` is needed", keys::CHECKS.join("`, `"));
                self.report(Finding::error(Code::NothingExpected, at, message).hint(EXAMPLE));
                return None;
            }
            [first, second, ..] => {
                let message = format!("`{}` and `{}` exclude each other", first.key.name, second.key.name);
                self.report(
                    Finding::error(Code::ExclusiveKeys, &second.key_span, message)
                        .hint("write it as another item of `expect`"),
                );
                return None;
            }
        };
        let name = field.key.name;
        let beside: &[&str] = match name {
            "rows" => &["extract"],
            "is" => &["patron"],
            "freshness" => &[],
            _ => &["extract", "header"],
        };
        for other in ["extract", "header", "patron"] {
            match section.get(other) {
                Some(field) if !beside.contains(&other) => {
                    let message = format!("`{other}` does nothing beside `{name}`");
                    self.report(Finding::error(Code::ExclusiveKeys, &field.key_span, message).hint("delete it"));
                    return None;
                }
                None if beside.contains(&other) && other != "extract" => {
                    let message = format!("`{name}` needs a `{other}`");
                    let hint = format!("say which, in the same item: `{other}: …`");
                    self.report(Finding::error(Code::MissingKey, &field.key_span, message).hint(hint));
                    return None;
                }
                _ => {}
            }
        }
        let extract = match section.get("extract") {
            Some(field) => Some(self.extract_of(field, users)?),
            None => None,
        };
        match name {
            "rows" => self.rows(field, extract),
            "is" => self.patron(section.get("patron")?, field, users),
            "freshness" => self.freshness(field),
            _ => {
                let header = self.header_of(section.get("header")?)?;
                self.values(header, extract, section, field, users, has_state)
            }
        }
    }

    fn extract_of(&mut self, field: &Field<'_>, users: Option<&[Extract]>) -> Option<String> {
        let name = self.text(field)?;
        // Without the queries nobody knows their names.
        let Some(users) = users else { return Some(name.to_owned()) };
        if let Some(extract) = users.iter().find(|extract| extract.name.eq_ignore_ascii_case(name)) {
            return Some(extract.name.clone());
        }
        if let Some((name, feed)) = self.extract_names.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)) {
            let message = format!("`{name}` is a query of `{}`, and expectations are about `users`", feed.feed);
            let hint = "delete the item; how many rows a query of another feed must give, its `min_rows` says";
            self.report(Finding::error(Code::UnknownExtract, &field.node.span, message).hint(hint));
            return None;
        }
        let names = || users.iter().map(|extract| extract.name.as_str());
        let hint = match keys::nearest(name, names()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("the queries are `{}`", names().collect::<Vec<_>>().join("`, `")),
        };
        self.report(
            Finding::error(Code::UnknownExtract, &field.node.span, format!("no query is named `{name}`")).hint(hint),
        );
        None
    }

    fn header_of(&mut self, field: &Field<'_>) -> Option<Header> {
        let name = self.text(field)?;
        let header = USERS.header(name);
        if header.is_none() {
            self.unknown_header(name, &field.node.span);
        }
        header
    }

    fn rows(&mut self, field: &Field<'_>, extract: Option<String>) -> Option<Check> {
        let section = self.section(&keys::ROWS, &field.key_span, field.node)?;
        let min = self.bound(&section, "min", Self::count)?;
        let max = self.bound(&section, "max", Self::count)?;
        self.check_bounds(field, min.as_ref(), max.as_ref())?;
        Some(Check::Rows { extract, min, max })
    }

    /// Fewer rows than a limit asks for stop every push before this can hold.
    fn warn_below_limit(
        &mut self,
        field: &Field<'_>,
        extract: Option<&str>,
        max: u64,
        users: &[Extract],
        limits: &Limits,
    ) {
        let counted = users.iter().filter(|one| extract.is_none_or(|name| one.name == name));
        let least = counted.map(|one| one.min_rows.unwrap_or(limits.min_rows)).fold(0, u64::saturating_add);
        let least = if extract.is_none() { least.max(limits.min_rows_in_all) } else { least };
        if max < least {
            let message = format!("this can never hold: fewer than {least} rows stop a push by `min_rows`");
            self.report(
                Finding::warning(Code::NeverHolds, &field.key_span, message).hint("raise `max`, or lower `min_rows`"),
            );
        }
    }

    /// A bound that may be missing; nothing if it is there and wrong.
    #[expect(clippy::option_option, reason = "a bound may be missing or wrong")]
    fn bound<T>(
        &mut self,
        section: &Section<'_>,
        name: &str,
        read: impl FnOnce(&mut Self, &Section<'_>, &str) -> Option<T>,
    ) -> Option<Option<T>> {
        match section.get(name) {
            Some(_) => read(self, section, name).map(Some),
            None => Some(None),
        }
    }

    fn check_bounds<T: PartialOrd>(&mut self, field: &Field<'_>, min: Option<&T>, max: Option<&T>) -> Option<()> {
        let name = field.key.name;
        let finding = match (min, max) {
            (None, None) => {
                Finding::error(Code::BoundsMissing, &field.key_span, format!("`{name}` needs `min`, `max`, or both"))
            }
            (Some(min), Some(max)) if min > max => Finding::error(
                Code::BoundsReversed,
                &field.key_span,
                format!("`{name}` can never hold: `min` is above `max`"),
            ),
            _ => return Some(()),
        };
        self.report(finding.hint(format!("write it like `{name}: {{ min: 1, max: 2000 }}`")));
        None
    }

    fn values(
        &mut self,
        header: Header,
        extract: Option<String>,
        section: &Section<'_>,
        field: &Field<'_>,
        users: Option<&[Extract]>,
        has_state: bool,
    ) -> Option<Check> {
        let about = USERS.rule(header);
        let rule = match field.key.name {
            "filled" => ValueRule::Filled(self.limit(section, "filled")?),
            "matches" => ValueRule::Matches(self.pattern(field)?),
            "one_of" => ValueRule::OneOf(self.words(field, about)?),
            "range" => self.range(field)?,
            name => {
                if !self.switch(section, name)? {
                    let message = format!("`{name}: false` expects nothing");
                    self.report(
                        Finding::error(Code::NothingExpected, &field.node.span, message)
                            .hint("write `true`, or delete the item"),
                    );
                    return None;
                }
                if name == "unique" { ValueRule::Unique } else { ValueRule::NoNewValues }
            }
        };
        if about.kind == Kind::Password {
            let message = format!("nothing can be expected of the header `{}`", about.name);
            self.report(
                Finding::error(Code::ExpectPassword, &field.key_span, message)
                    .hint("passwords are not looked at: delete the item"),
            );
            return None;
        }
        if matches!(rule, ValueRule::NoNewValues) && !has_state {
            let message = "`no_new_values` compares with earlier pushes, and `state: none` keeps nothing of them";
            self.report(
                Finding::error(Code::StateNone, &field.key_span, message).hint("delete it, or delete `state: none`"),
            );
            return None;
        }
        if let Some(users) = users {
            let rules: Vec<Option<&Rule>> = users
                .iter()
                .filter(|one| extract.as_ref().is_none_or(|name| one.name == *name))
                .map(|one| rule_of(one, header))
                .collect();
            self.check_possible(&rules, &rule, about, field);
        }
        Some(Check::Values { header, extract, rule })
    }

    /// Warns of what can never hold.
    fn check_possible(&mut self, rules: &[Option<&Rule>], rule: &ValueRule, about: &HeaderRule, field: &Field<'_>) {
        let name = about.name;
        let never = |code, message: String| Finding::warning(code, &field.key_span, message);
        if rules.iter().all(Option::is_none) {
            let is_wanted = matches!(rule, ValueRule::Filled(Limit::Count(1..)))
                || matches!(rule, ValueRule::Filled(Limit::Percent(percent)) if *percent > 0.0);
            let (code, what) = if is_wanted {
                (Code::NeverHolds, "this can never hold")
            } else {
                (Code::NothingToLookAt, "there is nothing to look at")
            };
            self.report(
                never(code, format!("{what}: no query fills `{name}`"))
                    .hint(format!("add `{name}` to `columns`, or delete this item")),
            );
            return;
        }
        for one in rules.iter().flatten() {
            let Some(possible) = possible(one) else { continue };
            let is_constant = matches!(one.input, Input::Value(_));
            let is_refused = match rule {
                ValueRule::Unique => is_constant,
                _ => possible.iter().all(|text| !rule.accepts(text)),
            };
            if possible.is_empty() || !is_refused {
                continue;
            }
            let what = if is_constant {
                format!("the mapping gives every row the `{name}` `{}`", possible.join("`, `"))
            } else {
                format!("`{name}` is never anything but {}", super::query::listed(&possible))
            };
            self.report(
                never(Code::NeverHolds, format!("this can never hold: {what}"))
                    .hint("change the rule in `columns`, or this item"),
            );
            return;
        }
    }

    fn pattern(&mut self, field: &Field<'_>) -> Option<Regex> {
        let text = self.raw_text(field.node, &field.path)?;
        match Regex::new(text) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                self.report(regex_error(&field.node.span, &error));
                None
            }
        }
    }

    fn words(&mut self, field: &Field<'_>, about: &HeaderRule) -> Option<Vec<String>> {
        let Content::Sequence(items) = &field.node.content else {
            let message = format!("`{}` must be a list, not {}", field.path, field.node.what());
            self.report(
                Finding::error(Code::NotAList, &field.node.span, message).hint("write it in brackets: `[10A, 10B]`"),
            );
            return None;
        };
        if items.is_empty() {
            let message = format!("`{}` can never hold: the list is empty", field.path);
            self.report(
                Finding::error(Code::ListEmpty, &field.node.span, message).hint("write it in brackets: `[10A, 10B]`"),
            );
            return None;
        }
        let words: Vec<_> = items.iter().map(|item| self.sent(item, about, &field.path)).collect();
        words.into_iter().collect()
    }

    /// A text as it would be sent. One that never is, is a warning.
    fn sent(&mut self, node: &Node, about: &HeaderRule, path: &str) -> Option<String> {
        let text = self.raw_text(node, path)?.trim();
        if text.is_empty() {
            return Some(String::new());
        }
        if let Ok(text) = canonical(about.kind, text) {
            return Some(text.to_owned());
        }
        let message = format!("this can never hold: `{text}` is no value of `{}`", about.name);
        let hint = super::rule::fits(about, text).err().map(Hint::from);
        self.report(Finding { hint, ..Finding::warning(Code::NeverHolds, &node.span, message) });
        Some(text.to_owned())
    }

    fn range(&mut self, field: &Field<'_>) -> Option<ValueRule> {
        let section = self.section(&keys::RANGE, &field.key_span, field.node)?;
        let min = self.bound(&section, "min", Self::decimal)?;
        let max = self.bound(&section, "max", Self::decimal)?;
        self.check_bounds(field, min.as_ref(), max.as_ref())?;
        Some(ValueRule::Range { min, max })
    }

    fn decimal(&mut self, section: &Section<'_>, name: &str) -> Option<f64> {
        let field = section.get(name)?;
        let text = self.text(field)?;
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        if number.is_none() {
            let message = format!("`{}` must be a number", field.path);
            self.report(
                Finding::error(Code::NotANumber, &field.node.span, message).hint("write it like `2032` or `7.5`"),
            );
        }
        number
    }

    fn patron(&mut self, patron: &Field<'_>, is: &Field<'_>, users: Option<&[Extract]>) -> Option<Check> {
        let username = self.text(patron)?.trim();
        if username.is_empty() {
            self.report(
                Finding::error(Code::Blank, &patron.node.span, "`expect.patron` is blank").hint("write a username"),
            );
            return None;
        }
        let Content::Mapping(entries) = &is.node.content else {
            let message = format!("`{}` must be a table, not {}", is.path, is.node.what());
            let hint = "write headers and their values: `is: { staffmember: N, formclass: 10A }`";
            self.report(Finding::error(Code::NotATable, &is.node.span, message).hint(hint));
            return None;
        };
        let mut expected = Vec::new();
        for (key, value) in entries {
            let name = key.text().unwrap_or_default();
            let Some(header) = USERS.header(name) else {
                self.unknown_header(name, &key.span);
                continue;
            };
            let about = USERS.rule(header);
            if about.kind == Kind::Password {
                let message = format!("nothing can be expected of the header `{}`", about.name);
                self.report(
                    Finding::error(Code::ExpectPassword, &key.span, message)
                        .hint("passwords are not looked at: delete it"),
                );
                continue;
            }
            let text = if value.is_null() { Some(String::new()) } else { self.sent(value, about, name) };
            let Some(text) = text else { continue };
            if let Some(users) = users
                && !text.is_empty()
                && users.iter().all(|extract| rule_of(extract, header).is_none())
            {
                let message = format!("this can never hold: no query fills `{}`", about.name);
                let hint = format!("add `{}` to `columns`, or delete it here", about.name);
                self.report(Finding::warning(Code::NeverHolds, &key.span, message).hint(hint));
            }
            self.warn_if_never(header, &text, users.unwrap_or_default(), &key.span);
            expected.push((header, text));
        }
        if entries.is_empty() {
            self.report(
                Finding::error(Code::NothingExpected, &is.node.span, "nothing is expected of this patron")
                    .hint("write headers and their values: `is: { staffmember: N, formclass: 10A }`"),
            );
        }
        Some(Check::Patron { username: username.to_owned(), is: expected })
    }

    /// Warns of a patron's value that no query can give.
    fn warn_if_never(&mut self, header: Header, text: &str, users: &[Extract], span: &Range<usize>) {
        let name = USERS.rule(header).name;
        let rules: Vec<&Rule> = users.iter().filter_map(|extract| rule_of(extract, header)).collect();
        let is_never = |rule: &&Rule| {
            possible(rule).is_some_and(|possible| {
                let is_blank = text.is_empty() && !matches!(rule.input, Input::Value(_));
                !is_blank && !possible.is_empty() && !possible.iter().any(|one| one == text)
            })
        };
        let is_value = canonical(USERS.rule(header).kind, text).is_ok();
        // One that is never sent at all is told already, and a query without the header gives a blank.
        let may_lack = text.is_empty() && rules.len() < users.len();
        if !rules.is_empty() && !may_lack && (is_value || text.is_empty()) && rules.iter().all(is_never) {
            let message = format!("this can never hold: no query gives `{name}` this value");
            self.report(
                Finding::warning(Code::NeverHolds, span, message).hint("change the rule in `columns`, or this value"),
            );
        }
    }

    fn freshness(&mut self, field: &Field<'_>) -> Option<Check> {
        let section = self.section(&keys::FRESHNESS, &field.key_span, field.node)?;
        let warn_after = self.bound(&section, "warn_after", Self::duration);
        let error_after = self.bound(&section, "error_after", Self::duration);
        let query = section.get("query").and_then(|field| {
            self.warn_cut_by_comment(field);
            let query = self.raw_text(field.node, &field.path)?;
            self.check_sql(field, query)
        });
        let (warn_after, error_after) = (warn_after?, error_after?);
        match (warn_after, error_after) {
            (None, None) => {
                self.report(
                    Finding::error(
                        Code::BoundsMissing,
                        &field.key_span,
                        "`freshness` needs `warn_after`, `error_after`, or both",
                    )
                    .hint("say how old the data may be: `error_after: 36h`"),
                );
                return None;
            }
            (Some(warn), Some(error)) if warn >= error => {
                let at = section.get("warn_after").map_or(&field.key_span, |field| &field.node.span);
                self.report(
                    Finding::warning(
                        Code::NeverWarns,
                        at,
                        "the warning can never come: `error_after` is not longer than `warn_after`",
                    )
                    .hint("make `warn_after` the shorter one"),
                );
            }
            _ => {}
        }
        Some(Check::Freshness { query: query?, warn_after, error_after })
    }
}

fn rule_of(extract: &Extract, header: Header) -> Option<&Rule> {
    extract.rules.iter().find(|rule| rule.header == header)
}

/// What a rule can give, blanks left out, if the mapping or the contract names all of it.
fn possible(rule: &Rule) -> Option<Vec<String>> {
    let kind = USERS.rule(rule.header).kind;
    let inputs: Vec<&str> = match (&rule.lookup, &rule.input) {
        (Some(lookup), _) => lookup.outputs().collect(),
        (None, Input::Value(text)) => vec![text],
        (None, Input::Column(_) | Input::Template(_)) => {
            return match kind {
                Kind::Boolean => Some(vec!["Y".to_owned(), "N".to_owned()]),
                Kind::OneOf(words) => Some(words.iter().map(|word| (*word).to_owned()).collect()),
                Kind::Channel => Some(CHANNELS.map(str::to_owned).to_vec()),
                Kind::Text
                | Kind::Email
                | Kind::Year
                | Kind::Password
                | Kind::Reach
                | Kind::Open(_)
                | Kind::Codes(_)
                | Kind::Group
                | Kind::Picture
                | Kind::PictureFile => None,
            };
        }
    };
    let outputs = inputs.into_iter().map(|text| super::rule::transformed(&rule.transforms, text.trim()));
    let mut possible: Vec<String> = outputs
        .chain(rule.default.clone())
        .filter_map(|text| canonical(kind, text.trim()).ok().filter(|text| !text.is_empty()).map(str::to_owned))
        .collect();
    possible.sort_unstable();
    possible.dedup();
    Some(possible)
}
