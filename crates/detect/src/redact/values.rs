//! The values that are to be taken out, by name.

use strongroom_secret::SecretBytes;

/// Shorter values stand in too many texts.
const BYTES_MIN: usize = 6;
/// Not even [`Values::all`] takes shorter ones.
const BYTES_LEAST: usize = 4;
/// Longer values are none that a program prints.
const BYTES_MAX: usize = 1 << 20;

/// Values with the names by which people know them.
pub struct Values {
    pub(super) list: Vec<(String, SecretBytes)>,
    choice: Choice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Telling,
    All,
}

/// Why a value is not looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LeftOut {
    #[error("it is empty")]
    Empty,
    #[error("it has fewer than {bytes_min} bytes, and would be found everywhere")]
    TooShort { bytes_min: usize },
    #[error("it is a common word, and would be found everywhere")]
    Common,
    #[error("it has more than {BYTES_MAX} bytes")]
    TooLong,
}

impl Values {
    /// Takes what can be told from other text: from six bytes on, and no common words.
    pub fn telling() -> Self {
        Self { list: Vec::new(), choice: Choice::Telling }
    }

    /// Takes common words too, and values from four bytes on.
    pub fn all() -> Self {
        Self { choice: Choice::All, ..Self::telling() }
    }

    /// Of two equal values, the name of the first is shown.
    pub fn add(&mut self, name: &str, value: &SecretBytes) -> Result<(), LeftOut> {
        let bytes = value.expose().trim_ascii();
        let bytes_min = if self.choice == Choice::All { BYTES_LEAST } else { BYTES_MIN };
        if bytes.is_empty() {
            return Err(LeftOut::Empty);
        }
        if bytes.len() < bytes_min {
            return Err(LeftOut::TooShort { bytes_min });
        }
        if bytes.len() > BYTES_MAX {
            return Err(LeftOut::TooLong);
        }
        if self.choice == Choice::Telling && is_common(bytes) {
            return Err(LeftOut::Common);
        }
        self.list.push((name.to_owned(), value.duplicate()));
        Ok(())
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl std::fmt::Debug for Values {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Values({})", self.list.len())
    }
}

/// Words that programs write all day, and one character over and over.
fn is_common(value: &[u8]) -> bool {
    let first = value.first().copied().unwrap_or_default();
    value.iter().all(|byte| *byte == first)
        || COMMON.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
}

/// Values that people give to settings, of six letters and more (and a few short ones for [`Values::all`] to skip past).
const COMMON: &[&str] = &[
    "accept",
    "access",
    "account",
    "active",
    "address",
    "admin123",
    "administrator",
    "allowed",
    "always",
    "application",
    "archive",
    "authorization",
    "backend",
    "backup",
    "bearer",
    "boolean",
    "bucket",
    "builder",
    "cached",
    "certificate",
    "changed",
    "changeit",
    "changeme",
    "change-me",
    "channel",
    "client",
    "closed",
    "cluster",
    "command",
    "common",
    "complete",
    "config",
    "configuration",
    "connect",
    "connected",
    "connection",
    "console",
    "content",
    "context",
    "controller",
    "created",
    "credentials",
    "current",
    "customer",
    "database",
    "datadog",
    "default",
    "default_value",
    "delete",
    "deleted",
    "deploy",
    "deployment",
    "develop",
    "developer",
    "development",
    "directory",
    "disable",
    "disabled",
    "docker",
    "domain",
    "elasticsearch",
    "enable",
    "enabled",
    "endpoint",
    "environment",
    "errors",
    "eu-central-1",
    "eu-west-1",
    "example",
    "example.com",
    "expired",
    "external",
    "failed",
    "failure",
    "filesystem",
    "finished",
    "frontend",
    "gateway",
    "github",
    "gitlab",
    "global",
    "google",
    "guest123",
    "handler",
    "header",
    "health",
    "hello world",
    "internal",
    "invalid",
    "kafka",
    "kubernetes",
    "language",
    "latest",
    "letmein",
    "library",
    "localhost",
    "localhost:3000",
    "localhost:8080",
    "location",
    "logger",
    "machine",
    "manager",
    "master",
    "memory",
    "message",
    "method",
    "metrics",
    "middleware",
    "minimum",
    "missing",
    "module",
    "monitoring",
    "mysql",
    "namespace",
    "network",
    "nobody",
    "notfound",
    "number",
    "object",
    "offline",
    "online",
    "opened",
    "option",
    "options",
    "organization",
    "output",
    "package",
    "parameter",
    "passwd",
    "password",
    "password1",
    "password123",
    "passphrase",
    "pending",
    "permission",
    "platform",
    "plugin",
    "postgres",
    "postgresql",
    "primary",
    "private",
    "process",
    "prod-eu",
    "production",
    "profile",
    "program",
    "project",
    "prometheus",
    "protocol",
    "provider",
    "public",
    "python",
    "rabbitmq",
    "read-only",
    "readonly",
    "received",
    "record",
    "redacted",
    "redirect",
    "refresh",
    "region",
    "release",
    "remote",
    "replica",
    "request",
    "required",
    "resource",
    "response",
    "result",
    "rotate",
    "running",
    "sandbox",
    "schedule",
    "scheduler",
    "schema",
    "secret",
    "secrets",
    "secret123",
    "security",
    "sendgrid",
    "server",
    "service",
    "session",
    "setting",
    "settings",
    "source",
    "sqlite",
    "staging",
    "standard",
    "started",
    "status",
    "stdout",
    "storage",
    "strict",
    "string",
    "stripe",
    "subject",
    "success",
    "system",
    "tenant",
    "terminal",
    "testing",
    "test123",
    "timeout",
    "token",
    "traefik",
    "twilio",
    "undefined",
    "unknown",
    "update",
    "updated",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
    "username",
    "values",
    "verbose",
    "verify",
    "version",
    "warning",
    "worker",
    "0.0.0.0",
    "127.0.0.1",
    "123456",
    "1234567",
    "12345678",
    "123456789",
    "1234567890",
    "qwerty",
    "qwertyuiop",
    "true",
    "false",
    "none",
    "null",
    "info",
    "debug",
    "error",
    "warn",
    "test",
    "prod",
    "root",
    "user",
    "admin",
    "guest",
    "http",
    "https",
    "local",
    "trace",
    "main",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mut values: Values, value: &str) -> Result<(), LeftOut> {
        values.add("NAME", &SecretBytes::new(value.as_bytes().to_vec()))
    }

    #[test]
    fn what_would_be_found_everywhere_is_left_out() {
        assert_eq!(check(Values::telling(), " \n"), Err(LeftOut::Empty));
        assert_eq!(check(Values::telling(), "ab1cd\n"), Err(LeftOut::TooShort { bytes_min: 6 }));
        assert_eq!(check(Values::telling(), "Production"), Err(LeftOut::Common));
        assert_eq!(check(Values::telling(), "--------"), Err(LeftOut::Common));
        assert_eq!(check(Values::telling(), "hunter2"), Ok(()));
        assert_eq!(check(Values::all(), "prod"), Ok(()));
        assert_eq!(check(Values::all(), "abc"), Err(LeftOut::TooShort { bytes_min: 4 }));
        assert_eq!(check(Values::all(), &"ab".repeat(1 << 20)), Err(LeftOut::TooLong));
    }

    #[test]
    fn values_do_not_print() {
        let mut values = Values::telling();
        values.add("NAME", &SecretBytes::new(b"hunter2".to_vec())).unwrap();
        assert_eq!(format!("{values:?}"), "Values(1)");
    }
}
