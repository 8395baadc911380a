use strongroom_secret::SecretBytes;

/// How much of a value a report shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redaction {
    /// All of it.
    Revealed,
    /// This many percent of it are cut off its end (gitleaks' `--redact`); from 100 on it is `REDACTED`.
    Percent(u32),
}

impl Redaction {
    pub const WHOLE: Self = Self::Percent(100);

    /// What stands in a report instead of the secret.
    pub fn secret(self, secret: &[u8]) -> SecretBytes {
        SecretBytes::new(match self {
            Self::Revealed | Self::Percent(0) => secret.to_vec(),
            Self::Percent(100..) => b"REDACTED".to_vec(),
            Self::Percent(_) if secret.is_empty() => Vec::new(),
            Self::Percent(percent) => {
                let kept = (secret.len() as f64 * f64::from(100 - percent) / 100.0).round_ties_even();
                [secret.get(..kept as usize).unwrap_or_default(), b"..."].concat()
            }
        })
    }

    /// What stands instead of a text with the secret in it, as often as it is.
    pub fn around(self, text: &[u8], secret: &[u8]) -> SecretBytes {
        if matches!(self, Self::Revealed | Self::Percent(0)) {
            return SecretBytes::new(text.to_vec());
        }
        let replacement = self.secret(secret);
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = if secret.is_empty() { None } else { memchr::memmem::find(rest, secret) } {
            let (before, after) = rest.split_at(at);
            out.extend_from_slice(before);
            out.extend_from_slice(replacement.expose());
            rest = after.get(secret.len()..).unwrap_or_default();
        }
        out.extend_from_slice(rest);
        SecretBytes::new(out)
    }
}

/// What gitleaks makes of the text of a finding without a secret (a path's): Go's `ReplaceAll` finds the empty text
/// between all characters.
pub(super) fn between_characters(text: &[u8]) -> SecretBytes {
    let text = String::from_utf8_lossy(text);
    let mut out = String::from("REDACTED");
    for character in text.chars() {
        out.push(character);
        out.push_str("REDACTED");
    }
    SecretBytes::new(out.into_bytes())
}

/// Enough of a value to know it again, not enough to use it: its first characters if it is long (they name its kind,
/// in most tokens), and its length.
pub(super) fn hint(secret: &[u8]) -> String {
    let length = String::from_utf8_lossy(secret).chars().count();
    let shown: String = match length {
        0..16 => String::new(),
        _ => String::from_utf8_lossy(secret).chars().take((length / 8).min(4)).collect(),
    };
    let shown: String = shown.chars().take_while(|character| character.is_ascii_graphic()).collect();
    format!("{shown}\u{2026} ({length} characters)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_as_gitleaks_has_them() {
        let shown = |percent| {
            String::from_utf8(Redaction::Percent(percent).secret(b"not-a-real").expose().to_vec()).unwrap()
        };
        assert_eq!(shown(0), "not-a-real");
        assert_eq!(shown(20), "not-a-re...");
        assert_eq!(shown(25), "not-a-re...", "halves go to the even number");
        assert_eq!(shown(99), "...");
        assert_eq!(shown(100), "REDACTED");
        let around = Redaction::Percent(100).around(b"a=xx b=xx", b"xx");
        assert_eq!(around.expose(), b"a=REDACTED b=REDACTED");
    }

    #[test]
    fn a_hint_does_not_show_a_short_value() {
        assert_eq!(hint(b"hunter2"), "\u{2026} (7 characters)");
        assert_eq!(hint(b"ghp_notARealTokenAtAllNotARealTokenAtAll"), "ghp_\u{2026} (40 characters)");
        assert_eq!(hint(b"-----BEGIN\nxxxxxxxxxxxxxxxxxxxxxxxxxx"), "----\u{2026} (37 characters)");
    }
}
