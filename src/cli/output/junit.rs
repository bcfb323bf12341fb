//! Tests of mappings as `JUnit` XML, which build servers read: one suite a mapping, one case an expectation.

use std::io::{self, Write};

use quick_xml::Writer;
use quick_xml::events::BytesText;

use super::expect::verdict_text;
use super::{Output, write_failed};
use crate::cli::test::{Results, Tested};
use crate::error::{Error, causes};
use crate::sync::expect::{Outcome, Verdict};

impl Output {
    /// The tests of all mappings.
    pub(in crate::cli) fn tested_junit(&mut self, all: &[Tested], show_values: bool) -> Result<(), Error> {
        let mut out = self.data();
        writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)
            .and_then(|()| {
                let mut writer = Writer::new_with_indent(&mut out, b' ', 2);
                writer.create_element("testsuites").write_inner_content(|writer| {
                    all.iter().try_for_each(|tested| write_suite(writer, tested, show_values))
                })?;
                Ok(())
            })
            .and_then(|()| writeln!(out))
            .map_err(write_failed)
    }
}

fn write_suite<W: Write>(writer: &mut Writer<W>, tested: &Tested, show_values: bool) -> io::Result<()> {
    let name = tested.name.clone().unwrap_or_else(|| tested.path.display().to_string());
    match &tested.result {
        Ok(results) => write_results(writer, &name, results, show_values),
        Err(error) => write_error(writer, &name, error),
    }
}

fn write_results<W: Write>(writer: &mut Writer<W>, name: &str, results: &Results, show_values: bool) -> io::Result<()> {
    let count = |outcome| results.of_outcome(outcome).to_string();
    let suite = writer
        .create_element("testsuite")
        .with_attribute(("name", name))
        .with_attribute(("tests", results.verdicts.len().to_string().as_str()))
        .with_attribute(("failures", count(Outcome::Failed).as_str()))
        .with_attribute(("errors", "0"))
        .with_attribute(("skipped", count(Outcome::Skipped).as_str()))
        .with_attribute(("time", format!("{:.3}", results.elapsed.as_secs_f64()).as_str()));
    suite.write_inner_content(|writer| {
        writer.create_element("properties").write_inner_content(|writer| {
            let counts = results.feeds().flat_map(|feed| {
                let name = feed.contract.feed;
                [(format!("{name}.rows"), feed.rows()), (format!("{name}.rejected"), feed.rejections)]
            });
            counts.into_iter().try_for_each(|(name, count)| {
                let property = writer.create_element("property").with_attribute(("name", name.as_str()));
                property.with_attribute(("value", count.to_string().as_str())).write_empty().map(drop)
            })
        })?;
        results.verdicts.iter().try_for_each(|verdict| write_case(writer, name, verdict, show_values))
    })?;
    Ok(())
}

fn write_case<W: Write>(writer: &mut Writer<W>, name: &str, verdict: &Verdict, show_values: bool) -> io::Result<()> {
    let text = printable(&verdict_text(verdict, show_values));
    let case = writer
        .create_element("testcase")
        .with_attribute(("classname", name))
        .with_attribute(("name", printable(&verdict.expectation).as_str()));
    match verdict.outcome {
        Outcome::Met => case.write_empty()?,
        Outcome::Failed => case.write_inner_content(|writer| {
            writer.create_element("failure").with_attribute(("message", text.as_str())).write_empty()?;
            Ok(())
        })?,
        Outcome::Skipped => case.write_inner_content(|writer| {
            writer.create_element("skipped").with_attribute(("message", text.as_str())).write_empty()?;
            Ok(())
        })?,
        // The format knows no warnings.
        Outcome::Warned => case.write_inner_content(|writer| {
            let warning = format!("warning: {text}");
            writer.create_element("system-out").write_text_content(BytesText::new(&warning))?;
            Ok(())
        })?,
    };
    Ok(())
}

/// A mapping that could not be tested is a suite with one case that is in error.
fn write_error<W: Write>(writer: &mut Writer<W>, name: &str, error: &Error) -> io::Result<()> {
    let mut text = vec![error.to_string()];
    match error {
        Error::Mapping(error) => text.extend(error.problems().iter().map(ToString::to_string)),
        other => text.extend(causes(other)),
    }
    text.extend(error.hint().map(|hint| format!("hint: {hint}")));
    let text = printable(&text.join("\n"));
    let suite = writer
        .create_element("testsuite")
        .with_attribute(("name", name))
        .with_attribute(("tests", "1"))
        .with_attribute(("failures", "0"))
        .with_attribute(("errors", "1"))
        .with_attribute(("skipped", "0"));
    suite.write_inner_content(|writer| {
        let case = writer
            .create_element("testcase")
            .with_attribute(("classname", name))
            .with_attribute(("name", "the data can be read"));
        case.write_inner_content(|writer| {
            let message = printable(&error.to_string());
            let element = writer.create_element("error").with_attribute(("message", message.as_str()));
            element.write_text_content(BytesText::new(&text))?;
            Ok(())
        })?;
        Ok(())
    })?;
    Ok(())
}

/// XML has no way to write most control characters.
fn printable(text: &str) -> String {
    text.chars().map(|char| if char.is_control() && char != '\n' { ' ' } else { char }).collect()
}
