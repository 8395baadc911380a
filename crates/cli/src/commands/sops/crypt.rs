//! Encrypt, decrypt, rotate, and single values.

use super::arguments::{
    DecryptArgs, EncryptArgs, FormatArgs, KeyArgs, RotateArgs, SetArgs, TargetArgs, UnsetArgs,
};
use super::many::{self, Pick};
use super::restrict;
use super::session::{Session, Voice, codes};
use crate::failure::Failure;
use std::path::Path;
use std::process::ExitCode;
use strongroom_formats::sops::{
    Changed, Draft, EditError, Format, Location, Node, Opened, Step, Tree, emit_node, emit_plain, find,
    is_restricted, parse_path,
};
use strongroom_project::sops::{self, KeyChange};
use strongroom_secret::SecretBytes;

pub fn encrypt(session: &Session, args: &EncryptArgs) -> Result<ExitCode, Failure> {
    let conflict = |message: &str| Err(Failure::usage(message).exit_code(session.code(codes::CONFLICTING)));
    if args.files.is_empty() {
        if args.target.in_place {
            return conflict("Error: cannot use --in-place when reading from stdin");
        }
        if args.formats.filename_override.is_none() {
            return conflict("Error: must specify --filename-override when reading from stdin");
        }
        let bytes = session.read_stdin()?;
        let encrypted = encrypt_bytes(session, Path::new(""), &bytes, args)?;
        session.write(None, &args.target, None, &encrypted)?;
        return Ok(ExitCode::SUCCESS);
    }
    many::each(session, &args.files, &args.target, Pick::ToEncrypt, |path| {
        let bytes = session.read(path)?;
        let encrypted = encrypt_bytes(session, path, &bytes, args)?;
        session.write(Some(path), &args.target, Some(&bytes), &encrypted)
    })
}

fn encrypt_bytes(
    session: &Session,
    path: &Path,
    bytes: &SecretBytes,
    args: &EncryptArgs,
) -> Result<SecretBytes, Failure> {
    let (input, output) = session.formats(&args.formats, path)?;
    let draft =
        Draft::read(input, bytes.expose()).map_err(|error| session.failure(error.into()))?.converted(output);
    let name = args.formats.filename_override.as_deref().unwrap_or(path);
    let new = session.new_file(name, input, &args.keys, &args.rule)?;
    sops::encrypt(draft, new, session.keys()?, session.seal()).map_err(|error| session.failure(error))
}

pub fn decrypt(session: &Session, args: &DecryptArgs) -> Result<ExitCode, Failure> {
    if args.files.is_empty() {
        if args.target.in_place {
            let message = "Error: cannot use --in-place when reading from stdin";
            return Err(Failure::usage(message).exit_code(session.code(codes::CONFLICTING)));
        }
        let bytes = session.read_stdin()?;
        let plain = decrypt_bytes(session, Path::new(""), &bytes, args)?;
        session.write(None, &args.target, None, &plain)?;
        return Ok(ExitCode::SUCCESS);
    }
    many::each(session, &args.files, &args.target, Pick::Encrypted, |path| {
        let bytes = session.read(path)?;
        let plain = decrypt_bytes(session, path, &bytes, args)?;
        session.write(Some(path), &args.target, Some(&bytes), &plain)
    })
}

fn decrypt_bytes(
    session: &Session,
    path: &Path,
    bytes: &SecretBytes,
    args: &DecryptArgs,
) -> Result<SecretBytes, Failure> {
    let steps = steps_of(session, args.extract.as_deref().unwrap_or_default())?;
    let (input, output) = session.formats(&args.formats, path)?;
    let verification = session.verification(args.ignore_mac);
    let opened = sops::open(input, bytes.expose(), session.keys()?, verification)
        .map_err(|error| session.failure(error))?;
    restrict::tell_closed(session, path, &opened, &steps);
    if steps.is_empty() {
        return in_clear(session, opened, output);
    }
    let Some(node) = opened.tree().at(&steps) else {
        let place = args.extract.as_deref().unwrap_or_default();
        return Err(Failure::missing(format!("error truncating tree: component {place} not found")));
    };
    if node.as_text().is_some_and(is_restricted) {
        return Err(restrict::not_ours(&opened, &steps));
    }
    emit_node(output, node, session.indent(output)).map_err(|error| session.failure(error.into()))
}

