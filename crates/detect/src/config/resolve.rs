//! From what is written to rules; and one configuration on top of another, as gitleaks puts them together.

use super::raw::{self, Reader};
use super::{GITLEAKS_VERSION, Problem, RULES_MAX, Reading, Wanted, Weight};
use crate::filter::{Filter, FilterError};
use crate::pattern::{Pattern, PatternError};
use crate::rule::{
    Allowlist, Condition, Origin, Required, Rule, RuleSet, SPECIFICITY_USUAL, Severity, Target,
};
use crate::{Confidence, Structure, assigned};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// A configuration extends one that extends one; what that one extends is left out.
const DEPTH_MAX: usize = 2;
const CHECK_RULE: &str = "correct it, or leave the rule out";
const CHECK_ALLOWLIST: &str = "correct it, or leave the allowlist out";

pub(super) struct Resolver<'l> {
    pub reading: Reading,
    pub load: &'l mut dyn FnMut(Wanted<'_>) -> Result<String, String>,
    pub problems: Vec<Problem>,
}

/// Allowlists of the outermost configuration that wait for the rules they are meant for.
type Targeted = Vec<(String, Arc<Allowlist>, u32)>;

impl Resolver<'_> {
    pub(super) fn whole(&mut self, text: &str, file: &str) -> Result<RuleSet, Problem> {
        let file: Arc<str> = Arc::from(file);
        let (mut rules, targeted) = self.configuration(text, &file, 0)?;
        self.drop_invalid(&mut rules);
        for (id, allowlist, line) in targeted {
            match rules.rules.iter_mut().find(|rule| rule.id == id) {
                Some(rule) => rule.allowlists.push(allowlist),
                None => self.problem(
                    Weight::PartLost,
                    &Origin { file: file.clone(), line },
                    "",
                    format!("the allowlist is for the rule {id:?}, which does not exist"),
                    CHECK_ALLOWLIST,
                ),
            }
        }
        if rules.rules.len() > RULES_MAX {
            return Err(fatal(&file, 0, format!("there are more than {RULES_MAX} rules"), "use fewer rules"));
        }
        Ok(rules)
    }

    fn configuration(
        &mut self,
        text: &str,
        file: &Arc<str>,
        depth: usize,
    ) -> Result<(RuleSet, Targeted), Problem> {
        let raw = Reader::new(file.clone(), &mut self.problems).read(text)?;
        self.check_version(raw.min_version.as_deref(), file);
        let mut set = RuleSet {
            title: raw.title.unwrap_or_default(),
            description: raw.description.unwrap_or_default(),
            rules: Vec::new(),
            allowlists: Vec::new(),
            prefilter: self.global_filter(raw.prefilter.as_deref(), file, "prefilter"),
            filter: self.global_filter(raw.filter.as_deref(), file, "filter"),
        };
        self.note_validation(&raw.rules, file);
        self.add_rules(raw.rules, file, &mut set);
        if raw.has_both_allowlists {
            let hint = "write the one as [[allowlists]] too";
            return Err(fatal(
                file,
                0,
                "[allowlist] and [[allowlists]] cannot stand side by side".into(),
                hint,
            ));
        }
        let targeted = self.global_allowlists(&raw.allowlists, file, depth, &mut set);
        if depth < DEPTH_MAX {
            self.extend(&raw.extend, file, depth, &mut set)?;
        }
        Ok((set, targeted))
    }

    fn check_version(&mut self, wanted: Option<&str>, file: &Arc<str>) {
        let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else { return };
        let numbers: Option<Vec<u64>> = wanted
            .trim_start_matches('v')
            .split(['-', '+'])
            .next()
            .map(|numbers| numbers.split('.').map(|number| number.parse().ok()).collect::<Option<_>>())
            .unwrap_or_default();
        let what = match numbers {
            Some(numbers) if numbers.as_slice() <= GITLEAKS_VERSION.as_slice() => return,
            Some(_) => format!("it asks for gitleaks {wanted}, and may use what is not known here"),
            None => format!("its minVersion {wanted:?} is not a version"),
        };
        self.problem(
            Weight::Note,
            &Origin { file: file.clone(), line: 0 },
            "",
            what,
            "see whether all of its rules work",
        );
    }

    fn note_validation(&mut self, rules: &[raw::Rule], file: &Arc<str>) {
        let mut with = rules.iter().filter(|rule| rule.has_validation);
        let Some(first) = with.next() else { return };
        let what = format!("{} rules have a `validate` expression, which is not used", 1 + with.count());
        let origin = Origin { file: file.clone(), line: first.line };
        self.problem(
            Weight::Note,
            &origin,
            "",
            what,
            "nothing to do: findings are reported without asking the service",
        );
    }

    fn global_filter(&mut self, source: Option<&str>, file: &Arc<str>, key: &str) -> Option<Filter> {
        let source = source.filter(|source| !source.trim().is_empty())?;
        match self.filter(source) {
            Ok(filter) => Some(filter),
            Err(error) => {
                let what = format!("the {key} is left out: {error}");
                let origin = Origin { file: file.clone(), line: 0 };
                self.problem(Weight::PartLost, &origin, "", what, "correct it, or write it as allowlists");
                None
            }
        }
    }

    /// The rules of one document. One with the id of an earlier one takes its place.
    fn add_rules(&mut self, rules: Vec<raw::Rule>, file: &Arc<str>, set: &mut RuleSet) {
        let ids: BTreeSet<String> = rules.iter().map(|rule| rule.id.clone()).collect();
        let mut places: HashMap<String, usize> = HashMap::new();
        for raw in rules {
            let origin = Origin { file: file.clone(), line: raw.line };
            let missing = raw.required.iter().find(|required| !ids.contains(&required.id));
            if let Some(missing) = missing {
                let what = format!("it requires the rule {:?}, which does not exist", missing.id);
                self.problem(
                    Weight::RuleLost,
                    &origin,
                    &raw.id,
                    what,
                    "give the id of a rule of the same file",
                );
                continue;
            }
            let Some(rule) = self.rule(raw, origin.clone()) else { continue };
            match places.get(&rule.id).copied().and_then(|at| set.rules.get_mut(at)) {
                Some(earlier) => {
                    let what = format!(
                        "it takes the place of the rule with the same id in line {}",
                        earlier.origin.line
                    );
                    let id = rule.id.clone();
                    *earlier = rule;
                    self.problem(Weight::Note, &origin, &id, what, "give each rule an id of its own");
                }
                None => {
                    places.insert(rule.id.clone(), set.rules.len());
                    set.rules.push(rule);
                }
            }
        }
    }

    fn rule(&mut self, raw: raw::Rule, origin: Origin) -> Option<Rule> {
        let mut rule = Rule::new(raw.id);
        rule.origin = origin;
        if raw.regex.is_empty() && !raw.value.is_empty() {
            let keywords: Vec<&str> = raw.keywords.iter().map(String::as_str).collect();
            let expression = assigned::expression(&raw.names, &keywords, &raw.value);
            rule.regex = self.pattern(&expression, &rule, "value").ok()?;
        } else {
            rule.regex = self.pattern(&raw.regex, &rule, "regex").ok()?;
        }
        rule.path = self.pattern(&raw.path, &rule, "path").ok()?;
        let Ok(secret_group) = usize::try_from(raw.secret_group) else {
            self.rule_lost(&rule, format!("secretGroup {} is no group", raw.secret_group));
            return None;
        };
        rule.secret_group = secret_group;
        if raw.has_both_allowlists {
            self.rule_lost(
                &rule,
                "[rules.allowlist] and [[rules.allowlists]] cannot stand side by side".into(),
            );
            return None;
        }
        for allowlist in &raw.allowlists {
            rule.allowlists
                .extend(self.allowlist(allowlist, &rule.origin.file.clone(), &rule.id).map(Arc::new));
        }
        rule.required = raw
            .required
            .into_iter()
            .map(|required| Required {
                rule_id: required.id,
                within_lines: required.within_lines.map(|lines| u64::try_from(lines).unwrap_or(0)),
                within_columns: required.within_columns.map(|columns| u64::try_from(columns).unwrap_or(0)),
            })
            .collect();
        rule.filter = self.rule_filter(&raw.filter, &rule);
        rule.severity = self.named(&raw.severity, Severity::named, "severity", &rule).unwrap_or_default();
        rule.confidence = self.named(&raw.confidence, Confidence::named, "confidence", &rule);
        rule.description = raw.description;
        rule.entropy = raw.entropy;
        rule.keywords = raw.keywords.iter().map(|keyword| keyword.to_lowercase()).collect();
        rule.tags = raw.tags;
        rule.skip_report = raw.skip_report;
        rule.specificity = raw.specificity.unwrap_or(SPECIFICITY_USUAL);
        rule.token_efficiency = raw.token_efficiency;
        rule.structure = self.named(&raw.structure, Structure::named, "structure", &rule);
        rule.remediation = raw.remediation;
        rule.references = raw.references;
        rule.examples = raw.examples;
        rule.counterexamples = raw.counterexamples;
        rule.example_path = raw.example_path;
        Some(rule)
    }

    fn named<T>(&mut self, name: &str, find: fn(&str) -> Option<T>, key: &str, rule: &Rule) -> Option<T> {
        if name.is_empty() {
            return None;
        }
        let found = find(name);
        if found.is_none() {
            let what = format!("there is no {key} {name:?}");
            self.problem(
                Weight::PartLost,
                &rule.origin,
                &rule.id,
                what,
                "take one of those in the documentation of rules",
            );
        }
        found
    }

    fn rule_filter(&mut self, source: &str, rule: &Rule) -> Option<Filter> {
        if source.trim().is_empty() {
            return None;
        }
        match self.filter(source) {
            Ok(filter) => Some(filter),
            Err(error) => {
                let what = format!("its filter is left out: {error}");
                let hint = "correct it, or write it as allowlists";
                self.problem(Weight::PartLost, &rule.origin, &rule.id, what, hint);
                None
            }
        }
    }

    /// `Ok(None)` if there is none.
    fn pattern(&mut self, source: &str, rule: &Rule, key: &str) -> Result<Option<Pattern>, ()> {
        if source.is_empty() {
            return Ok(None);
        }
        match self.compile(source) {
            Ok(pattern) => Ok(Some(pattern)),
            Err(error) => {
                self.rule_lost(rule, format!("its {key} cannot be used: {error}"));
                Err(())
            }
        }
    }

    fn compile(&self, source: &str) -> Result<Pattern, PatternError> {
        match self.reading {
            Reading::Checked => Pattern::new(source),
            Reading::Trusted => Ok(Pattern::trusted(source)),
        }
    }

    fn filter(&self, source: &str) -> Result<Filter, FilterError> {
        match self.reading {
            Reading::Checked => Filter::new(source),
            Reading::Trusted => Ok(Filter::trusted(source)),
        }
    }

    fn rule_lost(&mut self, rule: &Rule, what: String) {
        self.problem(Weight::RuleLost, &rule.origin, &rule.id, what, CHECK_RULE);
    }

    /// Those without rules of their own go into the set, the others wait for their rules. gitleaks forgets the latter in a
    /// configuration that is extended; so the same configuration finds the same here.
    fn global_allowlists(
        &mut self,
        allowlists: &[raw::Allowlist],
        file: &Arc<str>,
        depth: usize,
        set: &mut RuleSet,
    ) -> Targeted {
        let mut targeted = Vec::new();
        for raw in allowlists {
            let Some(allowlist) = self.allowlist(raw, file, "").map(Arc::new) else { continue };
            if raw.target_rules.is_empty() {
                set.allowlists.push(allowlist);
            } else if depth == 0 {
                targeted.extend(raw.target_rules.iter().map(|id| (id.clone(), allowlist.clone(), raw.line)));
            } else {
                let what =
                    "an allowlist with targetRules counts only in the outermost configuration".to_owned();
                let origin = Origin { file: file.clone(), line: raw.line };
                self.problem(
                    Weight::Note,
                    &origin,
                    "",
                    what,
                    "write it into the configuration that extends this one",
                );
            }
        }
        targeted
    }

    fn allowlist(&mut self, raw: &raw::Allowlist, file: &Arc<str>, rule_id: &str) -> Option<Allowlist> {
        let origin = Origin { file: file.clone(), line: raw.line };
        let condition = match raw.condition.to_uppercase().as_str() {
            "AND" | "&&" => Some(Condition::All),
            "" | "OR" | "||" => Some(Condition::Any),
            _ => None,
        };
        let target = match raw.regex_target.as_str() {
            "" | "secret" => Some(Target::Secret),
            "match" => Some(Target::Match),
            "line" => Some(Target::Line),
            _ => None,
        };
        let (Some(condition), Some(target)) = (condition, target) else {
            let what = format!(
                "an allowlist has the condition {:?} (known: AND, OR) and the regexTarget {:?} (known: secret, match, line)",
                raw.condition, raw.regex_target
            );
            self.problem(Weight::PartLost, &origin, rule_id, what, CHECK_ALLOWLIST);
            return None;
        };
        let criteria = [&raw.commits, &raw.paths, &raw.regexes, &raw.stopwords];
        if criteria.iter().all(|criterion| criterion.is_empty()) {
            let what = "an allowlist has none of commits, paths, regexes, stopwords".to_owned();
            self.problem(Weight::PartLost, &origin, rule_id, what, CHECK_ALLOWLIST);
            return None;
        }
        let mut compile = |sources: &[String]| -> Option<Vec<Pattern>> {
            let mut patterns = Vec::new();
            for source in sources {
                match self.compile(source) {
                    Ok(pattern) => patterns.push(pattern),
                    Err(error) => {
                        let what = format!("an allowlist's expression {source:?} cannot be used: {error}");
                        self.problem(Weight::PartLost, &origin, rule_id, what, CHECK_ALLOWLIST);
                        return None;
                    }
                }
            }
            Some(patterns)
        };
        let (paths, regexes) = (compile(&raw.paths)?, compile(&raw.regexes)?);
        let stopwords: BTreeSet<String> = raw.stopwords.iter().map(|word| word.to_lowercase()).collect();
        Some(Allowlist {
            description: raw.description.clone(),
            condition,
            commits: raw.commits.iter().map(|commit| commit.to_lowercase().trim().to_owned()).collect(),
            paths,
            target,
            regexes,
            stopwords: stopwords.into_iter().collect(),
        })
    }

    fn extend(
        &mut self,
        extend: &raw::Extend,
        file: &Arc<str>,
        depth: usize,
        set: &mut RuleSet,
    ) -> Result<(), Problem> {
        if !extend.url.is_empty() {
            let what =
                "[extend] url is not supported: a scan does not fetch its rules from the network".into();
            return Err(fatal(file, extend.line, what, "download the file, and name it with [extend] path"));
        }
        if !extend.path.is_empty() && extend.use_default {
            let what = "[extend] has both path and useDefault".into();
            return Err(fatal(file, extend.line, what, "leave one of them out"));
        }
        let (wanted, name) = match (extend.path.as_str(), extend.use_default) {
            ("", false) => return Ok(()),
            ("", true) => (Wanted::Default, "the default configuration"),
            (path, _) => (Wanted::Path(path), path),
        };
        let text = (self.load)(wanted).map_err(|error| {
            fatal(
                file,
                extend.line,
                format!("it extends {name}, which cannot be read: {error}"),
                "correct [extend]",
            )
        })?;
        let name = Arc::from(name);
        let (base, _) = self.configuration(&text, &name, depth + 1)?;
        self.put_upon(base, extend, file, &name, set);
        Ok(())
    }

    /// `set` is what extends `base`: the rules of both, in the order of their ids.
    fn put_upon(
        &mut self,
        base: RuleSet,
        extend: &raw::Extend,
        file: &Arc<str>,
        name: &str,
        set: &mut RuleSet,
    ) {
        let mut places: HashMap<String, usize> =
            set.rules.iter().enumerate().map(|(at, rule)| (rule.id.clone(), at)).collect();
        for id in &extend.disabled_rules {
            if base.index_of(id).is_none() {
                let origin = Origin { file: file.clone(), line: extend.line };
                let what = format!("disabledRules has {id:?}, which is no rule of {name}");
                self.problem(Weight::Note, &origin, "", what, "correct the id, or leave it out");
            }
        }
        for rule in base.rules {
            if extend.disabled_rules.contains(&rule.id) {
                continue;
            }
            match places.get(&rule.id).copied().and_then(|at| set.rules.get_mut(at)) {
                Some(current) => {
                    let upper = std::mem::replace(current, rule);
                    override_with(current, upper);
                }
                None => {
                    places.insert(rule.id.clone(), set.rules.len());
                    set.rules.push(rule);
                }
            }
        }
        set.allowlists.extend(base.allowlists);
        set.prefilter = set.prefilter.take().or(base.prefilter);
        set.filter = set.filter.take().or(base.filter);
        set.rules.sort_by(|one, other| one.id.cmp(&other.id));
    }

    /// After everything is put together: rules that cannot find anything.
    fn drop_invalid(&mut self, set: &mut RuleSet) {
        let rules = std::mem::take(&mut set.rules);
        for rule in rules {
            let what = if rule.id.trim().is_empty() {
                Some("a rule has no id".to_owned())
            } else if rule.regex.is_none() && rule.path.is_none() {
                Some("it has neither regex nor path, and can find nothing".to_owned())
            } else if self.reading == Reading::Checked
                && rule.regex.as_ref().is_some_and(|regex| rule.secret_group > regex.group_count())
            {
                Some(format!("secretGroup {} is beyond the last group of its regex", rule.secret_group))
            } else {
                None
            };
            match what {
                Some(what) => self.rule_lost(&rule, what),
                None => set.rules.push(rule),
            }
        }
    }

    fn problem(&mut self, weight: Weight, origin: &Origin, rule_id: &str, what: String, hint: &str) {
        self.problems.push(Problem {
            weight,
            file: origin.file.to_string(),
            line: origin.line,
            rule_id: rule_id.to_owned(),
            what,
            hint: hint.to_owned(),
        });
    }
}

