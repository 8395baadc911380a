//! Changes to a document: bytes are replaced, the result is parsed, and compared with what was meant.

use super::tree::{Kind, NodeId, Span, Style};
use super::value::{Path, Scalar, Step, Value};
use super::{Document, Limits, Node, Syntax, ini, json, toml, yaml};
use std::collections::HashMap;
use strongroom_secret::SecretString;

/// Why a change was not made. The document is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    #[error("there is no {0}")]
    Missing(Path),
    #[error("{0} is there already")]
    Present(Path),
    #[error("{path}: {what}")]
    Impossible { path: Path, what: &'static str },
    /// A fresh document cannot be made of these values.
    #[error("{0}")]
    Fresh(&'static str),
    /// The bytes around make the change mean something else as well.
    #[error("{path} cannot be changed in place without changing something else; edit the file by hand")]
    Unsafe { path: Path },
}

/// What one node of [`Document::rewrite`] becomes.
#[derive(Debug, PartialEq, Eq)]
pub enum Rewrite {
    /// A scalar with another value or of another kind. Its style is kept where the value allows it.
    Scalar(Scalar),
    /// A comment with another text after its mark. Line breaks are not possible.
    Comment(SecretString),
}

/// Where a new entry goes among the values of its container. Comments stay with what they stand above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    First,
    Last,
    /// After this value of the container.
    After(NodeId),
}

/// Bytes to replace.
pub(super) struct Splice {
    pub(super) span: Span,
    pub(super) text: SecretString,
}

impl Splice {
    pub(super) fn new(start: usize, end: usize, text: impl Into<String>) -> Self {
        Self { span: Span::new(start, end), text: SecretString::new(text.into()) }
    }
}

/// A new value of a container.
pub(super) struct Entry<'v> {
    pub(super) container: NodeId,
    /// The value that it follows; it comes first without one.
    pub(super) after: Option<NodeId>,
    pub(super) key: Option<&'v str>,
    pub(super) value: &'v Value,
}

/// What the new tree has to be, told by how it differs from the old one.
#[derive(Default)]
struct Meant<'v> {
    rewritten: HashMap<NodeId, &'v Rewrite>,
    replaced: Option<(NodeId, &'v Value)>,
    removed: Option<NodeId>,
    inserted: Option<Entry<'v>>,
}

/// The indentation of a fresh document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indent {
    /// As sops writes: a tab in JSON, four spaces in YAML.
    Usual,
    Spaces(usize),
}

impl Document {
    /// Writes values into a new document, in the style of sops: YAML as go-yaml v3, JSON with tabs, INI with aligned
    /// `=`. YAML takes any number of parts, the others exactly one; TOML and INI want a map at the top.
    pub fn fresh(syntax: Syntax, parts: &[Value], indent: Indent) -> Result<Self, ChangeError> {
        let one = || match parts {
            [one] => Ok(one),
            _ => Err(ChangeError::Fresh("this syntax holds exactly one value")),
        };
        let text = match syntax {
            Syntax::Json => json::fresh(one()?, indent),
            Syntax::Yaml => Ok(yaml::fresh(parts, indent)),
            Syntax::Ini => ini::fresh(one()?),
            Syntax::Toml => toml::fresh(one()?),
        };
        let text = SecretString::new(text.map_err(ChangeError::Fresh)?);
        let limits = Limits { bytes_max: usize::MAX, ..Limits::default() };
        let document = Self::from_text(syntax, text, &limits);
        let document =
            document.map_err(|_| ChangeError::Fresh("the values are nested too deep, or too many"))?;
        let arranged = parts.iter().map(|value| arranged(syntax, value));
        let roots = document.tree.parts.iter().map(|part| document.tree.values(*part).next());
        let holds = roots.len() == parts.len()
            && roots.zip(arranged).all(|(root, value)| match root {
                Some(id) => is(&document, id, &value),
                None => matches!(value, Value::Scalar(Scalar::Null)),
            });
        if holds {
            Ok(document)
        } else {
            Err(ChangeError::Fresh("the syntax has no way to write these values"))
        }
    }