/// A file in clear: in its own layout, or afresh in another format.
pub fn in_clear(session: &Session, opened: Opened, output: Format) -> Result<SecretBytes, Failure> {
    let result = if opened.format() == output && session.globals.indent.is_none() {
        opened.write_plain()
    } else {
        let tree: Tree = opened.into_tree();
        emit_plain(output, &tree, session.indent(output))
    };
    result.map_err(|error| session.failure(error.into()))
}

pub fn rotate(session: &Session, args: &RotateArgs) -> Result<ExitCode, Failure> {
    let lists = |age: &Option<String>, pgp: &Option<String>, kms, gcp, hckms, azure, transit| KeyArgs {
        age: age.clone(),
        pgp: pgp.clone(),
        kms,
        gcp_kms: gcp,
        hckms,
        azure_kv: azure,
        hc_vault_transit: transit,
        encryption_context: args.encryption_context.clone(),
        aws_profile: None,
    };
    let RotateArgs { add_kms, add_gcp_kms, add_hckms, add_azure_kv, add_hc_vault_transit, .. } = args.clone();
    let add = lists(
        &args.add_age,
        &args.add_pgp,
        add_kms,
        add_gcp_kms,
        add_hckms,
        add_azure_kv,
        add_hc_vault_transit,
    );
    let RotateArgs { rm_kms, rm_gcp_kms, rm_hckms, rm_azure_kv, rm_hc_vault_transit, .. } = args.clone();
    let remove =
        lists(&args.rm_age, &args.rm_pgp, rm_kms, rm_gcp_kms, rm_hckms, rm_azure_kv, rm_hc_vault_transit);
    let change = KeyChange { add: session.recipients(&add)?, remove: session.recipients(&remove)? };
    let changes_keys = !change.add.is_empty() || !change.remove.is_empty();
    if let [only] = args.files.as_slice()
        && changes_keys
        && !only.exists()
    {
        let path = session.absolute(only).display().to_string();
        let message = format!(
            "Error: cannot add or remove keys on non-existent file {path:?}, use the `edit` subcommand instead."
        );
        return Err(Failure::missing(message).exit_code(session.code(codes::KEYS_OF_NO_FILE)));
    }
    many::each(session, &args.files, &args.target, Pick::Encrypted, |path| {
        let bytes = session.read(path)?;
        let (input, output) = session.formats(&args.formats, path)?;
        let opened = open_for_edit(session, input, &bytes, args.ignore_mac)?;
        let opened = if input == output { opened } else { opened.converted(output) };
        let rotated = sops::rotate(opened, &change, session.keys()?, session.seal())
            .map_err(|error| session.failure(error))?;
        session.write(Some(path), &args.target, Some(&bytes), &rotated)
    })
}

pub fn open_for_edit(
    session: &Session,
    format: Format,
    bytes: &SecretBytes,
    ignore_mac: bool,
) -> Result<Opened, Failure> {
    let verification = session.verification(ignore_mac);
    sops::open_for_edit(format, bytes.expose(), session.keys()?, verification)
        .map_err(|error| session.failure(error))
}

pub fn set(session: &Session, args: &SetArgs) -> Result<ExitCode, Failure> {
    let value = value_of(session, args)?;
    let steps = steps_of(session, &args.path)?;
    change(session, &args.file, &args.formats, args.ignore_mac, |opened| {
        let changed =
            opened.set(&Location::first(&steps), value).map_err(|error| session.failure(error.into()))?;
        Ok(if args.idempotent { changed } else { Changed::Yes })
    })
}

