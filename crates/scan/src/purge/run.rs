//! One purge, from the look at everything to the proof.

use super::carry;
use super::cleaning::{self, Packing};
use super::commits::Committer;
use super::error::Error;
use super::files::{self, OnePurge};
use super::find::{Found, Search, on_threads};
use super::graph::{Graph, Index};
use super::kept::Kept;
use super::pack_writer::Output;
use super::preflight::{self, Force};
use super::proof::{Proof, prove};
use super::references::{Moved, References};
use super::rewriting::{Outcome, Plan, Rewriting, Tally, Targets, Touched, locked};
use super::sample::Sample;
use super::settle::{self, Stash};
use super::trees::Worker;
use super::{backup, notes, protection};
use crate::git::database::{Database, Number};
use crate::git::forest::Wanted;
use crate::git::objects;
use crate::git::repository::{ObjectDirectories, Repository};
use crate::located::{Statistics, Watch};
use gix_hash::ObjectId;
use gix_object::Kind;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How a purge is carried out.
#[derive(Debug, Clone)]
pub struct Options {
    /// Nothing is changed, and what would be is said.
    pub dry_run: bool,
    pub force: Force,
    pub threads: usize,
    /// The folder for what this run writes, below `strongroom/purge` in the git folder: a time mostly.
    pub name: String,
    /// The state before is kept beside the repository.
    pub backup: bool,
    /// Old objects are removed (`git gc`), and everything is looked at afterwards.
    pub clean: bool,
}

/// What a purge did, or would do.
#[derive(Debug, Default, Clone)]
pub struct Report {
    pub git_dir: PathBuf,
    pub remote: Option<String>,
    pub objects: u64,
    /// Objects that hold something, reachable or not: blobs, trees, commits, tags.
    pub holders: u64,
    pub commits: u64,
    pub commits_rewritten: u64,
    pub messages_rewritten: u64,
    /// Ids within messages that were replaced by new ones.
    pub ids_in_messages: u64,
    pub signatures_dropped: u64,
    pub tags_rewritten: u64,
    pub tag_signatures_dropped: u64,
    pub notes_renamed: u64,
    pub blobs_rewritten: u64,
    pub trees_rewritten: u64,
    pub names_changed: u64,
    pub binaries_left: u64,
    /// How often each entry was replaced.
    pub replaced: Vec<(String, u64)>,
    pub paths: BTreeMap<String, Touched>,
    pub samples: Vec<Sample>,
    /// Files of HEAD, or of other protected revisions, that hold something and were left as they are.
    pub protected: Vec<String>,
    pub references: Vec<Moved>,
    /// Objects of git-lfs whose pointers are gone: they stay in `lfs/objects` and on the server.
    pub lfs_objects: Vec<String>,
    pub submodules_kept: bool,
    pub first_commit: Option<String>,
    pub backup: Option<PathBuf>,
    /// Old and new ids.
    pub map: Option<PathBuf>,
    /// Nothing if the look afterwards was not wanted.
    pub proof: Option<Proof>,
    /// Objects that could not be read, with a reason.
    pub unreadable: Vec<String>,
}

impl Report {
    pub fn changes_nothing(&self) -> bool {
        self.commits_rewritten == 0 && self.references.is_empty() && self.tags_rewritten == 0
    }
}

