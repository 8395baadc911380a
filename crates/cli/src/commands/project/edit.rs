//! `edit`: the values of one provider in an editor, and what changed back into it.

use super::Session;
use super::run::files::private_folder;
use crate::context::Context;
use crate::failure::Failure;
use clap::Args;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use strongroom_formats::dotenv::{Dialect, Document, FinalNewline, NO_ENVIRONMENT, Precedence, SetOptions};
use strongroom_project::change::Target;
use strongroom_project::files::{Links, change, read};
use strongroom_project::manifest::{PROCESS, suggestion};
use strongroom_project::resolve::Opened;
use strongroom_secret::{SecretBytes, SecretString};

#[derive(Args)]
#[command(
    after_help = "The editor is $VISUAL, else $EDITOR, else vi. The file it edits is yours alone and goes when it ends."
)]
pub struct EditArgs {
    /// The provider to edit [otherwise: the first of the environment that can be written to]
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
}

const FILE_BYTES_MAX: u64 = 16 << 20;

type Values = BTreeMap<String, SecretBytes>;

pub fn run(context: &Context, args: &EditArgs) -> Result<ExitCode, Failure> {
    let session = Session::open(context)?;
    session.insist_on_change(&session.environment)?;
    super::set::insist_on_provider(&session, args.provider.as_deref())?;
    let opened = session.providers()?;
    let provider = args.provider.as_deref().or_else(|| first_writable(&session));
    let provider = provider.ok_or_else(|| Failure::usage("this environment has no provider to edit"))?;
    let before = present(&session, &opened, provider)?;
    let folder = scratch(&session)?;
    let path = folder.path().join(format!("{}.env", session.environment.name));
    let mut text = text_of(&session, &before)?;
    loop {
        change(&path, Links::Refuse, FILE_BYTES_MAX)?.replace(text.expose().as_bytes())?;
        open_editor(&session, &path)?;
        let edited = read(&path, FILE_BYTES_MAX)?;
        text = SecretString::new(String::from_utf8_lossy(edited.expose()).into_owned());
        match values_of(&session, &text) {
            Ok(after) => return apply(&session, &opened, provider, &before, &after),
            Err(problems) => {
                session.context.output.note(&problems.join("\n"));
                if !context.may_ask() || !super::ask("Edit again?")? {
                    return Err(Failure::missing("the edited values are not valid: nothing was changed"));
                }
            }
        }
    }
}

fn first_writable<'s>(session: &'s Session<'_>) -> Option<&'s str> {
    let kind = |name: &str| session.manifest.providers.get(name).map(|provider| provider.kind.as_str());
    session
        .environment
        .order
        .iter()
        .map(String::as_str)
        .find(|name| kind(name).is_some_and(|kind| kind != PROCESS))
}

/// What the provider has of the declared secrets.
fn present(session: &Session<'_>, opened: &Opened, provider: &str) -> Result<Values, Failure> {
    let mut values = Values::new();
    let editable: Vec<_> =
        session.manifest.secrets.iter().filter(|secret| secret.compose.is_none()).collect();
    let addresses: Vec<_> = editable
        .iter()
        .filter_map(|secret| opened.address(provider, &secret.name, secret.references.get(provider)))
        .collect();
    let outcomes = opened.provider(provider).map(|provider| provider.fetch(&addresses)).unwrap_or_default();
    for (secret, outcome) in editable.iter().zip(outcomes) {
        if let Some(found) = outcome? {
            values.insert(secret.name.clone(), found.value);
        }
    }
    Ok(values)
}

fn text_of(session: &Session<'_>, values: &Values) -> Result<SecretString, Failure> {
    let heading = format!(
        "# {} / {}: change, add or take away lines. Only names that the manifest declares are kept.\n",
        session.manifest.project, session.environment.name
    );
    let failed = |error: String| Failure::missing(format!("cannot be edited as text: {error}"));
    let mut document =
        Document::parse(&heading, Dialect::Python).map_err(|error| failed(error.to_string()))?;
    let options = SetOptions { final_newline: FinalNewline::Always, ..SetOptions::default() };
    for (name, value) in values {
        let text = std::str::from_utf8(value.expose()).map_err(|_| failed(format!("{name} is not text")))?;
        let edited =
            document.set(name, &text.into(), &options).map_err(|error| failed(format!("{name}: {error}")))?;
        document = Document::parse(edited.text.expose(), Dialect::Python)
            .map_err(|error| failed(error.to_string()))?;
    }
    let unset = session.manifest.secrets.iter().filter(|secret| secret.compose.is_none());
    let unset: String = unset
        .filter(|secret| !values.contains_key(&secret.name))
        .map(|secret| format!("# {}=\n", secret.name))
        .collect();
    Ok(SecretString::new(format!("{}{unset}", document.text())))
}

/// The values that the text has, if all of them are declared and valid.
fn values_of(session: &Session<'_>, text: &SecretString) -> Result<Values, Vec<String>> {
    let document =
        Document::parse(text.expose(), Dialect::Python).map_err(|error| vec![error.to_string()])?;
    let mut problems: Vec<String> =
        document.bad_lines().map(|(entry, bad)| format!("line {}: {bad}", entry.line)).collect();
    let parsed =
        document.resolve(NO_ENVIRONMENT, Precedence::File).map_err(|error| vec![error.to_string()])?;
    let mut values = Values::new();
    for (name, value) in parsed.iter() {
        let Some(value) = value else { continue };
        let Some(secret) = session.manifest.secret(name).filter(|secret| secret.compose.is_none()) else {
            let known = session.manifest.secrets.iter().map(|secret| secret.name.as_str());
            let hint = suggestion(name, known).unwrap_or_default();
            problems.push(format!("{name} is not declared, or is composed. {hint}"));
            continue;
        };
        let wrong = secret.value_type.problems(&secret.constraints, value.expose().as_bytes());
        problems.extend(wrong.into_iter().map(|wrong| format!("{name} {wrong}")));
        values.insert(name.to_owned(), SecretBytes::new(value.expose().as_bytes().to_vec()));
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

fn apply(
    session: &Session<'_>,
    opened: &Opened,
    provider: &str,
    before: &Values,
    after: &Values,
) -> Result<ExitCode, Failure> {
    let target = Target {
        manifest: &session.manifest,
        environment: &session.environment,
        opened,
        provider: Some(provider),
    };
    for (name, value) in after {
        if before.get(name) != Some(value) {
            target.store(name, value)?;
            session.note(&format!("{name} is kept in {provider}"));
        }
    }
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        target.remove(name)?;
        session.note(&format!("{name} is no longer in {provider}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// A folder of ours alone, in memory if the system has such a place.
fn scratch(session: &Session<'_>) -> Result<tempfile::TempDir, Failure> {
    let variables = &session.surroundings.variables;
    let runtime = variables.text("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
    let parent = runtime.unwrap_or_else(std::env::temp_dir);
    let failed = |error| Failure::other(format!("cannot make a folder in {}: {error}", parent.display()));
    private_folder(&parent).map_err(failed)
}

/// Through a shell, as `$EDITOR` may hold arguments.
fn open_editor(session: &Session<'_>, path: &Path) -> Result<(), Failure> {
    let editor = session.surroundings.variables.first(&["VISUAL", "EDITOR"]).unwrap_or("vi");
    let failed = |error| Failure::other(format!("cannot start the editor {editor}: {error}"));
    let status = Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(path).status();
    match status.map_err(failed)?.success() {
        true => Ok(()),
        false => Err(Failure::other("the editor ended with an error: nothing was changed")),
    }
}
