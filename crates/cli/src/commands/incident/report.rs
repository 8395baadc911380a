//! The step `post-mortem`, and `incident report`: all of an incident as one file for people, in Markdown or HTML.

mod html;
mod markdown;
mod timeline;
pub mod words;

use super::desk::{Desk, Folder};
use super::run::{Outcome, Run};
use super::{ReportArgs, evidence};
use crate::context::Context;
use crate::failure::Failure;
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use strongroom_kernel::incident::Incident;
use strongroom_project::files::{self, Links};

const REPORT_BYTES_MAX: u64 = 16 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    Markdown,
    Html,
}

/// `incident report`: to a file, or to standard output.
pub fn run(context: &Context, args: &ReportArgs) -> Result<ExitCode, Failure> {
    let (_, incident) = Desk::find(context, &args.place, &args.id)?;
    let by_ending = args.output.as_deref().and_then(Path::extension).is_some_and(|ending| ending == "html");
    let form = args.form.unwrap_or(if by_ending { Form::Html } else { Form::Markdown });
    let text = render(&incident, form);
    match &args.output {
        Some(path) => {
            replace(path, &text)?;
            context.output.success(&format!("The report is in {}.", path.display()))
        }
        None => context.output.text(&text),
    }
}

pub fn render(incident: &Incident, form: Form) -> String {
    match form {
        Form::Markdown => markdown::render(incident),
        Form::Html => html::render(incident),
    }
}

pub fn post_mortem(run: &mut Run<'_>) -> Result<Outcome, Failure> {
    let written = write(run)?;
    let shown = |path: &PathBuf| evidence("report", &path.display().to_string());
    let mut evidence: Vec<_> = written.iter().map(shown).collect();
    if let [first, second] = evidence.as_mut_slice() {
        (first.of, second.of) = ("report in Markdown".to_owned(), "report in HTML".to_owned());
    }
    Ok(Outcome::Done(evidence))
}

/// Writes both forms beside each other.
pub fn write(run: &Run<'_>) -> Result<Vec<PathBuf>, Failure> {
    let folder = match &run.args.report_folder {
        Some(folder) => folder.clone(),
        None => {
            let folder = Folder::place(run.context)?;
            super::desk::make_folder(&folder)?;
            folder
        }
    };
    let mut written = Vec::new();
    for (form, ending) in [(Form::Markdown, "md"), (Form::Html, "html")] {
        let path = folder.join(format!("{}.{ending}", run.incident.id));
        replace(&path, &render(&run.incident, form))?;
        written.push(path);
    }
    Ok(written)
}

fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    files::change(path, Links::Refuse, REPORT_BYTES_MAX)?.replace(text.as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests;
