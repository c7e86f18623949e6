//! The report: a table for people, a JSON document for programs, JUnit for CI.

use std::path::Path;

use anyhow::{Context as _, Result};
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event},
};
use serde_json::{Value, json};

use super::outcome::{Outcome, Row};
use crate::{checkpoint, report::print_result};

/// Prints a table, then a line for what was found in all.
pub fn print_table(rows: &[Row]) {
    let name = |row: &Row| format!("{:>2} {}", row.number, row.check);
    let width = |of: fn(&Row) -> usize, least: usize| rows.iter().map(of).max().unwrap_or(0).max(least);
    let (checks, components) = (width(|row| row.check.len() + 3, 8), width(|row| row.component.len(), 9));
    print_result(&format!("{:<checks$}  {:<components$}  {:<8} {:>6}  reason", "check", "component", "outcome", "ms"));
    for row in rows {
        let Row { component, outcome, milliseconds, reason, .. } = row;
        let line = format!(
            "{:<checks$}  {component:<components$}  {:<8} {milliseconds:>6}  {reason}",
            name(row),
            outcome.word()
        );
        print_result(line.trim_end());
    }
    print_result(
        &counts(rows).map(|(outcome, count)| format!("{count} {}", outcome.word())).collect::<Vec<_>>().join(", "),
    );
}

/// How often each outcome came, those that did.
fn counts(rows: &[Row]) -> impl Iterator<Item = (Outcome, usize)> {
    let all = [Outcome::Passed, Outcome::Skipped, Outcome::Failed, Outcome::Crashed, Outcome::Refused];
    let count = |outcome| rows.iter().filter(|row| row.outcome == outcome).count();
    all.into_iter().map(move |outcome| (outcome, count(outcome))).filter(|(_, count)| *count > 0)
}

/// One document.
pub fn json(subject: &str, rows: &[Row], exit: u8) -> Value {
    let counts: serde_json::Map<_, _> =
        counts(rows).map(|(outcome, count)| (outcome.word().to_owned(), json!(count))).collect();
    json!({ "plugin": subject, "exit": exit, "counts": counts, "checks": rows })
}

/// Writes a JUnit file: a test suite of one test case a row.
pub fn write_junit(path: &Path, subject: &str, rows: &[Row]) -> Result<()> {
    let count = |outcomes: &[Outcome]| rows.iter().filter(|row| outcomes.contains(&row.outcome)).count().to_string();
    let seconds = |milliseconds: u64| format!("{:.3}", milliseconds as f64 / 1000.0);
    let (failures, skipped) = (count(&[Outcome::Failed]), count(&[Outcome::Skipped]));
    let errors = count(&[Outcome::Crashed, Outcome::Refused]);
    let (tests, time) = (rows.len().to_string(), seconds(rows.iter().map(|row| row.milliseconds).sum()));
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let totals = [
        ("name", subject),
        ("tests", &tests),
        ("failures", &failures),
        ("errors", &errors),
        ("skipped", &skipped),
        ("time", &time),
    ];
    writer.create_element("testsuites").write_inner_content(|writer| {
        writer.create_element("testsuite").with_attributes(totals).write_inner_content(|writer| {
            rows.iter().try_for_each(|row| {
                let name = format!("{} {} {}", row.number, row.check, row.component);
                let attributes =
                    [("classname", subject), ("name", name.trim_end()), ("time", &seconds(row.milliseconds))];
                let case = writer.create_element("testcase").with_attributes(attributes);
                let what = match row.outcome {
                    Outcome::Passed => return case.write_empty().map(drop),
                    Outcome::Skipped => "skipped",
                    Outcome::Failed => "failure",
                    Outcome::Crashed | Outcome::Refused => "error",
                };
                case.write_inner_content(|writer| {
                    let element = writer.create_element(what).with_attribute(("message", row.reason.as_str()));
                    element.write_text_content(BytesText::new(row.outcome.word())).map(drop)
                })
                .map(drop)
            })
        })?;
        Ok(())
    })?;
    checkpoint::write(path, &writer.into_inner()).with_context(|| format!("cannot write --junit {}", path.display()))
}
