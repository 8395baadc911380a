use super::*;
use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};
use std::sync::Arc;
use strongroom_secret::SecretBytes;

fn values(list: &[&str]) -> Values {
    let mut values = Values::telling();
    for (number, value) in list.iter().enumerate() {
        values.add(&format!("V{number}"), &SecretBytes::new(value.as_bytes().to_vec())).unwrap();
    }
    values
}

fn redactor(list: &[&str]) -> Arc<Redactor> {
    Arc::new(Redactor::new(values(list), Style::Mask))
}

fn redacted<'c>(redactor: &Arc<Redactor>, chunks: impl IntoIterator<Item = &'c [u8]>) -> Vec<u8> {
    let mut stream = Stream::new(Arc::clone(redactor));
    let mut shown = Vec::new();
    chunks.into_iter().for_each(|chunk| stream.push(chunk, &mut shown));
    stream.finish(&mut shown);
    shown
}

/// However the text is cut in two, and in pieces of every size.
fn check(redactor: &Arc<Redactor>, text: &[u8], expected: &[u8]) {
    let say = |shown: &[u8]| String::from_utf8_lossy(shown).into_owned();
    for at in 0..=text.len() {
        let (one, other) = text.split_at(at);
        let shown = redacted(redactor, [one, other]);
        assert_eq!(say(&shown), say(expected), "cut at {at} of {}", say(text));
    }
    for size in 1..text.len().min(40) {
        let shown = redacted(redactor, text.chunks(size));
        assert_eq!(say(&shown), say(expected), "in pieces of {size}");
    }
}

