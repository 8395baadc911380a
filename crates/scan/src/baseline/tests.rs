use super::*;
use crate::located::{Located, Origin};
use crate::planted::rules;
use crate::report::{self, Redaction, Report, Tool};
use crate::{Commit, Statistics};
use std::sync::Arc;
use strongroom_detect::{Confidence, Finding, Place};
use strongroom_secret::{Entropy, SecretBytes};

struct Same(u8);

impl Entropy for Same {
    fn fill(&self, out: &mut [u8]) {
        out.fill(self.0);
    }
}

fn found(path: &str, line: u64, secret: &str) -> Located {
    let bytes = |text: &str| SecretBytes::new(text.as_bytes().to_vec());
    let finding = Finding {
        rule: 0,
        place: Place { start_line: line, start_column: 3, end_line: line, end_column: 9 },
        span: 2..9,
        secret_span: 2..9,
        secret: bytes(secret),
        matched: bytes(&format!("={secret}")),
        line: bytes(&format!("key={secret}")),
        entropy: 3.0,
        confidence: Confidence::High,
        decoded_from: Vec::new(),
        tags: Vec::new(),
        notes: Vec::new(),
        known: None,
        required: Vec::new(),
    };
    Located::outside_git(finding, path.to_owned(), Origin::File)
}

fn known(name: &str, text: &str, located: &Located) -> bool {
    let mut ignores = Ignores::new(Redaction::Revealed);
    ignores.add(name, text).unwrap();
    ignores.known(located, &rules()).is_some()
}

fn with_commit(mut located: Located) -> Located {
    located.commit = Some(Arc::new(Commit {
        id: "abc".to_owned(),
        author: "Jane".to_owned(),
        email: "j@example.org".to_owned(),
        seconds: 0,
        offset_minutes: 0,
        message: "one".to_owned(),
    }));
    located
}

