//! The process environment, read once, here alone.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use strongroom_project::Variables;
use strongroom_secret::SecretString;

/// The variables of the process. `STRONGROOM_X` wins over `VAULT_X`.
#[derive(Default)]
pub struct Environment {
    values: BTreeMap<String, SecretString>,
    home: Option<PathBuf>,
}

/// Variables that would hand our own access to a child: never inherited from us.
pub const WITHHELD: [&str; 15] = [
    "STRONGROOM_TOKEN",
    "VAULT_TOKEN",
    "BAO_TOKEN",
    "STRONGROOM_UNSEAL_KEY",
    "VAULT_UNSEAL_KEY",
    "VAULT_DEV_ROOT_TOKEN_ID",
    "STRONGROOM_LOCK_KEY",
    "STRONGROOM_SECRET_ID",
    "VAULT_SECRET_ID",
    "STRONGROOM_PASSWORD",
    "VAULT_PASSWORD",
    "VAULT_JWT",
    "SOPS_AGE_KEY",
    "SOPS_AGE_KEY_CMD",
    "SOPS_AGE_SSH_PRIVATE_KEY_CMD",
];

impl Environment {
    #[expect(clippy::disallowed_methods, reason = "the composition root reads the process environment, once")]
    pub fn of_process() -> Self {
        let mut environment = Self::from_pairs(std::env::vars_os());
        environment.home = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        environment
    }

    pub fn from_pairs(pairs: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut values = BTreeMap::new();
        for (name, value) in pairs {
            let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) else { continue };
            values.insert(name, value.into());
        }
        Self { values, home: None }
    }

    /// A variable of ours by its whole name. An empty one counts as unset.
    pub fn named(&self, name: &str) -> Option<&SecretString> {
        let ours = name.starts_with("STRONGROOM_") || name.starts_with("VAULT_");
        self.values.get(name).filter(|value| ours && !value.is_empty())
    }

    /// All variables of the process, for what a project's providers may need. The values are secret.
    pub fn variables() -> Variables {
        Variables::from_pairs(std::env::vars_os())
    }

    /// Any variable as it is, empty or not: for what a project's files refer to. What is not UTF-8 is not here.
    pub fn variable(&self, name: &str) -> Option<&SecretString> {
        self.values.get(name)
    }

    /// The names of all variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// `STRONGROOM_name`, else `VAULT_name`. An empty variable counts as unset.
    pub fn setting(&self, name: &str) -> Option<&str> {
        let ours = self.named(&format!("STRONGROOM_{name}"));
        ours.or_else(|| self.named(&format!("VAULT_{name}"))).map(SecretString::expose)
    }

    /// As `setting`, for what is on or off.
    pub fn switch(&self, name: &str) -> bool {
        self.setting(name).is_some_and(|value| matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"))
    }

    pub fn token(&self) -> Option<SecretString> {
        self.setting("TOKEN").map(|token| SecretString::from(token.trim()))
    }

    pub fn home(&self) -> Option<&PathBuf> {
        self.home.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::from_pairs(pairs.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn our_name_wins_and_empty_is_unset() {
        let both =
            environment(&[("VAULT_ADDR", "http://a"), ("STRONGROOM_ADDR", "http://b"), ("OTHER", "x")]);
        assert_eq!(both.setting("ADDR"), Some("http://b"));
        let empty = environment(&[("VAULT_ADDR", "http://a"), ("STRONGROOM_ADDR", "")]);
        assert_eq!(empty.setting("ADDR"), Some("http://a"));
        assert_eq!(empty.setting("NAMESPACE"), None);
    }

    #[test]
    fn switches() {
        assert!(environment(&[("VAULT_SKIP_VERIFY", "true")]).switch("SKIP_VERIFY"));
        assert!(!environment(&[("VAULT_SKIP_VERIFY", "no")]).switch("SKIP_VERIFY"));
    }
}
