//! Recipients as people write them: on the command line, in the environment, in `.sops.yaml`.

use super::keys::check_age_recipient;
use std::collections::BTreeMap;
use strongroom_formats::sops::{AwsKmsKey, AzureKey, MasterKey, Recipient, RecipientKind, TransitKey};
use strongroom_secret::Timestamp;
use thiserror::Error;

/// Why a text names no recipient.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecipientError {
    #[error("{0}")]
    Age(String),
    #[error("{0:?} is not a Vault key: it is written https://vault.example.com:8200/v1/transit/keys/NAME")]
    Transit(String),
    #[error("{0:?} is not an Azure key: it is written https://VAULT.vault.azure.net/keys/NAME/VERSION")]
    Azure(String),
    #[error(
        "{0:?} is no kind of recipient that we know: is it an age1… recipient, a fingerprint, an ARN, a resource or an address?"
    )]
    Unknown(String),
    #[error("an encryption context is written key:value,key:value")]
    Context,
}

/// What belongs to AWS KMS keys that are named by their ARN alone.
#[derive(Debug, Clone, Default)]
pub struct AwsSettings {
    pub context: BTreeMap<String, String>,
    pub profile: String,
}

/// The recipients in a list between commas, all of one kind.
pub fn parse_list(
    kind: RecipientKind,
    text: &str,
    aws: &AwsSettings,
) -> Result<Vec<Recipient>, RecipientError> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    words.map(|word| parse(kind, word, aws)).collect()
}

/// One recipient of a kind.
pub fn parse(kind: RecipientKind, text: &str, aws: &AwsSettings) -> Result<Recipient, RecipientError> {
    let text = text.trim();
    Ok(match kind {
        RecipientKind::Age => {
            check_age_recipient(text).map_err(RecipientError::Age)?;
            Recipient::Age(text.to_owned())
        }
        RecipientKind::Pgp => Recipient::Pgp(text.replace(' ', "")),
        RecipientKind::GcpKms => Recipient::GcpKms(text.replace(' ', "")),
        RecipientKind::HuaweiKms => Recipient::HuaweiKms(text.to_owned()),
        RecipientKind::AwsKms => Recipient::AwsKms(aws_key(text, aws)),
        RecipientKind::AzureKeyVault => Recipient::AzureKeyVault(azure_key(text)?),
        RecipientKind::VaultTransit => Recipient::VaultTransit(transit_key(text)?),
    })
}

/// One recipient, whose kind its form tells.
pub fn recognise(text: &str) -> Result<Recipient, RecipientError> {
    let aws = AwsSettings::default();
    let is_hex = |c: char| c.is_ascii_hexdigit() || c == '!' || c == ' ';
    let kind = match text {
        text if text.starts_with("age1") || text.starts_with("ssh-") || text.starts_with("AGE-") => {
            RecipientKind::Age
        }
        text if text.starts_with("arn:") => RecipientKind::AwsKms,
        text if text.starts_with("projects/") => RecipientKind::GcpKms,
        text if text.starts_with("http") && azure_key(text).is_ok() => RecipientKind::AzureKeyVault,
        text if text.starts_with("http") => RecipientKind::VaultTransit,
        text if text.len() >= 16 && text.chars().all(is_hex) => RecipientKind::Pgp,
        _ => return Err(RecipientError::Unknown(text.to_owned())),
    };
    parse(kind, text, &aws)
}

/// `key:value,key:value`.
pub fn parse_context(text: &str) -> Result<BTreeMap<String, String>, RecipientError> {
    let pair = |pair: &str| match pair.split(':').collect::<Vec<_>>().as_slice() {
        [key, value] => Ok(((*key).to_owned(), (*value).to_owned())),
        _ => Err(RecipientError::Context),
    };
    text.split(',').filter(|text| !text.is_empty()).map(pair).collect()
}

