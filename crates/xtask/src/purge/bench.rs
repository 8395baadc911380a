//! How long a purge takes: the rewriting alone, and with everything around it, beside git-filter-repo and the BFG on the same
//! repositories with the same file, in one run.

use super::{Options, Programs, copy_repository, words_of};
use crate::outcome::Outcome;
use crate::tools;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One program on a copy of a repository.
struct Contender {
    name: &'static str,
    words: Vec<String>,
    samples: Vec<Sample>,
}

/// Seconds, and KiB of the largest resident set.
#[derive(Clone, Copy)]
struct Sample {
    wall: f64,
    cpu: f64,
    resident_kib: f64,
}

pub(super) fn run(programs: &Programs, options: &Options, home: &Path) -> Result<Outcome> {
    if options.repository.is_empty() {
        bail!("--bench wants --repository");
    }
    for repository in &options.repository {
        let original = home.join("original");
        copy_repository(repository, &original)?;
        tools::succeed(Command::new("git").current_dir(&original).args(["gc", "--quiet", "--prune=now"]))?;
        let text = match &options.replace_text {
            Some(file) => std::fs::read_to_string(file)?,
            None => words_of(&original)?,
        };
        let file = home.join("replacements.txt");
        std::fs::write(&file, text)?;
        let copy = home.join("copy");
        let mut contenders = contenders(programs, &copy, &file);
        for _ in 0..options.rounds.max(1) {
            for contender in &mut contenders {
                copy_files(&original, &copy)?;
                contender.samples.push(sample(contender, &copy)?);
            }
        }
        print!("{}", table(&repository.display().to_string(), &contenders));
        std::fs::remove_dir_all(&copy)?;
        std::fs::remove_dir_all(&original)?;
    }
    Ok(Outcome::of_check(true))
}

fn contenders(programs: &Programs, copy: &Path, file: &Path) -> Vec<Contender> {
    let (copy, file) = (copy.display().to_string(), file.display().to_string());
    let new = |name, words: Vec<String>| Contender { name, words, samples: Vec::new() };
    let ours = programs.ours.display().to_string();
    let purge = |more: &[&str]| {
        let words = [
            &[ours.as_str(), "purge", &copy, "--replace-text", &file, "--force", "--quiet", "--skip-binary"],
            more,
        ];
        words.concat().iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()
    };
    let shell = |script: String| vec!["sh".to_owned(), "-ec".to_owned(), script];
    let gc = "git reflog expire --expire=now --all && git gc --quiet --prune=now";
    let mut all = vec![
        new("strongroom, rewriting alone", purge(&["--no-gc"])),
        new("strongroom, with gc and proof", purge(&[])),
    ];
    if let Some(bfg) = &programs.bfg {
        let java = format!("java -jar '{}' --replace-text '{file}' --no-blob-protection .", bfg.display());
        all.push(new("BFG, rewriting alone", shell(java.clone())));
        all.push(new("BFG, with gc", shell(format!("{java} && {gc}"))));
    }
    if let Some(filter_repo) = &programs.filter_repo {
        let script = format!(
            "'{}' --replace-text '{file}' --replace-message '{file}' --force --quiet",
            filter_repo.display()
        );
        all.push(new("git-filter-repo (gc is part of it)", shell(script)));
    }
    all
}

/// A copy of the files, so that each program finds the same packs.
fn copy_files(from: &Path, to: &PathBuf) -> Result<()> {
    let _ = std::fs::remove_dir_all(to);
    tools::succeed(Command::new("cp").arg("-r").arg(from).arg(to))
}

fn sample(contender: &Contender, copy: &Path) -> Result<Sample> {
    let script = tools::root().join("crates/xtask/src/bench_scan/measure.py");
    let output = Command::new("python3").arg(script).args(&contender.words).current_dir(copy).output();
    let output = output.context("starting python3")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [wall, user, system, resident_kib, code] = figures[..] else { bail!("{}: {text}", contender.name) };
    // Seven: something is left, which the proof names.
    if code != 0.0 && code != 7.0 {
        bail!("{} ended with {code}", contender.name);
    }
    Ok(Sample { wall, cpu: user + system, resident_kib })
}

/// The best of each, and how many times what our rewriting alone takes.
fn table(name: &str, contenders: &[Contender]) -> String {
    let mut text = format!("{name:<44} {:>9} {:>9} {:>7} {:>7}\n", "wall s", "CPU s", "ratio", "MiB");
    let best = |contender: &Contender, figure: fn(&Sample) -> f64| {
        contender.samples.iter().map(figure).fold(f64::INFINITY, f64::min)
    };
    let ours = contenders.first().map_or(1.0, |ours| best(ours, |sample| sample.cpu));
    for contender in contenders {
        let cpu = best(contender, |sample| sample.cpu);
        text.push_str(&format!(
            "{:<44} {:>9.2} {cpu:>9.2} {:>7.1} {:>7.0}\n",
            contender.name,
            best(contender, |sample| sample.wall),
            cpu / ours,
            best(contender, |sample| sample.resident_kib) / 1024.0
        ));
    }
    text
}
