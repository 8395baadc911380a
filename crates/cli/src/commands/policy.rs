//! `policy …`: on the server, and on files without any server (`fmt`, `test`).

use super::clean_path;
use super::generic::nothing_at;
use crate::context::Context;
use crate::failure::{Doing, Failure, Kind};
use crate::system::SystemClock;
use crate::values::read_file;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use strongroom_kernel::policy::{AccessRequest, Acl, MountHint, Operation, Policy, TemplateContext};
use strongroom_secret::{Clock, NamespacePath, PolicyName};

#[derive(Subcommand)]
pub enum PolicyCommand {
    /// The names of all policies
    List,
    /// The text of a policy
    Read(NameArgs),
    /// Upload a policy
    Write(WriteArgs),
    /// Remove a policy
    Delete(NameArgs),
    /// Put a policy file into its usual form
    Fmt(FmtArgs),
    /// Check policy files, without a server
    #[command(after_help = "A line of an expectations file: allow|deny OPERATION PATH, as\n\n    \
        allow read secret/data/app\n    deny  delete secret/data/app\n\nExit codes: 0 all is as expected, 3 it is not.")]
    Test(TestArgs),
    /// Why a request is allowed or not, and what would allow it
    Explain(ExplainArgs),
}

#[derive(Args)]
pub struct NameArgs {
    name: String,
}

#[derive(Args)]
pub struct WriteArgs {
    name: String,
    /// - for standard input
    file: String,
}

#[derive(Args)]
pub struct FmtArgs {
    /// Rewritten in place; - from standard input to standard output
    file: String,
    /// Change nothing; fail if something would change
    #[arg(long)]
    check: bool,
}

#[derive(Args)]
pub struct TestArgs {
    /// Policy files, all held by one token
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// A file of expectations
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    /// Explain every expectation, not only those that fail
    #[arg(long)]
    explain: bool,
}

#[derive(Args)]
pub struct ExplainArgs {
    path: String,
    /// read, list, create, update, patch, delete, scan…
    #[arg(long, short, default_value = "read", value_name = "NAME")]
    operation: String,
    /// Ask for the token of this accessor, not for that in use
    #[arg(long, value_name = "ACCESSOR")]
    accessor: Option<String>,
}

pub fn run(context: &Context, command: PolicyCommand) -> Result<ExitCode, Failure> {
    match command {
        PolicyCommand::List => list(context),
        PolicyCommand::Read(args) => read(context, &args),
        PolicyCommand::Write(args) => write(context, &args),
        PolicyCommand::Delete(args) => delete(context, &args),
        PolicyCommand::Fmt(args) => fmt(context, &args),
        PolicyCommand::Test(args) => test(context, &args),
        PolicyCommand::Explain(args) => explain(context, &args),
    }
}

fn list(context: &Context) -> Result<ExitCode, Failure> {
    let response =
        context.client()?.list("sys/policies/acl", &[]).while_doing(|| "listing policies".to_owned())?;
    let response = response.unwrap_or_default();
    let keys = response.keys();
    if !context.output.is_table() {
        return context.output.structured(&keys);
    }
    context.output.text(&keys.iter().map(|key| format!("{key}\n")).collect::<String>())
}

fn read(context: &Context, args: &NameArgs) -> Result<ExitCode, Failure> {
    let name = policy_name(&args.name);
    let response = context.client()?.read(&format!("sys/policies/acl/{name}"), &[]);
    let response = response.while_doing(|| format!("reading policy named {name}"))?;
    let text = response.as_ref().and_then(|response| response.text("policy"));
    let text = text.ok_or_else(|| Failure::missing(format!("No policy named: {name}")))?;
    if context.output.is_table() {
        return context.output.text(&format!("{}\n", text.trim()));
    }
    context.output.structured(&json!({ "policy": text }))
}

fn write(context: &Context, args: &WriteArgs) -> Result<ExitCode, Failure> {
    let name = policy_name(&args.name);
    let text = file_or_stdin(&args.file)?;
    if text.trim().is_empty() {
        return Err(Failure::usage("the policy is empty"));
    }
    let path = format!("sys/policies/acl/{name}");
    let response = context.client()?.write(&path, &json!({ "policy": text }));
    if let Some(response) = response.while_doing(|| format!("uploading policy {name}"))? {
        context.output.warnings(&response);
    }
    context.output.success(&format!("Uploaded policy: {name}"))
}

fn delete(context: &Context, args: &NameArgs) -> Result<ExitCode, Failure> {
    let name = policy_name(&args.name);
    context
        .client()?
        .delete(&format!("sys/policies/acl/{name}"), &[])
        .while_doing(|| format!("deleting {name}"))?;
    context.output.success(&format!("Deleted policy: {name}"))
}

/// As the `vault` command: names are in small letters.
fn policy_name(name: &str) -> String {
    clean_path(name).to_lowercase()
}

fn file_or_stdin(file: &str) -> Result<String, Failure> {
    if file != "-" {
        return read_file(file);
    }
    let mut text = String::new();
    let read = std::io::stdin().take(16 << 20).read_to_string(&mut text);
    read.map_err(|error| Failure::other(format!("cannot read standard input: {error}")))?;
    Ok(text)
}

