use super::cache::{CachePolicy, Cached};
use super::offline::Offline;
use super::{
    Provider, Reach, aws_parameter_store, aws_secrets_manager, azure_key_vault, command, file,
    google_secret_manager, heroku, process, remote, vault,
};
use crate::sops::Keys;
use crate::surroundings::Surroundings;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use strongroom_secret::parse_duration;
use thiserror::Error;

/// One value of a provider's table in the manifest, placeholders already filled in.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    Text(String),
    Number(i64),
    Switch(bool),
    List(Vec<String>),
    Table(Settings),
}

/// A provider's table in the manifest, without `type`.
pub type Settings = BTreeMap<String, Setting>;

/// A sort of provider: what `type = "…"` may say, and which settings go with it.
pub struct Kind {
    pub name: &'static str,
    pub aliases: &'static [&'static str],
    /// One line.
    pub about: &'static str,
    /// Those of this kind alone; `rules` has all.
    pub settings: &'static [Rule],
    common: &'static [Rule],
    open: fn(&Checked<'_>, &Arc<Surroundings>) -> Result<Box<dyn Provider>, SettingsError>,
}

/// A setting that a kind knows.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub name: &'static str,
    pub shape: Shape,
    pub need: Need,
    /// One line.
    pub about: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Required,
    Optional,
}

/// What a setting must look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Text,
    /// A text of a fixed set.
    Choice(&'static [&'static str]),
    /// A list of texts, or one text.
    Texts,
    Number,
    Switch,
    /// As `10s`.
    Duration,
    /// Names and texts.
    Table,
}

/// What is wrong with a provider's table.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct SettingsError {
    /// The setting that it is about; without one, the table as a whole.
    pub setting: Option<String>,
    pub message: String,
    pub hint: Option<String>,
}

