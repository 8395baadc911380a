use super::{Report, Summary, native};
use std::io::{self, Write};

const PAGE: &str = include_str!("page.html");

/// The findings stand in the page as JSON, and a script of the page shows them. A policy forbids the page to load or
/// send anything.
pub(super) fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let summary = Summary::new(report.findings, report.rules, report.statistics).to_string();
    let (before, after) = PAGE.split_once("__FINDINGS__").unwrap_or((PAGE, ""));
    out.write_all(before.replace("__SUMMARY__", &text(&summary)).as_bytes())?;
    out.write_all(b"[")?;
    for (index, record) in report.records().enumerate() {
        out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        let json = serde_json::to_string(&native::finding(&record, report.redaction))?;
        out.write_all(in_script(&json).as_bytes())?;
    }
    out.write_all(b"\n]")?;
    out.write_all(after.as_bytes())
}

/// JSON within a `script` element must not end it or begin a comment (HTML, section 4.12.1.3).
fn in_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
