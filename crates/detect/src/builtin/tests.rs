use super::*;
use crate::config::{self, Reading};
use std::collections::BTreeSet;

#[test]
fn every_example_comes_out_as_it_says() {
    let failures = check().unwrap();
    let failures: Vec<String> = failures.iter().map(Failure::to_string).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The constants are what the files say: both ways of reading them give the same rules.
#[test]
fn the_table_is_what_the_files_say() {
    let table = rules();
    let mut count = 0;
    for (name, text) in sources() {
        let read = config::read(text, name, Reading::Checked, &mut |_| Err(String::new())).unwrap();
        assert!(read.problems.is_empty(), "{}", read.problems[0]);
        for rule in read.rules.rules {
            let same = table.rule(table.index_of(&rule.id).unwrap()).unwrap();
            let source =
                |pattern: &Option<Pattern>| pattern.as_ref().map(|pattern| pattern.source().to_owned());
            assert_eq!(source(&same.regex), source(&rule.regex), "{}", rule.id);
            assert_eq!(source(&same.path), source(&rule.path), "{}", rule.id);
            assert_eq!((&same.keywords, same.structure), (&rule.keywords, rule.structure), "{}", rule.id);
            assert_eq!((same.severity, same.confidence), (rule.severity, rule.confidence), "{}", rule.id);
            assert_eq!((same.specificity, same.token_efficiency), (rule.specificity, rule.token_efficiency));
            assert_eq!(same.allowlists.len(), rule.allowlists.len(), "{}", rule.id);
            count += 1;
        }
    }
    assert_eq!(table.rules.len(), count);
}

#[test]
fn the_table_in_the_documentation_is_current() {
    let written = include_str!("../../../../docs/scan-rules-table.md");
    assert!(
        written == markdown(),
        "cargo run -p strongroom-detect --example rules_table > docs/scan-rules-table.md"
    );
}

#[test]
fn rules_are_complete() {
    let mut seen = BTreeSet::new();
    for rule in rules().rules {
        assert!(seen.insert(rule.id.clone()), "two rules {}", rule.id);
        assert!(!rule.description.is_empty() && !rule.remediation.is_empty(), "{}", rule.id);
        assert!(rule.references.iter().all(|reference| reference.starts_with("https://")), "{}", rule.id);
        assert!(!rule.references.is_empty(), "{}", rule.id);
        let short =
            rule.keywords.iter().any(|keyword| keyword.len() < 2 || *keyword != keyword.to_lowercase());
        assert!(!short, "{} has a keyword of one letter or with capitals", rule.id);
        assert!(
            rule.regex.is_none() || rule.path.is_some() || !rule.keywords.is_empty(),
            "{} has no keyword",
            rule.id
        );
    }
}
