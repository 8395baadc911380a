//! Values for some of a file's recipients alone.

use super::arguments::RestrictArgs;
use super::crypt::{encrypted_again, open_for_edit, steps_of};
use super::keys::parsed;
use super::session::Session;
use crate::failure::{Failure, Kind};
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use strongroom_formats::sops::{Format, Opened, Step};
use strongroom_project::sops;

pub fn run(session: &Session, args: &RestrictArgs) -> Result<ExitCode, Failure> {
    let path = args.file.as_path();
    let bytes = session.read(path)?;
    let format = session.input_format(args.input_type.as_deref(), path)?;
    if format == Format::Binary {
        return Err(Failure::usage("a binary file is one value: encrypt it for those whom it is for"));
    }
    let mut opened = open_for_edit(session, format, &bytes, false)?;
    if args.places.is_empty() {
        session.print(&list(&opened).into_bytes().into())?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.recipients.is_empty() && !args.lift {
        return Err(Failure::usage("whom are the values for? --recipient names them, --lift means all"));
    }
    let recipients = parsed(session, &args.recipients)?;
    for place in &args.places {
        let steps = steps_of(session, place)?;
        if opened.tree().at(&steps).is_none() {
            return Err(Failure::missing(format!("there is no {place} in {}", path.display())));
        }
        let is_closed = |value: &&sops::RestrictedValue| !value.is_open() && value.steps.starts_with(&steps);
        if let Some(value) = opened.restricted().iter().find(is_closed) {
            return Err(closed_to_us(value));
        }
        // A value that is restricted already moves to its new recipients.
        let lifted = opened.lift(&|value| value.steps.starts_with(&steps));
        if args.lift && lifted == 0 {
            return Err(Failure::missing(format!("{place} is not restricted")));
        }
        if !args.lift {
            sops::restrict(&mut opened, &|found| found.starts_with(&steps), &recipients, session.keys()?)
                .map_err(|error| session.failure(error))?;
        }
    }
    let encrypted = encrypted_again(session, path, opened, format)?;
    session.replace(path, Some(&bytes), &encrypted)?;
    Ok(ExitCode::SUCCESS)
}

fn list(opened: &Opened) -> String {
    let mut text = String::new();
    for value in opened.restricted() {
        let whose = if value.is_open() { "" } else { " (not for you)" };
        let _ = writeln!(text, "{}: {}{whose}", value.place(), value.recipients());
    }
    text
}

/// Says which values at or below a place are for others.
pub fn tell_closed(session: &Session, path: &Path, opened: &Opened, steps: &[Step]) {
    for value in opened.restricted() {
        if !value.is_open() && value.steps.starts_with(steps) {
            session.note(&format!(
                "{}: {} is restricted to {}",
                path.display(),
                value.place(),
                value.recipients()
            ));
        }
    }
}

/// The error of whoever asks for a value that is for others.
pub fn not_ours(opened: &Opened, steps: &[Step]) -> Failure {
    match opened.restricted().iter().find(|value| value.steps == steps) {
        Some(value) => closed_to_us(value),
        None => Failure::new(Kind::Denied, "the value is restricted to others"),
    }
}

fn closed_to_us(value: &sops::RestrictedValue) -> Failure {
    let message = format!("{} is restricted to {}", value.place(), value.recipients());
    Failure::new(Kind::Denied, message).hint("it opens with the key of any of them, which was not found here")
}
