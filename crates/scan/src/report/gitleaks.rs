//! gitleaks' own reports, byte for byte.

use super::go_text::{csv_field, float32, json_string, xml};
use super::record::Record;
use super::{Report, Tool};
use std::fmt::Write as _;
use std::io::{self, Write};

enum Value<'a> {
    Text(&'a [u8]),
    Number(u64),
    Float(f64),
    List(&'a [String]),
}

impl Value<'_> {
    fn write(&self, out: &mut String, indent: &str, step: &str) {
        match self {
            Self::Text(text) => json_string(out, text),
            Self::Number(number) => {
                let _ = write!(out, "{number}");
            }
            Self::Float(number) => out.push_str(&float32(*number)),
            Self::List([]) => out.push_str("[]"),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    let _ = write!(out, "{comma}\n{indent}{step}");
                    json_string(out, item.as_bytes());
                }
                let _ = write!(out, "\n{indent}]");
            }
        }
    }
}

/// A finding as an object, in the order of gitleaks' struct.
fn object(out: &mut String, record: &Record<'_>, indent: &str, step: &str) {
    let located = record.located;
    let place = located.finding.place;
    let (date, message) = (record.date(), record.message());
    let mut fields: Vec<(&str, Value<'_>)> = vec![
        ("RuleID", Value::Text(record.rule_id.as_bytes())),
        ("Description", Value::Text(record.description.as_bytes())),
        ("StartLine", Value::Number(place.start_line)),
        ("EndLine", Value::Number(place.end_line)),
        ("StartColumn", Value::Number(place.start_column)),
        ("EndColumn", Value::Number(place.end_column)),
        ("Match", Value::Text(record.matched.expose())),
        ("Secret", Value::Text(record.secret.expose())),
        ("File", Value::Text(located.path.as_bytes())),
        ("SymlinkFile", Value::Text(located.link_path.as_bytes())),
        ("Commit", Value::Text(located.commit_id().as_bytes())),
        ("Link", Value::Text(located.link.as_bytes())),
        ("Entropy", Value::Float(located.finding.entropy)),
        ("Author", Value::Text(record.author().as_bytes())),
        ("Email", Value::Text(record.email().as_bytes())),
        ("Date", Value::Text(date.as_bytes())),
        ("Message", Value::Text(message.as_bytes())),
        ("Tags", Value::List(&located.finding.tags)),
        ("Fingerprint", Value::Text(record.fingerprint.as_bytes())),
    ];
    if located.link.is_empty() {
        fields.retain(|(name, _)| *name != "Link");
    }
    let inner = format!("{indent}{step}");
    out.push('{');
    for (index, (name, value)) in fields.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(out, "{comma}\n{inner}\"{name}\": ");
        value.write(out, &inner, step);
    }
    let _ = write!(out, "\n{indent}}}");
}

pub(super) fn json(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    if report.findings.is_empty() {
        return out.write_all(b"[]\n");
    }
    for (index, record) in report.records().enumerate() {
        let mut text = String::from(if index == 0 { "[\n " } else { ",\n " });
        object(&mut text, &record, " ", " ");
        out.write_all(text.as_bytes())?;
    }
    out.write_all(b"\n]\n")
}

const CSV_COLUMNS: &[&str] = &[
    "RuleID",
    "Commit",
    "File",
    "SymlinkFile",
    "Secret",
    "Match",
    "StartLine",
    "EndLine",
    "StartColumn",
    "EndColumn",
    "Author",
    "Message",
    "Date",
    "Email",
    "Fingerprint",
    "Tags",
];

