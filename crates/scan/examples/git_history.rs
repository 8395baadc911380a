//! Scans a repository's history and says what it took: `git_history PATH [REVISION…]`, for measurements.

use std::ops::ControlFlow;
use strongroom_detect::{Detector, RuleSet};
use strongroom_scan::Watch;
use strongroom_scan::git::{GitOptions, scan_history};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("which repository?")?;
    let options = GitOptions { revisions: arguments.collect(), ..GitOptions::default() };
    let detector = Detector::new(RuleSet::default(), strongroom_detect::detector::Options::native());
    let statistics = scan_history(path.as_ref(), &detector, &options, Watch::default(), &mut |located| {
        println!(
            "{} {}:{} {:?}",
            located.commit_id(),
            located.path,
            located.finding.place.start_line,
            located.origin
        );
        ControlFlow::Continue(())
    })?;
    println!(
        "texts {} bytes {} looked at {} commits {} findings {} skipped {:?}",
        statistics.texts,
        statistics.bytes,
        statistics.bytes_looked_at,
        statistics.commits,
        statistics.findings,
        statistics.skipped_counts()
    );
    for skipped in statistics.skipped().iter().filter(|skipped| !skipped.what.is_empty()).take(20) {
        println!("{} {}: {}", skipped.reason, skipped.what, skipped.detail);
    }
    Ok(())
}
