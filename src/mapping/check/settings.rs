//! What stands beside source, target and queries: mode, leavers, hold, state, limits.

use std::time::Duration;

use super::section::{Field, Section};
use super::{Checker, is_literal};
use crate::mapping::code::Code;
use crate::mapping::diagnostic::Finding;
use crate::mapping::keys::{self, Shape};
use crate::mapping::secret;
use crate::mapping::yaml::Content;
use crate::mapping::{Hold, LeaverAction, Leavers, Limits, Mode, StateLocation};

impl Checker<'_> {
    pub(super) fn mode(&mut self, section: &Section<'_>, has_state: bool) -> Option<Mode> {
        let mode = if self.one_of(section, "mode")? == "delta" { Mode::Delta } else { Mode::Full };
        if let (Mode::Delta, false, Some(field)) = (mode, has_state, section.get("mode")) {
            let message =
                "`mode: delta` compares with what Infiniti has accepted, and `state: none` keeps nothing of it";
            let hint = "delete `state: none`, or write `mode: full`";
            self.report(Finding::error(Code::StateNone, &field.node.span, message).hint(hint));
        }
        Some(mode)
    }

    pub(super) fn full_every(
        &mut self,
        section: &Section<'_>,
        mode: Option<Mode>,
        has_state: bool,
    ) -> Option<Duration> {
        let field = section.get("full_every")?;
        let full_every = self.duration(section, "full_every");
        match mode {
            // Without a state the mode itself is the mistake.
            Some(Mode::Delta) | None => {}
            // Of two files, the base's holds for schools of the other mode.
            Some(Mode::Full) if self.is_of_base_only(field, section.get("mode")) => {}
            Some(Mode::Full) if has_state => {
                let message = "`full_every` does nothing in `mode: full`: every push sends everybody";
                self.report(
                    Finding::warning(Code::IdleKey, &field.key_span, message).hint("delete it, or write `mode: delta`"),
                );
            }
            Some(Mode::Full) => {
                let message = "`full_every` counts from the last full push, and `state: none` keeps nothing of it";
                let hint = "delete it: every push sends everybody";
                self.report(Finding::error(Code::StateNone, &field.key_span, message).hint(hint));
            }
        }
        full_every
    }

    /// Whether a key stands in the base, and the other, which makes it idle, in the mapping.
    fn is_of_base_only(&self, field: &Field<'_>, other: Option<&Field<'_>>) -> bool {
        self.files.is_base(field.key_span.start) && other.is_some_and(|other| !self.files.is_base(other.key_span.start))
    }

    pub(super) fn leavers(&mut self, field: Option<&Field<'_>>, has_state: bool) -> Option<Leavers> {
        let Some(field) = field else { return Some(Leavers::default()) };
        let section = self.section(&keys::LEAVERS, &field.key_span, field.node)?;
        let action = self.one_of(&section, "action");
        let after = self.duration(&section, "after");
        let action = match action? {
            "deactivate" => LeaverAction::Deactivate,
            "ignore" => LeaverAction::Ignore,
            _ => LeaverAction::Report,
        };
        if let (LeaverAction::Deactivate, false, Some(field)) = (action, has_state, section.get("action")) {
            let message = "leavers are those whom Infiniti has accepted before, and `state: none` keeps nothing of it";
            let hint = "delete `state: none`, or write `action: ignore`";
            self.report(Finding::error(Code::StateNone, &field.node.span, message).hint(hint));
        }
        if action != LeaverAction::Deactivate
            && let Some(after) = section.get("after")
            && !self.is_of_base_only(after, section.get("action"))
        {
            let message = "`leavers.after` does nothing unless leavers are deactivated";
            let hint = "delete it, or write `action: deactivate`";
            self.report(Finding::warning(Code::IdleKey, &after.key_span, message).hint(hint));
        }
        Some(Leavers { action, after: after? })
    }

    pub(super) fn hold(&mut self, field: Option<&Field<'_>>) -> Option<Vec<Hold>> {
        let Some(field) = field else { return Some(Vec::new()) };
        let Content::Sequence(items) = &field.node.content else {
            let message = format!("`hold` must be a list, not {}", field.node.what());
            self.report(
                Finding::error(Code::NotAList, &field.key_span, message)
                    .hint("begin each with a dash: `- { from: 2026-12-10, until: 2027-01-28, reason: year rollover }`"),
            );
            return None;
        };
        let mut holds = Vec::new();
        for item in items {
            let Some(section) = self.section(&keys::HOLD, &super::extract::place_of_item(item), item) else { continue };
            let from = section.get("from").and_then(|field| self.date(field));
            let until = section.get("until").and_then(|field| self.date(field));
            let reason = section.get("reason").and_then(|field| self.reason(field));
            if let (Some(from), Some(until), Some(field)) = (from, until, section.get("until"))
                && until < from
            {
                let message = format!("`hold.until` is before `hold.from`: {until} comes before {from}");
                self.report(
                    Finding::error(Code::HoldOrder, &field.node.span, message)
                        .hint("write the last day on which nothing is sent"),
                );
            }
            if let (Some(from), Some(until), Some(reason)) = (from, until, reason) {
                holds.push(Hold { from, until, reason });
            }
        }
        Some(holds)
    }

    fn reason(&mut self, field: &Field<'_>) -> Option<String> {
        let reason = self.text(field)?.trim();
        if reason.is_empty() {
            self.report(
                Finding::error(Code::Blank, &field.node.span, format!("`{}` is blank", field.path))
                    .hint("say why nothing is sent, such as `year rollover`"),
            );
            return None;
        }
        Some(reason.to_owned())
    }

    pub(super) fn state(&mut self, field: &Field<'_>) -> Option<StateLocation> {
        let text = self.secret(field)?;
        // Started from nowhere, so that references are replaced in what is written and in nothing else.
        let state = match StateLocation::parse(text, "".as_ref()) {
            Ok(state) => state,
            Err(error) => {
                self.report(Finding {
                    hint: error.hint,
                    ..Finding::error(Code::State, &field.node.span, error.message)
                });
                return None;
            }
        };
        match &state {
            StateLocation::Postgres(connection) => {
                if connection.password.as_ref().is_some_and(|password| is_literal(password.expose_secret())) {
                    self.warn_literal_password(field);
                }
            }
            StateLocation::File(file) => {
                let path = self.files.folder(field.node.span.start).join(file);
                if secret::references(text).next().is_none() && path.is_dir() {
                    let message = format!("the file of `state`, `{}`, is a folder", path.display());
                    self.report(
                        Finding::error(Code::State, &field.node.span, message)
                            .hint("add the name of a file: `state.db`"),
                    );
                }
            }
            StateLocation::Default | StateLocation::None => {}
        }
        Some(state)
    }

    pub(super) fn limits(&mut self, field: Option<&Field<'_>>) -> Option<Limits> {
        self.limits_over(field, &keys::LIMITS, Limits::default())
    }

    /// The limits of a group of such keys, and those of `before` for the keys that are not there.
    pub(super) fn limits_over(
        &mut self,
        field: Option<&Field<'_>>,
        shape: &'static Shape,
        before: Limits,
    ) -> Option<Limits> {
        let Some(field) = field else { return Some(before) };
        let section = self.section(shape, &field.key_span, field.node)?;
        let min_rows = section.get("min_rows").map(|_| self.count(&section, "min_rows"));
        let min_rows_in_all = section.get("min_rows_in_all").map(|_| self.count(&section, "min_rows_in_all"));
        let mut limit = |name: &str| section.get(name).map(|_| self.limit(&section, name));
        let (max_drop, max_creates, max_updates) = (limit("max_drop"), limit("max_creates"), limit("max_updates"));
        let (max_deactivations, max_rejections) = (limit("max_deactivations"), limit("max_rejections"));
        Some(Limits {
            min_rows: min_rows.unwrap_or(Some(before.min_rows))?,
            min_rows_in_all: min_rows_in_all.unwrap_or(Some(before.min_rows_in_all))?,
            max_drop: max_drop.unwrap_or(Some(before.max_drop))?,
            max_creates: max_creates.unwrap_or(before.max_creates),
            max_updates: max_updates.unwrap_or(before.max_updates),
            max_deactivations: max_deactivations.unwrap_or(Some(before.max_deactivations))?,
            max_rejections: max_rejections.unwrap_or(Some(before.max_rejections))?,
        })
    }
}
