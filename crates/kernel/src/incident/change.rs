//! How an incident changes: all its transitions, and when they are refused.

use super::model::{
    Access, Closing, Event, Evidence, Facts, Incident, Leaked, Reader, Sighting, Step, StepKind, StepState,
};
use serde::{Deserialize, Serialize};
use strongroom_secret::Timestamp;

/// Texts that people write: titles, reasons, notes.
pub const TEXT_BYTES_MAX: usize = 4096;
/// Names, places, ids.
pub const NAME_BYTES_MAX: usize = 1024;
const SECRETS_MAX: usize = 100;
const FINDINGS_MAX: usize = 200;
const READERS_MAX: usize = 200;
const ACCESSES_MAX: usize = 500;
const REFS_MAX: usize = 50;
const HANDLES_MAX: usize = 100;
const EVIDENCE_MAX: usize = 100;
const EVENTS_MAX: usize = 500;

/// What somebody does to an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    Step {
        step: StepKind,
        #[serde(flatten)]
        act: Act,
    },
    /// More is known.
    Learn {
        facts: Box<Facts>,
    },
    Note {
        text: String,
    },
    Close {
        #[serde(default)]
        note: String,
        /// Although steps are open.
        #[serde(default)]
        force: bool,
    },
    Reopen {
        reason: String,
    },
}

/// What somebody does to a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum Act {
    /// Somebody is at it from now on. Who was at it before and stopped in the middle goes on by the same; somebody else takes
    /// it over.
    Begin {
        #[serde(default)]
        take_over: bool,
    },
    /// A part of it is done.
    Progress {
        evidence: Vec<Evidence>,
    },
    Done {
        evidence: Vec<Evidence>,
    },
    Skip {
        reason: String,
    },
    Fail {
        reason: String,
    },
    /// It is to be done again.
    Reopen {
        reason: String,
    },
}

/// Who changes something, and when.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    pub name: &'a str,
    pub at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "the incident is at revision {is}, and revision {seen} was seen: somebody changed it in between; look again"
    )]
    Revision { seen: u64, is: u64 },
    #[error("the incident is closed: reopen it first")]
    Closed,
    #[error("the incident is not closed")]
    NotClosed,
    #[error("{0}")]
    Step(String),
    #[error("these steps are neither done nor skipped: {0}")]
    Unsettled(String),
    #[error("{0}")]
    Invalid(String),
}

impl Incident {
    /// A new one. Rotation comes first where the server can do it: taking the current version away would stop those who need it.
    pub fn open(id: String, title: &str, facts: Facts, by: By<'_>) -> Result<Self, Refusal> {
        let title = written("title", title)?;
        let mut incident = Self {
            id,
            revision: 1,
            title,
            opened: by.at,
            opened_by: clean(by.name, NAME_BYTES_MAX),
            closed: None,
            facts: Facts::default(),
            steps: Vec::new(),
            events: Vec::new(),
            events_dropped: 0,
        };
        incident.note(by, None, "opened".to_owned());
        incident.facts.add(facts);
        incident.steps = order(&incident.facts).into_iter().map(Step::new).collect();
        Ok(incident)
    }

    /// Changes it, if nobody did since `seen`.
    pub fn apply(&mut self, change: Change, by: By<'_>, seen: u64) -> Result<(), Refusal> {
        if seen != self.revision {
            return Err(Refusal::Revision { seen, is: self.revision });
        }
        if self.closed.is_some() && !matches!(change, Change::Reopen { .. } | Change::Note { .. }) {
            return Err(Refusal::Closed);
        }
        match change {
            Change::Step { step, act } => self.change_step(step, act, by)?,
            Change::Learn { facts } => {
                self.facts.add(*facts);
                self.note(by, None, "more is known".to_owned());
            }
            Change::Note { text } => {
                let text = written("note", &text)?;
                self.note(by, None, text);
            }
            Change::Close { note, force } => self.close(&note, force, by)?,
            Change::Reopen { reason } => {
                let reason = written("reason", &reason)?;
                self.closed.take().ok_or(Refusal::NotClosed)?;
                self.note(by, None, format!("reopened: {reason}"));
            }
        }
        self.revision += 1;
        Ok(())
    }