impl SettingsError {
    pub(crate) fn of(setting: &str, message: impl Into<String>) -> Self {
        Self { setting: Some(setting.to_owned()), message: message.into(), hint: None }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Every kind of provider.
pub static KINDS: &[Kind] = &[
    process::KIND,
    file::DOTENV,
    file::JSON,
    file::YAML,
    file::TOML,
    file::INI,
    file::SOPS,
    command::KIND,
    vault::KIND,
    aws_secrets_manager::KIND,
    aws_parameter_store::KIND,
    google_secret_manager::KIND,
    azure_key_vault::KIND,
    heroku::KIND,
];

impl Kind {
    pub(crate) const fn new(
        name: &'static str,
        about: &'static str,
        settings: &'static [Rule],
        open: fn(&Checked<'_>, &Arc<Surroundings>) -> Result<Box<dyn Provider>, SettingsError>,
    ) -> Self {
        Self { name, aliases: &[], about, settings, common: &[], open }
    }

    /// Other names that the manifest may use.
    pub(crate) const fn also_called(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// A kind that reaches a service, with the settings of all of those.
    pub(crate) const fn reaching_out(mut self) -> Self {
        self.common = remote::RULES;
        self
    }

    /// Every setting that it takes.
    pub fn rules(&self) -> impl Iterator<Item = &'static Rule> {
        self.settings.iter().chain(self.common)
    }

    pub fn named(name: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.name == name || kind.aliases.contains(&name))
    }

    /// All that is wrong with these settings, as far as can be told without opening anything.
    pub fn check(&self, settings: &Settings) -> Vec<SettingsError> {
        let mut problems = Vec::new();
        for (name, setting) in settings {
            match self.rules().find(|rule| rule.name == name) {
                Some(rule) => problems.extend(rule.problem(setting)),
                None => problems.push(self.unknown(name)),
            }
        }
        let required = self.rules().filter(|rule| rule.need == Need::Required);
        for rule in required.filter(|rule| !settings.contains_key(rule.name)) {
            let message = format!("a provider of type {:?} needs {:?}: {}", self.name, rule.name, rule.about);
            problems.push(SettingsError { setting: None, message, hint: None });
        }
        problems
    }

    /// Makes the provider. Nothing is connected to and no file is read before it is asked for something. A SOPS file that
    /// needs a passphrase cannot ask for it; see `open_with_keys`.
    pub fn open(
        &self,
        settings: &Settings,
        surroundings: &Arc<Surroundings>,
    ) -> Result<Box<dyn Provider>, Vec<SettingsError>> {
        self.open_checked(settings, surroundings, None)
    }

    /// As `open`, with the keys for SOPS files: several such providers then unwrap each data key once.
    pub fn open_with_keys(
        &self,
        settings: &Settings,
        surroundings: &Arc<Surroundings>,
        keys: &Arc<Keys>,
    ) -> Result<Box<dyn Provider>, Vec<SettingsError>> {
        self.open_checked(settings, surroundings, Some(keys))
    }

    fn open_checked(
        &self,
        settings: &Settings,
        surroundings: &Arc<Surroundings>,
        keys: Option<&Arc<Keys>>,
    ) -> Result<Box<dyn Provider>, Vec<SettingsError>> {
        let problems = self.check(settings);
        if !problems.is_empty() {
            return Err(problems);
        }
        let checked = Checked { settings, keys };
        let provider = (self.open)(&checked, surroundings).map_err(|problem| vec![problem])?;
        let fresh = checked.duration("cache");
        let provider: Box<dyn Provider> = match fresh {
            None => provider,
            Some(fresh) => {
                let stale = checked.duration("stale").unwrap_or_default();
                let identity = format!("{} {settings:?}", self.name);
                Box::new(Cached::new(provider, CachePolicy { fresh, stale }, &identity, surroundings))
            }
        };
        let is_left_alone = surroundings.is_offline() && matches!(provider.reach(), Reach::Host(_));
        Ok(if is_left_alone { Box::new(Offline::new(provider, fresh.is_some())) } else { provider })
    }

    fn unknown(&self, name: &str) -> SettingsError {
        let known: Vec<_> = self.rules().map(|rule| rule.name).collect();
        let hint = match known.as_slice() {
            [] => "it takes no settings".to_owned(),
            known => format!("it takes {}", known.join(", ")),
        };
        let message = format!("a provider of type {:?} has no setting {name:?}", self.name);
        SettingsError::of(name, message).hint(hint)
    }
}

impl Rule {
    pub const fn optional(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self { name, shape, need: Need::Optional, about }
    }

    pub const fn required(name: &'static str, shape: Shape, about: &'static str) -> Self {
        Self { name, shape, need: Need::Required, about }
    }

    fn problem(&self, setting: &Setting) -> Option<SettingsError> {
        let fits = match (self.shape, setting) {
            (Shape::Text | Shape::Texts, Setting::Text(_))
            | (Shape::Texts, Setting::List(_))
            | (Shape::Number, Setting::Number(_))
            | (Shape::Switch, Setting::Switch(_)) => true,
            (Shape::Choice(choices), Setting::Text(text)) => choices.contains(&text.as_str()),
            (Shape::Duration, Setting::Text(text)) => parse_duration(text).is_ok(),
            (Shape::Duration, Setting::Number(seconds)) => *seconds >= 0,
            (Shape::Table, Setting::Table(table)) => {
                table.values().all(|value| matches!(value, Setting::Text(_)))
            }
            _ => false,
        };
        let message = || format!("{:?} must be {}: {}", self.name, self.shape.said(), self.about);
        (!fits).then(|| SettingsError::of(self.name, message()))
    }
}

impl Shape {
    fn said(self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Choice(choices) => format!("one of {}", choices.join(", ")),
            Self::Texts => "a text or a list of texts".to_owned(),
            Self::Number => "a whole number".to_owned(),
            Self::Switch => "true or false".to_owned(),
            Self::Duration => "a duration, as \"10s\"".to_owned(),
            Self::Table => "a table of texts".to_owned(),
        }
    }
}

/// Settings that have passed `Kind::check`.
pub(crate) struct Checked<'a> {
    settings: &'a Settings,
    keys: Option<&'a Arc<Keys>>,
}

impl<'a> Checked<'a> {
    /// The keys for SOPS files; without any from the caller, those that need nobody to be asked.
    pub(crate) fn keys(&self, surroundings: &Arc<Surroundings>) -> Arc<Keys> {
        self.keys.map_or_else(|| Arc::new(Keys::of_nobody(surroundings)), Arc::clone)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        match self.settings.get(name)? {
            Setting::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Empty if the setting is not there.
    pub(crate) fn texts(&self, name: &str) -> Vec<&'a str> {
        match self.settings.get(name) {
            Some(Setting::Text(text)) => vec![text],
            Some(Setting::List(texts)) => texts.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        match self.settings.get(name)? {
            Setting::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn duration(&self, name: &str) -> Option<Duration> {
        match self.settings.get(name)? {
            Setting::Text(text) => parse_duration(text).ok(),
            Setting::Number(seconds) => u64::try_from(*seconds).ok().map(Duration::from_secs),
            _ => None,
        }
    }

    pub(crate) fn table(&self, name: &str) -> Vec<(&'a str, &'a str)> {
        let Some(Setting::Table(table)) = self.settings.get(name) else { return Vec::new() };
        let texts = table.iter().filter_map(|(name, value)| match value {
            Setting::Text(text) => Some((name.as_str(), text.as_str())),
            _ => None,
        });
        texts.collect()
    }
}