/// Purges the repository that `path` is in.
pub fn purge(path: &Path, plan: &Plan, options: &Options, watch: Watch<'_>) -> Result<Report, Error> {
    let mut statistics = Statistics::default();
    let repository = Repository::discover(path, &ObjectDirectories::default(), &mut statistics)?;
    check_plan(plan, options)?;
    preflight::check_readable(&repository, options.force)?;
    let _one = if options.dry_run { None } else { Some(OnePurge::begin(&repository.common_dir)?) };
    if !options.dry_run {
        settle::resume_check_out(&repository)?;
        cleaning::resume(&repository)?;
        preflight::check_changeable(&repository)?;
    }
    let database = Database::open(&repository, &mut statistics);
    let references = References::read(&repository)?;
    let stash = Stash::read(&repository)?;
    let mut found = look(&database, plan, options, watch);
    if watch.is_cancelled() {
        return Err(Error::Cancelled);
    }
    statistics.add(std::mem::take(&mut found.statistics));
    let mut report = Report {
        git_dir: repository.common_dir.clone(),
        remote: repository.remote.clone(),
        objects: u64::from(database.count()),
        holders: found.holders.len() as u64,
        submodules_kept: true,
        ..Report::default()
    };
    report.unreadable =
        statistics.skipped().iter().map(|skipped| format!("{}: {}", skipped.what, skipped.detail)).collect();
    check_read(&report, options)?;
    let packing = packing(&repository, &database, &report, options);
    let lock = match packing {
        Packing::Ours => Some(files::PackingLock::take(&repository.common_dir)?),
        Packing::Gits | Packing::None => None,
    };
    let run = Run {
        repository: &repository,
        database: &database,
        plan,
        options,
        watch,
        references,
        stash,
        packing,
    };
    let rewritten = run.rewrite(found, &mut report)?;
    if report.holders > 0 || !report.changes_nothing() {
        watch.tell("packing", 0, 0);
        match packing {
            Packing::Ours => cleaning::remove_old(&repository, &database, rewritten.pack.as_deref()),
            Packing::Gits => cleaning::collect(&repository),
            Packing::None => Ok(()),
        }
        .map_err(Error::after_moving("the removal of what is old"))?;
    }
    drop((database, lock));
    if options.clean && !options.dry_run {
        watch.tell("proof", 0, 0);
        let proof = prove(&repository, &plan.replacements, &rewritten.gone, options.threads, watch);
        report.proof = Some(proof.map_err(Error::after_moving("the look at what is left"))?);
    }
    Ok(report)
}

/// What could not be read may hold what is to be purged.
fn check_read(report: &Report, options: &Options) -> Result<(), Error> {
    match report.unreadable.first() {
        Some(first) if options.force == Force::No => Err(Error::unless_forced(
            format!(
                "{} objects cannot be read, and may hold what is to be purged; the first: {first}",
                report.unreadable.len()
            ),
            "git fsck --full says more; --force goes on without them",
        )),
        _ => Ok(()),
    }
}

fn packing(repository: &Repository, database: &Database, report: &Report, options: &Options) -> Packing {
    if options.dry_run || !options.clean {
        return Packing::None;
    }
    let is_ours = report.unreadable.is_empty() && cleaning::is_plain(repository, database);
    if is_ours { Packing::Ours } else { Packing::Gits }
}

fn check_plan(plan: &Plan, options: &Options) -> Result<(), Error> {
    if plan.replacements.is_empty() && plan.removals.is_empty() {
        return Err(Error::refused("nothing was named that is to be purged", ""));
    }
    let weak = plan.replacements.sources().iter().find_map(|source| Some((source, source.weakness?)));
    match weak {
        Some((source, weakness)) if options.force == Force::No => Err(Error::unless_forced(
            format!("{} {}: it would be replaced wherever it stands by chance", source.name, weakness.text()),
            "see with --dry-run --force what it hits; --force replaces it",
        )),
        _ => Ok(()),
    }
}

fn look(database: &Database, plan: &Plan, options: &Options, watch: Watch<'_>) -> Found {
    let blobs = !plan.replacements.is_empty() || plan.removals.larger_than.is_some();
    let search = Search {
        database,
        replacements: &plan.replacements,
        larger_than: plan.removals.larger_than,
        wanted: Wanted { blobs, messages: true, trees: false },
        commits: true,
        watch,
        counted: "objects",
    };
    search.run(options.threads)
}

struct Run<'a> {
    repository: &'a Repository,
    database: &'a Database,
    plan: &'a Plan,
    options: &'a Options,
    watch: Watch<'a>,
    references: References,
    stash: Stash,
    packing: Packing,
}

/// What a rewriting led to.
struct Rewritten {
    /// The blobs that should be gone, with a path that they had.
    gone: HashMap<ObjectId, Vec<u8>>,
    pack: Option<PathBuf>,
}

/// Notes are rewritten after what they are about.
const NOTES: &[u8] = b"refs/notes/";

