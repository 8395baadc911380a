use crate::document::{Document, Indent, Kind, Limits, Node, Path, Scalar, Step, Syntax, Value};

fn parse(text: &str) -> Document {
    let document = Document::parse(Syntax::Toml, text, &Limits::default()).unwrap();
    assert_eq!(document.expose(), text);
    document
}

fn error(text: &str) -> String {
    Document::parse(Syntax::Toml, text, &Limits::default()).unwrap_err().to_string()
}

fn path(text: &str) -> Path {
    let step = |word: &str| word.parse().map_or_else(|_| Step::from(word), Step::Index);
    Path(text.split('/').filter(|word| !word.is_empty()).map(step).collect())
}

fn listing(document: &Document) -> String {
    let line = |node: Node<'_>| match node.kind() {
        Kind::Comment(placement) => Some(format!("{} {placement:?}#{}\n", node.path(), node.comment()?)),
        Kind::Scalar(kind) => Some(format!("{} {kind:?} {:?}\n", node.path(), node.scalar()?.expose())),
        _ => None,
    };
    document.walk().filter_map(line).collect()
}

#[track_caller]
fn check_set(before: &str, at: &str, value: impl Into<Value>, after: &str) {
    let mut document = parse(before);
    document.set(0, &path(at), &value.into()).unwrap();
    assert_eq!(document.expose(), after);
}

#[track_caller]
fn check_remove(before: &str, at: &str, after: &str) {
    let mut document = parse(before);
    let id = document.find(0, &path(at)).unwrap().id();
    document.remove(id).unwrap();
    assert_eq!(document.expose(), after);
}