    fn close(&mut self, note: &str, force: bool, by: By<'_>) -> Result<(), Refusal> {
        let open = self.steps.iter().filter(|step| !step.state.is_settled());
        let open: Vec<&str> = open.map(|step| step.kind.as_str()).collect();
        if !open.is_empty() && !force {
            return Err(Refusal::Unsettled(open.join(", ")));
        }
        if force && !open.is_empty() && note.trim().is_empty() {
            return Err(Refusal::Invalid(
                "who closes an incident with open steps says why (note)".to_owned(),
            ));
        }
        let is_forced = !open.is_empty();
        let note = clean(note, TEXT_BYTES_MAX);
        let said = if note.is_empty() { "closed".to_owned() } else { format!("closed: {note}") };
        self.note(by, None, said);
        self.closed = Some(Closing { at: by.at, by: clean(by.name, NAME_BYTES_MAX), note, is_forced });
        Ok(())
    }

    fn change_step(&mut self, kind: StepKind, act: Act, by: By<'_>) -> Result<(), Refusal> {
        let step = self.steps.iter_mut().find(|step| step.kind == kind);
        let step =
            step.ok_or_else(|| Refusal::Invalid(format!("the incident has no step {}", kind.as_str())))?;
        let said = step.act(act, by)?;
        self.note(by, Some(kind), said);
        Ok(())
    }

    fn note(&mut self, by: By<'_>, step: Option<StepKind>, text: String) {
        if self.events.len() >= EVENTS_MAX {
            // The beginning and the end of a long history are worth most.
            self.events.remove(EVENTS_MAX / 2);
            self.events_dropped += 1;
        }
        let text = clean(&text, TEXT_BYTES_MAX);
        self.events.push(Event { at: by.at, by: clean(by.name, NAME_BYTES_MAX), step, text });
    }
}

impl Step {
    fn new(kind: StepKind) -> Self {
        Self {
            kind,
            state: StepState::Open,
            by: String::new(),
            at: None,
            reason: String::new(),
            evidence: Vec::new(),
        }
    }

    /// Does it, and says what was done.
    fn act(&mut self, act: Act, by: By<'_>) -> Result<String, Refusal> {
        use StepState::{Done, Failed, Open, Skipped, UnderWay};
        let wrong = |step: &Self, to: &str| {
            let (kind, state) = (step.kind.as_str(), step.state.as_str());
            Err(Refusal::Step(format!("{kind} is {state}: it cannot be {to}")))
        };
        let said = match (act, self.state) {
            (Act::Begin { take_over: false }, UnderWay) if self.by != by.name => {
                let since = self.at.map(|at| format!(" since {at}")).unwrap_or_default();
                let kind = self.kind.as_str();
                return Err(Refusal::Step(format!(
                    "{} has been at {kind}{since}: take it over if they are not any more",
                    self.by
                )));
            }
            (Act::Begin { .. }, Open | Failed) => self.go(UnderWay, String::new(), by, "begun"),
            (Act::Begin { .. }, UnderWay) => self.go(UnderWay, String::new(), by, "begun again"),
            (Act::Begin { .. }, Done | Skipped) => return wrong(self, "begun; reopen it first"),
            // What was begun goes on by itself: a webhook hears in the end.
            (Act::Progress { evidence }, UnderWay | Failed) => {
                let said = self.show(evidence, by)?;
                format!("went on: {said}")
            }
            (Act::Progress { .. }, _) => return wrong(self, "gone on with; begin it first"),
            (Act::Done { evidence }, Open | UnderWay | Failed) => {
                let said = self.show(evidence, by)?;
                if self.evidence.is_empty() {
                    return Err(Refusal::Invalid(
                        "who says that a step is done says what shows it (evidence)".to_owned(),
                    ));
                }
                self.go(Done, String::new(), by, "done");
                if said.is_empty() { "done".to_owned() } else { format!("done: {said}") }
            }
            (Act::Done { .. }, Done | Skipped) => return wrong(self, "done again; reopen it first"),
            (Act::Skip { reason }, Open | UnderWay | Failed) => {
                self.go(Skipped, written("reason", &reason)?, by, "skipped")
            }
            (Act::Skip { .. }, Done | Skipped) => return wrong(self, "skipped; reopen it first"),
            (Act::Fail { reason }, UnderWay) => self.go(Failed, written("reason", &reason)?, by, "failed"),
            (Act::Fail { .. }, _) => return wrong(self, "failed; begin it first"),
            (Act::Reopen { reason }, Done | Skipped | Failed) => {
                let reason = written("reason", &reason)?;
                let said = self.go(Open, reason, by, "reopened");
                self.reason.clear();
                // What showed that it was done does not show that it was done again.
                self.evidence.clear();
                said
            }
            (Act::Reopen { .. }, Open | UnderWay) => return wrong(self, "reopened"),
        };
        Ok(said)
    }

