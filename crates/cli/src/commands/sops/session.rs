//! What the verbs share: keys, rules, files in and out, and errors in the right voice.

use super::arguments::{FormatArgs, KeyArgs, RuleArgs, SopsGlobals, TargetArgs};
use crate::environment::Environment;
use crate::failure::{Failure, Kind};
use crate::system::{SystemClock, SystemEntropy};
use crate::terminal;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use strongroom_formats::sops::{
    DataKeyError, FILE_BYTES_MAX, Format, Indent, MacScope, MetadataError, OpenError, Recipient,
    RecipientKind, SealPolicy, Selector, SelectorKind, SourceError, Verification,
};
use strongroom_project::Surroundings;
use strongroom_project::files::{self, FileError, Links};
use strongroom_project::sops::config::{self, Config, ConfigError, CreationRule};
use strongroom_project::sops::recipients::{AwsSettings, parse_context, parse_list};
use strongroom_project::sops::{DecryptionOrder, Keys, NewFile, Restriction, SopsError};
use strongroom_secret::SecretBytes;

/// Whose words, codes and habits are in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    Ours,
    Sops,
}

/// The exit codes of sops (cmd/sops/codes in getsops/sops).
pub mod codes {
    pub const NOT_READ: u8 = 2;
    pub const NOT_WRITTEN: u8 = 3;
    pub const NOT_DUMPED: u8 = 4;
    pub const CONTEXT_FORMAT: u8 = 6;
    pub const SET_FORMAT: u8 = 7;
    pub const CONFLICTING: u8 = 8;
    pub const NOT_ENCRYPTED: u8 = 23;
    pub const NOT_DECRYPTED: u8 = 25;
    pub const KEYS_OF_NO_FILE: u8 = 49;
    pub const MAC_MISMATCH: u8 = 51;
    pub const PATH_FORMAT: u8 = 91;
    pub const NO_DOCUMENT: u8 = 92;
    pub const NO_FILE: u8 = 100;
    pub const DUPLICATE_KEY_TYPE: u8 = 112;
    pub const NO_KEY: u8 = 128;
    pub const NOT_MODIFIED: u8 = 200;
    pub const NO_EDITOR: u8 = 201;
    pub const ALREADY_ENCRYPTED: u8 = 203;
}

pub struct Session {
    pub voice: Voice,
    pub globals: SopsGlobals,
    pub surroundings: Arc<Surroundings>,
    keys: OnceLock<Keys>,
    /// Files with rules, by their paths: a thousand files have one.
    configs: Mutex<HashMap<PathBuf, Arc<Config>>>,
}

impl Session {
    pub fn new(voice: Voice, globals: SopsGlobals, environment: &Environment) -> Result<Self, Failure> {
        let folder = std::env::current_dir()
            .map_err(|error| Failure::other(format!("the working folder: {error}")))?;
        let surroundings = Surroundings {
            variables: Environment::variables(),
            home: environment.home().cloned(),
            folder,
            clock: Arc::new(SystemClock::new()),
            entropy: Arc::new(SystemEntropy),
        };
        if !globals.keyservice.is_empty() {
            return Err(Failure::usage(
                "key services over the network are not supported: keys are used from here",
            ));
        }
        let (surroundings, keys, configs) = (Arc::new(surroundings), OnceLock::new(), Mutex::default());
        Ok(Self { voice, globals, surroundings, keys, configs })
    }

    pub fn keys(&self) -> Result<&Keys, Failure> {
        if let Some(keys) = self.keys.get() {
            return Ok(keys);
        }
        let order = self.globals.decryption_order.as_deref().unwrap_or_default();
        let order = DecryptionOrder::parse(order).map_err(|name| {
            Failure::usage(format!("Duplicate decryption key type: {name}"))
                .exit_code(codes::DUPLICATE_KEY_TYPE)
        })?;
        let keys = Keys::new(Arc::clone(&self.surroundings), terminal::conversation(), order);
        Ok(self.keys.get_or_init(|| keys))
    }

    /// Where age keys are found without being named.
    pub fn usual_keys_file(&self) -> Option<PathBuf> {
        let xdg = self.surroundings.variables.text("XDG_CONFIG_HOME").map(PathBuf::from);
        let folder = xdg.or_else(|| self.surroundings.in_home(".config"))?;
        Some(folder.join("sops/age/keys.txt"))
    }

    /// Our commands seal files; under the name `sops`, files stay as sops would write them.
    pub fn seal(&self) -> SealPolicy {
        match self.voice {
            Voice::Ours => SealPolicy::Write,
            Voice::Sops => SealPolicy::Keep,
        }
    }

