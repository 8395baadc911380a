use crate::document::{
    ChangeError, Document, Indent, Kind, Limits, Path, Place, Rewrite, Scalar, Syntax, Value,
};
use strongroom_secret::SecretString;

fn parse(text: &str) -> Document {
    Document::parse(Syntax::Json, text, &Limits::default()).unwrap()
}

fn error(text: &str) -> String {
    Document::parse(Syntax::Json, text, &Limits::default()).unwrap_err().to_string()
}

const NESTED: &str = "{\n  \"a\": {\n    \"b\": [1, 2.50],\n    \"c\": \"x\\ty\"\n  },\n  \"d\": null\n}\n";

#[test]
fn what_is_read_prints_the_same() {
    for text in [
        NESTED,
        "\u{feff}{ }",
        "[]",
        " \r\n\"a\"\r\n",
        "12345678901234567890123",
        "{\"a\":1,\"b\":[{},[[]]]}",
    ] {
        let document = parse(text);
        assert_eq!(document.expose(), text);
        assert_eq!(document.parts().len(), 1);
    }
}

#[test]
fn the_walk_tells_paths_and_values() {
    let document = parse(NESTED);
    let seen: Vec<String> = document
        .walk()
        .filter_map(|node| Some(format!("{} {:?} {}", node.path(), node.kind(), node.scalar()?.expose())))
        .collect();
    let wanted =
        ["a.b[0] Scalar(Int) 1", "a.b[1] Scalar(Float) 2.50", "a.c Scalar(String) x\ty", "d Scalar(Null) "];
    assert_eq!(seen, wanted);
    assert_eq!(document.find(0, &Path::from(["a", "c"])).unwrap().line(), 4);
}

#[test]
fn strings_are_unescaped() {
    let document = parse("\"\\u00e9\\ud83d\\ude00\\\\\\/\\b\\f\\n\\r\\t\\\"\"");
    assert_eq!(document.root(0).unwrap().scalar().unwrap().expose(), "é😀\\/\u{8}\u{c}\n\r\t\"");
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_without_values() {
    assert_eq!(error("{\n  \"a\": 1,\n  \"a\": 2}"), "line 3, column 3: the key \"a\" stands here twice");
    assert_eq!(
        error("{\"a\": secret}"),
        "line 1, column 7: expected a value: a string in double quotes, a number, true, false, null, [ or {"
    );
    assert_eq!(error("[1, 2"), "line 1, column 6: expected a comma or the list's end");
    assert_eq!(
        error("\"\\ud800\""),
        "line 1, column 2: \\u must be followed by four digits that make a character"
    );
    assert_eq!(error("01"), "line 1, column 2: a number must not begin with a zero");
    assert_eq!(error("{} {}"), "line 1, column 4: there is more after the end of the value");
    let deep = "[".repeat(1000);
    assert_eq!(error(&deep), "line 1, column 129: nested deeper than 128");
}

#[test]
fn a_change_touches_its_own_bytes() {
    let mut document = parse(NESTED);
    let set = |document: &mut Document, path: Path, value: Value| document.set(0, &path, &value).unwrap();
    set(&mut document, ["a", "c"].into(), Value::string("new \"line\"\n"));
    set(&mut document, ["d"].into(), Scalar::int(-5).into());
    assert_eq!(
        document.expose(),
        NESTED.replace("\"x\\ty\"", "\"new \\\"line\\\"\\n\"").replace("null", "-5")
    );
    let mut document = parse(NESTED);
    set(&mut document, ["a", "e", "f"].into(), Scalar::Bool(true).into());
    let wanted = "\"x\\ty\",\n    \"e\": {\n      \"f\": true\n    }";
    assert_eq!(document.expose(), NESTED.replace("\"x\\ty\"", wanted));
    let mut document = parse(NESTED);
    set(&mut document, Path(vec!["a".into(), "b".into(), 2.into()]), Value::string("z"));
    assert_eq!(document.expose(), NESTED.replace("2.50]", "2.50, \"z\"]"));
}

#[test]
fn entries_go_in_and_out() {
    let mut document = parse(NESTED);
    let metadata = Value::map([
        ("version", Value::string("3")),
        ("age", Value::List(vec![Value::map([("r", Value::string("x"))])])),
    ]);
    let root = document.root(0).unwrap().id();
    document.insert(root, "sops", &metadata, Place::Last).unwrap();
    assert_eq!(
        document.expose().replace(NESTED.trim_end_matches("\n}\n"), ""),
        ",\n  \"sops\": {\n    \"version\": \"3\",\n    \"age\": [\n      {\n        \"r\": \"x\"\n      }\n    ]\n  }\n}\n"
    );
    let sops = document.find(0, &Path::from(["sops"])).unwrap().id();
    document.remove(sops).unwrap();
    assert_eq!(document.expose(), NESTED);
    let first = document.find(0, &Path::from(["a"])).unwrap().id();
    document.remove(first).unwrap();
    assert_eq!(document.expose(), "{\n  \"d\": null\n}\n");
    let last = document.find(0, &Path::from(["d"])).unwrap().id();
    document.remove(last).unwrap();
    assert_eq!(document.expose(), "{}\n");
    let root = document.root(0).unwrap().id();
    document.insert(root, "a", &Value::List(vec![]), Place::First).unwrap();
    assert_eq!(document.expose(), "{\n  \"a\": []\n}\n");
}

#[test]
fn many_scalars_change_at_once() {
    let mut document = parse("{\"a\": 1, \"b\": [\"x\", null]}\r\n");
    let rewrites: Vec<_> = document
        .walk()
        .filter(|node| matches!(node.kind(), Kind::Scalar(_)))
        .map(|node| (node.id(), Rewrite::Scalar(Scalar::string(node.path().to_string()))))
        .collect();
    document.rewrite(&rewrites).unwrap();
    assert_eq!(document.expose(), "{\"a\": \"a\", \"b\": [\"b[0]\", \"b[1]\"]}\r\n");
}

#[test]
fn impossible_changes_leave_everything() {
    let mut document = parse("{\"a\": 1}");
    let root = document.root(0).unwrap().id();
    let path = Path::from(["a"]);
    let number = document.find(0, &path).unwrap().id();
    assert_eq!(
        document.insert(root, "a", &Value::List(vec![]), Place::Last),
        Err(ChangeError::Present(path.clone()))
    );
    assert_eq!(
        document.set(0, &Path::from(["a", "b"]), &Value::string("x")),
        Err(ChangeError::Missing(Path::from(["a", "b"])))
    );
    let infinite = [(number, Rewrite::Scalar(Scalar::float(f64::INFINITY)))];
    assert_eq!(document.rewrite(&infinite).unwrap_err().to_string(), "a: JSON has no infinity and no NaN");
    let comment = [(number, Rewrite::Comment(SecretString::from("x")))];
    assert!(document.rewrite(&comment).is_err());
    assert_eq!(document.expose(), "{\"a\": 1}");
}

#[test]
fn fresh_documents_look_like_those_of_sops() {
    let value = Value::map([
        ("a", Value::List(vec![Scalar::Null.into(), Scalar::float(1.5).into()])),
        ("b", Value::map::<&str>([])),
    ]);
    let document = Document::fresh(Syntax::Json, &[value], Indent::Usual).unwrap();
    assert_eq!(document.expose(), "{\n\t\"a\": [\n\t\tnull,\n\t\t1.5\n\t],\n\t\"b\": {}\n}\n");
    let error = Document::fresh(Syntax::Json, &[], Indent::Usual).unwrap_err();
    assert_eq!(error.to_string(), "this syntax holds exactly one value");
}
