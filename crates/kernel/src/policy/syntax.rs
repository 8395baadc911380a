//! The structure of HCL 1 and of JSON: items with keys and values, each with its position.

use super::lexer::{Dialect, Token, TokenKind, dialect, tokens};
use super::problem::{Position, Problem, Problems, quoted};
use serde_json::{Map, Number};

/// Objects and lists in one another; a policy needs five.
const NESTING_DEPTH_MAX: u32 = 16;

#[derive(Debug)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) position: Position,
}

/// `key = value`, `key { … }` or `key "label" { … }`.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) key: Key,
    pub(super) labels: Vec<Key>,
    pub(super) node: Node,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) position: Position,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Object(Vec<Item>),
}

/// Reads a document. Where an item is malformed, reading goes on at the next `path` that begins a line.
pub(super) fn parse(text: &str, problems: &mut Problems) -> Vec<Item> {
    let dialect = dialect(text);
    let mut tokens = tokens(text, dialect, problems);
    let mut line = 0;
    let line_starts = |token: &Token<'_>| {
        let first = token.position.line != line;
        line = token.position.line;
        first
    };
    tokens.retain(|token| !matches!(token.kind, TokenKind::Comment | TokenKind::Newline));
    let line_starts = tokens.iter().map(line_starts).collect();
    let mut parser = Parser { tokens: &tokens, line_starts, dialect, next: 0, depth: 0 };
    match dialect {
        Dialect::Hcl => parser.document(problems),
        Dialect::Json => parser.json_document().unwrap_or_else(|problem| {
            problems.push(problem);
            Vec::new()
        }),
    }
}

impl Node {
    /// The value as JSON; of keys that occur twice the last counts.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => serde_json::Value::Number(number.clone()),
            Value::Text(text) => text.as_str().into(),
            Value::List(nodes) => nodes.iter().map(Self::to_json).collect(),
            Value::Object(items) => {
                let entries = items.iter().map(|item| (item.key.text.clone(), item.node.to_json()));
                serde_json::Value::Object(entries.collect::<Map<_, _>>())
            }
        }
    }
}

