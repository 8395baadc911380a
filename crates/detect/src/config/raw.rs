//! A configuration as it is written, before anything is made of it.

use super::{BYTES_MAX, Problem, Weight};
use std::borrow::Cow;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// A value with its place.
type Spanned<'i> = toml::Spanned<DeValue<'i>>;

#[derive(Debug, Default)]
pub(super) struct Config {
    pub title: Option<String>,
    pub description: Option<String>,
    pub min_version: Option<String>,
    pub extend: Extend,
    pub rules: Vec<Rule>,
    pub allowlists: Vec<Allowlist>,
    /// There was an `[allowlist]` as well as `[[allowlists]]`.
    pub has_both_allowlists: bool,
    pub prefilter: Option<String>,
    pub filter: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Extend {
    pub path: String,
    pub url: String,
    pub use_default: bool,
    pub disabled_rules: Vec<String>,
    pub line: u32,
}

/// Texts that were not given are empty, numbers 0, as gitleaks has it: what is 0 or empty does not override.
#[derive(Debug, Default)]
pub(super) struct Rule {
    pub line: u32,
    pub id: String,
    pub description: String,
    pub regex: String,
    /// Instead of a regex: what the names look like that a value is assigned to; empty: they hold a keyword.
    pub names: String,
    /// Instead of a regex: the form of a value that is assigned to such a name.
    pub value: String,
    pub path: String,
    pub secret_group: i64,
    pub entropy: f64,
    pub keywords: Vec<String>,
    pub tags: Vec<String>,
    pub allowlists: Vec<Allowlist>,
    pub has_both_allowlists: bool,
    pub required: Vec<Required>,
    pub skip_report: bool,
    pub specificity: Option<i64>,
    pub token_efficiency: bool,
    pub filter: String,
    pub has_validation: bool,
    pub severity: String,
    pub confidence: String,
    pub structure: String,
    pub remediation: String,
    pub references: Vec<String>,
    pub examples: Vec<String>,
    pub counterexamples: Vec<String>,
    pub example_path: String,
}

#[derive(Debug, Default)]
pub(super) struct Required {
    pub id: String,
    pub within_lines: Option<i64>,
    pub within_columns: Option<i64>,
}

#[derive(Debug, Default)]
pub(super) struct Allowlist {
    pub line: u32,
    pub description: String,
    pub condition: String,
    pub commits: Vec<String>,
    pub paths: Vec<String>,
    pub regex_target: String,
    pub regexes: Vec<String>,
    pub stopwords: Vec<String>,
    pub target_rules: Vec<String>,
}

/// Takes documents apart.
pub(super) struct Reader<'p> {
    file: Arc<str>,
    /// Where lines begin.
    lines: Vec<usize>,
    problems: &'p mut Vec<Problem>,
    /// The rule that is being read.
    rule_id: String,
}

impl<'p> Reader<'p> {
    pub(super) fn new(file: Arc<str>, problems: &'p mut Vec<Problem>) -> Self {
        Self { file, lines: Vec::new(), problems, rule_id: String::new() }
    }

