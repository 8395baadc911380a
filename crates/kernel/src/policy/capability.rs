use serde::{Serialize, Serializer};
use std::fmt;

/// What a rule can grant or refuse; the words of a policy's `capabilities` list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Capability {
    Create,
    Delete,
    Deny,
    List,
    Patch,
    Read,
    Recover,
    /// Answered for the root policy; it cannot be written in a policy.
    Root,
    Scan,
    Subscribe,
    Sudo,
    Update,
}

impl Capability {
    /// In the order of their names, which is the order of Vault's answers.
    pub const ALL: [Self; 12] = [
        Self::Create,
        Self::Delete,
        Self::Deny,
        Self::List,
        Self::Patch,
        Self::Read,
        Self::Recover,
        Self::Root,
        Self::Scan,
        Self::Subscribe,
        Self::Sudo,
        Self::Update,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Deny => "deny",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Read => "read",
            Self::Recover => "recover",
            Self::Root => "root",
            Self::Scan => "scan",
            Self::Subscribe => "subscribe",
            Self::Sudo => "sudo",
            Self::Update => "update",
        }
    }

    /// The capability of this name, if a policy may contain it (`root` may not).
    pub fn parse(name: &str) -> Option<Self> {
        Self::writable().find(|capability| capability.name() == name)
    }

    /// Every capability that a policy may contain.
    pub fn writable() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|capability| *capability != Self::Root)
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Capability {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A set of capabilities. With `deny` in it nothing else counts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CapabilitySet(u16);

impl CapabilitySet {
    pub const EMPTY: Self = Self(0);
    pub const DENY: Self = Self(1 << Capability::Deny as u8);

    pub const fn contains(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u8) != 0
    }

    pub const fn is_deny(self) -> bool {
        self.contains(Capability::Deny)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | 1 << capability as u8)
    }

    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// In the order of their names.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.into_iter().filter(move |capability| self.contains(*capability))
    }
}

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        capabilities.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for CapabilitySet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

/// What a request wants to do, as the door understood it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Create,
    Read,
    Update,
    Delete,
    List,
    /// A recursive list, OpenBao's addition.
    Scan,
    Patch,
    Recover,
    Subscribe,
    /// A mount's own documentation: always allowed.
    Help,
    Renew,
    Revoke,
    Rollback,
}

impl Operation {
    pub const ALL: [Self; 13] = [
        Self::Create,
        Self::Read,
        Self::Update,
        Self::Delete,
        Self::List,
        Self::Scan,
        Self::Patch,
        Self::Recover,
        Self::Subscribe,
        Self::Help,
        Self::Renew,
        Self::Revoke,
        Self::Rollback,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Scan => "scan",
            Self::Patch => "patch",
            Self::Recover => "recover",
            Self::Subscribe => "subscribe",
            Self::Help => "help",
            Self::Renew => "renew",
            Self::Revoke => "revoke",
            Self::Rollback => "rollback",
        }
    }

    /// The operation of this name, as the audit log and the command line write it.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    /// The capability that a rule must contain; None where no rule is needed.
    pub const fn required_capability(self) -> Option<Capability> {
        match self {
            Self::Create => Some(Capability::Create),
            Self::Read => Some(Capability::Read),
            Self::Update | Self::Renew | Self::Revoke | Self::Rollback => Some(Capability::Update),
            Self::Delete => Some(Capability::Delete),
            Self::List => Some(Capability::List),
            Self::Scan => Some(Capability::Scan),
            Self::Patch => Some(Capability::Patch),
            Self::Recover => Some(Capability::Recover),
            Self::Subscribe => Some(Capability::Subscribe),
            Self::Help => None,
        }
    }

    /// Whether the operation is on a folder: its path matches with and without the trailing slash.
    pub const fn is_folder_operation(self) -> bool {
        matches!(self, Self::List | Self::Scan)
    }

    /// Whether rules may bound the request's parameters.
    pub(super) const fn checks_parameters(self) -> bool {
        matches!(self, Self::Create | Self::Read | Self::Update | Self::Patch)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Operation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
