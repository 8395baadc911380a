use super::BaselineError;
use crate::located::Located;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::BTreeMap;
use strongroom_detect::RuleSet;
use strongroom_secret::Entropy;

const HEAD: &str = "# strongroom baseline 1";
const KEY_WORD: &str = "# key ";
const KEY_BYTES: usize = 32;
/// Two findings of one baseline are the same to 2^-128.
const TAG_BYTES: usize = 16;
const ADVICE: &str = "take the file from version control again, or make it anew with `scan baseline create`";

/// Findings that are known, by what they are and not by where they stand: the HMAC-SHA256 of rule and secret, under a
/// key of the file's own. It survives moved lines, renamed files, squashed and rebased commits.
///
/// The file is text: a head, then one entry a line, sorted, without times, so that two branches that each add entries
/// can be merged. The key is in the file: whoever has it can try whether a value that he guesses is among the entries,
/// so a short password in a baseline is not safe from being guessed. That is what a baseline in plain text, or one of
/// unkeyed hashes, gives away for every secret at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    key: [u8; KEY_BYTES],
    entries: BTreeMap<Tag, Entry>,
}

type Tag = [u8; TAG_BYTES];

/// What a person said of a finding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Label {
    /// Nobody has looked at it.
    #[default]
    Unknown,
    /// It is a secret, and is dealt with elsewhere.
    True,
    /// It is none.
    False,
}

impl Label {
    pub const ALL: [Self; 3] = [Self::Unknown, Self::True, Self::False];

    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::True => "true",
            Self::False => "false",
        }
    }

    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|label| label.word() == word)
    }
}

/// One known finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub label: Label,
    pub rule_id: String,
    /// Where it was seen when it became known: for people, not for comparing.
    pub path: String,
}

/// What an update did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    pub added: usize,
    pub removed: usize,
    pub kept: usize,
}

/// A finding as an audit shows it: what a screen needs, and no plaintext but what the caller takes from the finding.
#[derive(Debug, Clone)]
pub struct Audited<'a> {
    pub located: &'a Located,
    pub rule_id: &'a str,
    pub label: Label,
    /// In the baseline already; else it is new.
    pub known: bool,
    tag: Tag,
}

impl Baseline {
    pub fn new(entropy: &dyn Entropy) -> Self {
        let mut key = [0; KEY_BYTES];
        entropy.fill(&mut key);
        Self { key, entries: BTreeMap::new() }
    }

    /// The name is for messages.
    pub fn parse(text: &str, name: &str) -> Result<Self, BaselineError> {
        let malformed = |line: usize, message: &str| BaselineError::Malformed {
            file: name.to_owned(),
            line,
            message: message.to_owned(),
            advice: ADVICE,
        };
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        match lines.next() {
            Some((_, HEAD)) => {}
            Some((_, line)) if line.starts_with("# strongroom baseline ") => {
                return Err(malformed(1, "it was written by a newer version"));
            }
            _ => return Err(malformed(1, "it does not begin with \"# strongroom baseline 1\"")),
        }
        let key = lines.next().and_then(|(_, line)| line.strip_prefix(KEY_WORD));
        let mut baseline = Self { key: [0; KEY_BYTES], entries: BTreeMap::new() };
        let decoded = key.map(|key| hex::decode_to_slice(key.trim(), &mut baseline.key));
        if !matches!(decoded, Some(Ok(()))) {
            return Err(malformed(2, "the key is not 64 hexadecimal digits after \"# key \""));
        }
        for (number, line) in lines {
            if line.starts_with("<<<<<<<") || line.starts_with("=======") || line.starts_with(">>>>>>>") {
                return Err(malformed(
                    number,
                    "it has the marks of a merge conflict: keep both sides' lines",
                ));
            }
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (tag, entry) = parse_entry(line).map_err(|message| malformed(number, message))?;
            baseline.insert(tag, entry);
        }
        Ok(baseline)
    }

    /// Two branches may both have an entry, with different labels: what somebody said counts more than nothing, and
    /// that it is a secret more than that it is none.
    fn insert(&mut self, tag: Tag, entry: Entry) {
        let rank = |label| match label {
            Label::Unknown => 0,
            Label::False => 1,
            Label::True => 2,
        };
        match self.entries.get_mut(&tag) {
            Some(known) if rank(known.label) >= rank(entry.label) => {}
            Some(known) => known.label = entry.label,
            None => drop(self.entries.insert(tag, entry)),
        }
    }

