//! Recipients: the master keys for which a data key, or a share of one, is wrapped.

use super::fields::{Fields, MetadataError, text_entry};
use crate::sops::tree::{Element, Item, Map, Node, find};
use std::collections::BTreeMap;
use std::fmt;

/// A recipient and what was wrapped for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterKey {
    pub recipient: Recipient,
    /// When the key was added, RFC 3339. Age recipients have none.
    pub created_at: String,
    /// The data key, or a share of it, wrapped for the recipient: what `enc` holds.
    pub wrapped: String,
}

/// Who can unwrap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recipient {
    /// `age1…`, `ssh-ed25519 …`, `ssh-rsa …`.
    Age(String),
    /// The fingerprint of an OpenPGP key.
    Pgp(String),
    AwsKms(AwsKmsKey),
    /// `projects/…/locations/…/keyRings/…/cryptoKeys/…`.
    GcpKms(String),
    AzureKeyVault(AzureKey),
    VaultTransit(TransitKey),
    /// `region:uuid`. Kept as it is: we have no client for this service.
    HuaweiKms(String),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AwsKmsKey {
    pub arn: String,
    /// A role to take on before asking.
    pub role: String,
    /// The encryption context.
    pub context: BTreeMap<String, String>,
    pub profile: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AzureKey {
    pub vault_url: String,
    pub name: String,
    pub version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransitKey {
    pub address: String,
    pub mount: String,
    pub name: String,
}

/// The kinds, in the order in which a file's keys are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecipientKind {
    AwsKms,
    GcpKms,
    HuaweiKms,
    AzureKeyVault,
    VaultTransit,
    Pgp,
    Age,
}

impl RecipientKind {
    pub const ALL: [Self; 7] = [
        Self::AwsKms,
        Self::GcpKms,
        Self::HuaweiKms,
        Self::AzureKeyVault,
        Self::VaultTransit,
        Self::Pgp,
        Self::Age,
    ];

    /// The name of its list in the metadata, and in `SOPS_DECRYPTION_ORDER`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AwsKms => "kms",
            Self::GcpKms => "gcp_kms",
            Self::HuaweiKms => "hckms",
            Self::AzureKeyVault => "azure_kv",
            Self::VaultTransit => "hc_vault",
            Self::Pgp => "pgp",
            Self::Age => "age",
        }
    }
}

impl Recipient {
    pub fn kind(&self) -> RecipientKind {
        match self {
            Self::Age(_) => RecipientKind::Age,
            Self::Pgp(_) => RecipientKind::Pgp,
            Self::AwsKms(_) => RecipientKind::AwsKms,
            Self::GcpKms(_) => RecipientKind::GcpKms,
            Self::AzureKeyVault(_) => RecipientKind::AzureKeyVault,
            Self::VaultTransit(_) => RecipientKind::VaultTransit,
            Self::HuaweiKms(_) => RecipientKind::HuaweiKms,
        }
    }
}

/// As people name it: the recipient, fingerprint, ARN, resource or address.
impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Age(text) | Self::Pgp(text) | Self::GcpKms(text) | Self::HuaweiKms(text) => {
                f.write_str(text)
            }
            Self::AwsKms(key) => {
                f.write_str(&key.arn)?;
                if !key.role.is_empty() {
                    write!(f, "+{}", key.role)?;
                }
                for (number, (name, value)) in key.context.iter().enumerate() {
                    let before = if number == 0 { '|' } else { ',' };
                    write!(f, "{before}{name}:{value}")?;
                }
                Ok(())
            }
            Self::AzureKeyVault(key) => write!(f, "{}/keys/{}/{}", key.vault_url, key.name, key.version),
            Self::VaultTransit(key) => {
                let (address, mount) = (key.address.trim_end_matches('/'), key.mount.trim_matches('/'));
                write!(f, "{address}/v1/{mount}/keys/{}", key.name)
            }
        }
    }
}

