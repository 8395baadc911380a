//! Parsers of files. What they read must print the same, and a change must touch the lines that it is about alone.

use super::Target;
use strongroom_formats::document::{
    ChangeError, Document, Kind, Limits, Node, NodeId, Place, Rewrite, Scalar, Syntax, Value,
};
use strongroom_formats::sops::{Cipher, Encrypted, Format, Verification, parse_path};
use strongroom_secret::SecretString;

pub const TARGETS: &[Target] = &[
    Target {
        name: "json",
        examples: &[
            "{\"a\": {\"b\": [1, 2.5e3, null, true, \"x\\u00e9\\n\"]},\n\t\"c\": \"d\"}\n",
            "\u{feff}[{\"a\": {}}, [], \"\\ud83d\\ude00\"]",
        ],
        run: json,
    },
    Target {
        name: "yaml",
        examples: &[
            "# head\na: 1   # trailing\nb:\n  # in b\n  - x\n  - \"e\": 'b ''c'\n    d: |\n      lit\n\n      more\n\n  # foot\nc: &x !t\n  k: >-\n    f\n    g\n",
            "d: *anc\n? complex\n: value\ne: !!str\nf:\n- compact # t\n- - n1\n  - n2\n- {a: 1, b, \"c\":d, # in flow\n   e: [1,\n   2]}\n",
            "%YAML 1.2\n---\ng: |+\n  keep\n\nh: plain\n  multi\n...\n# after\n---\n- |2-\n   x\n---\n# only\n",
            "a: &a [x, y]\nb: {<<: *a, ? [p]: q}\r\nc: |\r\n  l1\r\n  l2\r\n",
        ],
        run: yaml,
    },
    Target {
        name: "toml",
        examples: &[
            "# top\na = 1 # one\nb.c = 0x1F\nb.\"d e\" = 'x'\n[t]\nf = 1_000.5\ng = [ # in\n  1, { h = true },\n]\n",
            "[[l]]\nm = 1979-05-27\n# below\n[[l]]\nm = \"\"\"\nx\\n\"\"\"\n[l.n]\no = -inf\n[t.u.v]\np = '''\nq'''\r\n",
        ],
        run: toml,
    },
    Target {
        name: "ini",
        examples: &[
            "; top\ntop = 1\n\n# about\n[a] ; on a\nk = x y  # trailing\nl: v\nempty =\nquoted = \" a \"\nm = `a;b`\n",
            "[a]\nmulti = \"\"\"l1\n  l2\"\"\" ; after\nlong = one \\\n  two\n\"k=1\" = v\n- = first\r\n[a]\nk = 'again'\n",
        ],
        run: ini,
    },
    Target {
        name: "sops",
        examples: &[
            "{\"bar\": \"ENC[AES256_GCM,data:oYyi,iv:MyIDYbT718JRr11QtBkcj3Dwm4k1aCGZBVeZf0EyV8o=,tag:t5z2Z023Up0kxwCgw1gNxg==,type:str]\", \"sops\": {\"age\": [{\"recipient\": \"age1notarealrecipient\", \"enc\": \"x\"}], \"shamir_threshold\": 1, \"lastmodified\": \"2026-01-01T00:00:00Z\", \"mac\": \"\", \"mac_only_encrypted\": true, \"encrypted_regex\": \"^bar\", \"version\": \"3.13.3\"}}",
            "# c\nbar=ENC[AES256_GCM,data:oYyi,iv:MyIDYbT718JRr11QtBkcj3Dwm4k1aCGZBVeZf0EyV8o=,tag:t5z2Z023Up0kxwCgw1gNxg==,type:str]\nsops_age__list_0__map_enc=x\nsops_age__list_0__map_recipient=age1notarealrecipient\nsops_key_groups__list_0__map_kms__list_0__map_context__map_a=b\nsops_lastmodified=2026-01-01T00:00:00Z\nsops_mac=\nsops_version=3.13.3\n",
        ],
        run: sops,
    },
];