    pub fn to_text(&self) -> String {
        let mut text = format!("{HEAD}\n{KEY_WORD}{}\n", hex::encode(self.key));
        for (tag, entry) in &self.entries {
            let Entry { label, rule_id, path } = entry;
            let tag = hex::encode(tag);
            let line = format!("{tag} {} {} {}", label.word(), escaped(rule_id), escaped(path));
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The length of the rule's id is part of what is hashed: two different pairs are never the same bytes.
    fn tag(&self, rule_id: &str, secret: &[u8]) -> Tag {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else {
            return [0; TAG_BYTES];
        };
        mac.update(&(rule_id.len() as u64).to_be_bytes());
        mac.update(rule_id.as_bytes());
        mac.update(secret);
        let whole = mac.finalize().into_bytes();
        let mut tag = [0; TAG_BYTES];
        for (to, from) in tag.iter_mut().zip(whole) {
            *to = from;
        }
        tag
    }

    fn tag_of(&self, located: &Located, rule_id: &str) -> Tag {
        self.tag(rule_id, located.finding.secret.expose())
    }

    /// Which entry a finding is, by its place in the order of the file.
    pub(super) fn position(&self, located: &Located, rule_id: &str) -> Option<usize> {
        let tag = self.tag_of(located, rule_id);
        self.entries.contains_key(&tag).then(|| self.entries.range(..tag).count())
    }

    pub fn entry(&self, located: &Located, rule_id: &str) -> Option<&Entry> {
        self.entries.get(&self.tag_of(located, rule_id))
    }

    /// Makes the findings known. Labels stay; what is not found any more goes if `found` is all there is.
    pub fn update(&mut self, found: &[Located], rules: &RuleSet, scope: Scope) -> Change {
        let mut change = Change::default();
        let mut seen: BTreeMap<Tag, Entry> = BTreeMap::new();
        for located in found {
            let rule_id = rule_id(located, rules);
            let entry =
                Entry { label: Label::Unknown, rule_id: rule_id.to_owned(), path: located.path.clone() };
            seen.entry(self.tag_of(located, rule_id))
                .and_modify(|first| first.path = first.path.clone().min(entry.path.clone()))
                .or_insert(entry);
        }
        if scope == Scope::Everything {
            let before = self.entries.len();
            self.entries.retain(|tag, _| seen.contains_key(tag));
            change.removed = before - self.entries.len();
        }
        change.kept = self.entries.len();
        for (tag, entry) in seen {
            self.entries.entry(tag).or_insert(entry);
        }
        change.added = self.entries.len() - change.kept;
        change
    }

    /// The findings for a screen that walks through them: one for each secret and rule, the unlabelled first.
    pub fn audit<'a>(&self, found: &'a [Located], rules: &'a RuleSet) -> Vec<Audited<'a>> {
        let mut seen = std::collections::BTreeSet::new();
        let mut list = Vec::new();
        for located in found {
            let rule_id = rule_id(located, rules);
            let tag = self.tag_of(located, rule_id);
            if seen.insert(tag) {
                let entry = self.entries.get(&tag);
                let label = entry.map(|entry| entry.label).unwrap_or_default();
                list.push(Audited { located, rule_id, label, known: entry.is_some(), tag });
            }
        }
        list.sort_by_key(|audited| audited.label != Label::Unknown);
        list
    }

    /// Keeps what was said of a finding, and makes it known.
    pub fn set_label(&mut self, audited: &mut Audited<'_>, label: Label) {
        audited.label = label;
        audited.known = true;
        let entry = self.entries.entry(audited.tag).or_insert_with(|| Entry {
            label,
            rule_id: audited.rule_id.to_owned(),
            path: audited.located.path.clone(),
        });
        entry.label = label;
    }

    /// How many entries have which label.
    pub fn counts(&self) -> BTreeMap<Label, usize> {
        let mut counts = BTreeMap::new();
        for entry in self.entries.values() {
            *counts.entry(entry.label).or_default() += 1;
        }
        counts
    }
}

/// What a list of findings is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All that the baseline is for: an entry that is not in it is gone.
    Everything,
    /// A part: nothing is taken out.
    Part,
}

fn rule_id<'a>(located: &Located, rules: &'a RuleSet) -> &'a str {
    rules.rules.get(located.finding.rule).map_or("", |rule| rule.id.as_str())
}

fn parse_entry(line: &str) -> Result<(Tag, Entry), &'static str> {
    let mut words = line.splitn(4, ' ');
    let mut tag = [0; TAG_BYTES];
    let digits = words.next().unwrap_or_default();
    hex::decode_to_slice(digits, &mut tag).map_err(|_| "an entry begins with 32 hexadecimal digits")?;
    let label = words.next().and_then(Label::of_word).ok_or("the second word is true, false or unknown")?;
    let rule_id = words.next().filter(|word| !word.is_empty()).ok_or("the third word is the rule's id")?;
    let path = words.next().unwrap_or_default();
    Ok((tag, Entry { label, rule_id: unescaped(rule_id), path: unescaped(path) }))
}

/// A word without spaces, a path without line ends.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '%' => out.push_str("%25"),
            ' ' => out.push_str("%20"),
            control if control.is_control() => {
                let mut bytes = [0; 4];
                for byte in control.encode_utf8(&mut bytes).bytes() {
                    out.push_str(&format!("%{byte:02X}"));
                }
            }
            other => out.push(other),
        }
    }
    out
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let mut byte = [0];
        match tail.get(..2) {
            Some(digits) if *first == b'%' && hex::decode_to_slice(digits, &mut byte).is_ok() => {
                bytes.extend_from_slice(&byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
