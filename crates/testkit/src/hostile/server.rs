//! Parsers of the server.

use super::Target;
use crate::SeededEntropy;
use crate::server::TestServer;
use serde_json::Value;
use strongroom_kernel::policy::{
    AccessRequest, Acl, Operation as Access, PasswordPolicy, Policy, TemplateContext, format,
};
use strongroom_kernel::{Operation, audit};
use strongroom_secret::{MountPath, NamespacePath, PolicyName, RequestPath, Timestamp};

pub const TARGETS: &[Target] = &[
    Target { name: "policy", examples: POLICIES, run: policy },
    Target {
        name: "paths",
        examples: &["kv/data/a b/c", "ns/team/", "sys//x/../y", "é/\u{7f}/z"],
        run: paths,
    },
    Target { name: "password_policy", examples: PASSWORD_POLICIES, run: password_policy },
    Target { name: "snapshot", examples: &["STRONGROOM\0\u{1}{\"version\":1}"], run: snapshot },
    Target { name: "audit", examples: AUDIT_LINES, run: audit_log },
];

const POLICIES: &[&str] = &[
    "path \"kv/data/*\" { capabilities = [\"read\", \"list\"] }\npath \"a/+/b\" { policy = \"write\" }",
    "{\"path\": {\"kv/*\": {\"capabilities\": [\"create\"], \"allowed_parameters\": {\"k\": [\"v*\", 1]}}}}",
    "# c\npath \"id/{{identity.entity.name}}\" { capabilities = [\"sudo\"] min_wrapping_ttl = \"1h\" }",
    "path \"x\" { capabilities = [\"deny\"] denied_parameters = { \"*\" = [] } required_parameters = [\"y\"] }",
];

const PASSWORD_POLICIES: &[&str] = &[
    "length = 20\nrule \"charset\" {\n charset = \"abcé\"\n min-chars = 2\n}\nrule \"charset\" { charset = \"01\" }",
    "{\"length\": 8, \"rule\": [{\"charset\": {\"charset\": \"ab\", \"min-chars\": 8}}]}",
];

const AUDIT_LINES: &[&str] = &[
    "{\"time\":\"2026-01-01T00:00:00Z\",\"type\":\"request\",\"auth\":{\"accessor\":\"a\"},\"request\":{\"id\":\"1\",\
     \"operation\":\"read\",\"path\":\"kv/a\"},\"chain\":{\"seq\":1,\"prev\":\"00\",\"hash\":\"00\"}}\n",
    "{\"type\":\"checkpoint\",\"seq\":2,\"signature\":\"\"}\n{\"type\":\"response\",\"error\":\"x\"}\n",
];

/// Parses a policy, formats it, compiles it and asks it.
pub fn policy(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    drop(format(&text));
    let Ok(policy) = Policy::parse(PolicyName::parse("p").expect("a name"), &text) else { return };
    let (root, now) = (NamespacePath::root(), Timestamp::from_seconds(1_800_000_000));
    let acl = Acl::compile(&[(&policy, &root)], &TemplateContext::default(), now);
    for path in ["kv/data/a", "a/x/b", "id/", "x", "sys/mounts"] {
        for operation in [Access::Read, Access::Update, Access::List, Access::Create] {
            drop(acl.check(&AccessRequest::new(&root, path, operation, now)));
        }
        drop(acl.capabilities(&root, path, now));
    }
}

/// A password policy that was accepted makes passwords of its length.
pub fn password_policy(bytes: &[u8]) {
    let Ok(policy) = PasswordPolicy::parse(&String::from_utf8_lossy(bytes)) else { return };
    let length = policy.generate(&SeededEntropy::new(1)).expose().chars().count();
    assert!((4..=100).contains(&length), "{policy:?}");
}

/// A name that was accepted is accepted again, as the same name.
pub fn paths(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(path) = RequestPath::parse(&text) {
        assert_eq!(RequestPath::parse(path.as_str()).as_ref(), Ok(&path));
        drop(path.to_folder());
    }
    if let Ok(path) = MountPath::parse(&text) {
        assert_eq!(MountPath::parse(path.as_str()).as_ref(), Ok(&path));
    }
    if let Ok(path) = NamespacePath::parse(&text) {
        assert_eq!(NamespacePath::parse(path.as_str()).as_ref(), Ok(&path));
        assert!(path.is_within(&NamespacePath::root()));
    }
    drop(PolicyName::parse(&text));
}

pub fn snapshot(bytes: &[u8]) {
    drop(strongroom_storage::archive::inspect(&mut &*bytes));
    drop(strongroom_storage::archive::verify(&mut &*bytes));
}

pub fn audit_log(bytes: &[u8]) {
    drop(audit::verify("log", bytes, audit::VerifyOptions::default()));
    audit::Search::new(audit::Query::default(), [("log".to_owned(), bytes)]).take(1000).for_each(drop);
}

/// A token and a path as somebody without any rights would send them: never served, never a fault of the server's own.
pub fn presented(server: &TestServer, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let stranger = server.session(Some(&text));
    for path in ["auth/token/lookup-self", "cubbyhole/a", &text] {
        let answer = stranger.read(path);
        let is_open = answer.status < 300 && path == text;
        assert!(is_open || (400..500).contains(&answer.status), "{path:?} {answer:?}");
    }
    let found = server.root().write("auth/token/lookup", serde_json::json!({ "token": text }));
    assert!(found.status < 500, "{found:?}");
}

/// A body as the holder of the root token would send it.
pub fn body(server: &TestServer, path: &str, bytes: &[u8]) {
    let Ok(Value::Object(fields)) = serde_json::from_slice(bytes) else { return };
    let answer = server.root().send(Operation::Write, path, Value::Object(fields));
    assert!(answer.status < 500, "{path} {answer:?}");
}
