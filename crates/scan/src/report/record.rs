use super::redaction::between_characters;
use super::{Redaction, Report, Tool};
use crate::located::{Commit, Located};
use jiff::Timestamp;
use strongroom_detect::Rule;
use strongroom_secret::SecretBytes;

/// What all formats say of one finding, values redacted as asked.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) located: &'a Located,
    pub(crate) rule_id: &'a str,
    pub(crate) description: &'a str,
    pub(crate) rule: Option<&'a Rule>,
    pub(crate) secret: SecretBytes,
    pub(crate) matched: SecretBytes,
    pub(crate) line: SecretBytes,
    pub(crate) fingerprint: String,
}

impl<'a> Record<'a> {
    pub(crate) fn new(located: &'a Located, rule: Option<&'a Rule>, redaction: Redaction) -> Self {
        let finding = &located.finding;
        let secret = finding.secret.expose();
        let rule_id = rule.map_or("", |rule| rule.id.as_str());
        Self {
            located,
            rule_id,
            description: rule.map_or("", |rule| rule.description.as_str()),
            rule,
            secret: redaction.secret(secret),
            matched: redaction.around(finding.matched.expose(), secret),
            line: redaction.around(finding.line.expose(), secret),
            fingerprint: located.fingerprint(rule_id),
        }
    }

    pub(crate) fn author(&self) -> &str {
        self.located.commit.as_deref().map_or("", |commit| &commit.author)
    }

    pub(crate) fn email(&self) -> &str {
        self.located.commit.as_deref().map_or("", |commit| &commit.email)
    }

    /// RFC 3339, in UTC.
    pub(crate) fn date(&self) -> String {
        self.located.commit.as_deref().map_or_else(String::new, date)
    }

    pub(crate) fn message(&self) -> String {
        self.located.commit.as_deref().map_or_else(String::new, |commit| message(&commit.message))
    }
}

/// The author's time.
pub fn date(commit: &Commit) -> String {
    Timestamp::from_second(commit.seconds).map_or_else(|_| String::new(), |time| time.to_string())
}

/// A commit's message as gitleaks has it from `git log`: the lines of the title are joined, white space at the ends
/// of lines is gone, and so are all but one of several empty lines.
pub(super) fn message(text: &str) -> String {
    let mut lines = text.trim_start_matches('\n').lines();
    let title: Vec<&str> = lines.by_ref().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let mut body = String::new();
    let mut empty = false;
    for line in lines.map(str::trim_end) {
        if line.is_empty() {
            empty = true;
            continue;
        }
        if !body.is_empty() {
            body.push_str(if empty { "\n\n" } else { "\n" });
        }
        empty = false;
        body.push_str(line);
    }
    let title = title.join(" ");
    if body.is_empty() { title } else { format!("{title}\n\n{body}") }
}

impl Report<'_> {
    pub(crate) fn record<'a>(&'a self, located: &'a Located) -> Record<'a> {
        let mut record = Record::new(located, self.rules.rule(located.finding.rule), self.redaction);
        if self.tool == Tool::Gitleaks
            && matches!(self.redaction, Redaction::Percent(100..))
            && located.finding.secret.expose().is_empty()
        {
            record.matched = between_characters(located.finding.matched.expose());
        }
        record
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.findings.iter().map(|located| self.record(located))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_as_gitleaks_has_them() {
        assert_eq!(message("one\n"), "one");
        assert_eq!(message("one\ntwo  \n\n\nthree \nfour\n\n\nfive\n\n"), "one two\n\nthree\nfour\n\nfive");
    }
}
