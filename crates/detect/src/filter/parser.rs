use super::lexer::{Token, tokens};
use super::{FilterError, Words};
use crate::pattern::Pattern;

const NESTING_MAX: usize = 64;
const NODES_MAX: usize = 20_000;

#[derive(Debug)]
pub(super) enum Expression {
    Text(String),
    Number(f64),
    Flag(bool),
    Nothing,
    List(Vec<Expression>),
    Variable(usize),
    /// A value of the finding, of the fragment.
    Finding(Box<Expression>),
    Attribute(Box<Expression>),
    Let(Box<Expression>, Box<Expression>),
    Either(Box<Expression>, Box<Expression>),
    Both(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    Negative(Box<Expression>),
    Operation(Operator, Box<Expression>, Box<Expression>),
    Otherwise(Box<Expression>, Box<Expression>),
    Choice(Box<Expression>, Box<Expression>, Box<Expression>),
    Slice(Box<Expression>, Option<Box<Expression>>, Option<Box<Expression>>),
    /// A text matches the expression.
    Matches(Box<Expression>, Box<Pattern>),
    FindMatch(Box<Expression>, Box<Pattern>),
    ContainsAny(Box<Expression>, Box<Words>),
    Call(Function, Vec<Expression>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Contains,
    StartsWith,
    EndsWith,
    Add,
    Subtract,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Entropy,
    FailsTokenEfficiency,
    Length,
    Minimum,
    Maximum,
    Lower,
    Upper,
    Trim,
}

pub(super) fn parse(source: &str) -> Result<Expression, FilterError> {
    let tokens = tokens(source)?;
    let mut parser = Parser { tokens, at: 0, variables: Vec::new(), depth: 0, nodes: 0 };
    let expression = parser.sequence()?;
    if parser.peek().is_some() {
        return Err(parser.error("there is something after its end"));
    }
    Ok(expression)
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    variables: Vec<String>,
    depth: usize,
    nodes: usize,
}

type Parsed = Result<Expression, FilterError>;

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += 1;
        token
    }

