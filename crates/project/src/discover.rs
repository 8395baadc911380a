//! What a project already uses: names and values from `.env` files, JSON, docker-compose, a dump of Heroku's config, and
//! names that its code reads. `init` and `import` begin with these.

mod code;
mod compose;
mod files;

pub use code::names_in_code;
pub use files::{Source, SourceError, read_source};

use strongroom_secret::SecretString;

/// A variable that somebody uses.
#[derive(Debug)]
pub struct Discovered {
    pub name: String,
    pub value: Option<SecretString>,
    /// What a comment above it says.
    pub doc: Option<String>,
    /// A file and line.
    pub origin: String,
    /// Whether the value is an example, not the real thing.
    pub is_example: bool,
}

/// One entry a name: values of real files win over examples, examples over names in code.
pub fn merged(found: Vec<Discovered>) -> Vec<Discovered> {
    let mut merged: Vec<Discovered> = Vec::new();
    for next in found {
        match merged.iter_mut().find(|known| known.name == next.name) {
            None => merged.push(next),
            Some(known) => {
                if known.doc.is_none() {
                    known.doc = next.doc;
                }
                if known.value.is_none() || (known.is_example && !next.is_example && next.value.is_some()) {
                    known.value = next.value;
                    known.is_example = next.is_example;
                    known.origin = next.origin;
                }
            }
        }
    }
    merged
}