struct Parser<'a> {
    tokens: &'a [Token<'a>],
    line_starts: Vec<bool>,
    dialect: Dialect,
    next: usize,
    depth: u32,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token<'a>> {
        self.tokens.get(self.next)
    }

    fn at_mark(&self, mark: char) -> bool {
        self.peek().is_some_and(|token| token.kind == TokenKind::Mark(mark))
    }

    fn take_mark(&mut self, mark: char) -> bool {
        let found = self.at_mark(mark);
        self.next += usize::from(found);
        found
    }

    /// What stands here is not what is wanted.
    fn unexpected(&self, wanted: &str) -> Problem {
        match (self.peek(), self.tokens.last()) {
            (Some(token), _) => Problem::new(
                token.position,
                format!("unexpected {}, expected {wanted}", quoted(token.source)),
            ),
            (None, Some(last)) => Problem::new(
                last.position,
                format!("the text ends after {}, expected {wanted}", quoted(last.source)),
            ),
            (None, None) => Problem::new(Position { line: 1, column: 1 }, format!("expected {wanted}")),
        }
    }

    fn document(&mut self, problems: &mut Problems) -> Vec<Item> {
        let mut items = Vec::new();
        while self.peek().is_some() && !problems.is_full() {
            match self.item() {
                Ok(item) => items.push(item),
                Err(problem) => {
                    problems.push(problem);
                    self.depth = 0;
                    self.next += 1;
                    self.skip_to_path();
                }
            }
            self.take_mark(',');
        }
        items
    }

    fn skip_to_path(&mut self) {
        let begins_path = |index: usize, token: &Token<'_>| {
            self.line_starts.get(index) == Some(&true) && matches!(token.source, "path" | "\"path\"")
        };
        let rest = self.tokens.iter().enumerate().skip(self.next);
        let found = rest.into_iter().find(|(index, token)| begins_path(*index, token));
        self.next = found.map_or(self.tokens.len(), |(index, _)| index);
    }

    fn json_document(&mut self) -> Result<Vec<Item>, Problem> {
        let node = self.value()?;
        if self.peek().is_some() {
            return Err(self.unexpected("the end of the text"));
        }
        match node.value {
            Value::Object(items) => Ok(items),
            _ => Err(Problem::new(node.position, "expected an object")),
        }
    }

    fn item(&mut self) -> Result<Item, Problem> {
        let key = self.key().ok_or_else(|| self.unexpected("a key"))?;
        let mut labels = Vec::new();
        if self.dialect == Dialect::Hcl {
            labels.extend(std::iter::from_fn(|| self.key()));
        }
        if self.dialect == Dialect::Json {
            if !self.take_mark(':') {
                return Err(self.unexpected("\":\""));
            }
        } else if self.take_mark('=') {
            if !labels.is_empty() {
                let hint = "a block has no equals sign: path \"…\" { … }";
                return Err(Problem::new(key.position, "a block is assigned to").with_hint(hint));
            }
        } else if !self.at_mark('{') {
            return Err(self.unexpected("\"=\" or \"{\""));
        }
        Ok(Item { key, labels, node: self.value()? })
    }

    fn key(&mut self) -> Option<Key> {
        let token = self.peek()?;
        let text = match token.kind {
            TokenKind::Text if token.source.starts_with('"') => token.value.clone(),
            TokenKind::Word if self.dialect == Dialect::Hcl => token.source.to_owned(),
            _ => return None,
        };
        self.next += 1;
        Some(Key { text, position: token.position })
    }

    fn value(&mut self) -> Result<Node, Problem> {
        let token = self.peek().ok_or_else(|| self.unexpected("a value"))?;
        let position = token.position;
        let value = match (token.kind, token.source) {
            (TokenKind::Text, _) => Value::Text(token.value.clone()),
            (TokenKind::Number, source) => Value::Number(number(source).ok_or_else(|| {
                Problem::new(position, format!("{} is not a number", quoted(source)))
                    .with_hint("a duration with a unit stands in quotes: \"90s\"")
            })?),
            (TokenKind::Word, "true") => Value::Bool(true),
            (TokenKind::Word, "false") => Value::Bool(false),
            (TokenKind::Word, "null") if self.dialect == Dialect::Json => Value::Null,
            (TokenKind::Word, source) => {
                let problem =
                    Problem::new(position, format!("unexpected {}, expected a value", quoted(source)));
                return Err(problem.with_hint("a text stands in double quotes"));
            }
            (TokenKind::Mark('['), _) => return self.nested(Self::list),
            (TokenKind::Mark('{'), _) => return self.nested(Self::object),
            _ => return Err(self.unexpected("a value")),
        };
        self.next += 1;
        Ok(Node { position, value })
    }

    /// One level deeper, at most to the limit: this bounds the recursion.
    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, Problem>) -> Result<Node, Problem> {
        let position = self.peek().map(|token| token.position).unwrap_or_default();
        self.depth += 1;
        if self.depth > NESTING_DEPTH_MAX {
            return Err(Problem::new(position, format!("nested too deep: the limit is {NESTING_DEPTH_MAX}")));
        }
        self.next += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(Node { position, value })
    }

    fn list(&mut self) -> Result<Value, Problem> {
        let mut nodes = Vec::new();
        loop {
            if self.take_mark(']') {
                return Ok(Value::List(nodes));
            }
            nodes.push(self.value()?);
            if !self.take_mark(',') && !self.at_mark(']') {
                return Err(self.unexpected("\",\" or \"]\""));
            }
        }
    }

    fn object(&mut self) -> Result<Value, Problem> {
        let mut items = Vec::new();
        loop {
            if self.take_mark('}') {
                return Ok(Value::Object(items));
            }
            items.push(self.item()?);
            if !self.take_mark(',') && !self.at_mark('}') && self.dialect == Dialect::Json {
                return Err(self.unexpected("\",\" or \"}\""));
            }
        }
    }
}

fn number(source: &str) -> Option<Number> {
    if let Some(digits) = source.strip_prefix("0x") {
        return i64::from_str_radix(digits, 16).ok().map(Number::from);
    }
    let digits = source.strip_prefix('-').unwrap_or(source);
    let octal =
        digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    if octal {
        return None;
    }
    source
        .parse::<i64>()
        .map(Number::from)
        .ok()
        .or_else(|| source.parse::<u64>().map(Number::from).ok())
        .or_else(|| source.parse::<f64>().ok().and_then(Number::from_f64))
}
