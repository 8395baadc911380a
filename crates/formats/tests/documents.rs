//! Properties of documents, on values and changes made at random: what is written reads back in every syntax, and a
//! change does what it says and nothing else.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "this is test code: what fails here shall fail the test"
)]

use proptest::prelude::*;
use strongroom_formats::document::{
    Document, Indent, Kind, Limits, Place, Rewrite, Scalar, Step, Syntax, Value,
};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,8}",
        "[ -~]{0,24}",
        "([ -~é\t]{0,12}\n){1,4}[ -~]{0,6}",
        "\\PC{0,12}",
        proptest::sample::select(vec![
            "yes",
            "null",
            "~",
            "1_0",
            "0x1F",
            "2001-12-14",
            "- a",
            "a: b",
            "<<",
            "---",
            "#",
            "'",
            "\"",
            "",
            "\n",
            "`;`",
            "\\"
        ])
        .prop_map(str::to_owned),
    ]
}

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        4 => text().prop_map(Scalar::string),
        1 => any::<i64>().prop_map(Scalar::int),
        1 => (-1e9..1e9_f64).prop_map(Scalar::float),
        1 => any::<bool>().prop_map(Scalar::Bool),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z][a-z_0-9]{0,6}", 1 => "[ -~]{1,10}", 1 => Just("true".to_owned())]
}

fn map(inner: impl Strategy<Value = Value>, size: std::ops::Range<usize>) -> impl Strategy<Value = Value> {
    proptest::collection::btree_map(key(), inner, size).prop_map(Value::map)
}

/// A map of maps and lists of scalars.
fn tree() -> impl Strategy<Value = Value> {
    let leaf = scalar().prop_map(Value::from);
    let value = leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::List), map(inner, 0..4)]
    });
    map(value, 1..6)
}

/// What INI can hold: sections of strings without carriage returns.
fn sections() -> impl Strategy<Value = Value> {
    let name = "[a-z][a-z_0-9]{0,6}";
    let entry = (name, text().prop_map(|text| Value::string(text.replace(['\r', '\u{feff}'], ""))));
    let section = proptest::collection::btree_map(name, entry.prop_map(|(_, value)| value), 0..4);
    proptest::collection::btree_map(name, section.prop_map(Value::map), 1..4).prop_map(Value::map)
}

fn read_back(syntax: Syntax, value: &Value) -> Option<Document> {
    let document = Document::fresh(syntax, &[value.duplicate()], Indent::Usual).ok()?;
    let again =
        Document::parse(syntax, document.expose(), &Limits::default()).expect("what was written is read");
    assert_eq!(again.expose(), document.expose());
    Some(again)
}

/// Sets every scalar of a document, one by one and all at once; both say the same.
fn check_rewrites(document: &Document, scalar: &Scalar) {
    let scalars: Vec<_> = document.walk().filter(|node| matches!(node.kind(), Kind::Scalar(_))).collect();
    let copy = || {
        Document::parse(document.syntax(), document.expose(), &Limits::default()).expect("it was read before")
    };
    let mut at_once = copy();
    let rewrites: Vec<_> =
        scalars.iter().map(|node| (node.id(), Rewrite::Scalar(scalar.duplicate()))).collect();
    let mut one_by_one = copy();
    if at_once.rewrite(&rewrites).is_ok() {
        for node in &scalars {
            let value = Value::from(scalar.duplicate());
            one_by_one.set(node.part(), &node.path(), &value).expect("what goes all at once goes one by one");
        }
        let values = |document: &Document| {
            document.parts().map(|part| part.value().expect("no aliases")).collect::<Vec<_>>()
        };
        assert_eq!(values(&one_by_one), values(&at_once));
    }
}

fn check_comes_and_goes(document: &Document, value: &Value) {
    let before = document.expose().to_owned();
    let mut document =
        Document::parse(document.syntax(), &before, &Limits::default()).expect("it was read before");
    let Some(root) = document.root(0).map(|root| root.id()) else { return };
    let entry = Value::map([("k", value.duplicate())]);
    if document.insert(root, "sops metadata", &entry, Place::Last).is_ok() {
        let id = document.find(0, &[Step::from("sops metadata")]).expect("it was put in").id();
        document.remove(id).expect("what was put in is taken out");
        assert_eq!(document.expose(), before);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn trees_come_back_from_json_and_yaml(value in tree(), scalar in scalar()) {
        for syntax in [Syntax::Json, Syntax::Yaml] {
            let document = read_back(syntax, &value).expect("JSON and YAML hold anything");
            prop_assert_eq!(document.root(0).unwrap().value().unwrap(), value.duplicate());
            check_rewrites(&document, &scalar);
            check_comes_and_goes(&document, &Value::from(scalar.duplicate()));
        }
    }

    #[test]
    fn trees_come_back_from_toml(value in tree(), scalar in scalar()) {
        let document = read_back(Syntax::Toml, &value).expect("TOML holds anything but null");
        check_rewrites(&document, &scalar);
        check_comes_and_goes(&document, &Value::from(scalar));
    }

    #[test]
    fn sections_come_back_from_ini(value in sections(), text in text()) {
        if let Some(document) = read_back(Syntax::Ini, &value) {
            check_rewrites(&document, &Scalar::string(text.clone()));
            check_comes_and_goes(&document, &Value::string(text));
        }
    }

    #[test]
    fn any_text_that_is_read_prints_the_same(text in "[a-c:\\-#\"'|>\\[\\]{},&*!=;` \n]{0,40}") {
        for syntax in [Syntax::Json, Syntax::Yaml, Syntax::Toml, Syntax::Ini] {
            if let Ok(document) = Document::parse(syntax, &text, &Limits::default()) {
                prop_assert_eq!(document.expose(), text.as_str());
            }
        }
    }
}
