use super::{Check, Verdict};

/// What stands for a password in documentation and tests.
const STAND_INS: &[&str] = &[
    "admin",
    "bar",
    "baz",
    "qux",
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
    "pass123",
    "passphrase",
    "postgres",
    "postgresql",
    "mysql",
    "rabbitmq",
    "redis",
    "minio",
    "minioadmin",
    "grafana",
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

/// Parts of what stands for one.
const PLACEHOLDERS: &[&str] =
    &["your", "example", "changeme", "insert", "placeholder", "redacted", "dummy", "xxxx", "notareal"];

/// What is typed along the keyboard or the alphabet, `0123456789abcdef`, is made up.
const RUN_MAX: usize = 8;

pub(super) fn letters_and_digits(secret: &[u8]) -> Check {
    let mixed = secret.iter().any(u8::is_ascii_alphabetic) && secret.iter().any(u8::is_ascii_digit);
    match mixed {
        true if longest_run(secret) > RUN_MAX => Check::of(Verdict::Unlikely),
        mixed => plausible_if(mixed),
    }
}

/// How many characters in a row are each the next after the one before.
fn longest_run(secret: &[u8]) -> usize {
    let mut longest = 0;
    let mut current = 0;
    for (one, next) in secret.iter().zip(secret.iter().skip(1)) {
        current = if next.checked_sub(*one) == Some(1) { current + 1 } else { 0 };
        longest = longest.max(current);
    }
    longest + 1
}

pub(super) fn digit(secret: &[u8]) -> Check {
    plausible_if(secret.iter().any(u8::is_ascii_digit))
}

pub(super) fn mixed_case(secret: &[u8]) -> Check {
    let body = secret.iter().rev().take(32);
    plausible_if(body.clone().any(u8::is_ascii_lowercase) && body.clone().any(u8::is_ascii_uppercase))
}

/// Impossible: templates, variables, one character over and over, the words that stand for a password everywhere.
pub(super) fn password(secret: &[u8]) -> Check {
    let Ok(text) = std::str::from_utf8(secret) else {
        return Check::of(Verdict::Unlikely);
    };
    let text = text.trim();
    let first = text.chars().next().unwrap_or_default();
    let repeated = text.chars().all(|character| character == first);
    if repeated || is_template(text) {
        return Check::of(Verdict::Impossible);
    }
    let plain: String = text.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let placeholder = PLACEHOLDERS.iter().any(|word| plain.contains(word));
    if plain.is_empty() || placeholder || STAND_INS.contains(&plain.as_str()) {
        return Check::of(Verdict::Impossible);
    }
    let made_up = plain.contains("password") || longest_run(secret) > RUN_MAX;
    Check::of(if made_up { Verdict::Unlikely } else { Verdict::Plausible })
}

/// A password that was made, or chosen with care: eight characters or more, of two kinds or more.
pub(super) fn strong_password(secret: &[u8]) -> Check {
    let letter = secret.iter().any(u8::is_ascii_alphabetic);
    let digit = secret.iter().any(u8::is_ascii_digit);
    if secret.len() < 8 || !letter || !digit {
        return Check::of(Verdict::Impossible);
    }
    password(secret)
}

/// Whether something else is put here when the text is used.
fn is_template(text: &str) -> bool {
    let framed = [('<', '>'), ('{', '}'), ('[', ']'), ('%', '%'), ('@', '@'), ('(', ')')];
    let in_frame = framed
        .iter()
        .any(|(open, close)| text.len() > 2 && text.starts_with(*open) && text.ends_with(*close));
    let variable = text
        .strip_prefix('$')
        .is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
    let within = ["{{", "${", "$(", "<%", "%(", "#{"].iter().any(|mark| text.contains(mark));
    in_frame || variable || within || matches!(text, "%s" | "%v" | "%d" | "%q" | "{}")
}

fn plausible_if(fits: bool) -> Check {
    Check::of(if fits { Verdict::Plausible } else { Verdict::Impossible })
}