    /// Replaces any number of scalars and comments, each node at most once, in one pass.
    ///
    /// # Errors
    /// [`ChangeError::Impossible`] if a node is neither, is spoken of twice, or the syntax has no way to write the
    /// value (a line break in a comment, null in TOML).
    pub fn rewrite(&mut self, rewrites: &[(NodeId, Rewrite)]) -> Result<(), ChangeError> {
        let mut meant = Meant::default();
        let mut splices = Vec::with_capacity(rewrites.len());
        let layout = yaml::layout(self);
        for (id, rewrite) in rewrites {
            let node = self.node(*id);
            if meant.rewritten.insert(*id, rewrite).is_some() {
                return Err(node.impossible("it is changed twice at once"));
            }
            match (node.kind(), rewrite) {
                (Kind::Scalar(_), Rewrite::Scalar(scalar)) => match self.syntax {
                    Syntax::Json => splices.push(json::write_scalar(node, scalar)?),
                    Syntax::Yaml => splices.extend(yaml::write_scalar(self, layout, node, scalar)),
                    Syntax::Ini => splices.push(ini::write_scalar(self, node, scalar)?),
                    Syntax::Toml => splices.push(toml::write_scalar(self, node, scalar)?),
                },
                (Kind::Comment(_), Rewrite::Comment(text)) => splices.push(write_comment(node, text)?),
                _ => return Err(node.impossible("only scalars and comments are rewritten")),
            }
        }
        let path = rewrites.first().map(|(id, _)| self.node(*id).path()).unwrap_or_default();
        self.apply(path, splices, &meant)
    }

    /// Sets the value at a path: what is there is replaced, what is missing on the way is made (a list grows by one
    /// at its end). A scalar keeps its style where it can; new lines are indented as those around them.
    pub fn set(&mut self, part: usize, path: &[Step], value: &Value) -> Result<(), ChangeError> {
        if let Some(node) = self.find(part, path) {
            let id = node.id();
            return self.replace(id, value);
        }
        let missing = || ChangeError::Missing(Path(path.to_vec()));
        if let (Some(id), None) = (self.tree.parts.get(part).copied(), self.root(part)) {
            let value = wrapped(path, value).ok_or_else(missing)?;
            return self.add(Path(path.to_vec()), id, None, &value, Place::First);
        }
        let mut depth = path.len();
        let parent = loop {
            depth = depth.checked_sub(1).ok_or_else(missing)?;
            if let Some(node) = self.find(part, path.get(..depth).unwrap_or_default()) {
                break node;
            }
        };
        let (step, below) = path.get(depth..).and_then(|rest| rest.split_first()).ok_or_else(missing)?;
        let value = wrapped(below, value).ok_or_else(missing)?;
        let count = self.tree.values(parent.id()).count();
        let id = parent.id();
        match (parent.kind(), step) {
            (Kind::Map, Step::Key(key)) => self.insert(id, key, &value, Place::Last),
            (Kind::List, Step::Index(index)) if *index == count => self.push(id, &value),
            _ => Err(missing()),
        }
    }

    /// Replaces a value, with all that is below it. A scalar by a scalar keeps its style where it can.
    pub fn replace(&mut self, id: NodeId, value: &Value) -> Result<(), ChangeError> {
        let node = self.node(id);
        if let (Kind::Scalar(_), Value::Scalar(scalar)) = (node.kind(), value) {
            return self.rewrite(&[(id, Rewrite::Scalar(scalar.duplicate()))]);
        }
        if matches!(node.kind(), Kind::Comment(_) | Kind::Part) {
            return Err(node.impossible("it is no value"));
        }
        let path = node.path();
        let value = &arranged(self.syntax, value);
        let splices = match self.syntax {
            Syntax::Json => json::replace(self, node, value)?,
            Syntax::Yaml => yaml::replace(self, node, value)?,
            Syntax::Ini => ini::replace(self, node, value)?,
            Syntax::Toml => toml::replace(self, node, value)?,
        };
        self.apply(path, splices, &Meant { replaced: Some((id, value)), ..Meant::default() })
    }

    /// Puts a new key into a map.
    ///
    /// # Errors
    /// [`ChangeError::Present`] if the map has the key; [`ChangeError::Impossible`] if the node is no map.
    pub fn insert(&mut self, map: NodeId, key: &str, value: &Value, place: Place) -> Result<(), ChangeError> {
        let node = self.node(map);
        let mut path = node.path();
        path.0.push(Step::Key(key.to_owned()));
        if node.kind() != Kind::Map {
            return Err(ChangeError::Impossible { path, what: "a key goes into a map alone" });
        }
        if self.tree.child(map, key).is_some() {
            return Err(ChangeError::Present(path));
        }
        self.add(path, map, Some(key), value, place)
    }

