//! Queries, and the headers that each must fill.

use std::ops::Range;
use std::path::PathBuf;

use super::Checker;
use super::rule::{CheckedRule, Literal};
use super::scalar::missing_file;
use super::section::{Field, Section};
use crate::infiniti::contract::{Contract, Header, HeaderRule, HeaderSet, Kind, Presence, TRUE_SPELLINGS};
use crate::infiniti::value::CHANNELS;
use crate::mapping::Extract;
use crate::mapping::code::Code;
use crate::mapping::diagnostic::Finding;
use crate::mapping::keys;
use crate::mapping::text::{self, TextError};
use crate::mapping::yaml::{Content, Node};
use crate::source;

impl Checker<'_> {
    /// The queries of the feed that is looked at.
    pub(super) fn extracts(&mut self, field: &Field<'_>) -> Option<Vec<Extract>> {
        let Content::Sequence(items) = &field.node.content else {
            let message = format!("`{}` must be a list, not {}", field.path, field.node.what());
            self.report(
                Finding::error(Code::NotAList, &field.key_span, message)
                    .hint(format!("begin each query with `- name: …`, indented below `{}:`", field.key.name)),
            );
            return None;
        };
        if items.is_empty() {
            let example = if self.feed.account.is_some() { self.feed.feed } else { "students" };
            self.report(
                Finding::error(Code::ListEmpty, &field.node.span, format!("`{}` has no query", field.path))
                    .hint(format!("add one: `- name: {example}`")),
            );
            return None;
        }
        let mut extracts = Vec::new();
        let sections: Vec<_> = items
            .iter()
            .filter_map(|item| {
                let at = place_of_item(item);
                Some((self.section(&keys::EXTRACT, &at, item)?, at))
            })
            .collect();
        let mut queries: Vec<(&Field<'_>, String, Vec<CheckedRule>)> = Vec::new();
        for (section, at) in &sections {
            let name = section.get("name").and_then(|field| self.extract_name(field));
            let query = self.query(section, at);
            let min_rows = section.get("min_rows").and_then(|_| self.count(section, "min_rows"));
            let rules = section.get("columns").and_then(|field| self.columns(field));
            if let Some((query, field)) = &query {
                self.advise_on_select(field, query, rules.as_deref());
            }
            if let (Some(name), Some((query, field)), Some(rules)) = (name, query, rules) {
                extracts.push((name, min_rows));
                queries.push((field, query, rules));
            }
        }
        self.advise_on_twins(&queries);
        let extract =
            |((name, min_rows), (field, query, rules)): ((&str, _), (&Field<'_>, String, Vec<CheckedRule>))| {
                let query_file = field.node.text().filter(|_| field.key.name == "query_file").map(PathBuf::from);
                Extract {
                    name: name.to_owned(),
                    query,
                    query_file,
                    file: self.files.at(field.key_span.start).0.to_path_buf(),
                    line: self.files.line(self.text, field.key_span.start),
                    min_rows,
                    rules: rules.into_iter().map(|checked| checked.rule).collect(),
                }
            };
        Some(extracts.into_iter().zip(queries).map(extract).collect())
    }

    fn extract_name<'n>(&mut self, field: &Field<'n>) -> Option<&'n str> {
        let name = self.text(field)?;
        if name.trim().is_empty() || name.contains('\n') {
            self.report(
                Finding::error(Code::Blank, &field.node.span, "a query needs a name")
                    .hint("write a word, such as `students`"),
            );
            return None;
        }
        let before = self.extract_names.iter().find(|(before, _)| before.eq_ignore_ascii_case(name));
        if let Some((_, feed)) = before {
            let finding = if *feed == self.feed {
                Finding::error(Code::ExtractTwice, &field.node.span, format!("two queries are named `{name}`"))
                    .hint("give each a name of its own")
            } else {
                let message = format!("a query of `{}` is named `{name}`, too", feed.feed);
                let hint = format!("give each a name of its own, such as `{}-{name}`", self.feed.feed);
                Finding::error(Code::ExtractTwice, &field.node.span, message).hint(hint)
            };
            self.report(finding);
        }
        self.extract_names.push((name.to_owned(), self.feed));
        Some(name)
    }

    /// The SQL, with the key that gives it.
    fn query<'s, 'n>(&mut self, section: &'s Section<'n>, at: &Range<usize>) -> Option<(String, &'s Field<'n>)> {
        let (query, field) = match (section.get("query"), section.get("query_file")) {
            (Some(query), Some(file)) => {
                self.raw_text(query.node, "query");
                self.report(
                    Finding::error(Code::ExclusiveKeys, &file.key_span, "`query` and `query_file` exclude each other")
                        .hint("delete one of the two"),
                );
                return None;
            }
            (None, None) if section.is_doubtful => return None,
            (None, None) => {
                self.report(
                    Finding::error(Code::MissingKey, at, "`query` is missing")
                        .hint("add `query: |` with the SQL below it, or `query_file`"),
                );
                return None;
            }
            (Some(field), None) => {
                self.warn_cut_by_comment(field);
                (self.raw_text(field.node, "query")?.to_owned(), field)
            }
            (None, Some(field)) => (self.query_of_file(field)?, field),
        };
        Some((self.check_sql(field, &query)?, field))
    }

    /// What can be said of SQL without asking the server. Gives it back if it can be used.
    pub(super) fn check_sql(&mut self, field: &Field<'_>, query: &str) -> Option<String> {
        if query.trim().is_empty() {
            let message = format!("the SQL of `{}` is blank", field.path);
            self.report(Finding::error(Code::QueryBlank, &field.node.span, message).hint("write one SELECT"));
            return None;
        }
        if query.contains(['“', '”', '‘', '’']) {
            let message = format!("the SQL of `{}` holds curly quotes, as Word makes them", field.path);
            self.report(
                Finding::warning(Code::QueryCurlyQuotes, &field.node.span, message)
                    .hint("databases know straight quotes only: `'`"),
            );
        }
        if let Some(Err(error)) = self.engine.map(|engine| source::check_query(engine, query)) {
            let mut finding = Finding::error(Code::QueryWrites, &field.node.span, error.to_string());
            finding.hint = error.hint();
            self.report(finding);
        }
        self.advise_on_words(field, query);
        Some(query.to_owned())
    }

    fn query_of_file(&mut self, field: &Field<'_>) -> Option<String> {
        let file = self.text(field)?;
        let path = self.files.folder(field.node.span.start).join(file);
        let finding = match text::read(&path) {
            Ok(query) => return Some(query),
            Err(TextError::Read(error)) if path.is_dir() || error.kind() == std::io::ErrorKind::NotFound => {
                missing_file(&field.node.span, &field.path, &path)
            }
            Err(TextError::Read(error)) => Finding::error(
                Code::UnreadableFile,
                &field.node.span,
                format!("could not read `{}`: {error}", path.display()),
            ),
            Err(TextError::Encoding { lossy, at }) => {
                let line = lossy[..at].matches('\n').count() + 1;
                Finding::error(
                    Code::Encoding,
                    &field.node.span,
                    format!("`{}`, line {line}: this is not UTF-8 text", path.display()),
                )
                .hint(text::ENCODING_HINT)
            }
        };
        self.report(finding);
        None
    }

    fn columns(&mut self, field: &Field<'_>) -> Option<Vec<CheckedRule>> {
        let Content::Mapping(entries) = &field.node.content else {
            let message = format!("`columns` must be a group of headers, not {}", field.node.what());
            self.report(
                Finding::error(Code::NotATable, &field.node.span, message)
                    .hint("write lines such as `username: StudentLogin` below it"),
            );
            return None;
        };
        let mut seen = HeaderSet::default();
        // A header that is only misspelt is not reported as missing, too.
        let mut meant = HeaderSet::default();
        let mut rules = Vec::new();
        for (key, value) in entries {
            let name = key.text().unwrap_or_default();
            let Some(header) = self.feed.header(name) else {
                if let Some(header) = self.unknown_header(name, &key.span) {
                    meant.insert(header);
                }
                continue;
            };
            if seen.contains(header) {
                let message = format!("the header `{}` is given twice", self.feed.rule(header).name);
                self.report(
                    Finding::error(Code::HeaderTwice, &key.span, message)
                        .hint("headers differ in more than case: delete one of the two"),
                );
                continue;
            }
            seen.insert(header);
            rules.extend(self.rule(header, key, value));
        }
        self.completeness(&field.key_span, entries, seen, meant, &rules);
        rules.sort_by_key(|checked| checked.rule.header);
        Some(rules)
    }

    /// Reports an unknown header; gives the one that was meant, if it can be told.
    pub(super) fn unknown_header(&mut self, name: &str, span: &Range<usize>) -> Option<Header> {
        let feed = self.feed;
        let of_feed = if feed.account.is_some() { format!(" in `{}`", feed.feed) } else { String::new() };
        let finding = Finding::error(Code::UnknownHeader, span, format!("Infiniti has no header `{name}`{of_feed}"));
        let names = || feed.headers.iter().map(|rule| rule.name);
        let nearest = keys::nearest(name, names());
        self.report(finding.hint(match nearest {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => {
                format!("the headers are {}", names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
            }
        }));
        nearest.and_then(|name| feed.header(name))
    }

    /// Mandatory headers, and of those that stand for each other the right number.
    fn completeness(
        &mut self,
        at: &Range<usize>,
        entries: &[(Node, Node)],
        seen: HeaderSet,
        meant: HeaderSet,
        rules: &[CheckedRule],
    ) {
        let feed = self.feed;
        let written = seen.union(meant);
        for header in feed.iter().filter(|header| !written.contains(*header)) {
            let rule = feed.rule(header);
            if !matches!(rule.presence, Presence::Mandatory | Presence::Content) {
                continue;
            }
            self.report(
                Finding::error(Code::HeaderMissing, at, format!("the mandatory header `{}` is missing", rule.name))
                    .hint(format!("add `{}`: {}", example(rule), rule.about)),
            );
        }
        let place = |header: Header| {
            let key = entries.iter().find(|(key, _)| key.text().is_some_and(|name| feed.header(name) == Some(header)));
            key.map_or_else(|| at.clone(), |(key, _)| key.span.clone())
        };
        self.cohort(written, rules, &place);
        let contents = with_presence(feed, Presence::OneOfContent);
        let given: Vec<Header> = contents.iter().copied().filter(|header| written.contains(*header)).collect();
        match given.as_slice() {
            [] if !contents.is_empty() => {
                let names: Vec<String> =
                    contents.iter().map(|header| format!("`{}`", feed.rule(*header).name)).collect();
                let examples: Vec<String> = contents
                    .iter()
                    .map(|header| format!("`{}` ({})", example(feed.rule(*header)), feed.rule(*header).about))
                    .collect();
                self.report(
                    Finding::error(Code::HeaderMissing, at, format!("neither {} is given", names.join(" nor ")))
                        .hint(format!("add {}", examples.join(", or "))),
                );
            }
            [first, second, ..] => {
                let message =
                    format!("`{}` and `{}` exclude each other", feed.rule(*first).name, feed.rule(*second).name);
                self.report(
                    Finding::error(Code::ContentTwice, &place(*second), message)
                        .hint("keep the one that the query gives; for some of each write two queries"),
                );
            }
            _ => {}
        }
    }

    /// Of the cohort's headers the right number, where the feed has such.
    fn cohort(&mut self, written: HeaderSet, rules: &[CheckedRule], place: &dyn Fn(Header) -> Range<usize>) {
        let feed = self.feed;
        let Some(staff) = feed.staff else { return };
        let cohort: Vec<Header> =
            with_presence(feed, Presence::OneOfCohort).into_iter().filter(|header| written.contains(*header)).collect();
        let is_staff = rules.iter().find(|checked| checked.rule.header == staff).and_then(|checked| {
            let Literal::Constant(text) = &checked.literal else { return None };
            Some(TRUE_SPELLINGS.iter().any(|spelling| spelling.eq_ignore_ascii_case(text)))
        });
        match (is_staff, cohort.as_slice()) {
            (Some(true), [_, ..]) => {
                for header in &cohort {
                    let message = format!("these are staff, and staff have no `{}`", feed.rule(*header).name);
                    self.report(Finding::error(Code::CohortOfStaff, &place(*header), message).hint("delete the line"));
                }
            }
            (Some(false), []) => self.report(
                Finding::error(
                    Code::CohortMissing,
                    &place(staff),
                    "these are students, and neither `graduationyear` nor `academiclevel` is given",
                )
                .hint("add one of the two to `columns`: students need exactly one"),
            ),
            (_, [_, second, ..]) => self.report(
                Finding::error(
                    Code::CohortTwice,
                    &place(*second),
                    "`graduationyear` and `academiclevel` exclude each other",
                )
                .hint("keep the one that the school uses in Infiniti: students need exactly one"),
            ),
            _ => {}
        }
    }
}

