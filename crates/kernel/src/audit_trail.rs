//! What audit learns of a request. Nothing is answered before its record is written.

use crate::audit::{
    self, About, AuditError, AuthFacts, Broker, BrokerOptions, CallerFacts, CheckpointSigner, DataFacts,
    DeviceConfig, HeaderFacts, MountFacts, Permissions, Prepared, Receipt, Record, RequestFacts,
    ResponseFacts, SinkFactory, Target, WrapFacts,
};
use crate::backend::Class;
use crate::barrier::Keys;
use crate::caller::Caller;
use crate::error::{Error, ErrorKind};
use crate::kernel::{Committed, Kernel};
use crate::pipeline::Routed;
use crate::request::{Data, Request, Response};
use crate::system;
use crate::transaction::{Intent, Tx};
use std::sync::Arc;
use strongroom_crypto::mac::MacKey;
use strongroom_crypto::sign::SigningKey;
use strongroom_secret::Timestamp;

/// What the server's configuration says to audit.
#[derive(Default)]
pub struct AuditParts {
    pub permissions: Permissions,
}

/// A request as far as it has come.
pub(crate) struct Walked<'w> {
    pub routed: &'w Routed,
    pub request: &'w Request,
    pub caller: Option<&'w Caller>,
}

/// The name of the checkpoints' key in their lines.
pub(crate) fn signing_key(keys: &Keys) -> (String, SigningKey) {
    let key = SigningKey::from_seed(keys.keyring.derive("audit checkpoints"));
    let id = hex::encode(key.verifying_key().as_bytes().first_chunk::<8>().copied().unwrap_or_default());
    (id, key)
}

impl Kernel {
    /// Refuses a store that is older than what an audit file has signed: it was put back. Signatures of other servers
    /// do not count, so nobody who can write to a log keeps a server from opening.
    pub(crate) fn check_age(&self, tx: &mut Tx<'_>, keys: &Keys) -> Result<(), Error> {
        let found = tx.index().0;
        let key = signing_key(keys).1.verifying_key();
        for entry in system::audit_entries(tx)? {
            let Ok(Target::File { path, .. }) =
                DeviceConfig::parse(&entry.kind, &entry.options).map(|config| config.target)
            else {
                continue;
            };
            // A file that is gone or cannot be read says nothing; that its device fails is said elsewhere.
            let signed = audit::signed_store_index(&path, &key).ok().flatten().unwrap_or_default();
            if signed <= found {
                continue;
            }
            let path = path.display();
            let message = format!(
                "the store is at commit {found}, and the audit log {path} has signed commit {signed}: the store was \
                 put back to an older state. Restore the newest snapshot, or accept the loss by starting once with \
                 accept_rollback = true"
            );
            if !self.settings.accept_rollback {
                return Err(Error::new(ErrorKind::Unavailable, message));
            }
            tracing::warn!("accepted: {message}");
        }
        Ok(())
    }

    /// Starts the enabled devices of a server that was just opened.
    pub(crate) fn start_audit(&self, keys: &Arc<Keys>) -> Result<Arc<Broker>, Error> {
        let (key_id, key) = signing_key(keys);
        let storage = self.storage.clone();
        let options = BrokerOptions {
            signer: Some(CheckpointSigner {
                key_id,
                sign: Box::new(move |message| key.sign(message)),
                store_index: Box::new(move || storage.snapshot().map_or(0, |snapshot| snapshot.index().0)),
            }),
            sinks: SinkFactory::with_http(self.surroundings.outbound.clone()),
            permissions: self.audit_parts.permissions.clone(),
            ..BrokerOptions::new(self.clock.clone(), MacKey::new(&keys.keyring.derive("audit values")))
        };
        let broker = Arc::new(Broker::new(options));
        let mut tx = self.begin(keys, Intent::Read)?;
        for entry in system::audit_entries(&mut tx)? {
            let started = DeviceConfig::parse(&entry.kind, &entry.options)
                .and_then(|config| broker.restore(&entry.path, config, None));
            if let Err(error) = started {
                tracing::error!(path = %entry.path, %error, "an audit device does not start");
            }
        }
        Ok(broker)
    }

