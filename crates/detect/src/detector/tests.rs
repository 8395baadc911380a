use super::*;
use crate::Place;
use crate::config::{self, Reading};

const RULES: &str = r#"
    [[rules]]
    id = "token"
    regex = '''\b(tok_[a-z0-9]{8})\b'''
    keywords = ["tok_"]
    tags = ["t"]
    [[rules]]
    id = "generic-assignment"
    regex = '''(?i)(?:secret|token)[\s'"]{0,3}=[\s'"]{0,5}([a-z0-9_]{8,20})(?:['"\s]|$)'''
    keywords = ["secret", "token"]
    entropy = 2.0
    [[rules]]
    id = "pair"
    regex = '''user:(\w+)'''
    keywords = ["user:"]
    [[rules.required]]
    id = "part"
    withinLines = 1
    [[rules]]
    id = "part"
    regex = '''pass:(\w+)'''
    keywords = ["pass:"]
    skipReport = true
    [[rules]]
    id = "file"
    path = '''\.p12$'''
    [[rules]]
    id = "far"
    regex = '''#[0-9a-f]{6}#'''
    keywords = ["colour"]
    [[rules.allowlists]]
    stopwords = ["beef"]
    [[rules]]
    id = "script"
    regex = '''run[0-9]{3}'''
    path = '''\.sh$'''
    keywords = ["run"]
    [[allowlists]]
    paths = ['''^vendor/''']
"#;

fn rules() -> RuleSet {
    let loaded = config::read(RULES, "", Reading::Checked, &mut |_| Err(String::new())).unwrap();
    assert_eq!(loaded.problems, []);
    loaded.rules
}

fn scan(options: Options, fragment: &Fragment<'_>) -> Vec<String> {
    let detector = Detector::new(rules(), options);
    let findings = detector.scan(fragment, &mut Scratch::default());
    findings
        .iter()
        .map(|finding| {
            let Place { start_line, start_column, end_line, end_column } = finding.place;
            let rule = &detector.rules().rule(finding.rule).unwrap().id;
            let secret = String::from_utf8_lossy(finding.secret.expose());
            let mut text = format!("{rule} {start_line}:{start_column}-{end_line}:{end_column} {secret}");
            for part in finding.tags.iter().skip(1) {
                text.push_str(&format!(" {part}"));
            }
            for part in &finding.required {
                text.push_str(&format!(" +{}", String::from_utf8_lossy(part.secret.expose())));
            }
            text
        })
        .collect()
}

fn native(text: &str, path: &str) -> Vec<String> {
    scan(Options::native(), &Fragment::whole(text.as_bytes(), path))
}

fn compatible(text: &str, path: &str) -> Vec<String> {
    scan(Options::compatible(), &Fragment::whole(text.as_bytes(), path))
}

#[test]
fn tokens_and_their_places() {
    let text = "a\nx tok_abcd1234 y\n";
    assert_eq!(native(text, ""), ["token 2:3-2:14 tok_abcd1234"]);
    assert_eq!(compatible(text, ""), ["token 2:4-2:15 tok_abcd1234"]);
    assert_eq!(native("xtok_abcd1234 tok_abcd12345", ""), [""; 0]);
    assert_eq!(native("TOK_abcd1234", ""), [""; 0]);
}

#[test]
fn generic_rules_yield() {
    assert_eq!(native("token = 'tok_abcd1234'", ""), ["token 1:10-1:21 tok_abcd1234"]);
    assert_eq!(
        native("token = 'abcd12345678'\nsecret = 'aaaaaaaaaa'", ""),
        ["generic-assignment 1:1-1:22 abcd12345678"]
    );
}

#[test]
fn parts_are_wanted_nearby() {
    assert_eq!(native("user:joe\npass:word1", ""), ["pair 1:1-1:8 joe +word1"]);
    assert_eq!(native("user:joe\n\n\npass:word1", ""), [""; 0]);
    assert_eq!(compatible("pass:word1", ""), [""; 0]);
}

#[test]
fn paths_decide() {
    assert_eq!(native("", "a/b.p12").len(), 1);
    assert_eq!(native("run123", "a.sh").len(), 1);
    assert_eq!(native("run123", "a.txt"), [""; 0]);
    assert_eq!(native("tok_abcd1234", "vendor/a"), [""; 0]);
    assert!(Detector::new(rules(), Options::native()).skips_path("vendor/a"));
}

