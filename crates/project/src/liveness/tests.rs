use super::*;
use crate::testing::{Reply, TestServer, surroundings};
use serde_json::json;

fn check(
    rule: &str,
    token: &str,
    host: &str,
    reply: fn() -> Reply,
) -> (Verdict, Vec<crate::testing::Received>) {
    let server = TestServer::start(move |_| reply());
    let hosts = Hosts::parse(&[format!("{host}={}", server.url())]).unwrap();
    let liveness = Liveness::new(surroundings(std::path::Path::new("/nonexistent"), &[]), hosts);
    (liveness.check(rule, &SecretString::from(token)), server.received())
}

fn active(identity: &str) -> Verdict {
    Verdict::Active { identity: identity.to_owned() }
}

const NPM: &str = concat!("registry.", "npmjs.org");

#[test]
fn each_service_is_asked_in_its_own_way() {
    let (verdict, received) = check("github-pat", "ghp_notARealToken", "api.github.com", || {
        Reply::Json(200, json!({"login": "octocat"}))
    });
    assert_eq!(verdict, active("octocat"));
    assert_eq!(
        (received[0].target.as_str(), received[0].header("authorization")),
        ("/user", "Bearer ghp_notARealToken")
    );
    let (verdict, received) =
        check("gitlab-pat", "glpat-notReal", "gitlab.com", || Reply::Json(200, json!({"username": "root"})));
    assert_eq!((verdict, received[0].header("private-token")), (active("root"), "glpat-notReal"));
    let (verdict, received) = check("slack-bot-token", "xoxb-not-real", "slack.com", || {
        Reply::Json(200, json!({"ok": true, "user": "bot", "team": "T"}))
    });
    assert_eq!((verdict, received[0].method.as_str()), (active("bot at T"), "POST"));
    let refused = || Reply::Json(200, json!({"ok": false, "error": "invalid_auth"}));
    assert_eq!(check("slack-bot-token", "xoxb-not-real", "slack.com", refused).0, Verdict::Inactive);
    let denied = || Reply::Json(403, json!({}));
    assert_eq!(
        check("stripe-key", "rk_live_notReal", "api.stripe.com", denied).0,
        active("a restricted key")
    );
    let unauthorised = || Reply::Json(401, json!({"message": "Bad credentials"}));
    for (rule, token, host) in [
        ("github-pat", "ghp_notReal", "api.github.com"),
        ("gitlab-pat", "glpat-notReal", "gitlab.com"),
        ("stripe-key", "sk_live_notReal", "api.stripe.com"),
        ("npm-token", "npm_notReal", NPM),
    ] {
        let (verdict, received) = check(rule, token, host, unauthorised);
        assert_eq!(verdict, Verdict::Inactive, "{rule}");
        assert!(!received[0].target.contains("notReal"));
    }
    let odd = check("npm-token", "npm_notReal", NPM, || Reply::Json(418, json!({}))).0;
    assert_eq!(odd, Verdict::Unknown { reason: "status 418".to_owned() });
}

#[test]
fn what_may_not_be_asked_is_not() {
    let asked = |rule, token, host| check(rule, token, host, || Reply::Json(200, json!({})));
    // Another host is allowed; no rule of the service; no token of its form.
    for (rule, token, host) in [
        ("github-pat", "ghp_notReal", "gitlab.com"),
        ("generic", "ghp_notReal", "api.github.com"),
        ("github-pat", "hunter2", "api.github.com"),
        ("github-pat", "ghp_a\r\nx: y", "api.github.com"),
    ] {
        let (verdict, received) = asked(rule, token, host);
        assert_eq!((verdict, received.len()), (Verdict::NotAsked, 0), "{rule} {host}");
    }
    for (word, part) in [
        ("example.com", "nothing is asked of"),
        ("gitlab.com=http://example.com", "no https address"),
        ("gitlab.com=ftp://x", "no https address"),
    ] {
        assert!(Hosts::parse(&[word.to_owned()]).unwrap_err().contains(part), "{word}");
    }
}
