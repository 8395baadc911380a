//! The spine: barrier, seal, namespaces, mounts, policy, tokens, identity, leases and audit. Bytes come in as a typed
//! [`Request`] from a door and leave as a [`Response`]; nothing here knows of HTTP or of any one secrets engine.

pub mod audit;
mod audit_trail;
mod backend;
mod barrier;
mod call;
mod caller;
mod cubbyhole;
mod decoded;
mod effect;
mod error;
mod expirer;
mod fields;
pub mod fingerprints;
mod grants;
mod hidden_names;
mod honey;
mod identity;
mod in_flight;
pub mod incident;
mod kernel;
mod leases;
mod lockout;
mod maintenance;
mod metrics;
mod mounts;
mod namespaces;
mod notices;
mod outbound;
mod outbox;
mod pipeline;
mod policies;
pub mod policy;
mod pool;
mod probing;
mod quotas;
mod removal;
mod request;
pub mod rotation;
mod route;
mod seal;
mod seal_migration;
mod settings;
mod streams;
mod surroundings;
mod system;
pub mod tokens;
mod topology;
mod transaction;
mod upgrade;
mod versions;
mod wrapping;

pub use audit_trail::AuditParts;
pub use backend::{Backend, Class, Registry, Renewal, Tidied, enable_as_it_is, no_memory};
pub use barrier::Keys;
pub use call::Call;
pub use caller::Caller;
pub use error::{Error, ErrorKind};
pub use identity::oidc::provider::is_redirect;
pub use kernel::{Kernel, KernelParts, KernelSettings};
pub use leases::LeaseRecord;
pub use mounts::{Mount, MountConfig, MountRecord, UserLockoutConfig};
pub use namespaces::{Namespace, NamespaceRecord};
pub use outbound::{CaFile, Outbound, OutboundError, OutboundRequest, OutboundResponse};
pub use outbox::{
    Action, ChoreHold, ChoreWatch, Chores, Conclusion, Deadline, DueChores, Errand, Failure, Intent,
    IntentDraft, LANE_WIDTH_MAX, Lane, Outward, OutwardHandler,
};
pub use probing::{Look, Probe, ProbeError, ProbeRequest, Prober, Seen};
pub use request::{
    Auth, BasicCredentials, Body, Client, Data, Fields, LeaseGrant, LoginGrant, Operation, Request, Response,
    WrapInfo,
};
pub use route::{Access, Captures, Field, FieldKind, Handler, Method, Route, Run};
pub use seal::{AutoSeal, AutoSealError, Initialized, Seal, Sharing};
pub use settings::{CorsSettings, ServerSettings};
pub use streams::{ByteStream, StreamRequest, StreamTls, Streams};
pub use surroundings::{LOGGERS, LogControl, LogLevel, LogLevels, ServiceAccountToken, Surroundings};
pub use system::tools;
pub use transaction::{Key, Record, Space, Table, Tx};
