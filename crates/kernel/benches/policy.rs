//! Compiling a token's policies, and deciding on requests with 1,000 rules.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark")]

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use strongroom_kernel::policy::{AccessRequest, Acl, Operation, Policy, TemplateContext};
use strongroom_secret::{NamespacePath, PolicyName, Timestamp};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// 100 policies of 10 rules: exact paths, prefixes and segment wildcards.
fn texts() -> Vec<String> {
    let rule = |policy: usize, rule: usize| {
        let path = match rule % 5 {
            0 => format!("secret/data/team{policy}/app{rule}"),
            1 | 2 => format!("secret/data/team{policy}/service{rule}/*"),
            3 => format!("secret/+/team{policy}/shared{rule}/+"),
            _ => format!("kv{policy}/+/config{rule}/*"),
        };
        format!("path \"{path}\" {{\n  capabilities = [\"create\", \"read\", \"list\"]\n}}\n")
    };
    (0..100).map(|policy| (0..10).map(|number| rule(policy, number)).collect()).collect()
}

fn policies(criterion: &mut Criterion) {
    let (texts, root) = (texts(), NamespacePath::root());
    let parse = |text: &String| Policy::parse(PolicyName::default_policy(), text).unwrap();
    let parsed: Vec<Policy> = texts.iter().map(parse).collect();
    let pairs: Vec<_> = parsed.iter().map(|policy| (policy, &root)).collect();
    let identity = TemplateContext::default();

    criterion.bench_function("parse one policy of 10 rules", |bencher| {
        bencher.iter(|| parse(black_box(&texts[0])))
    });
    criterion.bench_function("compile 100 policies of 10 rules", |bencher| {
        bencher.iter(|| Acl::compile(black_box(&pairs), &identity, NOW));
    });
    let acl = Acl::compile(&pairs, &identity, NOW);
    for (name, path, operation) in [
        ("exact", "secret/data/team42/app5", Operation::Read),
        ("prefix", "secret/data/team42/service7/database/password", Operation::Read),
        ("segment wildcard", "secret/any/team42/shared8/leaf", Operation::Read),
        ("list", "secret/data/team42/service7/", Operation::List),
        ("no rule", "elsewhere/data/team42/service7/database", Operation::Read),
    ] {
        let request = AccessRequest::new(&root, path, operation, NOW);
        criterion.bench_function(&format!("check in 1,000 rules: {name}"), |bencher| {
            bencher.iter(|| acl.check(black_box(&request)).is_allowed());
        });
    }
}

criterion_group!(benches, policies);
criterion_main!(benches);
