use super::*;

fn check(source: &str, text: &str, expected: &[&str]) {
    let pattern = Pattern::new(source).unwrap();
    let found: Vec<&str> = pattern.find_all(text.as_bytes()).into_iter().map(|range| &text[range]).collect();
    assert_eq!(found, expected, "{source}");
}

#[test]
fn go_syntax() {
    check(r"^\$(?:\d+|{\d+})$", "${12}", &["${12}"]);
    check(r"[a[b]+", "xa[b]", &["a[b"]);
    check(r"[\w .-/]+", "a b-c", &["a b", "c"]);
    check(r"[&&~~]+", "a&~", &["&~"]);
    check(r"\Qa.b\E+", "a.bb", &["a.bb"]);
    check(r"(?P<key>k)\z", "kk", &["k"]);
    check(r"x{,3}", "x{,3}", &["x{,3}"]);
    check(r"\60\x30\x{30}", "000", &["000"]);
    check(r"\s+", "a\x0b \n", &[" \n"]);
    check(r"[^\S]+", "a \t", &[" \t"]);
    check(r"\_\-\/\'", "_-/'", &["_-/'"]);
    check(r"(?i)Token", "TOKEN", &["TOKEN"]);
    check(r"[]a]+", "]a", &["]a"]);
    check(r"[[:word:]-]+", "a_-é", &["a_-"]);
    check(r"\pL+", "aé1", &["aé"]);
    check(r"é.{2}x", "éüax", &["éüax"]);
    check(r"[^a]{3}", "éüb", &["éüb"]);
    check(r"(?U)a+", "aa", &["a", "a"]);
    check(r"\bé", "é", &[]);
    check(r"}]", "}]", &["}]"]);
}

#[test]
fn bytes_that_are_no_text_match() {
    let pattern = Pattern::new("a.[^b]c").unwrap();
    assert!(pattern.is_match(b"a\xff\xfec"));
}

#[test]
fn empty_matches_do_not_touch_the_one_before() {
    check("a*", "baac", &["", "aa", ""]);
}

#[test]
fn refused() {
    for source in ["(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", r"(a)\1", "(?>a)"] {
        assert_eq!(Pattern::new(source).unwrap_err(), PatternError::LookAround, "{source}");
    }
    for source in ["a{1001}", "((a{1000}){1000}){10}", "(((\\pL{200}){50}){50})"] {
        assert_eq!(Pattern::new(source).unwrap_err(), PatternError::TooLarge, "{source}");
    }
    for source in [
        "(",
        ")",
        "[a",
        "[z-a]",
        "*a",
        r"\y",
        r"\Z",
        "(?x)a",
        "(?P<a",
        "[[:no:]]",
        "\\",
        r"\p{No_Such}",
        "(?i",
    ] {
        assert!(matches!(Pattern::new(source), Err(PatternError::Syntax(_))), "{source}");
    }
}
