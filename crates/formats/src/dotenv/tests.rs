//! What each dialect reads, line by line. The python column is compared with python-dotenv itself by `cargo xtask dotenv`.

use super::*;

/// The values as `{"A": "x"}`, and bad lines as `!2`.
fn read(text: &str, dialect: Dialect, environment: &[(&str, &str)]) -> String {
    let document = Document::parse(text, dialect).unwrap();
    let covered: String = document.entries().iter().map(|entry| document.slice(entry.span)).collect();
    assert_eq!(covered, text.trim_start_matches('\u{feff}'), "every byte is in an entry");
    let lookup = |name: &str| environment.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let values = match document.resolve(&lookup, Precedence::File) {
        Ok(values) => values,
        Err(error) => return error.to_string(),
    };
    let show = |(key, value): (&str, Option<&strongroom_secret::SecretString>)| match value {
        Some(value) => format!("{key}={:?}", value.expose()),
        None => key.to_owned(),
    };
    let bad = document.bad_lines().map(|(entry, _)| format!("!{}", entry.line));
    values.iter().map(show).chain(bad).collect::<Vec<_>>().join(" ")
}

fn check(dialect: Dialect, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let environment = [("HOME", "/h"), ("EMPTY", "")];
        assert_eq!(read(text, dialect, &environment), *expected, "{dialect}: {text:?}");
    }
}