pub fn unset(session: &Session, args: &UnsetArgs) -> Result<ExitCode, Failure> {
    let steps = steps_of(session, &args.path)?;
    change(session, &args.file, &args.formats, args.ignore_mac, |opened| {
        match opened.unset(&Location::first(&steps)) {
            Ok(()) => Ok(Changed::Yes),
            Err(EditError::Missing(_)) if args.idempotent => Ok(Changed::No),
            Err(error) => Err(session.failure(error.into())),
        }
    })
}

/// Opens a file, changes it, and puts it back.
fn change(
    session: &Session,
    path: &Path,
    formats: &FormatArgs,
    ignore_mac: bool,
    change: impl FnOnce(&mut Opened) -> Result<Changed, Failure>,
) -> Result<ExitCode, Failure> {
    let bytes = session.read(path)?;
    let (input, output) = session.formats(formats, path)?;
    let mut opened = open_for_edit(session, input, &bytes, ignore_mac)?;
    if change(&mut opened)? == Changed::No {
        return Ok(ExitCode::SUCCESS);
    }
    let encrypted = encrypted_again(session, path, opened, output)?;
    let target = TargetArgs { in_place: true, output: None };
    session.write(Some(path), &target, Some(&bytes), &encrypted)?;
    Ok(ExitCode::SUCCESS)
}

/// An opened file, encrypted under its own data key. New values are restricted as the rules say.
pub fn encrypted_again(
    session: &Session,
    path: &Path,
    opened: Opened,
    output: Format,
) -> Result<SecretBytes, Failure> {
    let mut opened = if opened.format() == output { opened } else { opened.converted(output) };
    let rules = session.restrictions(path)?;
    if !rules.is_empty() && output != Format::Binary {
        sops::restrict_by_rules(&mut opened, &rules, session.keys()?)
            .map_err(|error| session.failure(error))?;
    }
    let surroundings = &session.surroundings;
    opened
        .encrypt(session.seal(), surroundings.entropy.as_ref(), surroundings.clock.now())
        .map_err(|error| session.failure(error.into()))
}

pub fn steps_of(session: &Session, path: &str) -> Result<Vec<Step>, Failure> {
    parse_path(path).map_err(|why| {
        Failure::usage(format!("error parsing the path {path}: {why}"))
            .exit_code(session.code(codes::PATH_FORMAT))
    })
}

/// The value of `set`: JSON from the command line, a file or standard input.
fn value_of(session: &Session, args: &SetArgs) -> Result<Node, Failure> {
    let text = match (&args.value, args.value_file, args.value_stdin) {
        (None, _, true) => session.read_stdin()?,
        (Some(path), true, false) => session.read(Path::new(path))?,
        (Some(text), false, false) => {
            if session.voice == Voice::Ours {
                session.note("warning: a value on the command line is seen in the list of processes; --value-stdin is not");
            }
            SecretBytes::new(text.clone().into_bytes())
        }
        (Some(_), _, true) => {
            let message = "Error: file specified, or index and value are missing. Need precisely 2 positional arguments since --value-stdin is used.";
            return Err(Failure::usage(message).exit_code(session.code(codes::NO_FILE)));
        }
        (None, _, false) => {
            let message = "Error: no file specified, or index and value are missing. Need precisely 3 positional arguments.";
            return Err(Failure::usage(message).exit_code(session.code(codes::NO_FILE)));
        }
    };
    json_node(&text).ok_or_else(|| {
        Failure::usage("Value for --set is not valid JSON").exit_code(session.code(codes::SET_FORMAT))
    })
}

/// A single JSON value as a node.
pub fn json_node(text: &SecretBytes) -> Option<Node> {
    let mut wrapped = zeroize::Zeroizing::new(Vec::with_capacity(text.expose().len() + 8));
    wrapped.extend_from_slice(b"{\"v\":");
    wrapped.extend_from_slice(text.expose());
    wrapped.push(b'}');
    let draft = Draft::read(Format::Json, &wrapped).ok()?;
    match draft.tree().documents.as_slice() {
        [only] if only.len() == 1 => find(only, "v").map(Node::duplicate),
        _ => None,
    }
}
