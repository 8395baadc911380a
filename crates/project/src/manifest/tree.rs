//! TOML as a tree in which every key and value knows its place. All files of a manifest become such trees first.

use super::place::{Place, Sources};
use super::problem::{Problem, ProblemKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) value: Value,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    /// A TOML date or time, as written.
    Date(String),
    List(Vec<Node>),
    Table(Table),
}

/// Entries in the order in which they stand in the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// Of the name.
    pub(crate) place: Place,
    pub(crate) node: Node,
}

impl Value {
    /// What it is, in words for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::Date(_) => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl Node {
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) | Value::Date(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        match self.value {
            Value::Integer(value) => Some(value),
            _ => None,
        }
    }

    /// A text, number, truth value or date as the text that a program would be given; a list joined by commas.
    pub(crate) fn as_value_text(&self) -> Option<String> {
        match &self.value {
            Value::Text(text) | Value::Date(text) => Some(text.clone()),
            Value::Integer(number) => Some(number.to_string()),
            Value::Float(number) => Some(number.to_string()),
            Value::Bool(value) => Some(value.to_string()),
            Value::List(items) => {
                let items: Option<Vec<String>> = items.iter().map(Node::as_value_text).collect();
                items.map(|items| items.join(","))
            }
            Value::Table(_) => None,
        }
    }

    /// A list of texts; a single text is a list of one.
    pub(crate) fn texts(&self) -> Vec<(String, Place)> {
        match &self.value {
            Value::Text(text) => vec![(text.clone(), self.place)],
            Value::List(items) => {
                items.iter().filter_map(|item| Some((item.text()?.to_owned(), item.place))).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Table {
    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Node> {
        self.entry(name).map(|entry| &entry.node)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.text()
    }

    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        self.get(name)?.boolean()
    }
}

/// Parses one file. After a syntax error the rest is still read, so that all of them are found.
pub(crate) fn parse(sources: &Sources, file: usize, problems: &mut Vec<Problem>) -> Table {
    let text = sources.text(file);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let mut location = sources.location(Place { file, start: span.start, end: span.end });
        // The line is not TOML: there is no telling which part of it is a value.
        location.snippet = None;
        problems.push(Problem::error(ProblemKind::Manifest, error.message().to_owned()).at(location));
    }
    convert_table(file, table.into_inner())
}

fn convert_table(file: usize, table: DeTable<'_>) -> Table {
    let entry = |(name, value): (Spanned<_>, Spanned<DeValue<'_>>)| {
        let place = place(file, &name.span());
        let name: std::borrow::Cow<'_, str> = name.into_inner();
        Entry { name: name.into_owned(), place, node: convert(file, value) }
    };
    let mut entries: Vec<Entry> = table.into_iter().map(entry).collect();
    entries.sort_by_key(|entry| entry.place.start);
    Table { entries }
}

fn convert(file: usize, value: Spanned<DeValue<'_>>) -> Node {
    let place = place(file, &value.span());
    let value = match value.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => {
            match i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()) {
                Ok(number) => Value::Integer(number),
                Err(_) => Value::Float(f64::INFINITY),
            }
        }
        DeValue::Float(number) => Value::Float(number.as_str().replace('_', "").parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(items) => Value::List(items.into_iter().map(|item| convert(file, item)).collect()),
        DeValue::Table(table) => Value::Table(convert_table(file, table)),
    };
    Node { place, value }
}

fn place(file: usize, span: &std::ops::Range<usize>) -> Place {
    Place { file, start: span.start, end: span.end }
}
