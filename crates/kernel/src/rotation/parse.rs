//! How a plan's parts are written: as an object, `{"type": "token", "bytes": 32}`, or as a line, `token bytes=32`.

use super::plan::{AccountTarget, Generator, Notice, Target, WebhookTarget, check_field};
use crate::error::Error;
use crate::request::Fields;
use serde_json::{Map, Value};

const NOTICES_MAX: usize = 16;
const TEXT_BYTES_MAX: usize = 1024;
const TOKEN_BYTES: u64 = 32;

/// One part of a plan: its type and its settings, taken one by one. What is left over at the end is not known.
struct Part {
    name: &'static str,
    kind: String,
    settings: Fields,
}

impl Part {
    fn read(name: &'static str, value: &Value) -> Result<Self, Error> {
        let form =
            || Error::invalid(format!("{name} must be an object with a \"type\", or \"TYPE key=value …\""));
        let mut settings = match value {
            Value::Object(map) => map.clone(),
            Value::String(line) => of_line(line).ok_or_else(form)?,
            _ => return Err(form()),
        };
        match settings.remove("type") {
            Some(Value::String(kind)) if !kind.is_empty() => {
                Ok(Self { name, kind, settings: Fields(settings) })
            }
            _ => Err(form()),
        }
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, Error> {
        let text = self.settings.text(key).map_err(|_| self.wrong(key, "text"))?;
        self.settings.0.remove(key);
        match text.filter(|text| !text.is_empty()) {
            Some(text) if text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) => {
                Err(self.wrong(key, "a text of at most 1024 bytes without control characters"))
            }
            text => Ok(text),
        }
    }

    fn required(&mut self, key: &str) -> Result<String, Error> {
        self.text(key)?.ok_or_else(|| Error::invalid(format!("{} {}: missing {key}", self.name, self.kind)))
    }

    fn wrong(&self, key: &str, expected: &str) -> Error {
        Error::invalid(format!("{} {}: {key} must be {expected}", self.name, self.kind))
    }

    fn unknown_type(&self, known: &str) -> Error {
        Error::invalid(format!("{}: unknown type {:?}: known are {known}", self.name, self.kind))
    }

    fn finish<T>(self, part: T) -> Result<T, Error> {
        match self.settings.0.keys().next() {
            None => Ok(part),
            Some(key) => Err(Error::invalid(format!("{} {}: unknown setting {key:?}", self.name, self.kind))),
        }
    }
}

/// `TYPE key=value …`; a comma in a value makes a list of it.
fn of_line(line: &str) -> Option<Map<String, Value>> {
    let mut words = line.split_whitespace();
    let mut settings = Map::from_iter([("type".to_owned(), Value::from(words.next()?))]);
    for word in words {
        let (key, value) = word.split_once('=')?;
        if key == "type" || settings.insert(key.to_owned(), value.into()).is_some() {
            return None;
        }
    }
    Some(settings)
}

pub(super) fn generator(value: &Value) -> Result<Generator, Error> {
    let mut part = Part::read("generate", value)?;
    let generator = match part.kind.as_str() {
        "password" => Generator::Password { policy: part.text("policy")? },
        "token" => token(&mut part)?,
        "uuid" => Generator::Uuid,
        "ed25519" | "ecdsa-p256" | "ecdsa-p384" | "ecdsa-p521" | "rsa-2048" | "rsa-3072" | "rsa-4096" => {
            let kind = part.kind.clone();
            let public_field = part.text("public_field")?.unwrap_or_else(|| "public_key".to_owned());
            check_field("generate: public_field", &public_field)?;
            Generator::Key { kind, public_field }
        }
        // As a plan is shown.
        "key" => {
            let kind = part.required("kind")?;
            let public_field = part.text("public_field")?.unwrap_or_else(|| "public_key".to_owned());
            let line = format!("{kind} public_field={public_field}");
            part.finish(())?;
            return match generator(&Value::from(line))? {
                key @ Generator::Key { .. } => Ok(key),
                _ => Err(Error::invalid(format!("generate key: {kind:?} is no kind of key"))),
            };
        }
        "command" => Generator::Command { name: command(&mut part)? },
        _ => {
            return Err(part.unknown_type(
                "password, token, uuid, ed25519, ecdsa-p256, ecdsa-p384, ecdsa-p521, rsa-2048, rsa-3072, \
                 rsa-4096, command",
            ));
        }
    };
    part.finish(generator)
}