#[test]
fn keywords_far_away_arm_rules_too() {
    for scan in [native, compatible] {
        assert_eq!(scan("#abc123#\n\n\ncolour", "").len(), 1);
        assert_eq!(scan("#abc123#", ""), [""; 0]);
        assert_eq!(scan("colour #adbeef#", ""), [""; 0]);
    }
}

#[test]
fn comments_are_heeded() {
    let text = "tok_abcd1234 # gitleaks:allow\ntok_abcd5678 # pragma: allowlist secret\n";
    assert_eq!(native(text, ""), [""; 0]);
    assert_eq!(compatible(text, "").len(), 1);
    let disregarded = Options { inline_ignores: InlineIgnores::Disregarded, ..Options::compatible() };
    assert_eq!(scan(disregarded, &Fragment::whole(text.as_bytes(), "")).len(), 2);
}

#[test]
fn what_is_encoded_is_found_where_it_is_encoded() {
    // `key is tok_abcd1234 here` in base64.
    let text = "one\nx = \"a2V5IGlzIHRva19hYmNkMTIzNCBoZXJl\"\n";
    assert_eq!(native(text, ""), ["token 2:6-2:37 tok_abcd1234 decoded:base64 decode-depth:1"]);
    assert_eq!(compatible(text, ""), ["token 2:7-2:38 tok_abcd1234 decoded:base64 decode-depth:1"]);
    let twice = "YTJWNUlHbHpJSFJ2YTE5aFltTmtNVEl6TkNCb1pYSmw=";
    assert_eq!(compatible(twice, ""), ["token 1:1-1:44 tok_abcd1234 decoded:base64 decode-depth:2"]);
    // Only what is before the token is encoded.
    let beside = "%3D%20tok_abcd1234 ";
    assert_eq!(native(beside, ""), ["token 1:1-1:18 tok_abcd1234 decoded:percent decode-depth:1"]);
    let once = Options { decode_depth_max: 1, ..Options::native() };
    assert_eq!(scan(once, &Fragment::whole(twice.as_bytes(), "")), [""; 0]);
}

#[test]
fn only_what_changed_is_reported() {
    let text = format!("tok_aaaa1111\n{}tok_bbbb2222\n{}", "-\n".repeat(2000), "-\n".repeat(2000));
    let at = text.find("bbbb").unwrap();
    let found = |changed: &[(usize, usize)]| {
        let changed: Vec<Range<usize>> = changed.iter().map(|(start, end)| *start..*end).collect();
        let fragment = Fragment { changed: Some(&changed), ..Fragment::whole(text.as_bytes(), "") };
        scan(Options::native(), &fragment)
    };
    assert_eq!(found(&[(at + 1, at + 2)]), ["token 2002:1-2002:12 tok_bbbb2222"]);
    assert_eq!(found(&[(at + 100, at + 200)]), [""; 0]);
    assert_eq!(found(&[(0, 1), (at, at + 1)]).len(), 2);
}

#[test]
fn a_scratch_can_be_used_with_other_detectors() {
    let mut scratch = Scratch::default();
    for _ in 0..2 {
        for options in [Options::native(), Options::compatible()] {
            let detector = Detector::new(rules(), options);
            assert_eq!(detector.scan(&Fragment::whole(b"tok_abcd1234", ""), &mut scratch).len(), 1);
        }
    }
}

#[test]
fn long_lines_full_of_keywords_take_linear_time() {
    let text = "token secret user: tok_ colour".repeat(40_000);
    assert_eq!(native(&text, ""), [""; 0]);
    let text = "%41token = 'x%4".repeat(40_000);
    native(&text, "");
    let text = "&#&#".repeat(200_000);
    native(&text, "");
    let text = "A1".repeat(600_000);
    native(&text, "");
}

/// All findings of a line were compared with each other: tens of thousands took minutes.
#[test]
fn a_line_of_very_many_findings_is_settled() {
    let mut line = String::new();
    for number in 0..5_000 {
        line.push_str(&format!("token=tok_{number:08} "));
    }
    let found = scan(Options::native(), &Fragment::whole(line.as_bytes(), "a"));
    assert_eq!(found.len(), 5_000);
    assert!(found.iter().all(|finding| finding.contains("tok_") && !finding.contains("generic")));
}
