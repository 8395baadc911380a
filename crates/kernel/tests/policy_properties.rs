//! The policy engine against a naive matcher, and the language against arbitrary text.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use proptest::prelude::*;
use std::cmp::Reverse;
use strongroom_kernel::policy::*;
use strongroom_secret::{NamespacePath, PolicyName, Timestamp};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn parse(text: &str) -> Result<Policy, PolicyError> {
    Policy::parse(PolicyName::parse("p").unwrap(), text)
}

fn compile(texts: &[String]) -> Acl {
    let policies: Vec<Policy> = texts.iter().map(|text| parse(text).unwrap()).collect();
    let root = NamespacePath::root();
    let pairs: Vec<_> = policies.iter().map(|policy| (policy, &root)).collect();
    Acl::compile(&pairs, &TemplateContext::default(), NOW)
}

#[derive(Debug, Clone)]
struct Rule {
    path: String,
    capabilities: Vec<&'static str>,
}

impl Rule {
    fn text(&self) -> String {
        format!("path {:?} {{ capabilities = {:?} }}", self.path, self.capabilities)
    }

    fn is_exact(&self) -> bool {
        !self.path.ends_with('*') && !self.path.split('/').any(|segment| segment == "+")
    }

    fn matches(&self, path: &str) -> bool {
        let (rule, glob) = match self.path.strip_suffix('*') {
            Some(prefix) => (prefix, true),
            None => (self.path.as_str(), false),
        };
        let (rule, path): (Vec<_>, Vec<_>) = (rule.split('/').collect(), path.split('/').collect());
        if path.len() < rule.len() || (!glob && path.len() != rule.len()) {
            return false;
        }
        rule.iter().zip(&path).enumerate().all(|(index, (wanted, name))| {
            let last = index + 1 == rule.len();
            *wanted == "+" || wanted == name || (glob && last && name.starts_with(wanted))
        })
    }

    /// The documented order; the greatest decides.
    fn priority(&self) -> (usize, bool, Reverse<usize>, usize, String) {
        let text = self.path.trim_end_matches('*').to_owned();
        let mut first = text.len();
        let mut offset = 0;
        let mut wildcards = 0;
        for segment in text.split('/') {
            if segment == "+" {
                wildcards += 1;
                first = first.min(offset);
            }
            offset += segment.len() + 1;
        }
        (first, !self.path.ends_with('*'), Reverse(wildcards), text.len(), text)
    }
}

/// The capabilities that decide, by reading all rules: the exact ones first, then the rest.
fn naive(rules: &[Rule], spellings: &[&str]) -> Option<Vec<&'static str>> {
    let exact =
        spellings.iter().find_map(|path| rules.iter().find(|rule| rule.is_exact() && rule.path == **path));
    let inexact = || {
        spellings.iter().find_map(|path| {
            rules
                .iter()
                .filter(|rule| !rule.is_exact() && rule.matches(path))
                .max_by_key(|rule| rule.priority())
        })
    };
    let deciding = exact.or_else(inexact)?;
    let same = rules.iter().filter(|rule| rule.path == deciding.path);
    Some(same.flat_map(|rule| rule.capabilities.clone()).collect())
}

fn naive_allows(rules: &[Rule], operation: Operation, path: &str) -> bool {
    let folder = format!("{}/", path.strip_suffix('/').unwrap_or(path));
    let bare = folder.strip_suffix('/').unwrap().to_owned();
    let spellings: Vec<&str> = if matches!(operation, Operation::List | Operation::Scan) {
        vec![&folder, &bare]
    } else {
        vec![path]
    };
    let found = naive(rules, &spellings).unwrap_or_default();
    found.contains(&operation.name()) && !found.contains(&"deny")
}

