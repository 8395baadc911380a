//! Files that sops 3.13.3 wrote (`tests/sops/`), read and written by ours.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at what it did not expect"
)]

use std::collections::BTreeSet;
use strongroom_formats::sops::{
    Changed, Cipher, Draft, Encrypted, Format, Location, MasterKey, Metadata, Node, OpenError, Opened,
    Recipient, SealPolicy, SealState, Selector, SelectorKind, Value, Verification, parse_path,
};
use strongroom_secret::{Entropy, Timestamp};

/// Bytes that differ from call to call, for tests.
struct Counting(std::sync::atomic::AtomicU8);

impl Entropy for Counting {
    fn fill(&self, out: &mut [u8]) {
        out.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    }
}

fn entropy() -> Counting {
    Counting(1.into())
}

const FILES: [(&str, Format); 5] = [
    ("json", Format::Json),
    ("yaml", Format::Yaml),
    ("env", Format::Env),
    ("ini", Format::Ini),
    ("bin", Format::Binary),
];

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/sops/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn data_key(name: &str) -> Cipher {
    let keys = String::from_utf8(file("data-keys.txt")).unwrap();
    let line = keys.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).unwrap();
    let bytes: Vec<u8> = (0..32).map(|i| u8::from_str_radix(&line[2 * i..2 * i + 2], 16).unwrap()).collect();
    Cipher::new(&bytes).unwrap()
}

