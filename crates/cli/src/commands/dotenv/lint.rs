//! `dotenv lint`: values are told by their shapes alone.

use super::{DialectName, open};
use crate::context::Context;
use crate::failure::Failure;
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use strongroom_formats::dotenv::{Dialect, Finding, Issue, Reading, portability, problems};

#[derive(Args)]
pub struct LintArgs {
    /// Whose rules the files are read by
    #[arg(long, value_enum, default_value = "python")]
    dialect: DialectName,
    /// Name the lines on which dialects disagree
    #[arg(long)]
    portable: bool,
    /// The dialects to compare; the first one's values are the ones that are meant
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "DIALECTS",
        requires = "portable",
        default_value = "python,node,compose,ruby"
    )]
    dialects: Vec<DialectName>,
    #[arg(default_value = ".env")]
    files: Vec<PathBuf>,
}

/// What there is to say about one file.
struct Report {
    path: PathBuf,
    issues: Vec<(usize, Issue)>,
    findings: Vec<Finding>,
}

pub fn run(context: &Context, args: &LintArgs) -> Result<ExitCode, Failure> {
    let dialects: Vec<Dialect> = args.dialects.iter().map(|dialect| (*dialect).into()).collect();
    let mut reports = Vec::new();
    for path in &args.files {
        let document = open(path, args.dialect.into())?;
        let issues = problems(&document);
        let findings = if args.portable {
            portability(&document, &dialects).map_err(|error| super::of_text(path, &error))?
        } else {
            Vec::new()
        };
        reports.push(Report { path: path.clone(), issues, findings });
    }
    if context.output.is_table() {
        context.output.text(&reports.iter().map(Report::text).collect::<String>())?;
    } else {
        context.output.structured(&reports.iter().map(Report::json).collect::<Vec<_>>())?;
    }
    let is_clean = reports.iter().all(|report| report.issues.is_empty() && report.findings.is_empty());
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

impl Report {
    fn text(&self) -> String {
        let path = self.path.display();
        let mut text = String::new();
        // Writing to a String does not fail.
        for (line, issue) in &self.issues {
            let _ = writeln!(text, "{path}:{line}: {issue}");
        }
        for finding in &self.findings {
            let key = finding.key.as_deref().unwrap_or("the line");
            let _ = writeln!(text, "{path}:{}: {key} is read differently", finding.lines.0);
            for (dialects, readings) in &finding.readings {
                let shapes: Vec<_> = readings.iter().map(|reading| told(reading, finding)).collect();
                let shapes = if shapes.is_empty() { "nothing".to_owned() } else { shapes.join("; ") };
                let _ = writeln!(text, "    {}: {shapes}", names(dialects));
            }
            for difference in &finding.differences {
                let _ = writeln!(text, "  why: {}", difference.what());
            }
            let _ = writeln!(text, "  fix: {}", fix(finding));
        }
        text
    }

    fn json(&self) -> Value {
        let issue = |(line, issue): &(usize, Issue)| json!({"line": line, "message": issue.to_string()});
        json!({
            "file": self.path.display().to_string(),
            "issues": self.issues.iter().map(issue).collect::<Vec<_>>(),
            "disagreements": self.findings.iter().map(disagreement).collect::<Vec<_>>(),
        })
    }
}

fn disagreement(finding: &Finding) -> Value {
    let reading = |reading: &Reading| json!({"name": reading.key, "shape": reading.shape.to_string()});
    let readings = finding.readings.iter().map(|(dialects, readings)| {
        json!({
            "dialects": dialects.iter().map(|dialect| dialect.name()).collect::<Vec<_>>(),
            "reads": readings.iter().map(reading).collect::<Vec<_>>(),
        })
    });
    json!({
        "line": finding.lines.0,
        "last_line": finding.lines.1,
        "name": finding.key,
        "causes": finding.differences.iter().map(|difference| difference.code()).collect::<Vec<_>>(),
        "readings": readings.collect::<Vec<_>>(),
        "fix": fix(finding),
    })
}

/// A reading, with its name where that is not the one that the finding goes by.
fn told(reading: &Reading, finding: &Finding) -> String {
    match &reading.key {
        Some(key) if reading.key != finding.key => format!("{key}: {}", reading.shape),
        _ => reading.shape.to_string(),
    }
}

fn names(dialects: &[Dialect]) -> String {
    dialects.iter().map(|dialect| dialect.name()).collect::<Vec<_>>().join(", ")
}

/// A form that was tried, or else what helps against the first cause.
fn fix(finding: &Finding) -> String {
    let first = finding.readings.first().and_then(|(dialects, _)| dialects.first());
    match (finding.form, first, finding.differences.first()) {
        (Some(form), Some(first), _) => {
            format!("write the value {form}: all then read what {first} reads now")
        }
        (_, _, Some(difference)) => difference.fix().to_owned(),
        _ => String::new(),
    }
}
