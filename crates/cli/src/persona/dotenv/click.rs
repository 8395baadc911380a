//! A command line as Python's click reads it, and its complaints, word for word.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// One command's options.
pub(super) struct Syntax {
    /// `dotenv get`
    pub path: &'static str,
    /// `[OPTIONS] KEY`
    pub usage: &'static str,
    pub options: &'static [Opt],
    pub words: Words,
}

/// What is done with words that are no options of ours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    /// Options may stand among them.
    Mixed,
    /// With the first word the options end.
    Last,
    /// As `Last`, and an unknown option is a word.
    Program,
}

pub(super) struct Opt {
    /// `-f`, `--file`
    pub names: &'static [&'static str],
    pub takes: Takes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Value,
}

/// The options in order, by their last name; and the words.
pub(super) struct Parsed {
    pub options: Vec<(&'static str, OsString)>,
    pub words: Vec<OsString>,
}

/// A complaint about the command line, ready to print. The exit code is 2.
pub(super) struct UsageError(pub String);

impl Syntax {
    /// A complaint under the command's usage.
    pub(super) fn wrong(&self, complaint: &str) -> UsageError {
        let Self { path, usage, .. } = self;
        UsageError(format!("Usage: {path} {usage}\nTry '{path} --help' for help.\n\nError: {complaint}\n"))
    }

    pub(super) fn parse(&self, words: &[OsString]) -> Result<Parsed, UsageError> {
        let mut parsed = Parsed { options: Vec::new(), words: Vec::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let bytes = word.as_bytes();
            if bytes == b"--" {
                break;
            }
            if bytes.len() > 1 && bytes.starts_with(b"-") {
                self.option(word, &mut words, &mut parsed)?;
            } else {
                parsed.words.push(word.clone());
                if self.words != Words::Mixed {
                    break;
                }
            }
        }
        parsed.words.extend(words.cloned());
        Ok(parsed)
    }

    fn option<'w>(
        &self,
        word: &OsString,
        rest: &mut impl Iterator<Item = &'w OsString>,
        parsed: &mut Parsed,
    ) -> Result<(), UsageError> {
        let text = word.to_string_lossy();
        let (name, value) = match (text.starts_with("--"), word.as_bytes().iter().position(|b| *b == b'=')) {
            (true, Some(at)) => split(word, at, at + 1),
            (true, None) => (text.into_owned(), None),
            // `-fFILE`; of several switches in one word there are none.
            (false, _) if word.len() > 2 => split(word, 2, 2),
            (false, _) => (text.into_owned(), None),
        };
        let Some(known) = self.options.iter().find(|option| option.names.contains(&name.as_str())) else {
            if self.words == Words::Program {
                parsed.words.push(word.clone());
                return Ok(());
            }
            return Err(self.unknown(&name));
        };
        let value = match (known.takes, value) {
            (Takes::Nothing, Some(_)) => {
                return Err(UsageError(format!("Error: Option '{name}' does not take a value.\n")));
            }
            (Takes::Nothing, None) => OsString::new(),
            (Takes::Value, Some(value)) => value,
            (Takes::Value, None) => rest
                .next()
                .cloned()
                .ok_or_else(|| UsageError(format!("Error: Option '{name}' requires an argument.\n")))?,
        };
        // Of a pair of switches, which one it was is the answer.
        let named = known.names.iter().find(|known| **known == name && known.starts_with("--"));
        let name = named.or(known.names.last()).copied().unwrap_or_default();
        parsed.options.push((name, value));
        Ok(())
    }

    fn unknown(&self, name: &str) -> UsageError {
        let names = self.options.iter().flat_map(|option| option.names.iter().copied());
        let near = near(name, names.filter(|known| known.starts_with("--")));
        self.wrong(&format!("No such option '{name}'.{near}"))
    }

    /// A choice among names, for the option that is told by all its names.
    pub(super) fn choice(
        &self,
        option: &str,
        value: &OsString,
        choices: &[&'static str],
    ) -> Result<&'static str, UsageError> {
        let chosen = choices.iter().find(|choice| value == **choice);
        chosen.copied().ok_or_else(|| {
            let list: Vec<_> = choices.iter().map(|choice| format!("'{choice}'")).collect();
            let value = value.to_string_lossy();
            self.wrong(&format!("Invalid value for {option}: '{value}' is not one of {}.", list.join(", ")))
        })
    }

    /// The arguments that a command insists on.
    pub(super) fn arguments<const N: usize>(
        &self,
        words: Vec<OsString>,
        names: [&str; N],
    ) -> Result<[OsString; N], UsageError> {
        if let Some(missing) = names.get(words.len()) {
            return Err(self.wrong(&format!("Missing argument '{missing}'.")));
        }
        words.try_into().map_err(|words: Vec<OsString>| {
            let extra: Vec<_> = words.iter().skip(N).map(|word| word.to_string_lossy()).collect();
            let plural = if extra.len() == 1 { "" } else { "s" };
            self.wrong(&format!("Got unexpected extra argument{plural} ({})", extra.join(" ")))
        })
    }
}

/// ` Did you mean 'list'?`, if something known is near.
pub(super) fn near<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> String {
    let mut candidates: Vec<_> =
        known.filter(|known| strsim::normalized_levenshtein(word, known) >= 0.6).collect();
    candidates.sort_unstable();
    let quoted: Vec<_> = candidates.iter().map(|candidate| format!("'{candidate}'")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => format!(" Did you mean {only}?"),
        several => format!(" (Did you mean one of: {}?)", several.join(", ")),
    }
}

fn split(word: &OsString, name_end: usize, value_start: usize) -> (String, Option<OsString>) {
    let bytes = word.as_bytes();
    let name = String::from_utf8_lossy(bytes.get(..name_end).unwrap_or_default()).into_owned();
    (name, bytes.get(value_start..).map(|value| OsString::from_vec(value.to_vec())))
}
