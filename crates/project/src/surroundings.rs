//! What the binary knows of the world, handed in: variables, folders, the time and randomness.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use strongroom_secret::{Clock, Entropy, SecretBytes};

/// The process environment, as it was when the program started. Values may be secret, so none of them prints.
#[derive(Debug, Default)]
pub struct Variables(BTreeMap<String, SecretBytes>);

impl Variables {
    /// Names that are not UTF-8 are left out: nothing can ask for them.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let named = pairs.into_iter().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Self(named.map(|(name, value)| (name, SecretBytes::new(value.into_vec()))).collect())
    }

    /// All but some.
    #[must_use]
    pub fn without(mut self, names: &[String]) -> Self {
        self.0.retain(|name, _| !names.contains(name));
        self
    }

    /// With one more, or another value of one.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.0.insert(name.to_owned(), SecretBytes::new(value.as_bytes().to_vec()));
        self
    }

    /// The value as it is, which may be empty.
    pub fn bytes(&self, name: &str) -> Option<&SecretBytes> {
        self.0.get(name)
    }

    /// A setting: text, where empty counts as unset.
    pub fn text(&self, name: &str) -> Option<&str> {
        let text = std::str::from_utf8(self.0.get(name)?.expose()).ok()?;
        (!text.is_empty()).then_some(text)
    }

    /// The first of several names that is set.
    pub fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.text(name))
    }

    /// A setting that is on or off.
    pub fn switch(&self, name: &str) -> bool {
        self.text(name)
            .is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "1" | "t" | "true" | "yes"))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &SecretBytes)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

/// Where the program runs, and by whose clock and dice.
pub struct Surroundings {
    pub variables: Variables,
    pub home: Option<PathBuf>,
    /// Relative paths of settings start here: the folder of the manifest, or the working folder without one.
    pub folder: PathBuf,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

impl Surroundings {
    /// The variable that says that no host may be reached.
    pub const OFFLINE: &str = "STRONGROOM_OFFLINE";

    /// Whether no host may be reached.
    pub fn is_offline(&self) -> bool {
        self.variables.switch(Self::OFFLINE)
    }

    /// A path of a setting: `~/` is the home folder, a relative one starts at `folder`.
    pub fn path(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => self.folder.join(text),
        }
    }

    /// A file or folder below the home folder.
    pub fn in_home(&self, relative: &str) -> Option<PathBuf> {
        self.home.as_ref().map(|home| home.join(relative))
    }

    /// The file that a variable names, else one below the home folder.
    pub fn file_of(&self, variable: &str, in_home: &str) -> Option<PathBuf> {
        let named = self.variables.text(variable).map(|text| self.path(text));
        named.or_else(|| self.in_home(in_home))
    }

    /// `$XDG_STATE_HOME/strongroom`, else `~/.local/state/strongroom` (XDG Base Directory Specification).
    pub fn state_folder(&self) -> Option<PathBuf> {
        let xdg = self.variables.text("XDG_STATE_HOME").map(Path::new).filter(|path| path.is_absolute());
        let base = xdg.map(Path::to_owned).or_else(|| self.in_home(".local/state"))?;
        Some(base.join("strongroom"))
    }
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("folder", &self.folder).finish_non_exhaustive()
    }
}
