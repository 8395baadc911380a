//! `rotate …` and `validate`: secrets that change by plan. The server does the work; this asks for it and watches.

use super::clean_path;
use crate::context::Context;
use crate::failure::{Doing, Failure, Kind};
use crate::output::show;
use crate::values::StandardInput;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;
use strongroom_api::Response;
use strongroom_api::client::Client;
use strongroom_secret::SecretString;

/// How often the server is asked how far it has come.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);
const VALUE_BYTES_MAX: u64 = 64 * 1024;

#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    after_help = "A secret is named by its mount and its path there: secret/app/db. Exit codes: 0 rotated, 1 rolled back or \
                  paused."
)]
pub struct RotateArgs {
    #[command(subcommand)]
    command: Option<RotateCommand>,
    /// The secret, as secret/app/db
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    act: ActArgs,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Do not wait for the end
    #[arg(long)]
    no_wait: bool,
}

#[derive(Args)]
#[group(multiple = false)]
struct ActArgs {
    /// Rotate now; what is done without a flag, too
    #[arg(long)]
    now: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// How far it has come, and what is due next
    #[arg(long)]
    status: bool,
    /// Give up a rotation under way, or go back to the value before
    #[arg(long)]
    rollback: bool,
    /// A version got out: end it now
    #[arg(long)]
    leak: bool,
    /// What was rotated when, why and by whom
    #[arg(long)]
    history: bool,
}

#[derive(Subcommand)]
enum RotateCommand {
    /// Show, make or change how a secret is rotated
    Plan(Box<PlanArgs>),
    /// What is due, in the order of time
    Calendar(CalendarArgs),
}

#[derive(Args)]
struct PlanArgs {
    /// The secret, and the member of it that changes: secret/app/db#password
    #[arg(value_name = "NAME[#FIELD]")]
    name: String,
    /// When so long has passed since the last rotation: 30d, 12h
    #[arg(long, value_name = "DURATION")]
    every: Option<String>,
    /// By a cron line, in UTC: "30 3 * * 0"
    #[arg(long, value_name = "LINE")]
    cron: Option<String>,
    /// Once, at a time: 2027-01-01T03:00:00Z
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// After so many reads of the current version
    #[arg(long, value_name = "COUNT")]
    after_reads: Option<u64>,
    /// How long the value before stays valid; 1h by default
    #[arg(long, value_name = "DURATION")]
    grace: Option<String>,
    /// The same after a leak; 0s by default
    #[arg(long, value_name = "DURATION")]
    leak_grace: Option<String>,
    /// What makes the new value: password, "token bytes=32 prefix=app_", uuid, ed25519, rsa-3072, "command name=FILE"
    #[arg(long, value_name = "HOW")]
    generate: Option<String>,
    /// Where it is applied: none, "database connection=NAME username=app", "webhook url=…", "command name=FILE"
    #[arg(long, value_name = "WHERE")]
    apply: Option<String>,
    /// How it is proven before it counts: none, database, "webhook url=…", "command name=FILE"
    #[arg(long, value_name = "HOW")]
    verify: Option<String>,
    /// Who is told: "webhook url=…", "file path=…", "database connection=NAME channel=C". May be repeated
    #[arg(long, value_name = "WHO")]
    notify: Vec<String>,
    /// Of one step outside; 30s by default
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
    /// Attempts of a step before the rotation is rolled back; 5 by default
    #[arg(long, value_name = "COUNT")]
    attempts: Option<u64>,
    /// Rotations that fail before the plan pauses; 3 by default
    #[arg(long, value_name = "COUNT")]
    pause_after: Option<u64>,
    /// Remove the plan. The secret stays
    #[arg(long)]
    remove: bool,
}

#[derive(Args)]
struct CalendarArgs {
    /// How far to look ahead
    #[arg(long, value_name = "DURATION", default_value = "30d")]
    within: String,
}

