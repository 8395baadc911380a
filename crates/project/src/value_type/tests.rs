use super::*;

fn check(word: &str, good: &[&str], bad: &[&str]) {
    let kind = ValueType::named(word).unwrap();
    let constraints = Constraints { values: vec!["a".to_owned(), "b".to_owned()], ..Constraints::default() };
    for text in good {
        assert_eq!(kind.problems(&constraints, text.as_bytes()), Vec::<String>::new(), "{word}: {text:?}");
    }
    for text in bad {
        let problems = kind.problems(&constraints, text.as_bytes());
        assert_eq!(problems.len(), 1, "{word}: {text:?}");
        assert!(text.len() < 4 || !problems[0].contains(text), "{word}: {problems:?} shows the value");
    }
}

#[test]
fn every_type() {
    check("string", &["", "x", "ü\n"], &[]);
    check("int", &["0", "-5", "+7", "9223372036854775807"], &["", "1.5", "x", "1e3", " 1"]);
    check("float", &["1.5", "-2", "1e3", ".5"], &["", "x", "inf", "NaN"]);
    check("bool", &["true", "FALSE", "1", "0", "yes", "Off"], &["", "2", "truthy"]);
    check("port", &["1", "8080", "65535"], &["", "0", "65536", "-1", "+80", "http"]);
    check(
        "url",
        &[
            "https://example.com",
            "postgres://app:p%40ss@db:5432/shop?sslmode=require",
            "redis://[::1]:6379/0",
            "unix:/run/app.sock",
            "mongodb://a:1,b:2/db",
            "postgres:///shop",
            "mailto:a@example.com",
        ],
        &[
            "",
            "example.com",
            "://x",
            "http://",
            "https://a b",
            "postgres://u:p%zz@h/d",
            "postgres://u:p/ss@h:x/d",
        ],
    );
    check("email", &["a@example.com", "a.b+c@sub.example.com"], &["", "a", "a@", "@b", "a b@c.de", "a@b@c"]);
    check(
        "uuid",
        &["01890a5d-ac96-774b-bcce-b302099a8057"],
        &["", "01890a5dac96774bbcceb302099a8057", "g1890a5d-ac96-774b-bcce-b302099a8057"],
    );
    check("json", &["{}", "[1, \"x\"]", "null", " {\"a\": {}} "], &["", "{", "{a: 1}", "{} {}"]);
    let pem = "-----BEGIN FAKE KEY-----\nbm90IGEgcmVhbCBrZXk=\n-----END FAKE KEY-----\n";
    check(
        "pem",
        &[pem, &format!("{pem}{pem}")],
        &["", "abc", &pem[..40], &pem.replace("END", "FIN"), &pem.replace("bm9", "b!9")],
    );
    check("base64", &["aGk=", "aGk", "_-8=", "aG\nk="], &["", "a", "!!!!", "a=k="]);
    check("token", &["sk_test_000", "a.b-c"], &["", "a b", "a\n", "ü"]);
    check("enum", &["a", "b"], &["", "c"]);
    check("duration", &["90", "90s", "1h30m", "7d"], &["", "soon", "1x"]);
    check("path", &["/etc/x", "a"], &[""]);
    check("list", &["", "a", "a, b"], &[]);
}

#[test]
fn bounds_and_patterns() {
    let check = |word: &str, constraints: &Constraints, value: &str| {
        ValueType::named(word).unwrap().problems(constraints, value.as_bytes()).join("; ")
    };
    let bounds = Constraints { min: Some(3.0), max: Some(5.0), ..Constraints::default() };
    assert_eq!(check("string", &bounds, "ab"), "is below the minimum of 3 characters");
    assert_eq!(check("string", &bounds, "äöü"), "");
    assert_eq!(check("int", &bounds, "9"), "is above the maximum of 5");
    assert_eq!(check("list", &bounds, "a,b"), "is below the minimum of 3 items");
    let pattern =
        Constraints { pattern: Some(Pattern::new("^sk_(live|test)_").unwrap()), ..Constraints::default() };
    assert_eq!(check("token", &pattern, "sk_test_1"), "");
    assert_eq!(check("token", &pattern, "pk_test_1"), "does not match \"^sk_(live|test)_\"");
    let ports = Constraints {
        items: Some(ValueType::Port),
        separator: Some(";".to_owned()),
        ..Constraints::default()
    };
    assert_eq!(check("list", &ports, "1; 2;x"), "item 3 is not a port: 1 to 65535");
    let schemes = Constraints { schemes: vec!["postgres".to_owned()], ..Constraints::default() };
    assert_eq!(check("url", &schemes, "mysql://h/d"), "has a scheme that is none of postgres");
    assert!(Pattern::new("(").is_err());
}

#[test]
fn words_and_types_go_together() {
    for (kind, word) in ValueType::ALL.into_iter().zip(ValueType::WORDS) {
        assert_eq!((kind.word(), ValueType::named(word)), (*word, Some(kind)));
    }
}
