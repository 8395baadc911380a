//! Who can decrypt: by the rules (`updatekeys`), by group, one by one; and what a file says about itself.

use super::arguments::{
    GroupAddArgs, GroupDeleteArgs, GroupsCommand, KeyArgs, RecipientsArgs, RecipientsCommand, StatusArgs,
    TargetArgs, UpdateKeysArgs,
};
use super::crypt::open_for_edit;
use super::many::{self, Pick};
use super::session::{Session, Voice};
use crate::failure::Failure;
use serde_json::json;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use strongroom_formats::sops::{Encrypted, Metadata, Recipient};
use strongroom_project::sops::recipients::recognise;
use strongroom_project::sops::{
    Difference, KeyChange, SopsError, change_keys, differences, regroup, rotate, update_keys, with_new_keys,
};

pub fn update(session: &Session, args: &UpdateKeysArgs) -> Result<ExitCode, Failure> {
    let files = match session.voice {
        Voice::Sops => args.files.clone(),
        Voice::Ours => many::expand(session, &args.files, Pick::Encrypted)?,
    };
    // Questions come one after the other.
    if !args.yes {
        for file in &files {
            update_one(session, file, args)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    many::all(session, &files, |path| update_one(session, path, args))
}

fn update_one(session: &Session, path: &Path, args: &UpdateKeysArgs) -> Result<(), Failure> {
    if path.is_dir() {
        return Err(Failure::usage("can't operate on a directory"));
    }
    let bytes = session.read(path)?;
    let format = session.input_format(args.input_type.as_deref(), path)?;
    let encrypted = Encrypted::read(format, bytes.expose()).map_err(|error| session.failure(error.into()))?;
    let Some(config) = session.config_for(path)? else {
        let looked_from = session.absolute(path);
        return Err(session.failure(SopsError::NoKeys { looked_from }));
    };
    let absolute = session.absolute(path);
    let Some(rule) = config.creation_rule(&absolute).map_err(|error| session.failure(error.into()))? else {
        let message = format!("The config file {} does not contain any creation rule", config.path.display());
        return Err(Failure::missing(message));
    };
    let before = encrypted.metadata.threshold;
    let threshold = args.shamir_secret_sharing_threshold.unwrap_or(before);
    let threshold = threshold.min(u8::try_from(rule.groups.len()).unwrap_or(u8::MAX));
    let changes = differences(&encrypted.metadata.groups, &rule.groups);
    let same = changes.iter().all(|change| change.added.is_empty() && change.removed.is_empty());
    if same && threshold == before {
        session.note(&format!("File {} already up to date", absolute.display()));
        return Ok(());
    }
    if !args.yes || session.voice == Voice::Sops {
        print!("{}", shown(&changes, before, threshold));
    }
    if !args.yes && !session.confirm("Is this okay? (y/n):")? {
        session.note(&format!("File {} left unchanged", absolute.display()));
        return Ok(());
    }
    let keys = session.keys()?;
    let updated = match session.voice {
        Voice::Sops => update_keys(encrypted, &rule.groups, threshold, keys),
        Voice::Ours => {
            let opened = open_for_edit(session, format, &bytes, false)?;
            regroup(opened, &rule.groups, threshold, keys, session.seal())
        }
    };
    let updated = updated.map_err(|error| session.failure(error))?;
    session.replace(path, Some(&bytes), &updated)?;
    session.note(&format!("File {} synced with new keys", absolute.display()));
    Ok(())
}

/// The changes, group by group, as sops shows them.
fn shown(changes: &[Difference], before: u8, after: u8) -> String {
    let colour = |text: String, code: u8| {
        if std::io::stdout().is_terminal() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text }
    };
    let mut text = "The following changes will be made to the file's groups:\n".to_owned();
    if before > 0 && before == after {
        let _ = writeln!(text, "shamir_threshold: {after}");
    } else {
        if after > 0 {
            let _ = writeln!(text, "{}", colour(format!("+++ shamir_threshold: {after}"), 32));
        }
        if before > 0 {
            let _ = writeln!(text, "{}", colour(format!("--- shamir_threshold: {before}"), 31));
        }
    }
    for (number, change) in changes.iter().enumerate() {
        let _ = writeln!(text, "Group {}", number + 1);
        for key in &change.common {
            let _ = writeln!(text, "    {key}");
        }
        for key in &change.added {
            let _ = writeln!(text, "{}", colour(format!("+++ {key}"), 32));
        }
        for key in &change.removed {
            let _ = writeln!(text, "{}", colour(format!("--- {key}"), 31));
        }
    }
    text
}

pub fn groups(session: &Session, command: &GroupsCommand) -> Result<ExitCode, Failure> {
    match command {
        GroupsCommand::Add(args) => add_group(session, args),
        GroupsCommand::Delete(args) => delete_group(session, args),
    }
}

fn add_group(session: &Session, args: &GroupAddArgs) -> Result<ExitCode, Failure> {
    let list = |texts: &[String]| (!texts.is_empty()).then(|| texts.join(","));
    let keys = KeyArgs {
        age: list(&args.age),
        pgp: list(&args.pgp),
        kms: list(&args.kms),
        aws_profile: args.aws_profile.clone(),
        encryption_context: args.encryption_context.clone(),
        gcp_kms: list(&args.gcp_kms),
        hckms: list(&args.hckms),
        azure_kv: list(&args.azure_kv),
        hc_vault_transit: list(&args.hc_vault_transit),
    };
    let group = session.recipients(&keys)?;
    change_groups(session, &args.file, args.in_place, args.shamir_secret_sharing_threshold, |groups| {
        groups.push(group);
        Ok(())
    })
}

fn delete_group(session: &Session, args: &GroupDeleteArgs) -> Result<ExitCode, Failure> {
    change_groups(session, &args.file, args.in_place, args.shamir_secret_sharing_threshold, |groups| {
        if args.index >= groups.len() {
            return Err(Failure::missing(format!(
                "there is no group {}: the file has {}",
                args.index,
                groups.len()
            )));
        }
        groups.remove(args.index);
        Ok(())
    })
}

fn change_groups(
    session: &Session,
    path: &Path,
    in_place: bool,
    threshold: Option<u8>,
    change: impl FnOnce(&mut Vec<Vec<Recipient>>) -> Result<(), Failure>,
) -> Result<ExitCode, Failure> {
    let bytes = session.read(path)?;
    let format = session.input_format(None, path)?;
    let encrypted = Encrypted::read(format, bytes.expose()).map_err(|error| session.failure(error.into()))?;
    let mut groups = groups_of(&encrypted.metadata);
    change(&mut groups)?;
    let threshold = threshold.unwrap_or(encrypted.metadata.threshold);
    if groups.len() < usize::from(threshold) {
        let count = groups.len();
        let message = format!(
            "removing this key group will make the Shamir threshold impossible to satisfy: \
             Shamir threshold is {threshold}, but we only have {count} key groups"
        );
        return Err(Failure::usage(message));
    }
    let updated = match session.voice {
        Voice::Sops => update_keys(encrypted, &groups, threshold, session.keys()?),
        Voice::Ours => {
            let opened = open_for_edit(session, format, &bytes, false)?;
            regroup(opened, &groups, threshold, session.keys()?, session.seal())
        }
    };
    let updated = updated.map_err(|error| session.failure(error))?;
    session.write(Some(path), &TargetArgs { in_place, output: None }, Some(&bytes), &updated)?;
    Ok(ExitCode::SUCCESS)
}

fn groups_of(metadata: &Metadata) -> Vec<Vec<Recipient>> {
    metadata.groups.iter().map(|group| group.iter().map(|key| key.recipient.clone()).collect()).collect()
}

pub fn recipients(session: &Session, command: &RecipientsCommand) -> Result<ExitCode, Failure> {
    match command {
        RecipientsCommand::List(args) => list(session, args),
        RecipientsCommand::Add(args) => {
            let change = KeyChange { add: parsed(session, &args.recipients)?, remove: Vec::new() };
            change_recipients(session, args, &change)
        }
        RecipientsCommand::Remove(args) => {
            let change = KeyChange { add: Vec::new(), remove: parsed(session, &args.recipients)? };
            change_recipients(session, args, &change)
        }
    }
}

pub fn parsed(session: &Session, texts: &[String]) -> Result<Vec<Recipient>, Failure> {
    texts.iter().map(|text| recognise(text).map_err(|error| session.failure(error.into()))).collect()
}

fn list(session: &Session, args: &StatusArgs) -> Result<ExitCode, Failure> {
    let files = many::expand(session, &args.files, Pick::Encrypted)?;
    let several = files.len() > 1;
    let mut text = String::new();
    for path in &files {
        let bytes = session.read(path)?;
        let format = session.input_format(args.input_type.as_deref(), path)?;
        let metadata =
            Encrypted::read(format, bytes.expose()).map_err(|error| session.failure(error.into()))?.metadata;
        let groups = metadata.groups.len();
        for (number, group) in metadata.groups.iter().enumerate() {
            for key in group {
                if several {
                    let _ = write!(text, "{}: ", path.display());
                }
                if groups > 1 {
                    let _ = write!(
                        text,
                        "group {}, {} of {groups} needed: ",
                        number + 1,
                        metadata.groups_needed()
                    );
                }
                let _ = writeln!(text, "{} {}", key.recipient.kind().name(), key.recipient);
            }
        }
    }
    session.print(&text.into_bytes().into())?;
    Ok(ExitCode::SUCCESS)
}

/// Whoever is added gets the data key; whoever is removed has it, so the file gets another.
fn change_recipients(
    session: &Session,
    args: &RecipientsArgs,
    change: &KeyChange,
) -> Result<ExitCode, Failure> {
    let files = many::expand(session, &args.files, Pick::Encrypted)?;
    many::all(session, &files, |path| {
        let bytes = session.read(path)?;
        let format = session.input_format(args.input_type.as_deref(), path)?;
        let mut opened = open_for_edit(session, format, &bytes, false)?;
        let keys = session.keys()?;
        let changed = if change.remove.is_empty() {
            if !change_keys(&mut opened.metadata, change, keys) {
                session.note(&format!("{}: they can decrypt it already", path.display()));
                return Ok(());
            }
            with_new_keys(opened, keys, session.seal())
        } else {
            let known = |gone: &Recipient| {
                opened.metadata.recipients().any(|key| key.recipient.to_string() == gone.to_string())
            };
            if let Some(stranger) = change.remove.iter().find(|gone| !known(gone)) {
                return Err(Failure::missing(format!("{stranger} is not among those who can decrypt it")));
            }
            rotate(opened, change, keys, session.seal())
        };
        let changed = changed.map_err(|error| session.failure(error))?;
        session.replace(path, Some(&bytes), &changed)
    })
}

pub fn status(session: &Session, args: &StatusArgs) -> Result<ExitCode, Failure> {
    let one = |path: &Path| -> Result<bool, Failure> {
        let bytes = session.read(path)?;
        let format = session.input_format(args.input_type.as_deref(), path)?;
        match Encrypted::read(format, bytes.expose()).map_err(SopsError::from) {
            Ok(encrypted) => Ok(!encrypted.metadata.version.is_empty() && !encrypted.metadata.mac.is_empty()),
            Err(error) if error.is_not_encrypted() => Ok(false),
            Err(error) => Err(session.failure(error)),
        }
    };
    let text = match args.files.as_slice() {
        [only] if !only.is_dir() => format!("{}\n", json!({ "encrypted": one(only)? })),
        several => {
            let files = many::expand(session, several, Pick::Encrypted)?;
            let mut rows = serde_json::Map::new();
            for path in files {
                rows.insert(path.display().to_string(), json!({ "encrypted": one(&path)? }));
            }
            format!("{}\n", serde_json::Value::Object(rows))
        }
    };
    session.print(&text.into_bytes().into())?;
    Ok(ExitCode::SUCCESS)
}