#[derive(Args)]
#[command(after_help = "Exit codes: 0 valid, 1 not valid.")]
pub struct ValidateArgs {
    /// The secret, and the member of it that is checked: secret/app/key#token
    #[arg(value_name = "NAME[#FIELD]")]
    name: String,
    /// Where the value comes from: - is standard input
    #[arg(value_name = "-")]
    value: String,
}

pub fn run(context: &Context, args: RotateArgs) -> Result<ExitCode, Failure> {
    match args.command {
        Some(RotateCommand::Plan(plan)) => return run_plan(context, &plan),
        Some(RotateCommand::Calendar(calendar)) => return run_calendar(context, &calendar),
        None => {}
    }
    let name = args.name.as_deref().map(clean_path).filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Failure::usage("name a secret: strongroom rotate secret/app/db"))?;
    let act = &args.act;
    match act {
        ActArgs { status: true, .. } => status(context, name),
        ActArgs { history: true, .. } => history(context, name),
        ActArgs { dry_run: true, .. } => rehearse(context, name),
        ActArgs { rollback: true, .. } => ask(context, "rollback", name, &args),
        ActArgs { leak: true, .. } => ask(context, "leak", name, &args),
        _ => ask(context, "rotate", name, &args),
    }
}

/// A secret's name and the member of it after `#`.
fn split(name: &str) -> (&str, Option<&str>) {
    match clean_path(name).split_once('#') {
        Some((name, field)) => (name, Some(field)),
        None => (clean_path(name), None),
    }
}

fn data(response: Option<Response>) -> Map<String, Value> {
    response.and_then(|response| response.data).unwrap_or_default()
}

fn read(context: &Context, what: &str, name: &str) -> Result<Map<String, Value>, Failure> {
    let path = format!("sys/rotation/{what}/{name}");
    let found = context.client()?.read(&path, &[]).while_doing(|| format!("reading the {what} of {name}"))?;
    let found = found.ok_or_else(|| {
        Failure::missing(format!("there is no plan for {name}"))
            .hint(format!("make one: strongroom rotate plan {name}#FIELD --every 30d --generate token"))
    })?;
    Ok(data(Some(found)))
}

/// Begins something, and waits for its end.
fn ask(context: &Context, what: &str, name: &str, args: &RotateArgs) -> Result<ExitCode, Failure> {
    let client = context.client()?;
    let mut body = Map::new();
    if let Some(note) = &args.note {
        body.insert("note".to_owned(), note.clone().into());
    }
    let path = format!("sys/rotation/{what}/{name}");
    let begun = client.write(&path, &body.into()).while_doing(|| format!("rotating {name}"))?;
    let begun = data(begun);
    let Some(id) = begun.get("rotation").and_then(Value::as_str) else {
        // Given up before anything was applied: there is nothing to wait for.
        return context.output.success(&format!("{name}: nothing is under way any longer."));
    };
    if args.no_wait {
        return context.output.map(&begun);
    }
    let past = watch(context, &client, name, id)?;
    report(context, name, &past)
}

/// Waits until a rotation has ended; says each step that it comes to. Its entry of the history.
pub fn watch(
    context: &Context,
    client: &Client,
    name: &str,
    id: &str,
) -> Result<Map<String, Value>, Failure> {
    let is_quiet = context.project().quiet || !context.output.is_table();
    let mut told = String::new();
    loop {
        let status = client
            .read(&format!("sys/rotation/status/{name}"), &[])
            .while_doing(|| format!("watching {name}"))?;
        let status = data(status);
        let rotation = status.get("rotation").and_then(Value::as_object);
        let under_way = rotation.filter(|rotation| rotation.get("id").and_then(Value::as_str) == Some(id));
        let Some(rotation) = under_way else { break };
        if let Some(paused) = status.get("paused").and_then(Value::as_object) {
            let reason = paused.get("reason").and_then(Value::as_str).unwrap_or_default();
            return Err(Failure::other(format!("the rotation of {name} is paused: {reason}"))
                .hint(format!("when the cause is gone, go on with: strongroom rotate {name} --now")));
        }
        let now = describe(rotation);
        if now != told && !is_quiet {
            context.output.note(&now);
            told = now;
        }
        std::thread::sleep(WATCH_INTERVAL);
    }
    let past = client
        .read(&format!("sys/rotation/history/{name}"), &[])
        .while_doing(|| format!("watching {name}"))?;
    let past = data(past);
    let entries = past.get("rotations").and_then(Value::as_array);
    let found = entries.and_then(|entries| entries.iter().find(|entry| entry["id"] == id)?.as_object());
    found.cloned().ok_or_else(|| Failure::other(format!("the rotation of {name} is not in its history")))
}

