//! A file as it stands: its bytes, and the tree that they hold. Writing puts another tree of the same shape over the same
//! bytes, so comments, blank lines and order stay. Where that cannot be (another format, another shape), the file is
//! written afresh in the layout that sops has.

mod change;

mod read;
mod time;
mod write;
mod yaml_forms;

use super::env;
use super::metadata::{self, Metadata, MetadataError};
use super::tree::{Comment, Item, Map, Node, Tree, find};
use super::value::Value;
use crate::document::{ChangeError, Document, Indent, Limits, NodeId, ParseError, Syntax};
use std::path::Path;
use strongroom_secret::{SecretBytes, SecretString};
use thiserror::Error;

/// The largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 256 << 20;

/// The formats of SOPS files. TOML is ours: sops takes such a file as binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Yaml,
    Json,
    Env,
    Ini,
    Toml,
    /// Any bytes, encrypted as one value in a JSON file.
    Binary,
}

/// Why bytes are no file of their format, or a tree cannot be written in one.
#[derive(Debug, Error)]
pub enum SourceError {
    #[error("the file has more than {FILE_BYTES_MAX} bytes")]
    TooBig,
    #[error("the file is not UTF-8 text (byte {0})")]
    NotUtf8(usize),
    #[error("the file is UTF-16: save it as UTF-8")]
    Utf16,
    #[error(
        "line {0}: a merge conflict is in the file: take one side of it, or let git merge such files by their values (strongroom sops git install)"
    )]
    MergeConflict(usize),
    #[error("{0}")]
    Parse(#[from] ParseError),
    #[error("line {line}: {what}")]
    Line { line: usize, what: &'static str },
    #[error("line {line}: the key {key:?} is not text, and SOPS takes no other keys: put it in quotes")]
    Key { line: usize, key: String },
    #[error("the top level must be a map of keys and values, not a list or a single value")]
    TopLevel,
    #[error("the file is empty: there must be at least one document")]
    Empty,
    #[error("{0:?} holds a list or a map, which this format cannot")]
    Nested(String),
    #[error("{0:?} is not text (UTF-8), which this format needs: decrypt it as binary")]
    NotText(String),
    #[error("this is not an encrypted binary file: it has no text under \"data\" (another format?)")]
    NotBinary,
    #[error("the top-level key {0:?} is the place of SOPS' own metadata: is the file encrypted already?")]
    Reserved(String),
    #[error("the file cannot be written: {0}")]
    Write(String),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// What was read.
#[derive(Debug)]
pub(super) struct Parsed {
    pub source: Source,
    /// The data, without the metadata.
    pub tree: Tree,
    /// The map under `sops`, unflattened. `None` if the file is not encrypted.
    pub metadata: Option<Map>,
}

/// The bytes behind a tree.
#[derive(Debug)]
pub(super) struct Source {
    format: Format,
    layout: Layout,
}

#[derive(Debug)]
enum Layout {
    /// A document, and its nodes in the order of the tree's values and comments.
    Document {
        document: Document,
        nodes: Vec<NodeId>,
    },
    Lines(SecretString),
    /// Nothing to keep.
    Fresh,
}

impl Format {
    pub const ALL: [Self; 6] = [Self::Yaml, Self::Json, Self::Env, Self::Ini, Self::Toml, Self::Binary];

    /// By the ending of a file's name; what has none that we know is binary.
    pub fn of_path(path: &Path) -> Self {
        let name = path.to_string_lossy();
        let ends = |ending: &str| name.ends_with(ending);
        match () {
            () if ends(".yaml") || ends(".yml") => Self::Yaml,
            () if ends(".json") => Self::Json,
            () if ends(".env") => Self::Env,
            () if ends(".ini") => Self::Ini,
            () if ends(".toml") => Self::Toml,
            () => Self::Binary,
        }
    }

    /// By the name that `--input-type` and `--output-type` take.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Yaml => "yaml",
            Self::Json => "json",
            Self::Env => "dotenv",
            Self::Ini => "ini",
            Self::Toml => "toml",
            Self::Binary => "binary",
        }
    }

    fn syntax(self) -> Option<Syntax> {
        match self {
            Self::Yaml => Some(Syntax::Yaml),
            Self::Json | Self::Binary => Some(Syntax::Json),
            Self::Ini => Some(Syntax::Ini),
            Self::Toml => Some(Syntax::Toml),
            Self::Env => None,
        }
    }

    /// Whether the metadata's nesting is put into its keys.
    fn flattens(self) -> bool {
        matches!(self, Self::Env | Self::Ini)
    }
}

/// Reads a file that is not encrypted.
pub(super) fn read_plain(format: Format, bytes: &[u8]) -> Result<Parsed, SourceError> {
    if format == Format::Binary {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(SourceError::TooBig);
        }
        let data = Node::Leaf(Value::Text(SecretBytes::new(bytes.to_vec())));
        let tree = Tree { documents: vec![vec![Item::entry("data", data)]] };
        return Ok(Parsed { source: Source::fresh(format), tree, metadata: None });
    }
    read(format, bytes)
}

/// Reads a file that should be encrypted. Whether it is says [`Parsed::metadata`].
pub(super) fn read_encrypted(format: Format, bytes: &[u8]) -> Result<Parsed, SourceError> {
    // sops knows no TOML: what it encrypted under such a name is binary.
    let is_json = || bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    let format = if format == Format::Toml && is_json() { Format::Binary } else { format };
    read(format, bytes)
}

