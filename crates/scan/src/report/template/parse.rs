use super::TemplateError;
use super::functions;
use super::value::Value;

#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Print { line: usize, expression: Expression },
    Set { line: usize, name: String, new: bool, expression: Expression },
    If { line: usize, condition: Expression, then: Vec<Node>, otherwise: Vec<Node> },
    With { line: usize, name: Option<String>, expression: Expression, then: Vec<Node>, otherwise: Vec<Node> },
    Range { line: usize, names: Vec<String>, expression: Expression, body: Vec<Node>, otherwise: Vec<Node> },
}

#[derive(Debug)]
pub(super) enum Expression {
    Dot,
    Literal(Value),
    Variable(String),
    Field(Box<Expression>, String),
    Call(String, Vec<Expression>),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Variable(String),
    /// `.Name`, or `.` alone with an empty name.
    Field(String),
    Text(Vec<u8>),
    Integer(i64),
    Float(f64),
    Pipe,
    Open,
    Close,
    Declare,
    Assign,
    Comma,
    /// White space decides whether `.Name` belongs to what stands before it.
    Space,
}

enum Piece {
    Text(String),
    Action { line: usize, tokens: Vec<Token> },
}

const TEXT_BYTES_MAX: usize = 4 << 20;
const DEPTH_MAX: usize = 64;

type Parsed<T> = Result<T, TemplateError>;

fn error<T>(line: usize, message: impl Into<String>) -> Parsed<T> {
    Err(TemplateError { line, message: message.into() })
}

pub(super) fn parse(text: &str) -> Parsed<Vec<Node>> {
    if text.len() > TEXT_BYTES_MAX {
        return error(1, format!("the template is longer than {TEXT_BYTES_MAX} bytes"));
    }
    let mut blocks = Blocks { pieces: pieces(text)?.into_iter(), line: 1 };
    let (nodes, end) = blocks.nodes(0)?;
    match end {
        Stop::Text => Ok(nodes),
        Stop::End | Stop::Else(_) => error(blocks.line, "an end or else without its beginning"),
    }
}

/// Cuts the text at `{{` and `}}`, and trims where `-` says so.
fn pieces(text: &str) -> Parsed<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut trim = false;
    while let Some((before, after)) = rest.split_once("{{") {
        let before = if trim { before.trim_start() } else { before };
        let opens_trimming = after.starts_with("- ") || after.starts_with("-\n") || after.starts_with("-\t");
        let kept = if opens_trimming { before.trim_end() } else { before };
        pieces.push(Piece::Text(kept.to_owned()));
        let at = text.len() - after.len();
        let line = 1 + text.get(..at).unwrap_or_default().matches('\n').count();
        let inner = if opens_trimming { after.get(1..).unwrap_or_default() } else { after };
        let (tokens, left) = action(inner, line)?;
        let tail = left.trim_start_matches([' ', '\t', '\n', '\r']);
        trim = tail.len() < left.len() && tail.starts_with("-}}");
        let end = if trim { tail.strip_prefix('-').unwrap_or(tail) } else { tail };
        let Some(next) = end.strip_prefix("}}") else {
            return error(line, "an action is not closed by }}");
        };
        rest = next;
        if !tokens.is_empty() {
            pieces.push(Piece::Action { line, tokens });
        }
    }
    pieces.push(Piece::Text(if trim { rest.trim_start() } else { rest }.to_owned()));
    Ok(pieces)
}

/// The tokens up to the closing braces, and what is left with those.
fn action(text: &str, line: usize) -> Parsed<(Vec<Token>, &str)> {
    if let Some(comment) = text.trim_start().strip_prefix("/*") {
        return match comment.split_once("*/") {
            Some((_, rest)) => Ok((Vec::new(), rest)),
            None => error(line, "a comment is not closed"),
        };
    }
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        if trimmed.starts_with("}}") || (trimmed.len() < rest.len() && trimmed.starts_with("-}}")) {
            return Ok((tokens, rest));
        }
        if trimmed.is_empty() {
            return error(line, "an action is not closed by }}");
        }
        if trimmed.len() < rest.len() {
            tokens.push(Token::Space);
        }
        let (token, left) = token(trimmed, line)?;
        tokens.push(token);
        rest = left;
    }
}

