//! What is no secret after all: detect-secrets' heuristics under their names, since baselines list them.

use super::plugins::{Look, Plugin};
use regex::Regex;
use std::sync::OnceLock;

/// The filters that a baseline can name, and whether they look at a file, a line or a secret.
pub(super) const HEURISTICS: [&str; 9] = [
    "detect_secrets.filters.heuristic.is_indirect_reference",
    "detect_secrets.filters.heuristic.is_likely_id_string",
    "detect_secrets.filters.heuristic.is_lock_file",
    "detect_secrets.filters.heuristic.is_not_alphanumeric_string",
    "detect_secrets.filters.heuristic.is_potential_uuid",
    "detect_secrets.filters.heuristic.is_prefixed_with_dollar_sign",
    "detect_secrets.filters.heuristic.is_sequential_string",
    "detect_secrets.filters.heuristic.is_swagger_file",
    "detect_secrets.filters.heuristic.is_templated_secret",
];
pub(super) const ALLOWLIST: &str = "detect_secrets.filters.allowlist.is_line_allowlisted";
pub(super) const VERIFICATION: &str = "detect_secrets.filters.common.is_ignored_due_to_verification_policies";
pub(super) const BASELINE_FILE: &str = "detect_secrets.filters.common.is_baseline_file";
pub(super) const EXCLUDE_LINES: &str = "detect_secrets.filters.regex.should_exclude_line";
pub(super) const EXCLUDE_FILES: &str = "detect_secrets.filters.regex.should_exclude_file";
pub(super) const EXCLUDE_SECRETS: &str = "detect_secrets.filters.regex.should_exclude_secret";

/// Files that are no text, or written by programs.
const NOT_TEXT: [&str; 40] = [
    "7z", "bin", "bmp", "bz2", "class", "css", "dmg", "doc", "eot", "exe", "gif", "gz", "ico", "iml", "ipr",
    "iws", "jar", "jpg", "jpeg", "lock", "map", "mo", "pdf", "png", "prefs", "psd", "rar", "realm", "s7z",
    "sum", "svg", "tar", "tif", "tiff", "ttf", "webp", "woff", "xls", "xlsx", "zip",
];
const LOCK_FILES: [&str; 11] = [
    "Brewfile.lock.json",
    "Cartfile.resolved",
    "composer.lock",
    "Gemfile.lock",
    "Package.resolved",
    "package-lock.json",
    "Podfile.lock",
    "yarn.lock",
    "Pipfile.lock",
    "poetry.lock",
    "Cargo.lock",
];
const INDIRECT_BYTES_MAX: usize = 1000;

pub(super) fn skips_file(path: &str, is_on: &dyn Fn(&str) -> bool) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    NOT_TEXT.contains(&ending)
        || (is_on(HEURISTICS[2]) && LOCK_FILES.contains(&name))
        || (is_on(HEURISTICS[7]) && path.to_lowercase().contains("swagger"))
}

/// Whether a comment on the line, or one that stands alone on the line before, allows what is on it.
pub(super) fn is_allowlisted(line: &str, before: &str, path: &str) -> bool {
    static COMMENTS: OnceLock<[Option<Regex>; 2]> = OnceLock::new();
    let [same, next] = COMMENTS.get_or_init(|| {
        let starts = r"(?:#|//|/\*|'|--|<!--[# \t]*?)";
        [
            Regex::new(&format!(
                r"[ \t]*{starts} *pragma: ?(?:allow|white)list[ -]secret.*?(?: *\*/| *?-->)?[ \t]*$"
            ))
            .ok(),
            Regex::new(&format!(
                r"^[ \t]*{starts} *pragma: ?allowlist[ -]nextline[ -]secret.*?(?: *\*/| *?-->)?[ \t]*$"
            ))
            .ok(),
        ]
    });
    let _ = path;
    let says =
        |pattern: &Option<Regex>, text: &str| pattern.as_ref().is_some_and(|pattern| pattern.is_match(text));
    says(same, line) || says(next, before)
}

/// Whether a secret on a line is dropped.
pub(super) fn drops(secret: &str, line: &str, plugin: &Plugin, is_on: &dyn Fn(&str) -> bool) -> bool {
    let tests: [(&str, &dyn Fn() -> bool); 7] = [
        (HEURISTICS[0], &|| line.len() <= INDIRECT_BYTES_MAX && is_indirect_reference(line)),
        (HEURISTICS[1], &|| is_likely_id(secret, line, plugin)),
        (HEURISTICS[3], &|| !secret.chars().any(char::is_alphanumeric)),
        (HEURISTICS[4], &|| has_uuid(secret)),
        (HEURISTICS[5], &|| secret.starts_with('$')),
        (HEURISTICS[6], &|| is_sequential(secret)),
        (HEURISTICS[8], &|| is_templated(secret)),
    ];
    tests.iter().any(|(name, test)| is_on(name) && test())
}

/// `secret = get_secret()`, `secret = request.headers['x']`.
fn is_indirect_reference(line: &str) -> bool {
    static PATTERN: OnceLock<Option<Regex>> = OnceLock::new();
    let pattern =
        PATTERN.get_or_init(|| Regex::new(r"[^\s:=]+\s*(?::=|:|={1,3}|!==?)\s*[\w.-]+[\[(][^\v]*[\])]").ok());
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(line))
}

fn is_likely_id(secret: &str, line: &str, plugin: &Plugin) -> bool {
    static PATTERN: OnceLock<Option<Regex>> = OnceLock::new();
    let pattern = PATTERN.get_or_init(|| Regex::new(r"(?i)(?:^(?:id|myid|userid)|_id)s?[^a-z0-9]").ok());
    if matches!(plugin.look, Look::Patterns(_)) {
        return false;
    }
    let before = line.find(secret).and_then(|at| line.get(..at)).unwrap_or_default();
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(before))
}

fn has_uuid(secret: &str) -> bool {
    static PATTERN: OnceLock<Option<Regex>> = OnceLock::new();
    let pattern = PATTERN
        .get_or_init(|| Regex::new(r"(?i)[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}").ok());
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(secret))
}

fn is_sequential(secret: &str) -> bool {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const DIGITS: &str = "0123456789";
    const HEX: &str = "0123456789ABCDEFABCDEF";
    let upper = secret.to_uppercase();
    [
        format!("{LETTERS}{LETTERS}{DIGITS}+/"),
        format!("{DIGITS}{LETTERS}{LETTERS}+/"),
        format!("{DIGITS}{LETTERS}{DIGITS}{LETTERS}"),
        format!("{DIGITS}{DIGITS}"),
        format!("{HEX}{HEX}"),
        format!("{LETTERS}=/"),
    ]
    .iter()
    .any(|sequence| sequence.contains(&upper))
}

fn is_templated(secret: &str) -> bool {
    let between = |start: &str, end: &str| secret.starts_with(start) && secret.ends_with(end);
    secret.chars().count() < 2 || between("{", "}") || between("<", ">") || between("${", "}")
}
