//! `incident run`: the steps one after another. Each is begun by a change of the incident, done, and ended by another; a run that
//! dies in between begins the same step again, and each step looks first at what is done already.

use super::desk::Desk;
use super::{RunArgs, notify, proof, report, revoke, rotate, show, values};
use crate::context::Context;
use crate::failure::Failure;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use strongroom_api::client::Client;
use strongroom_kernel::incident::{Act, Change, Evidence, Incident, Progress, StepKind};

/// What a step came to.
pub enum Outcome {
    Done(Vec<Evidence>),
    /// There is nothing to be done: why.
    Nothing(String),
    /// It cannot be done: why, and what helps.
    Failed {
        why: String,
        hint: String,
    },
}

impl Outcome {
    pub fn failed(why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Failed { why: why.into(), hint: hint.into() }
    }
}

/// What all steps are given.
pub struct Run<'a> {
    pub context: &'a Context,
    pub args: &'a RunArgs,
    pub desk: Desk,
    pub incident: Incident,
    /// Found before anything is revoked: what is revoked cannot be read any more.
    pub sought: values::Sought,
    pub repository: Option<PathBuf>,
}

pub fn run(context: &Context, args: &RunArgs) -> Result<ExitCode, Failure> {
    let (desk, incident) = Desk::find(context, &args.place, &args.id)?;
    if incident.progress() == Progress::Closed {
        return Err(Failure::other(format!("{} is closed", incident.id))
            .hint(format!("strongroom incident reopen {} --reason …", incident.id)));
    }
    let sought = values::gather(context, args, &desk, &incident)?;
    let repository = super::history::repository(args.repository.as_deref());
    let mut run = Run { context, args, desk, incident, sought, repository };
    if let Some(only) = args.only {
        run.step(only)?;
        return show::changed(context, &run.incident);
    }
    while let Some(next) = run.incident.next().map(|step| step.kind) {
        if !run.step(next)? || args.next {
            break;
        }
    }
    if run.incident.progress() == Progress::Settled && !context.project().quiet {
        context.output.note(&format!("all steps are done: strongroom incident close {}", run.incident.id));
    }
    show::changed(context, &run.incident)
}

impl Run<'_> {
    pub fn client(&self) -> Option<&Client> {
        self.desk.client()
    }

    pub fn tell(&self, text: &str) {
        if !self.context.project().quiet {
            self.context.output.note(text);
        }
    }

    /// Writes down that a part of a step is done.
    pub fn progress(&mut self, step: StepKind, evidence: Evidence) -> Result<(), Failure> {
        self.tell(&format!("  {}: {}", evidence.of, evidence.text));
        self.change(Change::Step { step, act: Act::Progress { evidence: vec![evidence] } })
    }

    fn change(&mut self, change: Change) -> Result<(), Failure> {
        self.incident = self.desk.change(&self.incident, change)?;
        Ok(())
    }

    /// Does a step. False: the person ends the run here.
    fn step(&mut self, step: StepKind) -> Result<bool, Failure> {
        match self.ask(step)? {
            Answer::Do => {}
            Answer::Skip(reason) => {
                self.change(Change::Step { step, act: Act::Skip { reason } })?;
                return Ok(true);
            }
            Answer::Quit => return Ok(false),
        }
        self.change(Change::Step { step, act: Act::Begin { take_over: self.args.take_over } })?;
        self.tell(&format!("{} …", step.as_str()));
        let outcome = match step {
            StepKind::Revoke => revoke::revoke(self),
            StepKind::Rotate => rotate::rotate(self),
            StepKind::Purge => proof::purge(self),
            StepKind::Rescan => proof::rescan(self),
            StepKind::Notify => notify::notify(self),
            StepKind::PostMortem => report::post_mortem(self),
        };
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                // The step stays under way where not even that can be written down: the next run begins it again.
                let reason = format!("it broke off: {}", error.message());
                drop(self.change(Change::Step { step, act: Act::Fail { reason } }));
                return Err(error.doing(format!("doing the step {}", step.as_str())));
            }
        };
        match outcome {
            Outcome::Done(evidence) => {
                evidence.iter().for_each(|one| self.tell(&format!("  {}: {}", one.of, one.text)));
                self.change(Change::Step { step, act: Act::Done { evidence } })?;
                if step == StepKind::PostMortem {
                    // Once more, with this step as it is now.
                    report::write(self)?;
                }
                Ok(true)
            }
            Outcome::Nothing(reason) => {
                self.tell(&format!("  nothing to be done: {reason}"));
                self.change(Change::Step { step, act: Act::Skip { reason } })?;
                Ok(true)
            }
            Outcome::Failed { why, hint } => {
                self.change(Change::Step { step, act: Act::Fail { reason: why.clone() } })?;
                let failure = Failure::other(format!("{} is not done: {why}", step.as_str()));
                Err(if hint.is_empty() { failure } else { failure.hint(hint) })
            }
        }
    }

    fn ask(&self, step: StepKind) -> Result<Answer, Failure> {
        if self.context.project().yes {
            return Ok(Answer::Do);
        }
        if !self.context.may_ask() {
            return Err(Failure::usage(format!("the next step is {}: nobody can be asked", step.as_str()))
                .hint("--yes does the steps without asking"));
        }
        let failed = |error| Failure::other(format!("cannot ask: {error}"));
        loop {
            let mut stderr = std::io::stderr();
            let question = format!("{}\nDo it now? [y]es, [s]kip, [q]uit: ", self.plan(step));
            stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush()).map_err(failed)?;
            let mut line = String::new();
            if std::io::stdin().read_line(&mut line).map_err(failed)? == 0 {
                return Ok(Answer::Quit);
            }
            match line.trim() {
                "y" | "yes" => return Ok(Answer::Do),
                "q" | "quit" => return Ok(Answer::Quit),
                "s" | "skip" => {
                    stderr.write_all(b"Why? ").and_then(|()| stderr.flush()).map_err(failed)?;
                    let mut reason = String::new();
                    std::io::stdin().read_line(&mut reason).map_err(failed)?;
                    return Ok(Answer::Skip(reason.trim().to_owned()));
                }
                _ => {}
            }
        }
    }

    /// What a step would do, for a person.
    fn plan(&self, step: StepKind) -> String {
        let place = self.repository.as_deref().unwrap_or(Path::new(".")).display().to_string();
        let what = match step {
            StepKind::Revoke => revoke::plan(self),
            StepKind::Rotate => rotate::plan(self),
            StepKind::Purge => {
                format!("rewrites the history of {place} without the values; a backup is kept")
            }
            StepKind::Rescan => format!("looks at every object and file of {place} for the values"),
            StepKind::Notify => "tells webhooks, and writes a text for a mail".to_owned(),
            StepKind::PostMortem => "writes the report, in Markdown and HTML".to_owned(),
        };
        format!("{}: {what}", step.as_str())
    }
}

enum Answer {
    Do,
    Skip(String),
    Quit,
}
