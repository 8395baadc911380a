//! The policy language against the documented examples of Vault and OpenBao, and against their precedence rules.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
use serde_json::{Map, Value, json};
use std::time::Duration;
use strongroom_kernel::policy::*;
use strongroom_secret::{MountPath, NamespacePath, PolicyName, Timestamp};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn policy(name: &str, text: &str) -> Policy {
    match Policy::parse(PolicyName::parse(name).unwrap(), text) {
        Ok(policy) => policy,
        Err(error) => panic!("{error}"),
    }
}

fn errors(text: &str) -> String {
    Policy::parse(PolicyName::parse("p").unwrap(), text).unwrap_err().to_string()
}

fn namespace(path: &str) -> NamespacePath {
    NamespacePath::parse(path).unwrap()
}

fn acl(texts: &[&str]) -> Acl {
    let policies: Vec<Policy> = texts.iter().map(|text| policy("p", text)).collect();
    let root = NamespacePath::root();
    let pairs: Vec<_> = policies.iter().map(|policy| (policy, &root)).collect();
    Acl::compile(&pairs, &TemplateContext::default(), NOW)
}

fn allows(acl: &Acl, operation: Operation, path: &str) -> bool {
    acl.check(&AccessRequest::new(&NamespacePath::root(), path, operation, NOW)).is_allowed()
}

fn capabilities(acl: &Acl, path: &str) -> String {
    let names: Vec<_> =
        acl.capabilities(&NamespacePath::root(), path, NOW).into_iter().map(Capability::name).collect();
    names.join(" ")
}

fn denial(acl: &Acl, request: &AccessRequest<'_>) -> Option<Denial> {
    match acl.check(request) {
        Decision::Allowed(_) => None,
        Decision::Denied(denial) => Some(denial),
    }
}

#[test]
fn capabilities_by_path() {
    let text = r#"
        name = "dev"
        path "dev/*" { policy = "sudo" }
        path "stage/*" { policy = "write" }
        path "stage/aws/*" { policy = "read" capabilities = ["update", "sudo"] }
        path "prod/*" { policy = "read" }
        path "prod/aws/*" { policy = "deny" }
        path "/foo/bar" { capabilities = ["read", "create", "sudo"] }
        path "deny/this" { capabilities = ["read", "deny", "update"] }
        path "baz/quux" { capabilities = ["read", "create", "patch"] }
        path "scan/this" { capabilities = ["scan"] }
        path "new/+" { capabilities = ["recover", "subscribe"] }
        path "nothing" {}
    "#;
    let acl = acl(&[text]);
    for (path, expected) in [
        ("dev", "deny"),
        ("dev/", "create delete list read sudo update"),
        ("stage/x", "create delete list read update"),
        ("stage/aws/test", "list read sudo update"),
        ("prod/x", "list read"),
        ("prod/aws/x", "deny"),
        ("foo/bar", "create read sudo"),
        ("deny/this", "deny"),
        ("baz/quux", "create patch read"),
        ("baz/quux/", "create patch read"),
        ("scan/this", "scan"),
        ("new/x", "recover subscribe"),
        ("nothing", "deny"),
        ("elsewhere", "deny"),
    ] {
        assert_eq!(capabilities(&acl, path), expected, "{path}");
    }
    assert!(allows(&acl, Operation::Help, "elsewhere"));
    assert!(allows(&acl, Operation::Renew, "dev/x") && !allows(&acl, Operation::Renew, "prod/x"));
    let sudo = |path| AccessRequest {
        privilege: Privilege::Sudo,
        ..AccessRequest::new(&ROOT, path, Operation::Read, NOW)
    };
    assert_eq!(denial(&acl, &sudo("dev/x")), None);
    assert_eq!(denial(&acl, &sudo("prod/x")), Some(Denial::Lacks(Capability::Sudo)));
    assert!(acl.has_sudo(&sudo("foo/bar")) && !acl.has_sudo(&sudo("prod/x")) && !acl.has_sudo(&sudo("none")));
}

static ROOT: std::sync::LazyLock<NamespacePath> = std::sync::LazyLock::new(NamespacePath::root);