fn rule() -> impl Strategy<Value = Rule> {
    let segment =
        prop_oneof![3 => Just("a"), 2 => Just("b"), 1 => Just("ab"), 2 => Just("+"), 1 => Just("+a")];
    let capabilities = prop::sample::subsequence(vec!["read", "update", "list", "scan"], 1..3);
    (
        prop::collection::vec(segment, 1..5),
        prop_oneof![3 => Just(""), 1 => Just("/"), 2 => Just("*"), 1 => Just("/*")],
        capabilities,
        0..6,
    )
        .prop_map(|(segments, end, capabilities, deny)| {
            let mut path = segments.join("/");
            if end == "*" && path.ends_with('+') {
                path.push('/');
            }
            path.push_str(end);
            Rule { path, capabilities: if deny == 0 { vec!["deny"] } else { capabilities } }
        })
}

fn path() -> impl Strategy<Value = String> {
    let segment = prop_oneof![Just("a"), Just("b"), Just("ab"), Just("c"), Just("+a")];
    (prop::collection::vec(segment, 1..6), prop::bool::ANY)
        .prop_map(|(segments, folder)| segments.join("/") + if folder { "/" } else { "" })
}

const OPERATIONS: [Operation; 4] = [Operation::Read, Operation::Update, Operation::List, Operation::Scan];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn decisions_agree_with_a_naive_matcher(
        rules in prop::collection::vec(rule(), 0..25),
        paths in prop::collection::vec(path(), 1..8),
    ) {
        let texts: Vec<String> = rules.iter().map(Rule::text).collect();
        let acl = compile(&texts);
        let root = NamespacePath::root();
        for path in &paths {
            for operation in OPERATIONS {
                let request = AccessRequest::new(&root, path, operation, NOW);
                let allowed = acl.check(&request).is_allowed();
                prop_assert_eq!(allowed, naive_allows(&rules, operation, path), "{} {}", operation, path);
            }
        }
    }

    #[test]
    fn decisions_do_not_depend_on_the_order_or_the_namespace(
        rules in prop::collection::vec(rule(), 1..15), path in path(), seed in any::<u64>(),
    ) {
        let mut texts: Vec<String> = rules.iter().map(Rule::text).collect();
        let acl = compile(&texts);
        let all = texts.join("\n");
        let position = usize::try_from(seed % texts.len() as u64).unwrap();
        texts.rotate_left(position);
        let team = NamespacePath::parse("team").unwrap();
        let together = Acl::compile(&[(&parse(&all).unwrap(), &team)], &TemplateContext::default(), NOW);
        let root = NamespacePath::root();
        let expected = acl.capabilities(&root, &path, NOW);
        prop_assert_eq!(&compile(&texts).capabilities(&root, &path, NOW), &expected);
        prop_assert_eq!(&together.capabilities(&team, &path, NOW), &expected);
    }

    #[test]
    fn a_suggested_rule_allows_the_request(
        rules in prop::collection::vec(rule(), 0..15), path in path(), index in 0..4_usize, kv in any::<bool>(),
    ) {
        let mut texts: Vec<String> = rules.iter().map(Rule::text).collect();
        let path = if kv { format!("kv/metadata/{path}") } else { path };
        let acl = compile(&texts);
        let root = NamespacePath::root();
        let request = AccessRequest::new(&root, &path, OPERATIONS[index], NOW);
        let explanation = acl.explain(&request, MountHint::Unknown);
        prop_assert_eq!(explanation.allowed, acl.check(&request).is_allowed());
        prop_assert!(!explanation.to_string().is_empty());
        prop_assert!(serde_json::to_string(&explanation).is_ok());
        if let Some(suggestion) = explanation.suggestion {
            texts.push(suggestion);
            prop_assert!(compile(&texts).check(&request).is_allowed(), "{}", texts.last().unwrap());
        }
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        let _ = (parse(&text).map_err(|error| error.to_string()), format(&text).map_err(|error| error.to_string()));
    }

    #[test]
    fn arbitrary_words_never_panic_and_format_keeps_the_meaning(text in nearly_hcl()) {
        match (parse(&text), format(&text)) {
            (Ok(policy), Ok(formatted)) => {
                let again = parse(&formatted).expect("formatted text parses");
                prop_assert!(policy.paths().eq(again.paths()), "{formatted}");
                prop_assert_eq!(format(&formatted).unwrap(), formatted);
                let root = NamespacePath::root();
                let compiled = |policy: &Policy| {
                    let acl = Acl::compile(&[(policy, &root)], &TemplateContext::default(), NOW);
                    acl.resultant().collect::<Vec<_>>()
                };
                prop_assert_eq!(compiled(&policy), compiled(&again));
            }
            (Ok(_), Err(error)) => prop_assert!(false, "{error}"),
            _ => {}
        }
    }
}

