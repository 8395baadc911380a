//! What a file says about itself under the key `sops`: for whom its data key is wrapped, which of its values are
//! encrypted, when it changed, and the MAC.

mod fields;
mod flat;
mod keys;

pub use fields::MetadataError;
pub(super) use flat::{flatten, unflatten};
pub use keys::{AwsKmsKey, AzureKey, MasterKey, Recipient, RecipientKind, TransitKey};
pub(in crate::sops) use keys::{read_group, write_group};

use super::crypt::MacScope;
use super::selector::{Selector, SelectorKind};
use super::tree::{Element, Item, Map, Node, find};
use fields::{Fields, text_entry};
use strongroom_secret::Timestamp;

/// The version that we write: sops refuses a file without one, and writes its own over an older one.
pub const VERSION: &str = "3.13.3";
/// The key of the metadata, and of a section in INI.
pub(in crate::sops) const KEY: &str = "sops";
/// A field that sops does not know and ignores; see [`super::seal`].
const SEAL: &str = "strongroom_seal";

/// The metadata of one file.
#[derive(Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Any key of a group unwraps the group's share; with one group, the data key itself.
    pub groups: Vec<Vec<MasterKey>>,
    /// How many groups must answer. 0: all of them.
    pub threshold: u8,
    pub selector: Selector,
    pub mac_scope: MacScope,
    /// RFC 3339 in whole seconds: additional data of the MAC.
    pub last_modified: String,
    /// The MAC, encrypted. Empty if there is none.
    pub mac: String,
    pub version: String,
    /// Our own seal over recipients, rules and types. Empty if there is none.
    pub seal: String,
    /// Fields that we do not know.
    others: Map,
}

impl Metadata {
    /// The metadata of a file that is yet to be encrypted.
    pub fn new(groups: Vec<Vec<MasterKey>>, threshold: u8, selector: Selector, mac_scope: MacScope) -> Self {
        Self {
            groups,
            threshold,
            selector,
            mac_scope,
            last_modified: String::new(),
            mac: String::new(),
            version: VERSION.to_owned(),
            seal: String::new(),
            others: Vec::new(),
        }
    }

    /// Reads the map under `sops`, unflattened.
    pub fn from_map(map: &Map) -> Result<Self, MetadataError> {
        let fields = Fields::new("", map);
        let last_modified = whole_seconds(&fields.required("lastmodified")?)
            .ok_or(MetadataError::Time { field: "lastmodified".to_owned() })?;
        let given = SelectorKind::NAMED.map(|kind| Ok((kind, fields.text(kind.name())?)));
        let given = given.into_iter().collect::<Result<Vec<_>, MetadataError>>()?;
        let mac_scope = match fields.truth("mac_only_encrypted")? {
            true => MacScope::EncryptedValues,
            false => MacScope::AllValues,
        };
        Ok(Self {
            groups: groups_of(map)?,
            threshold: fields.number("shamir_threshold")?,
            selector: Selector::only(given)?.unwrap_or_else(Selector::implied),
            mac_scope,
            last_modified,
            mac: fields.text("mac")?,
            version: fields.text("version")?,
            seal: fields.text(SEAL)?,
            others: map.iter().filter_map(unknown).collect(),
        })
    }

    /// The map under `sops`, its keys in the order of their names.
    pub fn to_map(&self) -> Map {
        let mut map = match self.groups.as_slice() {
            [only] => keys::write_group(only),
            several => {
                let groups = several.iter().map(|keys| {
                    let mut group = keys::write_group(keys);
                    // These two lists are never left out of a group: sops writes them so.
                    for name in ["hc_vault", "age"] {
                        if find(&group, name).is_none() {
                            group.push(Item::entry(name, Node::List(Vec::new())));
                        }
                    }
                    group.sort_by(|one, other| one.key().cmp(&other.key()));
                    Element::Node(Node::Map(group))
                });
                vec![Item::entry("key_groups", Node::List(groups.collect()))]
            }
        };
        if self.threshold > 0 {
            let threshold = super::value::Value::Integer(i64::from(self.threshold));
            map.push(Item::entry("shamir_threshold", Node::Leaf(threshold)));
        }
        if !self.selector.is_implied() {
            map.push(text_entry(self.selector.kind().name(), self.selector.text()));
        }
        if self.mac_scope == MacScope::EncryptedValues {
            map.push(Item::entry("mac_only_encrypted", Node::Leaf(super::value::Value::Boolean(true))));
        }
        map.extend([
            text_entry("lastmodified", &self.last_modified),
            text_entry("mac", &self.mac),
            text_entry("version", &self.version),
        ]);
        if !self.seal.is_empty() {
            map.push(text_entry(SEAL, &self.seal));
        }
        map.extend(self.others.iter().filter_map(unknown));
        map.sort_by(|one, other| one.key().cmp(&other.key()));
        map
    }

    /// How many groups must answer.
    pub fn groups_needed(&self) -> usize {
        match (self.groups.len(), self.threshold) {
            (0 | 1, _) => 1,
            (groups, 0) => groups,
            (_, threshold) => usize::from(threshold),
        }
    }

    /// All recipients, group by group.
    pub fn recipients(&self) -> impl Iterator<Item = &MasterKey> {
        self.groups.iter().flatten()
    }
}

fn groups_of(map: &Map) -> Result<Vec<Vec<MasterKey>>, MetadataError> {
    let single = keys::read_group(map)?;
    if !single.is_empty() {
        return Ok(vec![single]);
    }
    let groups = match find(map, "key_groups") {
        None | Some(Node::Null) => return Err(MetadataError::NoKeys),
        Some(Node::List(groups)) => groups,
        Some(_) => return Err(MetadataError::Shape { field: "key_groups".to_owned(), expected: "a list" }),
    };
    let read = |node: &Node| match node {
        Node::Map(group) => keys::read_group(group),
        _ => Err(MetadataError::Shape { field: "key_groups".to_owned(), expected: "a list of maps" }),
    };
    let groups = groups.iter().filter_map(Element::node).map(read).collect::<Result<Vec<_>, _>>()?;
    if groups.is_empty() { Err(MetadataError::NoKeys) } else { Ok(groups) }
}

/// A copy of an entry whose name we do not know.
fn unknown(item: &Item) -> Option<Item> {
    const KNOWN: [&str; 7] =
        ["key_groups", "lastmodified", "mac", "mac_only_encrypted", "shamir_threshold", SEAL, "version"];
    let Item::Entry { key, node } = item else { return None };
    let known = KNOWN.contains(&key.as_str())
        || SelectorKind::NAMED.iter().any(|kind| kind.name() == key)
        || RecipientKind::ALL.iter().any(|kind| kind.name() == key);
    (!known).then(|| Item::entry(key.clone(), node.duplicate()))
}

/// RFC 3339 without fractions of a second, the offset as given, zero as `Z`: what Go prints for what it read.
fn whole_seconds(text: &str) -> Option<String> {
    Timestamp::parse_rfc3339(text)?;
    let (seconds, rest) = text.split_at_checked(19)?;
    let offset = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let offset = if matches!(offset, "+00:00" | "-00:00") { "Z" } else { offset };
    Some(format!("{seconds}{offset}"))
}

/// A time as the metadata has it.
pub(super) fn time_text(time: Timestamp) -> String {
    Timestamp::from_seconds(time.seconds()).rfc3339()
}
