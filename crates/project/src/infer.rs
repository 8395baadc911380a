//! Guesses: which type a variable seems to have, and whether it is secret, from its name and a value.

use crate::value_type::{Constraints, ValueType};

/// What a declaration might say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guess {
    pub value_type: ValueType,
    pub sensitive: bool,
    /// Of a URL.
    pub scheme: Option<String>,
}

/// Ends of names that hold numbers.
const NUMBERS: [&str; 11] =
    ["COUNT", "LIMIT", "SIZE", "WORKERS", "THREADS", "RETRIES", "MAX", "MIN", "CONCURRENCY", "ID", "DEPTH"];
const SWITCHES: [&str; 8] = ["DEBUG", "ENABLED", "DISABLED", "VERBOSE", "ENABLE", "DISABLE", "TLS", "SSL"];
const URLS: [&str; 6] = ["URL", "URI", "DSN", "ENDPOINT", "ORIGIN", "WEBHOOK"];
const PATHS: [&str; 5] = ["PATH", "DIR", "FILE", "FOLDER", "ROOT"];
const TIMES: [&str; 6] = ["TIMEOUT", "TTL", "INTERVAL", "DURATION", "EXPIRY", "DELAY"];
const EMAILS: [&str; 3] = ["EMAIL", "MAILTO", "MAIL_FROM"];
/// Words whose values are secret.
const SECRETS: [&str; 12] = [
    "KEY",
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASS",
    "PWD",
    "CREDENTIALS",
    "CREDENTIAL",
    "PRIVATE",
    "SALT",
    "PIN",
];
const TOKENS: [&str; 3] = ["KEY", "TOKEN", "SECRET"];
/// Names of what is no secret.
const OPEN: [&str; 16] = [
    "HOST",
    "HOSTNAME",
    "PORT",
    "ENV",
    "ENVIRONMENT",
    "LEVEL",
    "NAME",
    "REGION",
    "ZONE",
    "LOCALE",
    "LANG",
    "TZ",
    "USER",
    "USERNAME",
    "MODE",
    "BUCKET",
];

/// The guess for a variable. A value that only says where it should be (`changeme`, `<your key>`) counts as none.
pub fn guess(name: &str, value: Option<&str>) -> Guess {
    let words: Vec<String> = name.split('_').map(str::to_ascii_uppercase).collect();
    let value = value.filter(|value| !is_placeholder(value));
    let (value_type, scheme) = type_of(&words, value);
    let secret_name = words.iter().any(|word| SECRETS.contains(&word.as_str()));
    let open_name = words.last().is_some_and(|last| OPEN.contains(&last.as_str()));
    let sensitive = match value_type {
        ValueType::Port | ValueType::Bool | ValueType::Int | ValueType::Float | ValueType::Duration => {
            secret_name
        }
        ValueType::Url => secret_name || value.is_none_or(|value| value.contains('@')),
        ValueType::Path | ValueType::Email => secret_name,
        _ => secret_name || !open_name,
    };
    Guess { value_type, sensitive, scheme }
}

fn type_of(words: &[String], value: Option<&str>) -> (ValueType, Option<String>) {
    let ends = |with: &[&str]| words.last().is_some_and(|last| with.contains(&last.as_str()));
    let is = |kind: ValueType| {
        value.is_none_or(|value| kind.problems(&Constraints::default(), value.as_bytes()).is_empty())
    };
    let by_name = [
        (ends(&["PORT"]), ValueType::Port),
        (ends(&URLS), ValueType::Url),
        (ends(&SWITCHES), ValueType::Bool),
        (ends(&TIMES), ValueType::Duration),
        (ends(&NUMBERS), ValueType::Int),
        (ends(&EMAILS), ValueType::Email),
        (ends(&PATHS), ValueType::Path),
    ];
    for (named, kind) in by_name {
        if named && is(kind) {
            let scheme = value.filter(|_| kind == ValueType::Url).and_then(|value| value.split_once(':'));
            return (kind, scheme.map(|(scheme, _)| scheme.to_ascii_lowercase()));
        }
    }
    if let Some(found) = value.and_then(type_of_value) {
        return found;
    }
    let token = ends(&TOKENS) && value.is_some_and(|value| value.len() >= 16) && is(ValueType::Token);
    (if token { ValueType::Token } else { ValueType::String }, None)
}

