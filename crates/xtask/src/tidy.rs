//! `cargo xtask tidy`: the house rules as tests, over the files of the repository and `cargo metadata`.
//!
//! Every rule answers with a list of what breaks it, in words that say what to do.

mod manifests;
mod sources;
mod texts;
mod tree;

use crate::outcome::Outcome;
use anyhow::Result;
use tree::Tree;

/// A rule's name and what breaks it.
type Rule = (&'static str, fn(&Tree) -> Result<Vec<String>>);

const RULES: [Rule; 10] = [
    ("crates depend only on what the design allows", manifests::forbidden_edges),
    ("dependencies are sorted", manifests::unsorted_dependencies),
    ("versions of dependencies are given once, in the workspace", manifests::own_versions),
    ("every crate takes the workspace's lints", manifests::missing_lints),
    ("a crate is named after its folder", manifests::odd_names),
    ("the number of locked packages stays under its cap", manifests::too_many_packages),
    ("functions fit a screen", sources::long_functions),
    ("time, randomness and the environment are parameters", sources::ambient_inputs),
    ("pure crates touch no files, network or processes", sources::impure_crates),
    ("files speak only of the project", texts::forbidden_texts),
];

pub(crate) fn run() -> Result<Outcome> {
    let tree = Tree::read()?;
    let mut outcome = Outcome::default();
    for (name, rule) in RULES {
        let problems = rule(&tree)?;
        println!("{} {name}", if problems.is_empty() { "ok  " } else { "FAIL" });
        for problem in &problems {
            println!("       {problem}");
        }
        outcome += Outcome::of_check(problems.is_empty());
    }
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_rules_hold() {
        let tree = Tree::read().unwrap();
        let broken: Vec<String> = RULES
            .iter()
            .flat_map(|(name, rule)| {
                rule(&tree).unwrap().into_iter().map(move |problem| format!("{name}: {problem}"))
            })
            .collect();
        assert!(broken.is_empty(), "{}", broken.join("\n"));
    }
}