    /// Records the request and its answer together, where nothing was changed between them.
    pub(crate) async fn audit_both(
        &self,
        walked: &Walked<'_>,
        result: &Result<Response, Error>,
    ) -> Result<(), Error> {
        let Some(broker) = self.broker() else { return Ok(()) };
        let now = self.now();
        let headers = self.live.audited_headers(walked.request);
        let request = walked.record(now, result.as_ref().err(), &headers);
        let response = Record { response: Some(response_facts(walked, result)), ..request.clone() };
        let receipt = broker.submit_about(&mut About::default(), &[request, response]);
        receipt.await.map_err(|error| unrecorded(walked, &causes(&error)))
    }

    /// Hands the record that a request came, and whether it was refused, to the devices. An error means that none of
    /// them works: then nothing may be done.
    pub(crate) fn audit_request(
        &self,
        walked: &Walked<'_>,
        refusal: Option<&Error>,
        about: &mut About,
    ) -> Result<Option<Receipt>, Error> {
        let Some(broker) = self.broker() else { return Ok(None) };
        if !broker.is_working() {
            return Err(unrecorded(walked, &broker.causes()));
        }
        let headers = self.live.audited_headers(walked.request);
        Ok(Some(broker.submit_about(about, &[walked.record(self.now(), refusal, &headers)])))
    }

    /// Formats the record of an answer that stands once its commit does. None if there is nobody to give it to.
    pub(crate) fn prepare_response(
        &self,
        walked: &Walked<'_>,
        result: &Result<Response, Error>,
        about: &mut About,
    ) -> Option<Prepared> {
        let broker = self.broker()?;
        let headers = self.live.audited_headers(walked.request);
        broker.prepare(about, &walked.answer_record(self.now(), result, &headers))
    }

    /// Hands a prepared record to the devices it was prepared for; gives the sender back if there are others now.
    pub(crate) fn record(
        &self,
        prepared: Prepared,
        sender: oneshot::Sender<Committed>,
    ) -> Result<(), oneshot::Sender<Committed>> {
        let Some(broker) = self.broker().filter(|broker| broker.is_for(&prepared)) else {
            return Err(sender);
        };
        // Nobody may be waiting any more.
        let done = |is_written| sender.send(Committed::Recorded { is_written }).unwrap_or_default();
        broker.submit_prepared(prepared, Box::new(done));
        Ok(())
    }

    /// Hands the record of what is answered to the devices. `about` is from the record of the request.
    pub(crate) fn audit_response(
        &self,
        walked: &Walked<'_>,
        result: &Result<Response, Error>,
        about: &mut About,
    ) -> Option<Receipt> {
        let broker = self.broker()?;
        let headers = self.live.audited_headers(walked.request);
        Some(broker.submit_about(about, &[walked.answer_record(self.now(), result, &headers)]))
    }

    /// Opens the devices' files again: they were rotated.
    pub fn reopen_audit(&self) {
        if let Some(broker) = self.broker() {
            broker.reopen_all();
        }
    }
}

/// Who has a token is told which devices failed and why: an operator must see it where the refusal is seen.
fn unrecorded(walked: &Walked<'_>, causes: &str) -> Error {
    let text = match walked.caller {
        Some(_) => format!("the request could not be audited: {causes}"),
        None => "the request could not be audited: see the audit devices".to_owned(),
    };
    Error::new(ErrorKind::Internal, text).with_detail(format!("no audit device took the record: {causes}"))
}

fn causes(error: &AuditError) -> String {
    match error {
        AuditError::Unavailable { causes, .. } => causes.clone(),
        other => other.to_string(),
    }
}

/// Waits until a record is written.
pub(crate) async fn written(receipt: Option<Receipt>, walked: &Walked<'_>) -> Result<(), Error> {
    match receipt {
        Some(receipt) => receipt.await.map_err(|error| unrecorded(walked, &causes(&error))),
        None => Ok(()),
    }
}

impl Kernel {
    /// The error of an answer whose record no device has written.
    pub(crate) fn unwritten(&self, walked: &Walked<'_>) -> Error {
        unrecorded(walked, &self.broker().map(|broker| broker.causes()).unwrap_or_default())
    }
}

impl Walked<'_> {
    fn answer_record<'r>(
        &'r self,
        now: Timestamp,
        result: &'r Result<Response, Error>,
        headers: &'r [HeaderFacts<'r>],
    ) -> Record<'r> {
        Record {
            response: Some(response_facts(self, result)),
            ..self.record(now, result.as_ref().err(), headers)
        }
    }

    fn record<'r>(
        &'r self,
        now: Timestamp,
        error: Option<&'r Error>,
        headers: &'r [HeaderFacts<'r>],
    ) -> Record<'r> {
        let Walked { routed, request, caller } = self;
        Record {
            time: now,
            caller: caller.map(|caller| caller_facts(caller, request, error)).unwrap_or_default(),
            request: RequestFacts { headers, ..request_facts(routed, request, *caller) },
            mount: mount_facts(routed),
            response: None,
            error,
        }
    }
}