/// A file in every format, opened with a data key that fits the examples.
pub fn sops(bytes: &[u8]) {
    for format in Format::ALL {
        let Ok(encrypted) = Encrypted::read(format, bytes) else { continue };
        let Some(cipher) = Cipher::new(&[b'f'; 32]) else { continue };
        if let Ok(opened) = encrypted.open_for_edit(cipher, Verification::Ignored) {
            let _ = opened.write_plain();
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = parse_path(text);
    }
}

pub fn json(bytes: &[u8]) {
    document(Syntax::Json, bytes);
}

pub fn yaml(bytes: &[u8]) {
    document(Syntax::Yaml, bytes);
}

pub fn toml(bytes: &[u8]) {
    document(Syntax::Toml, bytes);
}

pub fn ini(bytes: &[u8]) {
    document(Syntax::Ini, bytes);
}

/// The first byte chooses the syntax: for a fuzzer, which has one target for all four.
pub fn documents(bytes: &[u8]) {
    if let Some((first, rest)) = bytes.split_first() {
        (TARGETS[usize::from(*first) % TARGETS.len()].run)(rest);
    }
}

fn limits() -> Limits {
    Limits { bytes_max: 1 << 16, depth_max: 32, entries_max: 2000, expanded_max: 2000 }
}

fn document(syntax: Syntax, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(document) = Document::parse(syntax, &text, &limits()) else { return };
    assert_eq!(document.expose(), text);
    let mut nodes = Vec::new();
    for node in document.walk() {
        assert!(text.contains(node.raw()));
        let values = [node.path().to_string(), format!("{node:?}")];
        assert_eq!(node.scalar().is_some(), matches!(node.kind(), Kind::Scalar(_)));
        assert!(values.iter().all(|value| !value.contains('\0')) || node.line() > 0);
        nodes.push(node.id());
    }
    for part in document.parts() {
        if let Ok(value) = part.value() {
            for other in [Syntax::Json, Syntax::Yaml, Syntax::Toml, Syntax::Ini] {
                drop(Document::fresh(
                    other,
                    &[value.duplicate()],
                    strongroom_formats::document::Indent::Usual,
                ));
            }
        }
    }
    let seed =
        bytes.iter().fold(7_usize, |seed, byte| seed.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    if let Some(id) = nodes.get(seed % nodes.len().max(1)) {
        changes(&document, *id, seed);
    }
}

const TEXTS: [&str; 8] = [
    "x",
    "",
    "l1\n  l2\n\n",
    " lead\nx",
    "ENC[AES256_GCM,data:a/b=,iv:x,tag:y,type:str]",
    "a: #b\u{1}",
    "'\"`;",
    "yes",
];

/// One change of each kind at one node: made as meant, or refused with everything as it was.
fn changes(document: &Document, id: NodeId, seed: usize) {
    let text = TEXTS[seed % TEXTS.len()];
    let value = Value::map([("k", Value::string(text)), ("l", Value::List(vec![Scalar::int(5).into()]))]);
    let node = document.node(id);
    match node.kind() {
        Kind::Scalar(_) => {
            let changed =
                change(document, |copy| copy.rewrite(&[(id, Rewrite::Scalar(Scalar::string(text)))]));
            assert_other_lines_stay(document, node, changed.as_ref());
        }
        Kind::Comment(_) => {
            let changed = change(document, |copy| {
                copy.rewrite(&[(id, Rewrite::Comment(SecretString::from("ENC[x]")))])
            });
            assert_other_lines_stay(document, node, changed.as_ref());
        }
        Kind::Map => drop(change(document, |copy| copy.insert(id, "new", &value, Place::Last))),
        Kind::List => drop(change(document, |copy| copy.push(id, &value))),
        Kind::Part | Kind::Alias => {}
    }
    drop(change(document, |copy| copy.replace(id, &value)));
    drop(change(document, |copy| copy.remove(id)));
    drop(change(document, |copy| copy.set(0, &[text.into(), 0.into()], &value)));
}

fn change(
    document: &Document,
    make: impl FnOnce(&mut Document) -> Result<(), ChangeError>,
) -> Option<Document> {
    let mut copy =
        Document::parse(document.syntax(), document.expose(), &limits()).expect("it was read before");
    match make(&mut copy) {
        Ok(()) => {
            let again =
                Document::parse(copy.syntax(), copy.expose(), &limits()).expect("what was written is read");
            assert_eq!(format!("{again:?}"), format!("{copy:?}"));
            Some(copy)
        }
        Err(_) => {
            assert_eq!(copy.expose(), document.expose());
            None
        }
    }
}

/// Everything before the lines of a node, and everything after them, is in the changed document as it was.
fn assert_other_lines_stay(document: &Document, node: Node<'_>, changed: Option<&Document>) {
    let Some(changed) = changed else { return };
    let text = document.expose();
    let start = node.raw().as_ptr() as usize - text.as_ptr() as usize;
    let end = start + node.raw().len();
    let before = text[..start].rfind('\n').map_or("", |at| &text[..=at]);
    let after = text[end..].find('\n').map_or("", |at| &text[end + at + 1..]);
    // A tag may stand on the line above.
    if node.tag().is_none() {
        assert!(changed.expose().starts_with(before) && changed.expose().ends_with(after), "{text:?}");
    }
}
