use super::*;
use crate::rule::{Condition, Target};

fn load(text: &str) -> Loaded {
    read(text, "test.toml", Reading::Checked, &mut |_| Err("nothing to extend".into())).unwrap()
}

#[test]
fn rules_as_gitleaks_reads_them() {
    let loaded = load(
        r#"
        TITLE = "t"
        [allowList]
        paths = ['a$']
        [[rules]]
        ID = "one"
        RegEx = '(a)(b)'
        SECRETGROUP = "2"
        entropy = "3.5"
        keywords = "A,b"
        tags = ["x"]
        [rules.allowlist]
        condition = "&&"
        regexTarget = "line"
        stopwords = ["XY", "xy"]
        commits = [" ABC "]
        [[rules]]
        id = "two"
        path = '\.p12$'
        skipReport = true
        [[rules.required]]
        id = "one"
        withinLines = 3
        "#,
    );
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    let rule = loaded.rules.rule(0).unwrap();
    assert_eq!((rule.id.as_str(), rule.secret_group, rule.entropy), ("one", 2, 3.5));
    assert_eq!(rule.keywords, ["a", "b"]);
    let list = &rule.allowlists[0];
    assert_eq!((list.condition, list.target), (Condition::All, Target::Line));
    assert_eq!(list.stopwords, ["xy"]);
    assert!(list.commits.contains("abc"));
    assert!(loaded.rules.rule(1).unwrap().skip_report);
    assert_eq!(loaded.rules.rule(1).unwrap().required[0].within_lines, Some(3));
    assert_eq!(loaded.rules.allowlists.len(), 1);
}

#[test]
fn what_is_wrong_is_named_and_the_rest_goes_on() {
    let loaded = load(
        r#"
        [[rules]]
        id = "look"
        regex = '(?=a)b'
        [[rules]]
        id = "large"
        regex = '(((a{1000}){1000}){1000})'
        [[rules]]
        id = "empty"
        [[rules]]
        regex = 'a'
        [[rules]]
        id = "group"
        regex = '(a)'
        secretGroup = 2
        [[rules]]
        id = "needs"
        regex = 'a'
        [[rules.required]]
        id = "nothing"
        [[rules]]
        id = "good"
        regex = 'a'
        color = "red"
        validate = "x"
        filter = "nonsense("
        [[rules.allowlists]]
        condition = "XOR"
        [[rules.allowlists]]
        description = "empty"
        [[allowlists]]
        targetRules = ["absent"]
        paths = ["a"]
        "#,
    );
    let problems: Vec<String> =
        loaded.problems.iter().map(|problem| format!("{:?} {problem}", problem.weight)).collect();
    insta::assert_snapshot!(problems.join("\n"));
    assert_eq!(loaded.rules.rules.iter().map(|rule| rule.id.as_str()).collect::<Vec<_>>(), ["good"]);
}

#[test]
fn what_cannot_be_used_at_all() {
    let fatal = |text: &str| {
        read(text, "test.toml", Reading::Checked, &mut |_| Err("no such file".into()))
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(
        [
            fatal("a = [\n1"),
            fatal("[extend]\nurl = 'https://x'"),
            fatal("\n[extend]\npath = 'x'\nuseDefault = true"),
            fatal("[extend]\npath = 'x'"),
            fatal("[allowlist]\npaths=['a']\n[[allowlists]]\npaths=['b']"),
        ]
        .join("\n")
    );
}

#[test]
fn one_configuration_on_top_of_another() {
    let base = r#"
        [extend]
        path = "deeper"
        [[rules]]
        id = "b"
        description = "base"
        regex = 'base'
        keywords = ["base"]
        tags = ["base"]
        entropy = 2.0
        skipReport = true
        [[rules]]
        id = "gone"
        regex = 'x'
        [[allowlists]]
        paths = ["base"]
        [[allowlists]]
        targetRules = ["b"]
        paths = ["forgotten"]
    "#;
    let top = r#"
        [extend]
        path = "base"
        disabledRules = ["gone", "never"]
        [[rules]]
        id = "z"
        regex = 'z'
        [[rules]]
        id = "b"
        regex = 'top'
        keywords = ["top"]
        tags = ["top"]
        [[allowlists]]
        targetRules = ["b", "deep"]
        paths = ["top"]
    "#;
    let mut deepest = 0;
    let loaded = read(top, "top", Reading::Checked, &mut |wanted| match wanted {
        Wanted::Path("base") => Ok(base.to_owned()),
        Wanted::Path("deeper") => {
            deepest += 1;
            Ok("[[rules]]\nid='deep'\nregex='d'\n[extend]\npath='deeper'".to_owned())
        }
        other => Err(format!("{other:?}")),
    })
    .unwrap();
    assert_eq!(deepest, 1);
    let ids: Vec<&str> = loaded.rules.rules.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids, ["b", "deep", "z"]);
    let rule = loaded.rules.rule(0).unwrap();
    assert_eq!(
        (rule.description.as_str(), rule.regex.as_ref().unwrap().source(), rule.entropy),
        ("base", "top", 2.0)
    );
    assert_eq!(
        (&rule.keywords, &rule.tags),
        (&vec!["base".into(), "top".into()], &vec!["base".into(), "top".into()])
    );
    assert!(rule.skip_report);
    assert_eq!(rule.allowlists.len(), 1);
    assert_eq!(loaded.rules.allowlists.len(), 1);
    let notes: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(notes.join("\n"));
}
