//! The types of values, and what makes a text one of them. No message here repeats the value.

mod checks;

pub use checks::percent_decodes;

use regex_lite::Regex;

/// What a value must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ValueType {
    #[default]
    String,
    Int,
    Bool,
    Float,
    Port,
    Url,
    Email,
    Uuid,
    Json,
    Pem,
    Base64,
    /// Something opaque without white space, as an API key.
    Token,
    Enum,
    Duration,
    Path,
    List,
}

/// What a declaration asks for beyond its type.
#[derive(Debug, Clone, Default)]
pub struct Constraints {
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub pattern: Option<Pattern>,
    pub schemes: Vec<String>,
    pub values: Vec<String>,
    pub items: Option<ValueType>,
    pub separator: Option<String>,
}

/// A regular expression that values must match.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Checks that the expression is one.
    pub fn new(text: &str) -> Result<Self, String> {
        compile(text).map(Self)
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub fn is_match(&self, value: &str) -> bool {
        self.0.is_match(value)
    }
}

fn compile(text: &str) -> Result<Regex, String> {
    regex_lite::RegexBuilder::new(text)
        .size_limit(PATTERN_BYTES_MAX)
        .build()
        .map_err(|error| error.to_string().replace('\n', " "))
}

/// A compiled expression may not take more memory than this.
const PATTERN_BYTES_MAX: usize = 1 << 20;

impl ValueType {
    pub const ALL: [Self; 16] = [
        Self::String,
        Self::Int,
        Self::Bool,
        Self::Float,
        Self::Port,
        Self::Url,
        Self::Email,
        Self::Uuid,
        Self::Json,
        Self::Pem,
        Self::Base64,
        Self::Token,
        Self::Enum,
        Self::Duration,
        Self::Path,
        Self::List,
    ];

    pub const WORDS: &[&str] = &[
        "string", "int", "bool", "float", "port", "url", "email", "uuid", "json", "pem", "base64", "token",
        "enum", "duration", "path", "list",
    ];

    /// What the items of a list can be.
    pub const ITEM_WORDS: &[&str] =
        &["string", "int", "bool", "float", "port", "url", "email", "uuid", "token", "duration", "path"];

    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().zip(Self::WORDS).find(|(_, known)| **known == word).map(|(kind, _)| kind)
    }

    pub fn word(self) -> &'static str {
        Self::ALL.into_iter().zip(Self::WORDS).find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }

    /// Whether min and max are about the value, not about its length.
    pub fn is_numeric(self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Port)
    }

    /// All that is wrong with a value, in words that continue "NAME …".
    pub fn problems(self, constraints: &Constraints, value: &[u8]) -> Vec<String> {
        let Ok(text) = std::str::from_utf8(value) else { return vec!["is not UTF-8 text".to_owned()] };
        let mut problems = Vec::new();
        if let Err(problem) = self.check(constraints, text) {
            problems.push(problem);
        } else {
            problems.extend(self.out_of_bounds(constraints, text));
        }
        if let Some(pattern) = &constraints.pattern
            && !pattern.is_match(text)
        {
            problems.push(format!("does not match {:?}", pattern.as_str()));
        }
        problems
    }

    fn check(self, constraints: &Constraints, text: &str) -> Result<(), String> {
        match self {
            Self::String => Ok(()),
            Self::Int => number::<i64>(text, "is not a whole number"),
            Self::Float => checks::float(text),
            Self::Port => checks::port(text),
            Self::Bool => checks::truth(text),
            Self::Url => checks::url(text, &constraints.schemes),
            Self::Email => checks::email(text),
            Self::Uuid => checks::uuid(text),
            Self::Json => checks::json(text),
            Self::Pem => checks::pem(text),
            Self::Base64 => checks::base64(text),
            Self::Token => checks::token(text),
            Self::Enum if constraints.values.iter().any(|value| value == text) => Ok(()),
            Self::Enum => Err(format!("is none of {}", constraints.values.join(", "))),
            Self::Duration if text.is_empty() => Err("is empty, not a duration".to_owned()),
            Self::Duration => strongroom_secret::parse_duration(text)
                .map(drop)
                .map_err(|_| "is not a duration as 90s, 15m or 7d".to_owned()),
            Self::Path if text.is_empty() => Err("is empty, not a path".to_owned()),
            Self::Path => Ok(()),
            Self::List => Self::items(constraints, text),
        }
    }

    fn items(constraints: &Constraints, text: &str) -> Result<(), String> {
        let items = constraints.items.unwrap_or_default();
        for (index, item) in split_list(constraints, text).enumerate() {
            items.check(constraints, item).map_err(|problem| format!("item {} {problem}", index + 1))?;
        }
        Ok(())
    }

    fn out_of_bounds(self, constraints: &Constraints, text: &str) -> Option<String> {
        let (size, unit) = match self {
            Self::Int | Self::Float | Self::Port => (text.trim().parse().ok()?, ""),
            Self::List => (split_list(constraints, text).count() as f64, " items"),
            _ => (text.chars().count() as f64, " characters"),
        };
        // The bound is the manifest's; a length or number of the value would tell something of it.
        match (constraints.min, constraints.max) {
            (Some(min), _) if size < min => Some(format!("is below the minimum of {min}{unit}")),
            (_, Some(max)) if size > max => Some(format!("is above the maximum of {max}{unit}")),
            _ => None,
        }
    }
}

/// The items of a list, trimmed. An empty text is an empty list.
pub fn split_list<'a>(constraints: &'a Constraints, text: &'a str) -> impl Iterator<Item = &'a str> {
    let separator = constraints.separator.as_deref().filter(|separator| !separator.is_empty());
    text.split(separator.unwrap_or(",")).map(str::trim).filter(move |_| !text.trim().is_empty())
}

fn number<T: std::str::FromStr>(text: &str, problem: &str) -> Result<(), String> {
    text.parse::<T>().map(drop).map_err(|_| problem.to_owned())
}

#[cfg(test)]
mod tests;
