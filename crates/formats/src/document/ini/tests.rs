use crate::document::{Document, Indent, Kind, Limits, Path, Place, Syntax, Value};

fn parse(text: &str) -> Document {
    let document = Document::parse(Syntax::Ini, text, &Limits::default()).unwrap();
    assert_eq!(document.expose(), text);
    document
}

fn error(text: &str) -> String {
    Document::parse(Syntax::Ini, text, &Limits::default()).unwrap_err().to_string()
}

fn listing(document: &Document) -> String {
    let line = |node: crate::document::Node<'_>| match node.kind() {
        Kind::Comment(placement) => Some(format!("{} {placement:?}#{}\n", node.path(), node.comment()?)),
        _ => Some(format!("{} {:?}\n", node.path(), node.scalar()?.expose())),
    };
    document.walk().filter_map(line).collect()
}

#[track_caller]
fn check_set<const N: usize>(before: &str, at: [&str; N], value: &str, after: &str) {
    let mut document = parse(before);
    document.set(0, &Path::from(at), &Value::string(value)).unwrap();
    assert_eq!(document.expose(), after);
}

/// The values are those that gopkg.in/ini.v1 1.67 reads with the options of sops.
#[test]
fn values_of_all_kinds() {
    let document = parse(
        "\u{feff}; top\ntop = 1\r\n\n# about a\n[a] ; on a\nplain = x y  # trailing\ncolon: v\nempty =\nquoted = \" a \"\nsingle='b'\n\
         both = \"a\" and \"b\"\nhash = `a;b`\nmulti = \"\"\"l1\n  l2\"\"\" ; after\nlong = one \\\n  two \\\n  three\n\
         \"k=1\" = v\n- = first\n- = second\n; foot\n[a]\nplain = again\n# end\n",
    );
    insta::assert_snapshot!(listing(&document), @r##"
    DEFAULT Line# top
    DEFAULT.top "1"
    a Line# about a
    a Trailing# on a
    a.plain "x y"
    a Trailing# trailing
    a.colon "v"
    a.empty ""
    a.quoted " a "
    a.single "b"
    a.both "\"a\" and \"b\""
    a.hash "a;b"
    a.multi "l1\n  l2"
    a Trailing# after
    a.long "one two three"
    a."k=1" "v"
    a."#1" "first"
    a."#2" "second"
    a Line# foot
    a.plain "again"
    a Line# end
    "##);
}

#[test]
fn what_is_wrong_is_said_without_values() {
    assert_eq!(error("[a\n"), "line 1, column 1: the section's name has no closing bracket");
    assert_eq!(error("[a]\nhidden\n"), "line 2, column 1: expected a section or a key with = after it");
    assert_eq!(error("= hidden\n"), "line 1, column 1: the key has no name");
    assert_eq!(error("a = `hidden\n"), "line 1, column 5: the value's ` is not closed");
    assert_eq!(error("[s]\na = 1\na = 2\n"), "line 3, column 1: the key \"a\" stands here twice");
}

#[test]
fn a_change_touches_its_own_bytes() {
    check_set("[a]\nk = x ; c\n", ["a", "k"], "y", "[a]\nk = y ; c\n");
    check_set("[a]\nk = 'x'\r\n", ["a", "k"], " y", "[a]\nk = ' y'\r\n");
    check_set("[a]\nk =\nl=\n", ["a", "k"], "y", "[a]\nk = y\nl=\n");
    check_set("[a]\nk = x\n", ["a", "k"], "a#b", "[a]\nk = `a#b`\n");
    check_set("[a]\nk = x\n", ["a", "k"], "l1\nl2", "[a]\nk = \"\"\"l1\nl2\"\"\"\n");
    check_set("[a]\nk = x\n", ["a", "k"], "\"q\"", "[a]\nk = `\"q\"`\n");
    check_set("[a]\nk = x\n", ["a", "k"], "C:\\", "[a]\nk = \"C:\\\"\n");
    check_set("[a]\nk = one \\\n two\nl = 1\n", ["a", "k"], "z", "[a]\nk = z\nl = 1\n");
    check_set("[a]\n  key  = x\n", ["a", "n"], "y", "[a]\n  key  = x\n  n    = y\n");
    check_set("[a]\nk=x\n\n[b]\n", ["a", "longer"], "y", "[a]\nk=x\nlonger=y\n\n[b]\n");
    check_set("[a]\nk = x\n; foot\n\n\n", ["b", "k"], "y", "[a]\nk = x\n; foot\n\n[b]\nk = y\n\n\n");
    check_set("", ["b", "k"], "y", "[b]\nk = y\n");
    let mut nested = parse("[a]\nk = x\n");
    assert!(nested.set(0, &Path::from(["a", "k", "z"]), &Value::string("y")).is_err());
    assert!(nested.set(0, &Path::from(["k"]), &Value::string("y")).is_err());
}

#[test]
fn the_metadata_of_sops_comes_and_goes() {
    for before in
        ["; c\n[a]\nk = x\n", "[a]\nk = x\n; foot\n\n\n", "k = x", "[a]\r\nk = \"\"\"l\r\nm\"\"\"\r\n"]
    {
        let mut document = parse(before);
        let metadata = Value::map([("version", Value::string("3.13.2")), ("mac", Value::string("ENC[a,b]"))]);
        let root = document.root(0).unwrap().id();
        document.insert(root, "sops", &metadata, Place::Last).unwrap();
        assert!(document.expose().contains("[sops]"));
        let sops = document.find(0, &Path::from(["sops"])).unwrap().id();
        document.remove(sops).unwrap();
        let after = if before.ends_with('\n') { before.to_owned() } else { format!("{before}\n") };
        assert_eq!(document.expose(), after);
    }
}

#[test]
fn keys_and_sections_leave_with_their_lines() {
    let before = "; about a\n[a]\nk = 1 ; c\nl = 2\n\n; about b\n[b]\nm = 3\n";
    let check = |path: Path, after: &str| {
        let mut document = parse(before);
        let id = document.find(0, &path).unwrap().id();
        document.remove(id).unwrap();
        assert_eq!(document.expose(), after);
    };
    check(["a", "k"].into(), "; about a\n[a]\nl = 2\n\n; about b\n[b]\nm = 3\n");
    check(["a"].into(), "; about a\n; about b\n[b]\nm = 3\n");
    check(["b"].into(), "; about a\n[a]\nk = 1 ; c\nl = 2\n\n; about b\n");
    check(["b", "m"].into(), "; about a\n[a]\nk = 1 ; c\nl = 2\n\n; about b\n[b]\n");
}

/// As gopkg.in/ini.v1 1.67 writes.
#[test]
fn fresh_documents_are_aligned() {
    let section = |entries: &[(&str, &str)]| {
        Value::map(entries.iter().map(|(key, value)| (*key, Value::string(*value))))
    };
    let value = Value::map([
        ("DEFAULT", section(&[("top", "1")])),
        ("a", section(&[("key", "v"), ("longer", "x#y"), ("q=r", " sp"), ("multi", "l1\nl2")])),
    ]);
    let document = Document::fresh(Syntax::Ini, &[value], Indent::Usual).unwrap();
    assert_eq!(
        document.expose(),
        "top = 1\n\n[a]\nkey    = v\nlonger = `x#y`\n`q=r`  = \" sp\"\nmulti  = \"\"\"l1\nl2\"\"\"\n"
    );
    assert!(Document::fresh(Syntax::Ini, &[Value::map([("a", Value::string("b"))])], Indent::Usual).is_err());
}
