use super::{Check, Verdict};

/// What stands for a password in documentation and tests.
const STAND_INS: &[&str] = &[
    "admin",
    "changeit",
    "changeme",
    "default",
    "example",
    "foo",
    "foobar",
    "guest",
    "hunter2",
    "letmein",
    "mypass",
    "mypassword",
    "none",
    "null",
    "pass",
    "passwd",
    "password",
    "password1",
    "password123",
    "placeholder",
    "postgres",
    "pw",
    "pwd",
    "redacted",
    "replaceme",
    "root",
    "sa",
    "secret",
    "secretpassword",
    "securepassword",
    "supersecret",
    "test",
    "testing",
    "test123",
    "testpass",
    "testpassword",
    "token",
    "todo",
    "user",
    "username",
    "yourpassword",
];

pub(super) fn letters_and_digits(secret: &[u8]) -> Check {
    plausible_if(secret.iter().any(u8::is_ascii_alphabetic) && secret.iter().any(u8::is_ascii_digit))
}

pub(super) fn digit(secret: &[u8]) -> Check {
    plausible_if(secret.iter().any(u8::is_ascii_digit))
}

pub(super) fn mixed_case(secret: &[u8]) -> Check {
    let body = secret.iter().rev().take(32);
    plausible_if(body.clone().any(u8::is_ascii_lowercase) && body.clone().any(u8::is_ascii_uppercase))
}

/// Impossible: templates, variables, one character over and over. Unlikely: the words that stand for a password everywhere.
pub(super) fn password(secret: &[u8]) -> Check {
    let Ok(text) = std::str::from_utf8(secret) else {
        return Check::of(Verdict::Unlikely);
    };
    let inner = text.trim();
    let first = inner.chars().next().unwrap_or_default();
    let repeated = inner.chars().all(|character| character == first);
    let template = inner.starts_with(['$', '<', '{', '%', '[', '@'])
        && inner.chars().any(|character| matches!(character, '}' | '>' | ')' | ']' | '_' | '%'));
    let variable = inner
        .strip_prefix('$')
        .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
    let within = ["{{", "${", "$(", "<%", "%("].iter().any(|mark| inner.contains(mark)) || inner == "%s";
    if repeated || template || variable || within {
        return Check::of(Verdict::Impossible);
    }
    let plain: String = inner
        .to_lowercase()
        .chars()
        .filter(|character| !matches!(character, '_' | '-' | '.' | ' ' | '!'))
        .collect();
    let placeholder = ["your", "example", "change", "insert", "placeholder", "redacted", "dummy", "xxxx"]
        .iter()
        .any(|word| plain.contains(word));
    Check::of(if placeholder || STAND_INS.contains(&plain.as_str()) {
        Verdict::Unlikely
    } else {
        Verdict::Plausible
    })
}

fn plausible_if(fits: bool) -> Check {
    Check::of(if fits { Verdict::Plausible } else { Verdict::Impossible })
}