fn token(part: &mut Part) -> Result<Generator, Error> {
    let bytes = part.settings.count("bytes").map_err(|_| part.wrong("bytes", "a number"))?;
    part.settings.0.remove("bytes");
    let bytes = bytes.unwrap_or(TOKEN_BYTES);
    let bytes = u32::try_from(bytes).ok().filter(|bytes| (16..=512).contains(bytes));
    let bytes = bytes.ok_or_else(|| part.wrong("bytes", "a number from 16 to 512"))?;
    let alphabet = part.text("alphabet")?.unwrap_or_else(|| "base62".to_owned());
    let prefix = part.text("prefix")?.unwrap_or_default();
    super::generate::characters(&alphabet)
        .ok_or_else(|| {
            part.wrong("alphabet", "base62, hex, base64url, or 10 to 256 different printable characters")
        })
        .map(|_| Generator::Token { bytes, alphabet, prefix })
}

/// The name of an executable in the plugin directory.
fn command(part: &mut Part) -> Result<String, Error> {
    let name = part.required("name")?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match name.chars().all(is_plain) && !name.starts_with('.') && name.len() <= 128 {
        true => Ok(name),
        false => {
            Err(part.wrong("name", "the name of a file in the server's plugin_directory, without a path"))
        }
    }
}

pub(super) fn target(name: &'static str, value: &Value) -> Result<Target, Error> {
    let mut part = Part::read(name, value)?;
    let target = match part.kind.as_str() {
        "none" => Target::None,
        "database" => Target::Database(account(&mut part)?),
        "webhook" => Target::Webhook(webhook(&mut part)?),
        "command" => Target::Command { name: command(&mut part)? },
        _ => return Err(part.unknown_type("none, database, webhook, command")),
    };
    part.finish(target)
}

fn account(part: &mut Part) -> Result<AccountTarget, Error> {
    let accounts = part.settings.list("accounts").map_err(|_| part.wrong("accounts", "a list"))?;
    part.settings.0.remove("accounts");
    let accounts = accounts.unwrap_or_default();
    let target = AccountTarget {
        mount: mount(part)?,
        connection: part.required("connection")?,
        username: part.text("username")?,
        username_field: part.text("username_field")?.unwrap_or_else(|| "username".to_owned()),
        accounts,
    };
    check_field("username_field", &target.username_field)?;
    match target.accounts.as_slice() {
        [] => Ok(target),
        [one, other] if one != other && target.username.is_none() => Ok(target),
        _ => Err(part.wrong("accounts", "two different accounts that take turns, without a username beside")),
    }
}

/// With its slash.
fn mount(part: &mut Part) -> Result<String, Error> {
    let mount = part.text("mount")?.unwrap_or_else(|| "database".to_owned());
    Ok(format!("{}/", mount.trim_matches('/')))
}

fn webhook(part: &mut Part) -> Result<WebhookTarget, Error> {
    let url = part.required("url")?;
    let ca_file = part.text("ca_file")?;
    checked(url, ca_file).map_err(|(name, expected)| part.wrong(name, expected))
}

/// A webhook whose address and file of authorities come from a request's own fields.
pub(crate) fn webhook_target(url: String, ca_file: Option<String>) -> Result<WebhookTarget, Error> {
    checked(url, ca_file).map_err(|(name, expected)| {
        let name = if name == "url" { "webhook" } else { name };
        Error::invalid(format!("{name} must be {expected}"))
    })
}