    pub(super) fn read(mut self, text: &str) -> Result<Config, Problem> {
        if text.len() > BYTES_MAX {
            return Err(self.fatal(0, format!("the configuration is larger than {} MB", BYTES_MAX >> 20)));
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        self.lines = memchr::memchr_iter(b'\n', text.as_bytes()).collect();
        let document = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(0, |span| self.line(span.start));
            self.fatal(line, format!("this is not TOML: {}", error.message()))
        })?;
        Ok(self.config(document.get_ref()))
    }

    fn fatal(&self, line: u32, what: String) -> Problem {
        Problem {
            weight: Weight::Fatal,
            file: self.file.to_string(),
            line,
            rule_id: String::new(),
            what,
            hint: "a configuration looks like https://github.com/gitleaks/gitleaks#configuration".into(),
        }
    }

    fn line(&self, offset: usize) -> u32 {
        let before = self.lines.partition_point(|newline| *newline < offset);
        u32::try_from(before + 1).unwrap_or(u32::MAX)
    }

    fn note(&mut self, at: usize, weight: Weight, what: String, hint: &str) {
        self.problems.push(Problem {
            weight,
            file: self.file.to_string(),
            line: self.line(at),
            rule_id: self.rule_id.clone(),
            what,
            hint: hint.to_owned(),
        });
    }

    fn unknown(&mut self, key: &toml::Spanned<Cow<'_, str>>, place: &str) {
        let what = format!("the key {:?} of {place} is not known, and not used", key.get_ref());
        self.note(key.span().start, Weight::Note, what, "see whether it is spelt as meant");
    }

    fn config(&mut self, table: &DeTable<'_>) -> Config {
        let mut config = Config::default();
        let mut singular = None;
        for (key, value) in table {
            match lower(key.get_ref()).as_ref() {
                "title" => config.title = self.text(value),
                "description" => config.description = self.text(value),
                "minversion" => config.min_version = self.text(value),
                "prefilter" => config.prefilter = self.text(value),
                "filter" => config.filter = self.text(value),
                "extend" => config.extend = self.extend(value),
                "rules" => config.rules = self.each(value, Self::rule),
                "allowlists" => config.allowlists = self.each(value, Self::allowlist),
                "allowlist" => singular = self.each(value, Self::allowlist).pop(),
                "betterleaksminversion" => {}
                _ => self.unknown(key, "the configuration"),
            }
        }
        config.has_both_allowlists = singular.is_some() && !config.allowlists.is_empty();
        config.allowlists.extend(singular);
        config
    }

    fn extend(&mut self, value: &Spanned<'_>) -> Extend {
        let mut extend = Extend { line: self.line(value.span().start), ..Extend::default() };
        for (key, value) in self.table(value) {
            match lower(key.get_ref()).as_ref() {
                "path" => extend.path = self.text(value).unwrap_or_default(),
                "url" => extend.url = self.text(value).unwrap_or_default(),
                "usedefault" => extend.use_default = self.flag(value),
                "disabledrules" => extend.disabled_rules = self.texts(value),
                _ => self.unknown(key, "[extend]"),
            }
        }
        extend
    }

    fn rule(&mut self, value: &Spanned<'_>) -> Rule {
        let mut rule = Rule { line: self.line(value.span().start), ..Rule::default() };
        let table = self.table(value);
        self.rule_id = table
            .iter()
            .find(|(key, _)| key.get_ref().eq_ignore_ascii_case("id"))
            .and_then(|(_, id)| id.get_ref().as_str())
            .unwrap_or_default()
            .to_owned();
        let mut singular = None;
        for (key, value) in table {
            match lower(key.get_ref()).as_ref() {
                "id" => rule.id = self.text(value).unwrap_or_default(),
                "description" => rule.description = self.text(value).unwrap_or_default(),
                "regex" => rule.regex = self.text(value).unwrap_or_default(),
                "names" => rule.names = self.text(value).unwrap_or_default(),
                "value" => rule.value = self.text(value).unwrap_or_default(),
                "path" => rule.path = self.text(value).unwrap_or_default(),
                "secretgroup" => rule.secret_group = self.number(value).unwrap_or_default(),
                "entropy" => rule.entropy = self.fraction(value),
                "keywords" => rule.keywords = self.texts(value),
                "tags" => rule.tags = self.texts(value),
                "allowlists" => rule.allowlists = self.each(value, Self::allowlist),
                "allowlist" => singular = self.each(value, Self::allowlist).pop(),
                "required" => rule.required = self.each(value, Self::required),
                "skipreport" => rule.skip_report = self.flag(value),
                "specificity" => rule.specificity = self.number(value),
                "tokenefficiency" => rule.token_efficiency = self.flag(value),
                "filter" => rule.filter = self.text(value).unwrap_or_default(),
                "validate" => rule.has_validation = true,
                "severity" => rule.severity = self.text(value).unwrap_or_default(),
                "confidence" => rule.confidence = self.text(value).unwrap_or_default(),
                "structure" => rule.structure = self.text(value).unwrap_or_default(),
                "remediation" => rule.remediation = self.text(value).unwrap_or_default(),
                "references" => rule.references = self.whole_texts(value),
                "examples" => rule.examples = self.whole_texts(value),
                "counterexamples" => rule.counterexamples = self.whole_texts(value),
                "examplepath" => rule.example_path = self.text(value).unwrap_or_default(),
                _ => self.unknown(key, "[[rules]]"),
            }
        }
        rule.has_both_allowlists = singular.is_some() && !rule.allowlists.is_empty();
        rule.allowlists.extend(singular);
        self.rule_id.clear();
        rule
    }

    fn required(&mut self, value: &Spanned<'_>) -> Required {
        let mut required = Required::default();
        for (key, value) in self.table(value) {
            match lower(key.get_ref()).as_ref() {
                "id" => required.id = self.text(value).unwrap_or_default(),
                "withinlines" => required.within_lines = self.number(value),
                "withincolumns" => required.within_columns = self.number(value),
                _ => self.unknown(key, "[[rules.required]]"),
            }
        }
        required
    }

    fn allowlist(&mut self, value: &Spanned<'_>) -> Allowlist {
        let mut allowlist = Allowlist { line: self.line(value.span().start), ..Allowlist::default() };
        for (key, value) in self.table(value) {
            match lower(key.get_ref()).as_ref() {
                "description" => allowlist.description = self.text(value).unwrap_or_default(),
                "condition" => allowlist.condition = self.text(value).unwrap_or_default(),
                "commits" => allowlist.commits = self.texts(value),
                "paths" => allowlist.paths = self.texts(value),
                "regextarget" => allowlist.regex_target = self.text(value).unwrap_or_default(),
                "regexes" => allowlist.regexes = self.texts(value),
                "stopwords" => allowlist.stopwords = self.texts(value),
                "targetrules" => allowlist.target_rules = self.texts(value),
                _ => self.unknown(key, "an allowlist"),
            }
        }
        allowlist
    }

    /// A list of tables; a table alone is a list of one.
    fn each<T>(&mut self, value: &Spanned<'_>, read: fn(&mut Self, &Spanned<'_>) -> T) -> Vec<T> {
        match value.get_ref() {
            DeValue::Array(items) => items.iter().map(|item| read(self, item)).collect(),
            _ => vec![read(self, value)],
        }
    }

    fn table<'v, 'i>(
        &mut self,
        value: &'v Spanned<'i>,
    ) -> Vec<(&'v toml::Spanned<Cow<'i, str>>, &'v Spanned<'i>)> {
        match value.get_ref() {
            DeValue::Table(table) => table.iter().collect(),
            other => {
                self.wrong(value, "a table", other.type_str());
                Vec::new()
            }
        }
    }

    fn wrong(&mut self, value: &Spanned<'_>, expected: &str, found: &str) {
        self.note(
            value.span().start,
            Weight::PartLost,
            format!("here should be {expected}, not {found}"),
            "change the value's type",
        );
    }

    fn text(&mut self, value: &Spanned<'_>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.clone().into_owned()),
            DeValue::Integer(number) => Some(number.to_string()),
            DeValue::Float(number) => Some(number.to_string()),
            DeValue::Boolean(flag) => Some(u8::from(*flag).to_string()),
            other => {
                self.wrong(value, "a text", other.type_str());
                None
            }
        }
    }

    /// A list of texts; a text alone is cut at its commas.
    fn texts(&mut self, value: &Spanned<'_>) -> Vec<String> {
        match value.get_ref() {
            DeValue::Array(items) => items.iter().filter_map(|item| self.text(item)).collect(),
            DeValue::String(text) if text.is_empty() => Vec::new(),
            DeValue::String(text) => text.split(',').map(str::to_owned).collect(),
            _ => self.text(value).into_iter().collect(),
        }
    }

    /// A list of texts; a text alone is a list of one.
    fn whole_texts(&mut self, value: &Spanned<'_>) -> Vec<String> {
        match value.get_ref() {
            DeValue::Array(items) => items.iter().filter_map(|item| self.text(item)).collect(),
            _ => self.text(value).into_iter().collect(),
        }
    }

    fn number(&mut self, value: &Spanned<'_>) -> Option<i64> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "cut off as the other reader does; what is too large saturates"
            )]
            DeValue::Float(number) => number.as_str().parse::<f64>().ok().map(|number| number as i64),
            DeValue::String(text) => text.parse().ok(),
            DeValue::Boolean(flag) => Some(i64::from(*flag)),
            _ => None,
        };
        if number.is_none() {
            self.wrong(value, "a number", value.get_ref().type_str());
        }
        number
    }

    fn fraction(&mut self, value: &Spanned<'_>) -> f64 {
        let number = match value.get_ref() {
            DeValue::Integer(number) => number.as_str().parse::<f64>().ok(),
            DeValue::Float(number) => number.as_str().parse::<f64>().ok(),
            DeValue::String(text) => text.parse::<f64>().ok(),
            _ => None,
        };
        match number.filter(|number| number.is_finite()) {
            Some(number) => number,
            None => {
                self.wrong(value, "a number", value.get_ref().type_str());
                0.0
            }
        }
    }

    fn flag(&mut self, value: &Spanned<'_>) -> bool {
        match value.get_ref() {
            DeValue::Boolean(flag) => *flag,
            DeValue::Integer(number) => number.as_str() != "0",
            DeValue::String(text) => matches!(text.as_ref(), "1" | "t" | "T" | "true" | "TRUE" | "True"),
            other => {
                self.wrong(value, "true or false", other.type_str());
                false
            }
        }
    }
}

fn lower<'t>(key: &'t str) -> Cow<'t, str> {
    if key.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(key.to_ascii_lowercase())
    } else {
        Cow::Borrowed(key)
    }
}
