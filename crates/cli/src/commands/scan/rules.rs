//! Which rules a scan goes by: files of ours and of others, and what flags take out of them.

use super::arguments::RuleArgs;
use crate::context::Context;
use crate::failure::{Failure, did_you_mean};
use std::path::{Path, PathBuf};
use strongroom_detect::RuleSet;
use strongroom_detect::builtin;
use strongroom_detect::config::{self, Loaded, Problem, Reading, Wanted, Weight};

/// Files of rules in the folder that is scanned, the first that is there.
const USUAL: [&str; 3] = [".strongroom-rules.toml", ".gitleaks.toml", ".betterleaks.toml"];
/// A larger file is no configuration.
const BYTES_MAX: u64 = 32 << 20;

/// Rules, where they are from, and what was odd about them.
pub struct Found {
    pub rules: RuleSet,
    /// `None`: our own.
    pub path: Option<PathBuf>,
    pub problems: Vec<Problem>,
}

impl Found {
    pub fn tell(&self, context: &Context) {
        for problem in &self.problems {
            let hint = if problem.hint.is_empty() { String::new() } else { format!(" ({})", problem.hint) };
            context.output.note(&format!("warning: {problem}{hint}"));
        }
    }
}

/// The rules that flags, the folder that is scanned, and our own files give.
pub fn load(args: &RuleArgs, root: Option<&Path>) -> Result<Found, Failure> {
    let usual =
        || USUAL.iter().map(|name| root.unwrap_or(Path::new(".")).join(name)).find(|path| path.is_file());
    let path = args.config.clone().or_else(|| root.and_then(|_| usual()));
    let mut found = match &path {
        Some(path) => {
            let Loaded { rules, problems } = read(path)?;
            Found { rules, path: Some(path.clone()), problems }
        }
        None => Found { rules: builtin::rules(), path: None, problems: Vec::new() },
    };
    for file in &args.rules {
        let Loaded { rules, problems } = read(file)?;
        found.problems.extend(problems);
        add(&mut found.rules, rules);
    }
    keep(&mut found.rules, args)?;
    Ok(found)
}

/// A file of rules. What is wrong with single rules is in the answer.
pub fn read(path: &Path) -> Result<Loaded, Failure> {
    let text = text_of(path).map_err(Failure::usage)?;
    read_text(&text, &path.display().to_string(), Reading::Checked)
}

pub fn read_text(text: &str, name: &str, reading: Reading) -> Result<Loaded, Failure> {
    let mut load = |wanted: Wanted<'_>| match wanted {
        Wanted::Default => Ok(own_text()),
        Wanted::Path(path) => text_of(Path::new(path)),
    };
    config::read(text, name, reading, &mut load).map_err(|problem| {
        let failure = Failure::usage(problem.to_string());
        if problem.hint.is_empty() { failure } else { failure.hint(problem.hint) }
    })
}

/// Our own rules, as one text in the format that everybody can write theirs in.
pub fn own_text() -> String {
    // What speaks for the whole set comes before the first rule.
    let mut sources: Vec<_> = builtin::sources().iter().collect();
    sources.sort_by_key(|(name, _)| !name.contains("global"));
    sources.iter().map(|(_, text)| *text).collect::<Vec<_>>().join("\n")
}

fn text_of(path: &Path) -> Result<String, String> {
    let bytes = strongroom_project::files::read(path, BYTES_MAX).map_err(|error| error.to_string())?;
    String::from_utf8(bytes.expose().to_vec()).map_err(|_| format!("{} is not UTF-8", path.display()))
}

/// Puts rules beside others; one of the same id takes the place of the other.
fn add(rules: &mut RuleSet, more: RuleSet) {
    for rule in more.rules {
        match rules.rules.iter_mut().find(|known| known.id == rule.id) {
            Some(known) => *known = rule,
            None => rules.rules.push(rule),
        }
    }
    rules.allowlists.extend(more.allowlists);
}

/// `--enable-rule`, `--disable-rule`. A rule that another one needs stays, and reports nothing by itself.
fn keep(rules: &mut RuleSet, args: &RuleArgs) -> Result<(), Failure> {
    for id in args.enable_rule.iter().chain(&args.disable_rule) {
        if rules.index_of(id).is_none() {
            let known = rules.rules.iter().map(|rule| rule.id.as_str());
            let failure = Failure::usage(format!("there is no rule {id:?}"));
            return Err(match did_you_mean(id, known) {
                Some(near) => failure.hint(format!("did you mean {near:?}?")),
                None => failure.hint("strongroom scan rules list shows all of them"),
            });
        }
    }
    let wanted = |id: &String| {
        (args.enable_rule.is_empty() || args.enable_rule.contains(id)) && !args.disable_rule.contains(id)
    };
    let needed: Vec<String> = rules
        .rules
        .iter()
        .filter(|rule| wanted(&rule.id))
        .flat_map(|rule| rule.required.iter().map(|required| required.rule_id.clone()))
        .collect();
    rules.rules.retain(|rule| wanted(&rule.id) || needed.contains(&rule.id));
    for rule in &mut rules.rules {
        rule.skip_report |= !wanted(&rule.id);
    }
    Ok(())
}

/// Whether something was lost, and not only odd.
pub fn is_loss(problem: &Problem) -> bool {
    problem.weight > Weight::Note
}