impl Run<'_> {
    /// Rewrites what is reachable and moves references.
    fn rewrite(&self, found: Found, report: &mut Report) -> Result<Rewritten, Error> {
        let objects = self.repository.common_dir.join("objects");
        let hash = self.repository.hash;
        let output = if self.options.dry_run {
            Output::nowhere(hash, &objects)
        } else {
            Output::begin(&objects, hash)?
        };
        let holders: HashSet<Number> = found.holders.iter().map(|(number, _)| *number).collect();
        let mut rewriting = Rewriting::new(self.database, self.plan, self.targets(&found), &output);
        rewriting.samples = self.options.dry_run;
        rewriting.kept = (self.packing == Packing::Ours).then(|| Kept::new(self.database.count()));
        let graph = Graph::new(found.commits, self.database);
        rewriting.protected =
            protection::protected(&self.plan.protected, &self.references, self.repository, self.database)?;
        report.protected = protection::told(&rewriting);
        let (tips, notes) = self.tips(&graph)?;
        let order = graph.order(&tips);
        let mut tally = self.rewrite_trees(&rewriting, &graph, &graph.by_lines(&tips))?;
        let mut worker = Worker::new(&rewriting);
        let mut committer = Committer::new(&rewriting, &graph, &holders);
        committer.commits(&order, self.watch, &mut |tree| settled(&rewriting, &mut worker, tree))?;
        report.first_commit =
            order.iter().find_map(|index| committer.changed(*index)).map(|id| id.to_string());
        let known: HashSet<Index> = order.into_iter().collect();
        let notes: Vec<Index> =
            graph.order(&notes).into_iter().filter(|index| !known.contains(index)).collect();
        report.notes_renamed = notes::rewrite(&mut committer, &notes, &rewriting, &mut worker, self.watch)?;
        let moved = self.moved(&mut committer, &mut worker)?;
        tally.add(std::mem::take(&mut worker.tally));
        drop(worker);
        report.references = self.references.moved(&moved);
        self.tell(report, &tally, &committer);
        let map = committer.map();
        let stash = self.stash.moved(&map);
        drop(committer);
        let kept = rewriting.kept.take();
        drop(rewriting);
        let mut rewritten = Rewritten { gone: tally.gone, pack: None };
        if !self.options.dry_run && (report.holders > 0 || !report.changes_nothing()) {
            if let Some(kept) = &kept {
                if !kept.is_whole() {
                    return Err(Error::refused(
                        "objects are missing that references lead to: what is old could not be removed",
                        "git fsck --full names them: fetch them from another clone; or rewrite without removing, with --no-gc",
                    ));
                }
                carry::carry_over(self.database, kept, &output, self.watch)?;
            }
            rewritten.pack = self.change(output, &moved, &stash, &map, report)?;
        }
        Ok(rewritten)
    }

    /// The blobs that are meant, by what was found.
    fn targets(&self, found: &Found) -> Targets {
        let mut targets = Targets::new();
        for (number, kind) in &found.holders {
            if *kind == Kind::Blob
                && let Some(id) = self.database.id(*number)
            {
                targets.entry(id, *number).holder = true;
            }
        }
        for (number, _) in &found.large {
            if let Some(id) = self.database.id(*number) {
                targets.entry(id, *number).stripped = true;
            }
        }
        for id in &self.plan.removals.blobs {
            if let Some(number) = self.database.find(id) {
                targets.entry(*id, number).stripped = true;
            }
        }
        targets
    }

    /// The commits that references lead to, and those that only notes do.
    fn tips(&self, graph: &Graph) -> Result<(Vec<Index>, Vec<Index>), Error> {
        let (mut tips, mut notes) = (Vec::new(), Vec::new());
        let detached = self.references.detached.values().chain(self.stash.tips());
        let grafts = settle::graft_ids(self.repository);
        for (name, id) in &self.references.ids {
            let Some(index) = self.commit_of(id, graph) else { continue };
            if name.starts_with(NOTES) { notes.push(index) } else { tips.push(index) }
        }
        tips.extend(detached.chain(&grafts).filter_map(|id| self.commit_of(id, graph)));
        Ok((tips, notes))
    }

    /// The commit that an object is, or a tag of.
    fn commit_of(&self, id: &ObjectId, graph: &Graph) -> Option<Index> {
        const TAGS_MAX: usize = 16;
        let mut id = *id;
        let mut reader = None;
        for _ in 0..TAGS_MAX {
            if let Some(index) = graph.index_of(&id) {
                return Some(index);
            }
            let reader = reader
                .get_or_insert_with(|| crate::git::database::Reader::new(super::find::OBJECT_BYTES_MAX));
            let (kind, content) = self.database.load_id(&id, reader).ok()?;
            id = objects::tagged(&content, self.database.hash).filter(|_| kind == Kind::Tag)?;
        }
        None
    }

    /// Rewrites the trees of all commits, the newest first: packs hold those whole, and the older ones as deltas to them.
    fn rewrite_trees(
        &self,
        rewriting: &Rewriting<'_>,
        graph: &Graph,
        lines: &[Index],
    ) -> Result<Tally, Error> {
        const AT_ONCE: usize = 256;
        let all = Mutex::new((Tally::default(), None));
        if !rewriting.reads_trees() {
            return Ok(Tally::default());
        }
        let next = AtomicUsize::new(0);
        let total = lines.len() as u64;
        on_threads(self.options.threads, &|| {
            let mut worker = Worker::new(rewriting);
            loop {
                let from = next.fetch_add(AT_ONCE, Ordering::Relaxed);
                let rest = lines.get(from..).unwrap_or_default();
                let chunk = rest.get(..AT_ONCE).unwrap_or(rest);
                if chunk.is_empty() || locked(&all).1.is_some() || self.watch.is_cancelled() {
                    break;
                }
                self.watch.tell("trees of commits", from as u64, total);
                for index in chunk {
                    let Some(commit) = graph.list.commits.get(*index as usize) else { continue };
                    if let Err(error) = worker.root(&commit.tree) {
                        locked(&all).1.get_or_insert(error);
                        return;
                    }
                }
            }
            locked(&all).0.add(worker.tally);
        });
        let (tally, error) = all.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        match error {
            Some(error) => Err(error),
            None if self.watch.is_cancelled() => Err(Error::Cancelled),
            None => Ok(tally),
        }
    }

    /// All references as they will be.
    fn moved(&self, committer: &mut Committer<'_>, worker: &mut Worker<'_>) -> Result<References, Error> {
        const REPLACE: &[u8] = b"refs/replace/";
        let mut moved = self.references.clone();
        moved.ids.clear();
        for (name, id) in &self.references.ids {
            let id = match committer.object(id, worker)? {
                Outcome::Same => *id,
                Outcome::New(new) => new,
                Outcome::Gone => continue,
            };
            // What replaces an object is named by that object's id.
            let replaced = name.strip_prefix(REPLACE).and_then(|hex| ObjectId::from_hex(hex).ok());
            let name = match replaced {
                Some(old) => match committer.object(&old, worker)? {
                    Outcome::Same => name.clone(),
                    Outcome::New(new) => [REPLACE, new.to_string().as_bytes()].concat(),
                    Outcome::Gone => continue,
                },
                None => name.clone(),
            };
            moved.ids.insert(name, id);
        }
        for id in moved.detached.values_mut() {
            if let Outcome::New(new) = committer.object(id, worker)? {
                *id = new;
            }
        }
        Ok(moved)
    }

    fn tell(&self, report: &mut Report, tally: &Tally, committer: &Committer<'_>) {
        let summary = &committer.rewritten.summary;
        report.commits = summary.commits;
        report.commits_rewritten = summary.commits_rewritten;
        report.messages_rewritten = summary.messages;
        report.ids_in_messages = summary.mentions;
        report.signatures_dropped = summary.signatures;
        report.tags_rewritten = summary.tags_rewritten;
        report.tag_signatures_dropped = summary.tag_signatures;
        report.blobs_rewritten = tally.blobs;
        report.trees_rewritten = tally.trees;
        report.names_changed = tally.names;
        report.binaries_left = tally.binaries_left;
        let count = |at: usize| {
            tally.counts.get(at).copied().unwrap_or(0) + summary.counts.get(at).copied().unwrap_or(0)
        };
        let sources = self.plan.replacements.sources().iter().enumerate();
        report.replaced = sources.map(|(at, source)| (source.name.clone(), count(at))).collect();
        let text =
            |path: &Vec<u8>| String::from_utf8_lossy(&self.plan.replacements.covered(path)).into_owned();
        report.paths = tally.touched.iter().map(|(path, touched)| (text(path), touched.clone())).collect();
        report.samples = tally.samples.clone();
        report.samples.truncate(super::sample::SAMPLES_MAX);
        report.lfs_objects = tally.lfs.iter().cloned().collect();
        report.lfs_objects.sort();
    }

    /// Changes the repository: nothing before this did. Answers with the new pack.
    fn change(
        &self,
        output: Output,
        moved: &References,
        stash: &Stash,
        map: &settle::Map,
        report: &mut Report,
    ) -> Result<Option<PathBuf>, Error> {
        let run = backup::runs(&self.repository.common_dir).join(&self.options.name);
        let pack;
        if report.changes_nothing() {
            pack = output.finish()?;
        } else {
            if self.options.backup {
                let stash: Vec<ObjectId> = self.stash.tips().copied().collect();
                report.backup = Some(backup::make(self.repository, &self.references, &stash, &run)?);
            }
            report.map = Some(write_maps(&run, map, &report.references)?);
            settle::widen_boundaries(self.repository, map)?;
            pack = output.finish()?;
            settle::begin_check_out(self.repository)?;
            self.watch.tell("references", 0, 0);
            let mut peel = |id: &ObjectId| peeled(self.database, map, id);
            self.references.replace_by(moved, self.repository, &mut peel)?;
            settle::narrow_boundaries(self.repository, map)
                .map_err(Error::after_moving("the writing of boundaries"))?;
        }
        settle::forget(self.repository, stash).map_err(Error::after_moving("the emptying of reflogs"))?;
        settle::end_check_out(self.repository).map_err(Error::after_moving("the check-out"))?;
        Ok(pack)
    }
}