fn opened(name: &str, format: Format) -> Opened {
    let encrypted = Encrypted::read(format, &file(&format!("sops.{name}"))).unwrap();
    encrypted.open_for_edit(data_key(name), Verification::Required).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The lines that only one of two texts has, by what stands before `=`, `:` or a comment sign.
fn changed_lines(one: &str, other: &str) -> BTreeSet<String> {
    let (ones, others): (BTreeSet<_>, BTreeSet<_>) = (one.lines().collect(), other.lines().collect());
    let name = |line: &&str| line.trim().split([':', '=']).next().unwrap_or_default().trim().replace('"', "");
    ones.symmetric_difference(&others).map(name).collect()
}

#[test]
fn what_sops_wrote_is_what_it_was_given() {
    for (name, format) in FILES {
        let plain = opened(name, format).write_plain().unwrap();
        let mut expected = file(&format!("plain.{name}"));
        if name == "yaml" {
            // The one thing that sops does not keep is how a date was written.
            expected = text(&expected).replace("2024-01-01\n", "2024-01-01T00:00:00Z\n").into_bytes();
        }
        assert_eq!(String::from_utf8_lossy(plain.expose()), String::from_utf8_lossy(&expected), "{name}");
    }
}

#[test]
fn encrypting_again_changes_the_mac_and_its_time_alone() {
    for (name, format) in FILES {
        let again = opened(name, format).encrypt(SealPolicy::Keep, &entropy(), Timestamp::EPOCH).unwrap();
        let changed = changed_lines(&text(&file(&format!("sops.{name}"))), &text(again.expose()));
        let metadata = |line: &String| line.ends_with("lastmodified") || line.ends_with("mac");
        assert!(changed.len() == 2 && changed.iter().all(metadata), "{name}: {changed:?}");
        let encrypted = Encrypted::read(format, again.expose()).unwrap();
        assert!(encrypted.open(data_key(name), Verification::Required).is_ok(), "{name}");
    }
}

#[test]
fn a_change_by_path_changes_its_line() {
    let cases = [
        ("json", Format::Json, r#"["database"]["port"]"#, "port"),
        ("yaml", Format::Yaml, r#"["database"]["port"]"#, "port"),
        ("yaml", Format::Yaml, r#"["text"]"#, "text"),
        ("env", Format::Env, r#"["PASSWORD"]"#, "PASSWORD"),
        ("ini", Format::Ini, r#"["database"]["port"]"#, "port"),
    ];
    for (name, format, path, line) in cases {
        let mut file_in_clear = opened(name, format);
        let steps = parse_path(path).unwrap();
        assert_eq!(file_in_clear.set(&Location::first(&steps), Node::text("changed")), Ok(Changed::Yes));
        let again = file_in_clear.encrypt(SealPolicy::Keep, &entropy(), Timestamp::EPOCH).unwrap();
        let changed = changed_lines(&text(&file(&format!("sops.{name}"))), &text(again.expose()));
        assert!(changed.len() == 3 && changed.contains(line), "{name} {path}: {changed:?}");
        let mut back = Encrypted::read(format, again.expose())
            .unwrap()
            .open_for_edit(data_key(name), Verification::Required)
            .unwrap();
        assert_eq!(back.tree().at(&steps).and_then(Node::as_text), Some("changed"), "{name}");
        back.unset(&Location::first(&steps)).unwrap();
        let without = back.encrypt(SealPolicy::Keep, &entropy(), Timestamp::EPOCH).unwrap();
        let changed = changed_lines(&text(again.expose()), &text(without.expose()));
        assert!(
            changed.len() == 2 || (changed.len() == 3 && changed.contains(line)),
            "{name} {path}: {changed:?}"
        );
    }
}

#[test]
fn tampering_is_noticed() {
    let json = text(&file("sops.json"));
    let open = |json: &str| {
        let encrypted = Encrypted::read(Format::Json, json.as_bytes()).unwrap();
        encrypted.open(data_key("json"), Verification::Required).map(drop)
    };
    assert!(open(&json).is_ok());
    // A value in clear is under the MAC.
    assert!(matches!(open(&json.replace("read me", "read it")), Err(OpenError::MacMismatch { .. })));
    // A value that was moved does not decrypt.
    let moved = open(&json.replacen("\"on\"", "\"an\"", 1)).unwrap_err().to_string();
    assert_eq!(
        moved,
        "[\"an\"]: the value cannot be decrypted: it was changed, moved from another place, or encrypted with another data key"
    );
    // The time is the MAC's additional data.
    let other_time = json.replace("\"lastmodified\": \"20", "\"lastmodified\": \"19");
    assert!(matches!(open(&other_time), Err(OpenError::MacUnreadable(_))));
    let by_hand = open(&json.replace("\"nothing\": null", "\"nothing\": \"x\"")).unwrap_err().to_string();
    assert!(by_hand.contains("should be encrypted and is not"), "{by_hand}");
    // The type is not under SOPS' MAC: here it fits no other, below the seal notices.
    assert!(open(&json.replacen("type:str", "type:int", 1)).is_err());
}

#[test]
fn the_seal_covers_what_the_mac_leaves_out() {
    let sealed =
        opened("json", Format::Json).encrypt(SealPolicy::Write, &entropy(), Timestamp::EPOCH).unwrap();
    let sealed = text(sealed.expose());
    let open = |json: &str| {
        let encrypted = Encrypted::read(Format::Json, json.as_bytes()).unwrap();
        encrypted.open(data_key("json"), Verification::Required).map(|opened| opened.seal())
    };
    assert_eq!(open(&sealed).unwrap(), SealState::Intact);
    assert_eq!(open(&text(&file("sops.json"))).unwrap(), SealState::Absent);
    let recipient = sealed.replace("age1ffqx", "age1xxxx");
    assert!(matches!(open(&recipient), Err(OpenError::Seal)));
    // 5432 as a text has the same bytes, and so the same MAC.
    let port = sealed.find("\"port\"").unwrap();
    let retyped = format!("{}{}", &sealed[..port], sealed[port..].replacen("type:int", "type:str", 1));
    assert!(matches!(open(&retyped), Err(OpenError::Seal)));
    // A file that has a seal keeps having one.
    let encrypted = Encrypted::read(Format::Json, sealed.as_bytes()).unwrap();
    let mut again = encrypted.open_for_edit(data_key("json"), Verification::Required).unwrap();
    again.set(&Location::first(&parse_path(r#"["x"]"#).unwrap()), Node::Leaf(Value::Integer(1))).unwrap();
    let again = again.encrypt(SealPolicy::Keep, &entropy(), Timestamp::EPOCH).unwrap();
    assert_eq!(open(&text(again.expose())).unwrap(), SealState::Intact);
}

#[test]
fn a_binary_file_has_a_seal_that_fits() {
    let draft = Draft::read(Format::Binary, &file("plain.bin")).unwrap();
    let metadata = Metadata::new(vec![vec![key()]], 0, Selector::everything(), Default::default());
    let opened = draft.with_key(metadata, data_key("bin"));
    let encrypted = opened.encrypt(SealPolicy::Write, &entropy(), Timestamp::EPOCH).unwrap();
    let opened = Encrypted::read(Format::Binary, encrypted.expose())
        .unwrap()
        .open(data_key("bin"), Verification::Required);
    assert_eq!(opened.unwrap().seal(), SealState::Intact);
}

#[test]
fn a_comment_in_ini_decides_about_the_key_after_the_next_as_in_sops() {
    let plain = "; ENC\n[a]\nfirst = 1\n; ENC\nsecond = 2\nthird = 3\nfourth = 4\n";
    let encrypted = |format, plain: &str| {
        let rule = Selector::new(SelectorKind::EncryptedCommentRegex, "ENC").unwrap();
        let metadata = Metadata::new(vec![vec![key()]], 0, rule, Default::default());
        let draft = Draft::read(format, plain.as_bytes()).unwrap();
        let bytes = draft.with_key(metadata, data_key("ini")).encrypt(
            SealPolicy::Write,
            &entropy(),
            Timestamp::EPOCH,
        );
        let bytes = bytes.unwrap();
        let read = Encrypted::read(format, bytes.expose()).unwrap();
        let read = read.open(data_key("ini"), Verification::Required).unwrap().write_plain().unwrap();
        assert_eq!(text(read.expose()), plain);
        let is_encrypted = |line: &&str| line.contains("ENC[") && !line.contains("mac");
        let name = |line: &str| line.split([' ', ':']).next().unwrap_or_default().to_owned();
        text(bytes.expose()).lines().filter(is_encrypted).map(name).collect::<Vec<_>>()
    };
    assert_eq!(encrypted(Format::Ini, plain), ["first", "third"]);
    assert_eq!(encrypted(Format::Yaml, "first: a\n# ENC\nsecond: b\nthird: c\n"), ["second"]);
}

#[test]
fn clear_errors_for_files_that_are_none() {
    let error = |format, bytes: &[u8]| Encrypted::read(format, bytes).unwrap_err().to_string();
    assert_eq!(error(Format::Json, b"{}"), "there is no SOPS metadata: the file is not encrypted");
    assert!(error(Format::Json, b"[]").contains("top level must be a map"));
    assert!(
        error(Format::Json, b"{\n<<<<<<< ours\n\"a\": 1\n=======\n>>>>>>> theirs\n}")
            .contains("line 2: a merge conflict")
    );
    assert!(
        error(Format::Env, b"a=1\n<<<<<<< ours\n=======\n>>>>>>> theirs\n")
            .contains("line 2: a merge conflict")
    );
    assert!(error(Format::Json, b"\xFF\xFE{\0}\0").contains("UTF-16"));
    assert!(error(Format::Json, b"{\"a\": \"\xFF\"}").contains("not UTF-8"));
    assert!(error(Format::Env, b"a=1\nnothing here\n").contains("line 2: it is neither"));
    let sealed = file("sops.json");
    assert!(Draft::read(Format::Json, &sealed).unwrap_err().to_string().contains("encrypted already"));
    let two =
        text(&sealed).replace("\"unencrypted_suffix\"", "\"encrypted_regex\": \"x\", \"unencrypted_suffix\"");
    assert!(error(Format::Json, two.as_bytes()).contains("a file has one rule"));
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_no_hindrance() {
    for (name, format) in [("json", Format::Json), ("env", Format::Env), ("yaml", Format::Yaml)] {
        let windows = format!("\u{feff}{}", text(&file(&format!("sops.{name}"))).replace('\n', "\r\n"));
        let encrypted =
            Encrypted::read(format, windows.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let opened = encrypted.open_for_edit(data_key(name), Verification::Required);
        assert!(opened.is_ok(), "{name}: {:?}", opened.err());
    }
}

#[test]
fn a_new_file_keeps_its_layout() {
    let source = "{\n  \"a\": 1,\n\n  \"b_unencrypted\": [true, 2.5]\n}\n";
    let draft = Draft::read(Format::Json, source.as_bytes()).unwrap();
    let metadata = Metadata::new(vec![vec![]], 0, Default::default(), Default::default());
    let cipher = Cipher::new(&[7; 32]).unwrap();
    let encrypted =
        draft.with_key(metadata, cipher).encrypt(SealPolicy::Write, &entropy(), Timestamp::EPOCH).unwrap();
    let encrypted = text(encrypted.expose());
    assert!(
        encrypted.contains("{\n  \"a\": \"ENC[")
            && encrypted.contains("\n\n  \"b_unencrypted\": [true, 2.5],\n"),
        "{encrypted}"
    );
}

#[test]
fn toml_keeps_its_types_and_its_layout() {
    let plain = "title = \"x\" # about it\n\n[db]\npassword = \"not-a-real-secret\"\nday = 1979-05-27\nat = 07:32:00\n\n[[list]]\nn = 1.5\n";
    let draft = Draft::read(Format::Toml, plain.as_bytes()).unwrap();
    let metadata = Metadata::new(vec![vec![key()]], 0, Default::default(), Default::default());
    let opened = draft.with_key(metadata, data_key("json"));
    let encrypted = opened.encrypt(SealPolicy::Write, &entropy(), Timestamp::EPOCH).unwrap();
    assert!(!text(encrypted.expose()).contains("not-a-real"));
    let opened = Encrypted::read(Format::Toml, encrypted.expose())
        .unwrap()
        .open(data_key("json"), Verification::Required);
    assert_eq!(text(opened.unwrap().write_plain().unwrap().expose()), plain);
}

fn key() -> MasterKey {
    MasterKey {
        recipient: Recipient::Age("age1notarealrecipient".into()),
        created_at: String::new(),
        wrapped: "x".into(),
    }
}

/// Bytes from outside that are nearly a file, from a seed: whatever they are, there is an answer and no panic.
#[test]
fn hostile_files_are_answered() {
    let mut state = 0x5EED_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below.max(1)
    };
    for (name, format) in FILES {
        let good = file(&format!("sops.{name}"));
        for _ in 0..400 {
            let mut bytes = good.clone();
            for _ in 0..=random(4) {
                let (at, other) = (random(bytes.len()), random(good.len()));
                match random(5) {
                    0 => bytes[at] = b"\0\"[]{}:,#\n-_= "[random(14)],
                    1 => drop(bytes.drain(at..(at + random(60)).min(bytes.len()))),
                    2 => bytes.truncate(at),
                    3 => drop(bytes.splice(at..at, good[other..(other + 40).min(good.len())].to_vec())),
                    _ => bytes[at] ^= 1 << random(8),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            let Ok(encrypted) = Encrypted::read(format, &bytes) else { continue };
            let opened = encrypted.open_for_edit(data_key(name), Verification::Required);
            if let Ok(opened) = opened {
                let _ = opened.encrypt(SealPolicy::Write, &entropy(), Timestamp::EPOCH);
            }
        }
    }
}