    /// Puts a new value at the end of a list.
    pub fn push(&mut self, list: NodeId, value: &Value) -> Result<(), ChangeError> {
        let node = self.node(list);
        let mut path = node.path();
        path.0.push(Step::Index(self.tree.values(list).count()));
        if node.kind() != Kind::List {
            return Err(ChangeError::Impossible { path, what: "it goes into a list alone" });
        }
        self.add(path, list, None, value, Place::Last)
    }

    fn add(
        &mut self,
        path: Path,
        container: NodeId,
        key: Option<&str>,
        value: &Value,
        place: Place,
    ) -> Result<(), ChangeError> {
        let after = match place {
            Place::First => None,
            Place::Last => self.tree.values(container).next_back(),
            Place::After(sibling) if self.tree.node(sibling).parent == Some(container) => Some(sibling),
            Place::After(_) => {
                return Err(ChangeError::Impossible { path, what: "what it should follow stands elsewhere" });
            }
        };
        let value = &arranged(self.syntax, value);
        let after =
            if self.syntax == Syntax::Toml { toml::place(self, container, value, place) } else { after };
        let entry = Entry { container, after, key, value };
        let splices = match self.syntax {
            Syntax::Json => json::insert(self, &entry)?,
            Syntax::Yaml => yaml::insert(self, &entry)?,
            Syntax::Ini => ini::insert(self, &entry)?,
            Syntax::Toml => toml::insert(self, &entry)?,
        };
        self.apply(path, splices, &Meant { inserted: Some(entry), ..Meant::default() })
    }

    /// Takes a map's or list's entry out, with its lines and a comment on them; comments above it stay.
    pub fn remove(&mut self, id: NodeId) -> Result<(), ChangeError> {
        let node = self.node(id);
        let is_entry = node.parent().is_some_and(|parent| matches!(parent.kind(), Kind::Map | Kind::List));
        if !is_entry || matches!(node.kind(), Kind::Comment(_)) {
            return Err(node.impossible("only entries of maps and lists can be taken out"));
        }
        let path = node.path();
        let splices = match self.syntax {
            Syntax::Json => json::remove(self, node),
            Syntax::Yaml => yaml::remove(self, node)?,
            Syntax::Ini => ini::remove(self, node),
            Syntax::Toml => toml::remove(self, node)?,
        };
        self.apply(path, splices, &Meant { removed: Some(id), ..Meant::default() })
    }

    /// Replaces bytes, and keeps the result only if it is what was meant.
    fn apply(&mut self, path: Path, mut splices: Vec<Splice>, meant: &Meant<'_>) -> Result<(), ChangeError> {
        splices.sort_by_key(|splice| (splice.span.start, splice.span.end));
        let Some(text) = spliced(self.expose(), &splices) else { return Err(ChangeError::Unsafe { path }) };
        let changed = match Document::from_text(self.syntax, text, &self.limits) {
            Ok(changed) => changed,
            Err(_) => return Err(ChangeError::Unsafe { path }),
        };
        if !(Comparison { old: self, new: &changed, meant }).holds() {
            return Err(ChangeError::Unsafe { path });
        }
        *self = changed;
        Ok(())
    }
}

fn write_comment(node: Node<'_>, text: &SecretString) -> Result<Splice, ChangeError> {
    if text.expose().contains(['\n', '\r']) {
        return Err(node.impossible("a comment is one line"));
    }
    let mark = node.raw().chars().next().unwrap_or('#');
    let span = node.data().span;
    Ok(Splice::new(span.start(), span.end(), format!("{mark}{}", text.expose())))
}

impl Node<'_> {
    pub(super) fn impossible(&self, what: &'static str) -> ChangeError {
        ChangeError::Impossible { path: self.path(), what }
    }
}

/// A value in the order in which the syntax can write it.
fn arranged(syntax: Syntax, value: &Value) -> Value {
    if syntax == Syntax::Toml { toml::ordered(value) } else { value.duplicate() }
}

/// The value wrapped into maps and lists of one entry each, along a path that does not exist yet.
fn wrapped(path: &[Step], value: &Value) -> Option<Value> {
    let Some((first, rest)) = path.split_first() else { return Some(value.duplicate()) };
    let inner = wrapped(rest, value)?;
    match first {
        Step::Key(key) => Some(Value::map([(key.clone(), inner)])),
        Step::Index(0) => Some(Value::List(vec![inner])),
        Step::Index(_) => None,
    }
}

