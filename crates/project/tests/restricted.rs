//! Values for some of a file's recipients: the others, and sops, find a text in their place.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use regex::Regex;
use std::path::PathBuf;
use std::sync::Arc;
use strongroom_formats::sops::{
    Draft, Encrypted, Format, Location, Node, Opened, Recipient, SealPolicy, Value, Verification, parse_path,
};
use strongroom_project::sops::{
    Conversation, KeyChange, Keys, NewFile, Restriction, encrypt, open, open_as_it_is, open_for_edit,
    restrict, rotate,
};
use strongroom_project::{Surroundings, Variables};
use strongroom_secret::SecretBytes;
use strongroom_testkit::{FakeClock, SeededEntropy};

struct Person {
    recipient: Recipient,
    keys: Keys,
}

fn person(seed: u64) -> Person {
    let identity = age::x25519::Identity::generate();
    let secret = age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned();
    let surroundings = Surroundings {
        variables: Variables::from_pairs([("SOPS_AGE_KEY".into(), secret.into())]),
        home: None,
        folder: PathBuf::from("/nonexistent"),
        clock: Arc::new(FakeClock::new()),
        entropy: Arc::new(SeededEntropy::new(seed)),
    };
    let keys = Keys::of(&Arc::new(surroundings), Conversation::none());
    Person { recipient: Recipient::Age(identity.to_public().to_string()), keys }
}

const PLAIN: &str =
    "shared: for-all\nprod:\n  password: not-a-real-password # p\n  port: 5432\nlist:\n  - one\n";

/// A file for both, whose values under `prod` are for the second alone.
fn file(format: Format, plain: &str, both: [&Person; 2], pattern: &str) -> SecretBytes {
    let [dev, ops] = both;
    let new = NewFile {
        groups: vec![vec![dev.recipient.clone(), ops.recipient.clone()]],
        threshold: 0,
        selector: Default::default(),
        mac_scope: Default::default(),
        restrictions: vec![Restriction {
            key_regex: Regex::new(pattern).unwrap(),
            recipients: vec![ops.recipient.clone()],
        }],
    };
    encrypt(Draft::read(format, plain.as_bytes()).unwrap(), new, &dev.keys, SealPolicy::Write).unwrap()
}

fn edit(format: Format, bytes: &SecretBytes, who: &Person) -> Opened {
    open_for_edit(format, bytes.expose(), &who.keys, Verification::Required).unwrap()
}

fn closed(opened: Opened, who: &Person) -> SecretBytes {
    let around = who.keys.surroundings();
    opened.encrypt(SealPolicy::Write, around.entropy.as_ref(), around.clock.now()).unwrap()
}

fn text(opened: &Opened, place: &str) -> String {
    let node = opened.tree().at(&parse_path(place).unwrap()).unwrap();
    match node {
        Node::Leaf(value) => String::from_utf8(value.bytes().to_vec()).unwrap(),
        _ => panic!("no value"),
    }
}

fn set(opened: &mut Opened, place: &str, value: &str) {
    opened.set(&Location::first(&parse_path(place).unwrap()), Node::text(value)).unwrap();
}

const PASSWORD: &str = r#"["prod"]["password"]"#;

