use super::*;
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};

struct Counting(std::sync::atomic::AtomicU8);

impl Entropy for Counting {
    fn fill(&self, out: &mut [u8]) {
        for byte in out {
            *byte = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

const TOKEN: &str = "fake9Qm2LrXz7Tn4VbPk8Wd3";
const PUNCTUATED: &str = "Zq!8vL#2xR@5tN%9wK/1mP+7bV=notreal";
const KEY: &str = "-----BEGIN FAKE KEY-----\n\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgfakefakefake0001\n\
    Kd8sPqLm2RtVx7Nw4Jc1Hb6Gf3Yz9Ua5Qe0Wi8Ok7Lp2Mv4Bn6Cx1Zs3Dd5Ff7G\n\
    -----END FAKE KEY-----\n";

fn index() -> Index {
    let mut builder = Builder::new(ScanKey::generate(&Counting(7.into())));
    for (name, value) in [("TOKEN", TOKEN), ("PUNCTUATED", PUNCTUATED), ("KEY", KEY)] {
        builder.add(name, Some("3"), "test", &SecretBytes::new(value.as_bytes().to_vec())).unwrap();
    }
    builder.build()
}

fn found(text: &str) -> Vec<(String, &'static str, String)> {
    let matcher = Matcher::new(index());
    let name = |hit: &Hit| matcher.secrets()[hit.secret].name.clone();
    let hits = matcher.search(text.as_bytes());
    hits.iter().map(|hit| (name(hit), hit.form.word(), hit.decoded_from.join(" "))).collect()
}

fn check(text: &str, name: &str, from: &str) {
    let hits = found(text);
    assert!(hits.iter().any(|(n, _, f)| n == name && f == from), "{name} {from:?} in {text:?}: {hits:?}");
}

#[test]
fn a_value_is_found_as_it_is() {
    for name_and_value in [("TOKEN", TOKEN), ("PUNCTUATED", PUNCTUATED), ("KEY", KEY)] {
        let (name, value) = name_and_value;
        check(value, name, "");
        check(&format!("x = \"{value}\"; y"), name, "");
        check(&format!("a\n{value}\nb"), name, "");
    }
    let hits = Matcher::new(index()).search(format!("x={TOKEN};").as_bytes());
    assert_eq!((hits.len(), hits[0].span.clone()), (1, 2..2 + TOKEN.len()));
}

#[test]
fn what_is_near_is_not_it() {
    for text in [
        format!("x{TOKEN}"),
        format!("{TOKEN}x"),
        TOKEN.replace('Q', "q"),
        TOKEN[1..].to_owned(),
        String::new(),
    ] {
        assert_eq!(found(&text), Vec::new(), "{text:?}");
    }
}

#[test]
fn a_value_is_found_in_every_encoding() {
    for (name, value) in [("TOKEN", TOKEN), ("PUNCTUATED", PUNCTUATED)] {
        for before in ["", "a", "ab", "user:", "{\"password\": \""] {
            let inner = format!("{before} {value}\"}}");
            check(&format!("data: {}", BASE64.encode(inner.as_bytes())), name, "base64");
            check(&BASE64URL_NOPAD.encode(inner.as_bytes()), name, "base64");
            check(&format!("0x {}", HEXLOWER.encode(inner.as_bytes())), name, "hex");
            let twice = BASE64.encode(BASE64.encode(inner.as_bytes()).as_bytes());
            check(&twice, name, "base64 base64");
        }
        let percent: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
        check(&format!("https://h/?q={percent}&x=1"), name, "percent");
        let unicode: String = value.bytes().map(|byte| format!("\\u{byte:04x}")).collect();
        check(&format!("{{\"a\":\"b\\n{unicode}\"}}"), name, "escapes");
        let entities: String = value.bytes().map(|byte| format!("&#{byte};")).collect();
        check(&format!("<a>{entities}</a>"), name, "entities");
    }
    check(&format!("A=\"{}\"", KEY.replace('\n', "\\n")), "KEY", "escapes");
}

#[test]
fn base64_in_lines_and_in_the_middle_of_more() {
    let inner = format!("{{\"filler\": \"{}\", \"p\": \"{PUNCTUATED}\"}}", "text ".repeat(40));
    let one = BASE64.encode(inner.as_bytes());
    let lines: Vec<&str> = one.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    check(&format!("x:\n  {}\ny: 1", lines.join("\n  ")), "PUNCTUATED", "base64");
    // Cut at both ends, so that no group is where it was.
    for cut in 1..5 {
        check(&one[cut..one.len() - cut], "PUNCTUATED", "base64");
    }
}

#[test]
fn a_place_in_an_encoded_text_is_that_of_the_encoded_text() {
    let text = format!("\"first\\nsecond\", \"a\\/{TOKEN}\"");
    let hits = Matcher::new(index()).search(text.as_bytes());
    assert_eq!(hits[0].span, text.find(TOKEN).unwrap()..text.find(TOKEN).unwrap() + TOKEN.len());
}

#[test]
fn a_key_is_found_by_one_of_its_lines_and_told_once() {
    let indented = KEY.replace('\n', "\n      ");
    assert_eq!(found(&indented), [("KEY".to_owned(), "line", String::new())]);
    assert_eq!(found(KEY), [("KEY".to_owned(), "whole", String::new())]);
    let line = KEY.lines().nth(2).unwrap();
    assert_eq!(found(&format!("k = '{line}'")), [("KEY".to_owned(), "line", String::new())]);
}

#[test]
fn what_can_be_guessed_is_left_out() {
    let mut builder = Builder::new(ScanKey::generate(&Counting(7.into())));
    for easy in ["hunter2", "correct horse battery staple", "postgres://app@localhost/shop", ""] {
        let left_out = builder.add("EASY", None, "", &SecretBytes::new(easy.into())).unwrap_err();
        assert!(matches!(left_out, LeftOut::Guessable { bits } if bits < 64), "{easy}");
        assert!(!left_out.to_string().contains("hunter2"));
    }
    assert!(builder.build().is_empty());
}

#[test]
fn the_file_brings_the_index_back_and_holds_no_value() {
    let bytes = index().to_bytes();
    let text = std::str::from_utf8(bytes.expose()).unwrap();
    assert!(text.starts_with("{\"strongroom_fingerprints\":1,"), "{text}");
    for value in [TOKEN, PUNCTUATED, "Kd8sPqLm2RtVx7Nw4Jc1Hb6Gf3Yz9Ua5Qe0Wi8Ok7Lp2Mv4Bn6Cx1Zs3Dd5Ff7G"] {
        assert!(!text.contains(value) && !text.contains(&value[..8]));
    }
    let matcher = Matcher::new(Index::from_bytes(bytes.expose()).unwrap());
    let hits = matcher.search(format!("a {TOKEN} b").as_bytes());
    let secret = &matcher.secrets()[hits[0].secret];
    assert_eq!((secret.name.as_str(), secret.version.as_deref(), hits.len()), ("TOKEN", Some("3"), 1));
}

#[test]
fn files_that_are_no_index() {
    let good = String::from_utf8(index().to_bytes().expose().to_vec()).unwrap();
    let say = |text: &str| {
        Index::from_bytes(text.as_bytes()).err().map(|error| error.to_string()).unwrap_or_default()
    };
    insta::assert_snapshot!(say("nonsense"), @"it is not an index of fingerprints: line 1, column 2");
    insta::assert_snapshot!(say("{\"strongroom_fingerprints\":9}"), @"it is of version 9, and this program reads version 1: export it anew, or use a newer program");
    insta::assert_snapshot!(say(&good.replace("[0,\"whole\"", "[9,\"whole\"")), @"entry 1 cannot be: it is of no secret");
    insta::assert_snapshot!(say(&good.replace("[0,\"whole\",24", "[0,\"whole\",99999999")), @"entry 1 cannot be: its length");
    for end in 0..good.len() {
        assert!(Index::from_bytes(&good.as_bytes()[..end]).is_err());
    }
}

#[test]
fn a_detector_finds_known_values_beside_its_rules() {
    let matcher = std::sync::Arc::new(Matcher::new(index()));
    let options = crate::Options { known: vec![matcher], ..crate::Options::native() };
    let detector = crate::Detector::new(crate::RuleSet::default(), options);
    let text = format!("first\n  token: {TOKEN}\n");
    let found =
        detector.scan(&crate::Fragment::whole(text.as_bytes(), "a.yaml"), &mut crate::Scratch::default());
    let [finding] = found.as_slice() else { panic!("{}", found.len()) };
    assert_eq!(detector.rules().rule(finding.rule).unwrap().id, RULE_ID);
    assert_eq!((finding.place.start_line, finding.place.start_column, finding.place.end_column), (2, 10, 33));
    assert!(finding.notes[0].starts_with("TOKEN version 3 (test, "), "{}", finding.notes[0]);
    let first = std::iter::once(0..3).collect::<Vec<_>>();
    let unchanged = crate::Fragment { changed: Some(&first), ..crate::Fragment::whole(text.as_bytes(), "") };
    assert!(detector.scan(&unchanged, &mut crate::Scratch::default()).is_empty());
}
