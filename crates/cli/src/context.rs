//! From raw flags and environment to what commands work with: flag first, then `STRONGROOM_X`, then `VAULT_X`.

use crate::arguments::{Format, Globals};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::output::Output;
use crate::persona::Face;
use crate::token_file;
use clap::ValueEnum;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;
use strongroom_api::client::{Address, Client, ClientConfig, ProxyChoice, TlsOptions, Verification};
use strongroom_secret::{SecretString, parse_duration};

/// What every command is given.
pub struct Context {
    pub output: Output,
    pub environment: Environment,
    globals: Globals,
}

/// The project's part of the flags, resolved.
pub struct ProjectSettings<'a> {
    pub environment: Option<&'a str>,
    pub manifest: Option<PathBuf>,
    pub quiet: bool,
    pub yes: bool,
    pub offline: bool,
    pub locked: bool,
}

impl Context {
    pub fn new(face: Face, globals: Globals, environment: Environment) -> Result<Self, Failure> {
        let json = globals.project.json.then_some(Format::Json);
        // What is none of these is a form of a scan's report: the definition lets nothing else through.
        let named = globals.format.as_deref().and_then(|name| Format::from_str(name, true).ok());
        let format = match (named.or(json), environment.setting("FORMAT")) {
            (Some(format), _) => format,
            (None, Some(name)) => Format::from_str(name, true).map_err(|_| {
                Failure::usage(format!("the format {name:?} from the environment is none of ours"))
            })?,
            (None, None) => Format::default(),
        };
        if let Some(folder) = &globals.project.directory {
            let failed = |error| Failure::usage(format!("cannot work in {}: {error}", folder.display()));
            std::env::set_current_dir(folder).map_err(failed)?;
        }
        let stdout_is_terminal = std::io::stdout().is_terminal();
        let output = Output { face, format, field: globals.field.clone(), stdout_is_terminal };
        Ok(Self { output, environment, globals })
    }

    /// A client in the name of the token in use, if there is one.
    pub fn client(&self) -> Result<Client, Failure> {
        let mut config = self.client_config()?;
        config.token = self.token()?;
        Ok(Client::new(config)?)
    }

    /// The same, for the server at an address.
    pub fn client_at(&self, address: &str) -> Result<Client, Failure> {
        let mut config = self.client_config()?;
        config.address = Address::parse(address)?;
        config.token = self.token()?;
        Ok(Client::new(config)?)
    }

    /// A client in nobody's name.
    pub fn client_without_token(&self) -> Result<Client, Failure> {
        Ok(Client::new(self.client_config()?)?)
    }

    /// What the flags and the environment say of the project.
    pub fn project(&self) -> ProjectSettings<'_> {
        let flags = &self.globals.project;
        let named = |name: &str| self.environment.named(name).map(SecretString::expose);
        let switch = |flag: bool, name: &str| {
            flag || named(name).is_some_and(|value| matches!(value, "1" | "true" | "yes"))
        };
        ProjectSettings {
            environment: flags.env.as_deref().or(named("STRONGROOM_ENV")),
            manifest: flags.config.clone().or(named("STRONGROOM_CONFIG").map(PathBuf::from)),
            quiet: switch(flags.quiet, "STRONGROOM_QUIET"),
            yes: switch(flags.yes, "STRONGROOM_YES"),
            offline: switch(flags.offline, "STRONGROOM_OFFLINE"),
            locked: switch(flags.locked, "STRONGROOM_LOCKED"),
        }
    }

    /// Whether JSON was asked for, by a flag or in the environment.
    pub fn wants_json(&self) -> bool {
        self.output.format == Format::Json
    }

    /// Whether a person can be asked.
    pub fn may_ask(&self) -> bool {
        !self.globals.non_interactive && std::io::stdin().is_terminal()
    }

    /// Whether nothing may be asked, not even for a passphrase.
    pub fn never_asks(&self) -> bool {
        self.globals.non_interactive
    }

    pub fn token(&self) -> Result<Option<SecretString>, Failure> {
        if let Some(file) = &self.globals.token_file {
            let token = token_file::load(file)?;
            return token
                .map(Some)
                .ok_or_else(|| Failure::usage(format!("{} holds no token", file.display())));
        }
        match self.environment.token() {
            Some(token) => Ok(Some(token)),
            None => self.stored_token_file().map_or(Ok(None), |file| token_file::load(&file)),
        }
    }

    /// Where `login` keeps its token. `None` without a home folder.
    pub fn stored_token_file(&self) -> Option<PathBuf> {
        self.environment.home().map(|home| token_file::path(home))
    }

    fn client_config(&self) -> Result<ClientConfig, Failure> {
        let flags = &self.globals;
        let address = self.flag_or_setting(flags.address.as_deref(), "ADDR").unwrap_or(DEFAULT_ADDRESS);
        let mut config = ClientConfig::new(Address::parse(address)?);
        config.namespace =
            self.flag_or_setting(flags.namespace.as_deref(), "NAMESPACE").map(namespace_header);
        config.wrap_ttl = self.flag_or_setting(flags.wrap_ttl.as_deref(), "WRAP_TTL").map(str::to_owned);
        config.tls = self.tls();
        if let Some(proxy) = self.environment.setting("PROXY_ADDR").or(self.environment.setting("HTTP_PROXY"))
        {
            config.proxy = ProxyChoice::Address(proxy.to_owned());
        }
        if let Some(retries) = self.environment.setting("MAX_RETRIES") {
            config.retries_max = retries.parse().map_err(|_| not_usable("MAX_RETRIES", retries))?;
        }
        if let Some(timeout) = self.environment.setting("CLIENT_TIMEOUT") {
            let duration = parse_duration(timeout).map_err(|_| not_usable("CLIENT_TIMEOUT", timeout))?;
            config.timeout = if duration.is_zero() { Duration::from_secs(60) } else { duration };
        }
        for header in &flags.header {
            let (name, value) = header
                .split_once('=')
                .ok_or_else(|| Failure::usage("a header is written as name=value".to_owned()))?;
            config.headers.push((name.to_owned(), value.into()));
        }
        Ok(config)
    }

    fn tls(&self) -> TlsOptions {
        let flags = &self.globals;
        let file = |flag: &Option<PathBuf>, name: &str| {
            flag.clone().or_else(|| self.environment.setting(name).map(PathBuf::from))
        };
        let skip = flags.tls_skip_verify || self.environment.switch("SKIP_VERIFY");
        TlsOptions {
            ca_file: file(&flags.ca_cert, "CACERT"),
            ca_pem: None,
            ca_folder: file(&flags.ca_path, "CAPATH"),
            client_certificate: file(&flags.client_cert, "CLIENT_CERT"),
            client_key: file(&flags.client_key, "CLIENT_KEY"),
            server_name: self
                .flag_or_setting(flags.tls_server_name.as_deref(), "TLS_SERVER_NAME")
                .map(str::to_owned),
            verification: if skip { Verification::Skipped } else { Verification::Required },
        }
    }

    fn flag_or_setting<'a>(&'a self, flag: Option<&'a str>, name: &str) -> Option<&'a str> {
        flag.or_else(|| self.environment.setting(name)).filter(|value| !value.is_empty())
    }
}

/// Where a server listens unless told otherwise. In clear text, so on this machine alone.
const DEFAULT_ADDRESS: &str = "http://127.0.0.1:8200";

fn namespace_header(namespace: &str) -> String {
    format!("{}/", namespace.trim_matches('/'))
}

fn not_usable(name: &str, value: &str) -> Failure {
    Failure::usage(format!("STRONGROOM_{name} (VAULT_{name}) cannot be {value:?}"))
}