/// Without findings there is not even a head line. Whether there is a column of links, the first finding decides.
pub(super) fn csv(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let Some(first) = report.findings.first() else {
        return Ok(());
    };
    let with_links = !first.link.is_empty();
    let mut head = CSV_COLUMNS.join(",");
    head.push_str(if with_links { ",Link\n" } else { "\n" });
    out.write_all(head.as_bytes())?;
    for record in report.records() {
        let place = record.located.finding.place;
        let numbers = [place.start_line, place.end_line, place.start_column, place.end_column];
        let [start_line, end_line, start_column, end_column] = numbers.map(|number| number.to_string());
        let (message, date) = (record.message(), record.date());
        let tags = record.located.finding.tags.join(" ");
        let mut fields: Vec<&[u8]> = vec![
            record.rule_id.as_bytes(),
            record.located.commit_id().as_bytes(),
            record.located.path.as_bytes(),
            record.located.link_path.as_bytes(),
            record.secret.expose(),
            record.matched.expose(),
            start_line.as_bytes(),
            end_line.as_bytes(),
            start_column.as_bytes(),
            end_column.as_bytes(),
            record.author().as_bytes(),
            message.as_bytes(),
            date.as_bytes(),
            record.email().as_bytes(),
            record.fingerprint.as_bytes(),
            tags.as_bytes(),
        ];
        if with_links {
            fields.push(record.located.link.as_bytes());
        }
        let mut line = Vec::new();
        for (index, field) in fields.into_iter().enumerate() {
            if index > 0 {
                line.push(b',');
            }
            csv_field(&mut line, field);
        }
        line.push(b'\n');
        out.write_all(&line)?;
    }
    Ok(())
}

/// Writes `name="value"` pairs of a tag.
fn attributes(out: &mut String, pairs: &[(&str, &[u8])]) {
    for (name, value) in pairs {
        let _ = write!(out, " {name}=\"");
        xml(out, value);
        out.push('"');
    }
}

pub(super) fn junit(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let count = report.findings.len().to_string();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n\t<testsuite");
    let name = report.tool.name();
    let suite: [(&str, &[u8]); 4] = [
        ("failures", count.as_bytes()),
        ("name", name.as_bytes()),
        ("tests", count.as_bytes()),
        ("time", b""),
    ];
    attributes(&mut text, &suite);
    text.push('>');
    out.write_all(text.as_bytes())?;
    for record in report.records() {
        out.write_all(test_case(&record).as_bytes())?;
    }
    let end = if report.findings.is_empty() { "" } else { "\n\t" };
    write!(out, "{end}</testsuite>\n</testsuites>")
}

fn test_case(record: &Record<'_>) -> String {
    let located = record.located;
    let mut message = format!(
        "{} has detected a secret in file {}, line {}",
        record.rule_id, located.path, located.finding.place.start_line
    );
    if !located.commit_id().is_empty() {
        let _ = write!(message, ", at commit {}", located.commit_id());
    }
    message.push('.');
    let mut text = String::from("\n\t\t<testcase");
    let case: [(&str, &[u8]); 4] = [
        ("classname", record.description.as_bytes()),
        ("file", located.path.as_bytes()),
        ("name", message.as_bytes()),
        ("time", b""),
    ];
    attributes(&mut text, &case);
    text.push_str(">\n\t\t\t<failure");
    attributes(&mut text, &[("message", message.as_bytes()), ("type", record.description.as_bytes())]);
    text.push('>');
    let mut data = String::new();
    object(&mut data, record, "", "\t");
    xml(&mut text, data.as_bytes());
    text.push_str("</failure>\n\t\t</testcase>");
    text
}

/// The rules stand in the order of the configuration's ids.
pub(super) fn sarif(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut text = String::from(
        "{\n \"$schema\": \"https://json.schemastore.org/sarif-2.1.0.json\",\n \"version\": \"2.1.0\",\n \"runs\": \
         [\n  {\n   \"tool\": {\n    \"driver\": {\n     \"name\": ",
    );
    json_string(&mut text, report.tool.name().as_bytes());
    text.push_str(",\n     \"semanticVersion\": ");
    json_string(&mut text, report.tool.version().as_bytes());
    text.push_str(",\n     \"informationUri\": ");
    json_string(&mut text, report.tool.address().as_bytes());
    text.push_str(",\n     \"rules\": [");
    sarif_rules(report, &mut text);
    text.push_str("]\n    }\n   },\n   \"results\": [");
    out.write_all(text.as_bytes())?;
    for (index, record) in report.records().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let mut text = String::from(comma);
        sarif_result(report.tool, &record, &mut text);
        out.write_all(text.as_bytes())?;
    }
    let end = if report.findings.is_empty() { "" } else { "\n   " };
    write!(out, "{end}]\n  }}\n ]\n}}\n")
}