/// The keys of one group, from the lists under `age`, `pgp`, `kms` and so on; in the order of [`RecipientKind::ALL`].
pub(in crate::sops) fn read_group(map: &Map) -> Result<Vec<MasterKey>, MetadataError> {
    let mut keys = Vec::new();
    for kind in RecipientKind::ALL {
        let list = match find(map, kind.name()) {
            None | Some(Node::Null) => continue,
            Some(Node::List(elements)) => elements,
            Some(_) => {
                return Err(MetadataError::Shape { field: kind.name().to_owned(), expected: "a list" });
            }
        };
        for node in list.iter().filter_map(Element::node) {
            let Node::Map(map) = node else {
                return Err(MetadataError::Shape {
                    field: kind.name().to_owned(),
                    expected: "a list of maps",
                });
            };
            keys.push(read_key(kind, &Fields::new(kind.name(), map))?);
        }
    }
    Ok(keys)
}

fn read_key(kind: RecipientKind, fields: &Fields<'_>) -> Result<MasterKey, MetadataError> {
    let recipient = match kind {
        RecipientKind::Age => Recipient::Age(fields.required("recipient")?),
        RecipientKind::Pgp => Recipient::Pgp(fields.required("fp")?),
        RecipientKind::GcpKms => Recipient::GcpKms(fields.required("resource_id")?),
        RecipientKind::HuaweiKms => Recipient::HuaweiKms(fields.required("key_id")?),
        RecipientKind::AwsKms => Recipient::AwsKms(AwsKmsKey {
            arn: fields.required("arn")?,
            role: fields.text("role")?,
            context: fields.texts("context")?,
            profile: fields.text("aws_profile")?,
        }),
        RecipientKind::AzureKeyVault => Recipient::AzureKeyVault(AzureKey {
            vault_url: fields.required("vault_url")?,
            name: fields.required("name")?,
            version: fields.text("version")?,
        }),
        RecipientKind::VaultTransit => Recipient::VaultTransit(TransitKey {
            address: fields.required("vault_address")?,
            mount: fields.required("engine_path")?,
            name: fields.required("key_name")?,
        }),
    };
    let created_at = if kind == RecipientKind::Age { String::new() } else { fields.text("created_at")? };
    Ok(MasterKey { recipient, created_at, wrapped: fields.text("enc")? })
}

/// The lists of one group; empty ones are left out.
pub(in crate::sops) fn write_group(keys: &[MasterKey]) -> Map {
    let mut map: Map = Vec::new();
    for kind in RecipientKind::ALL {
        let of_kind: Vec<_> = keys
            .iter()
            .filter(|key| key.recipient.kind() == kind)
            .map(|key| Element::Node(Node::Map(write_key(key))))
            .collect();
        if !of_kind.is_empty() {
            map.push(Item::entry(kind.name(), Node::List(of_kind)));
        }
    }
    map
}

/// The fields of a key in the order of their names, as every map of the metadata is written.
fn write_key(key: &MasterKey) -> Map {
    let mut map: Map = vec![text_entry("enc", &key.wrapped)];
    if key.recipient.kind() != RecipientKind::Age {
        map.push(text_entry("created_at", &key.created_at));
    }
    match &key.recipient {
        Recipient::Age(recipient) => map.push(text_entry("recipient", recipient)),
        Recipient::Pgp(fingerprint) => map.push(text_entry("fp", fingerprint)),
        Recipient::GcpKms(resource) => map.push(text_entry("resource_id", resource)),
        Recipient::HuaweiKms(id) => map.push(text_entry("key_id", id)),
        Recipient::AwsKms(kms) => {
            map.extend([text_entry("arn", &kms.arn), text_entry("aws_profile", &kms.profile)]);
            if !kms.role.is_empty() {
                map.push(text_entry("role", &kms.role));
            }
            if !kms.context.is_empty() {
                let context = kms.context.iter().map(|(name, value)| text_entry(name, value));
                map.push(Item::entry("context", Node::Map(context.collect())));
            }
        }
        Recipient::AzureKeyVault(azure) => map.extend([
            text_entry("vault_url", &azure.vault_url),
            text_entry("name", &azure.name),
            text_entry("version", &azure.version),
        ]),
        Recipient::VaultTransit(transit) => map.extend([
            text_entry("vault_address", &transit.address),
            text_entry("engine_path", &transit.mount),
            text_entry("key_name", &transit.name),
        ]),
    }
    map.sort_by(|one, other| one.key().cmp(&other.key()));
    map
}
