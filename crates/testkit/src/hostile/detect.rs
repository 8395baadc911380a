//! What a detector reads from outside: rules, regular expressions, filters, and texts that are encoded.

use super::Target;
use std::sync::{Arc, OnceLock};
use strongroom_detect::config::{self, Reading, Wanted};
use strongroom_detect::filter::{Filter, Subject};
use strongroom_detect::redact::{Json, Patterns, Redactor, Stream, Style, Values};
use strongroom_detect::{Detector, Fragment, Options, Pattern, Scratch};
use strongroom_secret::SecretBytes;

pub const TARGETS: &[Target] = &[
    Target {
        name: "rules",
        examples: &[
            "title = 't'\nminVersion = \"v8.25.0\"\n[extend]\npath = 'other'\ndisabledRules = ['x']\n[allowlist]\npaths = ['''a$''']\n[[rules]]\nid = 'one'\nregex = '''(?i)key_([a-z0-9]{4,8})\\b'''\nsecretGroup = 1\nentropy = 2.5\nkeywords = ['KEY_']\ntags = ['t']\n[[rules.allowlists]]\ncondition = 'AND'\nregexTarget = 'line'\nregexes = ['''x''']\nstopwords = ['test']\n[[rules.required]]\nid = 'one'\nwithinLines = 3\n",
            "prefilter = '''matchesAny(get(attributes, \"path\", \"\"), [`x$`])'''\n[[rules]]\nid = 'two'\npath = '''\\.p12$'''\nspecificity = 5\ntokenEfficiency = true\nfilter = '''\nlet a = finding[\"secret\"]; entropy(a) <= 3.5 || containsAny(a, [\"x\"])\n'''\nvalidate = 'x'\n[[allowlists]]\ntargetRules = ['two']\ncommits = ['abc']\n",
        ],
        run: rules,
    },
    Target {
        name: "pattern",
        examples: &[
            r#"[\w.-]{0,50}?(?i:[\w.-]{0,50}?(?:key|passw(?:or)?d))(?:=|>|:{1,3}=|\|\|)[\x60'"\s=]{0,5}([a-z0-9=_\-]{8,20})(?:[\x60'"\s;]|\\[nr]|$)"#,
            r"\b(?P<a>x[[:alpha:]^-]+|\Q{a}\E)\pL\x{1F600}\101(?s-i:.{2,}?)[^\S\d]{1000}\z",
        ],
        run: pattern,
    },
    Target {
        name: "filter",
        examples: &[
            "// c\nlet p = finding[\"fragment_raw\"][max(finding[\"match_start_idx\"] - 5, 0):finding[\"match_end_idx\"]];\nfilter.entropy(finding[\"secret\"]) < 3.5 || !matchesAny(p, [`^a`, \"b\\n\"]) && (attributes[\"path\"] ?? \"\") in [\"x\", 'y']",
            "len(finding.secret) == 3 ? lower(\"A\") contains \"a\" : get(attributes, \"git.sha\", nil) != \"b\" and -1 < min(1, 2) + 3",
        ],
        run: filter,
    },
    Target {
        name: "decoders",
        examples: &[
            "a = 'a2V5X2FiY2QxMjM0IGFuZCBtb3Jl'\nb = %6B%65%79_abcd1234\nU+006B U+0065 U+0079 \\u006b\\\\u0065\\u0079_abcd1234 &#x6b;&#101;&#121;_abcd1234\n6b65795f61626364313233340a6b65795f61626364313233340a",
            "key_abcd1234\r\nkey_efgh5678 # gitleaks:allow\n\u{e9}KEY_zzzz9999",
        ],
        run: decoders,
    },
    Target {
        name: "redact",
        examples: &[
            "hunter2 not-a-real-secret\nuser=ann password=swordfish1 token: abcdef123456 hunter2\n{\"k\": \"not-a-real-secret\", \"n\": 12345678}\n",
            "12345678 a\\b\"c-d\n{\"pin\": 12345678, \"x\": [true, \"a\\\\b\\\"c-d\", -1e5], \"password\": 99}",
            "x-y-z-1\n-----BEGIN RSA PRIVATE KEY-----\nMIIBOgIBAAJBAKj34GkxFhD9\n-----END RSA PRIVATE KEY-----\npostgres://a:b@c/d Authorization: Basic YTpi cookie: a=bcdefgh1; b",
        ],
        run: redact,
    },
];

/// A configuration that extends itself, and a text that is looked at with it.
pub fn rules(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut load = |wanted: Wanted<'_>| match wanted {
        Wanted::Path(path) if path.len() % 2 == 0 => Err("no such file".to_owned()),
        _ => Ok(text.to_string()),
    };
    for reading in [Reading::Checked, Reading::Trusted] {
        let Ok(loaded) = config::read(&text, "hostile.toml", reading, &mut load) else { continue };
        for problem in &loaded.problems {
            assert!(!problem.to_string().is_empty());
        }
        for options in [Options::native(), Options::compatible()] {
            let Ok(again) = config::read(&text, "hostile.toml", reading, &mut load) else { continue };
            look(&Detector::new(again.rules, options), b"x key_abcd1234 test\nkey_abcd5678");
        }
    }
}

