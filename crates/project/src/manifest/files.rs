//! The files of a manifest: the one that was found, those it extends and includes, and the local one beside it.

use super::keys;
use super::place::{Location, Place, Sources};
use super::problem::{Problem, ProblemKind};
use super::shape::Checker;
use super::tree::{Entry, Node, Table, Value, parse};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Sections whose entries are merged one by one.
const SECTIONS: [&str; 7] = ["env", "provider", "secret", "scope", "group", "generate", "guard"];
/// Sections whose entries are tables that are merged key by key.
const DEEP: [&str; 4] = ["env", "provider", "secret", "group"];

pub(crate) const FILE_BYTES_MAX: u64 = 1 << 20;
const FILES_MAX: usize = 64;
const DEPTH_MAX: usize = 16;

/// Reads and merges all files.
pub(super) struct Loader {
    pub sources: Sources,
    pub problems: Vec<Problem>,
    /// A file is not TOML.
    pub broken: bool,
    /// Files on the way down, for cycles.
    stack: Vec<PathBuf>,
}

/// Which of two declarations of the same thing holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Conflict {
    LaterWins,
    IsAnError,
}

impl Loader {
    pub(super) fn new() -> Self {
        Self { sources: Sources::default(), problems: Vec::new(), broken: false, stack: Vec::new() }
    }

    /// The whole manifest as one tree. `None` if the file itself cannot be read.
    pub(super) fn load(&mut self, path: &Path) -> Option<Table> {
        let mut whole = self.file(path, None)?;
        if let Some(local) = local_path(path)
            && local.exists()
            && let Some(overrides) = self.file(&local, None)
        {
            self.merge(&mut whole, overrides, Conflict::LaterWins);
        }
        Some(whole)
    }

    fn file(&mut self, path: &Path, named_at: Option<Place>) -> Option<Table> {
        let canonical = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if self.stack.contains(&canonical) {
            self.say(named_at, format!("{} includes itself in a circle", path.display()), None);
            return None;
        }
        if self.stack.len() >= DEPTH_MAX || self.sources.paths().count() >= FILES_MAX {
            let message = format!("more than {FILES_MAX} files, or {DEPTH_MAX} levels of them");
            self.say(named_at, message, None);
            return None;
        }
        let text = match read(path) {
            Ok(text) => text,
            Err(message) => {
                self.say(named_at, message, None);
                return None;
            }
        };
        let file = self.sources.add(path.to_owned(), text);
        let before = self.problems.len();
        let table = parse(&self.sources, file, &mut self.problems);
        if self.problems.len() > before {
            // What could be made of the rest would only be misunderstood.
            self.broken = true;
            return None;
        }
        let mut checker = Checker { sources: &self.sources, problems: &mut self.problems };
        checker.table(&table, keys::MANIFEST, "");
        self.stack.push(canonical);
        let whole = self.with_others(table, path.parent().unwrap_or(Path::new("")));
        self.stack.pop();
        Some(whole)
    }

    fn with_others(&mut self, mut own: Table, folder: &Path) -> Table {
        let named = |table: &Table, key: &str| table.get(key).map(Node::texts).unwrap_or_default();
        let (extended, included) = (named(&own, "extends"), named(&own, "include"));
        own.entries.retain(|entry| !matches!(entry.name.as_str(), "extends" | "include"));
        for (name, place) in included {
            if let Some(table) = self.file(&folder.join(name), Some(place)) {
                self.merge(&mut own, table, Conflict::IsAnError);
            }
        }
        let mut whole = Table::default();
        for (name, place) in extended {
            if let Some(table) = self.file(&folder.join(name), Some(place)) {
                self.merge(&mut whole, table, Conflict::LaterWins);
            }
        }
        self.merge(&mut whole, own, Conflict::LaterWins);
        whole
    }

    fn merge(&mut self, into: &mut Table, from: Table, conflict: Conflict) {
        for entry in from.entries {
            let in_sections = SECTIONS.contains(&entry.name.as_str());
            match into.entries.iter_mut().find(|own| own.name == entry.name) {
                Some(own) if in_sections => {
                    let section = entry.name.clone();
                    if let (Value::Table(own), Value::Table(more)) = (&mut own.node.value, entry.node.value) {
                        self.merge_section(&section, own, more, conflict);
                    }
                }
                // A file that is included repeats version and project without harm.
                Some(_) if conflict == Conflict::IsAnError => {}
                Some(own) => *own = entry,
                None => into.entries.push(entry),
            }
        }
    }

    fn merge_section(&mut self, section: &str, own: &mut Table, more: Table, conflict: Conflict) {
        for entry in more.entries {
            match own.entries.iter_mut().find(|known| known.name == entry.name) {
                None => own.entries.push(entry),
                Some(known) if conflict == Conflict::IsAnError => {
                    let first = self.sources.location(known.place);
                    let hint = format!("the other stands at {}", place_words(&first));
                    let message = format!("{section}.{} is declared twice", entry.name);
                    self.say(Some(entry.place), message, Some(hint));
                }
                Some(known) if DEEP.contains(&section) => overlay(known, entry),
                Some(known) => *known = entry,
            }
        }
    }

    fn say(&mut self, place: Option<Place>, message: String, hint: Option<String>) {
        let problem = Problem::error(ProblemKind::Manifest, message).maybe_hint(hint);
        self.problems.push(match place {
            Some(place) => problem.at(self.sources.location(place)),
            None => problem,
        });
    }
}

/// A declaration over another one of the same name, key by key. `NAME = "type"` counts as `{ type = "type" }`.
fn overlay(known: &mut Entry, entry: Entry) {
    let place = entry.place;
    let over = into_table(entry.node);
    let mut table = into_table(std::mem::replace(&mut known.node, Node { place, value: Value::Bool(false) }));
    for entry in over.entries {
        match table.entries.iter_mut().find(|own| own.name == entry.name) {
            Some(own) => *own = entry,
            None => table.entries.push(entry),
        }
    }
    known.place = place;
    known.node = Node { place, value: Value::Table(table) };
}

/// The long form of a secret that is declared by its type alone.
pub(super) fn into_table(node: Node) -> Table {
    match node.value {
        Value::Table(table) => table,
        _ => {
            let entry = Entry { name: "type".to_owned(), place: node.place, node };
            Table { entries: vec![entry] }
        }
    }
}

/// `strongroom.local.toml` for `strongroom.toml`.
pub fn local_path(path: &Path) -> Option<PathBuf> {
    let stem = path.file_stem()?.to_str()?;
    Some(path.with_file_name(format!("{stem}.local.toml")))
}

fn place_words(location: &Location) -> String {
    format!("{}:{}:{}", location.path.display(), location.line, location.column)
}

fn read(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => format!("there is no file {}", path.display()),
        _ => format!("cannot read {}: {error}", path.display()),
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("{} is larger than a manifest may be (1 MiB)", path.display()));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8 text", path.display()))?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}
