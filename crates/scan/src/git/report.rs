use super::commits::Reach;
use super::database::{Number, Reader};
use super::history::{Attribution, History};
use super::link::WebAddress;
use super::objects;
use super::pack::Kind;
use super::sightings::{Introduction, SecretKey};
use crate::located::{Commit, Located, Origin, Sink, Statistics};
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use strongroom_detect::{Finding, Fragment, Scratch};

/// Looks again at what was found, now that path and commit are known, and hands it over.
pub(crate) struct Reporter<'a, 'b> {
    pub(crate) history: &'a History<'b>,
    pub(crate) reader: &'a mut Reader,
    pub(crate) statistics: &'a mut Statistics,
    pub(crate) scratch: Scratch,
    commits: HashMap<Number, Arc<Commit>>,
    web: Option<WebAddress>,
}

impl<'a, 'b> Reporter<'a, 'b> {
    pub(crate) fn new(
        history: &'a History<'b>,
        reader: &'a mut Reader,
        statistics: &'a mut Statistics,
    ) -> Self {
        let web = history.repository.remote.as_deref().and_then(WebAddress::of_remote);
        Self { history, reader, statistics, scratch: Scratch::default(), commits: HashMap::new(), web }
    }

    pub(crate) fn report(&mut self, attribution: &Attribution, sink: Sink<'_>) -> ControlFlow<()> {
        // What came in together is looked at together.
        let mut places: BTreeMap<(usize, Number, &str), Vec<&Introduction>> = BTreeMap::new();
        let mut order: HashMap<(Option<u32>, Number, &str), usize> = HashMap::new();
        for (at, introduction) in attribution.introductions.all.iter().enumerate() {
            let key = (introduction.commit, introduction.object, introduction.path.as_str());
            let at = *order.entry(key).or_insert(at);
            places.entry((at, introduction.object, &introduction.path)).or_default().push(introduction);
        }
        for ((_, object, path), introductions) in places {
            self.report_blob(attribution, object, path, &introductions, sink)?;
        }
        let mut messages: BTreeMap<Number, Vec<SecretKey>> = BTreeMap::new();
        for (number, key) in &attribution.messages {
            messages.entry(*number).or_default().push(*key);
        }
        for (number, keys) in messages {
            self.report_message(number, &keys, sink)?;
        }
        ControlFlow::Continue(())
    }

    fn report_blob(
        &mut self,
        attribution: &Attribution,
        object: Number,
        path: &str,
        introductions: &[&Introduction],
        sink: Sink<'_>,
    ) -> ControlFlow<()> {
        let node = introductions.first().and_then(|introduction| introduction.commit);
        let node = node.and_then(|commit| attribution.commits.nodes.get(commit as usize));
        let commit = node.and_then(|node| self.commit(node.number));
        let origin = match node.map(|node| node.reach) {
            Some(Reach::Reference) => Origin::History,
            Some(Reach::Reflog) => Origin::Reflog,
            Some(Reach::Nothing) | None => Origin::Unreachable,
        };
        let content = match self.history.database.load(object, self.reader) {
            Ok((_, content)) => content,
            Err(error) => {
                self.statistics.skip(self.name(object), super::forest::reason(&error), error.to_string());
                return ControlFlow::Continue(());
            }
        };
        let commit_id = commit.as_ref().map(|commit| commit.id.clone());
        let fragment = Fragment { commit: commit_id.as_deref(), ..Fragment::whole(&content, path) };
        let mut findings = self.history.detector.scan(&fragment, &mut self.scratch);
        for introduction in introductions {
            let Some((finding, further)) = pick(&mut findings, introduction.key) else { continue };
            let link = self.link(commit.as_deref(), path, &finding);
            let located = Located {
                finding,
                path: path.to_owned(),
                link_path: String::new(),
                origin,
                commit: commit.clone(),
                object: self.name(object),
                link,
                further: introduction.further + further,
            };
            self.statistics.findings += 1;
            sink(located)?;
        }
        ControlFlow::Continue(())
    }

    fn report_message(&mut self, number: Number, keys: &[SecretKey], sink: Sink<'_>) -> ControlFlow<()> {
        let Ok((kind, content)) = self.history.database.load(number, self.reader) else {
            return ControlFlow::Continue(());
        };
        let Some(id) = self.history.database.id(number) else { return ControlFlow::Continue(()) };
        let (commit, origin) = match kind {
            Kind::Tag => (objects::tag(&id, &content), Origin::TagMessage),
            _ => (objects::commit(&id, &content), Origin::CommitMessage),
        };
        let commit = Arc::new(commit);
        let (_, message) = objects::halves(&content);
        let fragment = Fragment { commit: Some(&commit.id), ..Fragment::whole(message, "") };
        let mut findings = self.history.detector.scan(&fragment, &mut self.scratch);
        for key in keys {
            let Some((finding, further)) = pick(&mut findings, *key) else { continue };
            let mut located = Located::outside_git(finding, String::new(), origin);
            located.commit = Some(Arc::clone(&commit));
            located.object = id.to_string();
            located.further = further;
            self.statistics.findings += 1;
            sink(located)?;
        }
        ControlFlow::Continue(())
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

/// Takes the first finding of a secret, and says how many more there are.
fn pick(findings: &mut Vec<Finding>, key: SecretKey) -> Option<(Finding, u64)> {
    let first = findings.iter().position(|finding| SecretKey::of(finding) == key)?;
    let finding = findings.remove(first);
    Some((finding, findings.iter().filter(|finding| SecretKey::of(finding) == key).count() as u64))
}
