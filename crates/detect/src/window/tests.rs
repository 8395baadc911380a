use super::*;

/// Texts made of pieces that the expression could be about, searched through with windows and as a whole.
fn check(source: &str, keywords: &[&str], pieces: &[&str], is_around: bool) {
    let pattern = Pattern::new(source).unwrap();
    let keywords: Vec<String> = keywords.iter().map(|keyword| (*keyword).to_owned()).collect();
    let plan = Plan::new(&pattern, &keywords);
    assert_eq!(matches!(plan, Plan::Around(_)), is_around, "{source}");
    let Plan::Around(around) = plan else { return };
    let mut seed = 3_u32;
    for round in 0..3000 {
        let mut text = String::new();
        for _ in 0..(round % 14) {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.push_str(pieces[(seed >> 16) as usize % pieces.len()]);
        }
        let small = text.to_ascii_lowercase();
        let mut hits: Vec<usize> = keywords
            .iter()
            .flat_map(|keyword| memchr::memmem::find_iter(small.as_bytes(), keyword.as_bytes()))
            .collect();
        // Overlapping occurrences of a keyword are hits too.
        for keyword in &keywords {
            hits.extend(
                (0..small.len()).filter(|at| small.as_bytes()[*at..].starts_with(keyword.as_bytes())),
            );
        }
        hits.sort_unstable();
        hits.dedup();
        let mut progress = Progress::default();
        let found: Vec<_> = hits
            .into_iter()
            .filter_map(|hit| around.search(&pattern, text.as_bytes(), hit, text.len(), &mut progress))
            .collect();
        assert_eq!(found, pattern.find_all(text.as_bytes()), "{source} in {text:?}");
    }
}

#[test]
fn what_must_follow_a_keyword_is_looked_for_first() {
    let source =
        r#"\bcurl\b(?:[^\n]|\n ){0,20}?[ \t](?:-u|--user)(?:=|[ \t]{1,5})([^:"'\s]{1,8}:[^\s"'<]{2,9})"#;
    let pattern = Pattern::new(source).unwrap();
    let Plan::Around(around) = Plan::new(&pattern, &["curl".to_owned()]) else {
        panic!("searched as a whole")
    };
    assert_eq!(around.after.len(), 4);
    check(source, &["curl"], &["curl", " ", "-u", "--user", "=", "ab:cde", "\n", "x", "\n ", ":"], true);
    // What follows may also be the keyword itself.
    check(r"[a-z]{0,9}\bx(-uu|-vv)key", &["key"], &["x", "-uu", "-vv", "key", "a", " "], true);
}

#[test]
fn windows_find_what_a_search_of_the_whole_text_finds() {
    let generic = r#"[\w.-]{0,50}?(?i:[\w.-]{0,50}?(?:access|auth|(?-i:[Aa]pi|API)|key|passw(?:or)?d)(?:[ \t\w.-]{0,20})[\s'"]{0,3})(?:=|>|:{1,3}=|\|\||:|=>|\?=|,)[\x60'"\s=]{0,5}([\w.=-]{4,15})(?:[\x60'"\s;]|\\[nr]|$)"#;
    let pieces = [
        "key",
        "API",
        "auth",
        "=",
        " = ",
        "'",
        "abcd",
        "12345",
        "\n",
        " ",
        ";",
        "x",
        "passwd",
        ":",
        "password_",
        "-",
        "api",
        "é",
    ];
    check(generic, &["access", "auth", "api", "key", "passwd", "password"], &pieces, true);
    check(
        r"\b((?:A3T[A-Z0-9]|AKIA|ASIA)[A-Z2-7]{4})\b",
        &["a3t", "akia", "asia"],
        &["AKIA", "A3TX", "ASIA", "ABCD", " ", "akia", "1", "A3T"],
        true,
    );
    check(
        r"\b(ey[a-z]{3,}\.ey[a-z]{2,})(?:['\s]|$)",
        &["ey"],
        &["ey", "eyabc", ".", "eyabcey", "'", " ", "a", "1"],
        true,
    );
    check(
        r"(?i)-----BEGIN[ A-Z]{0,10}KEY-----[\s\S-]{2,}?KEY-----",
        &["-----begin"],
        &["-----BEGIN ", "KEY-----", "-----END KEY-----", "ab", "-", "\n"],
        true,
    );
    check(r"(foo|xsecretx)[0-9]+", &["foo", "secret"], &["foo", "xsecretx", "1", "secret", "x", "o"], true);
    check(r"(?:s\.[a-z]{3}|hvs\.[a-z]{4})", &["hvs.", "s."], &["hvs.", "s.", "abc", "abcd", "h", " "], true);
    check(r"[a-z]+key[0-9]", &["key"], &["key", "a", "1", " "], false);
    check(r"\b[0-9a-f]{8}\b", &["token"], &["token"], false);
    check(r"a|key", &["key"], &["key"], false);
    check(r"(?:key)?", &["key"], &["key"], false);
}

#[test]
fn a_keyword_is_found_after_one_that_was_passed_over() {
    let pattern = Pattern::new(r"[a-z ]{0,50}?key=([0-9]{4})").unwrap();
    let Plan::Around(around) = Plan::new(&pattern, &["key".to_owned()]) else { panic!() };
    let text = b"a key=1234 b key=5678";
    assert_eq!(around.search(&pattern, text, 13, text.len(), &mut Progress::default()), Some(10..21));
}

#[test]
fn long_texts_full_of_keywords_are_searched_in_time() {
    let pattern = Pattern::new(r"\bey[a-zA-Z]{17,}\.ey[a-zA-Z]{17,}\.").unwrap();
    let Plan::Around(around) = Plan::new(&pattern, &["ey".to_owned()]) else { panic!() };
    let text = "ey".repeat(500_000);
    let mut progress = Progress::default();
    let found = (0..text.len())
        .step_by(2)
        .filter_map(|hit| around.search(&pattern, text.as_bytes(), hit, text.len(), &mut progress));
    assert_eq!(found.count(), 0);
}

#[test]
fn some_expressions_have_their_keyword_at_the_beginning_of_words() {
    let begins = |source: &str, keywords: &[&str]| {
        let keywords: Vec<String> = keywords.iter().map(|keyword| (*keyword).to_owned()).collect();
        begins_words(&Pattern::new(source).unwrap(), &keywords)
    };
    assert!(begins(r"\b(ey[a-z]{17,}\.)", &["ey"]));
    assert!(begins(r"\b((?:hvs\.[\w-]{90,120}|s\.(?i:[a-z0-9]{24})))(?:x|$)", &["hvs.", "s."]));
    assert!(!begins(r"(ey[a-z]{17,}\.)", &["ey"]));
    assert!(!begins(r"\b(xey[a-z]{17,}\.)", &["ey"]));
    assert!(!begins(r"\b([a-z]ey[a-z]{17,}\.)", &["ey"]));
    assert!(!begins(r"\b(-s)", &["-s"]));
}
