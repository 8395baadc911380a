//! What may stand where in a manifest: one description, from which files are checked and the JSON Schema is made.

use super::place::{Place, Sources};
use super::problem::{Problem, ProblemKind, did_you_mean, suggestion};
use super::tree::{Entry, Node, Table, Value};
use crate::provider::{KINDS, Kind};
use strongroom_secret::parse_duration;

/// A key of a table.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    /// One line for the schema and the reference.
    pub(crate) doc: &'static str,
}

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Shape {
    Text,
    /// A text that is not empty, of letters, digits, `_`, `-` and `.`
    Name,
    Integer,
    Number,
    Flag,
    /// As `90d` or `1h30m`.
    Duration,
    /// A TOML date, or the same as a text.
    Date,
    /// One of these words.
    Choice(&'static [&'static str]),
    List(&'static Shape),
    /// A table with these keys and no others.
    Table(&'static [Key]),
    /// A table of names that the project chooses.
    Map(&'static Shape),
    /// Whichever fits.
    Either(&'static [Shape]),
    /// A provider: its key `type` decides which others it has (`provider::KINDS`).
    Provider,
    /// A text, a number, a truth value or a date.
    Scalar,
}

/// Checks one file against a description.
pub(crate) struct Checker<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) problems: &'a mut Vec<Problem>,
}

impl Checker<'_> {
    pub(crate) fn table(&mut self, table: &Table, keys: &'static [Key], within: &str) {
        for entry in &table.entries {
            match keys.iter().find(|key| key.name == entry.name) {
                Some(key) => self.node(&entry.node, &key.shape, &join(within, &entry.name)),
                None => self.unknown(entry, keys.iter().map(|key| key.name), within),
            }
        }
    }

    pub(crate) fn node(&mut self, node: &Node, shape: &'static Shape, within: &str) {
        match (shape, &node.value) {
            (Shape::Table(keys), Value::Table(table)) => self.table(table, keys, within),
            (Shape::Map(inner), Value::Table(table)) => {
                for entry in &table.entries {
                    self.node(&entry.node, inner, &join(within, &entry.name));
                }
            }
            (Shape::List(inner), Value::List(items)) => {
                items.iter().for_each(|item| self.node(item, inner, within));
            }
            (Shape::Either(shapes), _) => match shapes.iter().find(|shape| shape.accepts(&node.value)) {
                Some(shape) => self.node(node, shape, within),
                None => self.wrong(node, shape, within),
            },
            (Shape::Provider, Value::Table(table)) => self.provider(node, table, within),
            (Shape::Choice(words), Value::Text(text)) => {
                if !words.contains(&text.as_str()) {
                    self.not_among(node, text, words, within);
                }
            }
            (Shape::Duration, Value::Text(text)) => {
                if let Err(error) = parse_duration(text) {
                    self.say(node.place, format!("{within}: {error}"), None);
                }
            }
            (Shape::Name, Value::Text(text)) => {
                if !is_name(text) {
                    let message = format!("{within} is not a name");
                    self.say(node.place, message, Some("a name has letters, digits, _, - and .".to_owned()));
                }
            }
            _ if shape.accepts(&node.value) => {}
            _ => self.wrong(node, shape, within),
        }
    }

    /// The kind alone: a provider's settings are checked when its placeholders are known.
    fn provider(&mut self, node: &Node, table: &Table, within: &str) {
        let kinds = || KINDS.iter().map(|kind| kind.name);
        let Some(entry) = table.entry("type") else {
            let hint = format!("type is one of {}", kinds().collect::<Vec<_>>().join(", "));
            return self.say(node.place, format!("{within} has no type"), Some(hint));
        };
        match entry.node.text() {
            None => self.wrong(&entry.node, &Shape::Text, &join(within, "type")),
            Some(text) if Kind::named(text).is_none() => {
                let message = format!("{within}: there is no provider of the type {text:?}");
                self.say(entry.node.place, message, suggestion(text, kinds()));
            }
            Some(_) => {}
        }
    }

    /// The word itself is repeated only if it is nearly right: otherwise it might be a value.
    fn not_among(&mut self, node: &Node, text: &str, words: &[&str], within: &str) {
        let (message, hint) = match did_you_mean(text, words.iter().copied()) {
            Some(near) => (format!("{within}: there is no {text:?}"), format!("did you mean {near:?}?")),
            None => {
                (format!("{within} is none of the known words"), format!("there is: {}", words.join(", ")))
            }
        };
        self.say(node.place, message, Some(hint));
    }

    fn unknown(&mut self, entry: &Entry, known: impl Iterator<Item = &'static str>, within: &str) {
        let known: Vec<&str> = known.collect();
        let whole = join(within, &entry.name);
        let hint = match entry.name.as_str() {
            "value" => Some("values never stand in the manifest: `strongroom set NAME` keeps one".to_owned()),
            "storage" | "listener" if within.is_empty() => {
                Some("this looks like the configuration of a server: `strongroom server --config`".to_owned())
            }
            name => suggestion(name, known.iter().copied()),
        };
        self.say(entry.place, format!("unknown key {whole}"), hint);
    }

    fn wrong(&mut self, node: &Node, shape: &Shape, within: &str) {
        let message = format!("{within} must be {}, not {}", shape.words(), node.value.kind());
        self.say(node.place, message, None);
    }

    fn say(&mut self, place: Place, message: String, hint: Option<String>) {
        let problem = Problem::error(ProblemKind::Manifest, message);
        self.problems.push(problem.at(self.sources.location(place)).maybe_hint(hint));
    }
}

impl Shape {
    /// Whether a value is of this kind at all; what is inside is looked at afterwards.
    fn accepts(&self, value: &Value) -> bool {
        match self {
            Self::Text | Self::Name | Self::Duration | Self::Choice(_) => matches!(value, Value::Text(_)),
            Self::Integer => matches!(value, Value::Integer(_)),
            Self::Number => matches!(value, Value::Integer(_) | Value::Float(_)),
            Self::Flag => matches!(value, Value::Bool(_)),
            Self::Date => match value {
                Value::Date(_) => true,
                Value::Text(text) => text.len() >= 10 && text.starts_with(|c: char| c.is_ascii_digit()),
                _ => false,
            },
            Self::List(_) => matches!(value, Value::List(_)),
            Self::Table(_) | Self::Map(_) | Self::Provider => matches!(value, Value::Table(_)),
            Self::Either(shapes) => shapes.iter().any(|shape| shape.accepts(value)),
            Self::Scalar => !matches!(value, Value::List(_) | Value::Table(_)),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Name => "a name".to_owned(),
            Self::Integer => "a whole number".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Duration => "a duration as \"90d\"".to_owned(),
            Self::Date => "a date as 2027-01-31".to_owned(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::List(_) => "a list".to_owned(),
            Self::Table(_) | Self::Map(_) | Self::Provider => "a table".to_owned(),
            Self::Either(shapes) => shapes.iter().map(Self::words).collect::<Vec<_>>().join(" or "),
            Self::Scalar => "a text, a number or true or false".to_owned(),
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn join(within: &str, name: &str) -> String {
    if within.is_empty() { name.to_owned() } else { format!("{within}.{name}") }
}