fn caller_facts<'r>(caller: &'r Caller, request: &'r Request, error: Option<&Error>) -> CallerFacts<'r> {
    let token = &caller.token;
    CallerFacts {
        auth: AuthFacts {
            client_token: presented(request),
            accessor: &token.accessor,
            display_name: &token.display_name,
            policies: &caller.policies,
            token_policies: &token.policies,
            identity_policies: &caller.identity_policies,
            metadata: Some(&token.metadata),
            entity_id: &token.entity_id,
            token_type: token.kind.as_str(),
            token_ttl: token.ttl,
            token_issue_time: Some(token.created),
            ..AuthFacts::default()
        },
        allowed: Some(!error.is_some_and(|error| error.kind == ErrorKind::Denied)),
        granting_policies: &[],
        remaining_uses: token.uses_left,
    }
}

fn presented(request: &Request) -> &str {
    request.token.as_ref().map_or("", |token| token.expose())
}

fn request_facts<'r>(
    routed: &'r Routed,
    request: &'r Request,
    caller: Option<&'r Caller>,
) -> RequestFacts<'r> {
    RequestFacts {
        id: &request.id,
        client_id: caller.map_or("", |caller| caller.token.entity_id.as_str()),
        operation: request.operation.as_str(),
        client_token: presented(request),
        client_token_accessor: caller.map_or("", |caller| caller.token.accessor.as_str()),
        namespace_id: &routed.namespace.record.text_id,
        namespace_path: routed.namespace.path().as_str(),
        path: routed.path.as_str(),
        data: if request.fields.0.is_empty() { DataFacts::None } else { DataFacts::Map(&request.fields.0) },
        remote_address: request.client.address,
        remote_port: request.client.port,
        wrap_ttl: request.wrap_ttl.unwrap_or_default(),
        ..RequestFacts::default()
    }
}

fn mount_facts(routed: &Routed) -> MountFacts<'_> {
    let record = &routed.mount.record;
    MountFacts {
        point: &record.path,
        kind: &record.kind,
        accessor: &record.accessor,
        class: if record.class == Class::Auth { "auth" } else { "secret" },
        clear_request_keys: &record.config.audit_non_hmac_request_keys,
        clear_response_keys: &record.config.audit_non_hmac_response_keys,
        ..MountFacts::default()
    }
}

/// Answers of `sys/` that are long and hold nothing but paths, names and figures: their hashes would serve nobody.
const ANSWERS_LEFT_OUT: [&str; 5] =
    ["host-info", "in-flight-req", "internal/explain", "internal/specs/openapi", "metrics"];

fn response_facts<'r>(walked: &Walked<'_>, result: &'r Result<Response, Error>) -> ResponseFacts<'r> {
    let Ok(response) = result else { return ResponseFacts::default() };
    ResponseFacts {
        auth: response.auth.as_deref().map(|auth| AuthFacts {
            client_token: auth.client_token.expose(),
            accessor: &auth.accessor,
            policies: &auth.policies,
            token_policies: &auth.token_policies,
            identity_policies: &auth.identity_policies,
            metadata: Some(&auth.metadata),
            num_uses: auth.num_uses,
            entity_id: &auth.entity_id,
            token_type: auth.token_type,
            token_ttl: auth.lease_duration,
            ..AuthFacts::default()
        }),
        lease_id: &response.lease_id,
        data: match &response.data {
            _ if walked.routed.mount.record.kind == "system"
                && ANSWERS_LEFT_OUT.contains(&walked.routed.route.pattern) =>
            {
                DataFacts::None
            }
            Data::None => DataFacts::None,
            Data::Map(map) => DataFacts::Map(map),
            Data::Json(raw) => DataFacts::Json(raw),
            Data::Plain(value) => DataFacts::Value(value),
            Data::Bytes { content_type, body } => DataFacts::Bytes { content_type, body },
        },
        warnings: &response.warnings,
        wrap: response.wrap.as_deref().map(|wrap| WrapFacts {
            ttl: wrap.ttl,
            token: wrap.token.expose(),
            accessor: &wrap.accessor,
            creation_time: wrap.creation_time,
            creation_path: &wrap.creation_path,
            wrapped_accessor: &wrap.wrapped_accessor,
        }),
    }
}