/// The step under way, and what failed of it.
fn describe(rotation: &Map<String, Value>) -> String {
    let text = |name: &str| rotation.get(name).and_then(Value::as_str).unwrap_or_default();
    let failed = rotation.get("failed_attempts").and_then(Value::as_u64).unwrap_or_default();
    match failed {
        0 => format!("{} …", text("step")),
        _ => format!(
            "{} failed ({failed}): {}; the next attempt is at {}",
            text("step"),
            text("error"),
            text("next_attempt")
        ),
    }
}

fn report(context: &Context, name: &str, past: &Map<String, Value>) -> Result<ExitCode, Failure> {
    let error = past.get("error").and_then(Value::as_str).unwrap_or_default();
    if past.get("outcome").and_then(Value::as_str) != Some("promoted") {
        let text = format!("{name} was not rotated, and is as it was before: {error}");
        return Err(Failure::other(text).hint(format!("all steps: strongroom rotate {name} --history")));
    }
    if !error.is_empty() {
        context.output.note(&format!("warning: {error}"));
    }
    match context.output.is_table() && context.output.field.is_none() {
        true => {
            let version = past.get("version").map(Value::to_string).unwrap_or_default();
            context.output.success(&format!("{name} has version {version} now."))
        }
        false => context.output.map(past),
    }
}

fn status(context: &Context, name: &str) -> Result<ExitCode, Failure> {
    let status = read(context, "status", name)?;
    if !context.output.is_table() || context.output.field.is_some() {
        return context.output.map(&status);
    }
    let mut rows = Vec::new();
    flatten("", &Value::Object(status), &mut rows);
    context.output.table(&["Key", "Value"], &rows)
}

/// Members of members as rows of their own; what is empty is left out.
fn flatten(prefix: &str, value: &Value, rows: &mut Vec<Vec<String>>) {
    let join = |name: &str| if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
    match value {
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        Value::Object(map) => map.iter().for_each(|(name, value)| flatten(&join(name), value, rows)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| flatten(&join(&(n + 1).to_string()), item, rows));
        }
        other => rows.push(vec![prefix.to_owned(), show(prefix, other)]),
    }
}

fn history(context: &Context, name: &str) -> Result<ExitCode, Failure> {
    let history = read(context, "history", name)?;
    if !context.output.is_table() || context.output.field.is_some() {
        return context.output.map(&history);
    }
    let entries = history.get("rotations").and_then(Value::as_array).cloned().unwrap_or_default();
    let rows: Vec<Vec<String>> = entries.iter().map(past_row).collect();
    context.output.table(&["Started", "Outcome", "Version", "Reason", "By", "Note"], &rows)
}

fn past_row(entry: &Value) -> Vec<String> {
    let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let note = match (text("note"), text("error")) {
        (note, error) if error.is_empty() => note,
        (note, error) if note.is_empty() => error,
        (note, error) => format!("{note}; {error}"),
    };
    let version = entry["version"].as_u64().filter(|version| *version > 0);
    vec![
        text("started"),
        text("outcome"),
        version.map_or_else(|| "-".to_owned(), |version| version.to_string()),
        text("reason"),
        text("by"),
        note,
    ]
}