/// The type that a value shows by itself.
fn type_of_value(value: &str) -> Option<(ValueType, Option<String>)> {
    let none = Constraints::default();
    let is = |kind: ValueType| kind.problems(&none, value.as_bytes()).is_empty();
    if value.contains("://") && is(ValueType::Url) {
        let scheme = value.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        return Some((ValueType::Url, scheme));
    }
    let switch =
        matches!(value.to_ascii_lowercase().as_str(), "true" | "false" | "yes" | "no" | "on" | "off");
    let number = value.len() < 12 && is(ValueType::Int);
    let json = value.starts_with(['{', '[']) && is(ValueType::Json);
    let pem = value.starts_with("-----BEGIN ") && is(ValueType::Pem);
    let email = value.contains('@') && is(ValueType::Email);
    let fraction = value.contains('.') && is(ValueType::Float);
    [
        (switch, ValueType::Bool),
        (number, ValueType::Int),
        (is(ValueType::Uuid), ValueType::Uuid),
        (json, ValueType::Json),
        (pem, ValueType::Pem),
        (email, ValueType::Email),
        (fraction, ValueType::Float),
    ]
    .into_iter()
    .find(|(fits, _)| *fits)
    .map(|(_, kind)| (kind, None))
}

/// What people write where a value should be.
pub fn is_placeholder(value: &str) -> bool {
    let lower = value.trim().to_ascii_lowercase();
    let whole = [
        "",
        "changeme",
        "change-me",
        "change_me",
        "todo",
        "xxx",
        "secret",
        "password",
        "null",
        "none",
        "...",
    ];
    whole.contains(&lower.as_str())
        || (lower.starts_with('<') && lower.ends_with('>'))
        || lower.starts_with("your-")
        || lower.starts_with("your_")
        || (!lower.is_empty() && lower.chars().all(|c| c == 'x' || c == '*'))
}

impl Guess {
    /// The lines of a `[secret.NAME]` table.
    pub fn lines(&self) -> String {
        let mut lines = format!("type = \"{}\"\n", self.value_type.word());
        if let Some(scheme) = &self.scheme {
            lines.push_str(&format!("schemes = [\"{scheme}\"]\n"));
        }
        if !self.sensitive {
            lines.push_str("sensitive = false\n");
        }
        lines
    }

    /// The same as an inline table, with more keys after them.
    pub fn inline(&self, more: &[(&str, String)]) -> String {
        let mut parts = vec![format!("type = \"{}\"", self.value_type.word())];
        parts.extend(self.scheme.iter().map(|scheme| format!("schemes = [\"{scheme}\"]")));
        if !self.sensitive {
            parts.push("sensitive = false".to_owned());
        }
        parts.extend(more.iter().map(|(key, value)| format!("{key} = {value}")));
        format!("{{ {} }}", parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses() {
        let check = |name: &str, value: &str, expected: &str| {
            let value = (!value.is_empty()).then_some(value);
            assert_eq!(guess(name, value).inline(&[]), format!("{{ {expected} }}"), "{name}");
        };
        check("PORT", "8080", r#"type = "port", sensitive = false"#);
        check("DATABASE_URL", "postgres://u:p@h/d", r#"type = "url", schemes = ["postgres"]"#);
        check("API_URL", "https://example.com", r#"type = "url", schemes = ["https"], sensitive = false"#);
        check("API_URL", "", r#"type = "url""#);
        check("DEBUG", "true", r#"type = "bool", sensitive = false"#);
        check("STRIPE_KEY", "sk_test_not_a_real_key", r#"type = "token""#);
        check("STRIPE_KEY", "<your key>", r#"type = "string""#);
        check("DB_PASSWORD", "hunter2", r#"type = "string""#);
        check("LOG_LEVEL", "info", r#"type = "string", sensitive = false"#);
        check("TENANT", "01890a5d-ac96-774b-bcce-b302099a8057", r#"type = "uuid""#);
        check("GCP", "{\"type\": \"service_account\"}", r#"type = "json""#);
        check("TLS_KEY", "-----BEGIN FAKE-----\nbm90\n-----END FAKE-----", r#"type = "pem""#);
        check("ADMIN_EMAIL", "a@example.com", r#"type = "email", sensitive = false"#);
        check("CACHE_TTL", "15m", r#"type = "duration", sensitive = false"#);
        check("WORKERS", "4", r#"type = "int", sensitive = false"#);
        check("RATE", "0.5", r#"type = "float", sensitive = false"#);
    }
}