#[test]
fn all_that_toml_has() {
    let document = parse(
        "\u{feff}# top\na = 1 # one\nb.c = 0x1F\nb.\"d e\" = 'x\\y'\r\n[t]\nf = 1_000.5\ng = [ # in\n  1, { h = true },\n]\n[[l]]\nm = 1979-05-27\n\
         # below m\n[[l]]\nm = \"\"\"\nx\ty\\n\"\"\"\n[l.n]\no = -inf\n[t.u.v]\np = '''\nq'''\n",
    );
    insta::assert_snapshot!(listing(&document), @r#"
     Line# top
    a Int "1"
     Trailing# one
    b.c Int "31"
    b."d e" String "x\\y"
    t.f Float "1000.5"
    t.g Trailing# in
    t.g[0] Int "1"
    t.g[1].h Bool "true"
    t.u.v.p String "q"
    l[0].m Timestamp "1979-05-27"
    l[0] Line# below m
    l[1].m String "x\ty\n"
    l[1].n.o Float "-inf"
    "#);
}

#[test]
fn what_is_wrong_is_said_without_values() {
    assert_eq!(error("a = 1\na = 2\n"), "line 2, column 1: the key a stands here twice");
    assert!(!error("a = hidden\n").contains("hidden"), "{}", error("a = hidden\n"));
    assert!(!error("a = \"hidden\n").contains("hidden"));
    let deep = format!("[{}]\n", vec!["a"; 200].join("."));
    assert!(error(&deep).contains("recursion limit"), "{}", error(&deep));
    assert!(Document::parse(Syntax::Toml, &format!("a = {}", "[".repeat(5000)), &Limits::default()).is_err());
}

#[test]
fn a_change_touches_its_own_bytes() {
    check_set("a = 'x' # c\n", "a", Value::string("y\\"), "a = 'y\\' # c\n");
    check_set("a = 'x'\n", "a", Value::string("it's"), "a = \"it's\"\n");
    check_set("a = 1\n", "a", Value::string("l1\nl2\n"), "a = \"\"\"\nl1\nl2\n\"\"\"\n");
    check_set("a = 1\r\n", "a", Value::string("l1\nl2"), "a = \"l1\\nl2\"\r\n");
    check_set("a = [1]\n", "a/0", Value::string("l1\nl2"), "a = [\"l1\\nl2\"]\n");
    check_set("a = \"\"\"x\"\"\"\n", "a", Value::string("y\""), "a = \"\"\"\ny\\\"\"\"\"\n");
    check_set("a = 1\n", "a", Scalar::float(2.0), "a = 2.0\n");
    assert!(parse("a = 1\n").set(0, &path("a"), &Scalar::Null.into()).is_err());
}

#[test]
fn keys_come_before_tables() {
    check_set("a = 1\n\n[t]\nb = 2\n", "c", Scalar::int(3), "a = 1\nc = 3\n\n[t]\nb = 2\n");
    check_set("[t]\nb = 2\n", "c", Scalar::int(3), "c = 3\n\n[t]\nb = 2\n");
    check_set("[t]\n  b = 2 # c\n[u]\n", "t/c", Scalar::int(3), "[t]\n  b = 2 # c\n  c = 3\n[u]\n");
    check_set("[t]\n[u]\n", "t/c", Scalar::int(3), "[t]\nc = 3\n[u]\n");
    check_set("a.b = 1\n", "a/c", Scalar::int(3), "a.b = 1\na.c = 3\n");
    check_set("[a.b]\nx = 1\n", "a/c", Scalar::int(3), "[a.b]\nx = 1\n\n[a]\nc = 3\n");
    check_set("a = { b = 1 }\n", "a/c d", Scalar::int(3), "a = { b = 1, \"c d\" = 3 }\n");
    check_set("a = [\n  1,\n]\n", "a/1", Scalar::int(3), "a = [\n  1,\n  3,\n]\n");
    check_set("a = {}\n", "a/c", Scalar::int(3), "a = { c = 3 }\n");
    check_set("", "a/c", Scalar::int(3), "[a]\nc = 3\n");
    check_set("# only", "a", Scalar::int(3), "# only\na = 3\n");
    let table = Value::map([("x", Scalar::int(1).into())]);
    check_set("[t]\nb = 2\n\n[u]\n", "t/c", table.duplicate(), "[t]\nb = 2\n\n[t.c]\nx = 1\n\n[u]\n");
    check_set(
        "[[l]]\na = 1\n# c\n\n[u]\n",
        "l/1",
        table.duplicate(),
        "[[l]]\na = 1\n# c\n\n[[l]]\nx = 1\n\n[u]\n",
    );
    check_set("[t]\nb = 2\n\n[u]\n", "t", table, "[t]\nx = 1\n\n[u]\n");
}

#[test]
fn the_metadata_of_sops_comes_and_goes() {
    let age = Value::map([
        ("recipient", Value::string("age1notreal")),
        ("enc", Value::string("-----BEGIN\nx\n-----END\n")),
    ]);
    let metadata = Value::map([("age", Value::List(vec![age])), ("version", Value::string("3.13.2"))]);
    for before in ["a = 1\n", "# c\n[t]\nb = 2\n# foot\n\n", "[[l]]\nx = [\n 1\n]\n", "a.b = 1\r\n[c]\r\n"] {
        let mut document = parse(before);
        document.set(0, &path("sops"), &metadata).unwrap();
        assert!(document.expose().contains("[sops]") && document.expose().contains("[[sops.age]]"));
        let sops = document.find(0, &path("sops")).unwrap().id();
        document.remove(sops).unwrap();
        assert_eq!(document.expose(), before);
    }
}

#[test]
fn keys_and_tables_leave_with_their_lines() {
    check_remove("a = 1 # c\nb = [\n 1\n]\nc = 3\n", "b", "a = 1 # c\nc = 3\n");
    check_remove("a = 1\n\n[t]\nb = 2\n\n[u]\nc = 3\n\n[t.x]\nd = 4\n", "t", "a = 1\n\n[u]\nc = 3\n");
    check_remove("[t]\nb = 2\n\n[u]\nc = 3\n", "t", "[u]\nc = 3\n");
    check_remove("a.b = 1\na.c = 2\nd = 3\n", "a", "d = 3\n");
    check_remove("a = { b = 1, c = 2 }\n", "a/c", "a = { b = 1 }\n");
    check_remove("a = [1, 2]\n", "a/0", "a = [2]\n");
    check_remove("[[l]]\na = 1\n\n[[l]]\na = 2\n", "l/0", "[[l]]\na = 2\n");
}

#[test]
fn fresh_documents_put_tables_last() {
    let value = Value::map([
        ("t", Value::map([("x", Scalar::int(1).into()), ("u", Value::map([("y", Value::string("a\nb"))]))])),
        ("a", Value::List(vec![Scalar::Bool(true).into(), Value::map([("z w", Scalar::float(1.0).into())])])),
        ("l", Value::List(vec![Value::map([("m", Scalar::int(1).into())])])),
        ("e", Value::map::<&str>([])),
    ]);
    let document = Document::fresh(Syntax::Toml, &[value], Indent::Usual).unwrap();
    insta::assert_snapshot!(document.expose(), @r#"
    a = [true, { "z w" = 1.0 }]
    e = {}

    [t]
    x = 1

    [t.u]
    y = """
    a
    b"""

    [[l]]
    m = 1
    "#);
}
