//! Our own rules against the cases that gitleaks' rules have to pass. The cases are not part of the repository: without a folder
//! `shared/data/gitleaks` above it, the test says that it was skipped.

#![expect(clippy::unwrap_used, reason = "a test")]

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use strongroom_detect::config::{self, Reading};
use strongroom_detect::{Detector, Finding, Fragment, Options, Scratch, builtin};

/// Of all texts that hold a secret, in percent.
const RECALL_PERCENT_MIN: f64 = 98.0;

struct Case {
    rule: String,
    text: String,
    path: String,
    is_secret: bool,
}

#[test]
fn what_gitleaks_has_to_find_is_found() {
    let Some(folder) = data() else {
        eprintln!("SKIPPED: there is no shared/data/gitleaks above {}", env!("CARGO_MANIFEST_DIR"));
        return;
    };
    let cases = cases(&folder);
    let ours = Detector::new(builtin::rules(), Options { decode_depth_max: 0, ..Options::native() });
    let theirs = gitleaks(&folder);
    let mut scratch = Scratch::default();
    let (mut found, mut by_the_same_rule, mut positives) = (0_u32, 0_u32, 0_u32);
    let mut missed: BTreeMap<&str, u32> = BTreeMap::new();
    for case in cases.iter().filter(|case| case.is_secret) {
        positives += 1;
        let fragment = Fragment::whole(case.text.as_bytes(), &case.path);
        let wanted = theirs.scan(&fragment, &mut Scratch::default());
        let wanted = wanted.iter().find(|finding| id(&theirs, finding) == case.rule);
        let findings = ours.scan(&fragment, &mut scratch);
        by_the_same_rule += u32::from(findings.iter().any(|finding| id(&ours, finding) == case.rule));
        if findings.iter().any(|finding| wanted.is_none_or(|wanted| overlaps(finding, wanted))) {
            found += 1;
        } else {
            *missed.entry(&case.rule).or_default() += 1;
        }
    }
    let recall = 100.0 * f64::from(found) / f64::from(positives);
    eprintln!(
        "{found} of {positives} found ({recall:.2} %), {by_the_same_rule} of them by the rule of the same id; missed: {missed:?}"
    );
    assert!(recall >= RECALL_PERCENT_MIN, "only {recall:.2} % are found: {missed:?}");
}

#[test]
fn what_gitleaks_must_not_find_is_not_found() {
    let Some(folder) = data() else {
        eprintln!("SKIPPED: there is no shared/data/gitleaks above {}", env!("CARGO_MANIFEST_DIR"));
        return;
    };
    let cases = cases(&folder);
    let secrets: BTreeSet<&str> =
        cases.iter().filter(|case| case.is_secret).map(|case| case.text.as_str()).collect();
    let ours = Detector::new(builtin::rules(), Options { decode_depth_max: 0, ..Options::native() });
    let mut by_the_same_rule = Vec::new();
    let mut by_others = Vec::new();
    for case in cases.iter().filter(|case| !case.is_secret) {
        let findings = ours.scan(&Fragment::whole(case.text.as_bytes(), &case.path), &mut Scratch::default());
        for finding in findings {
            let id = id(&ours, &finding);
            let text = format!("{} for {}: {:.90}", id, case.rule, case.text);
            match () {
                () if id == case.rule => by_the_same_rule.push(text),
                // Another rule has to find it.
                () if secrets.contains(case.text.as_str()) => {}
                () => by_others.push(text),
            }
        }
    }
    eprintln!("found by other rules than the one that must not: {by_others:#?}");
    assert!(by_the_same_rule.is_empty(), "{by_the_same_rule:#?}");
    assert!(by_others.len() <= 10, "{by_others:#?}");
}

fn data() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .map(|folder| folder.join("shared/data/gitleaks"))
        .find(|folder| folder.join("cases.jsonl").exists())
}

fn cases(folder: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(folder.join("cases.jsonl")).unwrap();
    let field = |case: &Value, name: &str| case[name].as_str().unwrap_or_default().to_owned();
    text.lines()
        .map(|line| {
            let case: Value = serde_json::from_str(line).unwrap();
            let is_secret = field(&case, "expect") == "match";
            Case {
                rule: field(&case, "rule"),
                text: field(&case, "text"),
                path: field(&case, "path"),
                is_secret,
            }
        })
        .collect()
}

/// gitleaks' own configuration says what the secret of a case is.
fn gitleaks(folder: &Path) -> Detector {
    let text = std::fs::read_to_string(folder.join("gitleaks.toml")).unwrap();
    let loaded = config::read(&text, "gitleaks.toml", Reading::Checked, &mut |_| Err(String::new())).unwrap();
    Detector::new(loaded.rules, Options { decode_depth_max: 0, ..Options::compatible() })
}

fn id<'d>(detector: &'d Detector, finding: &Finding) -> &'d str {
    detector.rules().rule(finding.rule).map_or("", |rule| rule.id.as_str())
}

fn overlaps(one: &Finding, other: &Finding) -> bool {
    one.span == other.span
        || one.secret_span.start < other.secret_span.end && other.secret_span.start < one.secret_span.end
}