/// What is wrong is said by the name of the part, and what it must be.
fn checked(url: String, ca_file: Option<String>) -> Result<WebhookTarget, (&'static str, &'static str)> {
    let is_secure = url.starts_with("https://");
    let is_here = ["http://127.0.0.1", "http://[::1]", "http://localhost"].iter().any(|here| {
        url.strip_prefix(here)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(':') || rest.starts_with('/'))
    });
    if !(is_secure || is_here) || url.contains('@') {
        return Err(("url", "https://…, or http:// to this machine, without credentials in it"));
    }
    if ca_file.as_ref().is_some_and(|file| !file.starts_with('/')) {
        return Err(("ca_file", "the absolute path of a PEM file on the server"));
    }
    Ok(WebhookTarget { url, ca_file })
}

/// A list of notices; one line or object alone is a list of one.
pub(super) fn notices(value: &Value) -> Result<Vec<Notice>, Error> {
    let items = match value {
        Value::Array(items) => items.as_slice(),
        Value::String(text) if text.trim().is_empty() || text == "none" => &[],
        one => std::slice::from_ref(one),
    };
    if items.len() > NOTICES_MAX {
        return Err(Error::invalid(format!("notify: at most {NOTICES_MAX} can be told")));
    }
    items.iter().map(notice).collect()
}

fn notice(value: &Value) -> Result<Notice, Error> {
    let mut part = Part::read("notify", value)?;
    let notice = match part.kind.as_str() {
        "webhook" => Notice::Webhook(webhook(&mut part)?),
        "file" => {
            let path = part.required("path")?;
            let is_plain = |segment: &str| !segment.is_empty() && segment != "." && segment != "..";
            if !path.split('/').all(is_plain) {
                return Err(part.wrong("path", "a path below the server's notify_directory"));
            }
            Notice::File { path }
        }
        "database" => Notice::Database {
            mount: mount(&mut part)?,
            connection: part.required("connection")?,
            channel: part.required("channel")?,
        },
        _ => return Err(part.unknown_type("webhook, file, database")),
    };
    part.finish(notice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_is_the_object_in_short() {
        let line = generator(&json!("token bytes=16 prefix=app_")).unwrap();
        let object = generator(&json!({"type": "token", "bytes": 16, "prefix": "app_"})).unwrap();
        assert_eq!(line, object);
        // What is shown can be written again.
        for text in ["password policy=strong", "uuid", "ed25519 public_field=p", "command name=make-it"] {
            let parsed = generator(&json!(text)).unwrap();
            assert_eq!(generator(&serde_json::to_value(&parsed).unwrap()).unwrap(), parsed);
        }
        for text in ["none", "webhook url=https://a.example/x", "database connection=c accounts=a,b"] {
            let parsed = target("apply", &json!(text)).unwrap();
            assert_eq!(target("apply", &serde_json::to_value(&parsed).unwrap()).unwrap(), parsed);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = |result: Result<Target, Error>| result.unwrap_err().messages.join("; ");
        let check = |text: &str, expected: &str| assert_eq!(said(target("apply", &json!(text))), expected);
        check("email to=x", "apply: unknown type \"email\": known are none, database, webhook, command");
        check("webhook", "apply webhook: missing url");
        check(
            "webhook url=http://a.example/",
            "apply webhook: url must be https://…, or http:// to this machine, without credentials in it",
        );
        check("none x=1", "apply none: unknown setting \"x\"");
        check(
            "command name=../sh",
            "apply command: name must be the name of a file in the server's plugin_directory, without a path",
        );
        check(
            "database connection=c accounts=a",
            "apply database: accounts must be two different accounts that take turns, without a username beside",
        );
        assert!(notices(&json!(["file path=../x"])).is_err());
        assert!(generator(&json!("token alphabet=aaaaaaaaaaaa")).is_err());
        assert!(target("apply", &json!("webhook url=http://localhost.example/")).is_err());
    }
}
