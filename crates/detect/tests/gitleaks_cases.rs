//! gitleaks' own configuration and its own cases, if they are at hand: not part of this repository.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::PathBuf;
use strongroom_detect::config::{self, Reading};
use strongroom_detect::{Detector, Fragment, Options, RuleSet, Scratch};

struct Case {
    rule: String,
    path: String,
    text: String,
    is_match: bool,
}

/// `data/gitleaks` of a folder `shared` beside the repository.
fn folder() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/gitleaks");
    let further = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared/data/gitleaks");
    [beside, further].into_iter().find(|folder| folder.join("cases.jsonl").exists())
}

fn cases(folder: &std::path::Path) -> Vec<Case> {
    let text = std::fs::read_to_string(folder.join("cases.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|value| Case {
            rule: value["rule"].as_str().unwrap().to_owned(),
            path: value["path"].as_str().unwrap_or_default().to_owned(),
            text: value["text"].as_str().unwrap().to_owned(),
            is_match: value["expect"] == "match",
        })
        .collect()
}

fn rules(folder: &std::path::Path, reading: Reading) -> RuleSet {
    let text = std::fs::read_to_string(folder.join("gitleaks.toml")).unwrap();
    let loaded = config::read(&text, "gitleaks.toml", reading, &mut |_| Err(String::new())).unwrap();
    assert_eq!(loaded.problems, []);
    loaded.rules
}

fn failures(options: Options, is_one_rule: bool) -> Option<(usize, usize, Vec<String>)> {
    let Some(folder) = folder() else {
        eprintln!("SKIPPED: there is no ../shared/data/gitleaks beside this repository");
        return None;
    };
    let (mut matched, mut unmatched, mut failures) = (0, 0, Vec::new());
    let mut scratch = Scratch::default();
    let whole = Detector::new(rules(&folder, Reading::Checked), options.clone());
    let mut alone = None;
    for case in cases(&folder) {
        if is_one_rule && alone.as_ref().is_none_or(|(id, _)| *id != case.rule) {
            let mut set = rules(&folder, Reading::Trusted);
            set.rules.retain(|rule| rule.id == case.rule);
            alone = Some((case.rule.clone(), Detector::new(set, options.clone())));
        }
        let detector = alone.as_ref().map_or(&whole, |(_, detector)| detector);
        let findings = detector.scan(&Fragment::whole(case.text.as_bytes(), &case.path), &mut scratch);
        let is_found =
            findings.iter().any(|finding| detector.rules().rule(finding.rule).unwrap().id == case.rule);
        if is_found == case.is_match {
            *(if is_found { &mut matched } else { &mut unmatched }) += 1;
        } else {
            failures.push(format!(
                "{} {}: {:?}",
                case.rule,
                if is_found { "found" } else { "missed" },
                case.text
            ));
        }
    }
    println!("{matched} found, {unmatched} not found, {} wrong", failures.len());
    Some((matched, unmatched, failures))
}

/// gitleaks tests each rule alone, with the global allowlist.
#[test]
fn compatible_mode_passes_all_cases() {
    if let Some((matched, unmatched, failures)) = failures(Options::compatible(), true) {
        assert_eq!(failures, Vec::<String>::new());
        assert_eq!((matched, unmatched), (6396, 374));
    }
}

#[test]
fn native_mode_passes_all_cases() {
    if let Some((_, _, failures)) = failures(Options::native(), true) {
        assert_eq!(failures, Vec::<String>::new());
    }
}
