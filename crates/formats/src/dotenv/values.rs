//! The values of a file as its dialect's tool would see them.

use super::Dialect;
use super::dialects::line_pattern::{LineBreaks, decode_node, decode_ruby};
use super::dialects::{compose, python, sops};
use super::interpolate::compose::Fault;
use super::interpolate::{self, Pieces};
use super::tree::{Assignment, Bad, Document, Entry, Kind, Quote, Value};
use std::collections::HashMap;
use strongroom_secret::SecretString;

/// What a name means outside of the file: the process environment, handed in.
pub type Lookup<'e> = &'e dyn Fn(&str) -> Option<&'e str>;

/// No variable at all.
pub const NO_ENVIRONMENT: Lookup<'static> = &|_| None;

/// Who wins where a name is in the file and in the environment. Compose asks the environment first in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precedence {
    #[default]
    File,
    Environment,
}

/// All values together take no more than this, in bytes: `A=${B}${B}` ten lines long must not fill the memory.
const RESOLVED_BYTES_MAX: usize = 64 << 20;

/// Names and values, in the order of the names' first lines; the last line of a name has its value.
#[derive(Debug, Default)]
pub struct Values {
    list: Vec<(String, Option<SecretString>)>,
    index: HashMap<String, usize>,
}

/// Why a file has no values. Never with a value in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    #[error("line {line}: {bad}; the dialect {dialect} reads nothing of a file with such a line")]
    Refused { line: usize, bad: Bad, dialect: Dialect },
    #[error(
        "line {line}: {key} refers to a variable in a form that is none: ${{…}} holds a name, or a name, an operator (:- - :+ + :? ?) and a word; $$ is a dollar"
    )]
    Reference { line: usize, key: String },
    #[error("line {line}: {key} needs the variable {name}, which is not set{}", if .message.is_empty() { String::new() } else { format!(": {}", .message) })]
    Required { line: usize, key: String, name: String, message: String },
    #[error("line {line}: {key} has words within words deeper than is read")]
    TooDeep { line: usize, key: String },
    #[error("line {line}: {key} is exported, and has no value")]
    Unset { line: usize, key: String },
    #[error("line {line}: with {key}, the values take more than {RESOLVED_BYTES_MAX} bytes")]
    TooLarge { line: usize, key: String },
}

impl Values {
    /// `None`: there is no such name. `Some(None)`: a name without a value.
    pub fn find(&self, key: &str) -> Option<Option<&SecretString>> {
        self.index.get(key).and_then(|at| self.list.get(*at)).map(|(_, value)| value.as_ref())
    }

    /// The value of a name that has one.
    pub fn value(&self, key: &str) -> Option<&SecretString> {
        self.find(key).flatten()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&SecretString>)> {
        self.list.iter().map(|(key, value)| (key.as_str(), value.as_ref()))
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn insert(&mut self, key: &str, value: Option<SecretString>) {
        match self.index.get(key).and_then(|at| self.list.get_mut(*at)) {
            Some(slot) => slot.1 = value,
            None => {
                self.index.insert(key.to_owned(), self.list.len());
                self.list.push((key.to_owned(), value));
            }
        }
    }
}

impl Document {
    /// All values, with variables put in, in one pass from the top. A variable means what the lines above gave it, or the
    /// environment; a name that refers to itself sees what stood before its line.
    pub fn resolve(&self, environment: Lookup<'_>, precedence: Precedence) -> Result<Values, ResolveError> {
        let mut resolver = Resolver::new(self, environment, precedence);
        for entry in self.entries() {
            resolver.take(entry)?;
        }
        Ok(resolver.values)
    }

    /// All values as they are written, escapes off and no variables put in.
    pub fn literal_values(&self) -> Values {
        let mut values = Values::default();
        for (_, assignment) in self.assignments() {
            let value = assignment.value.map(|value| self.decode(value, LineBreaks::Literal));
            values.insert(self.key(assignment), value);
        }
        values
    }

    /// One value as it is written, escapes off and no variables put in.
    pub fn literal(&self, assignment: &Assignment) -> Option<SecretString> {
        assignment.value.map(|value| self.decode(value, LineBreaks::Literal))
    }

    /// Whether this dialect's tool runs a part of the value as a command. We never do.
    pub fn runs_command(&self, assignment: &Assignment) -> bool {
        let value = assignment.value.filter(|value| value.quote != Quote::Single);
        self.dialect() == Dialect::Ruby
            && value.is_some_and(|value| {
                interpolate::ruby::runs_command(self.decode(value, LineBreaks::Literal).expose())
            })
    }

    fn decode(&self, value: Value, line_breaks: LineBreaks) -> SecretString {
        let inner = self.inner(value);
        match self.dialect() {
            Dialect::Python => python::decode(inner, value.quote),
            Dialect::Node => decode_node(inner, self.slice(value.span)),
            Dialect::Compose => compose::decode(inner, value.quote),
            Dialect::Ruby => decode_ruby(inner, value.quote, line_breaks),
            Dialect::Sops => sops::decode(inner),
            Dialect::Strict => inner.into(),
        }
    }
}

/// Walks over entries and gathers values.
pub(super) struct Resolver<'d, 'e> {
    document: &'d Document,
    environment: Lookup<'e>,
    precedence: Precedence,
    pub(super) values: Values,
    bytes: usize,
}

impl<'d, 'e> Resolver<'d, 'e> {
    pub(super) fn new(document: &'d Document, environment: Lookup<'e>, precedence: Precedence) -> Self {
        Self { document, environment, precedence, values: Values::default(), bytes: 0 }
    }

