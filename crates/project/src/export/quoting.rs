//! How each language writes a text, so that what reads it gets the same text again.

use std::fmt::Write as _;
use zeroize::Zeroizing;

type Quoted = Zeroizing<String>;

fn quoted(text: &str, mut write: impl FnMut(&mut String, char)) -> Quoted {
    // Room for the longest escape: nothing moves, so nothing is left behind.
    let mut out = Zeroizing::new(String::with_capacity(text.len() * 10 + 8));
    text.chars().for_each(|character| write(&mut out, character));
    out
}

/// RFC 8259; also a YAML flow scalar (YAML 1.2 is a superset) and an HCL string without templates.
pub(super) fn json_string(text: &str) -> Quoted {
    Zeroizing::new(serde_json::to_string(text).unwrap_or_default())
}

/// A TOML basic string: as JSON, but DEL is escaped as well.
pub(super) fn toml_string(text: &str) -> Quoted {
    Zeroizing::new(json_string(text).replace('\u{7f}', "\\u007f"))
}

/// HCL: `${` and `%{` begin templates, and are written with a doubled sign.
pub(super) fn terraform_string(text: &str) -> Quoted {
    let json = json_string(text);
    let dollars = Zeroizing::new(json.replace("${", "$${"));
    Zeroizing::new(dollars.replace("%{", "%%{"))
}

/// One word of a POSIX shell.
pub fn shell_word(text: &str) -> Quoted {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return Zeroizing::new(text.to_owned());
    }
    let mut out = quoted(text, |out, character| match character {
        '\'' => out.push_str("'\\''"),
        _ => out.push(character),
    });
    out.insert(0, '\'');
    out.push('\'');
    out
}

/// One word of fish: in single quotes, where `\\` and `\'` are the escapes.
pub(super) fn fish_word(text: &str) -> Quoted {
    let mut out = quoted(text, |out, character| match character {
        '\'' | '\\' => out.extend(['\\', character]),
        _ => out.push(character),
    });
    out.insert(0, '\'');
    out.push('\'');
    out
}

/// The data of a workflow command of GitHub Actions.
pub(super) fn github_command(text: &str) -> Quoted {
    quoted(text, |out, character| match character {
        '%' => out.push_str("%25"),
        '\r' => out.push_str("%0D"),
        '\n' => out.push_str("%0A"),
        _ => out.push(character),
    })
}

/// systemd.syntax(7) and systemd.exec(5), `SetCredential=`: C escapes, and `%` doubled.
pub(super) fn systemd_text(text: &str) -> Quoted {
    quoted(text, |out, character| match character {
        '%' => out.push_str("%%"),
        '\\' => out.push_str("\\\\"),
        ' ' | '\t' | '"' | '\'' | '\n' | '\r' | '\0'..='\u{1f}' | '\u{7f}' => {
            // Writing to a String does not fail.
            let _ = write!(out, "\\x{:02x}", u32::from(character));
        }
        _ => out.push(character),
    })
}
