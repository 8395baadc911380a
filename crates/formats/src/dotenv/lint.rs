//! What is wrong with a file, and on which lines dialects disagree. Values are never told, only their shapes.

use super::Dialect;
use super::quote::{self, Meaning, reads_back};
use super::text::{self, BYTE_ORDER_MARK, TextError};
use super::tree::{Bad, Document, Entry, Kind, Quote};
use super::values::{NO_ENVIRONMENT, Precedence, ResolveError, Resolver};
use std::collections::HashMap;
use std::fmt;
use strongroom_secret::SecretString;

/// Something that a reader of this dialect would want to know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Issue {
    #[error("cannot be read: {0}")]
    Bad(Bad),
    #[error("{key} was on line {first} already: the last one counts")]
    Duplicate { key: String, first: usize },
    #[error("{key} differs from {other} on line {line} in case alone")]
    CaseAlone { key: String, other: String, line: usize },
    #[error("{key} holds $(…): Ruby's dotenv and dotenvx run that as a command; we keep it as text")]
    Command { key: String },
    #[error(
        "the file starts with a mark of the byte order, which python-dotenv and sops take for part of the first name"
    )]
    ByteOrderMark,
    #[error("a merge conflict is in the file: take one side of it")]
    MergeConflict,
    #[error("line breaks are of several kinds, from this line on")]
    MixedLineBreaks,
    #[error("{0}")]
    Unresolved(ResolveError),
}

/// All issues of a file, by line. Runs nothing and needs no environment.
pub fn problems(document: &Document) -> Vec<(usize, Issue)> {
    let mut issues = Vec::new();
    if document.has_byte_order_mark() {
        issues.push((1, Issue::ByteOrderMark));
    }
    issues.extend(document.merge_conflict().map(|line| (line, Issue::MergeConflict)));
    issues.extend(mixed_line_breaks(document.text()).map(|line| (line, Issue::MixedLineBreaks)));
    issues.extend(document.bad_lines().map(|(entry, bad)| (entry.line, Issue::Bad(bad))));
    let mut first_lines: HashMap<&str, usize> = HashMap::new();
    let mut by_lower_case: HashMap<String, (&str, usize)> = HashMap::new();
    for (entry, assignment) in document.assignments() {
        let (key, line) = (document.key(assignment), entry.line);
        if assignment.value.is_some_and(|value| document.slice(value.span).contains("$(")) {
            issues.push((line, Issue::Command { key: key.to_owned() }));
        }
        if let Some(first) = first_lines.get(key) {
            issues.push((line, Issue::Duplicate { key: key.to_owned(), first: *first }));
            continue;
        }
        first_lines.insert(key, line);
        match by_lower_case.get(&key.to_lowercase()) {
            Some((other, other_line)) => {
                let (key, other) = (key.to_owned(), (*other).to_owned());
                issues.push((line, Issue::CaseAlone { key, other, line: *other_line }));
            }
            None => drop(by_lower_case.insert(key.to_lowercase(), (key, line))),
        }
    }
    let mut resolver = Resolver::new(document, NO_ENVIRONMENT, Precedence::File);
    for entry in document.entries().iter().filter(|entry| !matches!(entry.kind, Kind::Bad(_))) {
        if let Err(error) = resolver.take(entry) {
            issues.push((entry.line, Issue::Unresolved(error)));
        }
    }
    issues.sort_by_key(|(line, _)| *line);
    issues
}

/// The first line that ends otherwise than the first one.
fn mixed_line_breaks(text: &str) -> Option<usize> {
    let mut kinds = text.split_inclusive('\n').map(|line| line.ends_with("\r\n"));
    let first = kinds.next()?;
    let lines = text.split_inclusive('\n').enumerate().skip(1);
    let differs = |line: &str| line.ends_with('\n') && line.ends_with("\r\n") != first;
    lines.into_iter().find(|(_, line)| differs(line)).map(|(index, _)| index + 1)
}

/// Lines that dialects read differently.
#[derive(Debug)]
pub struct Finding {
    /// The first and the last one, from 1.
    pub lines: (usize, usize),
    /// The name that most dialects find there.
    pub key: Option<String>,
    /// What about the lines it is.
    pub differences: Vec<Difference>,
    /// Who reads what; those who agree stand together.
    pub readings: Vec<(Vec<Dialect>, Vec<Reading>)>,
    /// A form of the value that all of these dialects read as the first of them reads it now.
    pub form: Option<&'static str>,
}

/// A name and the shape of its value, as one dialect sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    pub key: Option<String>,
    pub shape: Shape,
}

