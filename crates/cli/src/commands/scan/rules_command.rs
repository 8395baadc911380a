//! `scan rules`: list, show, check.

use super::arguments::{RuleArgsOfOne, RulesArgs, RulesCommand};
use super::rules;
use crate::context::Context;
use crate::failure::{Failure, did_you_mean};
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use strongroom_detect::config::{Loaded, Reading};
use strongroom_detect::{Rule, Structure, builtin};

pub fn run(context: &Context, command: &RulesCommand) -> Result<ExitCode, Failure> {
    match command {
        RulesCommand::List(args) => list(context, args),
        RulesCommand::Show(args) => show(context, args),
        RulesCommand::Check(args) => check(context, args),
    }
}

/// The rules of a file, or ours; each looked at closely.
fn read(file: Option<&Path>) -> Result<Loaded, Failure> {
    match file {
        Some(file) => rules::read(file),
        None => rules::read_text(&rules::own_text(), "our own rules", Reading::Checked),
    }
}

fn list(context: &Context, args: &RulesArgs) -> Result<ExitCode, Failure> {
    let loaded = read(args.file.as_deref())?;
    if !context.output.is_table() {
        let rules: Vec<_> = loaded.rules.rules.iter().map(as_json).collect();
        return context.output.structured(&rules);
    }
    let row = |rule: &Rule| vec![rule.id.clone(), rule.severity.name().to_owned(), rule.description.clone()];
    let rows: Vec<_> = loaded.rules.rules.iter().map(row).collect();
    context.output.table(&["Rule", "Severity", "What it finds"], &rows)
}

fn as_json(rule: &Rule) -> serde_json::Value {
    json!({
        "id": rule.id,
        "description": rule.description,
        "severity": rule.severity.name(),
        "regex": rule.regex.as_ref().map(|pattern| pattern.source()),
        "path": rule.path.as_ref().map(|pattern| pattern.source()),
        "entropy": rule.entropy,
        "keywords": rule.keywords,
        "tags": rule.tags,
        "structure": rule.structure.map(Structure::name),
        "remediation": rule.remediation,
        "references": rule.references,
        "examples": rule.examples.len(),
        "counterexamples": rule.counterexamples.len(),
    })
}

fn show(context: &Context, args: &RuleArgsOfOne) -> Result<ExitCode, Failure> {
    let loaded = read(args.rules.as_deref())?;
    let Some(rule) = loaded.rules.rules.iter().find(|rule| rule.id == args.id) else {
        let known = loaded.rules.rules.iter().map(|rule| rule.id.as_str());
        let failure = Failure::missing(format!("there is no rule {:?}", args.id));
        return Err(match did_you_mean(&args.id, known) {
            Some(near) => failure.hint(format!("did you mean {near:?}?")),
            None => failure.hint("strongroom scan rules list shows all of them"),
        });
    };
    if !context.output.is_table() {
        return context.output.structured(&as_json(rule));
    }
    let mut text = format!("{}: {}\n  severity: {}\n", rule.id, rule.description, rule.severity.name());
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("  {name}: {value}\n"));
        }
    };
    line("pattern", rule.regex.as_ref().map(|pattern| pattern.source()).unwrap_or_default());
    line("path", rule.path.as_ref().map(|pattern| pattern.source()).unwrap_or_default());
    line("entropy above", &if rule.entropy > 0.0 { rule.entropy.to_string() } else { String::new() });
    line("keywords", &rule.keywords.join(", "));
    line("tags", &rule.tags.join(", "));
    line("verified offline by", rule.structure.map(Structure::name).unwrap_or_default());
    line("when it leaks", &rule.remediation);
    rule.references.iter().for_each(|reference| line("see", reference));
    context.output.text(&text)
}

fn check(context: &Context, args: &RulesArgs) -> Result<ExitCode, Failure> {
    let Loaded { rules, problems } = read(args.file.as_deref())?;
    let mut wrong: Vec<String> = problems
        .iter()
        .map(|problem| match problem.hint.as_str() {
            "" => problem.to_string(),
            hint => format!("{problem}\n  hint: {hint}"),
        })
        .collect();
    let lost = problems.iter().any(rules::is_loss);
    let count = rules.rules.len();
    let examples: usize =
        rules.rules.iter().map(|rule| rule.examples.len() + rule.counterexamples.len()).sum();
    let mut failed = builtin::check_examples(rules);
    // Others' rules have no examples of ours.
    failed.retain(|failure| args.file.is_none() || failure.failed != builtin::Failed::Missing);
    wrong.extend(failed.iter().map(ToString::to_string));
    for line in &wrong {
        context.output.note(line);
    }
    context.output.text(&format!("{count} rules, {examples} examples, {} problems\n", wrong.len()))?;
    Ok(if lost || !failed.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