#[test]
fn only_its_recipients_open_a_restricted_value() {
    let (dev, ops) = (person(1), person(2));
    let bytes = file(Format::Yaml, PLAIN, [&dev, &ops], "^prod$");
    let of_ops = open(Format::Yaml, bytes.expose(), &ops.keys, Verification::Required).unwrap();
    assert_eq!(
        of_ops.tree().at(&parse_path(r#"["prod"]["port"]"#).unwrap()),
        Some(&Node::Leaf(Value::Integer(5432)))
    );
    assert_eq!(String::from_utf8_lossy(of_ops.write_plain().unwrap().expose()), PLAIN);
    let of_dev = open(Format::Yaml, bytes.expose(), &dev.keys, Verification::Required).unwrap();
    assert_eq!(text(&of_dev, r#"["shared"]"#), "for-all");
    assert!(text(&of_dev, PASSWORD).starts_with("RESTRICTED[v1,keys:"));
    let listed: Vec<_> = of_dev.restricted().iter().map(|value| (value.place(), value.is_open())).collect();
    assert_eq!(listed, [(PASSWORD.to_owned(), false), (r#"["prod"]["port"]"#.to_owned(), false)]);
    assert_eq!(of_dev.restricted()[0].recipients(), ops.recipient.to_string());
}

#[test]
fn every_format_carries_them() {
    let (dev, ops) = (person(3), person(4));
    for (format, plain, place) in [
        (Format::Json, "{\n\t\"prod\": \"not-a-real-secret\"\n}\n", r#"["prod"]"#),
        (Format::Env, "prod=not-a-real-secret\n", r#"["prod"]"#),
        (Format::Ini, "[prod]\nkey = not-a-real-secret\n", r#"["prod"]["key"]"#),
        (Format::Toml, "prod = \"not-a-real-secret\"\n", r#"["prod"]"#),
    ] {
        let bytes = file(format, plain, [&dev, &ops], "^prod$");
        assert!(text(&edit(format, &bytes, &dev), place).starts_with("RESTRICTED["), "{format:?}");
        assert_eq!(text(&edit(format, &bytes, &ops), place), "not-a-real-secret", "{format:?}");
    }
}

#[test]
fn who_cannot_open_a_value_hands_it_on_and_cannot_replace_it() {
    let (dev, ops) = (person(5), person(6));
    let bytes = file(Format::Yaml, PLAIN, [&dev, &ops], "^prod$");
    let mut opened = edit(Format::Yaml, &bytes, &dev);
    let before = text(&opened, PASSWORD);
    set(&mut opened, r#"["shared"]"#, "changed");
    let bytes = closed(opened, &dev);
    assert_eq!(text(&edit(Format::Yaml, &bytes, &dev), PASSWORD), before);
    assert_eq!(text(&edit(Format::Yaml, &bytes, &ops), PASSWORD), "not-a-real-password");
    let mut opened = edit(Format::Yaml, &bytes, &dev);
    set(&mut opened, PASSWORD, "not-a-real-other");
    let around = dev.keys.surroundings();
    let error = opened.encrypt(SealPolicy::Write, around.entropy.as_ref(), around.clock.now()).unwrap_err();
    assert!(error.to_string().starts_with(r#"["prod"]["password"] is restricted to age1"#), "{error}");
}

#[test]
fn a_change_stays_restricted_and_the_rest_keeps_its_text() {
    let (dev, ops) = (person(7), person(8));
    let bytes = file(Format::Yaml, PLAIN, [&dev, &ops], "^(prod|list)$");
    let port = |bytes: &SecretBytes| text(&edit(Format::Yaml, bytes, &dev), r#"["prod"]["port"]"#);
    let mut opened = edit(Format::Yaml, &bytes, &ops);
    set(&mut opened, PASSWORD, "not-a-real-other");
    // A new item of a list whose items are restricted is restricted too.
    set(&mut opened, r#"["list"][1]"#, "two");
    let changed = closed(opened, &ops);
    assert_eq!(port(&bytes), port(&changed));
    let of_dev = edit(Format::Yaml, &changed, &dev);
    assert!(text(&of_dev, PASSWORD).starts_with("RESTRICTED["));
    assert!(text(&of_dev, r#"["list"][1]"#).starts_with("RESTRICTED["));
    let of_ops = edit(Format::Yaml, &changed, &ops);
    assert_eq!(
        (text(&of_ops, PASSWORD), text(&of_ops, r#"["list"][1]"#)),
        ("not-a-real-other".into(), "two".into())
    );
}

#[test]
fn a_text_that_is_moved_to_another_place_does_not_open() {
    let (dev, ops) = (person(9), person(10));
    let bytes = file(Format::Yaml, PLAIN, [&dev, &ops], "^password$");
    let mut opened = open_as_it_is(Format::Yaml, bytes.expose(), &dev.keys, Verification::Required).unwrap();
    let stolen = text(&opened, PASSWORD);
    set(&mut opened, r#"["shared"]"#, &stolen);
    let bytes = closed(opened, &dev);
    assert_eq!(text(&edit(Format::Yaml, &bytes, &ops), r#"["shared"]"#), stolen);
}

#[test]
fn whoever_is_removed_loses_restricted_values_too() {
    let (dev, ops) = (person(11), person(12));
    let bytes = file(Format::Yaml, PLAIN, [&dev, &ops], "^shared$");
    let mut opened = edit(Format::Yaml, &bytes, &ops);
    let both = [dev.recipient.clone(), ops.recipient.clone()];
    assert_eq!(restrict(&mut opened, &|steps| steps.len() == 2, &both, &ops.keys).unwrap(), 3);
    let bytes = closed(opened, &ops);
    assert_eq!(text(&edit(Format::Yaml, &bytes, &dev), PASSWORD), "not-a-real-password");
    let change = KeyChange { add: vec![], remove: vec![dev.recipient.clone()] };
    let rotated = rotate(edit(Format::Yaml, &bytes, &ops), &change, &ops.keys, SealPolicy::Write).unwrap();
    let opened = edit(Format::Yaml, &rotated, &ops);
    assert!(opened.restricted().iter().all(|value| value.recipients() == ops.recipient.to_string()));
    assert_eq!(text(&opened, PASSWORD), "not-a-real-password");
    // Somebody who is not among them cannot do it.
    let change = KeyChange { add: vec![], remove: vec![ops.recipient.clone()] };
    let refused =
        rotate(edit(Format::Yaml, &bytes, &dev), &change, &dev.keys, SealPolicy::Write).unwrap_err();
    assert!(refused.to_string().contains("only one of them can take somebody out"), "{refused}");
}

#[test]
fn strangers_cannot_be_recipients_of_a_value() {
    let (dev, ops, stranger) = (person(13), person(14), person(15));
    let bytes = file(Format::Yaml, PLAIN, [&dev, &ops], "^none$");
    let mut opened = edit(Format::Yaml, &bytes, &dev);
    assert!(opened.restricted().is_empty());
    let refused =
        restrict(&mut opened, &|_| true, std::slice::from_ref(&stranger.recipient), &dev.keys).unwrap_err();
    assert!(refused.to_string().contains("cannot open the file itself"), "{refused}");
    assert!(Encrypted::read(Format::Yaml, bytes.expose()).is_ok());
}
