use super::*;

fn of(file: &str) -> Replacements {
    let mut replacements = Replacements::default();
    read(file.as_bytes(), "file", Lines::Whole, &mut replacements).unwrap();
    replacements.prepare();
    replacements
}

fn check(file: &str, text: &str) -> String {
    let replacements = of(file);
    let mut counts = vec![0; replacements.sources().len()];
    let replaced = replacements.replace(text.as_bytes(), &mut counts);
    assert_eq!(replaced.is_some(), replaced.as_deref().is_some_and(|changed| changed != text.as_bytes()));
    String::from_utf8(replaced.unwrap_or_else(|| text.as_bytes().to_vec())).unwrap()
}

#[test]
fn files_of_filter_repo_and_the_bfg() {
    assert_eq!(check("fakesecret1", "a fakesecret1 b"), "a ***REMOVED*** b");
    assert_eq!(check("literal:fakesecret1==>", "a fakesecret1 b"), "a  b");
    assert_eq!(check("fakesecret1==>x==>y", "fakesecret1==>x"), "y", "the last arrow counts");
    assert_eq!(check("regex:driver(\\d+)xx==>\\1-$1", "driver12xx"), "12-12");
    assert_eq!(check("regex:(?P<n>ab+)cdefg==>\\g<n>${n}$9\\n", "abbcdefg"), "abbabb$9\n");
    assert_eq!(check("glob:tok*end==>T", "a tok1 end tok2 end b"), "a T b", "the last star is greedy");
    assert_eq!(check("glob:a*b*c==>T", "xabbcc\nc"), "xT\nc");
    assert_eq!(check("glob:tok[!0]?x==>T", "tok0ax tok1ax"), "tok0ax T");
    assert_eq!(
        check("one-secret-a\r\n\r\ntwo-secret-b==>2\n", "one-secret-a two-secret-b"),
        "***REMOVED*** 2"
    );
    assert_eq!(check("aaaabbbb==>cccc\nccccdddd==>X", "aaaabbbbdddd"), "X", "one after the other");
    assert_eq!(check("#no comment==>X", "#no comment"), "X");
}

#[test]
fn what_is_wrong_is_said_without_showing_it() {
    let mut replacements = Replacements::default();
    let file = "regex:hunter2(\nregex:a*\nregex:hunter2==>\\3\nregex:(?=hunter2)x\nregex:hunter2==>\\\n";
    let errors = read(file.as_bytes(), "file", Lines::Whole, &mut replacements).unwrap_err();
    let lines: Vec<usize> = errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 5]);
    assert!(errors.iter().all(|error| !error.to_string().contains("hunter2")), "{errors:?}");
    assert!(!format!("{:?}", of("hunter2hunter2")).contains("hunter2"));
}

#[test]
fn many_values_give_what_each_in_turn_gives() {
    let file: String =
        (0..100).map(|number| format!("secret-{number:03}==>moved-{:03}\n", number + 100)).collect();
    let file = file + "moved-150==>again\n";
    assert_eq!(check(&file, "secret-050 secret-007 secret-200"), "again moved-107 secret-200");
}

#[test]
fn weak_values_are_noticed() {
    let weakness = |file: &str| of(file).sources()[0].weakness;
    assert_eq!(weakness("short"), Some(Weakness::Short));
    assert_eq!(weakness("password"), Some(Weakness::Word));
    assert_eq!(weakness("PRIVATE_KEY"), Some(Weakness::Word));
    assert_eq!(weakness("Administrator"), Some(Weakness::Word));
    assert_eq!(weakness("xxxxxxxxxxxx"), Some(Weakness::Word));
    assert_eq!(weakness("connection"), Some(Weakness::Word));
    assert_eq!(weakness("hunter2hunter2"), None);
    assert_eq!(weakness("k8Jx0pQz"), None);
    assert_eq!(weakness("regex:\\d{4}"), Some(Weakness::MatchesShort));
    assert_eq!(weakness("regex:AKIA[0-9A-Z]{16}"), None);
}