    fn go(&mut self, state: StepState, reason: String, by: By<'_>, said: &str) -> String {
        let text = if reason.is_empty() { said.to_owned() } else { format!("{said}: {reason}") };
        (self.state, self.reason, self.at) = (state, reason, Some(by.at));
        self.by = clean(by.name, NAME_BYTES_MAX);
        text
    }

    /// Adds what shows that something was done; says it in one line.
    fn show(&mut self, evidence: Vec<Evidence>, by: By<'_>) -> Result<String, Refusal> {
        let mut said = Vec::new();
        for mut one in evidence {
            one.of = written("evidence.of", &one.of)?;
            one.text = clean(&one.text, TEXT_BYTES_MAX);
            one.at = by.at;
            said.push(if one.text.is_empty() { one.of.clone() } else { format!("{}: {}", one.of, one.text) });
            let is_full = self.evidence.len() >= EVIDENCE_MAX;
            match self.evidence.iter_mut().find(|known| known.of == one.of) {
                Some(known) => *known = one,
                None if is_full => {
                    return Err(Refusal::Invalid(format!(
                        "a step has at most {EVIDENCE_MAX} pieces of evidence"
                    )));
                }
                None => self.evidence.push(one),
            }
        }
        Ok(said.join("; "))
    }
}

/// The steps, in the order in which they are best done.
fn order(facts: &Facts) -> [StepKind; 6] {
    let mut order = StepKind::ALL;
    if facts.secrets.iter().any(|secret| secret.has_plan) {
        order.swap(0, 1);
    }
    order
}

impl Facts {
    /// Takes in what others know; what is known already changes where the other says more.
    pub fn add(&mut self, other: Self) {
        for secret in other.secrets {
            let secret = secret.cleaned();
            let is_it = |known: &&mut Leaked| {
                (&known.name, &known.field, known.version) == (&secret.name, &secret.field, secret.version)
            };
            match self.secrets.iter_mut().find(is_it) {
                Some(known) => *known = secret,
                None => push_within(&mut self.secrets, secret, SECRETS_MAX),
            }
        }
        for seen in other.findings {
            let seen = seen.cleaned();
            let is_it = |known: &&mut Sighting| {
                (&known.path, known.line, &known.commit, &known.rule)
                    == (&seen.path, seen.line, &seen.commit, &seen.rule)
            };
            match self.findings.iter_mut().find(is_it) {
                Some(known) => *known = seen,
                None => push_within(&mut self.findings, seen, FINDINGS_MAX),
            }
        }
        for reader in other.readers.into_iter().map(Reader::cleaned) {
            if !self.readers.contains(&reader) {
                push_within(&mut self.readers, reader, READERS_MAX);
            }
        }
        self.accesses_omitted = self.accesses_omitted.saturating_add(other.accesses_omitted);
        for access in other.accesses.into_iter().map(Access::cleaned) {
            let is_it = |known: &Access| {
                (known.time, &known.request, &known.path) == (access.time, &access.request, &access.path)
            };
            match self.accesses.iter().any(is_it) {
                true => {}
                false if self.accesses.len() >= ACCESSES_MAX => self.accesses_omitted += 1,
                false => self.accesses.push(access),
            }
        }
        self.accesses.sort_by_key(|access| access.time);
        for (own, others) in [
            (&mut self.leases, other.leases),
            (&mut self.accessors, other.accessors),
            (&mut self.unknown, other.unknown),
        ] {
            for text in others.iter().map(|text| clean(text, NAME_BYTES_MAX)) {
                if !text.is_empty() && !own.contains(&text) {
                    push_within(own, text, HANDLES_MAX);
                }
            }
        }
    }
}