/// What became of the tree of a commit. All were rewritten before; what is kept by path is quickly found again.
fn settled(rewriting: &Rewriting<'_>, worker: &mut Worker<'_>, tree: &ObjectId) -> Result<Outcome, Error> {
    if !rewriting.reads_trees() {
        return Ok(Outcome::Same);
    }
    worker.root(tree)
}

/// What a tag is of in the end, old or new; nothing for what is no tag.
fn peeled(database: &Database, map: &[(ObjectId, Option<ObjectId>)], id: &ObjectId) -> Option<ObjectId> {
    const TAGS_MAX: usize = 16;
    let old_of =
        |new: &ObjectId| map.iter().find(|(_, other)| other.as_ref() == Some(new)).map(|(old, _)| *old);
    let new_of = |old: &ObjectId| {
        let at = map.binary_search_by(|(other, _)| other.cmp(old)).ok()?;
        map.get(at).and_then(|(_, new)| *new)
    };
    // New tags are in the new pack; what they are of is what became of the old ones' target.
    let mut current = if database.find(id).is_some() { *id } else { old_of(id)? };
    let mut reader = crate::git::database::Reader::new(super::find::OBJECT_BYTES_MAX);
    for depth in 0..TAGS_MAX {
        let number = database.find(&current)?;
        let (kind, content) = database.load(number, &mut reader).ok()?;
        if kind != Kind::Tag {
            return (depth > 0).then(|| new_of(&current).unwrap_or(current));
        }
        current = objects::tagged(&content, database.hash)?;
    }
    None
}

/// git-filter-repo's files: `old new` a line, with zeros for what is gone.
fn write_maps(
    run: &Path,
    map: &[(ObjectId, Option<ObjectId>)],
    references: &[Moved],
) -> Result<PathBuf, Error> {
    std::fs::create_dir_all(run).map_err(|source| Error::write(run, source))?;
    let zeros = map.first().map(|(old, _)| "0".repeat(old.to_string().len())).unwrap_or_default();
    let width = zeros.len().max(3);
    let mut text = format!("{:width$} new\n", "old");
    for (old, new) in map {
        let new = new.map_or_else(|| zeros.clone(), |new| new.to_string());
        text.push_str(&format!("{old} {new}\n"));
    }
    let file = run.join("commit-map");
    files::replace(&file, text.as_bytes())?;
    let mut text = format!("{:width$} {:width$} ref\n", "old", "new");
    for moved in references {
        let new = moved.new.as_deref().unwrap_or(&zeros);
        text.push_str(&format!("{} {new} {}\n", moved.old, moved.name));
    }
    files::replace(&run.join("ref-map"), text.as_bytes())?;
    Ok(file)
}