#[test]
fn streams_give_what_texts_give() {
    let replacements = of("fakesecret-one==>1\nregex:fake(secret)-two==>\\1");
    let mut text = Vec::new();
    while text.len() < 20 << 20 {
        text.extend_from_slice(b"line of some length fakesecret-one and fakesecret-two\n");
        text.extend_from_slice(&b"fakesecret-one".repeat(1000));
    }
    let mut counts = vec![0; 2];
    let whole = replacements.replace(&text, &mut counts).unwrap();
    let mut streamed = Vec::new();
    let mut streamed_counts = vec![0; 2];
    assert!(replacements.replace_stream(&mut text.as_slice(), &mut streamed, &mut streamed_counts).unwrap());
    assert!(streamed == whole);
    assert_eq!(streamed_counts, counts);
}

#[test]
fn encoded_forms_are_found_wherever_they_begin() {
    let value = b"fake/secret+value\"1";
    let mut replacements = Replacements::default();
    replacements.add_literal(SecretBytes::new(value.to_vec()), b"", "v".to_owned());
    let proof = replacements.for_proof();
    for before in 0..6 {
        let text = [&b"prefix"[..before], value, b"behind"].concat();
        assert!(proof.contains(data_encoding::BASE64.encode(&text).as_bytes()), "{before}");
        assert!(proof.contains(data_encoding::HEXUPPER.encode(&text).as_bytes()));
        assert!(
            proof.contains(serde_json::to_string(std::str::from_utf8(&text).unwrap()).unwrap().as_bytes())
        );
    }
    assert!(proof.contains(b"x=fake%2Fsecret%2Bvalue%221"));
    assert!(!proof.contains(b"fake/secret+value"));
}

#[test]
fn how_far_expressions_reach() {
    let reach = |file: &str, lines: Lines| {
        let mut replacements = Replacements::default();
        read(file.as_bytes(), "file", lines, &mut replacements).unwrap();
        replacements.reach()
    };
    assert_eq!(reach("fake-value-1", Lines::Whole), Some(12));
    assert_eq!(reach(r"regex:key=\w{8,20}", Lines::Whole), Some(26));
    assert_eq!(reach("regex:\\bkey=\\w{8}\\b\nfake-value-1", Lines::Whole), Some(14));
    assert_eq!(reach(r"regex:(?m)^key=\w{8}$", Lines::Whole), Some(14));
    assert_eq!(reach(r"regex:^key=\w{8}$", Lines::Each), Some(14));
    for unbounded in [
        r"regex:key=\w{8,}",
        r"regex:^key=\w{8}",
        r"regex:key=\w{8}\Z",
        "glob:key-*-end",
        "fake-value-1\nregex:key=.+",
    ] {
        assert_eq!(reach(unbounded, Lines::Whole), None, "{unbounded}");
    }
}

#[test]
fn a_word_that_only_the_stretch_cuts_off_is_no_word() {
    let mut replacements = Replacements::default();
    read(b"regex:\\bkey=[0-9]{8}\\b", "file", Lines::Whole, &mut replacements).unwrap();
    replacements.prepare();
    let reach = replacements.reach().unwrap();
    let text = [b"x".repeat(40), b"key=12345678".to_vec(), b"9".repeat(40)].concat();
    assert!(!replacements.contains_near(&text, std::slice::from_ref(&(45..46)), reach));
    assert!(!replacements.contains_near(&text, std::slice::from_ref(&(54..54)), 12));
    let text = [b"x".repeat(40), b" key=12345678 ".to_vec(), b"9".repeat(40)].concat();
    for at in 40..55 {
        assert!(replacements.contains_near(&text, std::slice::from_ref(&(at..at + 1)), reach), "{at}");
    }
    assert!(!replacements.contains_near(&text, std::slice::from_ref(&(80..81)), reach));
}
