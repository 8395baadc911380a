//! Where age identities are: the places that sops looks at, in its order.

use super::Conversation;
use crate::Surroundings;
use age::secrecy::SecretString as AgeSecret;
use std::collections::HashMap;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use strongroom_secret::SecretBytes;

type Identity = Box<dyn age::Identity + Send + Sync>;

/// A file of identities or an ssh key is not longer.
const IDENTITY_BYTES_MAX: u64 = 1 << 20;

/// The identities of whoever runs this.
pub(super) struct Identities {
    surroundings: Arc<Surroundings>,
    talk: Talk,
    /// Those that need neither a command nor a passphrase to be read.
    ready: Vec<Identity>,
    /// Files that are encrypted with a passphrase, by their place.
    locked: Vec<(String, SecretBytes)>,
    unlocked: OnceLock<Vec<Identity>>,
    of_commands: Mutex<HashMap<String, Arc<Vec<Identity>>>>,
    /// Places where there was nothing.
    empty: Vec<String>,
    problems: Mutex<Vec<String>>,
}

/// The terminal, as age's library asks for it.
#[derive(Clone)]
pub(super) struct Talk(pub(super) Conversation);

impl age::Callbacks for Talk {
    fn display_message(&self, message: &str) {
        (self.0.tell)(message);
    }

    fn confirm(&self, _message: &str, _yes: &str, _no: Option<&str>) -> Option<bool> {
        None
    }

    fn request_public_string(&self, _description: &str) -> Option<String> {
        None
    }

    fn request_passphrase(&self, description: &str) -> Option<AgeSecret> {
        (self.0.passphrase)(description).map(|text| AgeSecret::from(text.expose().to_owned()))
    }
}

const KEY: &str = "SOPS_AGE_KEY";
const KEY_FILE: &str = "SOPS_AGE_KEY_FILE";
const KEY_COMMAND: &str = "SOPS_AGE_KEY_CMD";
const SSH_FILE: &str = "SOPS_AGE_SSH_PRIVATE_KEY_FILE";
const SSH_COMMAND: &str = "SOPS_AGE_SSH_PRIVATE_KEY_CMD";

impl Identities {
    pub(super) fn new(surroundings: &Arc<Surroundings>, conversation: Conversation) -> Self {
        let mut identities = Self {
            surroundings: Arc::clone(surroundings),
            talk: Talk(conversation),
            ready: Vec::new(),
            locked: Vec::new(),
            unlocked: OnceLock::new(),
            of_commands: Mutex::default(),
            empty: Vec::new(),
            problems: Mutex::default(),
        };
        identities.read_ssh();
        identities.read_age();
        for command in [SSH_COMMAND, KEY_COMMAND] {
            if surroundings.variables.text(command).is_none() {
                identities.empty.push(format!("${command}"));
            }
        }
        identities
    }

    fn read_ssh(&mut self) {
        let surroundings = Arc::clone(&self.surroundings);
        match surroundings.variables.text(SSH_FILE) {
            Some(file) => self.read_ssh_file(&surroundings.path(file), true),
            None => self.empty.push(format!("${SSH_FILE}")),
        }
        for name in [".ssh/id_ed25519", ".ssh/id_rsa"] {
            if let Some(file) = surroundings.in_home(name) {
                self.read_ssh_file(&file, false);
            }
        }
    }

    fn read_ssh_file(&mut self, file: &Path, was_asked_for: bool) {
        let place = file.display().to_string();
        match crate::files::read(file, IDENTITY_BYTES_MAX) {
            Ok(bytes) => match ssh_identity(&bytes, Some(place.clone()), &self.talk) {
                Ok(identity) => self.ready.push(identity),
                // A key of another kind in ~/.ssh is no mistake.
                Err(reason) if was_asked_for => self.problem(format!("{place}: {reason}")),
                Err(_) => self.empty.push(place),
            },
            Err(error) if error.is_missing() && !was_asked_for => self.empty.push(place),
            Err(error) => self.problem(error.to_string()),
        }
    }