#[test]
fn segment_wildcards() {
    let acl = acl(&[r#"
        path "test/+/segment" { capabilities = ["read"] }
        path "+/segment/at/front" { capabilities = ["read"] }
        path "test/segment/at/end/+" { capabilities = ["read"] }
        path "test/segment/at/end/v2/+/" { capabilities = ["read"] }
        path "test/+/wildcard/+/*" { capabilities = ["read"] }
        path "test/+/wildcard/+/end*" { capabilities = ["read"] }
        path "1/2/*" { capabilities = ["create"] }
        path "1/2/+" { capabilities = ["read"] }
        path "1/2/+/+" { capabilities = ["update"] }
    "#]);
    use Operation::{Create, Read, Update};
    for (operation, path, allowed) in [
        (Read, "test/foo/bar/segment", false),
        (Read, "test/foo/segment", true),
        (Read, "test/segment/at/frond", false),
        (Read, "test/segment/at/front", true),
        (Read, "test/segment/at/end/foo", true),
        (Read, "test/segment/at/end/foo/", false),
        (Read, "test/segment/at/end/v2/foo/", true),
        (Read, "test/segment/wildcard/at/foo/", true),
        (Read, "test/segment/wildcard/at/end", true),
        (Read, "test/segment/wildcard/at/end/", true),
        (Read, "test/segment/wildcard/at", false),
        (Read, "1/2/3/4", false),
        (Read, "1/2/3", true),
        (Update, "1/2/3", false),
        (Update, "1/2/3/4", true),
        (Create, "1/2/3/4/5", true),
    ] {
        assert_eq!(allows(&acl, operation, path), allowed, "{operation} {path}");
    }
}

/// In each row the second rule is the more specific one.
#[test]
fn the_most_specific_rule_decides() {
    for (less, more, path) in [
        ("+/*", "*", "foo/bar/bar/baz"),
        ("+/*", "foo/+/*", "foo/bar/bar/baz"),
        ("foo/+/+/*", "foo/+/bar/baz", "foo/bar/bar/baz"),
        ("foo/+/+/baz", "foo/+/bar/baz", "foo/bar/bar/baz"),
        ("foo/+/(ar/baz", "foo/(ar/+/baz", "foo/(ar/(ar/baz"),
        ("foo/bar/+/baz*", "foo/bar/+/baz", "foo/bar/bar/baz"),
        ("foo/bar/+/b*", "foo/bar/+/ba*", "foo/bar/bar/baz"),
        ("secret/+/+/foo/*", "secret/*", "secret/a/b/foo/c"),
        ("foo/*", "foo/+", "foo/x"),
        ("foo/+", "foo/x*", "foo/xyz"),
        ("foo/*", "foo/bar*", "foo/bar"),
        ("foo/bar*", "foo/bar", "foo/bar"),
        ("foo/+/c", "foo/b/+", "foo/b/c"),
    ] {
        let read = format!("path {less:?} {{ capabilities = [\"read\"] }}");
        let update = format!("path {more:?} {{ capabilities = [\"update\"] }}");
        for order in [[&*read, &*update], [&*update, &*read]] {
            assert_eq!(capabilities(&acl(&order), path), "update", "{more} over {less}");
        }
    }
}

#[test]
fn a_list_sees_a_folder_in_both_spellings() {
    use Operation::{List, Read, Scan};
    let text = r#"
        path "foo/metadata/*" { capabilities = ["list", "scan"] }
        path "foo/metadata" { capabilities = ["list", "scan"] }
        path "foo/metadata/private*" { capabilities = ["deny"] }
        path "foo/metadata/private/granted*" { capabilities = ["list", "scan"] }
        path "slash/" { capabilities = ["list", "scan", "read"] }
        path "both/" { capabilities = ["list", "scan"] }
        path "both" { capabilities = ["deny"] }
        path "plus/+" { capabilities = ["list", "scan"] }
    "#;
    let acl = acl(&[text]);
    for (path, allowed) in [
        ("foo", false),
        ("foo/metadata", true),
        ("foo/metadata/test", true),
        ("foo/metadata/private", false),
        ("foo/metadata/private/internal", false),
        ("foo/metadata/private/granted", true),
        ("foo/metadata/private/granted/test", true),
        ("slash", true),
        ("both", true),
        ("plus/x", true),
        ("plus/x/y", false),
    ] {
        for operation in [List, Scan] {
            for path in [path.to_owned(), format!("{path}/")] {
                assert_eq!(allows(&acl, operation, &path), allowed, "{operation} {path}");
            }
        }
    }
    assert!(
        !allows(&acl, Read, "slash") && allows(&acl, Read, "slash/"),
        "only folder operations are lenient"
    );
}

#[test]
fn deny_wins_within_a_path_whatever_the_order() {
    let grant = r#"path "a/*" { capabilities = ["read", "update"] }"#;
    let more = r#"path "a/*" { capabilities = ["list"] }"#;
    let deny = r#"path "a/*" { capabilities = ["deny"] }"#;
    assert_eq!(capabilities(&acl(&[grant, more]), "a/x"), "list read update");
    for order in [[grant, deny, more], [deny, grant, more], [grant, more, deny]] {
        assert_eq!(capabilities(&acl(&order), "a/x"), "deny");
    }
    let exception = r#"path "a/x" { capabilities = ["read"] }"#;
    assert_eq!(capabilities(&acl(&[deny, exception]), "a/x"), "read");
}

fn parameters(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn with_parameters(acl: &Acl, path: &str, value: Value) -> Option<Denial> {
    let parameters = parameters(value);
    let mut denials = [Operation::Update, Operation::Create].map(|operation| {
        let request = AccessRequest::new(&ROOT, path, operation, NOW);
        denial(acl, &AccessRequest { parameters: Some(&parameters), ..request })
    });
    assert_eq!(denials[0], denials[1]);
    denials[0].take()
}

#[test]
fn parameters_by_value() {
    let acl = acl(&[r#"
        path "dev/*" { policy = "write" allowed_parameters = { "allow" = ["good"] } }
        path "foo/bar" { policy = "write" denied_parameters = { "deny" = ["bad*"] } }
        path "foo/baz" {
            policy = "write"
            allowed_parameters = { "ALLOW" = ["good"] }
            denied_parameters = { "dEny" = ["bad"] }
        }
        path "fizz/buzz" {
            policy = "write"
            allowed_parameters = { "multi" = ["good", "good1", "*good3"], "mid" = ["*x*"], "star" = ["*"] }
            denied_parameters = { "deny_multi" = ["bad", "bad2"] }
        }
        path "types" {
            policy = "write"
            allowed_parameters = { "map" = [{ "good" = "one" }] "int" = [1, 2] "bool" = [false] "list" = [["a"]] }
        }
        path "deny/types" { policy = "write" denied_parameters = { "ttl" = [10], "text" = ["20"], "on" = ["true"] } }
        path "star" { policy = "write" allowed_parameters = { "*" = [] "foo" = [] "bar" = [false] } }
        path "deny/all" { policy = "write" denied_parameters { "*" = [] } }
        path "required" { policy = "write" required_parameters = ["One", "two"] }
    "#]);
    let check = |path, value| with_parameters(&acl, path, value);
    for (path, value, allowed) in [
        ("dev/ops", json!({"allow": "good"}), true),
        ("dev/ops", json!({"allow": "bad"}), false),
        ("dev/ops", json!({}), true),
        ("foo/bar", json!({"deny": "bad"}), false),
        ("foo/bar", json!({"deny": "bad glob"}), false),
        ("foo/bar", json!({"deny": "good", "else": 1}), true),
        ("foo/bar", json!({"deny": null}), true),
        ("foo/baz", json!({"aLLow": "good"}), true),
        ("foo/baz", json!({"deny": "good"}), false),
        ("foo/baz", json!({"allow": "good", "deNy": "bad"}), false),
        ("foo/baz", json!({"allow": null}), false),
        ("foo/baz", json!({"neither": "x"}), false),
        ("fizz/buzz", json!({"multi": "good1"}), true),
        ("fizz/buzz", json!({"multi": "glob good2"}), false),
        ("fizz/buzz", json!({"multi": "glob good3"}), true),
        ("fizz/buzz", json!({"mid": "axb"}), true),
        ("fizz/buzz", json!({"mid": "ab"}), false),
        ("fizz/buzz", json!({"star": "anything"}), false),
        ("fizz/buzz", json!({"deny_multi": "bad2"}), false),
        ("types", json!({"map": {"good": "one"}}), true),
        ("types", json!({"map": {"bad": "one"}}), false),
        ("types", json!({"int": 1}), true),
        ("types", json!({"int": 1.0}), true),
        ("types", json!({"int": 3}), false),
        ("types", json!({"int": "1"}), false),
        ("types", json!({"bool": false}), true),
        ("types", json!({"bool": true}), false),
        ("types", json!({"list": ["a"]}), true),
        ("types", json!({"list": ["a", "b"]}), false),
        ("deny/types", json!({"ttl": "10"}), false),
        ("deny/types", json!({"text": 20}), false),
        ("deny/types", json!({"on": true}), false),
        ("deny/types", json!({"on": false, "text": 21}), true),
        ("star", json!({"anything": true, "foo": true, "bar": false}), true),
        ("star", json!({"bar": true}), false),
        ("deny/all", json!({}), true),
        ("deny/all", json!({"x": 1}), false),
        ("required", json!({"one": 1, "two": 2, "three": 3}), true),
    ] {
        let text = value.to_string();
        assert_eq!(check(path, value).is_none(), allowed, "{path} {text}");
    }
    assert_eq!(check("required", json!({"one": 1})), Some(Denial::ParameterMissing("two".into())));
    assert_eq!(check("dev/x", json!({"other": 1})), Some(Denial::ParameterNotAllowed("other".into())));
    assert_eq!(check("foo/bar", json!({"Deny": "bad"})), Some(Denial::ParameterDenied("Deny".into())));
}

#[test]
fn bounds_of_one_path_merge() {
    let acl = acl(&[r#"
        path "union" { policy = "write" allowed_parameters = { "a" = [1] } required_parameters = ["a"] }
        path "union" { policy = "write" allowed_parameters = { "a" = [2] "b" = [] } required_parameters = ["b", "a"] }
        path "any" { policy = "write" allowed_parameters = { "a" = [1] } denied_parameters = { "b" = ["x"] } }
        path "any" { policy = "write" allowed_parameters = { "a" = [] "b" = [] } denied_parameters = { "b" = [] } }
        path "restricts" { policy = "write" }
        path "restricts" { policy = "write" denied_parameters = { "d" = [] } }
        path "ttl" { policy = "read" min_wrapping_ttl = 60 max_wrapping_ttl = "1h" }
        path "ttl" { policy = "read" min_wrapping_ttl = "30s" max_wrapping_ttl = 1800 }
        "#]);
    for (path, value, allowed) in [
        ("union", json!({"a": 1, "b": "x"}), true),
        ("union", json!({"a": 2, "b": "x"}), true),
        ("union", json!({"a": 3, "b": "x"}), false),
        ("union", json!({"a": 1}), false),
        ("any", json!({"a": "whatever"}), true),
        ("any", json!({"b": "y"}), false),
        ("restricts", json!({"d": 1}), false),
        ("restricts", json!({"e": 1}), true),
    ] {
        let text = value.to_string();
        assert_eq!(with_parameters(&acl, path, value).is_none(), allowed, "{path} {text}");
    }
    for (seconds, allowed) in
        [(None, false), (Some(29), false), (Some(30), true), (Some(1800), true), (Some(1801), false)]
    {
        let wrap_ttl = seconds.map(Duration::from_secs);
        let request = AccessRequest { wrap_ttl, ..AccessRequest::new(&ROOT, "ttl", Operation::Read, NOW) };
        assert_eq!(denial(&acl, &request), (!allowed).then_some(Denial::WrappingTtl), "{seconds:?}");
    }
}

#[test]
fn pages_are_bounded() {
    let acl = acl(&[r#"
        path "kv/*" { capabilities = ["list"] pagination_limit = 100 }
        path "kv/*" { capabilities = ["scan"] pagination_limit = 50 }
        path "must/*" { capabilities = ["list"] pagination_limit = 5 required_parameters = ["limit"] }
        path "free/*" { capabilities = ["list"] }
    "#]);
    let page = |path, value: Value| {
        let parameters = parameters(value);
        let request = AccessRequest::new(&ROOT, path, Operation::List, NOW);
        match acl.check(&AccessRequest { parameters: Some(&parameters), ..request }) {
            Decision::Allowed(grant) => Ok(grant.page_limit),
            Decision::Denied(denial) => Err(denial),
        }
    };
    assert_eq!(page("kv/a", json!({})), Ok(Some(50)));
    assert_eq!(page("kv/a", json!({"limit": "max"})), Ok(Some(50)));
    assert_eq!(page("kv/a", json!({"limit": 0})), Ok(Some(50)));
    assert_eq!(page("kv/a", json!({"limit": "20"})), Ok(Some(20)));
    assert_eq!(page("kv/a", json!({"limit": 51})), Err(Denial::PageLimit));
    assert_eq!(page("kv/a", json!({"limit": -1})), Err(Denial::PageLimit));
    assert_eq!(page("kv/a", json!({"limit": "x"})), Err(Denial::PageLimit));
    assert_eq!(page("must/a", json!({})), Err(Denial::ParameterMissing("limit".into())));
    assert_eq!(page("must/a", json!({"limit": 3})), Ok(Some(3)));
    assert_eq!(page("free/a", json!({"limit": 1_000_000})), Ok(None));
}

#[test]
fn namespaces_bound_a_policy_and_reach_children() {
    let team = namespace("team");
    let policy = policy(
        "p",
        r#"
        path "secret/*" { capabilities = ["read"] }
        path "app/secret/*" { capabilities = ["list"] }
        path "+/kv/x" { capabilities = ["update"] }
    "#,
    );
    let acl = Acl::compile(&[(&policy, &team)], &TemplateContext::default(), NOW);
    for (name, path, expected) in [
        ("", "secret/x", "deny"),
        ("", "team/secret/x", "read"),
        ("team", "secret/x", "read"),
        ("team", "team/secret/x", "deny"),
        ("team/app", "secret/x", "list"),
        ("team/other", "secret/x", "deny"),
        ("team/any", "kv/x", "update"),
        ("teammate", "secret/x", "deny"),
        ("other", "secret/x", "deny"),
    ] {
        let names: Vec<_> =
            acl.capabilities(&namespace(name), path, NOW).into_iter().map(Capability::name).collect();
        assert_eq!(names.join(" "), expected, "{name} {path}");
    }
    assert!(acl.reaches_mount(&team, &MountPath::parse("secret").unwrap(), NOW));
    assert!(acl.reaches_mount(&namespace("team/app"), &MountPath::parse("secret").unwrap(), NOW));
    assert!(!acl.reaches_mount(&NamespacePath::root(), &MountPath::parse("secret").unwrap(), NOW));
    assert!(!acl.reaches_mount(&namespace("other"), &MountPath::parse("kv").unwrap(), NOW));
}

#[test]
fn mounts_are_reached_by_any_rule_below_them() {
    for (rule, mount, reached) in [
        ("+", "foo", true),
        ("+/*", "foo", true),
        ("*", "foo", true),
        ("foo/+/+/*", "foo", true),
        ("foo/+/+/*", "foo/bar/bar/baz", true),
        ("foo/+/+/baz", "foo/bar/bar/baz", true),
        ("foo/bar/+/b*", "foo/bar/bar/baz", true),
        ("foo/data/x", "foo", true),
        ("foo/data/x", "fo", false),
        ("fo*", "foo", true),
        ("foo/+/x", "bar", false),
    ] {
        let acl = acl(&[&format!("path {rule:?} {{ capabilities = [\"read\"] }}")]);
        assert_eq!(
            acl.reaches_mount(&ROOT, &MountPath::parse(mount).unwrap(), NOW),
            reached,
            "{rule} {mount}"
        );
    }
    let denied = acl(&[r#"path "foo/*" { policy = "deny" }"#]);
    assert!(!denied.reaches_mount(&ROOT, &MountPath::parse("foo").unwrap(), NOW));
}

#[test]
fn root_holds_in_its_namespace_and_below() {
    let root = Policy::root();
    let everywhere = Acl::compile(&[(&root, &ROOT)], &TemplateContext::default(), NOW);
    assert_eq!(capabilities(&everywhere, "any/path"), "root");
    let (team, app) = (namespace("team"), namespace("team/app"));
    let other = policy("p", r#"path "*" { policy = "sudo" }"#);
    let acl = Acl::compile(&[(&root, &team), (&other, &ROOT)], &TemplateContext::default(), NOW);
    let request = |namespace| AccessRequest::new(namespace, "sys/seal", Operation::Update, NOW);
    assert!(acl.check(&request(&team)).is_allowed() && acl.has_sudo(&request(&team)));
    assert!(acl.check(&request(&app)).is_allowed());
    assert_eq!(denial(&acl, &request(&ROOT)), Some(Denial::OutsideRootNamespace));
    assert!(!acl.has_sudo(&request(&ROOT)));
    assert_eq!(capabilities(&acl, "sys/seal"), "deny");
    assert!(!acl.reaches_mount(&ROOT, &MountPath::parse("sys").unwrap(), NOW));
    assert!(
        Policy::parse(PolicyName::root(), r#"path "a" {}"#).is_err(),
        "a text cannot become the root policy"
    );
}

fn identity() -> TemplateContext {
    let map = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
    let group = |id: &str, name: &str, path: &str, value: &str| GroupContext {
        id: id.into(),
        name: name.into(),
        namespace: namespace(path),
        metadata: map("region", value),
    };
    TemplateContext {
        entity: Some(EntityContext {
            id: "entity-1".into(),
            name: "ann".into(),
            metadata: [
                ("team", "red"),
                ("star", "*"),
                ("plus", "+"),
                ("slash", "a/b"),
                ("empty", ""),
                ("glob", "x*"),
            ]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
            aliases: vec![AliasContext {
                mount_accessor: "auth_userpass_1".into(),
                id: "alias-1".into(),
                name: "ann@example".into(),
                metadata: map("dotted.key", "m"),
                custom_metadata: map("c", "custom"),
            }],
        }),
        groups: vec![group("g2", "ops", "other", "us"), group("g1", "ops", "", "eu")],
    }
}

fn templated(path: &str, capability: &str, request: &str) -> String {
    let text = format!("path \"{path}\" {{ capabilities = [\"{capability}\"] }}");
    let policy = policy("p", &text);
    assert!(policy.is_templated());
    let broad = self::policy("q", r#"path "s/*" { capabilities = ["list"] }"#);
    let acl = Acl::compile(&[(&policy, &ROOT), (&broad, &ROOT)], &identity(), NOW);
    capabilities(&acl, request)
}

#[test]
fn templates_are_filled_from_the_identity() {
    for (path, request) in [
        ("s/{{identity.entity.id}}", "s/entity-1"),
        ("s/{{ identity.entity.name }}/*", "s/ann/x"),
        ("s/+/{{identity.entity.name}}", "s/any/ann"),
        ("s/a-{{identity.entity.metadata.team}}-b", "s/a-red-b"),
        ("s/{{identity.entity.aliases.auth_userpass_1.id}}", "s/alias-1"),
        ("s/{{identity.entity.aliases.auth_userpass_1.name}}", "s/ann@example"),
        ("s/{{identity.entity.aliases.auth_userpass_1.metadata.dotted.key}}", "s/m"),
        ("s/{{identity.entity.aliases.auth_userpass_1.custom_metadata.c}}", "s/custom"),
        ("s/{{identity.groups.ids.g1.name}}", "s/ops"),
        ("s/{{identity.groups.ids.g2.metadata.region}}", "s/us"),
        ("s/{{identity.groups.names.ops.id}}", "s/g1"),
        ("s/{{identity.groups.names.ops.metadata.region}}", "s/eu"),
        ("{{identity.groups.names.ops.id}}/{{identity.entity.id}}*", "g1/entity-1/x"),
    ] {
        assert_eq!(templated(path, "read", request), "read", "{path}");
    }
}

#[test]
fn template_values_never_widen_a_rule() {
    for (path, request) in [
        ("s/{{identity.entity.metadata.star}}", "s/x"),
        ("s/{{identity.entity.metadata.star}}", "s/*"),
        ("s/{{identity.entity.metadata.plus}}/x", "s/a/x"),
        ("s/{{identity.entity.metadata.glob}}", "s/xyz"),
        ("s/{{identity.entity.metadata.slash}}", "s/a/b"),
        ("s/{{identity.entity.metadata.slash}}/*", "s/a/b/c"),
        ("s/{{identity.entity.metadata.empty}}*", "s/x"),
        ("s/{{identity.entity.metadata.absent}}*", "s/x"),
        ("s/{{identity.entity.aliases.other.name}}*", "s/x"),
        ("s/{{identity.groups.ids.g3.name}}*", "s/x"),
        ("s/{{identity.entity.nonsense}}*", "s/x"),
    ] {
        assert_eq!(templated(path, "read", request), "list", "{path}: the rule is dropped");
    }
    assert_eq!(
        templated("s/{{identity.entity.metadata.star}}", "deny", "s/*"),
        "deny",
        "a refusal stays, literally"
    );
    assert_eq!(templated("s/{{identity.entity.metadata.star}}", "deny", "s/x"), "list");
    assert_eq!(templated("s/{{identity.entity.metadata.slash}}/*", "deny", "s/a/b/c"), "deny");
    assert_eq!(templated("s/{{identity.entity.metadata.plus}}/x", "deny", "s/+/x"), "deny");
    assert_eq!(templated("s/{{identity.entity.metadata.plus}}/x", "deny", "s/a/x"), "list");
}

#[test]
fn rules_and_policies_expire() {
    let text = r#"
        path "a" { capabilities = ["read"] }
        path "a" { capabilities = ["update"] expiration = "2027-01-15T08:00:10Z" }
        path "b" { capabilities = ["read"] expiration = "2006-01-02T15:04:05Z" }
    "#;
    let end = Timestamp::from_seconds(1_800_000_010);
    let policy = policy("p", text);
    let acl = Acl::compile(&[(&policy, &ROOT)], &TemplateContext::default(), NOW);
    assert_eq!(acl.valid_until(), Some(end));
    assert_eq!(capabilities(&acl, "a"), "read update");
    assert_eq!(capabilities(&acl, "b"), "deny");
    let later = end.plus(Duration::from_secs(1));
    let request = AccessRequest::new(&ROOT, "a", Operation::Read, later);
    assert_eq!(denial(&acl, &request), Some(Denial::Stale));
    let again = Acl::compile(&[(&policy, &ROOT)], &TemplateContext::default(), later);
    assert_eq!(denial(&again, &request), None);
    assert_eq!(again.valid_until(), None);
    let over = policy.with_expiration(Some(NOW.minus(Duration::from_secs(1))));
    let nothing = Acl::compile(&[(&over, &ROOT)], &TemplateContext::default(), NOW);
    assert_eq!(capabilities(&nothing, "a"), "deny");
}

#[test]
fn json_in_all_its_forms() {
    for text in [
        r#"{"path": {"a/*": {"capabilities": ["read", "list"]}, "b": {"policy": "write"}}}"#,
        r#"{"path": [{"a/*": {"capabilities": ["read", "list"]}}, {"b": {"policy": "write"}}]}"#,
        r#"{"name": "x", "path": {"a/*": [{"capabilities": ["read"]}, {"capabilities": ["list"]}], "b": {"policy": "write"}}}"#,
        r#"{"path": {"a/*": {"capabilities": ["read"], "comment": null}}, "path": {"a/*": {"capabilities": ["list"]}, "b": {"policy": "write"}}}"#,
        "path = { \"a/*\" = { capabilities = [\"read\", \"list\"] } }\n\"path\" \"b\" { \"policy\" = \"write\" }",
    ] {
        let acl = acl(&[text]);
        assert_eq!(capabilities(&acl, "a/x"), "list read", "{text}");
        assert_eq!(capabilities(&acl, "b"), "create delete list read update", "{text}");
    }
    let escaped = acl(&[r#"{"path": {"\u00fc\/\"": {"capabilities": ["read"]}}}"#]);
    assert_eq!(capabilities(&escaped, "ü/\""), "read");
}

#[test]
fn hcl_in_all_its_forms() {
    let text = "\u{feff}# comment\r\n// another\n/* and\n one */ path \"a\" { # here\n capabilities = [ \"read\", // why\n \"list\", ] }\n\
                path \"\\u00fc\\x41\\\"\" { policy = \"read\" }, path \"${x}\" { policy = \"read\" comment = <<EOF\nmany\nlines\nEOF\n}\n\
                path \"c\" { min_wrapping_ttl = \"1m\" max_wrapping_ttl = 0x100 pagination_limit = 5 policy = <<-E\n  read\n  E\n}";
    assert!(errors(text).contains("invalid policy \"read\\n\""));
    let acl = acl(&[text.split("path \"c\"").next().unwrap()]);
    assert_eq!(capabilities(&acl, "a"), "list read");
    assert_eq!(capabilities(&acl, "üA\""), "list read");
    assert_eq!(capabilities(&acl, "${x}"), "list read");
}

#[test]
fn every_problem_is_told_with_its_line() {
    insta::assert_snapshot!(errors(
        r#"name = "test"
bad  = "foo"
capabilities = ["read"]
path "/" {
    capabilites = ["read"]
    policy = "banana"
    capabilities = ["raed", "write"]
    comment = "x"
    comment = "y"
    mfa_methods = ["a"]
    list_scan_response_keys_filter_path = "{{ .path }}"
    min_wrapping_ttl = "soon"
}
path "a/+*" { policy = "read" }
path "a/{{identity" { policy = "read" }
path "b" { min_wrapping_ttl = 400 max_wrapping_ttl = 200 allowed_parameters = { "a" = "b" } }
path "c" { expiration = "tomorrow" capabilities = "read" required_parameters = [1] }
path "d" = { policy = "read" }
path "e" { policy "read" }
path "f" { policy = read }
name = ["x"]
"#
    ), @r#"
    failed to parse policy:
    line 2, column 1: invalid key "bad"
    line 3, column 1: invalid key "capabilities" (it belongs into a path block)
    line 5, column 5: invalid key "capabilites" (did you mean "capabilities"?)
    line 6, column 14: invalid policy "banana" (it is one of "deny", "read", "write", "sudo")
    line 7, column 21: invalid capability "raed" (did you mean "read"?)
    line 7, column 29: invalid capability "write" (writing is "create" and "update")
    line 9, column 5: "comment" is set twice; first on line 8
    line 10, column 5: "mfa_methods" is not supported (the rule would grant more without it, so the policy is refused)
    line 11, column 5: "list_scan_response_keys_filter_path" is not supported (the rule would grant more without it, so the policy is refused)
    line 12, column 24: error parsing min_wrapping_ttl: "soon" is not a duration: write seconds (90) or a number with a unit (90s, 15m, 24h, 7d)
    line 14, column 6: path "a/+*": invalid use of wildcards ('+*' is forbidden)
    line 15, column 6: path "a/{{identity": unbalanced templating characters: every {{ needs its }}
    line 16, column 6: path "b": max_wrapping_ttl cannot be less than min_wrapping_ttl
    line 16, column 87: values of "a" must be a list (write [] for any value)
    line 17, column 25: invalid expiration time "tomorrow" (write it as "2030-01-02T15:04:05Z")
    line 17, column 51: "capabilities" must be a list of texts (write ["one", "two"])
    line 17, column 81: "required_parameters" must be a list of texts (write ["one", "two"])
    line 18, column 1: a block is assigned to (a block has no equals sign: path "…" { … })
    line 19, column 26: unexpected "}", expected "=" or "{"
    line 20, column 21: unexpected "read", expected a value (a text stands in double quotes)
    "#);
}

#[test]
fn warnings_for_what_is_probably_not_meant() {
    let policy = policy(
        "p",
        r#"
path "a/*/b" { policy = "read" }
path "a/b+/c" { policy = "read" }
path "a//b" { policy = "read" }
path "a/{{identity.entity.nmae}}" { policy = "read" }
path "a/+/b*" { policy = "read" }
"#,
    );
    let lines: Vec<u32> = policy.warnings().iter().map(|warning| warning.position.line).collect();
    assert_eq!(lines, [2, 3, 4, 5]);
}

#[test]
fn the_built_in_policies() {
    let default = policy("default", Policy::DEFAULT_TEXT);
    assert_eq!(default.warnings(), []);
    let acl = Acl::compile(&[(&default, &ROOT)], &identity(), NOW);
    for (path, expected) in [
        ("auth/token/lookup-self", "read"),
        ("auth/token/renew-self", "update"),
        ("identity/entity/id/entity-1", "read"),
        ("identity/entity/name/ann", "read"),
        ("identity/entity/name/bob", "deny"),
        ("cubbyhole/a/b", "create delete list read update"),
        ("sys/tools/random/16", "update"),
        ("identity/oidc/provider/x/authorize", "read update"),
        ("sys/mounts", "deny"),
    ] {
        assert_eq!(capabilities(&acl, path), expected, "{path}");
    }
    let wrapping = policy("response-wrapping", Policy::RESPONSE_WRAPPING_TEXT);
    let acl = Acl::compile(&[(&wrapping, &ROOT)], &TemplateContext::default(), NOW);
    assert_eq!(capabilities(&acl, "cubbyhole/response"), "create read");
}

#[test]
fn granting_policies_are_named() {
    let (one, two) = (
        policy("one", r#"path "kv/*" { capabilities = ["read"] }"#),
        policy("two", r#"path "kv/*" { capabilities = ["update", "read"] }"#),
    );
    let acl = Acl::compile(&[(&one, &ROOT), (&two, &ROOT)], &TemplateContext::default(), NOW);
    let names = |operation| match acl.check(&AccessRequest::new(&ROOT, "kv/a", operation, NOW)) {
        Decision::Allowed(grant) => grant.policies().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        Decision::Denied(_) => Vec::new(),
    };
    assert_eq!(names(Operation::Read), ["one", "two"]);
    assert_eq!(names(Operation::Update), ["two"]);
}

fn explain(texts: &[&str], request: &AccessRequest<'_>, mount: MountHint<'_>) -> String {
    acl(texts).explain(request, mount).to_string()
}

#[test]
fn explanation_of_kv_v2_confusion() {
    let text = "path \"secret/data/app/*\" {\n  capabilities = [\"read\"]\n}\n\npath \"secret/other\" { policy = \"read\" }";
    let mount = MountPath::parse("secret").unwrap();
    let request = AccessRequest::new(&ROOT, "secret/metadata/app/db", Operation::List, NOW);
    insta::assert_snapshot!(explain(&[text], &request, MountHint::KvV2(&mount)), @r#"
    denied: list on "secret/metadata/app/db"
    because no rule matches the path
    not matching, but near: [read] path "secret/data/app/*" (policy "p", line 1)
    not matching, but near: [list, read] path "secret/other" (policy "p", line 5)
    hint: path "secret/data/app/*" (policy "p", line 1) is for "secret/data/app/db"; listing, metadata and deleting all versions go through "secret/metadata/app/db"
    this rule would allow it:
    path "secret/metadata/app/db/" {
      capabilities = ["list"]
    }
    "#);
    let request = AccessRequest::new(&ROOT, "secret/other", Operation::Update, NOW);
    insta::assert_snapshot!(explain(&[text], &request, MountHint::KvV2(&mount)), @r#"
    denied: update on "secret/other"
    because the rule for the path lacks the capability "update"
    rule: [list, read] path "secret/other" (policy "p", line 5)
    not matching, but near: [read] path "secret/data/app/*" (policy "p", line 1)
    hint: "secret/" is KV v2: the path for this is "secret/data/other"
    this rule would allow it:
    path "secret/data/other" {
      capabilities = ["update"]
    }
    "#);
    let request = AccessRequest::new(&ROOT, "secret/destroy/other", Operation::Update, NOW);
    insta::assert_snapshot!(explain(&[text], &request, MountHint::Unknown), @r#"
    denied: update on "secret/destroy/other"
    because no rule matches the path
    not matching, but near: [read] path "secret/data/app/*" (policy "p", line 1)
    not matching, but near: [list, read] path "secret/other" (policy "p", line 5)
    hint: if "secret/" is KV v2: path "secret/other" (policy "p", line 5) is for "secret/other"; destroying versions goes (with "update") through "secret/destroy/other"
    this rule would allow it:
    path "secret/destroy/other" {
      capabilities = ["update"]
    }
    "#);
}

#[test]
fn explanation_names_what_decided() {
    let broad = "path \"secret/*\" { capabilities = [\"read\", \"list\"] }";
    let deny = "# no\npath \"secret/private/*\" { policy = \"deny\" }";
    let texts = [
        broad,
        deny,
        "path \"secret/private/x\" { policy = \"deny\" }",
        "path \"sys\" { policy = \"read\" }",
    ];
    let request = |path, operation| AccessRequest::new(&ROOT, path, operation, NOW);
    insta::assert_snapshot!(explain(&texts, &request("secret/a", Operation::Update), MountHint::Other), @r#"
    denied: update on "secret/a"
    because the rule for the path lacks the capability "update"
    rule: [list, read] path "secret/*" (policy "p", line 1)
    not matching, but near: [deny] path "secret/private/*" (policy "p", line 2)
    not matching, but near: [deny] path "secret/private/x" (policy "p", line 1)
    this rule would allow it:
    path "secret/a" {
      capabilities = ["list", "read", "update"]
    }
    "#);
    insta::assert_snapshot!(explain(&texts, &request("secret/private/y", Operation::Read), MountHint::Other), @r#"
    denied: read on "secret/private/y"
    because the rule for the path denies it
    rule: [deny] path "secret/private/*" (policy "p", line 2)
    also matching, but less specific: [list, read] path "secret/*" (policy "p", line 1)
    not matching, but near: [deny] path "secret/private/x" (policy "p", line 1)
    hint: path "secret/private/*" (policy "p", line 2) denies this; only a more specific rule would be an exception to it
    this rule would allow it:
    path "secret/private/y" {
      capabilities = ["read"]
    }
    "#);
    insta::assert_snapshot!(explain(&texts, &request("secret/private/x", Operation::Read), MountHint::Other), @r#"
    denied: read on "secret/private/x"
    because the rule for the path denies it
    rule: [deny] path "secret/private/x" (policy "p", line 1)
    also matching, but less specific: [deny] path "secret/private/*" (policy "p", line 2)
    also matching, but less specific: [list, read] path "secret/*" (policy "p", line 1)
    hint: path "secret/private/x" (policy "p", line 1) denies exactly this path: no other rule can allow it
    "#);
    insta::assert_snapshot!(explain(&texts, &request("secret", Operation::Read), MountHint::Other), @r#"
    denied: read on "secret"
    because no rule matches the path
    not matching, but near: [list, read] path "secret/*" (policy "p", line 1)
    not matching, but near: [deny] path "secret/private/*" (policy "p", line 2)
    not matching, but near: [deny] path "secret/private/x" (policy "p", line 1)
    hint: path "secret/*" matches only below "secret/", not the path itself
    this rule would allow it:
    path "secret" {
      capabilities = ["read"]
    }
    "#);
    insta::assert_snapshot!(explain(&texts, &request("sys/mounts", Operation::Read), MountHint::Other), @r#"
    denied: read on "sys/mounts"
    because no rule matches the path
    not matching, but near: [list, read] path "sys" (policy "p", line 1)
    hint: path "sys" matches that path alone; "sys/*" would match what lies below it
    this rule would allow it:
    path "sys/mounts" {
      capabilities = ["read"]
    }
    "#);
    insta::assert_snapshot!(explain(&texts, &request("secret/b", Operation::Read), MountHint::Other), @r#"
    allowed: read on "secret/b"
    because the rule for the path allows it
    rule: [list, read] path "secret/*" (policy "p", line 1)
    "#);
}

#[test]
fn explanation_of_namespaces_bounds_and_left_out_rules() {
    let (team, other) = (namespace("team"), namespace("other"));
    let policy = policy(
        "p",
        r#"
path "kv/x" { policy = "read" }
path "kv/{{identity.entity.metadata.star}}" { policy = "read" }
path "kv/old" { policy = "read" expiration = "2006-01-02T15:04:05Z" }
path "wrapped" { policy = "read" min_wrapping_ttl = "1m" max_wrapping_ttl = "1h" }
"#,
    );
    let acl = Acl::compile(&[(&policy, &team)], &identity(), NOW);
    let request = AccessRequest::new(&other, "kv/x", Operation::Read, NOW);
    insta::assert_snapshot!(acl.explain(&request, MountHint::Other), @r#"
    denied: read on "kv/x" in namespace "other/"
    because no rule matches the path
    hint: the same path is granted in namespace "team/", by path "kv/x" (policy "p", line 2, namespace "team/"); the request is for namespace "other/"
    this rule would allow it:
    path "kv/x" {
      capabilities = ["read"]
    }
    "#);
    let request = AccessRequest {
        privilege: Privilege::Sudo,
        ..AccessRequest::new(&team, "kv/old", Operation::Delete, NOW)
    };
    insta::assert_snapshot!(acl.explain(&request, MountHint::Other), @r#"
    denied: delete on "kv/old" in namespace "team/"
    because no rule matches the path
    not matching, but near: [list, read] path "kv/x" (policy "p", line 2, namespace "team/")
    left out: path "kv/{{identity.entity.metadata.star}}" (policy "p", line 3, namespace "team/"): the value of a template in its path contains '*', which could widen the rule
    left out: path "kv/old" (policy "p", line 4, namespace "team/"): it expired at 2006-01-02T15:04:05Z
    this rule would allow it:
    path "kv/old" {
      capabilities = ["delete", "sudo"]
    }
    "#);
    let request = AccessRequest::new(&team, "wrapped", Operation::Read, NOW);
    insta::assert_snapshot!(serde_json::to_string_pretty(&acl.explain(&request, MountHint::Other)).unwrap(), @r#"
    {
      "allowed": false,
      "namespace": "team/",
      "path": "wrapped",
      "operation": "read",
      "reason": "the rule for the path bounds the wrapping TTL, and the request is outside of it or not wrapped",
      "rule": {
        "path": "team/wrapped",
        "capabilities": [
          "list",
          "read"
        ],
        "sources": [
          {
            "policy": "p",
            "namespace": "team/",
            "path": "wrapped",
            "line": 5,
            "capabilities": [
              "list",
              "read"
            ]
          }
        ]
      },
      "overridden": [],
      "near_misses": [],
      "left_out": [],
      "hints": [
        "ask for a wrapped answer of 1m to 1h"
      ]
    }
    "#);
}

#[test]
fn formatting_keeps_comments() {
    let text = "\n\n# first\npath   \"a/*\"{capabilities=[\"read\",\"list\"]# why\n\n\n  comment=\"x\"}\npath \"b\" {\n\nallowed_parameters = {\n\"a\"=[]\n  \"b\" = [ 1,\n2 ]\n}\n/* end\n   here */\n}";
    insta::assert_snapshot!(format(text).unwrap(), @r#"
    # first
    path "a/*" {
      capabilities = ["read", "list"] # why

      comment = "x"
    }
    path "b" {
      allowed_parameters = {
        "a" = []
        "b" = [
          1,
          2
        ]
      }
      /* end
       here */
    }
    "#);
    let json = "{ \"path\":{\"a\" :{ \"capabilities\":[\"read\" ,\"list\"]}\n}}";
    insta::assert_snapshot!(format(json).unwrap(), @r#"
    {
      "path": {
        "a": { "capabilities": ["read", "list"] }
      }
    }
    "#);
    assert!(format("path \"a\" {").is_err());
}
