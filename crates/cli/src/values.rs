//! `key=value`, `key=@file`, `key=-`, `@file.json` and `-`: the data of a write, as the `vault` command takes it.

use crate::failure::Failure;
use crate::terminal::ask_hidden;
use serde_json::{Map, Value};
use std::fs;
use std::io::{IsTerminal, Read};
use zeroize::Zeroizing;

/// Standard input; at a terminal, a value that is asked for and not shown while it is typed.
pub struct StandardInput {
    typed: Option<std::io::Cursor<Zeroizing<Vec<u8>>>>,
}

impl StandardInput {
    pub fn new() -> Self {
        Self { typed: None }
    }
}

impl Read for StandardInput {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if let Some(typed) = &mut self.typed {
            return Read::read(typed, buffer);
        }
        if !std::io::stdin().is_terminal() {
            return std::io::stdin().read(buffer);
        }
        let value = ask_hidden("Value (will be hidden): ")?;
        let value = Zeroizing::new(value.expose().as_bytes().to_vec());
        let typed = self.typed.insert(std::io::Cursor::new(value));
        Read::read(typed, buffer)
    }
}

/// As `parse`, for credentials: a value out of standard input loses the line feed that `echo` puts there.
pub fn parse_credentials(words: &[String], stdin: &mut dyn Read) -> Result<Map<String, Value>, Failure> {
    let pairs = words.iter().filter_map(|word| word.split_once('='));
    let names: Vec<&str> = pairs.filter(|(_, value)| *value == "-").map(|(name, _)| name).collect();
    let mut data = parse(words, stdin)?;
    for name in names {
        if let Some(Value::String(value)) = data.get_mut(name) {
            let kept = value.strip_suffix('\n').map_or(value.len(), |line| line.trim_end_matches('\r').len());
            value.truncate(kept);
        }
    }
    Ok(data)
}

/// Reads the data. Only one word may take standard input. A key given twice becomes a list.
pub fn parse(words: &[String], stdin: &mut dyn Read) -> Result<Map<String, Value>, Failure> {
    let mut parser = Parser { stdin: Some(stdin), data: Map::new() };
    for word in words {
        parser.add(word)?;
    }
    Ok(parser.data)
}

/// As `parse`, for a query: texts, in which a list becomes a repeated name.
pub fn parse_query(words: &[String], stdin: &mut dyn Read) -> Result<Vec<(String, String)>, Failure> {
    let mut query = Vec::new();
    for (name, value) in parse(words, stdin)? {
        let values = match value {
            Value::Array(values) => values,
            single => vec![single],
        };
        for value in values {
            let text = match value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            query.push((name.clone(), text));
        }
    }
    Ok(query)
}

struct Parser<'a> {
    stdin: Option<&'a mut dyn Read>,
    data: Map<String, Value>,
}

impl Parser<'_> {
    fn add(&mut self, word: &str) -> Result<(), Failure> {
        if word == "-" {
            let text = self.standard_input()?;
            return self.add_object(&text, "standard input");
        }
        if let Some(file) = word.strip_prefix('@') {
            return self.add_object(&read_file(file)?, file);
        }
        let Some((key, value)) = word.split_once('=') else {
            return Err(Failure::usage(format!("{word:?} is not a key=value pair")).hint(
                "write key=value, key=@file, key=- (standard input), @file.json, or - (JSON from standard input)",
            ));
        };
        let value = match value {
            "-" => self.standard_input()?,
            _ => match (value.strip_prefix('@'), value.strip_prefix("\\@")) {
                (Some(file), _) => read_file(file)?,
                (None, Some(rest)) => format!("@{rest}"),
                (None, None) => value.to_owned(),
            },
        };
        self.insert(key, Value::String(value));
        Ok(())
    }

    fn add_object(&mut self, text: &str, source: &str) -> Result<(), Failure> {
        match serde_json::from_str(text) {
            Ok(Value::Object(fields)) => {
                for (key, value) in fields {
                    self.insert(&key, value);
                }
                Ok(())
            }
            Ok(_) => Err(Failure::usage(format!("{source} holds JSON, but not an object"))),
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                Err(Failure::usage(format!("{source} is not JSON (line {line}, column {column})")))
            }
        }
    }

    fn insert(&mut self, key: &str, value: Value) {
        match self.data.get_mut(key) {
            None => {
                self.data.insert(key.to_owned(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(earlier) => {
                let first = earlier.take();
                *earlier = Value::Array(vec![first, value]);
            }
        }
    }

    fn standard_input(&mut self) -> Result<String, Failure> {
        let stdin =
            self.stdin.take().ok_or_else(|| Failure::usage("standard input can be used only once"))?;
        let mut text = String::new();
        stdin
            .take(INPUT_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|error| Failure::other(format!("cannot read standard input: {error}")))?;
        Ok(text)
    }
}

/// More than any server takes in one request.
const INPUT_BYTES_MAX: u64 = 64 << 20;

/// A text file as it is, with its last line break.
pub fn read_file(path: &str) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| Failure::other(format!("cannot read {path}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &[&str], stdin: &str, expected: &str) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let data = parse(&words, &mut stdin.as_bytes()).unwrap();
        assert_eq!(Value::Object(data).to_string(), expected);
    }

    #[test]
    fn every_form() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f.json");
        fs::write(&file, "{\"n\":1}").unwrap();
        let file = file.to_str().unwrap();
        check(&["a=b", "c=d=e", "e="], "", r#"{"a":"b","c":"d=e","e":""}"#);
        check(&[&format!("a=@{file}")], "", r#"{"a":"{\"n\":1}"}"#);
        check(&[&format!("@{file}"), "b=2"], "", r#"{"b":"2","n":1}"#);
        check(&["a=-"], "line\n", r#"{"a":"line\n"}"#);
        check(&["-"], r#"{"x":[1],"y":null}"#, r#"{"x":[1],"y":null}"#);
        check(&["a=\\@b"], "", r#"{"a":"@b"}"#);
        check(&["a=1", "a=2", "a=3"], "", r#"{"a":["1","2","3"]}"#);
    }

    #[test]
    fn credentials_lose_the_line_feed_of_echo() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        for (typed, kept) in [("pw\n", "pw"), ("pw\r\n", "pw"), ("p w \n\n", "p w \n"), ("pw", "pw")] {
            let data =
                parse_credentials(&words(&["password=-", "username=a"]), &mut typed.as_bytes()).unwrap();
            assert_eq!((&data["password"], &data["username"]), (&Value::from(kept), &Value::from("a")));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let fails = |words: &[&str], stdin: &str| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            parse(&words, &mut stdin.as_bytes()).unwrap_err().native_text()
        };
        assert!(fails(&["abc"], "").contains("not a key=value pair"));
        assert!(fails(&["a=-", "b=-"], "").contains("only once"));
        assert!(fails(&["-"], "[1]").contains("not an object"));
        assert!(fails(&["-"], "{").contains("standard input is not JSON"));
        assert!(fails(&["a=@/does/not/exist"], "").contains("/does/not/exist"));
    }
}