    fn read_age(&mut self) {
        let surroundings = Arc::clone(&self.surroundings);
        match surroundings.variables.bytes(KEY) {
            Some(text) => self.read_text(&format!("${KEY}"), text.duplicate(), Words::Many),
            None => self.empty.push(format!("${KEY}")),
        }
        match surroundings.variables.text(KEY_FILE) {
            Some(file) => match crate::files::read(&surroundings.path(file), IDENTITY_BYTES_MAX) {
                Ok(bytes) => self.read_text(file, bytes, Words::One),
                Err(error) => self.problem(format!("${KEY_FILE}: {error}")),
            },
            None => self.empty.push(format!("${KEY_FILE}")),
        }
        if let Some(file) = user_file(&surroundings) {
            let place = file.display().to_string();
            match crate::files::read(&file, IDENTITY_BYTES_MAX) {
                Ok(bytes) => self.read_text(&place, bytes, Words::One),
                Err(error) if error.is_missing() => self.empty.push(place),
                Err(error) => self.problem(error.to_string()),
            }
        }
    }

    fn read_text(&mut self, place: &str, bytes: SecretBytes, words: Words) {
        if bytes.expose().starts_with(b"age-encryption") || bytes.expose().starts_with(b"-----BEGIN AGE") {
            self.locked.push((place.to_owned(), bytes));
            return;
        }
        match parse_identities(&bytes, words, &self.talk) {
            Ok(identities) if identities.is_empty() => self.empty.push(place.to_owned()),
            Ok(identities) => self.ready.extend(identities),
            Err(reason) => self.problem(format!("{place}: {reason}")),
        }
    }

    pub(super) fn ready(&self) -> &[Identity] {
        &self.ready
    }

    /// What the commands print when they are told the recipient.
    pub(super) fn of_commands(&self, recipient: &str) -> Arc<Vec<Identity>> {
        let mut known = self.of_commands.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || {
            let mut identities = Vec::new();
            if let Some(output) = self.output_of(SSH_COMMAND, recipient) {
                match ssh_identity(&output, None, &self.talk) {
                    Ok(identity) => identities.push(identity),
                    Err(reason) => self.problem(format!("${SSH_COMMAND}: {reason}")),
                }
            }
            if let Some(output) = self.output_of(KEY_COMMAND, recipient) {
                match parse_identities(&output, Words::One, &self.talk) {
                    Ok(more) => identities.extend(more),
                    Err(reason) => self.problem(format!("${KEY_COMMAND}: {reason}")),
                }
            }
            Arc::new(identities)
        };
        Arc::clone(known.entry(recipient.to_owned()).or_insert_with(read))
    }

    /// What the command in a variable prints. It is split into words as a shell does, and run without one.
    fn output_of(&self, variable: &str, recipient: &str) -> Option<SecretBytes> {
        let text = self.surroundings.variables.text(variable)?;
        let words = shlex::split(text).unwrap_or_default();
        let Some((program, arguments)) = words.split_first() else {
            self.problem(format!("${variable} is not a command"));
            return None;
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("SOPS_AGE_RECIPIENT", recipient)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        match command.output() {
            Ok(output) if output.status.success() => Some(SecretBytes::new(output.stdout)),
            Ok(output) => {
                self.problem(format!("${variable}: {program}: {}", output.status));
                None
            }
            Err(error) => {
                self.problem(format!("${variable}: cannot run {program}: {error}"));
                None
            }
        }
    }

    /// The identities in files with a passphrase, which is asked for once.
    pub(super) fn unlocked(&self) -> &[Identity] {
        self.unlocked.get_or_init(|| {
            let mut identities = Vec::new();
            for (place, bytes) in &self.locked {
                match self.unlock(place, bytes) {
                    Ok(more) => identities.extend(more),
                    Err(reason) => self.problem(format!("{place}: {reason}")),
                }
            }
            identities
        })
    }

    fn unlock(&self, place: &str, bytes: &SecretBytes) -> Result<Vec<Identity>, String> {
        let armoured = age::armor::ArmoredReader::new(BufReader::new(bytes.expose()));
        let decryptor = age::Decryptor::new_buffered(armoured).map_err(|error| error.to_string())?;
        let question = format!("Enter passphrase for identity '{place}':");
        let passphrase = (self.talk.0.passphrase)(&question)
            .ok_or_else(|| "it is protected by a passphrase, and nobody can be asked for it".to_owned())?;
        let identity = age::scrypt::Identity::new(AgeSecret::from(passphrase.expose().to_owned()));
        let mut reader = decryptor
            .decrypt(std::iter::once(&identity as &dyn age::Identity))
            .map_err(|_| "the passphrase is wrong".to_owned())?;
        let mut text = zeroize::Zeroizing::new(Vec::new());
        std::io::Read::read_to_end(&mut reader, &mut text).map_err(|error| error.to_string())?;
        parse_identities(&SecretBytes::new(std::mem::take(&mut *text)), Words::One, &self.talk)
    }

    fn problem(&self, text: String) {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).push(text);
    }

