use super::junit::{Case, Verdict};
use crate::outcome::Outcome;
use anyhow::{Context, Result, bail};
use std::path::Path;

/// The cases that are known not to pass. One a line: a case's name, in which `*` stands for any text, and after ` # `
/// the reason, which is not optional. Lines that start with `#` are comments.
pub(crate) struct Expected {
    entries: Vec<String>,
}

/// What a run adds up to, measured by the list.
pub(crate) struct Comparison {
    /// A listed case that does not pass is neither passed nor failed here.
    pub outcome: Outcome,
    pub expected: usize,
    /// What the run found that the list does not say.
    pub surprises: Vec<String>,
}

impl Expected {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let mut entries = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            match line.split_once(" # ") {
                Some((name, reason)) if !reason.trim().is_empty() => entries.push(name.trim().to_owned()),
                _ => bail!("{line:?}: write the case, ` # ` and the reason why it does not pass"),
            }
        }
        Ok(Self { entries })
    }

    /// Compares a run with the list; only a complete run can tell that an entry no longer stands for any case.
    pub(crate) fn compare(&self, cases: &[Case], complete: bool) -> Comparison {
        let mut comparison = Comparison { outcome: Outcome::default(), expected: 0, surprises: Vec::new() };
        for case in cases {
            let listed = self.entries.iter().any(|entry| matches(entry, &case.name));
            comparison.outcome += match (case.verdict, listed) {
                (Verdict::Passed, false) => Outcome::of_check(true),
                (Verdict::Skipped, _) => Outcome::skipped(),
                (Verdict::Failed | Verdict::Error, true) => {
                    comparison.expected += 1;
                    Outcome::default()
                }
                (Verdict::Failed | Verdict::Error, false) => {
                    comparison.surprises.push(format!("does not pass, and is not listed: {}", case.name));
                    Outcome::of_check(false)
                }
                (Verdict::Passed, true) => {
                    comparison.surprises.push(format!("passes: take it off the list: {}", case.name));
                    Outcome::of_check(false)
                }
            };
        }
        let stale = self
            .entries
            .iter()
            .filter(|entry| complete && !cases.iter().any(|case| matches(entry, &case.name)));
        for entry in stale {
            comparison.surprises.push(format!("stands for no case: take it off the list: {entry}"));
            comparison.outcome += Outcome::of_check(false);
        }
        comparison
    }
}

/// Whether `name` has the form of `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            tail.char_indices()
                .map(|(at, _)| at)
                .chain([tail.len()])
                .any(|at| matches(rest, tail.split_at(at).1))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str, verdict: Verdict) -> Case {
        Case { name: name.to_owned(), verdict }
    }

    #[test]
    fn a_surprise_either_way_fails() {
        let expected = Expected::parse("# why\na::* # not built\nb::x # later\nz # gone\n").unwrap();
        let cases = [
            case("a::1", Verdict::Failed),
            case("b::x", Verdict::Passed),
            case("b::y", Verdict::Passed),
            case("b::z", Verdict::Error),
            case("c", Verdict::Skipped),
        ];
        let comparison = expected.compare(&cases, true);
        assert_eq!(comparison.outcome, Outcome { passed: 1, failed: 3, skipped: 1 });
        assert_eq!(comparison.expected, 1);
        assert_eq!(
            comparison.surprises,
            [
                "passes: take it off the list: b::x",
                "does not pass, and is not listed: b::z",
                "stands for no case: take it off the list: z",
            ]
        );
        assert_eq!(expected.compare(&cases, false).outcome.failed, 2);
    }

    #[test]
    fn an_entry_without_a_reason_is_refused() {
        assert!(Expected::parse("a::1").is_err());
        assert!(Expected::parse("a::1 # ").is_err());
    }

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, name, expected) in [
            ("a*c", "abbc", true),
            ("a*c", "ac", true),
            ("*", "", true),
            ("a*c", "acd", false),
            ("a", "ab", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
