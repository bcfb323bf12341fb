//! Queries, and the headers that each must fill.

use std::ops::Range;
use std::path::PathBuf;

use super::Checker;
use super::rule::{CheckedRule, Literal};
use super::scalar::missing_file;
use super::section::{Field, Section};
use crate::infiniti::contract::{Header, HeaderSet, Presence, STAFFMEMBER, TRUE_SPELLINGS, USERS};
use crate::mapping::Extract;
use crate::mapping::code::Code;
use crate::mapping::diagnostic::Finding;
use crate::mapping::keys;
use crate::mapping::text::{self, TextError};
use crate::mapping::yaml::{Content, Node};
use crate::source;

impl Checker<'_> {
    pub(super) fn users(&mut self, field: &Field<'_>) -> Option<Vec<Extract>> {
        let Content::Sequence(items) = &field.node.content else {
            let message = format!("`users` must be a list, not {}", field.node.what());
            self.report(
                Finding::error(Code::NotAList, &field.key_span, message)
                    .hint("begin each query with `- name: …`, indented below `users:`"),
            );
            return None;
        };
        if items.is_empty() {
            self.report(
                Finding::error(Code::ListEmpty, &field.node.span, "`users` has no query")
                    .hint("add one: `- name: students`"),
            );
            return None;
        }
        let mut names: Vec<&str> = Vec::new();
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
            let name = section.get("name").and_then(|field| self.extract_name(field, &names));
            names.extend(name);
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

    fn extract_name<'n>(&mut self, field: &Field<'n>, names: &[&str]) -> Option<&'n str> {
        let name = self.text(field)?;
        if name.trim().is_empty() || name.contains('\n') {
            self.report(
                Finding::error(Code::Blank, &field.node.span, "a query needs a name")
                    .hint("write a word, such as `students`"),
            );
            return None;
        }
        if names.iter().any(|before| before.eq_ignore_ascii_case(name)) {
            let message = format!("two queries are named `{name}`");
            self.report(
                Finding::error(Code::ExtractTwice, &field.node.span, message).hint("give each a name of its own"),
            );
        }
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
            let Some(header) = USERS.header(name) else {
                if let Some(header) = self.unknown_header(name, &key.span) {
                    meant.insert(header);
                }
                continue;
            };
            if seen.contains(header) {
                let message = format!("the header `{}` is given twice", USERS.rule(header).name);
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
        let finding = Finding::error(Code::UnknownHeader, span, format!("Infiniti has no header `{name}`"));
        let names = || USERS.headers.iter().map(|rule| rule.name);
        let nearest = keys::nearest(name, names());
        self.report(finding.hint(match nearest {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => {
                format!("the headers are {}", names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
            }
        }));
        nearest.and_then(|name| USERS.header(name))
    }

    /// Mandatory headers, and of the cohort's headers the right number.
    fn completeness(
        &mut self,
        at: &Range<usize>,
        entries: &[(Node, Node)],
        seen: HeaderSet,
        meant: HeaderSet,
        rules: &[CheckedRule],
    ) {
        let written = seen.union(meant);
        for header in USERS.iter().filter(|header| !written.contains(*header)) {
            let rule = USERS.rule(header);
            if rule.presence != Presence::Mandatory {
                continue;
            }
            let example = match rule.name {
                "enabled" => "enabled: { value: true }",
                "staffmember" => "staffmember: { value: false }",
                _ => "username: NAME_OF_A_COLUMN",
            };
            self.report(
                Finding::error(Code::HeaderMissing, at, format!("the mandatory header `{}` is missing", rule.name))
                    .hint(format!("add `{example}`: {}", rule.about)),
            );
        }
        let place = |header: Header| {
            let key = entries.iter().find(|(key, _)| key.text().is_some_and(|name| USERS.header(name) == Some(header)));
            key.map_or_else(|| at.clone(), |(key, _)| key.span.clone())
        };
        let cohort: Vec<Header> =
            written.iter().filter(|header| USERS.rule(*header).presence == Presence::OneOfCohort).collect();
        let is_staff = rules.iter().find(|checked| checked.rule.header == STAFFMEMBER).and_then(|checked| {
            let Literal::Constant(text) = &checked.literal else { return None };
            Some(TRUE_SPELLINGS.iter().any(|spelling| spelling.eq_ignore_ascii_case(text)))
        });
        match (is_staff, cohort.as_slice()) {
            (Some(true), [_, ..]) => {
                for header in &cohort {
                    let message = format!("these are staff, and staff have no `{}`", USERS.rule(*header).name);
                    self.report(Finding::error(Code::CohortOfStaff, &place(*header), message).hint("delete the line"));
                }
            }
            (Some(false), []) => self.report(
                Finding::error(
                    Code::CohortMissing,
                    &place(STAFFMEMBER),
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

/// An item of a list has no key of its own: its first key stands for it.
pub(super) fn place_of_item(item: &Node) -> Range<usize> {
    match &item.content {
        Content::Mapping(entries) => entries.first().map_or_else(|| item.span.clone(), |(key, _)| key.span.clone()),
        Content::Null | Content::Scalar { .. } | Content::Sequence(_) => item.span.clone(),
    }
}