    /// Why none of `tried` identities opened a file.
    pub(super) fn why_not(&self, tried: usize) -> String {
        let mut text = match tried {
            0 => "there is no age identity".to_owned(),
            1 => "the one age identity that was found is not its recipient".to_owned(),
            tried => format!("none of the {tried} age identities that were found is its recipient"),
        };
        let problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        if !problems.is_empty() {
            text.push_str("; not usable: ");
            text.push_str(&problems.join("; "));
        }
        if !self.empty.is_empty() {
            text.push_str("; nothing in ");
            text.push_str(&self.empty.join(", "));
        }
        text
    }
}

/// `sops/age/keys.txt` in the user's folder for settings.
fn user_file(surroundings: &Surroundings) -> Option<PathBuf> {
    let folder = match surroundings.variables.text("XDG_CONFIG_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => surroundings.in_home(".config")?,
    };
    Some(folder.join("sops/age/keys.txt"))
}

/// Whether a line may hold several identities.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Words {
    One,
    Many,
}

fn parse_identities(bytes: &SecretBytes, words: Words, talk: &Talk) -> Result<Vec<Identity>, String> {
    let text = std::str::from_utf8(bytes.expose()).map_err(|_| "it is not text".to_owned())?;
    let mut identities = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let several: Vec<_> = match words {
            Words::One => vec![line.trim_end()],
            Words::Many => line.split_whitespace().collect(),
        };
        for word in several {
            let identity = parse_identity(word, talk).map_err(|why| format!("line {}: {why}", number + 1))?;
            identities.push(identity);
        }
    }
    Ok(identities)
}

/// Errors do not repeat the text: it is a secret.
fn parse_identity(text: &str, talk: &Talk) -> Result<Identity, String> {
    if text.starts_with("AGE-PLUGIN-") {
        let identity: age::plugin::Identity =
            text.parse().map_err(|_| "not a plugin's identity".to_owned())?;
        let name = identity.plugin().to_owned();
        return match age::plugin::IdentityPluginV1::new(&name, &[identity], talk.clone()) {
            Ok(plugin) => Ok(Box::new(plugin)),
            Err(_) => Err(format!("age-plugin-{name} is not in PATH")),
        };
    }
    if text.starts_with("AGE-SECRET-KEY-PQ-1") {
        return Err("post-quantum identities are not supported yet".to_owned());
    }
    if text.starts_with("age1") {
        return Err("this is a recipient (a public key), not an identity".to_owned());
    }
    match text.parse::<age::x25519::Identity>() {
        Ok(identity) => Ok(Box::new(identity)),
        Err(_) => Err("not an age identity (AGE-SECRET-KEY-1…)".to_owned()),
    }
}

fn ssh_identity(bytes: &SecretBytes, place: Option<String>, talk: &Talk) -> Result<Identity, String> {
    match age::ssh::Identity::from_buffer(BufReader::new(bytes.expose()), place) {
        Ok(age::ssh::Identity::Unsupported(_)) => {
            Err("this kind of ssh key cannot decrypt: use ssh-ed25519 or ssh-rsa".to_owned())
        }
        Ok(identity) => Ok(Box::new(identity.with_callbacks(talk.clone()))),
        Err(_) => Err("not an ssh private key".to_owned()),
    }
}
