//! SOPS files with the keys of a person: age identities from files and variables, `.sops.yaml`, clear errors.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use strongroom_formats::sops::{Draft, Encrypted, Format, Recipient, SealPolicy, Verification};
use strongroom_project::sops::{
    Conversation, DecryptionOrder, KeyChange, Keys, NewFile, SopsError, encrypt, open, open_for_edit, rotate,
    update_keys,
};
use strongroom_project::{Surroundings, Variables};
use strongroom_secret::{Clock, Entropy, Timestamp};

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// Bytes that differ from call to call.
struct Counting;

static CALLS: AtomicU8 = AtomicU8::new(1);

impl Entropy for Counting {
    fn fill(&self, out: &mut [u8]) {
        out.fill(CALLS.fetch_add(1, Ordering::Relaxed));
    }
}

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../formats/tests/sops")
}

/// Keys of somebody whose home is empty, but for these variables.
fn keys(variables: &[(&str, &str)]) -> Keys {
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    let surroundings = Surroundings {
        variables: Variables::from_pairs(variables),
        home: Some(PathBuf::from("/nonexistent/home")),
        folder: PathBuf::from("/nonexistent"),
        clock: Arc::new(Fixed),
        entropy: Arc::new(Counting),
    };
    Keys::new(Arc::new(surroundings), Conversation::none(), DecryptionOrder::default())
}

fn with_identity() -> Keys {
    keys(&[("SOPS_AGE_KEY_FILE", vectors().join("identity.txt").to_str().unwrap())])
}

fn new_identity() -> (String, String) {
    let identity = age::x25519::Identity::generate();
    let secret = age::secrecy::ExposeSecret::expose_secret(&identity.to_string()).to_owned();
    (identity.to_public().to_string(), secret)
}

fn new_file(groups: &[&[&str]], threshold: u8) -> NewFile {
    let group = |group: &&[&str]| group.iter().map(|text| Recipient::Age((*text).to_owned())).collect();
    NewFile {
        groups: groups.iter().map(group).collect(),
        threshold,
        selector: Default::default(),
        mac_scope: Default::default(),
        restrictions: Vec::new(),
    }
}

const PLAIN: &[u8] = b"{\n\t\"a\": \"not-a-real-secret\"\n}\n";

fn draft() -> Draft {
    Draft::read(Format::Json, PLAIN).unwrap()
}

#[test]
fn files_of_sops_open_with_the_identity_from_each_place() {
    let file = std::fs::read(vectors().join("sops.json")).unwrap();
    let identity = vectors().join("identity.txt");
    let identity = identity.to_str().unwrap();
    let secret = std::fs::read_to_string(identity).unwrap();
    let secret = secret.lines().find(|line| !line.starts_with('#')).unwrap();
    let two = format!("{} {secret}", new_identity().1);
    let command = format!("cat {identity}");
    for variables in [
        ("SOPS_AGE_KEY_FILE", identity),
        ("SOPS_AGE_KEY", secret),
        ("SOPS_AGE_KEY", &two),
        ("SOPS_AGE_KEY_CMD", &command),
    ] {
        let opened = open(Format::Json, &file, &keys(&[variables]), Verification::Required).unwrap();
        let plain = opened.write_plain().unwrap();
        assert!(String::from_utf8_lossy(plain.expose()).contains("not-a-real-password"), "{}", variables.0);
    }
}

#[test]
fn without_the_identity_the_error_says_who_could_and_where_we_looked() {
    let file = std::fs::read(vectors().join("sops.json")).unwrap();
    let (_, stranger) = new_identity();
    let error =
        open(Format::Json, &file, &keys(&[("SOPS_AGE_KEY", &stranger)]), Verification::Required).unwrap_err();
    let details = error.details().join("\n");
    assert!(
        details.starts_with(
            "age age1ffqx2q04ral2f47leuvcs8fajj5l02h56fsuppyfezvq4j0c9cass9c99e: the one age identity"
        ),
        "{details}"
    );
    assert!(
        details.contains("/nonexistent/home/.config/sops/age/keys.txt")
            && details.contains("$SOPS_AGE_KEY_FILE"),
        "{details}"
    );
    assert!(!details.contains(&stranger));
    assert!(error.hint().unwrap().contains("opens with the key of age1ffqx2q04"), "{error:?}");
    let error = open(
        Format::Json,
        &file,
        &keys(&[("SOPS_AGE_KEY", "AGE-SECRET-KEY-1BROKEN")]),
        Verification::Required,
    );
    let details = error.unwrap_err().details().join("\n");
    assert!(
        details.contains("not usable: $SOPS_AGE_KEY: line 1: not an age identity")
            && !details.contains("BROKEN"),
        "{details}"
    );
}