fn read(format: Format, bytes: &[u8]) -> Result<Parsed, SourceError> {
    let text = read::text_of(bytes)?;
    let parsed = match format.syntax() {
        None => read_lines(text),
        Some(syntax) => read_document(format, syntax, text),
    };
    match parsed {
        Err(error) => Err(read::conflict_in(text).unwrap_or(error)),
        parsed => parsed,
    }
}

fn read_document(format: Format, syntax: Syntax, text: &str) -> Result<Parsed, SourceError> {
    let limits = Limits { bytes_max: FILE_BYTES_MAX, entries_max: 8_000_000, ..Limits::default() };
    let document = Document::parse(syntax, text, &limits)?;
    let document = match yaml_forms::items_as_comments(&document) {
        Some(text) => Document::parse(syntax, text.expose(), &limits)?,
        None => document,
    };
    read::document(format, document)
}

/// `.env`: the keys that begin with `sops_` are the metadata.
fn read_lines(text: &str) -> Result<Parsed, SourceError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut data, mut flat) = (Map::new(), Map::new());
    for item in env::read(text)? {
        match item {
            Item::Entry { key, node } => match key.strip_prefix(ENV_PREFIX) {
                Some(name) => flat.push(Item::entry(name, node)),
                None => data.push(Item::Entry { key, node }),
            },
            comment => data.push(comment),
        }
    }
    let metadata = if flat.is_empty() { None } else { Some(metadata::unflatten(&flat)?) };
    let source = Source { format: Format::Env, layout: Layout::Lines(SecretString::from(text)) };
    Ok(Parsed { source, tree: Tree { documents: vec![data] }, metadata })
}

/// What the keys of the metadata begin with in `.env`.
const ENV_PREFIX: &str = "sops_";

impl Source {
    /// No bytes: whatever is written is written afresh.
    pub(super) fn fresh(format: Format) -> Self {
        Self { format, layout: Layout::Fresh }
    }

    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// The file with the values of `tree` and without metadata.
    pub(super) fn write_plain(self, tree: &Tree) -> Result<SecretBytes, SourceError> {
        if self.format == Format::Binary {
            return binary(tree);
        }
        self.write(tree, None)
    }

    /// The file with the values of `tree` and with `metadata`.
    pub(super) fn write_encrypted(
        self,
        tree: &Tree,
        metadata: &Metadata,
    ) -> Result<SecretBytes, SourceError> {
        refuse_reserved_keys(self.format, tree)?;
        let mut map = metadata.to_map();
        if self.format.flattens() {
            let prefix = if self.format == Format::Env { ENV_PREFIX } else { "" };
            map = metadata::flatten(&map, prefix);
        }
        if self.format == Format::Ini {
            map = map.iter().map(write::newlines_escaped).collect();
        }
        self.write(tree, Some(&map))
    }

    fn write(self, tree: &Tree, metadata: Option<&Map>) -> Result<SecretBytes, SourceError> {
        let format = self.format;
        let text = match self.layout {
            Layout::Document { document, nodes } => {
                match write::over(format, document, &nodes, tree, metadata) {
                    Some(document) if metadata.is_some() => yaml_forms::as_sops_writes(&document),
                    Some(document) => SecretString::from(document.expose()),
                    None => write::fresh(format, tree, metadata, Indent::Usual)?,
                }
            }
            Layout::Lines(old) => write::lines(&old, tree, metadata)?,
            Layout::Fresh => write::fresh(format, tree, metadata, Indent::Usual)?,
        };
        Ok(SecretBytes::new(text.expose().as_bytes().to_vec()))
    }
}

/// One tree in another format, without metadata, in the layout of sops.
pub fn emit_plain(format: Format, tree: &Tree, indent: Indent) -> Result<SecretBytes, SourceError> {
    if format == Format::Binary {
        return binary(tree);
    }
    let text = write::fresh(format, tree, None, indent)?;
    Ok(SecretBytes::new(text.expose().as_bytes().to_vec()))
}

/// One value of a tree by itself.
pub fn emit_node(format: Format, node: &Node, indent: Indent) -> Result<SecretBytes, SourceError> {
    write::node(format, node, indent)
}

/// The one value of a binary file.
fn binary(tree: &Tree) -> Result<SecretBytes, SourceError> {
    match tree.documents.as_slice() {
        [only] => match find(only, "data") {
            Some(Node::Leaf(Value::Text(bytes))) => Ok(bytes.duplicate()),
            _ => Err(SourceError::NotBinary),
        },
        _ => Err(SourceError::NotBinary),
    }
}

/// Data must not lie where the metadata goes.
pub fn refuse_reserved_keys(format: Format, tree: &Tree) -> Result<(), SourceError> {
    let reserved = |key: &&str| match format {
        Format::Env => key.starts_with(ENV_PREFIX),
        _ => *key == metadata::KEY,
    };
    let mut keys = tree.documents.iter().flatten().filter_map(Item::key);
    match keys.find(reserved) {
        Some(key) => Err(SourceError::Reserved(key.to_owned())),
        None => Ok(()),
    }
}

impl From<ChangeError> for SourceError {
    fn from(error: ChangeError) -> Self {
        Self::Write(error.to_string())
    }
}

/// A value or a comment of a tree, as a walk meets it.
enum Spot<'a> {
    Null,
    Value(&'a Value),
    Comment(&'a Comment),
}
