use super::super::{Redaction, Report, Statistics, Tool};
use super::*;
use crate::located::{Located, Origin};
use crate::planted::rules;
use strongroom_detect::{Confidence, Finding, Place};
use strongroom_secret::SecretBytes;

fn finding(line: u64) -> Located {
    let bytes = |text: &str| SecretBytes::new(text.as_bytes().to_vec());
    let finding = Finding {
        rule: 0,
        place: Place { start_line: line, start_column: 1, end_line: line, end_column: 4 },
        span: 0..4,
        secret_span: 0..4,
        secret: bytes("a\"b\n"),
        matched: bytes("<a\"b\n>"),
        line: bytes("x"),
        entropy: 2.5,
        confidence: Confidence::High,
        decoded_from: Vec::new(),
        tags: vec!["one".to_owned(), "two".to_owned()],
        notes: Vec::new(),
        known: None,
        required: Vec::new(),
    };
    Located::outside_git(finding, format!("f{line}.txt"), Origin::File)
}

fn render(text: &str) -> Result<String, String> {
    let template = Template::parse(text).map_err(|error| error.to_string())?;
    let findings = [finding(1), finding(2)];
    let rules = rules();
    let report = Report {
        findings: &findings,
        rules: &rules,
        statistics: &Statistics::default(),
        redaction: Redaction::Revealed,
        tool: Tool::Gitleaks,
    };
    let mut out = Vec::new();
    let now = Timestamp::from_seconds(1_700_000_000);
    template.write(&report, now, &mut out).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(out).unwrap())
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(render(text).as_deref(), Ok(expected));
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    assert_eq!(render(text).unwrap_err(), expected);
}

#[test]
fn fields_and_blocks() {
    check("{{len .}} {{range .}}{{.File}}:{{.StartLine}} {{end}}", "2 f1.txt:1 f2.txt:2 ");
    check("{{ range $i, $f := . }}{{ if $i }}, {{ end }}{{ $f.RuleID }}{{ end }}", "planted, planted");
    check(
        "{{range .}}{{if gt .StartLine 1}}two{{else if eq .StartLine 1}}one {{else}}no{{end}}{{end}}",
        "one two",
    );
    check("{{with index . 0}}{{.Entropy}} {{.Commit}}|{{end}}", "2.5 |");
    check("a {{- /* nothing */ -}} b\n{{- 1 -}}\n c", "ab1c");
    check("{{range .}}{{with .Commit}}{{.}}{{else}}-{{end}}{{end}}", "--");
    check("{{range list}}x{{else}}none{{end}}", "none");
}

#[test]
fn variables_and_pipelines() {
    check(
        "{{ $last := (sub (len .) 1) }}{{ range $i, $f := . }}{{ if ne $i $last }}{{ $i }};{{ end }}{{ end }}",
        "0;",
    );
    check("{{ $n := 0 }}{{ range . }}{{ $n = add $n .StartLine }}{{ end }}{{ $n }}", "3");
    check("{{ (index . 1).File | upper | printf \"%s-%s\" \"a\" }}", "a-F2.TXT");
}

#[test]
fn functions() {
    check(
        "{{with index . 0}}{{quote .Secret}} {{toJson .Match}}{{end}}",
        "\"a\\\"b\\n\" \"\\u003ca\\\"b\\n\\u003e\"",
    );
    check(
        "{{with index . 0}}{{join \"+\" .Tags}} {{.Tags}} {{html .Match}}{{end}}",
        "one+two [one two] &lt;a&#34;b\n&gt;",
    );
    check(
        "{{printf \"%.2f|%5d|%-4s|%.3s|%q|%v\" 2.5 7 \"ab\" \"abcdef\" \"x\" true}}",
        "2.50|    7|ab  |abc|\"x\"|true",
    );
    check("{{now | date \"Jan 02, 2006 15:04:05 MST\"}}", "Nov 14, 2023 22:13:20 UTC");
    check("{{now | date \"2006-01-02T15:04:05Z07:00\"}}", "2023-11-14T22:13:20Z");
    check(
        "{{default \"none\" \"\"}} {{ternary \"y\" \"n\" true}} {{\"a/b.txt\" | base}} {{replace \"a\" \"b\" \"aa\"}}",
        "none y b.txt bb",
    );
    check(
        "{{and 1 0}} {{or \"\" \"x\"}} {{not 1}} {{trunc 2 \"abc\"}} {{nindent 2 \"a\"}}",
        "0 x false ab \n  a",
    );
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    refused("a\n{{ env \"HOME\" }}", "line 2: the function env is not known");
    refused("{{ getHostByName \"x\" }}", "line 1: the function getHostByName is not known");
    refused("{{ define \"x\" }}{{ end }}", "line 1: define is not supported");
    refused("{{ range . }}{{ .Nothing }}{{ end }}", "line 1: a finding has no field Nothing");
    refused("{{ if true }}", "line 1: if has no end");
    refused("\n\n{{ end }}", "line 3: an end or else without its beginning");
    refused("{{ . ", "line 1: an action is not closed by }}");
    refused("{{ \"x }}", "line 1: a text in quotes is not closed");
    refused("{{ index . 7 }}", "line 1: index: the list is not so long");
    refused("{{ repeat 99999999 \"abc\" }}", "line 1: repeat: it would be longer than 1048576 bytes");
    refused(&"{{ if 1 }}".repeat(100), "line 1: too many blocks in each other");
    refused(&format!("{{{{ {} }}}}", "(".repeat(100)), "line 1: too many parentheses in each other");
}
