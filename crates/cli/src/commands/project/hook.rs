//! `hook`: the project's values in the shell, while one is in its folder. Names are shown, values never.
//!
//! The shell evaluates what `hook-env` prints before each prompt. What was set is remembered in `STRONGROOM_HOOK` as names
//! and a mark of the files, so that nothing is done while nothing changes and all is taken back on leaving.

use super::{Session, manifest_path};
use crate::context::Context;
use crate::environment::Environment as Process;
use crate::failure::Failure;
use clap::{Args, ValueEnum};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use strongroom_project::compose::is_variable_name;
use strongroom_project::export::shell_word;
use strongroom_project::export::{Entry, Format, Options, export};
use strongroom_project::manifest::Delivery;
use strongroom_project::resolve::Selection;
use strongroom_project::trust::reaches;

#[derive(Args)]
#[command(after_help = "In ~/.bashrc: eval \"$(strongroom hook bash)\". In a project: strongroom trust.")]
pub struct HookArgs {
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Args)]
pub struct HookEnvArgs {
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub const STATE: &str = "STRONGROOM_HOOK";

const BASH: &str = r#"_strongroom_hook() {
  local status=$?
  eval "$(strongroom hook-env bash)"
  return $status
}
case ";${PROMPT_COMMAND[*]};" in
  *_strongroom_hook*) ;;
  *) PROMPT_COMMAND="_strongroom_hook${PROMPT_COMMAND:+;$PROMPT_COMMAND}" ;;
esac
"#;

const ZSH: &str = r#"_strongroom_hook() {
  eval "$(strongroom hook-env zsh)"
}
autoload -Uz add-zsh-hook
add-zsh-hook precmd _strongroom_hook
"#;

const FISH: &str = r"function _strongroom_hook --on-event fish_prompt
  strongroom hook-env fish | source
end
";

pub fn run(context: &Context, args: &HookArgs) -> Result<ExitCode, Failure> {
    context.output.text(match args.shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
    })
}

/// What the hook remembers between prompts: `mark:NAME,NAME`.
pub struct State {
    mark: String,
    pub names: Vec<String>,
}

impl State {
    pub fn of(text: &str) -> Self {
        let (mark, names) = text.split_once(':').unwrap_or((text, ""));
        let names = names.split(',').filter(|name| is_variable_name(name)).map(str::to_owned);
        Self { mark: mark.to_owned(), names: names.collect() }
    }
}

pub fn hook_env(context: &Context, args: &HookEnvArgs) -> Result<ExitCode, Failure> {
    let variables = Process::variables();
    let before = variables.text(STATE).map(State::of);
    let Ok(path) = manifest_path(context) else {
        return context.output.text(&before.map(|before| leave(args.shell, &before)).unwrap_or_default());
    };
    let mark = mark_of(&path);
    if before.as_ref().is_some_and(|before| before.mark == mark) {
        return Ok(ExitCode::SUCCESS);
    }
    let left = before.map(|before| leave(args.shell, &before)).unwrap_or_default();
    let (entered, names) = match enter(context, args.shell) {
        Ok(entered) => entered,
        Err(failure) => {
            // Said once: the mark keeps it from being said at every prompt.
            context.output.note(failure.native_text().trim_end());
            (String::new(), Vec::new())
        }
    };
    let state = format!("{mark}:{}", names.join(","));
    context.output.text(&format!("{left}{entered}{}", set(args.shell, STATE, &state)))
}

/// The values as statements of the shell, and their names. Variables that the person has set stay as they are.
fn enter(context: &Context, shell: Shell) -> Result<(String, Vec<String>), Failure> {
    let session = Session::open(context)?;
    let opened = session.providers()?;
    let mut wanted = vec![super::guard::HOOK_REACH.to_owned()];
    wanted.extend(reaches(&session.environment, &opened));
    let store = session.trust_store();
    if !store.is_some_and(|store| store.trusts(&session.manifest, &wanted).unwrap_or(false)) {
        let path = session.manifest.path.display();
        return Err(
            Failure::usage(format!("{path} is not trusted: nothing was set")).hint("strongroom trust")
        );
    }
    let resolution = session.values(Selection::All)?;
    let own = |name: &str| session.surroundings.variables.bytes(name).is_some();
    let entries: Vec<Entry<'_>> = session
        .manifest
        .secrets
        .iter()
        .filter(|secret| secret.delivery == Delivery::Variable && !own(&secret.name))
        .filter_map(|secret| Some(Entry { secret, value: resolution.value(&secret.name)? }))
        .collect();
    let names: Vec<String> = entries.iter().map(|entry| entry.secret.name.clone()).collect();
    let environment = &session.environment.name;
    let project = &session.manifest.project;
    let options = Options { name: project, namespace: None, environment, protected: false, delimiter: "" };
    let format = if shell == Shell::Fish { Format::Fish } else { Format::Shell };
    let text = export(format, &entries, &options).map_err(|errors| {
        Failure::missing(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    })?;
    session.note(&format!("strongroom: {} variables of {project} ({environment})", names.len()));
    Ok((String::from_utf8_lossy(text.expose()).into_owned(), names))
}

fn leave(shell: Shell, before: &State) -> String {
    let mut text = String::new();
    for name in before.names.iter().map(String::as_str).chain([STATE]) {
        // Writing to a String does not fail.
        let _ = match shell {
            Shell::Fish => writeln!(text, "set -e {name}"),
            Shell::Bash | Shell::Zsh => writeln!(text, "unset {name}"),
        };
    }
    text
}

fn set(shell: Shell, name: &str, value: &str) -> String {
    let word = shell_word(value);
    match shell {
        Shell::Fish => format!("set -gx {name} {}\n", *word),
        Shell::Bash | Shell::Zsh => format!("export {name}={}\n", *word),
    }
}

/// Changes when the manifest, or a file beside it that may hold values, does.
fn mark_of(manifest: &std::path::Path) -> String {
    let folder = manifest
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .map_or(PathBuf::from("."), PathBuf::from);
    let mut mark =
        folder.canonicalize().unwrap_or(folder.clone()).display().to_string().replace([':', ','], "_");
    let names = ["strongroom.toml", "strongroom.local.toml", ".env", ".env.local"];
    for name in names {
        let modified = std::fs::metadata(folder.join(name)).and_then(|metadata| metadata.modified());
        let since = modified.ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let _ = write!(mark, "|{}", since.map_or(0, |since| since.as_micros()));
    }
    mark
}
