//! `~/.aws/config` and `~/.aws/credentials`: <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>.

use crate::files;
use crate::provider::ProviderError;
use crate::surroundings::Surroundings;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use strongroom_secret::SecretString;

/// No such file is this large.
pub(super) const FILE_BYTES_MAX: u64 = 4 << 20;

/// Both files, joined.
#[derive(Debug, Default)]
pub(crate) struct ProfileFiles {
    pub(crate) profiles: BTreeMap<String, Section>,
    pub(crate) sso_sessions: BTreeMap<String, Section>,
    pub(crate) services: BTreeMap<String, Section>,
    /// The files, whether they exist or not.
    pub(crate) looked: Vec<PathBuf>,
}

/// One section. A nested property is found as `parent.child`.
#[derive(Debug, Default)]
pub(crate) struct Section(BTreeMap<String, SecretString>);

impl Section {
    /// Empty counts as unset.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(SecretString::expose).filter(|text| !text.is_empty())
    }
}

impl ProfileFiles {
    /// Reads both files; one that is not there counts as empty.
    pub(crate) fn read(surroundings: &Surroundings) -> Result<Self, ProviderError> {
        let mut files = Self::default();
        let config = surroundings.file_of("AWS_CONFIG_FILE", ".aws/config");
        let credentials = surroundings.file_of("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials");
        for (path, kind) in [(config, FileKind::Config), (credentials, FileKind::Credentials)] {
            let Some(path) = path else { continue };
            if let Some(text) = read_small(&path)? {
                files.add(text.expose(), kind);
            }
            files.looked.push(path);
        }
        Ok(files)
    }

    fn add(&mut self, text: &str, kind: FileKind) {
        let mut unknown = Section::default();
        let mut section = &mut unknown;
        let mut parent: Option<String> = None;
        for line in text.lines() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
                continue;
            }
            if let Some(header) = trimmed.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                section = self.section(header, kind).unwrap_or(&mut unknown);
                parent = None;
                continue;
            }
            let Some((name, value)) = trimmed.split_once('=') else { continue };
            let (name, value) = (name.trim().to_lowercase(), without_comment(value));
            let is_nested = line.starts_with([' ', '\t']);
            let name = match &parent {
                Some(parent) if is_nested => format!("{parent}.{name}"),
                _ => {
                    parent = value.is_empty().then(|| name.clone());
                    name
                }
            };
            section.0.insert(name, value.into());
        }
    }

    fn section(&mut self, header: &str, kind: FileKind) -> Option<&mut Section> {
        let mut words = header.split_whitespace();
        let (first, second) = (words.next()?, words.next());
        match (kind, first, second) {
            (FileKind::Credentials, name, None) => Some(self.profiles.entry(name.to_owned()).or_default()),
            (FileKind::Config, "default", None) => {
                Some(self.profiles.entry("default".to_owned()).or_default())
            }
            (FileKind::Config, "profile", Some(name)) => {
                Some(self.profiles.entry(unquoted(name)).or_default())
            }
            (FileKind::Config, "sso-session", Some(name)) => {
                Some(self.sso_sessions.entry(unquoted(name)).or_default())
            }
            (FileKind::Config, "services", Some(name)) => {
                Some(self.services.entry(unquoted(name)).or_default())
            }
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum FileKind {
    Config,
    Credentials,
}

fn unquoted(name: &str) -> String {
    name.trim_matches(['"', '\'']).to_owned()
}

/// A comment needs white space before it: `#` may be part of a value.
fn without_comment(value: &str) -> &str {
    let end = [" #", " ;", "\t#", "\t;"].iter().filter_map(|mark| value.find(mark)).min();
    value.get(..end.unwrap_or(value.len())).unwrap_or(value).trim()
}

/// The text of a file of settings; none if it is not there.
pub(crate) fn read_small(path: &Path) -> Result<Option<SecretString>, ProviderError> {
    match files::read(path, FILE_BYTES_MAX) {
        Ok(bytes) => match std::str::from_utf8(bytes.expose()) {
            Ok(text) => Ok(Some(text.into())),
            Err(_) => Err(ProviderError::malformed(format!("{} is not UTF-8", path.display()))),
        },
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(ProviderError::authentication(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_and_nested_properties() {
        let mut files = ProfileFiles::default();
        let config = "[default]\nregion = eu-west-1 # here\n[profile \"dev\"]\nsso_session = s\nservices = local\n\
            s3 =\n  max_concurrent_requests = 20\noutput = json\n[sso-session s]\nsso_region = eu-north-1\n\
            [services local]\nsecrets_manager =\n    endpoint_url = http://127.0.0.1:1\n[unknown x]\na = b\n";
        files.add(config, FileKind::Config);
        files.add(
            "[default]\naws_access_key_id=AKIDEXAMPLE\naws_secret_access_key = a#b\n",
            FileKind::Credentials,
        );
        let of = |name: &str, key: &str| files.profiles.get(name)?.text(key).map(str::to_owned);
        assert_eq!(of("default", "region").unwrap(), "eu-west-1");
        assert_eq!(of("default", "aws_secret_access_key").unwrap(), "a#b");
        assert_eq!(of("dev", "s3.max_concurrent_requests").unwrap(), "20");
        assert_eq!(of("dev", "output").unwrap(), "json");
        assert_eq!(files.sso_sessions.get("s").unwrap().text("sso_region"), Some("eu-north-1"));
        assert_eq!(
            files.services.get("local").unwrap().text("secrets_manager.endpoint_url"),
            Some("http://127.0.0.1:1")
        );
        assert_eq!(of("x", "a"), None);
    }
}