    fn error(&self, what: impl Into<String>) -> FilterError {
        let line = self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |(_, line)| *line);
        FilterError { what: what.into(), line }
    }

    fn eat(&mut self, sign: &str) -> bool {
        let is_there = matches!(self.peek(), Some(Token::Sign(there)) if *there == sign);
        self.at += usize::from(is_there);
        is_there
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let is_there = matches!(self.peek(), Some(Token::Name(there)) if there == word);
        self.at += usize::from(is_there);
        is_there
    }

    fn expect(&mut self, sign: &str) -> Result<(), FilterError> {
        if self.eat(sign) { Ok(()) } else { Err(self.error(format!("here should be {sign}"))) }
    }

    /// Every way into nested parts goes through here.
    fn nested(&mut self, parse: fn(&mut Self) -> Parsed) -> Parsed {
        self.depth += 1;
        self.nodes += 1;
        if self.depth > NESTING_MAX {
            return Err(self.error(format!("it is nested deeper than {NESTING_MAX}")));
        }
        if self.nodes > NODES_MAX {
            return Err(self.error(format!("it has more than {NODES_MAX} parts")));
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// `let name = value; …`, or an expression.
    fn sequence(&mut self) -> Parsed {
        let mut values = Vec::new();
        while self.eat_word("let") {
            let Some(Token::Name(name)) = self.next() else {
                return Err(self.error("here should be a name"));
            };
            self.expect("=")?;
            values.push(self.nested(Self::choice)?);
            self.expect(";")?;
            self.variables.push(name);
            if self.variables.len() > NESTING_MAX {
                return Err(self.error("there are too many variables"));
            }
        }
        let mut expression = self.nested(Self::choice)?;
        for value in values.into_iter().rev() {
            self.variables.pop();
            expression = Expression::Let(Box::new(value), Box::new(expression));
        }
        Ok(expression)
    }

    fn choice(&mut self) -> Parsed {
        let condition = self.either()?;
        if !self.eat("?") {
            return Ok(condition);
        }
        let first = self.nested(Self::choice)?;
        self.expect(":")?;
        let second = self.nested(Self::choice)?;
        Ok(Expression::Choice(Box::new(condition), Box::new(first), Box::new(second)))
    }

    /// Chains of `||` are kept flat on the left: so thousands of them do not nest.
    fn either(&mut self) -> Parsed {
        let mut parts = vec![self.both()?];
        while self.eat("||") || self.eat_word("or") {
            parts.push(self.both()?);
        }
        Ok(balanced(parts, Expression::Either))
    }

    fn both(&mut self) -> Parsed {
        let mut parts = vec![self.comparison()?];
        while self.eat("&&") || self.eat_word("and") {
            parts.push(self.comparison()?);
        }
        Ok(balanced(parts, Expression::Both))
    }

    fn comparison(&mut self) -> Parsed {
        let left = self.sum()?;
        let is_negated = self.eat_word("not");
        let operator = match self.peek() {
            Some(Token::Sign(sign)) => match *sign {
                "==" => Operator::Equal,
                "!=" => Operator::Unequal,
                "<" => Operator::Less,
                "<=" => Operator::LessOrEqual,
                ">" => Operator::Greater,
                ">=" => Operator::GreaterOrEqual,
                _ => return Ok(left),
            },
            Some(Token::Name(name)) => match name.as_str() {
                "in" => Operator::In,
                "contains" => Operator::Contains,
                "startsWith" => Operator::StartsWith,
                "endsWith" => Operator::EndsWith,
                "matches" => {
                    self.at += 1;
                    let pattern = self.pattern()?;
                    let matches = Expression::Matches(Box::new(left), Box::new(pattern));
                    return Ok(if is_negated { Expression::Not(Box::new(matches)) } else { matches });
                }
                _ => return Ok(left),
            },
            _ => return Ok(left),
        };
        self.at += 1;
        let right = self.sum()?;
        let operation = Expression::Operation(operator, Box::new(left), Box::new(right));
        Ok(if is_negated { Expression::Not(Box::new(operation)) } else { operation })
    }

    fn sum(&mut self) -> Parsed {
        let mut left = self.otherwise()?;
        let mut length = 0;
        loop {
            let operator = match self.peek() {
                Some(Token::Sign("+")) => Operator::Add,
                Some(Token::Sign("-")) => Operator::Subtract,
                _ => return Ok(left),
            };
            length += 1;
            if length > NESTING_MAX {
                return Err(self.error("a sum has too many parts"));
            }
            self.at += 1;
            let right = self.otherwise()?;
            left = Expression::Operation(operator, Box::new(left), Box::new(right));
        }
    }

    fn otherwise(&mut self) -> Parsed {
        let left = self.unary()?;
        if self.eat("??") {
            let right = self.nested(Self::otherwise)?;
            return Ok(Expression::Otherwise(Box::new(left), Box::new(right)));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed {
        if self.eat("!") || self.eat_word("not") {
            return Ok(Expression::Not(Box::new(self.nested(Self::unary)?)));
        }
        if self.eat("-") {
            return Ok(Expression::Negative(Box::new(self.nested(Self::unary)?)));
        }
        self.nested(Self::postfix)
    }

    /// A value, and what is taken out of it.
    fn postfix(&mut self) -> Parsed {
        let mut value = self.value()?;
        let mut length = 0;
        while self.eat("[") {
            length += 1;
            if length > NESTING_MAX {
                return Err(self.error("too many indices"));
            }
            let from = if self.eat(":") { None } else { Some(Box::new(self.nested(Self::choice)?)) };
            if from.is_some() && !self.eat(":") {
                return Err(self.error("only the finding and the attributes have named parts"));
            }
            let to = if self.eat("]") { None } else { Some(Box::new(self.nested(Self::choice)?)) };
            if to.is_some() {
                self.expect("]")?;
            }
            value = Expression::Slice(Box::new(value), from, to);
        }
        Ok(value)
    }

    fn value(&mut self) -> Parsed {
        match self.next() {
            Some(Token::Text(text)) => Ok(Expression::Text(text)),
            Some(Token::Number(number)) => Ok(Expression::Number(number)),
            Some(Token::Sign("(")) => {
                let inner = self.nested(Self::sequence)?;
                self.expect(")")?;
                Ok(inner)
            }
            Some(Token::Sign("[")) => self.list(),
            Some(Token::Name(name)) => self.named(&name),
            _ => {
                self.at -= 1;
                Err(self.error("here should be a value"))
            }
        }
    }

    fn list(&mut self) -> Parsed {
        let mut items = Vec::new();
        while !self.eat("]") {
            items.push(self.nested(Self::choice)?);
            if !self.eat(",") {
                self.expect("]")?;
                break;
            }
        }
        Ok(Expression::List(items))
    }

    fn named(&mut self, name: &str) -> Parsed {
        match name {
            "true" => return Ok(Expression::Flag(true)),
            "false" => return Ok(Expression::Flag(false)),
            "nil" => return Ok(Expression::Nothing),
            "finding" => return Ok(Expression::Finding(Box::new(self.key()?))),
            "attributes" => return Ok(Expression::Attribute(Box::new(self.key()?))),
            "filter" if self.eat(".") => {
                let Some(Token::Name(name)) = self.next() else {
                    return Err(self.error("here should be a function"));
                };
                return self.call(&name);
            }
            _ => {}
        }
        if matches!(self.peek(), Some(Token::Sign("("))) {
            return self.call(name);
        }
        match self.variables.iter().rposition(|variable| variable == name) {
            Some(index) => Ok(Expression::Variable(index)),
            None => Err(self.error(format!("{name:?} is not known"))),
        }
    }

    /// `["name"]` or `.name`.
    fn key(&mut self) -> Parsed {
        if self.eat(".") || self.eat("?.") {
            return match self.next() {
                Some(Token::Name(name)) => Ok(Expression::Text(name)),
                _ => Err(self.error("here should be a name")),
            };
        }
        self.expect("[")?;
        let key = self.nested(Self::choice)?;
        self.expect("]")?;
        Ok(key)
    }

    fn call(&mut self, name: &str) -> Parsed {
        self.expect("(")?;
        let call = match name {
            "matchesAny" => {
                let text = self.nested(Self::choice)?;
                self.expect(",")?;
                let patterns =
                    self.texts()?.iter().map(|text| self.checked(text)).collect::<Result<Vec<_>, _>>()?;
                if patterns.is_empty() {
                    Expression::Flag(false)
                } else {
                    Expression::Matches(Box::new(text), Box::new(Pattern::any_of(patterns.iter())))
                }
            }
            "containsAny" => {
                let text = self.nested(Self::choice)?;
                self.expect(",")?;
                Expression::ContainsAny(Box::new(text), Box::new(Words::new(self.texts()?)))
            }
            "findMatch" => {
                let text = self.nested(Self::choice)?;
                self.expect(",")?;
                Expression::FindMatch(Box::new(text), Box::new(self.pattern()?))
            }
            "get" => self.get()?,
            _ => {
                let (function, count) = function(name)
                    .ok_or_else(|| self.error(format!("the function {name:?} is not known")))?;
                let Expression::List(arguments) = self.arguments()? else {
                    return Err(self.error("arguments"));
                };
                if !count.contains(&arguments.len()) {
                    return Err(self.error(format!("{name} takes another number of arguments")));
                }
                return Ok(Expression::Call(function, arguments));
            }
        };
        self.eat(",");
        self.expect(")")?;
        Ok(call)
    }

    fn arguments(&mut self) -> Parsed {
        let mut items = Vec::new();
        while !self.eat(")") {
            items.push(self.nested(Self::choice)?);
            if !self.eat(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(Expression::List(items))
    }

    /// `get(attributes, "path", "")`, after its parenthesis.
    fn get(&mut self) -> Parsed {
        let Some(Token::Name(container)) = self.next() else {
            return Err(self.error("here should be `attributes`"));
        };
        self.expect(",")?;
        let key = Box::new(self.nested(Self::choice)?);
        self.expect(",")?;
        let fallback = self.nested(Self::choice)?;
        let value = match container.as_str() {
            "attributes" => Expression::Attribute(key),
            "finding" => Expression::Finding(key),
            _ => return Err(self.error(format!("{container:?} has no parts"))),
        };
        Ok(Expression::Otherwise(Box::new(value), Box::new(fallback)))
    }

    /// A list of texts that is written out.
    fn texts(&mut self) -> Result<Vec<String>, FilterError> {
        self.expect("[")?;
        let mut texts = Vec::new();
        while !self.eat("]") {
            match self.next() {
                Some(Token::Text(text)) => texts.push(text),
                _ => {
                    self.at -= 1;
                    return Err(self.error("here should be a text in quotes: lists have to be written out"));
                }
            }
            if !self.eat(",") {
                self.expect("]")?;
                break;
            }
        }
        Ok(texts)
    }

    fn pattern(&mut self) -> Result<Pattern, FilterError> {
        match self.next() {
            Some(Token::Text(text)) => self.checked(&text),
            _ => {
                self.at -= 1;
                Err(self.error("here should be a regular expression in quotes"))
            }
        }
    }

    fn checked(&self, source: &str) -> Result<Pattern, FilterError> {
        Pattern::new(source).map_err(|error| self.error(format!("{source:?}: {error}")))
    }
}

fn function(name: &str) -> Option<(Function, std::ops::RangeInclusive<usize>)> {
    Some(match name {
        "entropy" => (Function::Entropy, 1..=1),
        "failsTokenEfficiency" => (Function::FailsTokenEfficiency, 1..=1),
        "len" | "size" => (Function::Length, 1..=1),
        "min" => (Function::Minimum, 1..=8),
        "max" => (Function::Maximum, 1..=8),
        "lower" => (Function::Lower, 1..=1),
        "upper" => (Function::Upper, 1..=1),
        "trim" => (Function::Trim, 1..=1),
        _ => return None,
    })
}

/// A chain as a tree whose depth is the logarithm of its length.
fn balanced(
    mut parts: Vec<Expression>,
    join: fn(Box<Expression>, Box<Expression>) -> Expression,
) -> Expression {
    if parts.len() > 2 {
        let right = parts.split_off(parts.len() / 2);
        return join(Box::new(balanced(parts, join)), Box::new(balanced(right, join)));
    }
    match (parts.pop(), parts.pop()) {
        (Some(right), Some(left)) => join(Box::new(left), Box::new(right)),
        (Some(only), None) => only,
        _ => Expression::Nothing,
    }
}