fn rehearse(context: &Context, name: &str) -> Result<ExitCode, Failure> {
    let path = format!("sys/rotation/rotate/{name}");
    let said = context.client()?.write(&path, &json!({ "dry_run": true }));
    let said = data(said.while_doing(|| format!("looking at {name}"))?);
    let problems = said.get("problems").and_then(Value::as_array).cloned().unwrap_or_default();
    let problems: Vec<&str> = problems.iter().filter_map(Value::as_str).collect();
    if !context.output.is_table() || context.output.field.is_some() {
        context.output.map(&said)?;
    } else {
        let steps = said.get("steps").and_then(Value::as_array).cloned().unwrap_or_default();
        let rows: Vec<Vec<String>> = steps.iter().map(step_row).collect();
        context.output.table(&["Step", "How"], &rows)?;
    }
    match problems.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => Err(Failure::other(format!("{name} cannot be rotated now: {}", problems.join("; ")))),
    }
}

fn step_row(step: &Value) -> Vec<String> {
    let how = step.as_object().into_iter().flatten().filter(|(name, _)| *name != "step");
    let how: Vec<String> = how
        .map(|(name, value)| match (name.as_str(), value) {
            ("with", Value::Object(with)) => in_short(with),
            ("with", Value::Array(all)) => {
                all.iter().filter_map(Value::as_object).map(in_short).collect::<Vec<_>>().join(", ")
            }
            (name, value) => format!("{name} {}", show(name, value)),
        })
        .collect();
    vec![step["step"].as_str().unwrap_or_default().to_owned(), how.join(", ")]
}

/// A part of a plan as one writes it.
fn in_short(part: &Map<String, Value>) -> String {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let settings = part.iter().filter(|(name, _)| *name != "type").map(|(name, value)| match value {
        Value::Array(items) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            format!(" {name}={}", items.join(","))
        }
        Value::String(text) => format!(" {name}={text}"),
        other => format!(" {name}={other}"),
    });
    std::iter::once(kind).chain(settings).collect()
}

fn run_plan(context: &Context, args: &PlanArgs) -> Result<ExitCode, Failure> {
    let (name, field) = split(&args.name);
    let path = format!("sys/rotation/plans/{name}");
    if args.remove {
        let gone =
            context.client()?.delete(&path, &[]).while_doing(|| format!("removing the plan of {name}"))?;
        if let Some(response) = &gone {
            context.output.warnings(response);
        }
        return context.output.success(&format!("{name} is no longer rotated."));
    }
    let mut body = Map::new();
    let texts = [
        ("field", field.map(str::to_owned)),
        ("every", args.every.clone()),
        ("cron", args.cron.clone()),
        ("at", args.at.clone()),
        ("grace", args.grace.clone()),
        ("leak_grace", args.leak_grace.clone()),
        ("generate", args.generate.clone()),
        ("apply", args.apply.clone()),
        ("verify", args.verify.clone()),
        ("timeout", args.timeout.clone()),
    ];
    body.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into()))));
    let counts =
        [("after_reads", args.after_reads), ("attempts", args.attempts), ("pause_after", args.pause_after)];
    body.extend(counts.into_iter().filter_map(|(name, count)| Some((name.to_owned(), count?.into()))));
    if !args.notify.is_empty() {
        body.insert("notify".to_owned(), args.notify.clone().into());
    }
    if body.is_empty() {
        return print_plan(context, &read(context, "plans", name)?);
    }
    let written = context.client()?.write(&path, &body.into()).while_doing(|| format!("planning {name}"))?;
    if let Some(response) = &written {
        context.output.warnings(response);
    }
    let plan = data(written);
    if plan.contains_key("webhook_key") && context.output.is_table() {
        context.output.note("The key that signs webhooks is shown this once: give it to the receiver.");
    }
    print_plan(context, &plan)
}

