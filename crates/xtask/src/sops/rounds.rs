//! Files that go from one program to the other and back, in every format and with every kind of key that works offline.

use crate::outcome::Outcome;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Inputs, by the ending of their name. They are the vectors of the formats' tests.
const FORMATS: [&str; 5] = ["json", "yaml", "env", "ini", "bin"];

/// Two programs and the keys of one person.
pub(super) struct Rounds {
    ours: PathBuf,
    peer: PathBuf,
    pub(super) folder: PathBuf,
    gnupg: PathBuf,
    recipient: String,
    /// What else both programs find in their environment.
    pub(super) variables: Vec<(&'static str, OsString)>,
}

/// Who encrypts, and who decrypts.
#[derive(Clone, Copy)]
pub(super) enum Who {
    Us,
    /// Our commands under our own name: they write a seal.
    UsSealing,
    Them,
}

/// How files go round: who writes, and who reads and changes.
pub(super) const WAYS: [(&str, Who, Who); 3] = [
    ("ours to theirs", Who::Us, Who::Them),
    ("theirs to ours", Who::Them, Who::Us),
    ("sealed to theirs", Who::UsSealing, Who::Them),
];

pub(super) fn run(ours: &Path, peer: &Path, home: &Path) -> Result<Outcome> {
    let rounds = Rounds::new(ours, peer, &home.join("rounds"))?;
    let mut outcome = Outcome::default();
    let mut keys = vec![("age", format!("--age={}", rounds.recipient))];
    match rounds.pgp_key() {
        Ok(fingerprint) => keys.push(("pgp", format!("--pgp={fingerprint}"))),
        Err(error) => {
            println!("skipped: PGP: {error:#}");
            outcome += Outcome::skipped();
        }
    }
    for (kind, flag) in &keys {
        for format in FORMATS {
            for (name, writer, reader) in WAYS {
                outcome += check(
                    &format!("{kind} {format}: {name}"),
                    rounds.there_and_back(format, &[flag], writer, reader),
                );
            }
        }
    }
    Ok(outcome)
}

pub(super) fn check(name: &str, result: Result<()>) -> Outcome {
    if let Err(error) = &result {
        println!("FAILED {name}: {error:#}");
    }
    Outcome::of_check(result.is_ok())
}

impl Rounds {
    /// In a folder of their own, with an age identity and a file in each format.
    pub(super) fn new(ours: &Path, peer: &Path, folder: &Path) -> Result<Self> {
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder)?;
        let vectors = crate::tools::root().join("crates/formats/tests/sops");
        for format in FORMATS {
            std::fs::copy(vectors.join(format!("plain.{format}")), folder.join(format!("plain.{format}")))?;
        }
        std::fs::copy(vectors.join("identity.txt"), folder.join("identity.txt"))?;
        let identity = std::fs::read_to_string(folder.join("identity.txt"))?;
        let recipient =
            identity.lines().find_map(|line| line.strip_prefix("# public key: ")).context("no recipient")?;
        Ok(Self {
            ours: ours.to_owned(),
            peer: peer.to_owned(),
            gnupg: folder.join("gnupg"),
            recipient: recipient.to_owned(),
            folder: folder.to_owned(),
            variables: Vec::new(),
        })
    }

    /// The recipient of the age identity in `identity.txt`.
    pub(super) fn recipient(&self) -> &str {
        &self.recipient
    }