/// The first byte chooses what the rest is: for a fuzzer.
pub fn rules_and_parts(bytes: &[u8]) {
    match bytes.split_first() {
        Some((0..=15, rest)) => pattern(rest),
        Some((16..=31, rest)) => filter(rest),
        _ => rules(bytes),
    }
}

pub fn pattern(bytes: &[u8]) {
    let Ok(pattern) = Pattern::new(String::from_utf8_lossy(bytes)) else { return };
    let text = b"a key = 'abcdefgh12' xyz\xff{a}\n";
    let matches = pattern.find_all(text);
    assert!(matches.windows(2).all(|pair| pair[0].end <= pair[1].start));
    assert_eq!(pattern.is_match(text), !matches.is_empty());
    let groups = pattern.groups(text).map(|groups| groups.len());
    assert!(groups.is_none_or(|count| count == pattern.group_count() + 1));
}

pub fn filter(bytes: &[u8]) {
    let Ok(filter) = Filter::new(&String::from_utf8_lossy(bytes)) else { return };
    let text = b"line\nkey = 'abcd1234'\n";
    let found =
        Subject { secret: b"abcd1234", text, start: 5, end: 20, ..Subject::fragment("a/b", "c0ffee") };
    for subject in [found, Subject::fragment("", "")] {
        filter.drops(&subject);
    }
}

/// Any text, under rules that decoding leads to.
pub fn decoders(bytes: &[u8]) {
    static DETECTORS: OnceLock<Vec<Detector>> = OnceLock::new();
    let detectors = DETECTORS.get_or_init(|| {
        let rules = "[[rules]]\nid = 'key'\nregex = '''(?i)key_([a-z0-9]{4,8})'''\nkeywords = ['key_']\n[[rules]]\nid = 'any'\nregex = '''\\bab[\\s\\S]{2}'''";
        let read = || config::read(rules, "", Reading::Checked, &mut |_| Err(String::new())).unwrap().rules;
        vec![Detector::new(read(), Options::native()), Detector::new(read(), Options::compatible())]
    });
    for detector in detectors {
        look(detector, bytes);
    }
}

/// The first line is values, the rest is a text with them. However it is cut, the same comes out, and no value does; a line of JSON
/// stays one.
pub fn redact(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (list, text) = bytes.split_at(end);
    let mut values = Values::all();
    let mut taken = Vec::new();
    for value in list.split(|byte| *byte == b' ').take(4) {
        if values.add("V", &SecretBytes::new(value.to_vec())).is_ok() {
            taken.push(value.trim_ascii());
        }
    }
    let known = Arc::new(Redactor::new(values, Style::Mask));
    assert!(
        taken
            .iter()
            .all(|value| !format!("{known:?}").as_bytes().windows(value.len()).any(|part| part == *value))
    );
    let whole = redacted(&known, text, text.len().max(1));
    for size in [1, 2, 7, 64] {
        assert!(redacted(&known, text, size) == whole, "in pieces of {size}");
    }
    for value in taken.iter().filter(|value| !value.contains(&b'*')) {
        assert!(!whole.windows(value.len()).any(|part| part == *value));
    }
    static PATTERNS: OnceLock<[Arc<Redactor>; 2]> = OnceLock::new();
    let redactors = PATTERNS.get_or_init(|| {
        [Json::Detected, Json::Always].map(|json| {
            let mut values = Values::all();
            for value in ["hunter2", "12345678", "a\\b\"c-d"] {
                values.add("V", &SecretBytes::new(value.as_bytes().to_vec())).unwrap();
            }
            let redactor = Redactor::new(values, Style::Name).with_patterns(Patterns::of_names());
            Arc::new(redactor.with_json(json))
        })
    });
    for redactor in redactors {
        let whole = redacted(redactor, text, text.len().max(1));
        redacted(redactor, text, 3);
        let line = text.trim_ascii();
        let is_json = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).is_ok();
        if matches!(line.first(), Some(b'{' | b'[')) && !line.contains(&b'\n') && is_json(line) {
            assert!(is_json(&whole), "{}", String::from_utf8_lossy(&whole));
        }
    }
}

fn redacted(redactor: &Arc<Redactor>, text: &[u8], size: usize) -> Vec<u8> {
    let mut stream = Stream::new(Arc::clone(redactor));
    let mut shown = Vec::new();
    text.chunks(size).for_each(|chunk| stream.push(chunk, &mut shown));
    stream.finish(&mut shown);
    shown
}

/// What is found stands where it is said to, whole or by what changed.
fn look(detector: &Detector, text: &[u8]) {
    let mut scratch = Scratch::default();
    let middle = text.len() / 2;
    let changed = [0..middle / 2, middle..text.len()];
    for changed in [None, Some(changed.as_slice())] {
        let fragment = Fragment { changed, ..Fragment::whole(text, "src/a.txt") };
        for finding in detector.scan(&fragment, &mut scratch) {
            assert!(finding.span.start <= finding.span.end && finding.span.end <= text.len());
            let secret = text.get(finding.secret_span.clone()).unwrap();
            assert!(!finding.decoded_from.is_empty() || secret == finding.secret.expose());
            assert!(!format!("{finding:?}").contains("abcd1234"));
        }
    }
}