fn token(text: &str, line: usize) -> Parsed<(Token, &str)> {
    for (sign, token) in [
        (":=", Token::Declare),
        ("=", Token::Assign),
        ("|", Token::Pipe),
        ("(", Token::Open),
        (")", Token::Close),
        (",", Token::Comma),
    ] {
        if let Some(rest) = text.strip_prefix(sign) {
            return Ok((token, rest));
        }
    }
    let word = |text: &str| {
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
        (text.get(..end).unwrap_or_default().to_owned(), end)
    };
    let first = text.chars().next().unwrap_or(' ');
    match first {
        '"' => quoted(text, line),
        '`' => match text.get(1..).and_then(|rest| rest.split_once('`')) {
            Some((inner, rest)) => Ok((Token::Text(inner.as_bytes().to_vec()), rest)),
            None => error(line, "a text in backquotes is not closed"),
        },
        '.' | '$' => {
            let rest = text.get(1..).unwrap_or_default();
            let (name, end) = word(rest);
            let left = rest.get(end..).unwrap_or_default();
            let token = if first == '.' { Token::Field(name) } else { Token::Variable(format!("${name}")) };
            Ok((token, left))
        }
        '0'..='9' | '-' | '+' => number(text, line),
        _ if first.is_alphabetic() || first == '_' => {
            let (name, end) = word(text);
            Ok((Token::Word(name), text.get(end..).unwrap_or_default()))
        }
        other => error(line, format!("{other:?} is not understood here")),
    }
}

fn quoted(text: &str, line: usize) -> Parsed<(Token, &str)> {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => {
                let inner = text.get(..=at).unwrap_or_default();
                // JSON's escapes are the ones of Go's that are in use here.
                return match serde_json::from_str::<String>(inner) {
                    Ok(value) => {
                        Ok((Token::Text(value.into_bytes()), text.get(at + 1..).unwrap_or_default()))
                    }
                    Err(_) => error(line, "a text in quotes has an escape that is not understood"),
                };
            }
            '\n' => break,
            _ => {}
        }
    }
    error(line, "a text in quotes is not closed")
}

fn number(text: &str, line: usize) -> Parsed<(Token, &str)> {
    let end = text
        .char_indices()
        .skip(1)
        .find(|(_, c)| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '_')))
        .map_or(text.len(), |(at, _)| at);
    let (digits, rest) = text.split_at(end);
    if let Ok(number) = digits.parse::<i64>() {
        return Ok((Token::Integer(number), rest));
    }
    match digits.parse::<f64>() {
        Ok(number) => Ok((Token::Float(number), rest)),
        Err(_) => error(line, format!("{digits:?} is not a number")),
    }
}

enum Stop {
    Text,
    End,
    /// With the tokens after it: `if …` of an `else if`.
    Else(Vec<Token>),
}

struct Blocks {
    pieces: std::vec::IntoIter<Piece>,
    line: usize,
}

impl Blocks {
    /// Nodes up to an end, an else, or the end of the text.
    fn nodes(&mut self, depth: usize) -> Parsed<(Vec<Node>, Stop)> {
        if depth > DEPTH_MAX {
            return error(self.line, "too many blocks in each other");
        }
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (line, tokens) = match piece {
                Piece::Text(text) => {
                    if !text.is_empty() {
                        nodes.push(Node::Text(text));
                    }
                    continue;
                }
                Piece::Action { line, tokens } => (line, without_edges(tokens)),
            };
            self.line = line;
            let (word, rest) = match tokens.split_first() {
                Some((Token::Word(word), rest)) => (word.as_str(), without_edges(rest.to_vec())),
                _ => ("", Vec::new()),
            };
            match word {
                "end" => return Ok((nodes, Stop::End)),
                "else" => return Ok((nodes, Stop::Else(rest))),
                "if" | "with" | "range" => nodes.push(self.block(word, rest, line, depth)?),
                "define" | "template" | "block" | "break" | "continue" => {
                    return error(line, format!("{word} is not supported"));
                }
                _ => nodes.push(statement(&tokens, line)?),
            }
        }
        Ok((nodes, Stop::Text))
    }

    fn block(&mut self, word: &str, tokens: Vec<Token>, line: usize, depth: usize) -> Parsed<Node> {
        let (names, tokens) = names(&tokens);
        let expression = pipeline(&tokens, line)?;
        let (body, end) = self.nodes(depth + 1)?;
        let otherwise = match end {
            Stop::Text => return error(line, format!("{word} has no end")),
            Stop::End => Vec::new(),
            Stop::Else(tokens) => self.otherwise(tokens, line, depth)?,
        };
        Ok(match word {
            "if" => match names.first() {
                None => Node::If { line, condition: expression, then: body, otherwise },
                Some(_) => return error(line, "a variable in an if is not supported"),
            },
            "with" => Node::With { line, name: names.into_iter().next(), expression, then: body, otherwise },
            _ => Node::Range { line, names, expression, body, otherwise },
        })
    }

    fn otherwise(&mut self, tokens: Vec<Token>, line: usize, depth: usize) -> Parsed<Vec<Node>> {
        if let Some((Token::Word(word), rest)) = tokens.split_first() {
            if !matches!(word.as_str(), "if" | "with") {
                return error(line, format!("else {word} is not supported"));
            }
            // `else if` has the end of the whole.
            return Ok(vec![self.block(word, without_edges(rest.to_vec()), line, depth + 1)?]);
        }
        match self.nodes(depth + 1)? {
            (nodes, Stop::End) => Ok(nodes),
            _ => error(line, "else has no end"),
        }
    }
}