fn nearly_hcl() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "path",
        "\"a/*\"",
        "\"a/+/b\"",
        "\"{{identity.entity.id}}\"",
        "{",
        "}",
        "{",
        "}",
        "[",
        "]",
        "=",
        ":",
        ",",
        "\n",
        "\n\n",
        "capabilities",
        "policy",
        "\"read\"",
        "\"deny\"",
        "# comment\n",
        "/* block */",
        "// line\r\n",
        "<<E\nread\nE\n",
        "allowed_parameters",
        "1",
        "-1",
        "0x10",
        "true",
        "null",
        "\"\\u00fc\"",
        "\"\\",
        "\"",
        "é",
        "\t",
        "path \"x\" {\n capabilities = [\"read\"] # why\n}\n",
        "path \"y\" { policy = \"write\" comment = \"c\" }",
        "{\"path\": {\"x\": {\"policy\": \"read\"}}}",
        "{\"path\":",
        "}}",
    ]);
    prop::collection::vec(word, 0..25).prop_map(|words| words.join(" "))
}

#[test]
fn nasty_documents_are_refused_and_do_not_hang() {
    let deep = |open: &str, count: usize| {
        format!("path \"a\" {{ allowed_parameters = {{ \"x\" = {} }} }}", open.repeat(count))
    };
    let many_rules: String = (0..10_001).map(|index| format!("path \"{index}\" {{}}\n")).collect();
    for text in [
        deep("[", 100_000),
        deep("{ a = ", 100_000),
        "{\"a\":".repeat(100_000),
        "[".repeat(100_000),
        "path ".repeat(100_000),
        "\"".repeat(99_999),
        "/*".repeat(100_000),
        "<<".repeat(100_000),
        "path \"a\" {".repeat(50_000),
        "}".repeat(100_000),
        "x = 1\n".repeat(100_000),
        " ".repeat((1 << 20) + 1),
        many_rules,
        format!("path \"{}\" {{}}", "a/".repeat(200)),
        format!("path \"{}\" {{}}", "a".repeat(5_000)),
        format!("path \"{}\" {{}}", "{{".repeat(1_000)),
        "path \"a\" { expiration = \"9999999-01-01T00:00:00Z\" }".to_owned(),
        "path \"a\" { min_wrapping_ttl = -5 }".to_owned(),
        "path \"a\" { pagination_limit = 1.5 }".to_owned(),
        "path \"a\" { capabilities = [\"\\xff\"] }".to_owned(),
        "path \"a\" { capabilities = [\"read\"".to_owned(),
        "path \"a\" { min_wrapping_ttl = 010 }".to_owned(),
        "path \"a\" \"b\" {}".to_owned(),
        "path = 5".to_owned(),
        "path".to_owned(),
        "\0".to_owned(),
        "{\"path\": {\"a\": {\"capabilities\": [\"read\"]}}} trailing".to_owned(),
        "{\"path\": {\"a\" {}}}".to_owned(),
        "name {}".to_owned(),
    ] {
        let error = parse(&text).expect_err(&text.chars().take(60).collect::<String>());
        assert!(error.problems().len() <= 50 && error.to_string().len() < 50_000);
        let _ = format(&text);
    }
    for text in ["", "# only a comment", "\n\n", "{}", "{\"path\": {}}", "path \"\" {}"] {
        assert!(parse(text).is_ok(), "{text:?}");
    }
}
