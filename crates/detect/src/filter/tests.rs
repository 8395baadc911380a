use super::*;

fn drops(source: &str) -> bool {
    let text = b"line one\nlet token = 'abcDEF123456' # x\nlast";
    let start = 22;
    let filter = Filter::new(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    filter.drops(&Subject {
        path: "src/a.rs",
        commit: "",
        rule_id: "generic-api-key",
        description: "d",
        secret: b"abcDEF123456",
        matched: b"token = 'abcDEF123456'",
        line: b"let token = 'abcDEF123456' # x",
        text,
        start,
        end: start + 12,
        entropy: 3.58,
    })
}

#[test]
fn the_language_of_betterleaks_rules() {
    for source in [
        r#"entropy(finding["secret"]) <= 3.6"#,
        r#"filter.entropy(finding["secret"]) < 4 && true"#,
        r#"matchesAny(finding["secret"], [`^abc`, "x"])"#,
        r#"containsAny(finding["secret"], ["zzz", "def1",])"#,
        r#"matchesAny(get(attributes, "path", ""), [`\.rs$`]) and not false"#,
        r#"(attributes["git.sha"] ?? "none") == "none""#,
        r#"len(finding["secret"]) == 12 ? true : false"#,
        "// a comment\nlet a = finding[\"secret\"][0:3]; let b = a + \"x\"; b == \"abcx\"",
        r#"finding["fragment_raw"][max(finding["match_start_idx"] - 1, finding["match_line_start_idx"]):finding["match_end_idx"]] == "'abcDEF123456""#,
        r#"filter.findMatch(finding["line"], `tok\w+`) == "token""#,
        r#"finding.rule_id in ["x", "generic-api-key"]"#,
        r#"finding["secret"] contains "DEF" && finding["secret"] startsWith 'abc' && !(finding["secret"] endsWith "a")"#,
        r#"finding["secret"] matches "^[a-zA-Z0-9]+$""#,
        r#"lower(finding["secret"]) == "abcdef123456""#,
        r#"!failsTokenEfficiency("q7Zk2mXv9LpR4tWb") && failsTokenEfficiency("client_secret_name")"#,
        r#"-1 < 0 && min(1, 2) == 1 && 3 - 1 == 2"#,
    ] {
        assert!(drops(source), "{source}");
    }
    for source in [
        "false",
        "1",
        "nil",
        r#"finding["secret"] < 3"#,
        r#"finding["nothing"] == "x""#,
        r#"attributes["a"] == "b""#,
        r#"containsAny(finding["secret"], ["ABC"])"#,
    ] {
        assert!(!drops(source), "{source}");
    }
}

#[test]
fn what_is_no_expression() {
    for source in [
        "",
        "(",
        "a",
        "f(1)",
        "let x 1; x",
        "[1",
        "\"a",
        "matchesAny(\"a\", b)",
        "matchesAny(\"a\", [\"(\"])",
        "1 1",
        "a.b",
        "'\\q'",
        "1..2",
        "entropy()",
        "get(x, \"a\", 1)",
        "@",
    ] {
        assert!(Filter::new(source).is_err(), "{source}");
    }
    assert!(Filter::new(&"(".repeat(100_000)).is_err());
    assert!(Filter::new(&"!".repeat(100_000)).is_err());
    assert!(Filter::new(&vec!["true"; 15_000].join(" || ")).is_ok());
    assert!(Filter::new(&"1 ?? ".repeat(10_000)).is_err());
    let error = Filter::new("true\n|| nonsense(1)").unwrap_err();
    assert_eq!(error.to_string(), "the function \"nonsense\" is not known, in line 2 of the expression");
}