fn fmt(context: &Context, args: &FmtArgs) -> Result<ExitCode, Failure> {
    let file = &args.file;
    let text = file_or_stdin(file)?;
    let formatted = strongroom_kernel::policy::format(&text);
    let formatted = formatted.map_err(|error| Failure::new(Kind::Missing, format!("{file}: {error}")))?;
    if args.check {
        return match formatted == text {
            true => Ok(ExitCode::SUCCESS),
            false => Err(Failure::new(Kind::Missing, format!("{file} is not in its usual form"))
                .hint("`policy fmt` writes it")),
        };
    }
    if file == "-" {
        return context.output.text(&formatted);
    }
    if formatted != text {
        fs::write(file, formatted)
            .map_err(|error| Failure::other(format!("cannot write {file}: {error}")))?;
    }
    context.output.success(&format!("Formatted policy: {file}"))
}

fn test(context: &Context, args: &TestArgs) -> Result<ExitCode, Failure> {
    let policies = load(context, &args.files)?;
    let root = NamespacePath::root();
    let held: Vec<_> = policies.iter().map(|policy| (policy, &root)).collect();
    let now = SystemClock::new().now();
    let acl = Acl::compile(&held, &TemplateContext::default(), now);
    let Some(file) = &args.expect else {
        return context.output.success(&format!(
            "{} of {} files are policies",
            policies.len(),
            args.files.len()
        ));
    };
    let file = file.display().to_string();
    let expectations = parse_expectations(&file, &read_file(&file)?)?;
    let mut failed = 0;
    for expectation in &expectations {
        let request = AccessRequest::new(&root, &expectation.path, expectation.operation, now);
        let explanation = acl.explain(&request, MountHint::Unknown);
        let is_met = explanation.allowed == expectation.allowed;
        failed += usize::from(!is_met);
        if !is_met || args.explain {
            let mark = if is_met { "ok" } else { "NOT AS EXPECTED" };
            let line = expectation.line;
            context.output.text(&format!("{file}:{line}: {mark}: {}\n{explanation}\n", expectation.text))?;
        }
    }
    let count = expectations.len();
    if failed > 0 {
        return Err(Failure::new(Kind::Missing, format!("{failed} of {count} expectations are not met")));
    }
    context.output.success(&format!("{count} of {count} expectations are met"))
}

/// All files, or everything that is wrong with any of them.
fn load(context: &Context, files: &[PathBuf]) -> Result<Vec<Policy>, Failure> {
    let mut policies = Vec::new();
    let mut problems = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        let text = read_file(&file.to_string_lossy())?;
        let parsed = PolicyName::parse(&name).map_err(|error| error.to_string());
        match parsed.and_then(|name| Policy::parse(name, &text).map_err(|error| error.to_string())) {
            Ok(policy) => {
                for warning in policy.warnings() {
                    context.output.note(&format!("{}: warning: {warning}", file.display()));
                }
                policies.push(policy);
            }
            Err(problem) => problems.push(format!("{}: {problem}", file.display())),
        }
    }
    if problems.is_empty() { Ok(policies) } else { Err(Failure::new(Kind::Missing, problems.join("\n"))) }
}

struct Expectation {
    line: usize,
    text: String,
    allowed: bool,
    operation: Operation,
    path: String,
}

/// Lines of `allow|deny OPERATION PATH`; `#` begins a comment.
fn parse_expectations(file: &str, text: &str) -> Result<Vec<Expectation>, Failure> {
    let mut expectations = Vec::new();
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split(" #").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let mut words = line.split_whitespace();
        let (verdict, operation, path, rest) = (words.next(), words.next(), words.next(), words.next());
        let allowed = match verdict {
            Some("allow") => Some(true),
            Some("deny") => Some(false),
            _ => None,
        };
        match (allowed, operation.and_then(Operation::parse), path, rest) {
            (Some(allowed), Some(operation), Some(path), None) => expectations.push(Expectation {
                line: index + 1,
                text: line.to_owned(),
                allowed,
                operation,
                path: path.trim_start_matches('/').to_owned(),
            }),
            _ => problems.push(format!("{file}:{}: {line:?} is not `allow|deny OPERATION PATH`", index + 1)),
        }
    }
    if problems.is_empty() { Ok(expectations) } else { Err(Failure::usage(problems.join("\n"))) }
}

fn explain(context: &Context, args: &ExplainArgs) -> Result<ExitCode, Failure> {
    let path = args.path.trim().trim_start_matches('/');
    let client = context.client()?;
    let mut body = Map::new();
    body.insert("path".to_owned(), path.into());
    body.insert("operation".to_owned(), args.operation.clone().into());
    if let Some(accessor) = &args.accessor {
        body.insert("accessor".to_owned(), accessor.clone().into());
    }
    let response = client.write("sys/internal/explain", &Value::Object(body));
    let response = response.while_doing(|| format!("explaining {path}"))?.ok_or_else(|| nothing_at(path))?;
    match response.text("text") {
        Some(text) if context.output.is_table() && context.output.field.is_none() => {
            context.output.text(&format!("{}\n", text.trim_end()))
        }
        _ => context.output.response(&response),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expectations_are_read_and_complained_about_all_at_once() {
        let text = "# comment\nallow read secret/data/app # why\n\n deny  list /secret/metadata/\n";
        let read = parse_expectations("f", text).unwrap();
        let lines: Vec<_> =
            read.iter().map(|e| (e.line, e.allowed, e.operation.name(), e.path.as_str())).collect();
        assert_eq!(lines, [(2, true, "read", "secret/data/app"), (4, false, "list", "secret/metadata/")]);
        let failure = parse_expectations("f", "allow read\nmaybe read x\nallow fly x\n").err().unwrap();
        assert_eq!(failure.native_text().matches("is not `allow|deny OPERATION PATH`").count(), 3);
    }
}