/// What a value looks like from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// The line is skipped.
    Ignored,
    /// The whole file is refused because of the line.
    Refused(String),
    /// A name alone.
    NoValue,
    /// A name alone, that stands for what the environment gives it.
    FromEnvironment,
    /// A part of it is run as a command.
    Command,
    Text {
        characters: usize,
        lines: usize,
        in_quotes: bool,
    },
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ignored => f.write_str("skips the line"),
            Self::Refused(reason) => write!(f, "refuses the file: {reason}"),
            Self::NoValue => f.write_str("no value"),
            Self::FromEnvironment => f.write_str("taken from the environment"),
            Self::Command => f.write_str("what a command says"),
            Self::Text { characters: 0, .. } => f.write_str("empty"),
            Self::Text { characters, lines, in_quotes } => {
                let plural = if *characters == 1 { "" } else { "s" };
                write!(f, "{characters} character{plural}")?;
                if *lines > 1 {
                    write!(f, " on {lines} lines")?;
                }
                if *in_quotes { f.write_str(", with quotes around them") } else { Ok(()) }
            }
        }
    }
}

/// A cause of disagreement, and what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    Command,
    Dollar,
    Hash,
    Backslash,
    Backtick,
    Quotes,
    OpenQuote,
    SeveralLines,
    NameAlone,
    Export,
    Colon,
    Spacing,
    Name,
    CarriageReturn,
    ByteOrderMark,
    Context,
}

impl Difference {
    /// A word for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Dollar => "dollar",
            Self::Hash => "hash",
            Self::Backslash => "backslash",
            Self::Backtick => "backtick",
            Self::Quotes => "quotes",
            Self::OpenQuote => "open-quote",
            Self::SeveralLines => "several-lines",
            Self::NameAlone => "name-alone",
            Self::Export => "export",
            Self::Colon => "colon",
            Self::Spacing => "spacing",
            Self::Name => "name",
            Self::CarriageReturn => "carriage-return",
            Self::ByteOrderMark => "byte-order-mark",
            Self::Context => "context",
        }
    }

    /// Who does what.
    pub fn what(self) -> &'static str {
        match self {
            Self::Command => "$(…) is run as a command by Ruby's dotenv and dotenvx, and is text elsewhere",
            Self::Dollar => {
                "$: python puts in ${X} and ${X:-d} alone, in single quotes too; compose and ruby $X and ${X}, not in \
                 single quotes; node nothing"
            }
            Self::Hash => {
                "#: a comment starts at any # (node, ruby), behind white space (python), behind a space (compose), \
                 never (sops)"
            }
            Self::Backslash => "backslashes: each dialect takes others off, in other quotes",
            Self::Backtick => "backticks are quotes to node alone",
            Self::Quotes => "quotes within quotes, or what stands behind them, is read differently",
            Self::OpenQuote => "a quote that is not closed is text to node and ruby, an error elsewhere",
            Self::SeveralLines => "a value over several lines",
            Self::NameAlone => {
                "a name alone: no value (python), empty (ruby), taken from the environment (compose), skipped (node)"
            }
            Self::Export => "export is part of the name to sops",
            Self::Colon => {
                "a colon separates name and value for node, ruby and compose, not for python and sops"
            }
            Self::Spacing => "white space around the name, the = or the value is kept by some",
            Self::Name => "the name holds characters that some do not take in names",
            Self::CarriageReturn => "carriage returns are part of the value to sops",
            Self::ByteOrderMark => "the mark of the byte order is part of the first name to python and sops",
            Self::Context => "what stands above is read differently, and reaches down to here",
        }
    }

    pub fn fix(self) -> &'static str {
        match self {
            Self::Command => {
                "run the command before, and write what it says; or put it in single quotes, as text"
            }
            Self::Dollar => {
                "for a dollar that is meant: single quotes (python still reads ${…} there); for a variable: ${NAME} in \
                 double quotes, and not for node"
            }
            Self::Hash => "put the value in quotes, and comments on lines of their own",
            Self::Backslash => "single quotes, without quotes or backslashes before quotes inside",
            Self::Backtick => "use single or double quotes",
            Self::Quotes => "use the kind of quotes that the value does not hold; put nothing behind them",
            Self::OpenQuote => "close the quote",
            Self::SeveralLines => "write it on one line, in base64 if need be",
            Self::NameAlone => "write NAME= for an empty value, or take the line out",
            Self::Export => "take export away",
            Self::Colon => "write NAME=value",
            Self::Spacing => "write NAME=value without spaces around, and values with spaces in quotes",
            Self::Name => "use letters, digits and _ alone, and no digit first",
            Self::CarriageReturn => "end lines with a line feed alone",
            Self::ByteOrderMark => "save the file without the mark",
            Self::Context => "see to the line above first",
        }
    }
}

