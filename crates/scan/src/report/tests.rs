use super::*;
use crate::located::{Commit, Located, Origin, SkipReason};
use crate::planted::rules;
use std::sync::Arc;
use strongroom_detect::{Finding, Place, Severity};
use strongroom_secret::SecretBytes;

fn finding(secret: &str, matched: &str, line: u64) -> Finding {
    let bytes = |text: &str| SecretBytes::new(text.as_bytes().to_vec());
    Finding {
        rule: 0,
        place: Place { start_line: line, start_column: 9, end_line: line, end_column: 28 },
        span: 8..28,
        secret_span: 8..28,
        secret: bytes(secret),
        matched: bytes(matched),
        line: bytes(&format!("{matched} # <b>")),
        entropy: 3.246_439_5,
        confidence: strongroom_detect::Confidence::High,
        decoded_from: Vec::new(),
        tags: Vec::new(),
        notes: Vec::new(),
        known: None,
        required: Vec::new(),
    }
}

fn findings() -> Vec<Located> {
    let first = finding("zqz_needle0123456789", "token = zqz_needle0123456789", 1);
    let mut second = finding("a\"b<c>,\n&d", "'a\"b<c>,\n&d'", 7);
    second.tags = vec!["decoded:base64".to_owned(), "decode-depth:1".to_owned()];
    second.decoded_from = vec!["base64"];
    second.confidence = strongroom_detect::Confidence::Low;
    let commit = Commit {
        id: "0123456789abcdef0123456789abcdef01234567".to_owned(),
        author: "Jane \u{1b}[31mDoe".to_owned(),
        email: "jane@example.org".to_owned(),
        seconds: 1_700_000_000,
        offset_minutes: 60,
        message: "Add it\nnow\n\nMore, \"quoted\".\n".to_owned(),
    };
    let mut second = Located::outside_git(second, "src/a,b.txt".to_owned(), Origin::History);
    second.commit = Some(Arc::new(commit));
    second.link = "https://example.org/x".to_owned();
    vec![Located::outside_git(first, "a.txt".to_owned(), Origin::File), second]
}

fn written(format: &Format<'_>, redaction: Redaction, tool: Tool<'_>, findings: &[Located]) -> String {
    let mut rules = rules();
    rules.rules[0].severity = Severity::High;
    let mut statistics = Statistics::default();
    statistics.texts = 2;
    statistics.bytes = 1234;
    statistics.skip("x.png", SkipReason::Binary, "");
    statistics.skip("big.zip", SkipReason::TooLarge, "it has more than 5 members");
    let report = Report { findings, rules: &rules, statistics: &statistics, redaction, tool };
    let mut out = Vec::new();
    write(&report, format, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

const OWN: Tool<'static> = Tool::Strongroom { version: "1.2.3" };

#[test]
fn for_people() {
    insta::assert_snapshot!(written(&Format::Human(Colour::Plain), Redaction::WHOLE, OWN, &findings()));
    let coloured = written(&Format::Human(Colour::Ansi), Redaction::Revealed, OWN, &findings()[..1]);
    assert!(coloured.contains("\x1b[31mhigh\x1b[0m") && coloured.contains("zqz_needle0123456789"));
}

#[test]
fn nothing_found() {
    insta::assert_snapshot!(written(&Format::Human(Colour::Plain), Redaction::WHOLE, OWN, &[]));
}

#[test]
fn our_own_json() {
    insta::assert_snapshot!(written(&Format::Json, Redaction::WHOLE, OWN, &findings()));
    let lines = written(&Format::JsonLines, Redaction::Revealed, OWN, &findings());
    assert_eq!(lines.lines().count(), 2);
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["secret"], "zqz_needle0123456789");
}

#[test]
fn as_gitleaks_json() {
    insta::assert_snapshot!(written(&Format::GitleaksJson, Redaction::Revealed, Tool::Gitleaks, &findings()));
    assert_eq!(written(&Format::GitleaksJson, Redaction::Revealed, Tool::Gitleaks, &[]), "[]\n");
}

#[test]
fn as_gitleaks_csv() {
    insta::assert_snapshot!(written(&Format::Csv, Redaction::Percent(60), Tool::Gitleaks, &findings()));
    assert_eq!(written(&Format::Csv, Redaction::Revealed, Tool::Gitleaks, &[]), "");
}

#[test]
fn as_gitleaks_junit() {
    insta::assert_snapshot!(written(&Format::Junit, Redaction::Revealed, Tool::Gitleaks, &findings()));
    insta::assert_snapshot!(written(&Format::Junit, Redaction::Revealed, Tool::Gitleaks, &[]));
}

#[test]
fn as_gitleaks_sarif() {
    insta::assert_snapshot!(written(&Format::Sarif, Redaction::Revealed, Tool::Gitleaks, &findings()));
    let own = written(&Format::Sarif, Redaction::WHOLE, OWN, &findings());
    let own: serde_json::Value = serde_json::from_str(&own).unwrap();
    assert_eq!(own["runs"][0]["results"][1]["level"], "note");
    assert_eq!(own["runs"][0]["tool"]["driver"]["rules"][0]["help"]["text"], "Pull it out.");
}

#[test]
fn for_github() {
    insta::assert_snapshot!(written(&Format::GithubAnnotations, Redaction::WHOLE, OWN, &findings()));
}

#[test]
fn a_page_has_no_values_and_cannot_be_broken_out_of() {
    let mut findings = findings();
    findings[0].path = "</script><script>alert(1)</script>".to_owned();
    let page = written(&Format::Html, Redaction::WHOLE, OWN, &findings);
    assert!(!page.contains("zqz_needle0123456789") && !page.contains("</script><script>alert"));
    assert!(page.contains("\\u003c/script\\u003e\\u003cscript\\u003ealert(1)"));
    assert!(
        page.contains("2 findings in 2 texts, 1234 bytes; not looked at: 1 too-large; passed over: 1 binary")
    );
    assert!(page.contains("default-src 'none'") && !page.contains("src=\"http"));
    assert!(written(&Format::Html, Redaction::Revealed, OWN, &findings).contains("zqz_needle0123456789"));
}

#[test]
fn no_format_of_ours_shows_a_redacted_value() {
    let template = Template::parse("{{ range . }}{{ .Secret }} {{ .Match }} {{ .Line }}{{ end }}").unwrap();
    for format in [
        Format::Human(Colour::Ansi),
        Format::Json,
        Format::JsonLines,
        Format::Html,
        Format::GithubAnnotations,
        Format::GitleaksJson,
        Format::Csv,
        Format::Junit,
        Format::Sarif,
        Format::Template(&template, Timestamp::EPOCH),
    ] {
        let text = written(&format, Redaction::WHOLE, OWN, &findings());
        assert!(!text.contains("needle0123456789") && !text.contains("a\"b"), "{format:?}");
    }
}

#[test]
fn exits_and_counts() {
    let rules = rules();
    let summary = Summary::new(&findings(), &rules, &Statistics::default());
    assert_eq!(summary.by_rule, [("planted".to_owned(), 2)]);
    assert_eq!(
        [0, 1, 2, 3].map(|most| summary.exit(most)),
        [Exit::Found, Exit::Found, Exit::Tolerated, Exit::Tolerated]
    );
    assert_eq!(Summary::default().exit(0), Exit::Clean);
}