#[test]
fn groups_need_as_many_answers_as_the_threshold() {
    let people: Vec<_> = (0..3).map(|_| new_identity()).collect();
    let names: Vec<&str> = people.iter().map(|(public, _)| public.as_str()).collect();
    let groups: [&[&str]; 3] = [&names[..1], &names[1..2], &names[2..]];
    let file = encrypt(draft(), new_file(&groups, 2), &keys(&[]), SealPolicy::Write).unwrap();
    let with = |held: &[usize]| {
        let held: Vec<&str> = held.iter().map(|number| people[*number].1.as_str()).collect();
        open(
            Format::Json,
            file.expose(),
            &keys(&[("SOPS_AGE_KEY", &held.join("\n"))]),
            Verification::Required,
        )
    };
    assert_eq!(with(&[0, 2]).unwrap().write_plain().unwrap().expose(), PLAIN);
    assert!(with(&[0, 1, 2]).is_ok());
    let error = with(&[1]).unwrap_err();
    assert_eq!(error.to_string(), "the data key cannot be unwrapped: 1 of 2 needed key groups could be");
    assert!(error.details()[0].starts_with("group 1: age "), "{:?}", error.details());
}

#[test]
fn a_rotation_takes_the_data_key_from_who_was_removed() {
    let ((ann, ann_secret), (bob, bob_secret)) = (new_identity(), new_identity());
    let file = encrypt(draft(), new_file(&[&[&ann, &bob]], 0), &keys(&[]), SealPolicy::Write).unwrap();
    let (ann_keys, bob_keys) =
        (keys(&[("SOPS_AGE_KEY", &ann_secret)]), keys(&[("SOPS_AGE_KEY", &bob_secret)]));
    let before = open_for_edit(Format::Json, file.expose(), &bob_keys, Verification::Required).unwrap();
    let old_key = before.cipher().data_key().duplicate();
    let change = KeyChange { add: vec![], remove: vec![Recipient::Age(ann)] };
    let rotated = rotate(before, &change, &bob_keys, SealPolicy::Write).unwrap();
    assert!(open(Format::Json, rotated.expose(), &ann_keys, Verification::Required).is_err());
    let after = open(Format::Json, rotated.expose(), &bob_keys, Verification::Required).unwrap();
    assert_ne!(&old_key, after.cipher().data_key());
}

#[test]
fn new_keys_by_a_rule_leave_the_values_as_they_are() {
    let ((ann, ann_secret), (bob, bob_secret)) = (new_identity(), new_identity());
    let file = encrypt(draft(), new_file(&[&[&ann]], 0), &keys(&[]), SealPolicy::Keep).unwrap();
    let encrypted = Encrypted::read(Format::Json, file.expose()).unwrap();
    let groups = vec![vec![Recipient::Age(bob)]];
    let updated = update_keys(encrypted, &groups, 0, &keys(&[("SOPS_AGE_KEY", &ann_secret)])).unwrap();
    let opened =
        open(Format::Json, updated.expose(), &keys(&[("SOPS_AGE_KEY", &bob_secret)]), Verification::Required);
    assert_eq!(opened.unwrap().write_plain().unwrap().expose(), PLAIN);
    let line = |text: &[u8]| String::from_utf8_lossy(text).lines().nth(1).unwrap().to_owned();
    assert_eq!(line(file.expose()), line(updated.expose()));
}

#[test]
fn nobody_to_encrypt_for_is_an_error() {
    let empty = encrypt(draft(), new_file(&[&[]], 0), &with_identity(), SealPolicy::Keep).unwrap_err();
    assert_eq!(empty.to_string(), "empty key group provided");
    let wrong =
        encrypt(draft(), new_file(&[&["age1nonsense"]], 0), &with_identity(), SealPolicy::Keep).unwrap_err();
    assert!(matches!(&wrong, SopsError::DataKey(_)) && wrong.to_string().contains("age1nonsense"), "{wrong}");
}
