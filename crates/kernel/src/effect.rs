//! What a commit changes in memory. Effects run after the commit is durable and before anybody is told of it.

/// A part of memory that is to be read again, or forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Namespaces and mounts.
    Topology,
    /// Any policy of any namespace.
    Policies,
    /// Entities, aliases and groups.
    Identity,
    /// One token, by its row.
    Token(crate::tokens::TokenRow),
    /// What is under revoked tokens, wherever it is.
    TokenTrees,
    Quotas,
    /// Enabled audit devices.
    AuditDevices,
    /// CORS, audited headers and other settings of the server.
    Settings,
    /// New shares of the root key are in force.
    Rekeyed(crate::system::Target),
    /// A root token was made from shares.
    RootGenerated,
    /// Which secrets' reads are counted.
    CountedSecrets,
    /// The keyring has a new term.
    Keyring,
    /// There is something to look at outside.
    Looks,
    /// What honey is planted.
    Honey,
    /// There are notices to be sent.
    Notices,
}
