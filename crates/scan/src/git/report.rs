use super::commits::Reach;
use super::database::{Number, Reader};
use super::error::ObjectError;
use super::forest;
use super::history::{Attribution, History};
use super::incremental::Place;
use super::link::WebAddress;
use super::look::Class;
use super::objects;
use super::sightings::SecretKey;
use crate::content::{Inspector, Opened};
use crate::located::{Commit, Located, Origin, Sink, Statistics};
use gix_hash::ObjectId;
use gix_object::Kind;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use strongroom_detect::{Finding, Fragment, Scratch};

/// Looks again at what was found, now that path and commit are known, and hands it over.
pub(crate) struct Reporter<'a, 'b> {
    pub(crate) history: &'a History<'b>,
    pub(crate) reader: &'a mut Reader,
    pub(crate) statistics: &'a mut Statistics,
    /// What was reported, for an incremental scan to begin with.
    pub(crate) places: Vec<Place>,
    pub(crate) scratch: Scratch,
    commits: HashMap<Number, Arc<Commit>>,
    web: Option<WebAddress>,
}

/// What is reported of one object at one path.
struct Group {
    object: Number,
    path: String,
    commit: Option<Number>,
    reach: Reach,
    /// Which findings, and how often each was seen elsewhere.
    wanted: Vec<(Wanted, u64)>,
}

#[derive(Clone, Copy)]
enum Wanted {
    /// The first one of this secret.
    Key(SecretKey),
    /// One that was reported before.
    Index(usize),
}

impl<'a, 'b> Reporter<'a, 'b> {
    pub(crate) fn new(
        history: &'a History<'b>,
        reader: &'a mut Reader,
        statistics: &'a mut Statistics,
    ) -> Self {
        let web = history.repository.remote.as_deref().and_then(WebAddress::of_remote);
        Self {
            history,
            reader,
            statistics,
            places: Vec::new(),
            scratch: Scratch::default(),
            commits: HashMap::new(),
            web,
        }
    }

    /// Hands over what was found, in the order in which it came in.
    pub(crate) fn report(&mut self, attribution: &Attribution, sink: Sink<'_>) -> ControlFlow<()> {
        let mut groups: Vec<Group> = Vec::new();
        let mut at: HashMap<(Option<u32>, Number, &str), usize> = HashMap::new();
        for introduction in &attribution.introductions.all {
            let key = (introduction.commit, introduction.object, introduction.path.as_str());
            let wanted = (Wanted::Key(introduction.key), introduction.further);
            if let Some(group) = at.get(&key).and_then(|at| groups.get_mut(*at)) {
                group.wanted.push(wanted);
                continue;
            }
            let node = introduction.commit.and_then(|commit| attribution.commits.nodes.get(commit as usize));
            at.insert(key, groups.len());
            groups.push(Group {
                object: introduction.object,
                path: introduction.path.clone(),
                commit: node.map(|node| node.number),
                reach: node.map_or(Reach::Nothing, |node| node.reach),
                wanted: vec![wanted],
            });
        }
        for (object, keys) in &attribution.messages {
            let wanted = keys.iter().map(|key| (Wanted::Key(*key), 0)).collect();
            let group =
                Group { object: *object, path: String::new(), commit: None, reach: Reach::Nothing, wanted };
            groups.push(group);
        }
        groups.into_iter().try_for_each(|group| self.report_group(&group, sink))
    }

    /// Hands over once more what was reported before.
    pub(crate) fn report_places(&mut self, places: &[Place], sink: Sink<'_>) -> ControlFlow<()> {
        let number = |hex: &str| self.history.database.find(&ObjectId::from_hex(hex.as_bytes()).ok()?);
        let mut groups: Vec<Group> = Vec::new();
        let mut last: Option<&Place> = None;
        for place in places {
            let wanted = (Wanted::Index(place.finding), place.further);
            let is_same = |other: &Place| {
                (&other.object, &other.path, &other.commit) == (&place.object, &place.path, &place.commit)
            };
            if last.is_some_and(is_same)
                && let Some(group) = groups.last_mut()
            {
                group.wanted.push(wanted);
            } else if let Some(object) = number(&place.object) {
                groups.push(Group {
                    object,
                    path: place.path.clone(),
                    commit: number(&place.commit),
                    reach: Reach::numbered(place.reach),
                    wanted: vec![wanted],
                });
            }
            last = Some(place);
        }
        groups.into_iter().try_for_each(|group| self.report_group(&group, sink))
    }

