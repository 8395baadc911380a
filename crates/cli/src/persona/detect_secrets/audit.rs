//! `detect-secrets audit`: label, compare, count and report what a baseline has.

use super::collection::{Collection, Form, Secret, Settings};
use super::scan::{Lines, Scanner, class_of};
use super::{load, now, pretty, say, write};
use crate::failure::Failure;
use clap::Args;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Lines before and after the one that is asked about.
const CONTEXT_LINES: usize = 5;

#[derive(Args)]
pub(super) struct AuditArgs {
    /// Audit a given baseline file to distinguish the difference between false and true positives.
    #[arg(required = true)]
    filename: Vec<PathBuf>,
    /// Allows the comparison of two baseline files.
    #[arg(long)]
    diff: bool,
    /// Displays the results of an interactive auditing session which have been saved to a baseline file.
    #[arg(long)]
    stats: bool,
    /// Displays a report with the secrets detected: with their values
    #[arg(long)]
    report: bool,
    /// Only includes real secrets in the report
    #[arg(long, conflicts_with = "only_false")]
    only_real: bool,
    /// Only includes false positives in the report
    #[arg(long)]
    only_false: bool,
    /// Outputs results in a machine-readable format.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &AuditArgs) -> Result<ExitCode, Failure> {
    let refused = |text: &str| Err(Failure::usage(text).exit_code(1));
    match (args.diff, args.filename.as_slice()) {
        (true, [old, new]) => compare(old, new),
        (true, _) => refused("--diff mode requires two files to compare with each other."),
        (false, [path]) if args.stats => statistics(path, args.json),
        (false, [path]) if args.report => report(path, args),
        (false, [path]) => label(path),
        (false, _) => refused("Can only specify one baseline at a time."),
    }
}

