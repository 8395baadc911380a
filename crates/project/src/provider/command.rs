//! A program that prints secrets. No shell is involved: a `$` or a `;` is a character like any other.

use super::settings::{Kind, Rule, SettingsError, Shape};
use super::whole::{Whole, hand_out, places};
use super::{Address, Outcome, Provider, ProviderError, Reach, SecretTree};
use crate::at_once;
use crate::program::{Program, ProgramError};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

pub(super) const KIND: Kind = Kind::new(
    "command",
    "a program that prints secrets",
    &[
        Rule::required(
            "run",
            Shape::Texts,
            "the program and its arguments; {name} in one of them is what is asked for",
        ),
        Rule::optional(
            "output",
            Shape::Choice(&["text", "json"]),
            "text (the value itself, without the line break at its end) or json (a map with all names); text",
        ),
        Rule::optional("timeout", Shape::Duration, "how long it may take; 30s"),
        Rule::optional("concurrency", Shape::Number, "how many of it run at once; 8"),
        Rule::optional("variables", Shape::Table, "set for it in addition to what it inherits"),
    ],
    |settings, surroundings| {
        let argv: Vec<String> = settings.texts("run").into_iter().map(str::to_owned).collect();
        let output = match settings.text("output") {
            Some("json") => Form::Json,
            _ => Form::Text,
        };
        if argv.first().is_none_or(String::is_empty) {
            return Err(SettingsError::of("run", "no program is named"));
        }
        if output == Form::Text && !argv.iter().any(|argument| argument.contains(NAME)) {
            return Err(SettingsError::of(
                "run",
                format!("no argument holds {NAME}, so every secret would be the same"),
            )
            .hint(format!("write {NAME} where the secret's name goes, or output = \"json\"")));
        }
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Ok(Box::new(Command {
            argv,
            form: output,
            time_max: settings.duration("timeout").unwrap_or(Duration::from_secs(30)),
            concurrency: settings
                .number("concurrency")
                .map_or(8, |count| usize::try_from(count.clamp(1, 64)).unwrap_or(1)),
            variables: settings.table("variables").into_iter().map(own).collect(),
            folder: surroundings.folder.clone(),
        }))
    },
);

/// Where in an argument the name goes.
const NAME: &str = "{name}";
const OUTPUT_BYTES_MAX: usize = 16 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Json,
}

struct Command {
    argv: Vec<String>,
    form: Form,
    time_max: Duration,
    concurrency: usize,
    variables: Vec<(String, String)>,
    folder: PathBuf,
}

impl Provider for Command {
    fn place(&self) -> String {
        format!("the program {}", self.argv.first().map(String::as_str).unwrap_or_default())
    }

    fn reach(&self) -> Reach {
        Reach::Command(self.argv.clone())
    }

    fn address_of(&self, name: &str) -> Address {
        match self.form {
            Form::Text => Address::of_path(name),
            Form::Json => Address::of_key(String::new(), name),
        }
    }

    fn fetch(&self, addresses: &[Address]) -> Vec<Outcome> {
        let places = places(addresses);
        let answers = at_once(&places, self.concurrency, |(path, _)| self.run(path).map(Some));
        let found: HashMap<_, _> = places.into_iter().zip(answers).collect();
        hand_out(addresses, &found)
    }

    fn list(&self, path: &str) -> Result<Vec<String>, ProviderError> {
        match self.form {
            Form::Text => Err(super::cannot(self, "be listed", &Address::of_path(path))),
            Form::Json => Ok(self.run(path)?.names().unwrap_or_default()),
        }
    }
}

impl Command {
    /// What it prints for one name.
    fn run(&self, name: &str) -> Result<Whole, ProviderError> {
        let argv: Vec<String> = self.argv.iter().map(|argument| argument.replace(NAME, name)).collect();
        let variables: Vec<_> =
            self.variables.iter().map(|(name, value)| (name.as_str(), value.as_ref())).collect();
        let program = Program {
            argv: &argv,
            folder: Some(&self.folder),
            variables: &variables,
            time_max: self.time_max,
            output_bytes_max: OUTPUT_BYTES_MAX,
        };
        let output = program.run().map_err(|error| failure(&error, &argv))?;
        let origin = argv.join(" ");
        match self.form {
            Form::Json => {
                let tree = SecretTree::parse(output.text.expose()).filter(|tree| tree.as_map().is_some());
                let tree = tree.ok_or_else(|| {
                    ProviderError::malformed(format!("{} did not print a JSON map", self.place()))
                        .looked(&origin)
                })?;
                Ok(Whole::of_tree(tree, origin))
            }
            Form::Text => {
                let text = output.text.expose();
                let text = text.strip_suffix(b"\n").unwrap_or(text);
                let text = text.strip_suffix(b"\r").unwrap_or(text);
                Ok(Whole::of_bytes(text.to_vec().into(), origin))
            }
        }
    }
}

fn failure(error: &ProgramError, argv: &[String]) -> ProviderError {
    let told = match error {
        ProgramError::Empty => ProviderError::settings(error.to_string()),
        ProgramError::Start { .. } => ProviderError::settings(error.to_string())
            .hint("is it installed, and in PATH? A relative path starts at the manifest's folder"),
        ProgramError::Failed { said, .. } => match complaint(said.expose()).as_str() {
            "" => ProviderError::unreachable(error.to_string()),
            said => ProviderError::unreachable(format!("{error}: {said}")),
        },
        ProgramError::Time { .. } | ProgramError::Output { .. } | ProgramError::Read { .. } => {
            ProviderError::unreachable(error.to_string())
        }
    };
    told.looked(argv.join(" "))
}

/// The last lines of a program's standard error, with what may be a secret taken out.
fn complaint(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last: Vec<String> = lines.iter().rev().take(3).rev().map(|line| redacted(line)).collect();
    last.join("; ").chars().take(400).collect()
}

/// Words that look made by a generator, and what stands after `password=` and its like, are hidden; so are control
/// characters.
fn redacted(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let clean: String = word.chars().filter(|character| !character.is_control()).collect();
        match clean.split_once(['=', ':']) {
            Some((name, rest)) if is_sensitive(name) && !rest.is_empty() => format!("{name}=[redacted]"),
            _ if looks_generated(&clean) => "[redacted]".to_owned(),
            _ => clean,
        }
    });
    let words: Vec<String> = words.collect();
    words.join(" ")
}

fn is_sensitive(name: &str) -> bool {
    let name = name.to_lowercase();
    ["password", "passwd", "secret", "token", "key", "credential", "authorization"]
        .iter()
        .any(|word| name.contains(word))
}

/// Sixteen characters and more of letters and digits mixed, in no path and no URL.
fn looks_generated(word: &str) -> bool {
    let word = word.trim_matches(|character: char| !character.is_alphanumeric());
    let has = |test: fn(&char) -> bool| word.chars().any(|character| test(&character));
    word.len() >= 16
        && !word.contains("://")
        && !word.starts_with('/')
        && has(char::is_ascii_digit)
        && has(char::is_ascii_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_do_not_show_secrets() {
        let said = "first\nsecond\nlogin failed for password=hunter2 at https://vault.test/v1/x\ntoken hvs.CAESIJnot1real2not3real4 is bad\n\u{1b}[31mred";
        assert_eq!(
            complaint(said),
            "login failed for password=[redacted] at https://vault.test/v1/x; token [redacted] is bad; [31mred"
        );
    }
}
