//! Patterns with `*` for any text, as bound names and claims have them.

/// Whether `text` as a whole is what `pattern` describes.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').map_or(("", rest), |(middle, last)| (middle, last));
    for part in middle.split('*').filter(|part| !part.is_empty()) {
        match text.find(part).and_then(|at| text.get(at + part.len()..)) {
            Some(after) => text = after,
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("ci-*", "ci-build", true),
            ("ci-*", "my-ci-build", false),
            ("*-build", "ci-build", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("repo:org/*:ref:refs/heads/*", "repo:org/app:ref:refs/heads/main", true),
            ("repo:org/*:ref:refs/heads/*", "repo:other/app:ref:refs/heads/main", false),
            ("ab*ba", "aba", false),
            ("plain", "plain", true),
            ("plain", "plainly", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