    fn report_group(&mut self, group: &Group, sink: Sink<'_>) -> ControlFlow<()> {
        let mut commit = group.commit.and_then(|commit| self.commit(commit));
        let (found, message) = match self.look_again(group, commit.as_deref()) {
            Ok(looked) => looked,
            Err(error) => {
                self.statistics.skip(self.name(group.object), forest::reason(&error), error.to_string());
                return ControlFlow::Continue(());
            }
        };
        if message.is_some() {
            commit = message;
        }
        let keys: Vec<SecretKey> = found.iter().map(|located| SecretKey::of(&located.finding)).collect();
        let mut found: Vec<Option<Located>> = found.into_iter().map(Some).collect();
        for (wanted, further) in &group.wanted {
            let index = match wanted {
                Wanted::Index(index) => Some(*index),
                Wanted::Key(key) => keys.iter().position(|other| other == key),
            };
            let Some(index) = index else { continue };
            let Some(mut located) = found.get_mut(index).and_then(Option::take) else { continue };
            let same = keys.iter().skip(index + 1).filter(|key| Some(*key) == keys.get(index)).count() as u64;
            located.further = match wanted {
                Wanted::Index(_) => *further,
                Wanted::Key(_) => further + same,
            };
            located.link = self.link(group.commit.and(commit.as_deref()), &group.path, &located.finding);
            located.commit.clone_from(&commit);
            located.object = self.name(group.object);
            self.places.push(Place {
                object: located.object.clone(),
                path: group.path.clone(),
                commit: group.commit.map(|commit| self.name(commit)).unwrap_or_default(),
                reach: group.reach.number(),
                finding: index,
                further: located.further,
            });
            self.statistics.findings += 1;
            sink(located)?;
        }
        ControlFlow::Continue(())
    }

    /// All findings in an object, whatever it is; of a commit or tag, which is its own commit, in its message.
    fn look_again(
        &mut self,
        group: &Group,
        commit: Option<&Commit>,
    ) -> Result<(Vec<Located>, Option<Arc<Commit>>), ObjectError> {
        let history = self.history;
        let origin = match group.reach {
            Reach::Reference => Origin::History,
            Reach::Reflog => Origin::Reflog,
            Reach::Nothing => Origin::Unreachable,
        };
        let (kind, content) = match history.database.load(group.object, self.reader) {
            Ok(loaded) => loaded,
            Err(ObjectError::TooLarge(_)) => {
                let mut inspector = Inspector::new(history.detector, &history.options.content, origin);
                history.database.stream(group.object, self.reader, &mut |source| {
                    inspector.inspect_outermost(Opened::stream(source), group.path.clone());
                })?;
                return Ok((inspector.found, None));
            }
            Err(error) => return Err(error),
        };
        if matches!(kind, Kind::Blob | Kind::Tree) {
            let commit = commit.map(|commit| commit.id.as_str());
            let fragment = Fragment { commit, ..Fragment::whole(&content, &group.path) };
            return Ok((self.findings(&fragment, origin), None));
        }
        let id = history.database.id(group.object).ok_or(ObjectError::Missing)?;
        let (commit, origin) = match kind {
            Kind::Tag => (objects::tag(&id, &content), Origin::TagMessage),
            _ => (objects::commit(&id, &content), Origin::CommitMessage),
        };
        let (_, message) = objects::halves(&content);
        let fragment = Fragment { commit: Some(&commit.id), ..Fragment::whole(message, "") };
        let found = self.findings(&fragment, origin);
        Ok((found, Some(Arc::new(commit))))
    }

    /// All findings in a text, or if it is no plain text in what it holds.
    pub(crate) fn findings(&mut self, fragment: &Fragment<'_>, origin: Origin) -> Vec<Located> {
        let history = self.history;
        let located = |finding| Located::outside_git(finding, fragment.path.to_owned(), origin);
        if Class::of(fragment.text) == Class::Other {
            let mut inspector = Inspector::new(history.detector, &history.options.content, origin);
            let mut source = fragment.text;
            inspector.inspect_outermost(Opened::stream(&mut source), fragment.path.to_owned());
            // Rules for paths alone look at pictures and keystores too.
            let named = history.detector.scan(&Fragment { text: b"", ..*fragment }, &mut self.scratch);
            inspector.found.extend(named.into_iter().map(located));
            return inspector.found;
        }
        history.detector.scan(fragment, &mut self.scratch).into_iter().map(located).collect()
    }

    pub(crate) fn commit(&mut self, number: Number) -> Option<Arc<Commit>> {
        if let Some(commit) = self.commits.get(&number) {
            return Some(Arc::clone(commit));
        }
        let (_, content) = self.history.database.load(number, self.reader).ok()?;
        let commit = Arc::new(objects::commit(&self.history.database.id(number)?, &content));
        self.commits.insert(number, Arc::clone(&commit));
        Some(commit)
    }

    pub(crate) fn link(&self, commit: Option<&Commit>, path: &str, finding: &Finding) -> String {
        match (&self.web, commit) {
            (Some(web), Some(commit)) => web.line(&commit.id, path, &finding.place),
            _ => String::new(),
        }
    }

    fn name(&self, number: Number) -> String {
        self.history.database.id(number).map(|id| id.to_string()).unwrap_or_default()
    }
}
