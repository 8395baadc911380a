//! The persona `sops`: the command line of sops 3, with its old forms (`-d FILE`, `-e FILE`, `-r FILE`, and `FILE` alone to
//! edit), its messages where scripts look at them, and its exit codes.

use super::Program;
use crate::commands::sops::arguments::{
    DecryptArgs, EditArgs, EncryptArgs, FormatArgs, KeyArgs, RotateArgs, RuleArgs, SetArgs, SopsCommand,
    SopsGlobals, TargetArgs,
};
use crate::commands::sops::perform;
use crate::commands::sops::session::{Session, Voice, codes};
use crate::environment::Environment;
use crate::failure::Failure;
use clap::{ArgAction, Command, CommandFactory, FromArgMatches, Parser};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use strongroom_formats::sops::VERSION;

pub const PROGRAM: Program = Program { name: "sops", run };

/// sops - encrypted file editor with AWS KMS, GCP KMS, Azure Key Vault, Vault, age and GPG support (Strongroom)
#[derive(Parser)]
#[command(name = "sops", version = VERSION, subcommand_precedence_over_arg = false)]
struct Line {
    /// The file with the rules, instead of the nearest .sops.yaml
    #[arg(long, global = true, env = "SOPS_CONFIG", hide_env = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    globals: SopsGlobals,
    #[command(subcommand)]
    command: Option<SopsCommand>,
    #[command(flatten)]
    old: OldForm,
}

/// What a line without a verb may say.
#[derive(clap::Args)]
struct OldForm {
    file: Option<PathBuf>,
    /// Decrypt a file and output the result to stdout
    #[arg(long, short)]
    decrypt: bool,
    /// Encrypt a file and output the result to stdout
    #[arg(long, short)]
    encrypt: bool,
    /// Generate a new data encryption key and reencrypt all values with the new key
    #[arg(long, short)]
    rotate: bool,
    /// Extract a specific key or branch from the input document
    #[arg(long)]
    extract: Option<String>,
    /// Set a specific key or branch: '["somekey"][0] {"somevalue":true}'
    #[arg(long)]
    set: Option<String>,
    #[arg(long)]
    ignore_mac: bool,
    #[arg(long, short)]
    show_master_keys: bool,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    formats: FormatArgs,
    #[command(flatten)]
    keys: KeyArgs,
    #[command(flatten)]
    rule: RuleArgs,
    #[arg(long)]
    add_age: Option<String>,
    #[arg(long)]
    rm_age: Option<String>,
    #[arg(long)]
    add_pgp: Option<String>,
    #[arg(long)]
    rm_pgp: Option<String>,
    #[arg(long)]
    add_kms: Option<String>,
    #[arg(long)]
    rm_kms: Option<String>,
    #[arg(long)]
    add_gcp_kms: Option<String>,
    #[arg(long)]
    rm_gcp_kms: Option<String>,
    #[arg(long)]
    add_azure_kv: Option<String>,
    #[arg(long)]
    rm_azure_kv: Option<String>,
    #[arg(long)]
    add_hc_vault_transit: Option<String>,
    #[arg(long)]
    rm_hc_vault_transit: Option<String>,
}

fn run(words: &[OsString], environment: &Environment) -> ExitCode {
    let definition = Line::command();
    let words =
        std::iter::once(OsString::from("sops")).chain(words.iter().map(|word| two_dashes(&definition, word)));
    let line = match definition
        .clone()
        .try_get_matches_from(words)
        .and_then(|matches| Line::from_arg_matches(&matches))
    {
        Ok(line) => line,
        Err(error) => {
            // A closed standard output or error leaves nobody to tell.
            let _ = error.print();
            return ExitCode::from(u8::from(error.exit_code() != 0));
        }
    };
    match perform_line(line, environment) {
        Ok(code) => code,
        Err(failure) => {
            let _ = std::io::stderr().write_all(failure.sops_text().as_bytes());
            ExitCode::from(failure.code_or(1))
        }
    }
}

fn perform_line(line: Line, environment: &Environment) -> Result<ExitCode, Failure> {
    let globals = SopsGlobals { rules: line.config, ..line.globals };
    let session = Session::new(Voice::Sops, globals, environment)?;
    match line.command {
        Some(command) => perform(&session, &command),
        None => perform(&session, &line.old.command()?),
    }
}

