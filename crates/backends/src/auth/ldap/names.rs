//! Distinguished names as texts (RFC 4514), and security identifiers.

/// A value of a name, escaped (RFC 4514, section 2.4).
pub(super) fn escaped(value: &str) -> String {
    let mut text = String::new();
    let last = value.chars().count().saturating_sub(1);
    for (at, character) in value.chars().enumerate() {
        let is_edge = (character == ' ' && (at == 0 || at == last)) || (character == '#' && at == 0);
        match character {
            '\0' => text.push_str("\\00"),
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => text.extend(['\\', character]),
            _ if is_edge => text.extend(['\\', character]),
            control if control.is_control() => {
                let mut buffer = [0; 4];
                for byte in control.encode_utf8(&mut buffer).bytes() {
                    text.push_str(&format!("\\{byte:02x}"));
                }
            }
            _ => text.push(character),
        }
    }
    text
}

/// The first common name in a distinguished name; None where it has none, or is no name.
pub(super) fn common_name(name: &str) -> Option<String> {
    parts(name)?.into_iter().find(|(kind, _)| kind.eq_ignore_ascii_case("cn")).map(|(_, value)| value)
}

/// Kinds and values, the values without their escapes.
fn parts(name: &str) -> Option<Vec<(String, String)>> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let (kind, after) = rest.split_once('=')?;
        let (value, after) = value(after)?;
        parts.push((kind.trim().to_owned(), value));
        rest = after;
    }
    Some(parts)
}

/// A value up to its separator, and what follows that.
fn value(text: &str) -> Option<(String, &str)> {
    let mut bytes = Vec::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            ',' | '+' | ';' => {
                let value = String::from_utf8(bytes).ok()?;
                return Some((value.trim().to_owned(), text.get(at + 1..)?));
            }
            '\\' => {
                let (_, first) = characters.next()?;
                match first.to_digit(16) {
                    Some(high) => {
                        let (_, second) = characters.next()?;
                        bytes.push(u8::try_from(high * 16 + second.to_digit(16)?).ok()?);
                    }
                    None => bytes.extend(first.to_string().bytes()),
                }
            }
            _ => bytes.extend(character.to_string().bytes()),
        }
    }
    Some((String::from_utf8(bytes).ok()?.trim().to_owned(), ""))
}

/// A security identifier of Active Directory in its text form ([MS-DTYP], section 2.4.2).
pub(super) fn security_identifier(bytes: &[u8]) -> Option<String> {
    let (revision, rest) = bytes.split_first()?;
    let (count, rest) = rest.split_first()?;
    let (authority, rest) = rest.split_at_checked(6)?;
    let authority = authority.iter().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    if rest.len() != usize::from(*count) * 4 {
        return None;
    }
    let parts = rest.chunks_exact(4).filter_map(<[u8]>::first_chunk::<4>);
    Some(parts.fold(format!("S-{revision}-{authority}"), |text, part| {
        format!("{text}-{}", u32::from_le_bytes(*part))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_read() {
        assert_eq!(escaped("ann"), "ann");
        assert_eq!(escaped(" #a,b=c+\"\\<>; "), "\\ #a\\,b\\=c\\+\\\"\\\\\\<\\>\\;\\ ");
        assert_eq!(escaped("#x"), "\\#x");
        assert_eq!(escaped("a\0\n"), "a\\00\\0a");
        let taken = |name: &str| common_name(name);
        assert_eq!(taken("cn=ops,ou=groups,dc=example"), Some("ops".into()));
        assert_eq!(taken("ou=groups,CN=Team\\, East,dc=example"), Some("Team, East".into()));
        assert_eq!(taken("cn=\\c3\\a4,dc=x"), Some("ä".into()));
        assert_eq!(taken("ou=groups,dc=example"), None);
        assert_eq!(taken("plain"), None);
        assert_eq!(taken("cn=a\\"), None);
        for text in [" #a,b=c+\"\\<>; ", "x=y,cn=z", "ünï"] {
            assert_eq!(common_name(&format!("cn={},dc=x", escaped(text))).as_deref(), Some(text.trim()));
        }
    }

    /// The example of [MS-DTYP]: the local group of administrators.
    #[test]
    fn security_identifiers_have_a_text_form() {
        let bytes = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0];
        assert_eq!(security_identifier(&bytes), Some("S-1-5-32-544".into()));
        assert_eq!(security_identifier(&bytes[..15]), None);
        assert_eq!(security_identifier(&[]), None);
    }
}