/// The text with sorted splices made; nothing if two overlap, or one ends before it begins.
fn spliced(text: &str, splices: &[Splice]) -> Option<SecretString> {
    let grown: usize = splices.iter().map(|splice| splice.text.expose().len()).sum();
    // Room for all of it at once: a string that grows leaves copies of secrets behind.
    let mut result = String::with_capacity(text.len() + grown);
    let mut from = 0;
    for splice in splices {
        text.get(splice.span.range())?;
        result.push_str(text.get(from..splice.span.start())?);
        result.push_str(splice.text.expose());
        from = splice.span.end();
    }
    result.push_str(text.get(from..)?);
    Some(SecretString::new(result))
}

struct Comparison<'c> {
    old: &'c Document,
    new: &'c Document,
    meant: &'c Meant<'c>,
}

impl Comparison<'_> {
    fn holds(&self) -> bool {
        let (old, new) = (&self.old.tree.parts, &self.new.tree.parts);
        let meant = self.meant;
        let is_rewrite = meant.replaced.is_none() && meant.removed.is_none() && meant.inserted.is_none();
        old.len() == new.len()
            && old.iter().zip(new).all(|(old, new)| self.values_hold(*old, *new))
            && (!is_rewrite || self.comments_hold())
    }

    fn comments_hold(&self) -> bool {
        let wanted = self.old.walk().filter_map(|node| match self.meant.rewritten.get(&node.id()) {
            Some(Rewrite::Comment(text)) => Some(text.expose()),
            _ => node.comment(),
        });
        wanted.eq(self.new.walk().filter_map(|node| node.comment()))
    }

    /// Whether the values of a container are what they were, but for what was meant.
    fn values_hold(&self, old: NodeId, new: NodeId) -> bool {
        let mut found = self.new.tree.values(new);
        if !self.inserted_holds(old, None, &mut found) {
            return false;
        }
        for id in self.old.tree.values(old) {
            let holds = self.meant.removed == Some(id)
                || (found.next().is_some_and(|found| self.node_holds(id, found))
                    && self.inserted_holds(old, Some(id), &mut found));
            if !holds {
                return false;
            }
        }
        found.next().is_none()
    }

    fn inserted_holds(
        &self,
        container: NodeId,
        after: Option<NodeId>,
        found: &mut impl Iterator<Item = NodeId>,
    ) -> bool {
        let Some(entry) = &self.meant.inserted else { return true };
        if entry.container != container || entry.after != after {
            return true;
        }
        found.next().is_some_and(|id| {
            self.new.tree.key(id).map(|key| key.text.as_str()) == entry.key && is(self.new, id, entry.value)
        })
    }

    fn node_holds(&self, old: NodeId, new: NodeId) -> bool {
        let (before, after) = (self.old.node(old), self.new.node(new));
        if before.key() != after.key() || before.key_kind() != after.key_kind() {
            return false;
        }
        match (self.meant.replaced, self.meant.rewritten.get(&old)) {
            (Some((id, value)), _) if id == old => return is(self.new, new, value),
            (_, Some(Rewrite::Scalar(scalar))) => return scalar_is(after, scalar),
            _ => {}
        }
        let same =
            before.kind() == after.kind() && before.tag() == after.tag() && before.anchor() == after.anchor();
        same && match before.kind() {
            Kind::Map | Kind::List => self.values_hold(old, new),
            // The raw text of a block scalar has the comment in its header.
            _ if matches!(before.style(), Style::Literal | Style::Folded) => {
                before.scalar() == after.scalar()
            }
            _ => before.raw() == after.raw() && before.scalar() == after.scalar(),
        }
    }
}

/// Whether a node is this value.
fn is(document: &Document, id: NodeId, value: &Value) -> bool {
    let node = document.node(id);
    let mut found = document.tree.values(id);
    match value {
        Value::Scalar(scalar) => scalar_is(node, scalar),
        Value::List(items) => {
            let held = items.iter().all(|item| found.next().is_some_and(|id| is(document, id, item)));
            node.kind() == Kind::List && held && found.next().is_none()
        }
        Value::Map(entries) => {
            let held = entries.iter().all(|(key, value)| {
                found.next().is_some_and(|id| document.node(id).key() == Some(key) && is(document, id, value))
            });
            node.kind() == Kind::Map && held && found.next().is_none()
        }
    }
}

/// Whether a node is this scalar, as far as its syntax can tell kinds apart: INI has text alone, and JSON no times.
fn scalar_is(node: Node<'_>, wanted: &Scalar) -> bool {
    let Some(found) = node.scalar() else { return false };
    let same_text = match (node.document.syntax, wanted) {
        (Syntax::Ini, _) | (Syntax::Json, Scalar::Timestamp(_)) => true,
        _ => found.kind() == wanted.kind(),
    };
    same_text && found.expose() == wanted.expose()
}