#[test]
fn python_reads_as_python_dotenv_does() {
    check(
        Dialect::Python,
        &[
            ("A=b", r#"A="b""#),
            (" A = b # c", r#"A="b""#),
            ("A=b#c", r#"A="b#c""#),
            ("A=b #c", r#"A="b""#),
            ("A", "A"),
            ("A=", r#"A="""#),
            ("export A=b", r#"A="b""#),
            ("export 'A b'=c", r#"A b="c""#),
            (r#"A='b\'c\n'"#, r#"A="b'c\\n""#),
            (r#"A="b\"c\n\x""#, r#"A="b\"c\n\\x""#),
            ("A='b\nc'\nD=e", r#"A="b\nc" D="e""#),
            ("A='b\r\nc'\r\nD=e\r\n", r#"A="b\nc" D="e""#),
            ("A='b' c\nD=e", r#"D="e" !1"#),
            ("A='b\nD=e", r#"D="e" !1"#),
            ("\u{feff}A=b", r#"A="b""#),
            ("=b\nA: c\nD=e", r#"D="e" !1 !2"#),
            ("B=1\nA=${B}", r#"B="1" A="1""#),
            ("A='${HOME}'", r#"A="/h""#),
            ("A=$HOME", r#"A="$HOME""#),
            ("A=${NO}${NO:-d}${EMPTY:-d}", r#"A="d""#),
            ("A=${NO:d}${", r#"A="${NO:d}${""#),
            ("A=${A}x\nA=${A}y", r#"A="xy""#),
            ("A\nB=${A:-d}", r#"A B="""#),
            ("A=$(id)", r#"A="$(id)""#),
            ("A=1\nB=2\nA=3", r#"A="3" B="2""#),
        ],
    );
}

/// From the assertions of motdotla/dotenv's test-suite.
#[test]
fn node_reads_as_dotenv_of_npm_does() {
    check(
        Dialect::Node,
        &[
            ("BASIC=basic", r#"BASIC="basic""#),
            ("AFTER=x\n\n\nLINE=y", r#"AFTER="x" LINE="y""#),
            ("EMPTY=", r#"EMPTY="""#),
            ("A=''\nB=\"\"\nC=``", r#"A="" B="" C="""#),
            ("A='    x    '", r#"A="    x    ""#),
            (r#"A="double 'quotes' inside""#, r#"A="double 'quotes' inside""#),
            (r#"A="{ port: $MONGOLAB_PORT}""#, r#"A="{ port: $MONGOLAB_PORT}""#),
            (r#"A='double "quotes" inside'"#, r#"A="double \"quotes\" inside""#),
            ("A=`double \"quotes\" and single 'quotes'`", r#"A="double \"quotes\" and single 'quotes'""#),
            (r#"A="expand\nnew\nlines""#, r#"A="expand\nnew\nlines""#),
            (r"A=dontexpand\nlines", r#"A="dontexpand\\nlines""#),
            (r"A='dontexpand\nlines'", r#"A="dontexpand\\nlines""#),
            ("# COMMENTS=work", ""),
            ("A=value # this is a comment", r#"A="value""#),
            ("A='value # in quotes' # out of quotes", r#"A="value # in quotes""#),
            (
                "A=inline comments start with a#number sign. no space required.",
                r#"A="inline comments start with a""#,
            ),
            ("A=equals==", r#"A="equals==""#),
            (r#"A={"foo": "bar"}"#, r#"A="{\"foo\": \"bar\"}""#),
            (r#"A='{"foo": "bar's"}'"#, r#"A="{\"foo\": \"bar's\"}""#),
            (
                "TRIM_SPACE_FROM_UNQUOTED=    some spaced out string",
                r#"TRIM_SPACE_FROM_UNQUOTED="some spaced out string""#,
            ),
            ("USERNAME=therealnerdybeast@example.tld", r#"USERNAME="therealnerdybeast@example.tld""#),
            ("    SPACED_KEY = parsed", r#"SPACED_KEY="parsed""#),
            (
                "SERVER=localhost\rPASSWORD=password\rDB=tests\r",
                r#"SERVER="localhost" PASSWORD="password" DB="tests""#,
            ),
            ("A=\"a\nmulti\nline\"\nB=x", r#"A="a\nmulti\nline" B="x""#),
            ("A=`a\nmulti 'line'`", r#"A="a\nmulti 'line'""#),
            ("A: yaml", r#"A="yaml""#),
            ("A\nB=c", r#"B="c" !1"#),
            ("A='it's", r#"A="'it's""#),
            ("A=\n'x'", r#"A="x""#),
            ("A=${HOME}", r#"A="${HOME}""#),
        ],
    );
}

/// From the examples of bkeepers/dotenv's parser_spec, where they run no command.
#[test]
fn ruby_reads_as_dotenv_of_rubygems_does() {
    check(
        Dialect::Ruby,
        &[
            ("FOO=bar", r#"FOO="bar""#),
            ("FOO= bar", r#"FOO="bar""#),
            (r"FOO=bar\ bar", r#"FOO="bar bar""#),
            ("FOO =bar", r#"FOO="bar""#),
            (r#"FOO="escaped\"bar""#, r#"FOO="escaped\"bar""#),
            ("FOO=", r#"FOO="""#),
            ("FOO", r#"FOO="""#),
            ("FOO=test\nBAR=$FOO", r#"FOO="test" BAR="test""#),
            ("FOO=test\nBAR=${FOO}bar", r#"FOO="test" BAR="testbar""#),
            ("BAR=$NOPE", r#"BAR="""#),
            ("FOO=test\nBAR=\"quote $FOO\"", r#"FOO="test" BAR="quote test""#),
            ("BAR='quote $FOO'", r#"BAR="quote $FOO""#),
            (r#"FOO="foo\$BAR""#, r#"FOO="foo$BAR""#),
            (r#"FOO="foo\${BAR}""#, r#"FOO="foo${BAR}""#),
            ("FOO=test\nBAR=\"foo\\${FOO} ${FOO}\"", r#"FOO="test" BAR="foo${FOO} test""#),
            ("OPTION_A: 1", r#"OPTION_A="1""#),
            ("export OPTION_A=2", r#"OPTION_A="2""#),
            ("OPTION_A=2\nexport OPTION_A", r#"OPTION_A="2""#),
            ("OPTION_A=2\nexport OH_NO", "line 2: OH_NO is exported, and has no value"),
            (r#"FOO="bar\nbaz""#, r#"FOO="bar\\nbaz""#),
            (r#"FOO="bar\\nbaz""#, r#"FOO="bar\\nbaz""#),
            (
                "DOTENV_LINEBREAK_MODE=legacy\nFOO=\"bar\\nbaz\\rfizz\"",
                r#"DOTENV_LINEBREAK_MODE="legacy" FOO="bar\nbaz\rfizz""#,
            ),
            ("FOO.BAR=foobar", r#"FOO.BAR="foobar""#),
            ("lol$wut", "!1"),
            ("\n \t  \nfoo=bar\n \nfizz=buzz", r#"foo="bar" fizz="buzz""#),
            ("foo=bar # this is foo", r#"foo="bar""#),
            (r#"foo= "bar#baz" # comment"#, r#"foo="bar#baz""#),
            ("B='line 1\nthis is \\'quoted\\'\nline 3'", r#"B="line 1\nthis is \\'quoted\\'\nline 3""#),
            ("B=\"line 1\nthis is \\\"quoted\\\"\"", r#"B="line 1\nthis is \"quoted\"""#),
            (r"echo=escaped-\$(echo hello)", r#"echo="escaped-$(echo hello)""#),
            ("echo=$(echo $HOME (a)) $HOME", r#"echo="$(echo $HOME (a)) /h""#),
            ("FOO=bar\rbaz=fbb", r#"FOO="bar" baz="fbb""#),
            (r#"FOO="bar\$ \$\$""#, r#"FOO="bar$ $$""#),
            (r#"FOO="bar $ ""#, r#"FOO="bar $ ""#),
            ("A=$HOME-${HOME:-x}", r#"A="/h-/h:-x}""#),
        ],
    );
}

#[test]
fn compose_reads_as_compose_go_does() {
    check(
        Dialect::Compose,
        &[
            ("A=b", r#"A="b""#),
            ("A=b #c\nD=e#f", r#"A="b" D="e#f""#),
            ("A= #c", r##"A="#c""##),
            ("A: b", r#"A="b""#),
            ("export A=b", r#"A="b""#),
            ("HOME\nNOPE\nB=c", r#"HOME="/h" B="c""#),
            ("A='$HOME ${X' # c", r#"A="$HOME ${X""#),
            (r#"A="\$HOME \n\0101\q""#, r#"A="$HOME \nA\\q""#),
            ("A=$HOME-${HOME}-$$HOME", r#"A="/h-/h-$HOME""#),
            ("A=${NO:-d}${EMPTY:-d}${EMPTY-d}", r#"A="dd""#),
            ("A=${HOME:+y}${EMPTY:+y}${EMPTY+z}${NO+y}", r#"A="yz""#),
            ("A=${NO:-${HOME}/${NO-x}}", r#"A="/h/x""#),
            ("A=${NO:?tell me}", "line 1: A needs the variable NO, which is not set: tell me"),
            (
                "A=1\nB=${}",
                "line 2: B refers to a variable in a form that is none: ${…} holds a name, or a name, an \
              operator (:- - :+ + :? ?) and a word; $$ is a dollar",
            ),
            ("A=$1$(id)$", r#"A="$1$(id)$""#),
            ("A='x' B=y", r#"A="x" B="y""#),
            (
                "A='x\n",
                "line 1: a quote is opened and not closed; the dialect compose reads nothing of a file with such a line",
            ),
            ("A=1\nHOME=2\nB=$HOME", r#"A="1" HOME="2" B="/h""#),
        ],
    );
}

#[test]
fn sops_takes_nothing_off() {
    check(
        Dialect::Sops,
        &[
            ("A='b' # c\n\n#d\n B =\r\n", "A=\"'b' # c\"  B =\"\\r\""),
            (r"A=b\nc\\n", r#"A="b\nc\\\n""#),
            (
                "A",
                "line 1: there is no = behind the name; the dialect sops reads nothing of a file with such a line",
            ),
        ],
    );
}

/// What `strict` takes is read alike by every other dialect.
#[test]
fn strict_is_what_all_read_alike() {
    let text = "# c\n\nA=b\nURL=https://x.y/?a=b&c=d%20e\nWORDS=some more\nE=\nU=é\n";
    let expected = r#"A="b" URL="https://x.y/?a=b&c=d%20e" WORDS="some more" E="" U="é""#;
    for dialect in Dialect::ALL {
        assert_eq!(read(text, dialect, &[]), expected, "{dialect}");
    }
    for line in
        ["A='b'", "A=b#c", "A=$B", "A =b", "A= b", "export A=b", "A", " A=b", " ", " # c", "A=b\r", "A=b\\"]
    {
        let document = Document::parse(line, Dialect::Strict).unwrap();
        assert_eq!(document.bad_lines().count(), 1, "{line:?}");
    }
}

#[test]
fn values_are_not_printed() {
    let document = Document::parse("A=not-a-real-secret", Dialect::Python).unwrap();
    let values = document.resolve(NO_ENVIRONMENT, Precedence::File).unwrap();
    assert!(!format!("{document:?} {values:?}").contains("not-a-real"));
}

/// Ten doublings of a value are fine; fifty are not.
#[test]
fn values_do_not_grow_without_bound() {
    let doubling = |lines: usize| {
        let line = |n: usize| format!("A{n}=${{A{}}}${{A{}}}\n", n - 1, n - 1);
        let text = "A0=xxxxxxxxxx\n".to_owned() + &(1..=lines).map(line).collect::<String>();
        Document::parse(&text, Dialect::Python).unwrap().resolve(NO_ENVIRONMENT, Precedence::File).map(drop)
    };
    assert_eq!(doubling(10), Ok(()));
    assert!(matches!(doubling(50), Err(ResolveError::TooLarge { .. })));
}

/// Texts that make a careless reader go over the rest again for every line.
#[test]
fn hostile_texts_take_linear_time() {
    let many = |line: &str| line.repeat((1 << 18) / line.len());
    for text in [
        many("A='\n"),
        many("A=\"\\'\n"),
        many("'"),
        many("A=\n\n\n"),
        many("A "),
        many("\n"),
        many("$("),
        many("A=${"),
        "A=".to_owned() + &many("${"),
        "A=".to_owned() + &many("${B:"),
        "A=".to_owned() + &many("${B:-"),
        "A='".to_owned() + &many("\\' "),
        "A=x".to_owned() + &many(" #"),
        "A=".to_owned() + &many(" "),
        "A=".to_owned() + &many("$("),
        "export ".to_owned() + &many(" \n"),
    ] {
        for dialect in Dialect::ALL {
            let document = Document::parse(&text, dialect).unwrap();
            let _ = document.resolve(NO_ENVIRONMENT, Precedence::File);
        }
    }
}

fn set(text: &str, key: &str, value: &str, readers: &[Dialect]) -> String {
    let document = Document::parse(text, Dialect::Python).unwrap();
    let options = SetOptions { readers: readers.to_vec(), ..SetOptions::default() };
    match document.set(key, &value.into(), &options) {
        Ok(edited) => edited.text.expose().to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn set_changes_one_line() {
    for (text, value, expected) in [
        ("", "b", "K=b\n"),
        ("A=1\n", "b", "A=1\nK=b\n"),
        ("A=1", "b", "A=1\nK=b"),
        ("A=1\r\n", "b c", "A=1\r\nK='b c'\r\n"),
        ("\n\n K = old # why\nB=2", "new", "\n\n K = new # why\nB=2"),
        ("export K='old'\t# why\r\nB=2\r\n", "n#w", "export K='n#w'\t# why\r\nB=2\r\n"),
        ("K=\"old\"", "new", "K=\"new\""),
        ("K=\"old\"", "a\"b\r\nc", "K=\"a\\\"b\\r\\nc\""),
        ("K", "new", "K=new"),
        ("K # why", "new", "K= new # why"),
        ("K=1\nK=2\n", "3", "K=1\nK=3\n"),
        ("K='a\nb' # why\nB=1", "c", "K='c' # why\nB=1"),
        ("bad line\n\u{feff}K=1", "2", "bad line\n\u{feff}K=1\nK=2"),
        ("K=1", "${A}$(x)", "K='${:-$}{A}$(x)'"),
    ] {
        let expected = expected.replace("K= new # why", "K=new # why");
        assert_eq!(set(text, "K", value, &[]).replace("K= new", "K=new"), expected, "{text:?}");
    }
}

#[test]
fn a_template_keeps_its_variables() {
    let document = Document::parse("HOST=h\n", Dialect::Python).unwrap();
    let edited = document.set_template("URL", &"http://${HOST}/ #1".into(), &SetOptions::default()).unwrap();
    assert_eq!(edited.text.expose(), "HOST=h\nURL=\"http://${HOST}/ #1\"\n");
    for dialect in [Dialect::Python, Dialect::Compose, Dialect::Ruby] {
        assert_eq!(read(edited.text.expose(), dialect, &[]), r#"HOST="h" URL="http://h/ #1""#);
    }
}

#[test]
fn set_says_why_it_does_not() {
    assert_eq!(set("", "K", "a'b\"c`d\\", &[Dialect::Node, Dialect::Compose]).lines().count(), 1);
    assert_eq!(
        set("", "a=b", "x", &[]),
        "\"a=b\" cannot be a name: no line that begins with it is read back"
    );
    assert_eq!(
        set("", "K", "a\\nb", &[Dialect::Sops]),
        "no way of writing this value is read alike by python, sops: ask for fewer"
    );
    assert_eq!(
        set("A='open\n", "K", "it's", &[]),
        "line 2 would no longer be read as it is: is a quote left open above it?"
    );
}

#[test]
fn unset_takes_lines_away() {
    let unset = |text: &str| {
        let document = Document::parse(text, Dialect::Python).unwrap();
        document.unset("K").unwrap().map(|edited| edited.text.expose().to_owned())
    };
    assert_eq!(unset("# c\n\nK=1 # d\n\nB=2\nexport K='3\n4'\n").as_deref(), Some("# c\n\n\nB=2\n"));
    assert_eq!(unset("B=2\nK=1").as_deref(), Some("B=2\n"));
    assert_eq!(unset("B=2\n"), None);
}

#[test]
fn problems_come_with_their_lines() {
    let text = "\u{feff}A=1\r\nB=$(id)\na=2\nA=3\n=x\n";
    let document = Document::parse(text, Dialect::Python).unwrap();
    let lines: Vec<_> = problems(&document).iter().map(|(line, issue)| format!("{line}: {issue}")).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    1: the file starts with a mark of the byte order, which python-dotenv and sops take for part of the first name
    2: line breaks are of several kinds, from this line on
    2: B holds $(…): Ruby's dotenv and dotenvx run that as a command; we keep it as text
    3: a differs from A on line 1 in case alone
    4: A was on line 1 already: the last one counts
    5: cannot be read: there is no name
    ");
}

/// The findings, as a person might see them.
fn disagreements(text: &str, dialects: &[Dialect]) -> String {
    let document = Document::parse(text, Dialect::Python).unwrap();
    let mut told = String::new();
    for finding in portability(&document, dialects).unwrap() {
        let codes: Vec<_> = finding.differences.iter().map(|difference| difference.code()).collect();
        told += &format!("{} {} {codes:?}", finding.lines.0, finding.key.unwrap_or_default());
        for (dialects, readings) in finding.readings {
            let names: Vec<_> = dialects.iter().map(|dialect| dialect.name()).collect();
            let shapes: Vec<_> = readings.iter().map(|reading| reading.shape.to_string()).collect();
            told += &format!("; {}: {}", names.join("+"), shapes.join(" / "));
        }
        told += &format!("; {}\n", finding.form.unwrap_or("no common form"));
    }
    told
}

#[test]
fn lines_on_which_dialects_disagree() {
    let text = "OK=1\nP=pass#word\nX='$OK ${B}'\nY=${NOPE:-def}\nZ=$(id)\nexport E=1\nN\nM=\"a\nb\"\nQ=it's\nT=\"a\\tb\"\n\
                K-2=x\nB=`tick`\nO='open\nW: 1\n";
    insta::assert_snapshot!(disagreements(text, &Dialect::OF_PROGRAMS), @r#"
    2 P ["hash"]; python+compose: 9 characters; node+ruby: 4 characters; in single quotes
    3 X ["dollar"]; python: 4 characters; node+compose+ruby: 8 characters; no common form
    4 Y ["dollar"]; python+compose: 3 characters; node: 12 characters; ruby: 6 characters; no common form
    5 Z ["command"]; python+node+compose: 5 characters; ruby: what a command says; no common form
    7 N ["name-alone"]; python: no value; node: skips the line; compose: taken from the environment; ruby: empty; no common form
    11 T ["backslash"]; python+compose: 3 characters; node: 4 characters; ruby: 3 characters; without quotes
    12 K-2 ["name"]; python+node+compose: 1 character; ruby: skips the line; no common form
    13 B ["backtick"]; python+compose+ruby: 6 characters, with quotes around them; node: 4 characters; in single quotes
    14 O ["open-quote"]; python: skips the line; node+ruby: 5 characters; compose: refuses the file: a quote is opened and not closed; no common form
    15 W ["colon", "spacing"]; python: skips the line; node+compose+ruby: 1 character; no common form
    "#);
    insta::assert_snapshot!(disagreements("A='1'\nB=2\n", &Dialect::ALL), @r#"1 A ["quotes"]; python+node+compose+ruby: 1 character; sops: 3 characters, with quotes around them; strict: refuses the file: the value holds a character that readers take for more than itself; without quotes"#);
    assert_eq!(disagreements("A='1'\nB=x # c\nC=\"d\"\nD=a=b\n", &Dialect::OF_PROGRAMS), "");
}

#[test]
fn a_merge_conflict_is_named_as_such() {
    let text = "B=0\n<<<<<<< HEAD\nA=1\n=======\nA=2\n>>>>>>> other\n";
    let document = Document::from_bytes(text.as_bytes(), Dialect::Python).unwrap();
    assert_eq!(document.merge_conflict(), Some(2));
    assert!(problems(&document).contains(&(2, Issue::MergeConflict)));
    let quoted = "A=\"\n<<<<<<< not a mark\n>>>>>>> \n\"\n";
    let document = Document::from_bytes(quoted.as_bytes(), Dialect::Python).unwrap();
    assert_eq!(document.merge_conflict(), None);
}
