//! Templates of users, in the part of Go's `text/template` (and sprig's functions) that reports are written with: fields,
//! variables, `if`, `else`, `with`, `range`, pipelines, and the functions of `functions.rs`. What is not known is
//! refused by its name when the template is read, not while it is written.

mod format;
mod functions;
mod parse;
mod value;

use super::Report;
use parse::{Expression, Node};
use std::io::{self, Write};
use std::rc::Rc;
use strongroom_secret::Timestamp;
use thiserror::Error;
use value::Value;

/// A template that was read and found in order.
#[derive(Debug)]
pub struct Template {
    nodes: Vec<Node>,
}

/// Why a text is not a template, or not one that we know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {message}")]
pub struct TemplateError {
    pub line: usize,
    pub message: String,
}

impl Template {
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Ok(Self { nodes: parse::parse(text)? })
    }

    /// Writes the template with the findings as its dot. What goes wrong on the way (an index that is not there) is an
    /// error with the line.
    pub(super) fn write(&self, report: &Report<'_>, now: Timestamp, out: &mut dyn Write) -> io::Result<()> {
        let findings: Vec<Value> = report.records().map(|record| Value::finding(&record)).collect();
        let root = Value::List(findings.into());
        let mut run = Run { now, variables: vec![("$".to_owned(), root.clone())], out };
        run.nodes(&self.nodes, &root)
    }
}

struct Run<'o> {
    now: Timestamp,
    variables: Vec<(String, Value)>,
    out: &'o mut dyn Write,
}

impl Run<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> io::Result<()> {
        let depth = self.variables.len();
        for node in nodes {
            self.node(node, dot)?;
        }
        self.variables.truncate(depth);
        Ok(())
    }

    fn node(&mut self, node: &Node, dot: &Value) -> io::Result<()> {
        match node {
            Node::Text(text) => self.out.write_all(text.as_bytes()),
            Node::Print { line, expression } => {
                let value = self.value(expression, dot, *line)?;
                self.out.write_all(&value.printed())
            }
            Node::Set { line, name, new, expression } => {
                let value = self.value(expression, dot, *line)?;
                match self.variables.iter_mut().rev().find(|(known, _)| known == name) {
                    Some(variable) if !new => variable.1 = value,
                    _ => self.variables.push((name.clone(), value)),
                }
                Ok(())
            }
            Node::If { line, condition, then, otherwise } => {
                let value = self.value(condition, dot, *line)?;
                self.nodes(if value.is_true() { then } else { otherwise }, dot)
            }
            Node::With { line, name, expression, then, otherwise } => {
                let value = self.value(expression, dot, *line)?;
                if !value.is_true() {
                    return self.nodes(otherwise, dot);
                }
                let depth = self.variables.len();
                if let Some(name) = name {
                    self.variables.push((name.clone(), value.clone()));
                }
                self.nodes(then, &value)?;
                self.variables.truncate(depth);
                Ok(())
            }
            Node::Range { line, names, expression, body, otherwise } => {
                let value = self.value(expression, dot, *line)?;
                self.range(*line, names, &value, body, otherwise, dot)
            }
        }
    }

    fn range(
        &mut self,
        line: usize,
        names: &[String],
        value: &Value,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> io::Result<()> {
        let items = match value {
            Value::List(items) => Rc::clone(items),
            Value::Nothing => Rc::new([]),
            _ => return Err(failure(line, "range over something that is no list")),
        };
        if items.is_empty() {
            return self.nodes(otherwise, dot);
        }
        let depth = self.variables.len();
        for (index, item) in items.iter().enumerate() {
            match names {
                [] => {}
                [one] => self.variables.push((one.clone(), item.clone())),
                [number, one, ..] => {
                    self.variables.push((number.clone(), Value::Integer(index as i64)));
                    self.variables.push((one.clone(), item.clone()));
                }
            }
            self.nodes(body, item)?;
            self.variables.truncate(depth);
        }
        Ok(())
    }

    fn value(&self, expression: &Expression, dot: &Value, line: usize) -> io::Result<Value> {
        self.evaluate(expression, dot).map_err(|message| failure(line, &message))
    }

    fn evaluate(&self, expression: &Expression, dot: &Value) -> Result<Value, String> {
        match expression {
            Expression::Dot => Ok(dot.clone()),
            Expression::Literal(value) => Ok(value.clone()),
            Expression::Variable(name) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                found.map(|(_, value)| value.clone()).ok_or_else(|| format!("undefined variable {name:?}"))
            }
            Expression::Field(of, name) => self.evaluate(of, dot)?.field(name),
            Expression::Call(name, arguments) => {
                let arguments: Vec<Value> = arguments
                    .iter()
                    .map(|argument| self.evaluate(argument, dot))
                    .collect::<Result<_, _>>()?;
                functions::call(name, &arguments, self.now).map_err(|message| format!("{name}: {message}"))
            }
        }
    }
}

fn failure(line: usize, message: &str) -> io::Error {
    let error = TemplateError { line, message: message.to_owned() };
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

#[cfg(test)]
mod tests;
