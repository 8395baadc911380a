//! The names of accounts, by a template, and their passwords. A name that goes into statements consists of letters,
//! digits and `_.-@` alone, whatever the template is filled with.

use super::wire::Engine;
use strongroom_crypto::token::{random_base62, uuid_v4};
use strongroom_kernel::{Call, Error};
use strongroom_secret::{Entropy, SecretString, Timestamp};

const PASSWORD_CHARACTERS: usize = 24;
const TEMPLATE_BYTES_MAX: usize = 1024;
const RANDOM_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 100;

/// What a template is filled with.
pub(super) struct Filling<'f> {
    pub display_name: &'f str,
    pub role_name: &'f str,
    pub now: Timestamp,
    pub entropy: &'f dyn Entropy,
}

/// The template of a database without one of its own, as Vault has it.
pub(super) fn default_template(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => {
            r#"{{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 8) (.RoleName | truncate 8) (random 20) (unix_time) | truncate 63 }}"#
        }
        Engine::Mysql => {
            r#"{{ printf "v-%s-%s-%s-%s" (.DisplayName | truncate 10) (.RoleName | truncate 10) (random 20) (unix_time) | truncate 32 }}"#
        }
        Engine::Redis => {
            r#"{{ printf "V_%s_%s_%s_%s" (.DisplayName | uppercase | truncate 64) (.RoleName | uppercase | truncate 64) (random 20 | uppercase) (unix_time) | truncate 100 }}"#
        }
    }
}

/// Makes a name. Errors say what is wrong with the template.
pub(super) fn name(template: &str, filling: &Filling<'_>) -> Result<String, Error> {
    let invalid = |why: String| Error::invalid(format!("username_template: {why}"));
    if template.len() > TEMPLATE_BYTES_MAX {
        return Err(invalid(format!("it is longer than {TEMPLATE_BYTES_MAX} bytes")));
    }
    let mut made = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        made.push_str(before);
        let (inside, after) =
            after.split_once("}}").ok_or_else(|| invalid("{{ without its }}".to_owned()))?;
        let tokens = tokens(inside).map_err(&invalid)?;
        let mut reader = Reader { tokens: &tokens, filling };
        made.push_str(&reader.pipeline().map_err(&invalid)?);
        if let Some(token) = reader.tokens.first() {
            return Err(invalid(format!("{} is not expected there", token.shown())));
        }
        rest = after;
    }
    made.push_str(rest);
    let safe: String = made.chars().map(|c| if is_safe(c) { c } else { '-' }).collect();
    match safe.len() {
        0 => Err(invalid("it makes an empty name".to_owned())),
        length if length > NAME_BYTES_MAX => {
            Err(invalid(format!("it makes a name of {length} bytes; {NAME_BYTES_MAX} are the most")))
        }
        _ => Ok(safe),
    }
}

fn is_safe(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '@')
}