fn with_presence(feed: &Contract, presence: Presence) -> Vec<Header> {
    feed.iter().filter(|header| feed.rule(*header).presence == presence).collect()
}

/// A line that fills a header: with what is the same for all where it mostly is.
fn example(rule: &HeaderRule) -> String {
    let value = match (rule.name, rule.kind) {
        ("staffmember", _) => "false",
        (_, Kind::Boolean) => "true",
        (_, Kind::Channel) => CHANNELS[0],
        (_, Kind::Open(words)) => words.last().copied().unwrap_or_default(),
        (_, Kind::OneOf(words) | Kind::Codes(words)) => words.first().copied().unwrap_or_default(),
        (
            _,
            Kind::Text
            | Kind::Email
            | Kind::Year
            | Kind::Password
            | Kind::Reach
            | Kind::Group
            | Kind::Picture
            | Kind::PictureFile,
        ) => return format!("{}: NAME_OF_A_COLUMN", rule.name),
    };
    format!("{}: {{ value: {value} }}", rule.name)
}

/// An item of a list has no key of its own: its first key stands for it.
pub(super) fn place_of_item(item: &Node) -> Range<usize> {
    match &item.content {
        Content::Mapping(entries) => entries.first().map_or_else(|| item.span.clone(), |(key, _)| key.span.clone()),
        Content::Null | Content::Scalar { .. } | Content::Sequence(_) => item.span.clone(),
    }
}
