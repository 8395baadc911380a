//! What `{{…}}` in a rule's path stands for.

use std::collections::BTreeMap;
use strongroom_secret::NamespacePath;

/// Who asks, as far as policies can speak of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateContext {
    /// None for a token without an entity: then no rule with `identity.entity` applies.
    pub entity: Option<EntityContext>,
    /// The groups the entity is in, directly or through other groups.
    pub groups: Vec<GroupContext>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntityContext {
    pub id: String,
    pub name: String,
    pub metadata: BTreeMap<String, String>,
    pub aliases: Vec<AliasContext>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AliasContext {
    pub mount_accessor: String,
    pub id: String,
    pub name: String,
    pub metadata: BTreeMap<String, String>,
    pub custom_metadata: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupContext {
    pub id: String,
    pub name: String,
    /// Group names are looked up in the policy's own namespace alone.
    pub namespace: NamespacePath,
    pub metadata: BTreeMap<String, String>,
}

/// One `{{…}}`, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Variable {
    EntityId,
    EntityName,
    EntityMetadata(Box<str>),
    Alias {
        accessor: Box<str>,
        field: AliasField,
    },
    GroupById {
        id: Box<str>,
        field: GroupField,
    },
    GroupByName {
        name: Box<str>,
        field: GroupField,
    },
    /// Vault stores a policy with such a variable, and its rule never applies.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum AliasField {
    Id,
    Name,
    Metadata(Box<str>),
    CustomMetadata(Box<str>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GroupField {
    Id,
    Name,
    Metadata(Box<str>),
}

impl Variable {
    pub(super) fn parse(text: &str) -> Self {
        Self::parse_entity(text).or_else(|| Self::parse_group(text)).unwrap_or(Self::Unknown)
    }

    fn parse_entity(text: &str) -> Option<Self> {
        let field = text.strip_prefix("identity.entity.")?;
        if let Some(rest) = field.strip_prefix("aliases.") {
            let (accessor, field) = rest.split_once('.')?;
            return Some(Self::Alias { accessor: accessor.into(), field: AliasField::parse(field)? });
        }
        match field {
            "id" => Some(Self::EntityId),
            "name" => Some(Self::EntityName),
            _ => metadata_key(field, "metadata.").map(Self::EntityMetadata),
        }
    }

    fn parse_group(text: &str) -> Option<Self> {
        let (kind, rest) = text.strip_prefix("identity.groups.")?.split_once('.')?;
        let (selector, field) = rest.split_once('.')?;
        let field = GroupField::parse(field)?;
        match kind {
            "ids" => Some(Self::GroupById { id: selector.into(), field }),
            "names" => Some(Self::GroupByName { name: selector.into(), field }),
            _ => None,
        }
    }

    /// The value, if there is one and it is not empty.
    pub(super) fn resolve<'a>(
        &self,
        context: &'a TemplateContext,
        policy_namespace: &NamespacePath,
    ) -> Option<&'a str> {
        let entity = context.entity.as_ref();
        let value = match self {
            Self::EntityId => Some(&entity?.id),
            Self::EntityName => Some(&entity?.name),
            Self::EntityMetadata(key) => entity?.metadata.get(&**key),
            Self::Alias { accessor, field } => {
                let alias = entity?.aliases.iter().find(|alias| *alias.mount_accessor == **accessor)?;
                field.of(alias)
            }
            Self::GroupById { id, field } => {
                field.of(context.groups.iter().find(|group| *group.id == **id)?)
            }
            Self::GroupByName { name, field } => {
                let named =
                    |group: &&GroupContext| *group.name == **name && group.namespace == *policy_namespace;
                field.of(context.groups.iter().find(named)?)
            }
            Self::Unknown => None,
        };
        value.map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// Text with every `{{variable}}` replaced by its value; None where one has none.
pub(crate) fn fill(text: &str, context: &TemplateContext, namespace: &NamespacePath) -> Option<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (variable, after) = after.split_once("}}")?;
        filled.push_str(before);
        filled.push_str(Variable::parse(variable.trim()).resolve(context, namespace)?);
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

impl AliasField {
    fn parse(field: &str) -> Option<Self> {
        match field {
            "id" => Some(Self::Id),
            "name" => Some(Self::Name),
            _ => metadata_key(field, "metadata.")
                .map(Self::Metadata)
                .or_else(|| metadata_key(field, "custom_metadata.").map(Self::CustomMetadata)),
        }
    }

    fn of<'a>(&self, alias: &'a AliasContext) -> Option<&'a String> {
        match self {
            Self::Id => Some(&alias.id),
            Self::Name => Some(&alias.name),
            Self::Metadata(key) => alias.metadata.get(&**key),
            Self::CustomMetadata(key) => alias.custom_metadata.get(&**key),
        }
    }
}

impl GroupField {
    fn parse(field: &str) -> Option<Self> {
        match field {
            "id" => Some(Self::Id),
            "name" => Some(Self::Name),
            _ => metadata_key(field, "metadata.").map(Self::Metadata),
        }
    }

    fn of<'a>(&self, group: &'a GroupContext) -> Option<&'a String> {
        match self {
            Self::Id => Some(&group.id),
            Self::Name => Some(&group.name),
            Self::Metadata(key) => group.metadata.get(&**key),
        }
    }
}

fn metadata_key(field: &str, prefix: &str) -> Option<Box<str>> {
    field.strip_prefix(prefix).filter(|key| !key.is_empty()).map(Into::into)
}
