//! `.env` files: one tree that keeps every byte, read in the dialects of those who read such files.
//!
//! There is no one `.env`: its readers disagree on quotes, comments, escapes and `$`. So a [`Document`] is made from a text
//! and a [`Dialect`]; it keeps every byte, knows where each name and value lies, and changes one line at a time
//! ([`Document::set`]). [`Document::resolve`] gives the values as that dialect's tool would see them, with variables from
//! the file and from an environment that the caller hands in. [`portability`] names the lines on which dialects
//! disagree. Nothing here ever runs a command: `$(…)` is text.

mod dialects;
mod edit;
mod interpolate;
mod lint;
mod quote;
mod text;
mod tree;
mod values;

pub use edit::{Copies, EditError, Edited, Export, FinalNewline, Quoting, SetOptions};
pub use interpolate::{Atom, atoms};
pub use lint::{Difference, Finding, Issue, Reading, Shape, portability, problems};
pub use text::{BYTES_MAX, ENTRIES_MAX, TextError};
pub use tree::{Assignment, Bad, Document, Entry, Kind, Quote, Span, Value};
pub use values::{Lookup, NO_ENVIRONMENT, Precedence, ResolveError, Values};

use std::fmt;
use std::str::FromStr;

/// Whose rules a file is read by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// python-dotenv 1.2.
    #[default]
    Python,
    /// motdotla/dotenv 17 (npm `dotenv`).
    Node,
    /// Docker Compose (compose-go 2).
    Compose,
    /// bkeepers/dotenv 3.2, but for its running of commands.
    Ruby,
    /// The ENV files of sops 3: no quoting at all, `\n` stands for a line break.
    Sops,
    /// Only what all of the above read alike; anything else is an error.
    Strict,
}

impl Dialect {
    pub const ALL: [Self; 6] =
        [Self::Python, Self::Node, Self::Compose, Self::Ruby, Self::Sops, Self::Strict];
    /// Those of programs that read a `.env` at their start.
    pub const OF_PROGRAMS: [Self; 4] = [Self::Python, Self::Node, Self::Compose, Self::Ruby];

    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Node => "node",
            Self::Compose => "compose",
            Self::Ruby => "ruby",
            Self::Sops => "sops",
            Self::Strict => "strict",
        }
    }

    /// Whether the dialect's tool reads nothing of a file that has a bad line. The others skip such a line.
    pub fn refuses_bad_lines(self) -> bool {
        matches!(self, Self::Compose | Self::Sops | Self::Strict)
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no dialect's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no dialect {0:?}: python, node, compose, ruby, sops and strict are known")]
pub struct UnknownDialect(String);

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(name: &str) -> Result<Self, UnknownDialect> {
        let found = Self::ALL.into_iter().find(|dialect| dialect.name() == name);
        found.ok_or_else(|| UnknownDialect(name.to_owned()))
    }
}

#[cfg(test)]
mod tests;
