use super::{Client, ClientError};
use serde_json::Value;

/// Which of the two key-value engines is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KvVersion {
    One,
    Two,
}

/// A key-value mount, as `sys/internal/ui/mounts/PATH` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvMount {
    /// With a `/` at its end; empty where the server does not say.
    pub path: String,
    pub version: KvVersion,
}

impl Client {
    /// Finds the mount that serves `path`, and its version. A server that does not tell has version 1.
    pub fn kv_mount(&self, path: &str) -> Result<KvMount, ClientError> {
        let path = path.trim_start_matches('/');
        let answer = self.read(&format!("sys/internal/ui/mounts/{path}"), &[])?;
        let Some(answer) = answer else {
            return Ok(KvMount { path: String::new(), version: KvVersion::One });
        };
        let mount = answer.text("path").unwrap_or_default();
        let version = answer.field("options").and_then(|options| options.get("version"));
        let is_two = match version {
            Some(Value::String(text)) => text == "2",
            Some(Value::Number(number)) => number.as_u64() == Some(2),
            _ => false,
        };
        let version = if is_two { KvVersion::Two } else { KvVersion::One };
        Ok(KvMount { path: mount.to_owned(), version })
    }
}

impl KvMount {
    /// The API path of `path` (which begins with the mount): with `section` (`data`, `metadata`, `delete`…) after the
    /// mount in version 2, as it is in version 1.
    pub fn api_path(&self, path: &str, section: &str) -> String {
        let path = path.trim_start_matches('/');
        match self.version {
            KvVersion::One => path.to_owned(),
            KvVersion::Two => {
                let mount = self.path.trim_end_matches('/');
                let name = self.name_of(path);
                if name.is_empty() {
                    format!("{mount}/{section}")
                } else {
                    format!("{mount}/{section}/{name}")
                }
            }
        }
    }

    /// As `api_path`, but a path that already has the section (`secret/data/app`) is left alone.
    pub fn api_path_once(&self, path: &str, section: &str) -> String {
        let path = path.trim_start_matches('/');
        let has_section = self
            .name_of(path)
            .strip_prefix(section)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if self.version == KvVersion::Two && has_section {
            path.to_owned()
        } else {
            self.api_path(path, section)
        }
    }

    /// The secret's name: what comes after the mount. A mount that carries its namespace is found by its own ending.
    fn name_of<'a>(&self, path: &'a str) -> &'a str {
        let mut mount = self.path.trim_end_matches('/');
        loop {
            if let Some(rest) = path.strip_prefix(mount)
                && (rest.is_empty() || rest.starts_with('/'))
            {
                return rest.trim_start_matches('/');
            }
            match mount.split_once('/') {
                Some((_, shorter)) => mount = shorter,
                None => return path,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_both_versions() {
        let two = KvMount { path: "team/secret/".to_owned(), version: KvVersion::Two };
        assert_eq!(two.api_path("team/secret/app", "data"), "team/secret/data/app");
        assert_eq!(two.api_path("/team/secret/app/", "metadata"), "team/secret/metadata/app/");
        assert_eq!(two.api_path("team/secret", "metadata"), "team/secret/metadata");
        assert_eq!(two.api_path("team/secret/data/app", "data"), "team/secret/data/data/app");
        assert_eq!(two.api_path_once("team/secret/data/app", "data"), "team/secret/data/app");
        assert_eq!(two.api_path_once("team/secret/database/app", "data"), "team/secret/data/database/app");
        assert_eq!(two.api_path("secret/app", "data"), "team/secret/data/app");
        let one = KvMount { path: "kv/".to_owned(), version: KvVersion::One };
        assert_eq!(one.api_path("kv/app", "data"), "kv/app");
        assert_eq!(one.api_path_once("kv/data/app", "data"), "kv/data/app");
    }
}