/// A password by a policy, or by what every database takes.
pub(super) fn password(call: &mut Call<'_>, policy: &str) -> Result<SecretString, Error> {
    match policy {
        "" => {
            let random = random_base62(call.entropy(), PASSWORD_CHARACTERS);
            // Something of every kind, for servers that ask for it.
            Ok(SecretString::new(format!("A1a-{}", random.expose())))
        }
        policy => Ok(call.password_policy(policy)?.generate(call.entropy())),
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Text(String),
    Number(usize),
    Field(String),
    Word(String),
    Pipe,
    Open,
    Close,
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Text(text) => format!("{text:?}"),
            Self::Number(number) => number.to_string(),
            Self::Field(name) => format!(".{name}"),
            Self::Word(word) => word.clone(),
            Self::Pipe => "|".to_owned(),
            Self::Open => "(".to_owned(),
            Self::Close => ")".to_owned(),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let word_end =
            |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        let (token, length) = match first {
            '|' => (Token::Pipe, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '"' => {
                let inside = rest.get(1..).unwrap_or_default();
                let end = inside.find('"').ok_or("a text without its end")?;
                (Token::Text(inside.get(..end).unwrap_or_default().to_owned()), end + 2)
            }
            '.' => {
                let name = rest.get(1..).unwrap_or_default();
                let end = word_end(name);
                (Token::Field(name.get(..end).unwrap_or_default().to_owned()), end + 1)
            }
            c if c.is_ascii_digit() => {
                let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                let number = rest.get(..end).and_then(|digits| digits.parse().ok());
                (Token::Number(number.ok_or("a number that is too large")?), end)
            }
            c if c.is_ascii_alphabetic() => {
                let end = word_end(rest);
                (Token::Word(rest.get(..end).unwrap_or_default().to_owned()), end)
            }
            c => return Err(format!("{c:?} is not expected there")),
        };
        found.push(token);
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    Ok(found)
}

/// Reads and works out a template's expression: `value | function arguments | …`.
struct Reader<'r> {
    tokens: &'r [Token],
    filling: &'r Filling<'r>,
}

impl Reader<'_> {
    fn pipeline(&mut self) -> Result<String, String> {
        let mut value = self.command(None)?;
        while self.tokens.first() == Some(&Token::Pipe) {
            self.next();
            value = self.command(Some(value))?;
        }
        Ok(value)
    }

    fn next(&mut self) -> Option<Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first.clone())
    }

    /// A value, or a function with its arguments; what comes through a pipe is the last of them.
    fn command(&mut self, piped: Option<String>) -> Result<String, String> {
        match self.tokens.first() {
            Some(Token::Word(word)) => {
                let word = word.clone();
                self.next();
                let mut arguments = Vec::new();
                while !matches!(self.tokens.first(), None | Some(Token::Pipe | Token::Close)) {
                    arguments.push(self.argument()?);
                }
                arguments.extend(piped);
                self.call(&word, &arguments)
            }
            _ if piped.is_some() => Err("| needs a function behind it".to_owned()),
            _ => self.argument(),
        }
    }

    fn argument(&mut self) -> Result<String, String> {
        match self.next() {
            Some(Token::Text(text)) => Ok(text),
            Some(Token::Number(number)) => Ok(number.to_string()),
            Some(Token::Field(name)) => match name.as_str() {
                "DisplayName" => Ok(self.filling.display_name.to_owned()),
                "RoleName" => Ok(self.filling.role_name.to_owned()),
                _ => Err(format!("there is no .{name}: .DisplayName and .RoleName are known")),
            },
            Some(Token::Word(word)) => self.call(&word, &[]),
            Some(Token::Open) => {
                let value = self.pipeline()?;
                match self.next() {
                    Some(Token::Close) => Ok(value),
                    _ => Err("( without its )".to_owned()),
                }
            }
            Some(token) => Err(format!("{} is not expected there", token.shown())),
            None => Err("it ends too early".to_owned()),
        }
    }

    fn call(&self, function: &str, arguments: &[String]) -> Result<String, String> {
        let number = |text: &String| text.parse::<usize>().map_err(|_| format!("{function} needs a number"));
        let Filling { now, entropy, .. } = self.filling;
        Ok(match (function, arguments) {
            ("random", [length]) => {
                random_base62(*entropy, number(length)?.min(RANDOM_MAX)).expose().to_owned()
            }
            ("truncate", [length, text]) => text.chars().take(number(length)?).collect(),
            ("uppercase", [text]) => text.to_uppercase(),
            ("lowercase", [text]) => text.to_lowercase(),
            ("replace", [old, new, text]) => text.replace(old.as_str(), new),
            ("unix_time", []) => now.seconds().to_string(),
            ("unix_time_millis", []) => (now.nanoseconds() / 1_000_000).to_string(),
            ("uuid", []) => uuid_v4(*entropy),
            ("printf", [format, values @ ..]) => printf(format, values)?,
            (
                "random" | "truncate" | "uppercase" | "lowercase" | "replace" | "unix_time" | "uuid"
                | "printf",
                _,
            ) => {
                return Err(format!("{function} has another number of arguments"));
            }
            _ => {
                return Err(format!(
                    "there is no function {function}: random, truncate, uppercase, lowercase, replace, unix_time, \
                     unix_time_millis, uuid and printf are known"
                ));
            }
        })
    }
}

fn printf(format: &str, values: &[String]) -> Result<String, String> {
    let mut parts = format.split("%s");
    let mut text = parts.next().unwrap_or_default().to_owned();
    let mut values = values.iter();
    for part in parts {
        text.push_str(values.next().ok_or("printf has more %s than values")?);
        text.push_str(part);
    }
    match values.next() {
        Some(_) => Err("printf has more values than %s".to_owned()),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Zeros;
    impl Entropy for Zeros {
        fn fill(&self, out: &mut [u8]) {
            out.fill(0);
        }
    }

    fn made(template: &str) -> Result<String, String> {
        let filling = Filling {
            display_name: "token-o'brien\"; DROP",
            role_name: "read-only-role",
            now: Timestamp::from_nanoseconds(1_700_000_000_000_000_000),
            entropy: &Zeros,
        };
        name(template, &filling).map_err(|error| error.messages.join("; "))
    }

    #[test]
    fn names_are_made_as_the_template_says_from_a_safe_alphabet() {
        assert_eq!(
            made(default_template(Engine::Postgres)).unwrap(),
            format!("v-token-o--read-onl-{}-1700000000", "A".repeat(20))
                .replace('A', &made("{{random 1}}").unwrap())
        );
        assert_eq!(made(default_template(Engine::Mysql)).unwrap().len(), 32);
        assert_eq!(made(r#"x_{{ .RoleName | replace "-" "_" | uppercase }}"#).unwrap(), "x_READ_ONLY_ROLE");
        assert_eq!(made(r#"{{ .DisplayName }}"#).unwrap(), "token-o-brien---DROP");
        for (template, said) in [
            ("{{ .Nobody }}", "there is no .Nobody"),
            ("{{ random }}", "another number of arguments"),
            ("{{ shell \"x\" }}", "there is no function shell"),
            ("{{ (random 5 }}", "( without its )"),
            ("{{ .RoleName", "{{ without its }}"),
            ("", "an empty name"),
            ("{{ random 60 }}{{ random 60 }}", "120 bytes"),
        ] {
            let error = made(template).unwrap_err();
            assert!(error.contains(said), "{template}: {error}");
        }
    }
}