    pub(super) fn command(&self, who: Who) -> Command {
        let mut command = match who {
            Who::Us => {
                let mut command = Command::new(&self.ours);
                command.arg("--persona=sops");
                command
            }
            Who::UsSealing => {
                let mut command = Command::new(&self.ours);
                command.arg("sops");
                command
            }
            Who::Them => Command::new(&self.peer),
        };
        command.current_dir(&self.folder).env("SOPS_AGE_KEY_FILE", self.folder.join("identity.txt"));
        command.env("GNUPGHOME", &self.gnupg).env_remove("SOPS_AGE_RECIPIENTS").env_remove("SOPS_PGP_FP");
        // Keys of whoever runs this must not open what the test's keys do not.
        command.env("HOME", &self.folder).env_remove("XDG_CONFIG_HOME");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(super) fn output(&self, who: Who, arguments: &[&str]) -> Result<Vec<u8>> {
        let Output { status, stdout, stderr } = self.command(who).args(arguments).output()?;
        let name = match who {
            Who::Them => "sops",
            Who::Us | Who::UsSealing => "ours",
        };
        ensure!(
            status.success(),
            "{name} {arguments:?}: {status}: {}",
            String::from_utf8_lossy(&stderr).trim()
        );
        Ok(stdout)
    }

    /// One encrypts, the other reads, changes one value, and the first reads that.
    pub(super) fn there_and_back(
        &self,
        format: &str,
        flags: &[&str],
        writer: Who,
        reader: Who,
    ) -> Result<()> {
        let (plain, file) = (format!("plain.{format}"), format!("round.{format}"));
        let encrypted = self.output(writer, &[&["encrypt"], flags, &[&plain]].concat())?;
        std::fs::write(self.folder.join(&file), &encrypted)?;
        let (ours, theirs) =
            (self.output(Who::Us, &["decrypt", &file])?, self.output(Who::Them, &["decrypt", &file])?);
        ensure!(meaning(format, &ours) == meaning(format, &theirs), "the two programs read different values");
        let Some(path) = place(format) else { return Ok(()) };
        self.output(reader, &["set", &file, path, "\"changed\""])?;
        let changed = std::fs::read(self.folder.join(&file))?;
        if !matches!(writer, Who::UsSealing) && matches!(reader, Who::Us) {
            let lines = changed_lines(&encrypted, &changed);
            // The value, the MAC, and its time unless all this took less than a second.
            ensure!(lines.len() <= 3, "a change of one value changed the lines of {lines:?}");
        }
        for who in [writer, reader] {
            let value = self.output(who, &["decrypt", "--extract", path, &file])?;
            ensure!(value == b"changed", "the change was not read: {:?}", String::from_utf8_lossy(&value));
        }
        Ok(())
    }

    /// A key of OpenPGP without a passphrase, in a keyring of its own.
    fn pgp_key(&self) -> Result<String> {
        ensure!(crate::tools::installed("gpg"), "gpg is not installed");
        std::fs::create_dir_all(&self.gnupg)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&self.gnupg, std::fs::Permissions::from_mode(0o700))?;
        }
        let gpg = |arguments: &[&str]| -> Result<Vec<u8>> {
            let output = Command::new("gpg").env("GNUPGHOME", &self.gnupg).args(arguments).output()?;
            ensure!(
                output.status.success(),
                "gpg {arguments:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            Ok(output.stdout)
        };
        let name = "not-a-real-person <nobody@example.com>";
        gpg(&["--batch", "--passphrase", "", "--quick-gen-key", name, "default", "default", "never"])?;
        let listed = String::from_utf8(gpg(&["--with-colons", "--fingerprint"])?)?;
        let fingerprint =
            listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).context("no fingerprint")?;
        Ok(fingerprint.trim_end_matches(':').to_owned())
    }
}

/// A value that is changed. A binary file has none.
fn place(format: &str) -> Option<&'static str> {
    match format {
        "json" | "yaml" | "ini" => Some(r#"["database"]["port"]"#),
        "env" => Some(r#"["PASSWORD"]"#),
        _ => None,
    }
}

/// What a decrypted file says, without what each program writes in its own way: order of bytes aside from layout.
pub(super) fn meaning(format: &str, bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).into_owned();
    match format {
        // Go escapes what HTML would mind, and dates lose how they were written.
        "json" => text.replace("\\u003c", "<").replace("\\u003e", ">").replace("\\u0026", "&"),
        "yaml" => text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .map(|line| format!("{}\n", line.replace(" # inline", "")))
            .collect(),
        "ini" => text
            .lines()
            .map(|line| format!("{}\n", line.split_whitespace().collect::<Vec<_>>().join(" ")))
            .collect(),
        _ => text,
    }
}

/// What stands before `:` or `=` on the lines that only one of two texts has.
fn changed_lines(one: &[u8], other: &[u8]) -> BTreeSet<String> {
    let (one, other) = (String::from_utf8_lossy(one), String::from_utf8_lossy(other));
    let (ones, others): (BTreeSet<_>, BTreeSet<_>) = (one.lines().collect(), other.lines().collect());
    let name = |line: &&str| line.trim().split([':', '=']).next().unwrap_or_default().trim().to_owned();
    ones.symmetric_difference(&others).map(name).collect()
}
