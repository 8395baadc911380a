use super::Subject;
use super::parser::{Expression, Function, Operator};
use crate::{efficiency, entropy};
use std::borrow::Cow;

/// What an expression computes. `None` is what has no meaning, such as a number compared with a text.
#[derive(Debug, Clone)]
enum Value<'a> {
    Text(Cow<'a, [u8]>),
    Number(f64),
    Flag(bool),
    Nothing,
    List(Vec<Value<'a>>),
}

/// A line without an end is looked at so far before and after a match.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// What an expression makes may be so long.
const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

pub(super) fn evaluate(root: &Expression, subject: &Subject<'_>) -> bool {
    let mut evaluator = Evaluator { subject, variables: Vec::new() };
    matches!(evaluator.value(root), Some(Value::Flag(true)))
}

struct Evaluator<'a> {
    subject: &'a Subject<'a>,
    variables: Vec<Value<'a>>,
}

impl<'a> Evaluator<'a> {
    fn value(&mut self, expression: &'a Expression) -> Option<Value<'a>> {
        Some(match expression {
            Expression::Text(text) => Value::Text(Cow::Borrowed(text.as_bytes())),
            Expression::Number(number) => Value::Number(*number),
            Expression::Flag(flag) => Value::Flag(*flag),
            Expression::Nothing => Value::Nothing,
            Expression::List(items) => {
                Value::List(items.iter().map(|item| self.value(item)).collect::<Option<_>>()?)
            }
            Expression::Variable(index) => self.variables.get(*index)?.clone(),
            Expression::Finding(key) => self.finding(&self.text_of(key)?),
            Expression::Attribute(key) => self.attribute(&self.text_of(key)?),
            Expression::Let(value, rest) => {
                let value = self.value(value)?;
                self.variables.push(value);
                let result = self.value(rest);
                self.variables.pop();
                result?
            }
            Expression::Either(one, other) => Value::Flag(self.flag(one)? || self.flag(other)?),
            Expression::Both(one, other) => Value::Flag(self.flag(one)? && self.flag(other)?),
            Expression::Not(inner) => Value::Flag(!self.flag(inner)?),
            Expression::Negative(inner) => Value::Number(-self.number(inner)?),
            Expression::Operation(operator, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                operation(*operator, left, right)?
            }
            Expression::Otherwise(value, fallback) => match self.value(value)? {
                Value::Nothing => self.value(fallback)?,
                value => value,
            },
            Expression::Choice(condition, first, second) => {
                if self.flag(condition)? {
                    self.value(first)?
                } else {
                    self.value(second)?
                }
            }
            Expression::Slice(value, from, to) => self.slice(value, from.as_deref(), to.as_deref())?,
            Expression::Matches(text, pattern) => Value::Flag(pattern.is_match(&self.text(text)?)),
            Expression::FindMatch(text, pattern) => {
                let text = self.text(text)?;
                let found =
                    pattern.find(&text).and_then(|range| text.get(range)).unwrap_or_default().to_vec();
                Value::Text(Cow::Owned(found))
            }
            Expression::ContainsAny(text, words) => {
                Value::Flag(words.is_in(&self.text(text)?.to_ascii_lowercase()))
            }
            Expression::Call(function, arguments) => self.call(*function, arguments)?,
        })
    }

    fn flag(&mut self, expression: &'a Expression) -> Option<bool> {
        match self.value(expression)? {
            Value::Flag(flag) => Some(flag),
            _ => None,
        }
    }

    fn number(&mut self, expression: &'a Expression) -> Option<f64> {
        match self.value(expression)? {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    fn text(&mut self, expression: &'a Expression) -> Option<Cow<'a, [u8]>> {
        match self.value(expression)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A key that is written out.
    fn text_of(&self, key: &'a Expression) -> Option<Cow<'a, str>> {
        match key {
            Expression::Text(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }

    fn finding(&self, key: &str) -> Value<'a> {
        let subject = self.subject;
        #[expect(clippy::cast_precision_loss, reason = "places in a text are far below 2^52")]
        let number = |place: usize| Value::Number(place as f64);
        let text = |text: &'a [u8]| Value::Text(Cow::Borrowed(text));
        match key {
            "secret" => text(subject.secret),
            "match" => text(subject.matched),
            "line" | "context" => text(subject.line),
            "rule_id" => text(subject.rule_id.as_bytes()),
            "description" => text(subject.description.as_bytes()),
            "entropy" => Value::Text(Cow::Owned(subject.entropy.to_string().into_bytes())),
            "fragment_raw" => text(subject.text),
            "match_start_idx" => number(subject.start),
            "match_end_idx" => number(subject.end),
            "match_line_start_idx" => {
                let first = subject.start.saturating_sub(LINE_BYTES_MAX);
                let before = subject.text.get(first..subject.start).unwrap_or_default();
                number(memchr::memrchr2(b'\n', b'\r', before).map_or(first, |at| first + at + 1))
            }
            "match_line_end_idx" => {
                let last = subject.text.len().min(subject.end.saturating_add(LINE_BYTES_MAX));
                let after = subject.text.get(subject.end..last).unwrap_or_default();
                number(memchr::memchr2(b'\n', b'\r', after).map_or(last, |at| subject.end + at))
            }
            _ => Value::Nothing,
        }
    }

    fn attribute(&self, key: &str) -> Value<'a> {
        let text = match key {
            "path" => self.subject.path,
            "git.sha" => self.subject.commit,
            _ => return Value::Nothing,
        };
        if text.is_empty() { Value::Nothing } else { Value::Text(Cow::Borrowed(text.as_bytes())) }
    }

    fn slice(
        &mut self,
        value: &'a Expression,
        from: Option<&'a Expression>,
        to: Option<&'a Expression>,
    ) -> Option<Value<'a>> {
        let text = self.text(value)?;
        let mut place = |bound: Option<&'a Expression>, usual: usize| match bound {
            None => Some(usual),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "negative and too large numbers saturate"
            )]
            Some(bound) => Some((self.number(bound)? as usize).min(text.len())),
        };
        let (from, to) = (place(from, 0)?, place(to, text.len())?);
        let range = from..to.max(from);
        Some(Value::Text(match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.get(range)?),
            Cow::Owned(text) => Cow::Owned(text.get(range)?.to_vec()),
        }))
    }

