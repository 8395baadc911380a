//! Purges a repository of what a file of replacements says, for measurements: `purge PATH FILE [--no-gc] [--dry-run]`.

use std::path::PathBuf;
use strongroom_scan::Watch;
use strongroom_scan::purge::{
    BinaryFiles, Force, Lines, Options, Plan, Replacements, purge, read_replacements,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (flags, words): (Vec<String>, Vec<String>) =
        arguments.into_iter().partition(|word| word.starts_with("--"));
    let has = |name: &str| flags.iter().any(|flag| flag == name);
    let path = PathBuf::from(words.first().ok_or("which repository?")?);
    let file = words.get(1).ok_or("which file of replacements?")?;
    let mut replacements = Replacements::default();
    read_replacements(&std::fs::read(file)?, file, Lines::Whole, &mut replacements)
        .map_err(|errors| format!("{errors:?}"))?;
    replacements.prepare();
    let mut plan = Plan { replacements, names: true, messages: true, ..Plan::default() };
    plan.content.binaries = BinaryFiles::LeftAlone;
    let options = Options {
        dry_run: has("--dry-run"),
        force: Force::Yes,
        threads: 2,
        name: "measured".to_owned(),
        backup: !has("--no-backup"),
        clean: !has("--no-gc"),
    };
    let report = purge(&path, &plan, &options, Watch::default())?;
    println!(
        "{} of {} commits, {} trees, {} blobs; {} objects before",
        report.commits_rewritten,
        report.commits,
        report.trees_rewritten,
        report.blobs_rewritten,
        report.objects
    );
    if let Some(proof) = report.proof {
        println!("{} objects left, {} hold something", proof.objects, proof.remaining_count);
    }
    Ok(())
}
