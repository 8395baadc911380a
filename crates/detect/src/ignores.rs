//! Comments that say that a line holds no secret: those of all scanners.

use crate::detector::{InlineIgnores, Mode};

/// gitleaks' own word.
const GITLEAKS: &[u8] = b"gitleaks:allow";
/// What stands on the line itself. From: ourselves, gitleaks, betterleaks, kingfisher, trufflehog, ripsecrets, git-secrets' users,
/// Bandit and Ruff (only with the checks for passwords).
const ON_THE_LINE: &[&[u8]] = &[
    b"strongroom:allow",
    b"strongroom:ignore",
    GITLEAKS,
    b"betterleaks:allow",
    b"kingfisher:ignore",
    b"kingfisher:allow",
    b"trufflehog:ignore",
    b"pragma: allowlist secret",
    b"pragma:allowlist secret",
    b"pragma: whitelist secret",
    b"pragma: allowlist-secret",
    b"ggignore",
    b"nosecret",
    b"noqa: s105",
    b"noqa: s106",
    b"noqa: s107",
    b"nosec b105",
    b"nosec b106",
    b"nosec b107",
];
/// What speaks of the line after it.
const ON_THE_LINE_BEFORE: &[&[u8]] = &[
    b"strongroom:allow-next-line",
    b"pragma: allowlist nextline secret",
    b"pragma: allowlist-nextline-secret",
    b"pragma: allowlist-nextline secret",
    b"pragma:allowlist nextline secret",
];

/// Whether gitleaks would say so of the text that it takes for the line.
pub(crate) fn is_allowed_by_gitleaks(line: &[u8], ignores: InlineIgnores) -> bool {
    ignores == InlineIgnores::Honoured && memchr::memmem::find(line, GITLEAKS).is_some()
}

/// Whether a comment on the line, or on the one before it, says so.
pub(crate) fn is_allowed(line: &[u8], before: &[u8], mode: Mode, ignores: InlineIgnores) -> bool {
    if ignores == InlineIgnores::Disregarded {
        return false;
    }
    if mode == Mode::Compatible {
        return is_allowed_by_gitleaks(line, ignores);
    }
    let has = |line: &[u8], words: &[&[u8]]| {
        let line = line.to_ascii_lowercase();
        words.iter().any(|word| memchr::memmem::find(&line, word).is_some())
    };
    (has(line, ON_THE_LINE) && !has(line, ON_THE_LINE_BEFORE)) || has(before, ON_THE_LINE_BEFORE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_of_all_scanners() {
        let native = |line: &str, before: &str| {
            is_allowed(line.as_bytes(), before.as_bytes(), Mode::Native, InlineIgnores::Honoured)
        };
        for line in [
            "x = 1 # gitleaks:allow",
            "// Strongroom:Allow",
            "a # pragma: allowlist secret",
            "# kingfisher:ignore",
            "p # noqa: S105",
        ] {
            assert!(native(line, ""), "{line}");
        }
        assert!(native("password = 'x'", "# pragma: allowlist nextline secret"));
        assert!(!native("# pragma: allowlist nextline secret", ""));
        assert!(!native("password = 'x'", "# gitleaks:allow"));
        assert!(!is_allowed(b"# kingfisher:ignore", b"", Mode::Compatible, InlineIgnores::Honoured));
        assert!(!is_allowed(b"# gitleaks:allow", b"", Mode::Native, InlineIgnores::Disregarded));
    }
}