fn without_edges(mut tokens: Vec<Token>) -> Vec<Token> {
    while tokens.first() == Some(&Token::Space) {
        tokens.remove(0);
    }
    while tokens.last() == Some(&Token::Space) {
        tokens.pop();
    }
    tokens
}

/// `$a :=` or `$a, $b :=` at the front.
fn names(tokens: &[Token]) -> (Vec<String>, Vec<Token>) {
    if let Some(at) = tokens.iter().position(|token| *token == Token::Declare) {
        let (front, rest) = tokens.split_at(at);
        let names = front.iter().filter_map(|token| match token {
            Token::Variable(name) => Some(name.clone()),
            _ => None,
        });
        return (names.collect(), without_edges(rest.get(1..).unwrap_or_default().to_vec()));
    }
    (Vec::new(), tokens.to_vec())
}

fn statement(tokens: &[Token], line: usize) -> Parsed<Node> {
    let plain: Vec<&Token> = tokens.iter().filter(|token| **token != Token::Space).collect();
    if let [Token::Variable(name), sign @ (Token::Declare | Token::Assign), ..] = plain.as_slice() {
        let at = tokens.iter().position(|token| token == *sign).unwrap_or(0);
        let rest = without_edges(tokens.get(at + 1..).unwrap_or_default().to_vec());
        let expression = pipeline(&rest, line)?;
        return Ok(Node::Set { line, name: name.clone(), new: **sign == Token::Declare, expression });
    }
    Ok(Node::Print { line, expression: pipeline(tokens, line)? })
}

fn pipeline(tokens: &[Token], line: usize) -> Parsed<Expression> {
    let mut reader = Reader { tokens, at: 0, line };
    let expression = reader.pipeline(0)?;
    reader.spaces();
    match reader.peek() {
        None => Ok(expression),
        Some(_) => error(line, "there is something after the end of a pipeline"),
    }
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    line: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn spaces(&mut self) {
        while self.peek() == Some(&Token::Space) {
            self.at += 1;
        }
    }

    /// Each command gets what the one before it came to as its last argument.
    fn pipeline(&mut self, depth: usize) -> Parsed<Expression> {
        if depth > DEPTH_MAX {
            return error(self.line, "too many parentheses in each other");
        }
        let mut value = self.command(None, depth)?;
        loop {
            self.spaces();
            if self.peek() != Some(&Token::Pipe) {
                return Ok(value);
            }
            self.at += 1;
            value = self.command(Some(value), depth)?;
        }
    }

    fn command(&mut self, piped: Option<Expression>, depth: usize) -> Parsed<Expression> {
        self.spaces();
        let name = match self.peek() {
            Some(Token::Word(word)) if !matches!(word.as_str(), "true" | "false" | "nil") => word.clone(),
            _ => {
                let operand = self.operand(depth)?;
                return match piped {
                    None => Ok(operand),
                    Some(_) => error(self.line, "only a function can stand after |"),
                };
            }
        };
        self.at += 1;
        if !functions::is_known(&name) {
            return error(self.line, format!("the function {name} is not known"));
        }
        let mut arguments = Vec::new();
        loop {
            self.spaces();
            match self.peek() {
                None | Some(Token::Pipe | Token::Close) => break,
                Some(Token::Word(word)) if functions::is_known(word) => {
                    // A function without arguments, as an argument.
                    arguments.push(Expression::Call(word.clone(), Vec::new()));
                    self.at += 1;
                }
                Some(_) => arguments.push(self.operand(depth)?),
            }
        }
        arguments.extend(piped);
        Ok(Expression::Call(name, arguments))
    }

    fn operand(&mut self, depth: usize) -> Parsed<Expression> {
        let Some(token) = self.peek().cloned() else {
            return error(self.line, "a value is missing");
        };
        self.at += 1;
        let mut value = match token {
            Token::Field(name) if name.is_empty() => Expression::Dot,
            Token::Field(name) => Expression::Field(Box::new(Expression::Dot), name),
            Token::Variable(name) => Expression::Variable(name),
            Token::Text(text) => Expression::Literal(Value::text(text)),
            Token::Integer(number) => Expression::Literal(Value::Integer(number)),
            Token::Float(number) => Expression::Literal(Value::Float(number)),
            Token::Word(word) => match word.as_str() {
                "true" => Expression::Literal(Value::Truth(true)),
                "false" => Expression::Literal(Value::Truth(false)),
                "nil" => Expression::Literal(Value::Nothing),
                other => return error(self.line, format!("the function {other} is not known")),
            },
            Token::Open => {
                let inner = self.pipeline(depth + 1)?;
                self.spaces();
                if self.peek() != Some(&Token::Close) {
                    return error(self.line, "a parenthesis is not closed");
                }
                self.at += 1;
                inner
            }
            _ => return error(self.line, "a value is missing"),
        };
        while let Some(Token::Field(name)) = self.peek().cloned() {
            if name.is_empty() {
                return error(self.line, "a dot without a name");
            }
            self.at += 1;
            value = Expression::Field(Box::new(value), name);
        }
        Ok(value)
    }
}
