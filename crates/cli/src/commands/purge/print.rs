//! What a purge did, for people and for programs.

use serde_json::{Value, json};
use std::fmt::Write;
use strongroom_scan::purge::{Options, Proof, Report};

const SHOWN_MAX: usize = 20;
/// References that hosts make, and that nobody can push to.
const OF_HOSTS: [&str; 5] =
    ["refs/pull/", "refs/merge-requests/", "refs/pull-requests/", "refs/changes/", "refs/pipelines/"];

/// Whether a host keeps a reference for itself.
fn is_of_host(name: &str) -> bool {
    OF_HOSTS.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a reference is pushed: not what was fetched, and not what is of this repository alone.
fn is_pushed(name: &str) -> bool {
    let own = ["refs/remotes/", "refs/stash", "refs/strongroom/", "refs/prefetch/"];
    name.starts_with("refs/") && !is_of_host(name) && !own.iter().any(|prefix| name.starts_with(prefix))
}

pub fn text(report: &Report, options: &Options) -> String {
    let mut text = String::new();
    if report.changes_nothing() {
        nothing(report, &mut text);
    } else {
        changed(report, options, &mut text);
    }
    if let Some(proof) = &report.proof {
        proven(proof, &mut text);
    }
    if !options.dry_run && !report.changes_nothing() {
        afterwards(report, &mut text);
    }
    text
}

fn nothing(report: &Report, text: &mut String) {
    let left = !report.protected.is_empty() || report.binaries_left > 0;
    let _ = match report.holders {
        0 => {
            writeln!(text, "Nothing of it is in any of the {} objects: nothing was changed.", report.objects)
        }
        holders if left => writeln!(text, "{holders} objects hold it; nothing of them was to be changed."),
        holders => {
            writeln!(text, "Nothing that references lead to was to be changed; {holders} objects held it.")
        }
    };
    losses(report, text);
    protected(report, text);
}

fn changed(report: &Report, options: &Options, text: &mut String) {
    let would = if options.dry_run { " would be" } else { "" };
    let _ = writeln!(
        text,
        "{} of {} commits{would} rewritten: {} versions of files, {} folders, {} messages, {} ids in messages.",
        report.commits_rewritten,
        report.commits,
        report.blobs_rewritten,
        report.trees_rewritten,
        report.messages_rewritten,
        report.ids_in_messages
    );
    for (name, count) in report.replaced.iter().filter(|(_, count)| *count > 0).take(SHOWN_MAX) {
        let _ = writeln!(text, "  {name}: {count} times");
    }
    let missing =
        report.replaced.iter().filter(|(name, count)| *count == 0 && !name.contains(", as ")).count();
    if missing > 0 {
        let _ = writeln!(text, "  {missing} entries were found nowhere");
    }
    let _ = writeln!(text, "Paths:");
    for (path, touched) in report.paths.iter().take(SHOWN_MAX) {
        let _ = match (touched.rewritten, touched.removed) {
            (rewritten, 0) => writeln!(text, "  {path}: {rewritten} versions rewritten"),
            (0, removed) => writeln!(text, "  {path}: taken out of {removed} folders' versions"),
            (rewritten, removed) => {
                writeln!(text, "  {path}: {rewritten} versions rewritten, taken out {removed} times")
            }
        };
    }
    more(report.paths.len(), text);
    losses(report, text);
    for sample in &report.samples {
        let short = sample.blob.get(..10).unwrap_or_default();
        let _ = writeln!(
            text,
            "{}:{} ({short})\n- {}\n+ {}",
            sample.path, sample.line, sample.before, sample.after
        );
    }
    protected(report, text);
    if options.dry_run {
        let _ = writeln!(text, "Nothing was changed.");
    }
}

fn more(count: usize, text: &mut String) {
    if count > SHOWN_MAX {
        let _ = writeln!(text, "  and {} more (--json has all of them)", count - SHOWN_MAX);
    }
}

fn losses(report: &Report, text: &mut String) {
    let mut line = |count: u64, what: &str| {
        if count > 0 {
            let _ = writeln!(text, "{count} {what}");
        }
    };
    line(report.signatures_dropped, "commits lose their signature: it was of what they were before");
    line(report.tags_rewritten, "annotated tags are rewritten");
    line(report.tag_signatures_dropped, "tags lose their signature");
    line(report.notes_renamed, "notes follow the commits that they are about");
    line(report.names_changed, "names of files or folders are changed");
    line(report.binaries_left, "binary files hold something and are left as they are");
    line(
        report.lfs_objects.len() as u64,
        "objects of git-lfs lose their pointer, and stay in lfs/objects and on the server:",
    );
    for object in report.lfs_objects.iter().take(SHOWN_MAX) {
        let _ = writeln!(text, "  {object}");
    }
}

fn protected(report: &Report, text: &mut String) {
    if !report.protected.is_empty() {
        let count = report.protected.len();
        let _ = writeln!(text, "{count} protected files hold something and stay as they are:");
        report.protected.iter().take(SHOWN_MAX).for_each(|id| {
            let _ = writeln!(text, "  {id}");
        });
    }
}

fn proven(proof: &Proof, text: &mut String) {
    if proof.holds() {
        let _ =
            writeln!(text, "Proven: none of the {} objects that are left holds any of it.", proof.objects);
        return;
    }
    let _ = writeln!(text, "NOT CLEAN: {} places still hold it:", proof.remaining_count);
    for remaining in proof.remaining.iter().take(SHOWN_MAX) {
        let place =
            if remaining.place.is_empty() { String::new() } else { format!(" ({})", remaining.place) };
        let _ = writeln!(text, "  {} {}: {}{place}", remaining.kind, remaining.id, remaining.what.join(", "));
    }
    for unreadable in proof.unreadable.iter().take(SHOWN_MAX) {
        let _ = writeln!(text, "  not readable: {unreadable}");
    }
}

/// What a purge on one machine cannot do.
fn afterwards(report: &Report, text: &mut String) {
    let pushed: Vec<&str> =
        report.references.iter().map(|moved| moved.name.as_str()).filter(|name| is_pushed(name)).collect();
    let of_hosts = report.references.iter().filter(|moved| is_of_host(&moved.name)).count();
    let _ = writeln!(text, "\nWhat is left to do:");
    if !pushed.is_empty() {
        let _ = writeln!(
            text,
            "* Push what moved, with force, before anybody fetches ({} references):",
            pushed.len()
        );
        let _ = writeln!(text, "    git push --force origin {}", names(&pushed));
    }
    let host = report.remote.as_deref().unwrap_or("The host");
    let stay = match of_hosts {
        0 => String::new(),
        _ => format!("; {of_hosts} of them were rewritten here and stay there as they are"),
    };
    let _ = writeln!(
        text,
        "* {host}: pull requests keep their old commits (refs/pull, refs/merge-requests), and nobody can push to them{stay}.\n  \
         Views of old commits stay in its caches. Ask its support to remove both, and name the old ids."
    );
    let _ = writeln!(
        text,
        "* Forks and other clones have the old history. Everybody has to clone again, or to rebase what they have."
    );
    let _ = writeln!(text, "* What was out is known to whoever saw it: change the secret.");
    if let Some(map) = &report.map {
        let _ = writeln!(text, "Old and new ids: {}", map.display());
    }
    if let Some(backup) = &report.backup {
        let _ = writeln!(
            text,
            "The backup holds what was purged: {}\n  strongroom purge --undo goes back to it; strongroom purge --remove-backups removes it.",
            backup.display()
        );
    }
}

fn names(pushed: &[&str]) -> String {
    let shown: Vec<&str> = pushed.iter().copied().take(SHOWN_MAX).collect();
    let more = if pushed.len() > SHOWN_MAX { " …" } else { "" };
    format!("{}{more}", shown.join(" "))
}

pub fn json(report: &Report, options: &Options) -> Value {
    let proof = report.proof.as_ref().map(|proof| {
        let remaining: Vec<Value> = proof
            .remaining
            .iter()
            .map(|one| json!({"kind": one.kind, "id": one.id, "what": one.what, "place": one.place}))
            .collect();
        json!({
            "holds": proof.holds(),
            "objects": proof.objects,
            "remaining": remaining,
            "remaining_count": proof.remaining_count,
            "unreadable": proof.unreadable,
        })
    });
    let references: Vec<Value> = report
        .references
        .iter()
        .map(|moved| {
            json!({"name": moved.name, "old": moved.old, "new": moved.new, "push": is_pushed(&moved.name), "of_host": is_of_host(&moved.name)})
        })
        .collect();
    let paths: serde_json::Map<String, Value> = report
        .paths
        .iter()
        .map(|(path, touched)| {
            (path.clone(), json!({"rewritten": touched.rewritten, "removed": touched.removed}))
        })
        .collect();
    let samples: Vec<Value> = report
        .samples
        .iter()
        .map(|one| json!({"path": one.path, "blob": one.blob, "line": one.line, "before": one.before, "after": one.after}))
        .collect();
    json!({
        "version": 1,
        "dry_run": options.dry_run,
        "git_dir": report.git_dir,
        "objects": report.objects,
        "holders": report.holders,
        "commits": report.commits,
        "commits_rewritten": report.commits_rewritten,
        "first_commit": report.first_commit,
        "blobs_rewritten": report.blobs_rewritten,
        "trees_rewritten": report.trees_rewritten,
        "messages_rewritten": report.messages_rewritten,
        "ids_in_messages": report.ids_in_messages,
        "names_changed": report.names_changed,
        "signatures_dropped": report.signatures_dropped,
        "tags_rewritten": report.tags_rewritten,
        "tag_signatures_dropped": report.tag_signatures_dropped,
        "notes_renamed": report.notes_renamed,
        "binaries_left": report.binaries_left,
        "replaced": report.replaced.iter().map(|(name, count)| json!({"entry": name, "count": count})).collect::<Vec<_>>(),
        "paths": paths,
        "samples": samples,
        "protected": report.protected,
        "references": references,
        "lfs_objects": report.lfs_objects,
        "backup": report.backup,
        "map": report.map,
        "unreadable": report.unreadable,
        "proof": proof,
    })
}