impl OldForm {
    /// The verb that an old form means.
    fn command(self) -> Result<SopsCommand, Failure> {
        let Self { file, formats, keys, rule, target, ignore_mac, .. } = self;
        let Some(file) = file else {
            return Err(Failure::usage("Error: no file specified").exit_code(codes::NO_FILE));
        };
        let files = vec![file.clone()];
        Ok(if self.encrypt {
            SopsCommand::Encrypt(EncryptArgs { files, target, formats, keys, rule })
        } else if self.decrypt {
            SopsCommand::Decrypt(DecryptArgs { files, target, formats, extract: self.extract, ignore_mac })
        } else if self.rotate {
            SopsCommand::Rotate(RotateArgs {
                files,
                target,
                formats,
                encryption_context: keys.encryption_context,
                add_age: self.add_age,
                rm_age: self.rm_age,
                add_pgp: self.add_pgp,
                rm_pgp: self.rm_pgp,
                add_kms: self.add_kms,
                rm_kms: self.rm_kms,
                add_gcp_kms: self.add_gcp_kms,
                rm_gcp_kms: self.rm_gcp_kms,
                add_hckms: None,
                rm_hckms: None,
                add_azure_kv: self.add_azure_kv,
                rm_azure_kv: self.rm_azure_kv,
                add_hc_vault_transit: self.add_hc_vault_transit,
                rm_hc_vault_transit: self.rm_hc_vault_transit,
                ignore_mac,
            })
        } else if let Some(text) = self.set {
            // The path ends with the last bracket before the value.
            let Some((path, value)) = text.split_once("] ") else {
                return Err(Failure::usage("Invalid --set format").exit_code(codes::SET_FORMAT));
            };
            let (path, value) = (format!("{path}]"), Some(value.to_owned()));
            SopsCommand::Set(SetArgs { file, path, value, formats, ignore_mac, ..SetArgs::default() })
        } else {
            let show_master_keys = self.show_master_keys;
            SopsCommand::Edit(EditArgs { file, formats, keys, rule, ignore_mac, show_master_keys })
        })
    }
}

/// Go's flags take one dash or two: `-input-type json` is `--input-type json`, and `-i=true` is `-i`.
fn two_dashes(definition: &Command, word: &OsString) -> OsString {
    let Some(text) = word.to_str().filter(|text| text.starts_with('-') && *text != "-" && *text != "--")
    else {
        return word.clone();
    };
    let bare = text.trim_start_matches('-');
    let (name, value) = bare.split_once('=').map_or((bare, None), |(name, value)| (name, Some(value)));
    let dashes = if name.chars().count() > 1 { "--" } else { "-" };
    if !known(definition, name) {
        return word.clone();
    }
    match value {
        Some("true" | "1" | "t" | "T" | "TRUE" | "True") if is_switch(definition, name) => {
            format!("{dashes}{name}").into()
        }
        Some(value) => format!("{dashes}{name}={value}").into(),
        None => format!("{dashes}{name}").into(),
    }
}

fn any_argument(command: &Command, test: &dyn Fn(&clap::Arg) -> bool) -> bool {
    command.get_arguments().any(test) || command.get_subcommands().any(|command| any_argument(command, test))
}

fn known(definition: &Command, name: &str) -> bool {
    name == "version"
        || name == "help"
        || any_argument(definition, &|argument| {
            argument.get_long() == Some(name)
                || argument.get_short().is_some_and(|short| name == short.to_string())
        })
}

fn is_switch(definition: &Command, name: &str) -> bool {
    any_argument(definition, &|argument| {
        let named = argument.get_long() == Some(name)
            || argument.get_short().is_some_and(|short| name == short.to_string());
        named && matches!(argument.get_action(), ArgAction::SetTrue)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Line {
        let definition = Line::command();
        let words = line.split(' ').map(OsString::from).map(|word| two_dashes(&definition, &word));
        Line::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    #[test]
    fn no_flag_has_two_meanings() {
        Line::command().debug_assert();
    }

    #[test]
    fn old_forms_mean_verbs() {
        let command = |line: &str| parsed(line).old.command().unwrap();
        assert!(matches!(command("sops -d x.yaml"), SopsCommand::Decrypt(args) if !args.target.in_place));
        assert!(matches!(command("sops -d -i x.yaml"), SopsCommand::Decrypt(args) if args.target.in_place));
        assert!(
            matches!(command("sops -e -in-place -age age1x x.yaml"), SopsCommand::Encrypt(args) if args.keys.age.is_some())
        );
        assert!(
            matches!(command("sops -r --add-pgp AB x.yaml"), SopsCommand::Rotate(args) if args.add_pgp.is_some())
        );
        assert!(matches!(command("sops x.yaml"), SopsCommand::Edit(_)));
        assert!(parsed("sops").old.command().is_err());
    }

    #[test]
    fn verbs_and_flags_of_go() {
        let line = parsed("sops --config c.yaml decrypt -input-type=json -output-type yaml x");
        assert_eq!(line.config, Some(PathBuf::from("c.yaml")));
        assert!(
            matches!(line.command, Some(SopsCommand::Decrypt(args)) if args.formats.output_type.as_deref() == Some("yaml"))
        );
        let line = parsed("sops encrypt -i=true x");
        assert!(matches!(line.command, Some(SopsCommand::Encrypt(args)) if args.target.in_place));
        assert!(matches!(parsed("sops exec-file --no-fifo x cmd").command, Some(SopsCommand::ExecFile(_))));
    }
}
