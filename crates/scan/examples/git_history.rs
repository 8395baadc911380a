//! Scans a repository's history and says what it took, for measurements: `git_history RULES [--incremental=FILE] [--patches] PATH [REVISION…]`.
//! RULES is a file, or `builtin`.

use std::ops::ControlFlow;
use std::path::PathBuf;
use strongroom_detect::builtin;
use strongroom_detect::config::{self, Reading};
use strongroom_detect::{Detector, Options};
use strongroom_scan::git::{GitOptions, Incremental, Patches, scan_history, scan_patches};
use strongroom_scan::{Located, Watch};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).peekable();
    let rules = arguments.next().ok_or("which rules?")?;
    let loaded = match rules.as_str() {
        "builtin" => builtin::rules(),
        _ => {
            let text = std::fs::read_to_string(&rules)?;
            config::read(&text, &rules, Reading::Trusted, &mut |_| Err("not read".to_owned()))?.rules
        }
    };
    let incremental = arguments.next_if(|word| word.starts_with("--incremental=")).map(|word| Incremental {
        file: PathBuf::from(word.trim_start_matches("--incremental=")),
        fingerprint: rules.clone(),
    });
    let patches = arguments.next_if_eq("--patches").is_some();
    let path = arguments.next().ok_or("which repository?")?;
    let options = GitOptions { revisions: arguments.collect(), incremental, ..GitOptions::default() };
    let detector = Detector::new(loaded, if patches { Options::compatible() } else { Options::native() });
    let mut print = |located: Located| {
        let rule =
            detector.rules().rule(located.finding.rule).map(|rule| rule.id.as_str()).unwrap_or_default();
        println!("{} {:?} further {}", located.fingerprint(rule), located.origin, located.further);
        ControlFlow::Continue(())
    };
    let statistics = match patches {
        true => scan_patches(path.as_ref(), &Patches::Log, 2, &detector, Watch::default(), &mut print)?,
        false => scan_history(path.as_ref(), &detector, &options, Watch::default(), &mut print)?,
    };
    println!(
        "texts {} bytes {} looked at {} commits {} findings {} known {} skipped {:?}",
        statistics.texts,
        statistics.bytes,
        statistics.bytes_looked_at,
        statistics.commits,
        statistics.findings,
        statistics.known_before,
        statistics.skipped_counts()
    );
    for skipped in statistics.skipped().iter().take(20) {
        println!("{} {}: {}", skipped.reason, skipped.what, skipped.detail);
    }
    Ok(())
}