fn statistics(path: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    let baseline = load(path)?;
    let mut counts: Vec<(String, [u64; 3])> = Vec::new();
    for secret in baseline.secrets.files.values().flatten() {
        let class = class_of(&secret.kind).to_owned();
        let at = counts.iter().position(|(name, _)| *name == class).unwrap_or_else(|| {
            counts.push((class, [0; 3]));
            counts.len() - 1
        });
        let which = match secret.is_secret {
            Some(true) => 0,
            Some(false) => 1,
            None => 2,
        };
        if let Some(count) = counts.get_mut(at).and_then(|(_, counts)| counts.get_mut(which)) {
            *count += 1;
        }
    }
    let share = |part: u64, rest: u64| ((part as f64 / (part + rest) as f64) * 10_000.0).round() / 10_000.0;
    let scores = |[right, wrong, unknown]: [u64; 3]| {
        let precision = if right > 0 && wrong > 0 { share(right, wrong) } else { 0.0 };
        (precision, if right + unknown > 0 { share(right, unknown) } else { 0.0 })
    };
    if as_json {
        let document: Map<String, Value> = counts
            .into_iter()
            .map(|(class, counts)| {
                let (precision, recall) = scores(counts);
                let [right, wrong, unknown] = counts;
                let raw = json!({"true-positives": right, "false-positives": wrong, "unknown": unknown});
                (class, json!({"stats": {"raw": raw, "score": {"precision": precision, "recall": recall}}}))
            })
            .collect();
        say(&pretty(&Value::Object(document)));
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = String::new();
    for (class, counts) in counts {
        let (precision, recall) = scores(counts);
        let [right, wrong, unknown] = counts;
        text.push_str(&format!(
            "Plugin: {class}\nStatistics: True Positives: {right}, False Positives: {wrong}, Unknown: {unknown}, \
             Precision: {precision:?}, Recall: {recall:?}\n\n"
        ));
    }
    say(&text);
    Ok(ExitCode::SUCCESS)
}

fn report(path: &Path, args: &AuditArgs) -> Result<ExitCode, Failure> {
    let baseline = load(path)?;
    let scanner = Scanner::new(&baseline.settings, Vec::new())?;
    let mut entries: BTreeMap<(String, String), Entry> = BTreeMap::new();
    for (name, secrets) in &baseline.secrets.files {
        let raws = scanner.file(Path::new(name), name, Lines::Others);
        let text = fs::read_to_string(name).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        for secret in secrets {
            let is_false = secret.is_secret == Some(false);
            if (args.only_real && is_false) || (args.only_false && !is_false) {
                continue;
            }
            for raw in
                raws.iter().filter(|raw| raw.secret.hash == secret.hash && raw.secret.kind == secret.kind)
            {
                let key = (name.clone(), secret.hash.clone());
                let entry = entries.entry(key).or_insert_with(|| Entry {
                    value: raw.value.expose().to_owned(),
                    lines: BTreeMap::new(),
                    types: Vec::new(),
                    category: 0,
                });
                let line = lines.get(raw.secret.line as usize - 1).copied().unwrap_or_default();
                entry.lines.insert(raw.secret.line, line.to_owned());
                if !entry.types.contains(&secret.kind) {
                    entry.types.push(secret.kind.clone());
                }
                entry.category = entry.category.max(category(secret));
            }
        }
    }
    let results: Vec<Value> = entries.into_iter().map(|((name, _), entry)| entry.json(&name)).collect();
    say(&four_spaces(&json!({ "results": results })));
    Ok(ExitCode::SUCCESS)
}

struct Entry {
    value: String,
    lines: BTreeMap<u64, String>,
    types: Vec<String>,
    category: usize,
}

impl Entry {
    fn json(self, name: &str) -> Value {
        let lines: Map<String, Value> =
            self.lines.into_iter().map(|(line, text)| (line.to_string(), json!(text))).collect();
        let category = ["VERIFIED_FALSE", "UNVERIFIED", "VERIFIED_TRUE"].get(self.category);
        json!({"category": category, "filename": name, "lines": lines, "secrets": self.value, "types": self.types})
    }
}

fn category(secret: &Secret) -> usize {
    match secret.is_secret {
        Some(false) => 0,
        None => 1,
        Some(true) => 2,
    }
}

/// As Python's `indent=4`.
fn four_spaces(document: &Value) -> String {
    use serde::Serialize;
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    // Texts and numbers: nothing in it cannot be written.
    let _ = document.serialize(&mut serializer);
    String::from_utf8(out).unwrap_or_default()
}

fn label(path: &Path) -> Result<ExitCode, Failure> {
    let mut baseline = load(path)?;
    baseline.secrets.files.retain(|name, _| Path::new(name).exists());
    let open: Vec<(String, usize)> = baseline
        .secrets
        .files
        .iter()
        .flat_map(|(name, secrets)| {
            secrets.iter().enumerate().map(move |(index, secret)| (name, index, secret))
        })
        .filter(|(_, _, secret)| secret.is_secret.is_none())
        .map(|(name, index, _)| (name.clone(), index))
        .collect();
    if open.is_empty() {
        say("Nothing to audit!");
        return Ok(ExitCode::SUCCESS);
    }
    let settings = baseline.settings.clone();
    let scanner = Scanner::new(&settings, Vec::new())?;
    let (mut at, mut changed) = (0, false);
    while let Some((name, index)) = open.get(at) {
        let Some(secret) = baseline.secrets.files.get_mut(name).and_then(|secrets| secrets.get_mut(*index))
        else {
            break;
        };
        let is_there = scanner
            .file(Path::new(name), name, Lines::Others)
            .iter()
            .any(|raw| raw.secret.hash == secret.hash);
        show(name, secret, at + 1, open.len(), is_there);
        match answer(is_there, at > 0)? {
            'Q' => {
                say("Quitting...");
                break;
            }
            'B' => at = at.saturating_sub(1),
            'S' => at += 1,
            said => {
                // The question is whether it may be committed: yes means that it is none.
                secret.is_secret = Some(said == 'N');
                (changed, at) = (true, at + 1);
            }
        }
    }
    if changed {
        say("Saving progress...");
        save(path, &settings, &baseline.secrets)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn save(path: &Path, settings: &Settings, secrets: &Collection) -> Result<(), Failure> {
    write(path, &settings.document(secrets, Form::Whole { now: &now() }))
}

fn show(name: &str, secret: &Secret, number: usize, total: usize, is_there: bool) {
    let mut text = format!(
        "Secret:      {number} of {total}\nFilename:    {name}\nSecret Type: {}\n----------\n",
        secret.kind
    );
    if is_there {
        let content = fs::read_to_string(name).unwrap_or_default();
        let line = secret.line as usize;
        let first = line.saturating_sub(CONTEXT_LINES + 1);
        for (index, shown) in content.lines().enumerate().skip(first).take(2 * CONTEXT_LINES + 1) {
            text.push_str(&format!("{}:{shown}\n", index + 1));
        }
    } else {
        text.push_str("ERROR: Secret not found on the line that the baseline names.\nTry recreating your baseline to fix this issue.\n");
    }
    say(&format!("{text}----------"));
}

/// One of Y, N, S, B and Q. The end of the input is Q.
fn answer(may_label: bool, may_step_back: bool) -> Result<char, Failure> {
    let mut options = Vec::new();
    options.extend(may_label.then_some(["(y)es", "(n)o"]).into_iter().flatten());
    options.push("(s)kip");
    options.extend(may_step_back.then_some("(b)ack"));
    options.push("(q)uit");
    let question = if may_label {
        "Should this string be committed to the repository?"
    } else {
        "What would you like to do?"
    };
    loop {
        let _ = write!(std::io::stdout(), "{question} {}: ", options.join(", "))
            .and_then(|()| std::io::stdout().flush());
        let mut line = String::new();
        let count = std::io::stdin()
            .lock()
            .read_line(&mut line)
            .map_err(|error| Failure::other(error.to_string()))?;
        let Some(key) = line.trim().chars().next().filter(|_| count > 0) else {
            if count == 0 {
                return Ok('Q');
            }
            continue;
        };
        let key = key.to_ascii_uppercase();
        if options
            .iter()
            .any(|option| option.chars().nth(1).is_some_and(|known| known.to_ascii_uppercase() == key))
        {
            return Ok(key);
        }
        say("Invalid input.");
    }
}

fn compare(old: &Path, new: &Path) -> Result<ExitCode, Failure> {
    if old == new {
        return Err(Failure::usage("This is the same file!").exit_code(0));
    }
    let (before, after) = (load(old)?, load(new)?);
    let removed = before.secrets.without(&after.secrets);
    let added = after.secrets.without(&before.secrets);
    let mut lines: Vec<(&String, u64, &'static str, &str)> = Vec::new();
    for (status, collection) in [("REMOVED", &removed), ("ADDED", &added)] {
        for (name, secrets) in &collection.files {
            lines.extend(secrets.iter().map(|secret| (name, secret.line, status, secret.kind.as_str())));
        }
    }
    lines.sort();
    let total = lines.len();
    for (index, (name, line, status, kind)) in lines.into_iter().enumerate() {
        say(&format!(
            "Secret:      {} of {total}\nFilename:    {name}:{line}\nSecret Type: {kind}\nStatus:      >> {status} <<\n----------",
            index + 1
        ));
    }
    Ok(ExitCode::SUCCESS)
}