    /// Reads one entry; after an error the next ones can still be read.
    pub(super) fn take(&mut self, entry: &Entry) -> Result<(), ResolveError> {
        let dialect = self.document.dialect();
        match &entry.kind {
            Kind::Blank | Kind::Comment => Ok(()),
            Kind::Bad(_) if !dialect.refuses_bad_lines() => Ok(()),
            Kind::Bad(bad) => Err(ResolveError::Refused { line: entry.line, bad: *bad, dialect }),
            Kind::Assignment(assignment) => self.assign(entry.line, assignment),
        }
    }

    fn assign(&mut self, line: usize, assignment: &Assignment) -> Result<(), ResolveError> {
        let key = self.document.key(assignment);
        let value = match self.document.dialect() {
            Dialect::Ruby => match self.ruby(line, key, assignment)? {
                Some(value) => Some(value),
                None => return Ok(()),
            },
            Dialect::Compose if assignment.value.is_none() => match (self.environment)(key) {
                Some(value) => Some(value.into()),
                None => return Ok(()),
            },
            Dialect::Python if assignment.value.is_none() => None,
            _ => Some(self.evaluated(line, key, assignment.value, LineBreaks::Literal)?),
        };
        self.bytes += value.as_ref().map_or(0, |value| value.expose().len()) + key.len();
        if self.bytes > RESOLVED_BYTES_MAX {
            return Err(ResolveError::TooLarge { line, key: key.to_owned() });
        }
        self.values.insert(key, value);
        Ok(())
    }

    /// A set variable stays as it is, and an exported name must have a value.
    fn ruby(
        &mut self,
        line: usize,
        key: &str,
        assignment: &Assignment,
    ) -> Result<Option<SecretString>, ResolveError> {
        const MODE: &str = "DOTENV_LINEBREAK_MODE";
        let existing =
            (self.environment)(key).filter(|_| self.precedence == Precedence::Environment && key != MODE);
        if let Some(value) = existing {
            return Ok(Some(value.into()));
        }
        if assignment.export && assignment.value.is_none() {
            let known = self.values.find(key).is_some();
            return if known { Ok(None) } else { Err(ResolveError::Unset { line, key: key.to_owned() }) };
        }
        let mode = self.values.value(MODE).map(SecretString::expose).or_else(|| (self.environment)(MODE));
        let line_breaks = if mode == Some("legacy") { LineBreaks::Legacy } else { LineBreaks::Literal };
        self.evaluated(line, key, assignment.value, line_breaks).map(Some)
    }

    fn evaluated(
        &self,
        line: usize,
        key: &str,
        value: Option<Value>,
        line_breaks: LineBreaks,
    ) -> Result<SecretString, ResolveError> {
        let Some(value) = value else { return Ok(SecretString::default()) };
        let text = self.document.decode(value, line_breaks);
        if !text.expose().contains('$') {
            return Ok(text);
        }
        let single = value.quote == Quote::Single;
        let pieces = match self.document.dialect() {
            Dialect::Python => interpolate::python::pieces(text.expose(), &|name| self.python_variable(name)),
            Dialect::Ruby if !single => {
                let variable = |name: &str| self.in_file(name).or_else(|| (self.environment)(name));
                interpolate::ruby::pieces(text.expose(), &variable)
            }
            Dialect::Compose if !single => {
                let variable = |name: &str| (self.environment)(name).or_else(|| self.in_file(name));
                let pieces = interpolate::compose::pieces(text.expose(), &variable);
                pieces.map_err(|fault| self.faulty(line, key, fault))?
            }
            _ => return Ok(text),
        };
        self.joined(line, key, &pieces)
    }

    fn joined(&self, line: usize, key: &str, pieces: &Pieces<'_>) -> Result<SecretString, ResolveError> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        if self.bytes + length > RESOLVED_BYTES_MAX {
            return Err(ResolveError::TooLarge { line, key: key.to_owned() });
        }
        Ok(SecretString::new(pieces.concat()))
    }

    fn in_file(&self, name: &str) -> Option<&str> {
        self.values.find(name).map(|value| value.map_or("", SecretString::expose))
    }

    fn python_variable(&self, name: &str) -> Option<&str> {
        match self.precedence {
            Precedence::File => self.in_file(name).or_else(|| (self.environment)(name)),
            Precedence::Environment => (self.environment)(name).or_else(|| self.in_file(name)),
        }
    }

    fn faulty(&self, line: usize, key: &str, fault: Fault) -> ResolveError {
        let key = key.to_owned();
        match fault {
            Fault::Reference => ResolveError::Reference { line, key },
            Fault::Required { name, message } => ResolveError::Required { line, key, name, message },
            Fault::TooDeep => ResolveError::TooDeep { line, key },
        }
    }
}
