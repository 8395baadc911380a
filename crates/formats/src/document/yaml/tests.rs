use crate::document::{
    Document, Indent, Kind, Limits, Node, Path, Place, Rewrite, Scalar, Step, Syntax, Value,
};
use strongroom_secret::SecretString;

fn parse(text: &str) -> Document {
    let document = Document::parse(Syntax::Yaml, text, &Limits::default()).unwrap();
    assert_eq!(document.expose(), text);
    document
}

fn error(text: &str) -> String {
    Document::parse(Syntax::Yaml, text, &Limits::default()).unwrap_err().to_string()
}

/// Every value and comment: its path, what it is, and its text.
fn listing(document: &Document) -> String {
    let line = |node: Node<'_>| {
        let (part, path) = (node.part(), node.path());
        Some(match node.kind() {
            Kind::Comment(placement) => format!("{part}:{path} {placement:?}#{}\n", node.comment()?),
            Kind::Scalar(kind) => format!("{part}:{path} {kind:?} {:?}\n", node.scalar()?.expose()),
            Kind::Alias => format!("{part}:{path} alias of {}\n", node.target()?.path()),
            _ => return None,
        })
    };
    document.walk().filter_map(line).collect()
}

fn path(text: &str) -> Path {
    let step = |word: &str| word.parse().map_or_else(|_| Step::from(word), Step::Index);
    Path(text.split('/').filter(|word| !word.is_empty()).map(step).collect())
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

/// The places and paths are those that go-yaml v3 gives sops.
#[test]
fn comments_belong_where_go_yaml_puts_them() {
    let document = parse(
        "# head\n\na: # on a\n  b: 1\n  # end of a\n# top\nc:\n# in c\n- x # t\n# head of d\nd:\n  e:\n    - 1\n\n    # far\n\n  \
         # mid\n\n# last\nf: | # hdr\n  text\ng: # on g\n  - h # on h\n  -  # on dash\n    i: 2\nj: # on j\n   scalar # on scalar\nk:\n\n  \
         # k head\n\n  l: {a: 1, # flow\n    b: 2} # on l\n# end\n",
    );
    insta::assert_snapshot!(listing(&document), @r#"
    0: Line# head
    0:a.b Int "1"
    0:a Line# end of a
    0: Trailing# on a
    0: Line# top
    0:c Line# in c
    0:c[0] String "x"
    0:c Trailing# t
    0: Line# head of d
    0:d.e[0] Int "1"
    0:d.e Line# far
    0:d Line# mid
    0: Line# last
    0:f String "text\n"
    0: Trailing# hdr
    0:g[0] String "h"
    0:g Trailing# on h
    0:g[1] Trailing# on dash
    0:g[1].i Int "2"
    0: Trailing# on g
    0:j String "scalar"
    0: Trailing# on j
    0: Trailing# on scalar
    0:k Line# k head
    0:k.l.a Int "1"
    0:k.l Trailing# flow
    0:k.l.b Int "2"
    0:k.l Trailing# on l
    0: Line# end
    "#);
}

#[test]
fn parts_aliases_tags_and_keys_of_all_kinds() {
    let document = parse(
        "\u{feff}%YAML 1.2\n--- # one\na: &x {b: !!str 1, c: !secret s}\nd: *x\n1: int key\n? [p, q]\n: complex\n<<: *x\n...\n# between\n---\n---\n\
         # alone\n---\n|\n  root\n",
    );
    insta::assert_snapshot!(listing(&document), @r#"
    0: Trailing# one
    0:a.b String "1"
    0:a.c String "s"
    0:d alias of a
    0:1 String "int key"
    0:"[p, q]" String "complex"
    0:"<<" alias of a
    1: Line# between
    2: Line# alone
    3: String "root\n"
    "#);
    let value = document.root(0).unwrap().value().unwrap();
    assert_eq!(value.at(&path("d/b")).unwrap().as_str(), Some("1"));
    assert_eq!(value.at(&path("c")).unwrap().as_str(), Some("s"));
    assert_eq!(document.find(0, &path("a")).unwrap().anchor(), Some("x"));
    assert_eq!(document.find(0, &path("a/c")).unwrap().tag(), Some("!secret"));
    assert!(document.root(1).is_none());
}

#[test]
fn what_is_wrong_is_said_without_values() {
    assert_eq!(error("a: 1\nb: 2\na: 3\n"), "line 3, column 1: the key \"a\" stands here twice");
    assert!(error("a:\n\tb: hidden\n").starts_with("line 2, column"), "{}", error("a:\n\tb: hidden\n"));
    assert!(!error("a: *hidden\n").contains("hidden"));
    assert_eq!(error(&"[".repeat(500)), "line 1, column 129: recursion limit exceeded");
    let bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned()
        + &(b'b'..b'k')
            .map(|c| {
                format!("{0}: &{0} [{1}]\n", c as char, vec![format!("*{}", (c - 1) as char); 10].join(", "))
            })
            .collect::<String>();
    let document = parse(&bomb);
    assert_eq!(
        document.root(0).unwrap().value().unwrap_err().what,
        "the aliases of this document stand for too much"
    );
    assert!(parse("&a [*a]").root(0).unwrap().value().is_err());
}

#[test]
fn a_scalar_keeps_its_style() {
    check_set("a: 'x' # c\r\nb: 1\r\n", "a", Value::string("it's"), "a: 'it''s' # c\r\nb: 1\r\n");
    check_set("a: \"x\"\n", "a", Value::string("é\n\"\u{1}"), "a: \"é\\n\\\"\\x01\"\n");
    check_set(
        "a: x\n",
        "a",
        Value::string("ENC[AES256_GCM,data:x=,type:str]"),
        "a: ENC[AES256_GCM,data:x=,type:str]\n",
    );
    check_set("{a: x}\n", "a", Value::string("ENC[a,b]"), "{a: 'ENC[a,b]'}\n");
    check_set("a: x\n", "a", Value::string("yes"), "a: \"yes\"\n");
    check_set("a: x\n", "a", Value::string("a: b"), "a: 'a: b'\n");
    check_set("a: 'x'\n", "a", Scalar::int(5), "a: 5\n");
    check_set("a: !!int \"5\" # c\n", "a", Value::string("ENC[]"), "a: \"ENC[]\" # c\n");
    check_set("a: &x !t 5\nb: *x\n", "a", Value::string("z"), "a: &x !t z\nb: *x\n");
    check_set("- a\n- b: plain\n    lines\n  c: d\n", "1/b", Scalar::Bool(true), "- a\n- b: true\n  c: d\n");
}

#[test]
fn what_was_not_written_can_be_set() {
    check_set("a:\nb: 1\n", "a", Value::string("x"), "a: x\nb: 1\n");
    check_set("a:    # c\n", "a", Value::string("x"), "a: x    # c\n");
    check_set("{a, b: , c}", "a", Value::string("x"), "{a: x, b: , c}");
    check_set("{a, b: , c}", "b", Value::string("x"), "{a, b: x , c}");
    check_set("-\n- b", "0", Value::string("x"), "- x\n- b");
    check_set("a: !!str\n", "a", Value::string("x"), "a: !!str x\n");
}

#[test]
fn lines_go_into_blocks_and_out_of_them() {
    check_set("a: x # c\nb: 1\n", "a", Value::string("l1\n\nl2\n"), "a: | # c\n    l1\n\n    l2\nb: 1\n");
    check_set(
        "a: | # c\n  l1\n  l2\n\n# d\nb: 1\n",
        "a",
        Value::string("ENC[]"),
        "a: ENC[] # c\n\n# d\nb: 1\n",
    );
    check_set(
        "a:\n  b: >-\n      x\n      y\n  c: 1\n",
        "a/b",
        Value::string("p\nq"),
        "a:\n  b: |-\n      p\n      q\n  c: 1\n",
    );
    check_set("a: |+\n  x\n\n\nb: 1\n", "a", Value::string("ENC[]"), "a: ENC[]\nb: 1\n");
    check_set("a: x\nb: 1\n", "a", Value::string("p\n\n"), "a: |+\n    p\n\nb: 1\n");
    check_set("a: x", "a", Value::string("  p\nq\n"), "a: |4\n      p\n    q\n");
    check_set("a: x\r\n", "a", Value::string("p\nq"), "a: |-\r\n    p\r\n    q\r\n");
    check_set("- x\n", "0", Value::string("p\nq"), "- |-\n  p\n  q\n");
    check_set("[x]\n", "0", Value::string("p\nq"), "[\"p\\nq\"]\n");
    check_set("a: |\nb: 1\n", "a", Value::string("p\nq\n"), "a: |\n    p\n    q\nb: 1\n");
}

#[test]
fn keys_and_items_are_added_in_the_style_around() {
    check_set(
        "a:\n  b: 1 # c\n  # foot\n\nd: 2\n",
        "a/x",
        Scalar::Null,
        "a:\n  b: 1 # c\n  # foot\n  x: null\n\nd: 2\n",
    );
    check_set("a:\n- b\nc: 1\n", "a/1", Value::string("x"), "a:\n- b\n- x\nc: 1\n");
    check_set("a:\n  b: 1\n", "c/d/0/e", Value::string("x"), "a:\n  b: 1\nc:\n  d:\n    - e: x\n");
    check_set("a: {b: 1}\n", "a/c", Value::List(vec![Value::string("x")]), "a: {b: 1, c: [x]}\n");
    check_set("a: {\n  b: 1\n}\n", "a/c", Value::string("x, y"), "a: {\n  b: 1,\n  c: 'x, y'\n}\n");
    check_set("a: {} # c\n", "a/b", Value::string("p\nq\n"), "a: # c\n    b: |\n        p\n        q\n");
    check_set("{}\n", "a", Scalar::int(1), "a: 1\n");
    check_set("", "a/b", Scalar::int(1), "a:\n    b: 1\n");
    check_set("# only\n", "a", Scalar::int(1), "# only\na: 1\n");
    check_set("---\n# only", "a", Scalar::int(1), "---\n# only\na: 1\n");
    check_set("a: 1\n...\n---\nb: 2\n", "c", Scalar::int(3), "a: 1\nc: 3\n...\n---\nb: 2\n");
    check_set("a: |+\n  x\n\n\n", "c", Scalar::int(3), "a: |+\n  x\n\n\nc: 3\n");
    let mut document = parse("- a: 1\n  b: 2\n");
    let map = document.find(0, &path("0")).unwrap().id();
    document.insert(map, "first", &Value::List(vec![]), Place::First).unwrap();
    let a = document.find(0, &path("0/a")).unwrap().id();
    let map = document.find(0, &path("0")).unwrap().id();
    document.insert(map, "after a", &Value::string("x"), Place::After(a)).unwrap();
    assert_eq!(document.expose(), "- first: []\n  a: 1\n  after a: x\n  b: 2\n");
}

#[test]
fn entries_leave_with_their_lines() {
    check_remove("a: 1\n# about b\nb: 2 # c\nd: 3\n", "b", "a: 1\n# about b\nd: 3\n");
    check_remove("a:\n  b:\n    - 1\n    # foot\n  c: 2\n", "a/b", "a:\n  c: 2\n");
    check_remove("a:\n  b: 1\nc: 2\n", "a/b", "a: {}\nc: 2\n");
    check_remove("a: 1\n", "a", "{}\n");
    check_remove("- a: 1\n  b: 2\n- c\n", "0/a", "- b: 2\n- c\n");
    check_remove("- - a\n  - b\n", "0/0", "- - b\n");
    check_remove("x: [a, b, c]", "x/1", "x: [a, c]");
    check_remove("x: [a, b, c]", "x/2", "x: [a, b]");
    check_remove("x: {a: 1}", "x/a", "x: {}");
    check_remove("a: |\n  x\n\nb: 1\n", "a", "\nb: 1\n");
    check_remove("\u{feff}a: 1\nb: 2", "a", "\u{feff}b: 2");
    check_remove("a: 1\nb: 2", "b", "a: 1\n");
}

#[test]
fn trees_are_replaced_whole() {
    let map = || Value::map([("x", Scalar::int(1).into()), ("w", Value::List(vec![Value::string("z")]))]);
    check_set("a: 1 # c\nb: 2\n", "a", map(), "a: # c\n    x: 1\n    w:\n        - z\nb: 2\n");
    check_set("a:\n  - p\n  # q\nb: 2\n", "a", map(), "a:\n  x: 1\n  w:\n    - z\nb: 2\n");
    check_set("- p: 1\n  q: 2\n- r\n", "0", map(), "- x: 1\n  w:\n    - z\n- r\n");
    check_set("a: # c\n  b: 1\nd: 2\n", "a", Value::string("s"), "a: s # c\nd: 2\n");
    check_set("a: [1, {b: 2}]\n", "a/1", map(), "a: [1, {x: 1, w: [z]}]\n");
    check_set("a: [1, # p\n  2] # q\n", "a", map(), "a: # q\n    x: 1\n    w:\n        - z\n");
    check_set("a: 1\n", "", map(), "x: 1\nw:\n    - z\n");
}

#[test]
fn the_metadata_of_sops_comes_and_goes() {
    let age = "-----BEGIN AGE ENCRYPTED FILE-----\nbm90LWEtcmVhbC1rZXk=\n-----END AGE ENCRYPTED FILE-----\n";
    let recipient = Value::map([("recipient", Value::string("age1notreal")), ("enc", Value::string(age))]);
    let metadata = Value::map([
        ("age", Value::List(vec![recipient])),
        ("lastmodified", Value::string("2026-01-01T00:00:00Z")),
        ("version", Value::string("3.13.2")),
    ]);
    let before = "# head\na:\n    b: 1\n\n# foot\n";
    let mut document = parse(before);
    let root = document.root(0).unwrap().id();
    document.insert(root, "sops", &metadata, Place::Last).unwrap();
    insta::assert_snapshot!(document.expose(), @r#"
    # head
    a:
        b: 1

    # foot
    sops:
        age:
            - recipient: age1notreal
              enc: |
                -----BEGIN AGE ENCRYPTED FILE-----
                bm90LWEtcmVhbC1rZXk=
                -----END AGE ENCRYPTED FILE-----
        lastmodified: "2026-01-01T00:00:00Z"
        version: 3.13.2
    "#);
    let sops = document.find(0, &path("sops")).unwrap().id();
    document.remove(sops).unwrap();
    assert_eq!(document.expose(), before);
}

#[test]
fn comments_are_rewritten_in_place() {
    let mut document = parse("# one\na: 1 # two\nb: | # three\n  x\n");
    let rewrites: Vec<_> = document
        .walk()
        .filter_map(|node| {
            Some((node.id(), Rewrite::Comment(SecretString::new(format!("ENC[{}]", node.comment()?)))))
        })
        .collect();
    document.rewrite(&rewrites).unwrap();
    assert_eq!(document.expose(), "#ENC[ one]\na: 1 #ENC[ two]\nb: | #ENC[ three]\n  x\n");
}

/// As go.yaml.in/yaml/v3 3.0.4 writes with an indentation of four, but for what it writes in a harder way than needed.
#[test]
fn fresh_documents_look_like_those_of_sops() {
    let text = r#"{"a":"x","multi":"l1\nl2\n","nonl":"l1\nl2","two":"l1\nl2\n\n","lead":"  l1\nl2\n","trail":"l1 \nl2",
        "list":["p","m1\nm2\n",{"k":"v","n":{"o":{"p":1}},"q":["r"],"ml":"x\ny"},[["z"]],[],{}],"colon":"a: b","hash":"a #b",
        "quote":"it's","yes":"yes","num":"5","empty":"","tilde":"~","date":"2001-12-14","sp":" lead","tab":"a\tb","ctl":"a\u0001b",
        "uni":"é","brace":"{x}","dash":"- x","dash2":"-x","q":"?x","colend":"x:","dq":"\"x\"","bs":"a\\b","b60":"1:30","b":true,
        "n":null,"key: x":1,"=":"=","c,d":"c,d","[x":"x]","cr":"a\r\nb","sptab":"a\n\tb","spnl":"a\n \nb"}"#;
    let json = Document::parse(Syntax::Json, text, &Limits::default()).unwrap();
    let value = json.root(0).unwrap().value().unwrap();
    let document = Document::fresh(Syntax::Yaml, &[value], Indent::Usual).unwrap();
    insta::assert_snapshot!(document.expose(), @r#"
    a: x
    multi: |
        l1
        l2
    nonl: |-
        l1
        l2
    two: |+
        l1
        l2

    lead: |4
          l1
        l2
    trail: "l1 \nl2"
    list:
        - p
        - |
          m1
          m2
        - k: v
          "n":
            o:
                p: 1
          q:
            - r
          ml: |-
            x
            y
        - - - z
        - []
        - {}
    colon: 'a: b'
    hash: 'a #b'
    quote: it's
    "yes": "yes"
    num: "5"
    empty: ""
    tilde: "~"
    date: "2001-12-14"
    sp: ' lead'
    tab: "a\tb"
    ctl: "a\x01b"
    uni: é
    brace: '{x}'
    dash: '- x'
    dash2: -x
    q: ?x
    colend: 'x:'
    dq: '"x"'
    bs: a\b
    b60: "1:30"
    b: true
    "n": null
    'key: x': 1
    =: =
    c,d: c,d
    '[x': x]
    cr: "a\r\nb"
    sptab: |-
        a
        	b
    spnl: "a\n \nb"
    "#);
}