    fn call(&mut self, function: Function, arguments: &'a [Expression]) -> Option<Value<'a>> {
        let first = arguments.first()?;
        Some(match function {
            Function::Entropy => Value::Number(entropy::of_bytes(&self.text(first)?)),
            Function::FailsTokenEfficiency => Value::Flag(efficiency::is_wordlike(&self.text(first)?)),
            #[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^52")]
            Function::Length => match self.value(first)? {
                Value::Text(text) => Value::Number(text.len() as f64),
                Value::List(items) => Value::Number(items.len() as f64),
                _ => return None,
            },
            Function::Minimum | Function::Maximum => {
                let mut result = self.number(first)?;
                for argument in arguments.iter().skip(1) {
                    let number = self.number(argument)?;
                    result =
                        if function == Function::Minimum { result.min(number) } else { result.max(number) };
                }
                Value::Number(result)
            }
            Function::Lower => Value::Text(Cow::Owned(self.text(first)?.to_ascii_lowercase())),
            Function::Upper => Value::Text(Cow::Owned(self.text(first)?.to_ascii_uppercase())),
            Function::Trim => Value::Text(Cow::Owned(self.text(first)?.trim_ascii().to_vec())),
        })
    }
}

fn operation<'a>(operator: Operator, left: Value<'a>, right: Value<'a>) -> Option<Value<'a>> {
    Some(match (operator, left, right) {
        (Operator::In, item, Value::List(items)) => {
            Value::Flag(items.iter().any(|other| are_equal(&item, other)))
        }
        (Operator::Equal, left, right) => Value::Flag(are_equal(&left, &right)),
        (Operator::Unequal, left, right) => Value::Flag(!are_equal(&left, &right)),
        (Operator::Contains, Value::Text(text), Value::Text(part)) => {
            Value::Flag(memchr::memmem::find(&text, &part).is_some())
        }
        (Operator::StartsWith, Value::Text(text), Value::Text(part)) => Value::Flag(text.starts_with(&part)),
        (Operator::EndsWith, Value::Text(text), Value::Text(part)) => Value::Flag(text.ends_with(&part)),
        (Operator::Add, Value::Text(left), Value::Text(right)) => {
            if left.len().saturating_add(right.len()) > TEXT_BYTES_MAX {
                return None;
            }
            Value::Text(Cow::Owned([left.as_ref(), right.as_ref()].concat()))
        }
        (operator, Value::Number(left), Value::Number(right)) => match operator {
            Operator::Less => Value::Flag(left < right),
            Operator::LessOrEqual => Value::Flag(left <= right),
            Operator::Greater => Value::Flag(left > right),
            Operator::GreaterOrEqual => Value::Flag(left >= right),
            Operator::Add => Value::Number(left + right),
            Operator::Subtract => Value::Number(left - right),
            _ => return None,
        },
        _ => return None,
    })
}

fn are_equal(one: &Value<'_>, other: &Value<'_>) -> bool {
    match (one, other) {
        (Value::Text(one), Value::Text(other)) => one == other,
        #[expect(clippy::float_cmp, reason = "the language compares them so")]
        (Value::Number(one), Value::Number(other)) => one == other,
        (Value::Flag(one), Value::Flag(other)) => one == other,
        (Value::Nothing, Value::Nothing) => true,
        _ => false,
    }
}