    pub fn note(&self, text: &str) {
        // Standard error may be gone: there is nobody left to tell.
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    pub fn input_format(&self, given: Option<&str>, path: &Path) -> Result<Format, Failure> {
        match given {
            Some(name) => match Format::named(name) {
                Some(format) => Ok(format),
                // sops passes over names that it does not know.
                None if self.voice == Voice::Sops => Ok(Format::of_path(path)),
                None => Err(Failure::usage(format!(
                    "there is no format {name:?}: yaml, json, dotenv, ini, toml, binary"
                ))),
            },
            None => Ok(Format::of_path(path)),
        }
    }

    /// Input and output format of a file.
    pub fn formats(&self, given: &FormatArgs, path: &Path) -> Result<(Format, Format), Failure> {
        let name = given.filename_override.as_deref().unwrap_or(path);
        let input = self.input_format(given.input_type.as_deref(), name)?;
        let output = match given.output_type.as_deref() {
            None => match &given.input_type {
                // sops takes the name's format for the output even when the input's is told.
                Some(_) if self.voice == Voice::Ours => input,
                _ => self.input_format(None, name)?,
            },
            told => self.input_format(told, name)?,
        };
        Ok((input, output))
    }

    pub fn indent(&self, format: Format) -> Indent {
        if let Some(spaces) = self.globals.indent {
            return Indent::Spaces(spaces.min(16));
        }
        let stores = self
            .config_near(&self.surroundings.folder)
            .ok()
            .flatten()
            .map(|config| config.stores)
            .unwrap_or_default();
        match format {
            Format::Yaml => stores.yaml,
            Format::Binary => stores.binary,
            _ => stores.json,
        }
    }

    pub fn verification(&self, ignore_mac: bool) -> Verification {
        if ignore_mac { Verification::Ignored } else { Verification::Required }
    }

    /// An absolute path, as the rules see it.
    pub fn absolute(&self, path: &Path) -> PathBuf {
        std::path::absolute(path).unwrap_or_else(|_| self.surroundings.folder.join(path))
    }

    /// The rules that govern a file: those told, or the nearest above the file (sops: above the working folder).
    pub fn config_for(&self, file: &Path) -> Result<Option<Arc<Config>>, Failure> {
        let file = self.absolute(file);
        let near = file.parent().filter(|_| self.voice == Voice::Ours).unwrap_or(&self.surroundings.folder);
        self.config_near(near)
    }

    fn config_near(&self, folder: &Path) -> Result<Option<Arc<Config>>, Failure> {
        let path = match &self.globals.rules {
            Some(path) => path.clone(),
            None => {
                let found = config::find(folder);
                if let Some(misnamed) = found.misnamed {
                    self.note(&format!(
                        "{} is ignored: the file must be called .sops.yaml",
                        misnamed.display()
                    ));
                }
                let Some(path) = found.path else { return Ok(None) };
                path
            }
        };
        let path = self.absolute(&path);
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = configs.get(&path) {
            return Ok(Some(Arc::clone(known)));
        }
        let config = Config::load(&path, &Default::default()).map_err(|error| self.failure(error.into()))?;
        let config = Arc::new(config);
        configs.insert(path, Arc::clone(&config));
        Ok(Some(config))
    }

    /// For whom and how a new file is encrypted: what the flags say, then what the rules say.
    pub fn new_file(
        &self,
        file: &Path,
        format: Format,
        keys: &KeyArgs,
        rule: &RuleArgs,
    ) -> Result<NewFile, Failure> {
        let file = self.absolute(file);
        let config = self.config_for(&file)?;
        let given = self.recipients(keys)?;
        let creation = match &config {
            Some(config) => match config.creation_rule(&file) {
                Ok(rule) => rule,
                Err(ConfigError::NoRule { .. }) if !given.is_empty() => None,
                Err(error) => return Err(self.failure(error.into())),
            },
            None => None,
        };
        let given_none = given.is_empty();
        let groups = match (given_none, creation) {
            (false, _) => vec![given],
            (true, Some(creation)) => creation.groups.clone(),
            (true, None) => {
                let looked_from = file.parent().unwrap_or(Path::new(".")).to_owned();
                return Err(self.failure(SopsError::NoKeys { looked_from }));
            }
        };
        let threshold =
            rule.shamir_secret_sharing_threshold.or(creation.map(|rule| rule.threshold)).unwrap_or_default();
        let selector = self.selector(format, rule, creation)?;
        let mac_scope = match (format, creation) {
            (Format::Binary, _) | (_, None) => MacScope::AllValues,
            (_, Some(rule)) => rule.mac_scope,
        };
        // Flags name other recipients than the rule, so its restrictions do not fit them.
        let restrictions = match creation.filter(|_| given_none) {
            Some(rule) if format != Format::Binary => rule.restrictions.clone(),
            _ => Vec::new(),
        };
        Ok(NewFile { groups, threshold, selector, mac_scope, restrictions })
    }

    /// Which values of a file its rule means for some of the recipients alone.
    pub fn restrictions(&self, file: &Path) -> Result<Vec<Restriction>, Failure> {
        let file = self.absolute(file);
        let config = self.config_for(&file)?;
        let rule = config.as_ref().and_then(|config| config.creation_rule(&file).ok().flatten());
        Ok(rule.map(|rule| rule.restrictions.clone()).unwrap_or_default())
    }

    fn selector(
        &self,
        format: Format,
        rule: &RuleArgs,
        creation: Option<&CreationRule>,
    ) -> Result<Selector, Failure> {
        // A binary file is one value.
        if format == Format::Binary {
            return Ok(Selector::everything());
        }
        let flags = [
            (SelectorKind::UnencryptedSuffix, &rule.unencrypted_suffix),
            (SelectorKind::EncryptedSuffix, &rule.encrypted_suffix),
            (SelectorKind::UnencryptedRegex, &rule.unencrypted_regex),
            (SelectorKind::EncryptedRegex, &rule.encrypted_regex),
            (SelectorKind::UnencryptedCommentRegex, &rule.unencrypted_comment_regex),
            (SelectorKind::EncryptedCommentRegex, &rule.encrypted_comment_regex),
        ];
        let flags = flags.into_iter().filter_map(|(kind, text)| Some((kind, text.clone()?)));
        let told = Selector::only(flags)
            .map_err(|error| Failure::usage(error.to_string()).exit_code(self.code(codes::CONFLICTING)))?;
        Ok(told.or_else(|| creation.and_then(|rule| rule.selector.clone())).unwrap_or_default())
    }

    /// The recipients that flags and variables name.
    pub fn recipients(&self, keys: &KeyArgs) -> Result<Vec<Recipient>, Failure> {
        let context = parse_context(keys.encryption_context.as_deref().unwrap_or_default())
            .map_err(|error| Failure::usage(error.to_string()).exit_code(self.code(codes::CONTEXT_FORMAT)))?;
        let aws = AwsSettings { context, profile: keys.aws_profile.clone().unwrap_or_default() };
        let lists = [
            (RecipientKind::AwsKms, &keys.kms),
            (RecipientKind::GcpKms, &keys.gcp_kms),
            (RecipientKind::HuaweiKms, &keys.hckms),
            (RecipientKind::AzureKeyVault, &keys.azure_kv),
            (RecipientKind::Pgp, &keys.pgp),
            (RecipientKind::VaultTransit, &keys.hc_vault_transit),
            (RecipientKind::Age, &keys.age),
        ];
        let mut all = Vec::new();
        for (kind, text) in lists {
            let text = text.as_deref().unwrap_or_default();
            all.extend(parse_list(kind, text, &aws).map_err(|error| self.failure(error.into()))?);
        }
        Ok(all)
    }

    pub fn read(&self, path: &Path) -> Result<SecretBytes, Failure> {
        files::read(path, FILE_BYTES_MAX as u64).map_err(|error| match (&error, self.voice) {
            (FileError::Missing(path), Voice::Sops) => {
                let path = self.absolute(path);
                Failure::missing(format!(
                    "Error: cannot operate on non-existent file {:?}",
                    path.display().to_string()
                ))
                .exit_code(codes::NO_FILE)
            }
            _ => self.failure(error.into()),
        })
    }

    pub fn read_stdin(&self) -> Result<SecretBytes, Failure> {
        let mut bytes = zeroize::Zeroizing::new(Vec::new());
        let read = std::io::stdin().lock().take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| {
            Failure::other(format!("reading standard input: {error}")).exit_code(self.code(codes::NOT_READ))
        })?;
        Ok(SecretBytes::new(std::mem::take(&mut *bytes)))
    }

