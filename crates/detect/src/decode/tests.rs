use super::*;
use regex_automata::meta::Regex;

/// What gitleaks looks for, as it says it.
fn by_regex(text: &[u8]) -> Vec<(usize, Range<usize>)> {
    let patterns = [
        r"%[0-9A-Fa-f]{2}(?:.*%[0-9A-Fa-f]{2})?",
        r"(?:(?:U\+[a-fA-F0-9]{4}(?:[\t\n\f\r ]|\z))+|(?i)(?:\\{1,2}u[a-fA-F0-9]{4})+)",
        r"[0-9A-Fa-f]{32,}",
        r"[0-9A-Za-z_/+-]{16,}={0,2}",
    ];
    let whole = patterns.map(|pattern| format!("({pattern})")).join("|");
    let syntax = regex_automata::util::syntax::Config::new().unicode(false).utf8(false);
    let regex = Regex::builder().syntax(syntax).build(&whole).unwrap();
    let all: Vec<(usize, Range<usize>)> = regex
        .captures_iter(text)
        .map(|found| {
            (1..5).find_map(|group| found.get_group(group).map(|span| (group - 1, span.range()))).unwrap()
        })
        .collect();
    let touch = |one: &Range<usize>, other: &Range<usize>| other.start <= one.end && other.end >= one.start;
    let beaten = |at: usize, other: usize| touch(&all[at].1, &all[other].1) && all[other].0 < all[at].0;
    (0..all.len())
        .filter(|at| {
            all.len() == 1
                || !((*at > 0 && beaten(*at, at - 1)) || (at + 1 < all.len() && beaten(*at, at + 1)))
        })
        .map(|at| all[at].clone())
        .collect()
}

#[test]
fn what_is_encoded_is_what_gitleaks_takes_as_encoded() {
    let pieces: &[&[u8]] = &[
        b"%41",
        b"%4",
        b"\n",
        b" ",
        b"U+0041 ",
        b"U+0041",
        b"\\u0041",
        b"\\\\u0042",
        b"\\U0043",
        b"\\",
        b"0123456789abcdef",
        b"0123456789ABCDEF0123456789abcdef",
        b"aGVsbG8gd29ybGQ",
        b"=",
        b"==",
        b"xyz",
        b"/",
        b"+",
        b"-",
        b"_",
        b".",
        b"%zz",
        b"\xff",
        b"a",
    ];
    let mut seed = 1_u32;
    for _ in 0..4000 {
        let mut text = Vec::new();
        for _ in 0..12 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.extend_from_slice(pieces[(seed >> 12) as usize % pieces.len()]);
        }
        let ours: Vec<(usize, Range<usize>)> = scan::encoded(&text, Mode::Compatible)
            .into_iter()
            .map(|found| (found.encoding as usize, found.range))
            .collect();
        // What looks like base64 and cannot be is left out.
        let is_decoded = |range: &Range<usize>| {
            encodings::decode(encodings::Encoding::Base64, &text[range.clone()], Mode::Compatible).is_some()
        };
        let theirs: Vec<_> = by_regex(&text)
            .into_iter()
            .filter(|found| found.0 != 3 || ours.contains(found) || is_decoded(&found.1))
            .collect();
        assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(&text));
    }
}

fn check(text: &str, expected: &str) {
    let mut layers: Vec<Layer> = Vec::new();
    for _ in 0..5 {
        let text = layers.last().map_or(text.as_bytes(), |layer| &layer.text);
        match decode(text, &layers, Mode::Native, None) {
            Some(layer) => layers.push(layer),
            None => break,
        }
    }
    assert_eq!(String::from_utf8_lossy(layers.last().map_or(text.as_bytes(), |layer| &layer.text)), expected);
}

#[test]
fn texts_are_decoded_in_place() {
    check("a c2VjcmV0LXZhbHVlLTEy b", "a secret-value-12 b");
    check("a c2VjcmV0LXZhbHVlLTEyMw== b", "a secret-value-123 b");
    check("c2VjcmV0LXZhbHVlLTEyMw", "secret-value-123");
    check("k=7365637265742d76616c75652d3132333435 x", "k=secret-value-12345 x");
    check("q=%73%65cret", "q=secret");
    check(r"\u0073\u0065\\u0063", "sec");
    check("U+0073 U+0065 ", "se");
    check("&#x73;&#x65;&#99;", "sec");
    check("&#38; and &#39;", "&#38; and &#39;");
    check("YzJWamNtVjBMWFpoYkhWbExURXlNelE9", "secret-value-1234");
    check("nothing to see", "nothing to see");
}

#[test]
fn places_are_those_of_the_encoded_text() {
    let inner = "aGVsbG8taGVsbG8tMTIzNDU2";
    let text = format!("before %61 after {inner} end");
    let layer = decode(text.as_bytes(), &[], Mode::Native, None).unwrap();
    let at = memchr::memmem::find(&layer.text, b"hello-hello").unwrap();
    let range = at..at + 5;
    assert_eq!(layer.touched(&range).len(), 1);
    assert_eq!(&text[layer.original(&range, &[])], inner);
    assert_eq!(layer.touched(&range)[0].kinds.names().collect::<Vec<_>>(), ["base64"]);
}

#[test]
fn in_changed_lines_the_same_is_found_as_in_the_whole_text() {
    let lines = [
        "a c2VjcmV0LXZhbHVlLTEy b",
        "nothing",
        "k=7365637265742d76616c75652d3132333435 x YzJWamNtVjBMWFpoYkhWbExURXlNelE9",
        "q=%73%65cret and %61",
        r"\u0073\u0065\\u0063",
        "&#x73;&#x65;&#99; c2VjcmV0LXZhbHVlLTEyMw==",
    ];
    let text = lines.join("\n").repeat(2);
    let whole = decode(text.as_bytes(), &[], Mode::Native, None).unwrap();
    for start in 0..text.len() {
        for length in [1, 30, 100] {
            let changed = start..(start + length).min(text.len());
            let touched =
                |range: &std::ops::Range<usize>| range.start <= changed.end && changed.start <= range.end;
            let expected: Vec<_> =
                whole.segments.iter().map(|segment| segment.original.clone()).filter(touched).collect();
            let found = decode(text.as_bytes(), &[], Mode::Native, Some(std::slice::from_ref(&changed)));
            let found = found.map_or(Vec::new(), |layer| {
                layer.segments.iter().map(|segment| segment.original.clone()).collect()
            });
            assert_eq!(found, expected, "{changed:?}");
        }
    }
}
