//! A finding on standard output, as `gitleaks -v` prints it.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use strongroom_detect::RuleSet;
use strongroom_scan::Located;
use strongroom_scan::report::{Redaction, date_of};

/// Of a longer value no more is shown.
const SECRET_CHARACTERS_MAX: usize = 100;
const AROUND_CHARACTERS: usize = 20;
const SECRET: &str = "\x1b[1;3;38;2;240;92;7m";
const MATCH: &str = "\x1b[38;2;245;212;69m";

pub(super) fn finding(located: &Located, rules: &RuleSet, redaction: Redaction, no_colour: bool) {
    let colour = !no_colour && std::io::stdout().is_terminal();
    let text = render(located, rules, redaction, no_colour, colour);
    // Whoever reads may have gone away.
    let mut stdout = std::io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn render(located: &Located, rules: &RuleSet, redaction: Redaction, bare: bool, colour: bool) -> String {
    let finding = &located.finding;
    let rule_id = rules.rule(finding.rule).map_or("", |rule| rule.id.as_str());
    let plain = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let secret = finding.secret.expose();
    let shown = plain(redaction.secret(secret).expose());
    let matched = plain(redaction.around(finding.matched.expose(), secret).expose());
    let line = plain(redaction.around(finding.line.expose(), secret).expose());
    let mut text = String::new();
    let mut row = |name: &str, value: &str| {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{:<12} {value}", format!("{name}:"));
    };
    match place(&line, &matched, &shown).filter(|_| !bare && !matched.starts_with("file detected:")) {
        Some((before, after)) => {
            let paint = |code: &str, part: &str| match colour && !part.is_empty() {
                true => format!("{code}{part}\x1b[0m"),
                false => part.to_owned(),
            };
            let (start, end) = matched.split_once(shown.as_str()).unwrap_or((&matched, ""));
            let value = paint(SECRET, &cut(&shown));
            row("Finding", &format!("{before}{}{value}{}{after}", paint(MATCH, start), paint(MATCH, end)));
            row("Secret", &value);
        }
        None => {
            row("Finding", &matched);
            row("Secret", &shown);
        }
    }
    row("RuleID", rule_id);
    row("Entropy", &format!("{:.6}", finding.entropy));
    if !located.path.is_empty() {
        if !finding.tags.is_empty() {
            row("Tags", &format!("[{}]", finding.tags.join(" ")));
        }
        row("File", &located.path);
        row("Line", &finding.place.start_line.to_string());
        if let Some(commit) = &located.commit {
            row("Commit", &commit.id);
            row("Author", &commit.author);
            row("Email", &commit.email);
            row("Date", &date_of(commit));
        }
        row("Fingerprint", &located.fingerprint(rule_id));
        if !located.link.is_empty() {
            row("Link", &located.link);
        }
    }
    for (index, required) in finding.required.iter().enumerate() {
        let id = rules.rule(required.rule).map_or("", |rule| rule.id.as_str());
        let value = plain(redaction.secret(required.secret.expose()).expose());
        let name = if index == 0 { "Required:" } else { "" };
        let _ = writeln!(text, "{name:<12} {id}:{}:{value}", required.place.start_line);
    }
    text.push('\n');
    text
}

/// What of the line stands before and after the match.
fn place(line: &str, matched: &str, secret: &str) -> Option<(String, String)> {
    let at = line.find(matched).filter(|_| matched.contains(secret))?;
    let (before, rest) = line.split_at(at);
    let after = rest.get(matched.len()..).unwrap_or_default();
    let before = match before.len() > AROUND_CHARACTERS {
        true => {
            let tail: Vec<char> = before.chars().rev().take(AROUND_CHARACTERS).collect();
            format!("...{}", tail.into_iter().rev().collect::<String>())
        }
        false => before.trim_start().to_owned(),
    };
    let after = match after.chars().count() > AROUND_CHARACTERS {
        true => format!("{}...", after.chars().take(AROUND_CHARACTERS).collect::<String>()),
        false => after.to_owned(),
    };
    Some((before, after))
}

fn cut(secret: &str) -> String {
    match secret.chars().count() > SECRET_CHARACTERS_MAX {
        true => format!("{}...", secret.chars().take(SECRET_CHARACTERS_MAX).collect::<String>()),
        false => secret.to_owned(),
    }
}
