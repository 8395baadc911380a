//! `sys/policies/password`: what generated passwords consist of.

use serde_json::json;
use strongroom_testkit::server::TestServer;

const POLICY: &str = r#"
length = 20
rule "charset" {
  charset   = "abcdefghijklmnopqrstuvwxyz"
  min-chars = 1
}
rule "charset" {
  charset   = "ABC"
  min-chars = 3
}
rule "charset" {
  charset = "é0"
}
"#;

#[test]
fn passwords_are_as_their_policy_says() {
    let server = TestServer::start(Vec::new());
    let root = server.root();
    assert_eq!(root.write("sys/policies/password/p", json!({"policy": POLICY})).status, 204);
    assert_eq!(root.read("sys/policies/password/p").data(), &json!({"policy": POLICY}));
    assert_eq!(root.list("sys/policies/password").data(), &json!({"keys": ["p"]}));
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        let answer = root.read("sys/policies/password/p/generate");
        let password = answer.data()["password"].as_str().unwrap().to_owned();
        assert_eq!(password.chars().count(), 20);
        assert!(password.chars().all(|c| c.is_ascii_lowercase() || "ABCé0".contains(c)), "{password}");
        assert!(password.chars().filter(|c| "ABC".contains(*c)).count() >= 3, "{password}");
        assert!(password.chars().any(|c| c.is_ascii_lowercase()), "{password}");
        seen.insert(password);
    }
    assert_eq!(seen.len(), 200);
    assert_eq!(root.delete("sys/policies/password/p").status, 204);
    assert_eq!(root.read("sys/policies/password/p/generate").status, 404);
    assert_eq!(root.list("sys/policies/password").status, 404);
}

#[test]
fn json_and_base64_are_read_as_well() {
    let server = TestServer::start(Vec::new());
    let root = server.root();
    let json = r#"{"length": 8, "rule": [{"charset": {"charset": "ab", "min-chars": 8}}]}"#;
    let base64 = "bGVuZ3RoID0gOApydWxlICJjaGFyc2V0IiB7IGNoYXJzZXQgPSAiYWIiIH0K";
    for text in [json, base64] {
        assert_eq!(root.write("sys/policies/password/p", json!({"policy": text})).status, 204, "{text}");
        let answer = root.read("sys/policies/password/p/generate");
        assert_eq!(answer.data()["password"].as_str().unwrap().len(), 8);
    }
}

#[test]
fn wrong_policies_are_refused_with_the_reason() {
    let server = TestServer::start(Vec::new());
    let root = server.root();
    let rule = |text: &str| format!("length = 20\nrule \"charset\" {{ {text} }}");
    for (text, reason) in [
        (String::new(), "missing policy"),
        ("length = 3\nrule \"charset\" { charset = \"a\" }".into(), "between 4 and 100"),
        ("length = 101\nrule \"charset\" { charset = \"a\" }".into(), "from 0 to 100"),
        ("length = 20".into(), "no charset specified"),
        (rule("charset = \"\""), "no charset specified"),
        (rule("charset = \"a\\u0007\""), "non-printable"),
        (rule("charset = \"a\"\n min-chars = 21"), "at least 21 characters but 20"),
        (rule("charset = \"a\"\n min-chars = -1"), "line 3, column"),
        (rule("charset = \"a\"\n minchars = 1"), "did you mean \"min-chars\"?"),
        ("length = 20\nrule \"chrset\" { charset = \"a\" }".into(), "unrecognized rule type"),
        ("length = ".into(), "the text ends"),
    ] {
        let (status, message) = root.write("sys/policies/password/p", json!({"policy": text})).refusal();
        assert!(status == 400 && message.contains(reason), "{text}: {message}");
    }
    assert_eq!(root.list("sys/policies/password").status, 404);
}