/// The lines on which these dialects do not all read the same, each as if no variable were set.
pub fn portability(document: &Document, dialects: &[Dialect]) -> Result<Vec<Finding>, TextError> {
    let mut columns = Vec::with_capacity(dialects.len());
    for dialect in dialects {
        columns.push(statements(&document.read_as(*dialect)?));
    }
    let mut findings = Vec::new();
    let starts = line_starts(document.text());
    for lines in regions(&columns) {
        let parts: Vec<_> = columns.iter().map(|column| within(column, lines)).collect();
        let Some(first) = parts.first() else { break };
        if parts.iter().all(|part| same(part, first)) {
            continue;
        }
        let end = starts.get(lines.1).copied().unwrap_or(document.text().len());
        let start = starts.get(lines.0 - 1).copied().unwrap_or(end);
        let source = document.text().get(start..end).unwrap_or_default();
        findings.push(finding(source, dialects, lines, &parts));
    }
    Ok(findings)
}

/// A statement in one dialect.
struct Statement {
    lines: (usize, usize),
    key: Option<String>,
    quote: Quote,
    read: Read,
}

#[derive(PartialEq, Eq)]
enum Read {
    Ignored,
    Refused(String),
    NoValue,
    FromEnvironment,
    Command,
    Text(SecretString),
}

fn statements(document: &Document) -> Vec<Statement> {
    let mut resolver = Resolver::new(document, NO_ENVIRONMENT, Precedence::File);
    let mut statements = Vec::new();
    for entry in document.entries() {
        let taken = resolver.take(entry);
        let (key, quote) = match &entry.kind {
            Kind::Blank | Kind::Comment => continue,
            Kind::Bad(_) => (None, Quote::None),
            Kind::Assignment(assignment) => (
                Some(document.key(assignment).to_owned()),
                assignment.value.map_or(Quote::None, |value| value.quote),
            ),
        };
        let runs = matches!(&entry.kind, Kind::Assignment(assignment) if document.runs_command(assignment));
        let read = match (&taken, &key) {
            _ if runs => Read::Command,
            (Err(ResolveError::Refused { bad, .. }), _) => Read::Refused(bad.to_string()),
            (Err(ResolveError::Required { name, .. }), _) => Read::Refused(format!("{name} is not set")),
            (Err(_), _) => Read::Refused("a reference that is none, or to nothing".to_owned()),
            (Ok(()), None) => Read::Ignored,
            (Ok(()), Some(key)) => match resolver.values.value(key) {
                Some(value) => Read::Text(value.duplicate()),
                None if document.dialect() == Dialect::Compose => Read::FromEnvironment,
                None => Read::NoValue,
            },
        };
        statements.push(Statement { lines: extent(document, entry), key, quote, read });
    }
    statements
}

/// The lines of an entry without the blank ones before it.
fn extent(document: &Document, entry: &Entry) -> (usize, usize) {
    let text = document.slice(entry.span);
    (entry.line, entry.line + text::line_breaks(text.trim()))
}

/// The lines of all statements, those that overlap in any two dialects taken together.
fn regions(columns: &[Vec<Statement>]) -> Vec<(usize, usize)> {
    let mut all: Vec<_> = columns.iter().flatten().map(|statement| statement.lines).collect();
    all.sort_unstable();
    let mut regions: Vec<(usize, usize)> = Vec::new();
    for (start, end) in all {
        match regions.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => regions.push((start, end)),
        }
    }
    regions
}

fn within(column: &[Statement], lines: (usize, usize)) -> &[Statement] {
    let start = column.partition_point(|statement| statement.lines.0 < lines.0);
    let end = column.partition_point(|statement| statement.lines.0 <= lines.1);
    column.get(start..end).unwrap_or_default()
}

fn same(left: &[Statement], right: &[Statement]) -> bool {
    let equal = |(left, right): (&Statement, &Statement)| left.key == right.key && left.read == right.read;
    left.len() == right.len() && left.iter().zip(right).all(equal)
}

fn finding(source: &str, dialects: &[Dialect], lines: (usize, usize), parts: &[&[Statement]]) -> Finding {
    let mut readings: Vec<(Vec<Dialect>, &[Statement])> = Vec::new();
    for (dialect, part) in dialects.iter().zip(parts) {
        match readings.iter_mut().find(|(_, known)| same(known, part)) {
            Some((agreeing, _)) => agreeing.push(*dialect),
            None => readings.push((vec![*dialect], part)),
        }
    }
    let keys = || parts.iter().filter_map(|part| part.first()?.key.as_deref());
    let plainest = keys().find(|key| is_plain_name(key)).or_else(|| keys().next());
    let differences = differences(source, lines, parts);
    // With a variable in it, what the value is now depends on who asks.
    let is_fixed = !differences.iter().any(|of| matches!(of, Difference::Dollar | Difference::Command));
    let form = parts.first().filter(|_| is_fixed).and_then(|part| common_form(part, dialects));
    let told = readings.into_iter().map(|(dialects, part)| (dialects, part.iter().map(reading).collect()));
    Finding { lines, key: plainest.map(str::to_owned), differences, readings: told.collect(), form }
}