/// What the extending rule says takes the place of what the extended one said; lists are appended. `required`, `skipReport`,
/// `specificity` and `tokenEfficiency` stay those of the extended rule.
fn override_with(rule: &mut Rule, upper: Rule) {
    fn text(mine: &mut String, theirs: String) {
        if !theirs.is_empty() {
            *mine = theirs;
        }
    }
    text(&mut rule.description, upper.description);
    rule.structure = upper.structure.or(rule.structure);
    text(&mut rule.remediation, upper.remediation);
    if upper.entropy != 0.0 {
        rule.entropy = upper.entropy;
    }
    if upper.secret_group != 0 {
        rule.secret_group = upper.secret_group;
    }
    rule.regex = upper.regex.or_else(|| rule.regex.take());
    rule.path = upper.path.or_else(|| rule.path.take());
    rule.filter = upper.filter.or_else(|| rule.filter.take());
    rule.confidence = upper.confidence.or(rule.confidence);
    rule.tags.extend(upper.tags);
    rule.keywords.extend(upper.keywords);
    rule.allowlists.extend(upper.allowlists);
    rule.references.extend(upper.references);
    rule.examples.extend(upper.examples);
    rule.counterexamples.extend(upper.counterexamples);
}

fn fatal(file: &str, line: u32, what: String, hint: &str) -> Problem {
    Problem {
        weight: Weight::Fatal,
        file: file.to_owned(),
        line,
        rule_id: String::new(),
        what,
        hint: hint.to_owned(),
    }
}
