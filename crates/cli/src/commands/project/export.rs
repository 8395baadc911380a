//! `export`: the values in the words of another tool.

use super::Session;
use crate::context::Context;
use crate::failure::Failure;
use clap::{Args, ValueEnum};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use strongroom_project::export::{self, Entry, Format, Options, RemoteReference};
use strongroom_project::files::{Links, change};
use strongroom_project::resolve::{Resolution, Selection};
use strongroom_secret::SecretBytes;

#[derive(Args)]
pub struct ExportArgs {
    /// For which tool
    #[arg(value_enum, default_value = "dotenv")]
    tool: Tool,
    /// Write to FILE (mode 0600) instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The secrets of this scope alone
    #[arg(long, value_name = "NAME")]
    scope: Option<String>,
    /// The name of a Kubernetes object [otherwise: the project's]
    #[arg(long)]
    name: Option<String>,
    /// The namespace of a Kubernetes object
    #[arg(long = "kubernetes-namespace", value_name = "NAME")]
    kubernetes_namespace: Option<String>,
    /// The store that an ExternalSecret names [otherwise: the provider's name]
    #[arg(long, value_name = "NAME")]
    store: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tool {
    Dotenv,
    Json,
    Yaml,
    Toml,
    /// POSIX shells: eval "$(strongroom export shell)"
    Shell,
    Fish,
    #[value(name = "powershell", alias = "power-shell")]
    PowerShell,
    /// Appends to the file of GITHUB_ENV, and prints masks to standard output
    Github,
    /// What would be appended to that file
    GithubEnv,
    /// The masks alone
    GithubMasks,
    /// The list of GitLab's API for variables
    Gitlab,
    /// The body for Heroku's config-vars
    Heroku,
    /// A file for docker run --env-file
    Docker,
    /// A Secret
    Kubernetes,
    /// An ExternalSecret: where the values are, without them
    ExternalSecret,
    /// A drop-in for a service, with SetCredential=
    Systemd,
    /// A .tfvars file
    Terraform,
}

impl Tool {
    /// `None` for what is more than one text.
    fn format(self) -> Option<Format> {
        Some(match self {
            Self::Dotenv => Format::Dotenv,
            Self::Json => Format::Json,
            Self::Yaml => Format::Yaml,
            Self::Toml => Format::Toml,
            Self::Shell => Format::Shell,
            Self::Fish => Format::Fish,
            Self::PowerShell => Format::PowerShell,
            Self::GithubEnv => Format::GithubEnv,
            Self::GithubMasks => Format::GithubMasks,
            Self::Gitlab => Format::Gitlab,
            Self::Heroku => Format::Heroku,
            Self::Docker => Format::Docker,
            Self::Kubernetes => Format::Kubernetes,
            Self::Systemd => Format::Systemd,
            Self::Terraform => Format::Terraform,
            Self::Github | Self::ExternalSecret => return None,
        })
    }
}

pub fn run(context: &Context, args: &ExportArgs) -> Result<ExitCode, Failure> {
    let session = Session::open(context)?;
    if let Some(scope) = &args.scope {
        super::run::insist_on_scope(&session, scope)?;
    }
    if args.tool == Tool::ExternalSecret {
        let text = external_secret(&session, args)?;
        return write(context, args, &SecretBytes::new(text.into_bytes()));
    }
    let resolution = session.values(args.scope.as_deref().map_or(Selection::All, Selection::Scope))?;
    let made = Made { session: &session, args, resolution: &resolution };
    match args.tool.format() {
        Some(format) => write(context, args, &made.text(format)?),
        None => {
            let path = session.surroundings.variables.text("GITHUB_ENV").ok_or_else(|| {
                Failure::usage("GITHUB_ENV is not set: this is no job of GitHub Actions")
                    .hint("github-env and github-masks print what would be used there")
            })?;
            // Masked first: nothing of it may be shown from then on.
            context.output.bytes(made.text(Format::GithubMasks)?.expose())?;
            append(Path::new(path), &made.text(Format::GithubEnv)?)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

struct Made<'a> {
    session: &'a Session<'a>,
    args: &'a ExportArgs,
    resolution: &'a Resolution,
}

impl Made<'_> {
    fn text(&self, format: Format) -> Result<SecretBytes, Failure> {
        let entries: Vec<Entry<'_>> = exported(self.session, self.args)
            .filter_map(|secret| Some(Entry { secret, value: self.resolution.value(&secret.name)? }))
            .collect();
        let delimiter = delimiter(self.session);
        let options = options(self.session, self.args, &delimiter);
        export::export(format, &entries, &options).map_err(|errors| {
            let list: Vec<String> = errors.iter().map(ToString::to_string).collect();
            Failure::missing(list.join("\n       ")).hint("nothing was written")
        })
    }
}

fn exported<'s>(
    session: &'s Session<'_>,
    args: &'s ExportArgs,
) -> impl Iterator<Item = &'s strongroom_project::manifest::Secret> {
    let in_scope =
        |name: &str| args.scope.as_ref().is_none_or(|scope| session.manifest.in_scope(scope, name));
    session.manifest.secrets.iter().filter(move |secret| secret.is_injected() && in_scope(&secret.name))
}

/// A word that nobody can guess, so no value can hold it on purpose.
fn delimiter(session: &Session<'_>) -> String {
    let mut bytes = [0; 16];
    session.surroundings.entropy.fill(&mut bytes);
    format!("END_{}", hex::encode(bytes))
}

fn options<'a>(session: &'a Session<'_>, args: &'a ExportArgs, delimiter: &'a str) -> Options<'a> {
    Options {
        name: args.name.as_deref().unwrap_or(&session.manifest.project),
        namespace: args.kubernetes_namespace.as_deref(),
        environment: &session.environment.name,
        protected: session.environment.protected,
        delimiter,
    }
}

/// References into the first provider of the environment that reaches a host: the operator reads there itself.
fn external_secret(session: &Session<'_>, args: &ExportArgs) -> Result<String, Failure> {
    let opened = session.providers()?;
    let remote = opened
        .in_order(&session.environment)
        .find(|(_, provider)| matches!(provider.reach(), strongroom_project::provider::Reach::Host(_)));
    let Some((provider, _)) = remote else {
        return Err(Failure::usage(format!(
            "the environment {:?} has no provider that an operator could read from",
            session.environment.name
        )));
    };
    let references = exported(session, args).filter(|secret| secret.compose.is_none());
    let references = references.filter_map(|secret| {
        let address = opened.address(provider, &secret.name, secret.references.get(provider))?;
        Some(RemoteReference {
            name: secret.name.clone(),
            path: address.path,
            key: address.key,
            version: address.version,
        })
    });
    let references: Vec<RemoteReference> = references.collect();
    let store = args.store.as_deref().unwrap_or(provider);
    Ok(export::external_secret(&references, store, &options(session, args, "")))
}

fn write(context: &Context, args: &ExportArgs, text: &SecretBytes) -> Result<ExitCode, Failure> {
    match &args.output {
        None => context.output.bytes(text.expose()),
        Some(path) => {
            change(path, Links::Refuse, OUTPUT_BYTES_MAX)?.replace(text.expose())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A file that is larger is not one of ours.
const OUTPUT_BYTES_MAX: u64 = 64 << 20;

fn append(path: &Path, text: &SecretBytes) -> Result<(), Failure> {
    let failed = |error| Failure::other(format!("cannot append to {}: {error}", path.display()));
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).map_err(failed)?;
    file.write_all(text.expose()).map_err(failed)
}