fn print_plan(context: &Context, plan: &Map<String, Value>) -> Result<ExitCode, Failure> {
    if !context.output.is_table() || context.output.field.is_some() {
        return context.output.map(plan);
    }
    let rows: Vec<Vec<String>> = plan
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            let text = match value {
                Value::Object(part) => in_short(part),
                Value::Array(parts) => {
                    parts.iter().filter_map(Value::as_object).map(in_short).collect::<Vec<_>>().join(", ")
                }
                other => show(name, other),
            };
            vec![name.clone(), text]
        })
        .collect();
    context.output.table(&["Key", "Value"], &rows)
}

fn run_calendar(context: &Context, args: &CalendarArgs) -> Result<ExitCode, Failure> {
    let query = [("within", args.within.clone())];
    let found = context.client()?.read("sys/rotation/calendar", &query);
    let calendar = data(found.while_doing(|| "reading the calendar".to_owned())?);
    if !context.output.is_table() || context.output.field.is_some() {
        return context.output.map(&calendar);
    }
    let entries = calendar.get("entries").and_then(Value::as_array).cloned().unwrap_or_default();
    let rows: Vec<Vec<String>> = entries
        .iter()
        .map(|entry| {
            let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
            let detail = match &entry["detail"] {
                Value::String(text) => text.clone(),
                detail => {
                    detail["version"].as_u64().map_or_else(String::new, |number| format!("version {number}"))
                }
            };
            vec![text("time"), text("path"), text("what"), detail]
        })
        .collect();
    context.output.table(&["Time", "Secret", "What", "Why"], &rows)
}

/// Whether a presented value is a secret's current one, or one in its grace.
pub fn validate(context: &Context, args: &ValidateArgs) -> Result<ExitCode, Failure> {
    let (name, field) = split(&args.name);
    if args.value != "-" {
        return Err(Failure::usage("the value comes in on standard input: strongroom validate NAME -")
            .hint("a value on the command line can be read by every user of this machine"));
    }
    let value = presented()?;
    let mut body = Map::new();
    body.insert("value".to_owned(), value.expose().into());
    if let Some(field) = field {
        body.insert("field".to_owned(), field.into());
    }
    let path = format!("sys/rotation/validate/{name}");
    let answer =
        context.client()?.write(&path, &body.into()).while_doing(|| format!("checking a value of {name}"))?;
    let answer = data(answer);
    let is_valid = answer.get("valid") == Some(&Value::Bool(true));
    let code = if is_valid { ExitCode::SUCCESS } else { ExitCode::from(1) };
    if !context.output.is_table() || context.output.field.is_some() {
        context.output.map(&answer)?;
        return Ok(code);
    }
    let text = |name: &str| answer.get(name).map(|value| show(name, value)).unwrap_or_default();
    let line = match (is_valid, answer.contains_key("valid_until")) {
        (true, true) => {
            format!("valid: version {}, in its grace until {}\n", text("version"), text("valid_until"))
        }
        (true, false) => format!("valid: version {}, the current one\n", text("version")),
        (false, _) => "not valid\n".to_owned(),
    };
    context.output.text(&line)?;
    Ok(code)
}

/// The value on standard input, without the line feed that `echo` puts after it.
fn presented() -> Result<SecretString, Failure> {
    let mut text = zeroize::Zeroizing::new(String::new());
    let mut input = StandardInput::new().take(VALUE_BYTES_MAX + 1);
    input.read_to_string(&mut text).map_err(|error| {
        Failure::new(Kind::Usage, format!("the value on standard input cannot be read: {error}"))
    })?;
    if text.len() as u64 > VALUE_BYTES_MAX {
        return Err(Failure::usage("the value on standard input is longer than 64 KiB"));
    }
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.trim_end_matches('\r'));
    match line.is_empty() {
        true => Err(Failure::usage("there is no value on standard input")),
        false => Ok(SecretString::from(line)),
    }
}
