use super::database::{Database, Reader};
use super::error::Error;
use super::history::History;
use super::objects;
use super::refs::{self, Reference};
use gix_hash::ObjectId;
use gix_object::Kind;

/// Which commits are meant: all that come before `included`, but not those that come before `excluded`.
#[derive(Debug, Default)]
pub(crate) struct Tips {
    pub(crate) included: Vec<ObjectId>,
    pub(crate) excluded: Vec<ObjectId>,
    /// `A...B`: what both have is excluded.
    pub(crate) symmetric: Vec<(ObjectId, ObjectId)>,
    /// Nothing was chosen: all there is.
    pub(crate) everything: bool,
}

impl Tips {
    /// Whether all that comes before `included` is meant.
    pub(crate) fn is_open(&self) -> bool {
        self.excluded.is_empty() && self.symmetric.is_empty()
    }
}

/// The commits that the options choose.
pub(crate) fn tips(
    history: &History<'_>,
    references: &[Reference],
    reader: &mut Reader,
) -> Result<Tips, Error> {
    let mut tips = Tips { everything: history.options.revisions.is_empty(), ..Tips::default() };
    if tips.everything {
        tips.included = references.iter().map(|reference| reference.id).collect();
    }
    let head = refs::head(history.repository, references);
    let mut names = Names { database: history.database, references, head, reader };
    for text in &history.options.revisions {
        names.take(text, &mut tips)?;
    }
    if tips.included.is_empty() && !tips.excluded.is_empty() && tips.symmetric.is_empty() {
        tips.included.extend(names.head);
    }
    tips.included.sort_unstable();
    tips.included.dedup();
    Ok(tips)
}

struct Names<'a> {
    database: &'a Database,
    references: &'a [Reference],
    head: Option<ObjectId>,
    reader: &'a mut Reader,
}

impl Names<'_> {
    /// One argument, as `git log` takes it.
    fn take(&mut self, text: &str, tips: &mut Tips) -> Result<(), Error> {
        let prefix = match text {
            "--all" => Some(""),
            "--branches" => Some("refs/heads/"),
            "--tags" => Some("refs/tags/"),
            "--remotes" => Some("refs/remotes/"),
            _ => None,
        };
        let or_head = |name: &str| if name.is_empty() { "HEAD".to_owned() } else { name.to_owned() };
        if let Some(prefix) = prefix {
            let chosen = self.references.iter().filter(|reference| reference.name.starts_with(prefix));
            tips.included.extend(chosen.map(|reference| reference.id));
        } else if let Some((left, right)) = text.split_once("...") {
            let pair = (self.resolve(&or_head(left))?, self.resolve(&or_head(right))?);
            tips.included.extend([pair.0, pair.1]);
            tips.symmetric.push(pair);
        } else if let Some((left, right)) = text.split_once("..") {
            let left = self.resolve(&or_head(left))?;
            tips.excluded.push(left);
            tips.included.push(self.resolve(&or_head(right))?);
        } else if let Some(name) = text.strip_prefix('^') {
            let id = self.resolve(name)?;
            tips.excluded.push(id);
        } else {
            tips.included.push(self.resolve(text)?);
        }
        Ok(())
    }

    /// A name with steps behind it: `main~3^2`.
    fn resolve(&mut self, text: &str) -> Result<ObjectId, Error> {
        let name_end = text.find(['~', '^']).unwrap_or(text.len());
        let (name, mut steps) = text.split_at(name_end);
        let unknown = |hint| Error::UnknownRevision { text: text.to_owned(), hint };
        let mut id = self.named(name).map_err(unknown)?;
        while let Some(step) = steps.chars().next() {
            let rest = steps.get(1..).unwrap_or_default();
            if let Some(rest) = rest.strip_prefix('{') {
                let (_, after) = rest.split_once('}').ok_or_else(|| unknown(": a `}` is missing"))?;
                id = self.commit(id).ok_or_else(|| unknown(""))?.0;
                steps = after;
                continue;
            }
            let digits = rest.find(|other: char| !other.is_ascii_digit()).unwrap_or(rest.len());
            let (number, after) = rest.split_at(digits);
            let number: usize =
                if number.is_empty() { 1 } else { number.parse().map_err(|_| unknown(""))? };
            id = self.step(id, step, number).ok_or_else(|| unknown(": it has no such parent here"))?;
            steps = after;
        }
        Ok(id)
    }

    fn step(&mut self, id: ObjectId, step: char, number: usize) -> Option<ObjectId> {
        if step == '^' {
            let (id, parents) = self.commit(id)?;
            return if number == 0 { Some(id) } else { parents.get(number - 1).copied() };
        }
        let mut id = self.commit(id)?.0;
        for _ in 0..number {
            id = *self.commit(id)?.1.first()?;
        }
        Some(id)
    }

    /// A commit, or the one that a tag is of; and its parents.
    fn commit(&mut self, id: ObjectId) -> Option<(ObjectId, Vec<ObjectId>)> {
        const TAGS_DEPTH_MAX: usize = 32;
        let mut id = id;
        for _ in 0..TAGS_DEPTH_MAX {
            match self.database.load_id(&id, self.reader).ok()? {
                (Kind::Commit, content) => {
                    return Some((id, objects::links(&content, self.database.hash)?.parents));
                }
                (Kind::Tag, content) => id = objects::tagged(&content, self.database.hash)?,
                _ => return None,
            }
        }
        None
    }

    /// A name without steps (gitrevisions(7), "refname" and "sha1").
    fn named(&self, name: &str) -> Result<ObjectId, &'static str> {
        if matches!(name, "HEAD" | "@") {
            return self.head.ok_or(": HEAD leads to no commit yet");
        }
        for pattern in ["", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/"] {
            let whole = format!("{pattern}{name}");
            if let Some(reference) = self.references.iter().find(|reference| reference.name == whole) {
                return Ok(reference.id);
            }
        }
        let is_hex = name.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hex && (4..=64).contains(&name.len()) {
            return match self.database.starting_with(&name.to_ascii_lowercase()).as_slice() {
                [id] => Ok(*id),
                [] => Err(": no object begins with it"),
                _ => Err(": several objects begin with it; write more of it"),
            };
        }
        Err("; `git branch -a` and `git tag` list the names there are")
    }
}
