use crate::located::{Located, SkipReason, Statistics};
use std::collections::BTreeMap;
use std::fmt;
use strongroom_detect::RuleSet;

/// What a scan came to, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    pub findings: u64,
    /// By rule, the most frequent first.
    pub by_rule: Vec<(String, u64)>,
    pub texts: u64,
    pub bytes: u64,
    pub commits: u64,
    /// What was not looked at and should perhaps have been, by reason. Links, allowed paths and binary files are as
    /// expected, and counted apart.
    pub left_out: BTreeMap<&'static str, u64>,
    pub passed_over: BTreeMap<&'static str, u64>,
    pub ended_early: bool,
}

/// How a scan ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Clean,
    /// There are findings, but no more than are put up with.
    Tolerated,
    Found,
}

impl Summary {
    pub fn new(findings: &[Located], rules: &RuleSet, statistics: &Statistics) -> Self {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for located in findings {
            let id = rules.rule(located.finding.rule).map_or("", |rule| rule.id.as_str());
            *counts.entry(id).or_default() += 1;
        }
        let mut by_rule: Vec<(String, u64)> =
            counts.into_iter().map(|(id, count)| (id.to_owned(), count)).collect();
        by_rule.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        let mut summary = Self {
            findings: findings.len() as u64,
            by_rule,
            texts: statistics.texts,
            bytes: statistics.bytes,
            commits: statistics.commits,
            ended_early: statistics.ended_early,
            ..Self::default()
        };
        for (reason, count) in statistics.skipped_counts() {
            let counts = if is_expected(*reason) { &mut summary.passed_over } else { &mut summary.left_out };
            counts.insert(reason.word(), *count);
        }
        summary
    }

    /// `tolerated`: so many findings do not make a scan fail (`--max-findings`).
    pub fn exit(&self, tolerated: u64) -> Exit {
        match self.findings {
            0 => Exit::Clean,
            count if count <= tolerated => Exit::Tolerated,
            _ => Exit::Found,
        }
    }
}

fn is_expected(reason: SkipReason) -> bool {
    matches!(reason, SkipReason::Binary | SkipReason::Link | SkipReason::Allowed)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        match self.findings {
            0 => f.write_str("nothing found")?,
            count => write!(f, "{count} finding{}", plural(count))?,
        }
        write!(f, " in {} text{}, {}", self.texts, plural(self.texts), size(self.bytes))?;
        if self.commits > 0 {
            write!(f, ", {} commit{}", self.commits, plural(self.commits))?;
        }
        let list = |counts: &BTreeMap<&'static str, u64>| {
            counts.iter().map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
        };
        if !self.left_out.is_empty() {
            write!(f, "; not looked at: {}", list(&self.left_out))?;
        }
        if !self.passed_over.is_empty() {
            write!(f, "; passed over: {}", list(&self.passed_over))?;
        }
        if self.ended_early {
            f.write_str("; the scan was ended early")?;
        }
        Ok(())
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} bytes"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        10_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}