/// How the first dialect's value can be written so that all of them read it.
fn common_form(part: &[Statement], dialects: &[Dialect]) -> Option<&'static str> {
    let [Statement { key: Some(key), read: Read::Text(value), .. }] = part else { return None };
    let read_by_all = |form: &quote::Form| {
        let line = [key, "=", form.write(value.expose()).as_str()].concat();
        dialects.iter().all(|dialect| reads_back(&line, key, value.expose(), Meaning::Literal, *dialect))
    };
    quote::forms(&[]).find(read_by_all).map(quote::Form::name)
}

fn reading(statement: &Statement) -> Reading {
    let shape = match &statement.read {
        Read::Ignored => Shape::Ignored,
        Read::Refused(reason) => Shape::Refused(reason.clone()),
        Read::NoValue => Shape::NoValue,
        Read::FromEnvironment => Shape::FromEnvironment,
        Read::Command => Shape::Command,
        Read::Text(value) => {
            let value = value.expose();
            let quoted = |quote: char| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote);
            Shape::Text {
                characters: value.chars().count(),
                lines: 1 + value.matches('\n').count(),
                in_quotes: ['\'', '"', '`'].into_iter().any(quoted),
            }
        }
    };
    Reading { key: statement.key.clone(), shape }
}

/// What the lines hold that dialects are known to disagree on.
fn differences(source: &str, lines: (usize, usize), parts: &[&[Statement]]) -> Vec<Difference> {
    let statement = source.trim();
    let separator = statement.find(['=', ':']).unwrap_or(statement.len());
    let (name, value) = statement.split_at(separator);
    let name = name.strip_prefix("export").map_or(name, str::trim_start);
    let behind = value.get(1..).unwrap_or_default();
    let first = behind.trim_start().chars().next();
    let opens = first.filter(|c| matches!(c, '\'' | '"'));
    let is_refused = |bad: Bad| {
        let reason = Read::Refused(bad.to_string());
        parts.iter().flat_map(|part| part.iter()).any(|statement| statement.read == reason)
    };
    let closes = opens.is_none_or(|quote| behind.matches(quote).count() > 1);
    let one_quote = parts.iter().all(|part| part.iter().all(|statement| statement.quote == Quote::None));
    let holds = [
        (Difference::ByteOrderMark, source.starts_with(BYTE_ORDER_MARK)),
        (Difference::Command, value.contains("$(")),
        (Difference::Dollar, value.replace("$(", "").contains('$')),
        (Difference::OpenQuote, !closes || is_refused(Bad::OpenQuote)),
        (Difference::SeveralLines, closes && lines.1 > lines.0),
        (Difference::Backslash, value.contains('\\')),
        (Difference::Backtick, first == Some('`')),
        (Difference::Hash, value.contains('#') && (opens.is_none() || one_quote)),
        (Difference::NameAlone, value.is_empty()),
        (Difference::Export, statement.starts_with("export") && !statement.starts_with("export=")),
        (Difference::Colon, value.starts_with(':')),
        (Difference::Name, !is_plain_name(name.trim())),
        (Difference::Spacing, has_loose_space(source, name, behind, opens)),
        (Difference::CarriageReturn, source.contains('\r')),
    ];
    let mut found: Vec<_> = holds.into_iter().filter(|(_, holds)| *holds).map(|(found, _)| found).collect();
    if found.is_empty() && opens.is_some() {
        found.push(Difference::Quotes);
    }
    if found.is_empty() {
        found.push(Difference::Context);
    }
    found
}

fn has_loose_space(source: &str, name: &str, behind: &str, opens: Option<char>) -> bool {
    let line = source.trim_end_matches(['\r', '\n']);
    let around = line.starts_with(char::is_whitespace)
        || name.ends_with(char::is_whitespace)
        || behind.starts_with(char::is_whitespace);
    around || (opens.is_none() && line.ends_with(char::is_whitespace))
}

fn is_plain_name(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Where each line starts; the last one is behind the text if that ends with a break.
fn line_starts(text: &str) -> Vec<usize> {
    let mut starts = vec![0];
    let mut at = 0;
    while at < text.len() {
        at = text::line_end(text, at).1;
        starts.push(at);
    }
    starts
}