fn push_within<T>(list: &mut Vec<T>, item: T, count_max: usize) {
    if list.len() < count_max {
        list.push(item);
    }
}

impl Leaked {
    fn cleaned(mut self) -> Self {
        self.name = clean(&self.name, NAME_BYTES_MAX);
        self.field = self.field.map(|field| clean(&field, NAME_BYTES_MAX));
        self.kept_by = clean(&self.kept_by, NAME_BYTES_MAX);
        self
    }
}

impl Sighting {
    fn cleaned(mut self) -> Self {
        let texts = [
            &mut self.path,
            &mut self.rule,
            &mut self.fingerprint,
            &mut self.commit,
            &mut self.author,
            &mut self.origin,
            &mut self.object,
        ];
        texts.into_iter().for_each(|text| *text = clean(text, NAME_BYTES_MAX));
        for names in [&mut self.refs, &mut self.remotes] {
            names.truncate(REFS_MAX);
            names.iter_mut().for_each(|name| *name = clean(name, NAME_BYTES_MAX));
        }
        self
    }
}

impl Reader {
    fn cleaned(self) -> Self {
        let Self { kind, name, by } = self;
        Self {
            kind: clean(&kind, NAME_BYTES_MAX),
            name: clean(&name, NAME_BYTES_MAX),
            by: clean(&by, NAME_BYTES_MAX),
        }
    }
}

impl Access {
    fn cleaned(mut self) -> Self {
        let texts = [
            &mut self.who,
            &mut self.entity,
            &mut self.accessor,
            &mut self.from,
            &mut self.operation,
            &mut self.path,
            &mut self.request,
            &mut self.error,
        ];
        texts.into_iter().for_each(|text| *text = clean(text, NAME_BYTES_MAX));
        self
    }
}

/// Names of files and paths of the API are made of ids.
pub fn is_id(id: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !id.is_empty() && id.len() <= 64 && id.bytes().all(is_plain)
}

/// A text that has to be there.
fn written(what: &str, text: &str) -> Result<String, Refusal> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Refusal::Invalid(format!("{what} has more than {TEXT_BYTES_MAX} bytes")));
    }
    let text = clean(text, TEXT_BYTES_MAX);
    if text.is_empty() { Err(Refusal::Invalid(format!("{what} is empty"))) } else { Ok(text) }
}

/// On one line, without what a terminal would obey (control characters, and marks that turn the direction of text), and short.
fn clean(text: &str, bytes_max: usize) -> String {
    let is_mark =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut cleaned = String::new();
    for c in text.trim().chars().map(|c| if c.is_control() || is_mark(c) { ' ' } else { c }) {
        if cleaned.len() + c.len_utf8() > bytes_max {
            break;
        }
        cleaned.push(c);
    }
    cleaned.truncate(cleaned.trim_end().len());
    cleaned
}

#[cfg(test)]
mod tests;