/// A key of a file that is not wrapped yet.
pub fn new_key(recipient: Recipient, now: Timestamp) -> MasterKey {
    let created_at = match recipient {
        Recipient::Age(_) => String::new(),
        _ => Timestamp::from_seconds(now.seconds()).rfc3339(),
    };
    MasterKey { recipient, created_at, wrapped: String::new() }
}

/// `arn:aws:kms:…`, and behind a `+` the role to take on.
fn aws_key(text: &str, aws: &AwsSettings) -> AwsKmsKey {
    let text = text.replace(' ', "");
    let (arn, role) = match text.find("+arn:") {
        Some(at) if at > 0 => (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default()),
        _ => (text.as_str(), ""),
    };
    AwsKmsKey {
        arn: arn.to_owned(),
        role: role.to_owned(),
        context: aws.context.clone(),
        profile: aws.profile.clone(),
    }
}

fn azure_key(text: &str) -> Result<AzureKey, RecipientError> {
    let error = || RecipientError::Azure(text.to_owned());
    let (vault_url, rest) = text.split_once("/keys/").ok_or_else(error)?;
    let host = vault_url.strip_prefix("https://").unwrap_or_default();
    let (name, version) = rest.split_once('/').unwrap_or((rest, ""));
    if host.is_empty() || host.contains('/') || name.is_empty() || version.contains('/') {
        return Err(error());
    }
    Ok(AzureKey { vault_url: vault_url.to_owned(), name: name.to_owned(), version: version.to_owned() })
}

fn transit_key(text: &str) -> Result<TransitKey, RecipientError> {
    let error = || RecipientError::Transit(text.to_owned());
    let (scheme, rest) = text.split_once("://").ok_or_else(error)?;
    let (host, path) = rest.split_once("/v1/").ok_or_else(error)?;
    let (mount, name) = path.trim_end_matches('/').rsplit_once("/keys/").ok_or_else(error)?;
    if host.is_empty() || host.contains('/') || mount.is_empty() || name.is_empty() || name.contains('/') {
        return Err(error());
    }
    Ok(TransitKey { address: format!("{scheme}://{host}"), mount: mount.to_owned(), name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_are_recognised_by_their_form() {
        let kind = |text: &str| recognise(text).map(|recipient| (recipient.kind(), recipient.to_string()));
        let age = "age1ffqx2q04ral2f47leuvcs8fajj5l02h56fsuppyfezvq4j0c9cass9c99e";
        assert_eq!(kind(age), Ok((RecipientKind::Age, age.to_owned())));
        let pgp = "FBC7 B9E2 A4F9 289A C0C1  D484 3D16 CEE4 A273 81B4";
        assert_eq!(kind(pgp), Ok((RecipientKind::Pgp, pgp.replace(' ', ""))));
        let transit = "https://vault.example.com:8200/v1/some/where/keys/dev";
        assert_eq!(kind(transit), Ok((RecipientKind::VaultTransit, transit.to_owned())));
        let azure = "https://team.vault.azure.net/keys/sops/1234";
        assert_eq!(kind(azure), Ok((RecipientKind::AzureKeyVault, azure.to_owned())));
        let arn = "arn:aws:kms:eu-west-1:111122223333:key/not-a-real-key+arn:aws:iam::111122223333:role/r";
        assert_eq!(kind(arn), Ok((RecipientKind::AwsKms, arn.to_owned())));
        assert!(recognise("me@example.com").is_err());
        assert!(recognise("https://vault.example.com/prefix/v1/transit/keys/dev").is_err());
    }

    #[test]
    fn a_typing_error_is_found_where_it_is_made() {
        let wrong = recognise("age1ffqx2q04ral2f47leuvcs8fajj5l02h56fsuppyfezvq4j0c9cass9c99f")
            .unwrap_err()
            .to_string();
        assert!(wrong.contains("is not an age recipient"), "{wrong}");
        let secret = recognise("AGE-SECRET-KEY-1NOTAREALKEY").unwrap_err().to_string();
        assert!(!secret.contains("NOTAREALKEY") && secret.contains("secret key"), "{secret}");
    }
}