#[test]
fn values_are_taken_out_however_the_text_is_cut() {
    check(&redactor(&["hunter2"]), b"a hunter2 b hunter", b"a *** b hunter");
    check(&redactor(&["hunter2", "hunter2000"]), b"hunter2000 hunter2 hunter20", b"*** *** ***0");
    check(&redactor(&["p@ss w/rd"]), b"u:p%40ss%20w%2Frd@h p%40ss+w%2frd", b"u:***@h ***");
    check(&redactor(&["hunter2"]), b"Basic aHVudGVyMg==!", b"Basic ***!");
    check(&redactor(&["a\"b\nline two x"]), br#"{"k":"a\"b\nline two x"} line two x"#, br#"{"k":"***"} ***"#);
    check(&redactor(&["abcdefgh", "efghijkl"]), b"-abcdefghijkl-", b"-***-");
    check(&redactor(&["abcdabcd"]), b"abcdabcdabcd.", b"***.");
    check(&redactor(&["hunter2", "hunter3"]), b"hunter2hunter3hunter3", b"******");
    check(&redactor(&[]), b"text", b"text");
    check(&redactor(&["hunter2"]), b"", b"");
    check(&redactor(&["hunter2"]), b"\xff\0\xfehunter2\x80\xc3", b"\xff\0\xfe***\x80\xc3");
}

/// What programs make of a value.
fn encoded(value: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = value.as_bytes();
    let base64 = |before: &str, after: &str| {
        let text = [before.as_bytes(), bytes, after.as_bytes()].concat();
        [BASE64.encode(&text), BASE64URL.encode(&text)].map(String::into_bytes)
    };
    let percent = |keep: &[u8]| -> Vec<u8> {
        let letter = |byte: &u8| match byte {
            _ if byte.is_ascii_alphanumeric() || keep.contains(byte) => char::from(*byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        bytes.iter().map(letter).collect::<String>().into_bytes()
    };
    let json = serde_json::to_string(value).unwrap();
    let numbered: String = value.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    let xml = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut all = vec![
        ("raw", bytes.to_vec()),
        ("hex", HEXLOWER.encode(bytes).into_bytes()),
        ("HEX", HEXUPPER.encode(bytes).into_bytes()),
        ("percent", percent(b"-._~")),
        ("component", percent(b"-_.!~*'()")),
        ("form", String::from_utf8(percent(b"-._*")).unwrap().replace("%20", "+").into_bytes()),
        ("json", json.as_bytes()[1..json.len() - 1].to_vec()),
        ("unicode", numbered.into_bytes()),
        ("shell", value.replace('\'', "'\\''").into_bytes()),
        ("attribute", xml.replace('"', "&quot;").replace('\'', "&apos;").into_bytes()),
        ("text", xml.into_bytes()),
    ];
    for (before, after) in [("", ""), ("x", ""), ("xy", "z"), ("user:", "!\n"), ("", "\u{7f}\u{7f}")] {
        all.extend(base64(before, after).map(|form| ("base64", form)));
    }
    all
}

#[test]
fn every_encoding_at_every_cut() {
    let key = "-----BEGIN KEY-----\nMIIBOgIBAAJBAKj34GkxFhD90vcNLYLInFEX\n6Ppy1tPf9Cnzj4p4WGeKLs1Pt8QuKUpR\nKfFLfRYC\n-----END KEY-----";
    for value in ["not-a-real-secret", "n0t a \"real\" <se'cret>&/+?=$\\x", "ключ-от-двери", key] {
        let redactor = redactor(&[value]);
        for (encoding, form) in encoded(value) {
            let text = [b"before [", form.as_slice(), b"] after"].concat();
            let whole = redacted(&redactor, [text.as_slice()]);
            let shown = String::from_utf8_lossy(&whole).into_owned();
            assert!(shown.starts_with("before [") && shown.ends_with("] after"), "{encoding}: {shown}");
            // What is left beside the mask is what stands around the value in base64: no longer than its neighbours.
            let inside = &shown[8..shown.len() - 7];
            assert!(inside.contains("***") && inside.len() < 3 + 14, "{encoding}: {inside}");
            check(&redactor, &text, &whole);
        }
    }
}

#[test]
fn lines_of_a_value_are_taken_out_by_themselves() {
    let key =
        "-----BEGIN KEY-----\nMIIBOgIBAAJBAKj34GkxFhD90vcNLYLInFEX\nKfFLfRYC\nshort==\n-----END KEY-----\n";
    let text = "  MIIBOgIBAAJBAKj34GkxFhD90vcNLYLInFEX\r\n  KfFLfRYC\r\n";
    check(&redactor(&[key]), text.as_bytes(), b"  ***\r\n  ***\r\n");
    check(&redactor(&[key]), key.as_bytes(), b"***\n");
    check(&redactor(&[key]), key.replace('\n', "\r\n").as_bytes(), b"***\r\n");
}

#[test]
fn nothing_is_held_but_beginnings() {
    let mut stream = Stream::new(redactor(&["hunter2"]));
    let mut push = |text: &str| {
        let mut shown = Vec::new();
        stream.push(text.as_bytes(), &mut shown);
        (String::from_utf8(shown).unwrap(), stream.held_from())
    };
    assert_eq!(push("Password: "), ("Password: ".to_owned(), None));
    assert_eq!(push("hunt"), (String::new(), Some(10)));
    assert_eq!(push("ing"), ("hunting".to_owned(), None));
    assert_eq!(push("\nh"), ("\n".to_owned(), Some(18)));
}

#[test]
fn what_is_awaited_is_shown_or_replaced() {
    let mut stream = Stream::new(redactor(&["not-a-real-secret"]));
    let mut shown = Vec::new();
    // A short beginning is shown, and what follows it is not.
    stream.push(b"<not-a-", &mut shown);
    stream.flush(&mut shown);
    assert_eq!((shown.as_slice(), stream.held_from()), (b"<not-a-".as_slice(), None));
    stream.push(b"real-se", &mut shown);
    stream.push(b"cret>", &mut shown);
    assert_eq!(shown, b"<not-a-***>");
    // A longer one is replaced, and so is what follows.
    shown.clear();
    stream.push(b"<not-a-real", &mut shown);
    stream.flush(&mut shown);
    assert_eq!(shown, b"<***");
    stream.push(b"-sec", &mut shown);
    stream.flush(&mut shown);
    stream.push(b"ret>", &mut shown);
    assert_eq!(shown, b"<***>");
    // What turns out to be something else goes on.
    shown.clear();
    stream.push(b"<not-a-real", &mut shown);
    stream.flush(&mut shown);
    stream.push(b"-problem>", &mut shown);
    stream.finish(&mut shown);
    assert_eq!(shown, b"<***-problem>");
    assert_eq!(stream.replaced(), [Replaced { name: "V0".to_owned(), is_known: true, count: 3 }]);
}

#[test]
fn a_stream_without_end_is_not_kept() {
    let mut stream = Stream::new(redactor(&["aaaaaaab", "hunter2"]));
    let mut shown = Vec::new();
    for _ in 0..2000 {
        stream.push(&[b'a'; 1000], &mut shown);
        assert!(stream.text.len() < encodings::PIECE_BYTES_MAX);
    }
    stream.finish(&mut shown);
    assert_eq!(shown.len(), 2_000_000);
    // A value that covers itself for ever is one replacement.
    let mut stream = Stream::new(redactor(&["abcabcabc"]));
    shown.clear();
    for _ in 0..1000 {
        stream.push(b"abc", &mut shown);
        assert!(stream.text.len() < encodings::PIECE_BYTES_MAX);
    }
    stream.push(b".", &mut shown);
    assert_eq!(shown, b"***.");
}

#[test]
fn replacements_name_or_tell_apart() {
    let one = |style: Style, text: &str| {
        let redactor = Arc::new(Redactor::new(values(&["hunter2", "swordfish"]), style));
        String::from_utf8(redacted(&redactor, [text.as_bytes()])).unwrap()
    };
    assert_eq!(one(Style::Name, "hunter2 swordfish"), "[V0] [V1]");
    let key = || HashKey::new(SecretBytes::new(vec![7; 16])).unwrap();
    let hashed = one(Style::Hash(key()), "hunter2 swordfish 68756e74657232");
    let parts: Vec<&str> = hashed.split(' ').collect();
    assert!(parts[0].starts_with("[redacted:") && parts[0].len() == 19, "{hashed}");
    assert!(parts[0] == parts[2] && parts[0] != parts[1], "{hashed}");
    let other = HashKey::new(SecretBytes::new(vec![8; 16])).unwrap();
    assert_ne!(one(Style::Hash(other), "hunter2"), parts[0]);
    assert!(HashKey::new(SecretBytes::new(vec![8; 15])).is_err());
}

#[test]
fn more_values_can_be_learnt_on_the_way() {
    let mut stream = Stream::new(redactor(&["hunter2"]));
    let mut shown = Vec::new();
    stream.push(b"a hunt", &mut shown);
    stream.set_redactor(redactor(&["hunter2", "swordfish"]));
    stream.push(b"er2 swordfish", &mut shown);
    stream.finish(&mut shown);
    assert_eq!(shown, b"a *** ***");
}

#[test]
fn nothing_of_a_value_prints() {
    let redactor = redactor(&["hunter2"]);
    let mut stream = Stream::new(Arc::clone(&redactor));
    stream.push(b"hunter", &mut Vec::new());
    let said = format!(
        "{redactor:?} {stream:?} {:?}",
        Style::Hash(HashKey::new(SecretBytes::new(b"hunter2hunter2hunter2".to_vec())).unwrap())
    );
    assert!(!said.contains("hunter"), "{said}");
}

fn with_patterns(list: &[&str], style: Style) -> Arc<Redactor> {
    let patterns = Patterns::new(crate::builtin::rules(), crate::Confidence::Medium);
    Arc::new(Redactor::new(values(list), style).with_patterns(patterns))
}

#[test]
fn names_rules_and_values_together_however_the_text_is_cut() {
    let redactor = with_patterns(&["not-a-real-secret"], Style::Name);
    let token = format!("glpat-{}", "n0tArealTokenAtAll12");
    let text = format!(
        "start\nuser=ann password=hunter2 host=db\nkey not-a-real-secret\nGET /?token=abcdef123456&x=1\n\
         {{\"secret\": \"not-a-real-secret\", \"n\": 1}}\ntail {token}"
    );
    let expected = "start\nuser=ann password=[password] host=db\nkey [V0]\nGET /?token=[token]&x=1\n\
         {\"secret\": \"[V0]\", \"n\": 1}\ntail ";
    let whole = redacted(&redactor, [text.as_bytes()]);
    let shown = String::from_utf8(whole.clone()).unwrap();
    assert!(shown.starts_with(expected), "{shown}");
    assert!(!shown.contains("glpat-"), "{shown}");
    check(&redactor, text.as_bytes(), &whole);
    // What was redacted stays as it is.
    check(&redactor, &whole, &whole);
}

#[test]
fn private_keys_of_several_lines() {
    let redactor = with_patterns(&[], Style::Mask);
    let text = "a\n-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIBOgIBAAJBAKj34GkxFhD90vcNLYLInFEX\nKfFL\n\
        -----END RSA PRIVATE KEY-----\nb\n-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n";
    let expected = "a\n-----BEGIN RSA PRIVATE KEY-----\n***\n\n***\n***\n-----END RSA PRIVATE KEY-----\nb\n\
        -----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n";
    check(&redactor, text.as_bytes(), expected.as_bytes());
    // One that does not end ends with the first line that is none of a key.
    check(
        &redactor,
        b"-----BEGIN PRIVATE KEY-----\nMIIB\nnot a key\n",
        b"-----BEGIN PRIVATE KEY-----\n***\nnot a key\n",
    );
}

#[test]
fn a_line_that_is_awaited_is_shown_and_still_looked_at() {
    let mut stream = Stream::new(with_patterns(&[], Style::Mask));
    let mut shown = Vec::new();
    stream.push(b"one\nPassword: ", &mut shown);
    assert_eq!((shown.as_slice(), stream.held_from()), (b"one\n".as_slice(), Some(4)));
    stream.flush(&mut shown);
    assert_eq!((shown.as_slice(), stream.held_from()), (b"one\nPassword: ".as_slice(), None));
    stream.push(b"hunter2\n", &mut shown);
    assert_eq!(shown, b"one\nPassword: ***\n");
    shown.clear();
    stream.push(b"password=hun", &mut shown);
    stream.flush(&mut shown);
    stream.push(b"ter2 next", &mut shown);
    stream.flush(&mut shown);
    stream.push(b" word\n", &mut shown);
    assert_eq!(shown, b"password=*** next word\n");
}

#[test]
fn a_line_without_end_is_not_kept() {
    for filler in [
        "x",
        "x y",
        "password=",
        "token=",
        "token=abc123 ",
        "PWD=/",
        "://a",
        "cookie:a=b;",
        "-----BEGIN PRIVATE KEY-----",
    ] {
        let redactor = with_patterns(&["not-a-real-secret"], Style::Mask);
        let mut stream = Stream::new(redactor);
        let mut shown = Vec::new();
        let block = filler.repeat(1000);
        for _ in 0..8 {
            stream.push(block.as_bytes(), &mut shown);
            stream.push(b" not-a-real-secret ", &mut shown);
            assert!(stream.text.len() <= 160 << 10, "{filler}: {}", stream.text.len());
        }
        stream.finish(&mut shown);
        assert!(!String::from_utf8_lossy(&shown).contains("a-real"), "{filler}");
    }
}

fn with_json(list: &[&str], json: Json) -> Arc<Redactor> {
    let patterns = Patterns::new(crate::builtin::rules(), crate::Confidence::Medium);
    Arc::new(Redactor::new(values(list), Style::Mask).with_patterns(patterns).with_json(json))
}

fn check_json(list: &[&str], text: &str, expected: &str) {
    check(&with_json(list, Json::Detected), text.as_bytes(), expected.as_bytes());
    for line in expected.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn json_stays_json() {
    check_json(&["87654329"], r#"{"pin": 87654329, "x": "a 87654329"}"#, r#"{"pin": "***", "x": "a ***"}"#);
    check_json(&["87654329"], "[87654329,-87654329.5,true]\n", "[\"***\",\"***\",true]\n");
    check_json(&["a\"b\\c-d-e"], r#"{"k":"x a\"b\\c-d-e y"}"#, r#"{"k":"x *** y"}"#);
    // Escapes that nobody would expect.
    check_json(&["not-a-real-secret"], r#"{"k":"n\u006ft-a-real-secre\u0074"}"#, r#"{"k":"***"}"#);
    // A value that is JSON itself.
    let document = r#"{"type":"account","key":"abc","n":[1,2]}"#;
    check_json(
        &[document],
        &format!("{{\"a\":{document},\"b\":1}}"),
        r#"{"a":{"***":"***","***":"***","***":["***","***"]},"b":1}"#,
    );
    // One that ends in the middle of an escape.
    check_json(
        &["secret-ends-in\\"],
        r#"{"k":"secret-ends-in\\n","l":"secret-ends-in\n"}"#,
        r#"{"k":"***n","l":"***"}"#,
    );
    check_json(
        &[],
        r#"{"password": 123456, "token": null, "secret": "hunter2x"}"#,
        r#"{"password": "***", "token": null, "secret": "***"}"#,
    );
}

#[test]
fn text_is_no_json_unless_it_is_said_to_be() {
    check(
        &with_json(&["87654329"], Json::Detected),
        b"87654329\n{not json 87654329}\n",
        b"***\n{not json ***}\n",
    );
    check(
        &with_json(&["87654329"], Json::Always),
        b"{\n  \"pin\":\n  87654329\n}\n",
        b"{\n  \"pin\":\n  \"***\"\n}\n",
    );
    check(&with_json(&["87654329"], Json::Never), b"{\"pin\": 87654329}\n", b"{\"pin\": ***}\n");
}

#[test]
fn json_on_one_line_without_end_stays_json() {
    let redactor = with_json(&["87654329", "not-a-real-secret"], Json::Detected);
    let mut text = "[".to_owned();
    for number in 0..2000 {
        text += &format!("{{\"n\":{number},\"a\":87654329,\"b\":\"x not-a-real-secret \\\\\"}},");
    }
    text += &format!("\"{}\"]", "y\\n".repeat(40_000));
    for size in [1000, 70_001] {
        let mut stream = Stream::new(Arc::clone(&redactor));
        let mut shown = Vec::new();
        for (number, chunk) in text.as_bytes().chunks(size).enumerate() {
            stream.push(chunk, &mut shown);
            if number % 7 == 3 {
                stream.flush(&mut shown);
            }
        }
        stream.finish(&mut shown);
        let shown = String::from_utf8(shown).unwrap();
        assert!(!shown.contains("a-real") && !shown.contains("87654329"), "{size}");
        serde_json::from_str::<serde_json::Value>(&shown).unwrap_or_else(|error| {
            panic!("{size}: {error}: {}", &shown[error.column().saturating_sub(150)..][..200])
        });
    }
}