fn sarif_rules(report: &Report<'_>, text: &mut String) {
    let mut rules: Vec<_> = report.rules.rules.iter().collect();
    rules.sort_by(|one, other| one.id.cmp(&other.id));
    for (index, rule) in rules.iter().enumerate() {
        text.push_str(if index == 0 { "\n      {\n       \"id\": " } else { ",\n      {\n       \"id\": " });
        json_string(text, rule.id.as_bytes());
        text.push_str(",\n       \"shortDescription\": {\n        \"text\": ");
        json_string(text, rule.description.as_bytes());
        text.push_str("\n       }");
        if let Tool::Strongroom { .. } = report.tool {
            text.push_str(",\n       \"help\": {\n        \"text\": ");
            json_string(text, rule.remediation.as_bytes());
            text.push_str("\n       }");
        }
        text.push_str("\n      }");
    }
    if !rules.is_empty() {
        text.push_str("\n     ");
    }
}

fn sarif_result(tool: Tool<'_>, record: &Record<'_>, text: &mut String) {
    let located = record.located;
    let place = located.finding.place;
    let mut message = format!("{} has detected secret for file {}", record.rule_id, located.path);
    if !located.commit_id().is_empty() {
        let _ = write!(message, " at commit {}", located.commit_id());
    }
    message.push('.');
    let uri = if located.link_path.is_empty() { &located.path } else { &located.link_path };
    text.push_str("\n    {\n     \"message\": {\n      \"text\": ");
    json_string(text, message.as_bytes());
    text.push_str("\n     },\n     \"ruleId\": ");
    json_string(text, record.rule_id.as_bytes());
    // SARIF's end column is the one after the region; gitleaks writes the last one within.
    let mut end_column = place.end_column;
    if let Tool::Strongroom { .. } = tool {
        end_column += 1;
        let level = super::level(record);
        let _ = write!(text, ",\n     \"level\": \"{level}\"");
    }
    text.push_str(
        ",\n     \"locations\": [\n      {\n       \"physicalLocation\": {\n        \"artifactLocation\": {\n         \
         \"uri\": ",
    );
    json_string(text, uri.as_bytes());
    let _ = write!(
        text,
        "\n        }},\n        \"region\": {{\n         \"startLine\": {},\n         \"startColumn\": {},\n         \
         \"endLine\": {},\n         \"endColumn\": {},\n         \"snippet\": {{\n          \"text\": ",
        place.start_line, place.start_column, place.end_line, end_column
    );
    json_string(text, record.secret.expose());
    text.push_str("\n         }\n        }\n       }\n      }\n     ],\n     \"partialFingerprints\": {");
    let (date, message) = (record.date(), record.message());
    let prints = [
        ("commitSha", located.commit_id()),
        ("email", record.email()),
        ("author", record.author()),
        ("date", &date),
        ("commitMessage", &message),
    ];
    for (index, (name, value)) in prints.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, "{comma}\n      \"{name}\": ");
        json_string(text, value.as_bytes());
    }
    text.push_str("\n     },\n     \"properties\": {\n      \"tags\": ");
    Value::List(&located.finding.tags).write(text, "      ", " ");
    // gitleaks has no such finding: what is told of it is ours.
    if let Some(known) = super::native::known(&located.finding) {
        text.push_str(",\n      \"known\": ");
        text.push_str(&serde_json::to_string(&known).unwrap_or_default());
    }
    text.push_str("\n     }\n    }");
}