#[test]
fn our_own_survives_moves_and_holds_no_plaintext() {
    let mut baseline = Baseline::new(&Same(7));
    let all =
        [found("b.txt", 5, "not-a-real-one"), found("a b%.txt", 9, "not-a-real-one"), found("c", 1, "other")];
    let change = baseline.update(&all, &rules(), Scope::Everything);
    assert_eq!(change, Change { added: 2, removed: 0, kept: 0 });
    let text = baseline.to_text();
    // The hashes are Python's: hmac.new(b"\x07" * 32, struct.pack(">Q", 7) + b"planted" + secret, "sha256"), 16 bytes.
    insta::assert_snapshot!(text, @r"
    # strongroom baseline 1
    # key 0707070707070707070707070707070707070707070707070707070707070707
    3806665a6ffb1b79016b7b1676477937 unknown planted a%20b%25.txt
    79c8919c95d2e06421685da957ad36f9 unknown planted c
    ");
    assert_eq!(Baseline::parse(&text, "x").unwrap(), baseline);
    assert!(known(".strongroom-baseline", &text, &found("elsewhere", 700, "not-a-real-one")));
    assert!(!known(".strongroom-baseline", &text, &found("b.txt", 5, "not-a-real-two")));
    let mut other = Baseline::new(&Same(8));
    other.update(&all, &rules(), Scope::Everything);
    assert!(
        !other.to_text().contains(text.lines().nth(2).unwrap().split(' ').next().unwrap()),
        "other key, other hash"
    );
}

#[test]
fn updates_keep_labels() {
    let mut baseline = Baseline::new(&Same(7));
    let first = [found("a", 1, "one"), found("b", 1, "two")];
    baseline.update(&first, &rules(), Scope::Everything);
    let rules = rules();
    let mut list = baseline.audit(&first, &rules);
    baseline.set_label(&mut list[0], Label::False);
    let label = list[0].label;
    assert_eq!((label, list[1].known), (Label::False, true));
    let second = [found("moved", 4, "one"), found("c", 1, "three")];
    assert_eq!(baseline.update(&second, &rules, Scope::Part), Change { added: 1, removed: 0, kept: 2 });
    assert_eq!(baseline.update(&second, &rules, Scope::Everything), Change { added: 0, removed: 1, kept: 2 });
    assert_eq!(baseline.entry(&second[0], "planted").unwrap().label, Label::False);
    assert_eq!(baseline.counts()[&Label::Unknown], 1);
    let order: Vec<Label> = baseline.audit(&second, &rules).iter().map(|audited| audited.label).collect();
    assert_eq!(order, [Label::Unknown, Label::False], "what nobody has looked at comes first");
}

#[test]
fn a_malformed_baseline_is_named_by_line() {
    let message = |text: &str| Baseline::parse(text, "f").unwrap_err().to_string();
    let key = format!("# key {}", "00".repeat(32));
    assert!(message("").starts_with("f:1: it does not begin with"));
    assert!(message("# strongroom baseline 2\n").starts_with("f:1: it was written by a newer version"));
    assert!(message("# strongroom baseline 1\n# key zz\n").starts_with("f:2: the key is not 64"));
    let body = |line: &str| message(&format!("# strongroom baseline 1\n{key}\n\n{line}\n"));
    assert!(body("<<<<<<< HEAD").starts_with("f:4: it has the marks of a merge conflict"));
    assert!(body("abc true r p").starts_with("f:4: an entry begins with 32"));
    let tag = "00".repeat(16);
    assert!(body(&format!("{tag} maybe r p")).starts_with("f:4: the second word is true, false or unknown"));
    assert!(body(&format!("{tag} true")).starts_with("f:4: the third word is the rule's id"));
    assert!(message("nothing").ends_with("`scan baseline create`"));
    // Both sides of a merge have the entry: what somebody said of it stays.
    let merged =
        format!("# strongroom baseline 1\n{key}\n{tag} unknown r p\n{tag} false r p\n{tag} unknown r q\n");
    let merged = Baseline::parse(&merged, "f").unwrap();
    assert_eq!((merged.len(), merged.entries().next().unwrap().label), (1, Label::False));
}

#[test]
fn branches_that_add_entries_merge_without_a_conflict() {
    let folder = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        let output = std::process::Command::new("git")
            .current_dir(folder.path())
            .args(["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let path = folder.path().join(".strongroom-baseline");
    let commit = |secrets: &[&str]| {
        let mut baseline = match std::fs::read_to_string(&path) {
            Ok(text) => Baseline::parse(&text, "x").unwrap(),
            Err(_) => Baseline::new(&Same(3)),
        };
        let all: Vec<Located> = secrets.iter().map(|secret| found("f", 1, secret)).collect();
        baseline.update(&all, &rules(), Scope::Part);
        replace(&path, &baseline.to_text()).unwrap();
        git(&["add", "."]);
        git(&["commit", "-qm", "x"]);
    };
    git(&["init", "-q", "-b", "main"]);
    let many: Vec<String> = (0..40).map(|number| format!("secret-{number}")).collect();
    commit(&many.iter().map(String::as_str).collect::<Vec<_>>());
    git(&["checkout", "-qb", "side"]);
    commit(&["added-on-the-side"]);
    git(&["checkout", "-q", "main"]);
    commit(&["added-on-main"]);
    git(&["merge", "-q", "side"]);
    let merged = Baseline::parse(&std::fs::read_to_string(&path).unwrap(), "x").unwrap();
    assert_eq!(merged.len(), 42);
}

#[cfg(unix)]
#[test]
fn files_are_replaced_whole_and_keep_their_mode() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("b");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    replace(&path, "one").unwrap();
    assert_eq!(mode(), 0o644);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    replace(&path, "two").unwrap();
    assert_eq!((mode(), std::fs::read_to_string(&path).unwrap().as_str()), (0o600, "two"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(replace(&folder.path().join("no/such"), "x").is_err());
}

#[test]
fn a_report_of_gitleaks_compares_all_that_gitleaks_compares() {
    let original = with_commit(found("a.txt", 3, "not-a-real-one"));
    let rules = rules();
    let report = Report {
        findings: std::slice::from_ref(&original),
        rules: &rules,
        statistics: &Statistics::default(),
        redaction: Redaction::Revealed,
        tool: Tool::Gitleaks,
    };
    let mut text = Vec::new();
    report::write(&report, &report::Format::GitleaksJson, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(known("report.json", &text, &original));
    let mut moved = with_commit(found("a.txt", 3, "not-a-real-one"));
    moved.finding.place.start_column += 1;
    assert!(!known("report.json", &text, &moved), "columns are compared");
    assert!(!known("report.json", &text, &found("a.txt", 3, "not-a-real-one")), "commits are compared");
    let other = with_commit(found("a.txt", 3, "not-a-real-two"));
    assert!(!known("report.json", &text, &other));
    let mut redacted = Ignores::new(Redaction::Percent(100));
    redacted.add("report.json", &text).unwrap();
    assert!(redacted.known(&other, &rules).is_some(), "with --redact values are not compared");
    assert!(!known("report.json", "null", &original) && !known("report.json", "[]", &original));
}

#[test]
fn fingerprints_with_and_without_commit() {
    let lines = "# a comment\n\n  sub\\a.txt:planted:3  \nabc:b.txt:planted:4\nno fingerprint\n";
    assert!(known(".gitleaksignore", lines, &found("sub/a.txt", 3, "x")));
    assert!(known(".betterleaksignore", lines, &with_commit(found("sub/a.txt", 3, "x"))));
    assert!(known(".gitleaksignore", lines, &with_commit(found("b.txt", 4, "x"))));
    assert!(!known(".gitleaksignore", lines, &found("b.txt", 4, "x")));
    assert!(!known(".gitleaksignore", lines, &found("sub/a.txt", 4, "x")));
}

#[test]
fn baselines_of_detect_secrets() {
    // SHA-1 of "not-a-real-one", and of "BEGIN RSA PRIVATE KEY".
    let text = r#"{"version": "1.5.0", "plugins_used": [], "results": {
        "src/a.py": [{"type": "Secret Keyword", "filename": "src/a.py",
                      "hashed_secret": "HASH", "is_verified": false, "line_number": 3}],
        "key.pem": [{"type": "Private Key", "filename": "key.pem",
                     "hashed_secret": "be4fc4886bd949b369d5e092eb87494f12e57e5b", "line_number": 1}]
    }, "generated_at": "2026-01-01T00:00:00Z"}"#;
    use sha1::{Digest, Sha1};
    let text = text.replace("HASH", &hex::encode(Sha1::digest(b"not-a-real-one")));
    assert!(known(".secrets.baseline", &text, &found("src/a.py", 99, "not-a-real-one")));
    assert!(!known(".secrets.baseline", &text, &found("src/b.py", 3, "not-a-real-one")));
    let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIx\n-----END RSA PRIVATE KEY-----";
    assert!(known(".secrets.baseline", &text, &found("key.pem", 1, key)));
}

#[test]
fn patterns_of_git_secrets_and_values_of_ripsecrets() {
    let allowed = "# comment\n\n^docs/.*:[0-9]+:\nnot-a-real-[[:alpha:]]+$\n";
    assert!(known(".gitallowed", allowed, &found("docs/x.md", 1, "anything")));
    assert!(known(".gitallowed", allowed, &found("src/x", 1, "not-a-real-one")));
    assert!(!known(".gitallowed", allowed, &found("src/x", 1, "anything")));
    let error = Ignores::new(Redaction::WHOLE).add(".gitallowed", "ok\n(a").unwrap_err().to_string();
    assert!(error.starts_with(".gitallowed:2: "), "{error}");
    let values = "test/*\n\n[secrets]\n# comment\nnot-a-real-one\n";
    assert!(known(".secretsignore", values, &found("x", 1, "not-a-real-one")));
    assert!(!known(".secretsignore", values, &found("x", 1, "test/*")));
}

#[test]
fn baselines_of_kingfisher() {
    let text = "version: 2\nfingerprint_algorithm: kingfisher-v1\nrepositories:\n- id: local:///x\n  findings:\n  \
                - path: 'it''s.txt'\n    fingerprint: '7193667974041872512'\n    rule_id: betterleaks.planted\n    \
                line: 3\n  - path: b.txt\n    rule_id: planted\n    line: 9\n";
    assert!(known("baseline.yaml", text, &found("it's.txt", 3, "x")));
    assert!(known("baseline.yaml", text, &found("b.txt", 9, "x")));
    assert!(!known("baseline.yaml", text, &found("b.txt", 8, "x")));
    let error = Ignores::new(Redaction::WHOLE).add("k.yaml", &text.replace("line: 9", "line: nine"));
    assert!(error.unwrap_err().to_string().starts_with("k.yaml:12: a line's number"));
}

#[test]
fn what_is_no_baseline_says_where() {
    let error =
        |name: &str, text: &str| Ignores::new(Redaction::WHOLE).add(name, text).unwrap_err().to_string();
    assert!(error("x.json", "[\n{\"RuleID\": \"a\",\n \"Secret\": hunter2}]").starts_with("x.json:3: "));
    assert!(!error("x.json", "[{\"Secret\": 5, \"RuleID\": \"hunter2\"}]").contains("hunter2"));
    assert!(error("x.json", "[{").contains("it ends too early"));
    assert!(error("b", "{\"results\": 5}").contains("a baseline of detect-secrets"));
    assert!(error("b", "hello").starts_with("b:1: it is no baseline that is known"));
}

#[test]
fn entries_of_no_use_are_reported() {
    let mut ignores = Ignores::new(Redaction::Revealed);
    ignores.add(".gitleaksignore", "# x\na.txt:planted:3\nold.txt:planted:9\n").unwrap();
    ignores.add(".secretsignore", "[secrets]\nnot-a-real-one\nnever-seen\n").unwrap();
    assert_eq!(ignores.known(&found("a.txt", 3, "not-a-real-one"), &rules()), Some(".gitleaksignore"));
    let unused: Vec<String> = ignores
        .unused()
        .into_iter()
        .map(|unused| format!("{}:{} {}", unused.file, unused.line, unused.text))
        .collect();
    assert_eq!(unused, [".gitleaksignore:3 old.txt:planted:9", ".secretsignore:3 a value"]);
}

#[test]
fn the_usual_files_of_a_project_are_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(".gitleaksignore"), "a:planted:1\n").unwrap();
    std::fs::write(folder.path().join(".gitallowed"), "zzz\n").unwrap();
    let mut ignores = Ignores::new(Redaction::WHOLE);
    ignores.add_usual(folder.path()).unwrap();
    assert!(ignores.known(&found("a", 1, "x"), &rules()).unwrap().ends_with(".gitleaksignore"));
    assert!(ignores.known(&found("b", 1, "zzz"), &rules()).unwrap().ends_with(".gitallowed"));
}
