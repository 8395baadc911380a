//! Scans the files of a folder, for measuring and comparing: `scan_tree RULES.toml FOLDER [native|compatible] [quiet|report] [ROUNDS]`.
//! The report has a line of JSON for each finding, with the keys of gitleaks' reports.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::path::{Path, PathBuf};
use std::time::Instant;
use strongroom_detect::config::{self, Reading};
use strongroom_detect::{Detector, Fragment, Options, Scratch};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let word = |at: usize| arguments.get(at).map_or("", String::as_str);
    let text = std::fs::read_to_string(word(0)).expect("the first argument is a file of rules");
    let started = Instant::now();
    let loaded =
        config::read(&text, word(0), Reading::Trusted, &mut |_| Err("nothing to extend".into())).unwrap();
    let read = started.elapsed();
    let options = if word(2) == "compatible" { Options::compatible() } else { Options::native() };
    let detector = Detector::new(loaded.rules, options);
    eprintln!("rules read in {read:?}, detector ready after {:?}", started.elapsed());
    let mut paths = Vec::new();
    walk(Path::new(word(1)), &mut paths);
    let files: Vec<(String, Vec<u8>)> = paths
        .into_iter()
        .filter_map(|path| Some((path.to_str()?.to_owned(), std::fs::read(&path).ok()?)))
        .filter(|(_, text)| !text.iter().take(1000).any(|byte| *byte == 0))
        .collect();
    let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
    let mut scratch = Scratch::default();
    for round in 0..word(4).parse().unwrap_or(1) {
        let (before, started) = (processor_time(), Instant::now());
        let mut count = 0;
        for (path, text) in &files {
            for finding in detector.scan(&Fragment::whole(text, path), &mut scratch) {
                count += 1;
                if round == 0 && word(3) == "report" {
                    report(&detector, path, &finding);
                }
            }
        }
        let spent = processor_time() - before;
        let speed = bytes as f64 / spent / 1e6;
        eprintln!(
            "{} files, {bytes} bytes, {count} findings, {spent:.3} CPU-s, {speed:.0} MB/s, {:?}",
            files.len(),
            started.elapsed()
        );
    }
}

fn report(detector: &Detector, path: &str, finding: &strongroom_detect::Finding) {
    let place = finding.place;
    let text =
        |secret: &strongroom_secret::SecretBytes| String::from_utf8_lossy(secret.expose()).into_owned();
    let line = serde_json::json!({
        "RuleID": detector.rules().rules[finding.rule].id, "File": path, "StartLine": place.start_line, "EndLine": place.end_line,
        "StartColumn": place.start_column, "EndColumn": place.end_column, "Match": text(&finding.matched),
        "Secret": text(&finding.secret), "Entropy": finding.entropy as f32, "Tags": finding.tags,
    });
    println!("{line}");
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return paths.push(folder.to_owned()) };
    let mut entries: Vec<PathBuf> =
        entries.flatten().filter(|entry| entry.file_name() != ".git").map(|entry| entry.path()).collect();
    entries.sort();
    for path in entries {
        let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            walk(&path, paths);
        } else if kind.is_file() {
            paths.push(path);
        }
    }
}

/// Seconds that this thread had a processor.
fn processor_time() -> f64 {
    let status = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    status.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}