    /// Puts new content in a file's place, if the file still holds what it held.
    pub fn replace(&self, path: &Path, old: Option<&SecretBytes>, new: &SecretBytes) -> Result<(), Failure> {
        let failed = |error: FileError| self.failure(error.into()).exit_code(self.code(codes::NOT_WRITTEN));
        let change = files::change(path, Links::Follow, FILE_BYTES_MAX as u64).map_err(failed)?;
        if let (Some(old), Some(now)) = (old, change.content())
            && old != now
        {
            return Err(failed(FileError::Changed(path.to_owned())));
        }
        change.replace(new.expose()).map_err(failed)
    }

    /// Writes what a verb made where the flags say.
    pub fn write(
        &self,
        path: Option<&Path>,
        target: &TargetArgs,
        old: Option<&SecretBytes>,
        new: &SecretBytes,
    ) -> Result<(), Failure> {
        match (path, target.in_place, &target.output) {
            (Some(path), true, _) => self.replace(path, old, new),
            (_, _, Some(output)) => self.replace(output, None, new),
            _ => self.print(new),
        }
    }

    pub fn print(&self, bytes: &SecretBytes) -> Result<(), Failure> {
        let mut stdout = std::io::stdout().lock();
        let written = stdout.write_all(bytes.expose()).and_then(|()| stdout.flush());
        written.map_err(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::new(Kind::Quiet, ""),
            _ => Failure::other(format!("writing standard output: {error}"))
                .exit_code(self.code(codes::NOT_WRITTEN)),
        })
    }

    /// Asks yes or no. Without a terminal nobody can say yes.
    pub fn confirm(&self, question: &str) -> Result<bool, Failure> {
        let mut stdout = std::io::stdout();
        loop {
            let _ = write!(stdout, "{question}");
            let _ = stdout.flush();
            let mut answer = String::new();
            let read = std::io::stdin().read_line(&mut answer);
            match (read, answer.trim()) {
                (Ok(0) | Err(_), _) => {
                    return Err(Failure::usage("nobody answered: --yes goes on without asking"));
                }
                (_, "y") => return Ok(true),
                (_, "n") => return Ok(false),
                _ => {}
            }
        }
    }

    /// A failure of one file, which our own words name.
    pub fn of_file(&self, path: &Path, failure: Failure) -> Failure {
        let name = path.display().to_string();
        let is_named = failure.message().contains(&name);
        if self.voice == Voice::Sops || is_named { failure } else { failure.prefixed(&name) }
    }

    /// A code of sops', which ours are not.
    pub fn code(&self, code: u8) -> u8 {
        match (self.voice, code) {
            (Voice::Sops, code) => code,
            (
                Voice::Ours,
                codes::CONFLICTING | codes::CONTEXT_FORMAT | codes::SET_FORMAT | codes::PATH_FORMAT,
            ) => 2,
            (Voice::Ours, codes::MAC_MISMATCH) => 6,
            (Voice::Ours, codes::NO_KEY) => 4,
            (Voice::Ours, codes::NO_FILE | codes::NO_DOCUMENT) => 3,
            (Voice::Ours, codes::NOT_MODIFIED) => 0,
            (Voice::Ours, _) => 1,
        }
    }

    /// An error of the library, as a person is told it.
    pub fn failure(&self, error: SopsError) -> Failure {
        let (kind, code) = classified(&error);
        let message = match (&error, self.voice) {
            (
                SopsError::DataKey(
                    inner @ (DataKeyError::NoGroups | DataKeyError::EmptyGroup | DataKeyError::Wrap(_)),
                ),
                _,
            ) => {
                format!("Could not generate data key: [{inner}]")
            }
            (SopsError::Source(SourceError::Metadata(MetadataError::Missing)), Voice::Sops) => {
                "sops metadata not found".to_owned()
            }
            (SopsError::DataKey(DataKeyError::Refused { .. }), Voice::Sops) => {
                "Failed to get the data key required to decrypt the SOPS file.".to_owned()
            }
            _ => error.to_string(),
        };
        let mut failure = Failure::new(kind, message);
        if self.voice == Voice::Sops {
            failure = failure.exit_code(code);
        }
        for line in error.details() {
            failure = failure.looked(line);
        }
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// Our kind of an error, and sops' code for it.
fn classified(error: &SopsError) -> (Kind, u8) {
    match error {
        SopsError::File(error) if error.is_missing() => (Kind::Missing, codes::NO_FILE),
        SopsError::File(_) => (Kind::Other, codes::NOT_READ),
        SopsError::Source(SourceError::Reserved(_)) => (Kind::Usage, codes::ALREADY_ENCRYPTED),
        SopsError::Source(SourceError::Empty) => (Kind::Missing, codes::NO_DOCUMENT),
        SopsError::Source(SourceError::Metadata(_)) => (Kind::Missing, 1),
        SopsError::Source(
            SourceError::Nested(_) | SourceError::NotText(_) | SourceError::NotBinary | SourceError::Write(_),
        ) => (Kind::Other, codes::NOT_DUMPED),
        SopsError::Source(_) => (Kind::Missing, codes::NOT_READ),
        SopsError::DataKey(DataKeyError::Refused { .. }) => (Kind::Denied, codes::NO_KEY),
        SopsError::Open(OpenError::Value(_)) => (Kind::Integrity, codes::NOT_DECRYPTED),
        SopsError::Open(_) => (Kind::Integrity, codes::MAC_MISMATCH),
        SopsError::Encrypt(_) => (Kind::Other, codes::NOT_ENCRYPTED),
        SopsError::Edit(_) => (Kind::Missing, 1),
        SopsError::Recipient(_) | SopsError::Config(_) | SopsError::NoKeys { .. } => (Kind::Usage, 1),
        SopsError::DataKey(_) | SopsError::Other(_) => (Kind::Other, 1),
    }
}
