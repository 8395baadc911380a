//! The walk of a request: route, caller, policy, handler, token or lease, commit, audit.

use crate::audit::About;
use crate::audit_trail::{self, Walked};
use crate::backend::{Backend, Class};
use crate::call::Call;
use crate::caller::{self, Caller};
use crate::effect::Effect;
use crate::error::{Error, ErrorKind};
use crate::grants;
use crate::kernel::{Committed, Kernel, Open};
use crate::mounts::Mount;
use crate::namespaces::Namespace;
use crate::outbox::{Outward, OutwardHandler, Preparation, Recorded};
use crate::policy::{self, AccessRequest, Decision, Privilege};
use crate::request::{Operation, Request, Response};
use crate::route::{self, Access, Captures, Handler, Method, Route, Run};
use crate::system;
use crate::tokens::{self, Children};
use crate::transaction::{Intent, Tx};
use crate::upgrade::{refuse_late_writes, refuse_upgrading};
use crate::wrapping;
use serde_json::Map;
use std::sync::Arc;
use strongroom_secret::{RequestPath, Timestamp};
use strongroom_storage::{CommitError, Transaction};

/// How often a transaction that lost against another is run again.
pub(crate) const ATTEMPTS_MAX: u32 = 64;

/// Where a request goes.
pub(crate) struct Routed {
    pub open: Open,
    pub namespace: Arc<Namespace>,
    pub mount: Arc<Mount>,
    /// Relative to the namespace.
    pub path: RequestPath,
    pub route: &'static Route,
    pub work: Work,
    pub intent: Intent,
    pub is_heavy: bool,
    /// Whether a handler that tried to write on a snapshot is run again in a transaction.
    pub may_write: bool,
    pub captures: Captures,
}

/// What a route does.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    Answer(Handler),
    Outward(OutwardHandler),
}

/// What a handler came to.
enum Ran {
    Answered(Response),
    /// Something is to be done outside first.
    Prepared(Preparation),
}

/// One run of a handler: what it came to, and what is to be committed for it.
struct Attempt {
    result: Result<Ran, Error>,
    caller: Option<Arc<Caller>>,
    commit: Option<(Transaction, Vec<Effect>)>,
}

impl Kernel {
    /// Serves one request. Spawn it: a client that goes away must not leave it half done.
    pub async fn handle(self: Arc<Self>, request: Request) -> Result<Response, Error> {
        if let Some(bare) = system::bare_handler(&request) {
            return bare(&self, &request);
        }
        let (started, operation) = (self.clock.monotonic(), request.operation);
        let _running = self.metrics.start();
        let mut backend = None;
        let request = Arc::new(request);
        let outcome = self.clone().serve(request.clone(), &mut backend).await;
        let took = self.clock.monotonic().saturating_sub(started);
        self.metrics.answered(backend, operation, &outcome, took);
        if outcome.as_ref().is_err_and(|error| error.kind == ErrorKind::Denied) {
            self.note_refused(&request);
        }
        self.hand_on_honey();
        outcome
    }

    async fn serve(
        self: Arc<Self>,
        request: Arc<Request>,
        backend: &mut Option<&'static Backend>,
    ) -> Result<Response, Error> {
        let routed =
            Arc::new(self.route(&request).map_err(|error| self.hidden_from_strangers(&request, error))?);
        *backend = Some(routed.mount.backend);
        let _entered = self.in_flight.enter(request.clone(), self.now());
        self.quotas.check_rate(&routed, &request, self.clock.monotonic())?;
        let mut recorded = Recorded::default();
        for _ in 0..ATTEMPTS_MAX {
            let Attempt { result, caller, commit } = if routed.is_heavy {
                let (kernel, routed, request) = (self.clone(), routed.clone(), request.clone());
                self.pool.run(move || kernel.attempt(&routed, &request)).await?
            } else {
                self.attempt(&routed, &request)
            };
            let settled = match result {
                Ok(Ran::Prepared(preparation)) => {
                    self.go_out((&routed, &request), caller, preparation, commit, &mut recorded).await
                }
                Ok(Ran::Answered(response)) => {
                    self.settle(&routed, &request, Ok(response), caller, commit).await
                }
                Err(error) => self.settle(&routed, &request, Err(error), caller, commit).await,
            };
            if let Some(result) = settled {
                return result;
            }
        }
        Err(CommitError::Conflict.into())
    }

    /// Audits and commits an attempt. None: it lost against another and is to be run again.
    async fn settle(
        self: &Arc<Self>,
        routed: &Routed,
        request: &Request,
        result: Result<Response, Error>,
        caller: Option<Arc<Caller>>,
        commit: Option<(Transaction, Vec<Effect>)>,
    ) -> Option<Result<Response, Error>> {
        let walked = Walked { routed, request, caller: caller.as_deref() };
        let Some((transaction, effects)) = commit else {
            let recorded = self.audit_both(&walked, &result).await;
            return Some(recorded.and(result));
        };
        // The record of the request is on its way to the devices before the commit is. Waiting for it here would cost
        // another change of threads: it is waited for together with the record of the answer, before the answer.
        let mut about = About::default();
        let requested = match self.audit_request(&walked, result.as_ref().err(), &mut about) {
            Ok(receipt) => receipt,
            Err(error) => return Some(Err(error)),
        };
        // So is the record of the answer: the thread that commits hands it on, and this one is woken when it is written.
        let answer = self.prepare_response(&walked, &result, &mut about);
        let outcome = match self.commit_and_record(transaction, effects, answer).await {
            Committed::Recorded { is_written } => {
                let recorded = audit_trail::written(requested, &walked).await;
                let answered = if is_written { result } else { Err(self.unwritten(&walked)) };
                return Some(recorded.and(answered));
            }
            Committed::Unrecorded(Ok(_)) => result,
            Committed::Unrecorded(Err(CommitError::Conflict)) => return None,
            Committed::Unrecorded(Err(error)) => Err(error.into()),
        };
        let answered = self.audit_response(&walked, &outcome, &mut about);
        let recorded = audit_trail::written(requested, &walked).await;
        Some(recorded.and(audit_trail::written(answered, &walked).await).and(outcome))
    }

    /// Which mounts and namespaces there are is nothing for somebody without a valid token: to them everything that
    /// is not there is forbidden.
    fn hidden_from_strangers(&self, request: &Request, error: Error) -> Error {
        if error.kind != ErrorKind::NotFound {
            return error;
        }
        let is_known = || {
            let open = self.opened()?;
            let mut tx = self.begin(&open.keys, Intent::Read)?;
            let token = request.token.as_ref().filter(|token| !token.is_empty()).ok_or_else(Error::denied)?;
            let topology = &open.topology;
            let namespace = match topology.resolve(&request.namespace, &request.path) {
                Ok((namespace, _)) => namespace,
                Err(_) => topology.root().cloned().ok_or_else(Error::denied)?,
            };
            let (token, client) = (token.expose(), &request.client);
            caller::authenticate(self, &mut tx, topology, &namespace, token, client, self.now())
        };
        if is_known().is_ok() { error } else { Error::denied().with_detail(error.messages.join("; ")) }
    }

    /// Finds the namespace, the mount and the route of a request.
    pub(crate) fn route(&self, request: &Request) -> Result<Routed, Error> {
        let open = self.opened()?;
        let (namespace, path) = open.topology.resolve(&request.namespace, &request.path)?;
        let mount = namespace.mount_of(path.as_str()).cloned().ok_or_else(|| no_handler(&path))?;
        let rest = path.as_str().strip_prefix(mount.path()).unwrap_or("");
        refuse_locked(&namespace, &mount, rest)?;
        let is_help = request.operation == Operation::Help;
        let (route, captures) = match route::find(mount.backend.routes, rest) {
            Some(found) if !(is_help && rest.is_empty()) => found,
            _ if is_help => (&system::MOUNT_HELP, Captures::new()),
            _ => return Err(no_route(&mount, &path)),
        };
        let method = match request.operation {
            Operation::Help => help_method(),
            operation => route.method(operation).ok_or_else(Error::unsupported_operation)?,
        };
        let (work, intent, is_heavy) = match method.run {
            Run::Read(handler) | Run::ReadOrWrite(handler) => (Work::Answer(handler), Intent::Read, false),
            Run::Write(handler) => (Work::Answer(handler), Intent::Write, false),
            Run::Heavy(handler) => (Work::Answer(handler), Intent::Write, true),
            Run::Outward(handler) => (Work::Outward(handler), Intent::Write, false),
            // Taken before routing; here it means that the path was written with a namespace in it.
            Run::Bare(_) => return Err(Error::invalid("this path is served in the root namespace alone")),
        };
        let may_write = matches!(method.run, Run::ReadOrWrite(_));
        // A wrapped answer is stored, whatever made it.
        let intent = if request.wrap_ttl.is_some() { Intent::Write } else { intent };
        Ok(Routed { open, namespace, mount, path, route, work, intent, is_heavy, may_write, captures })
    }

    fn attempt(&self, routed: &Routed, request: &Request) -> Attempt {
        let mut caller = None;
        match self.run(routed, request, routed.intent, &mut caller) {
            Ok((ran, tx)) => {
                let commit = tx.is_changed().then(|| tx.finish(self.entropy()));
                Attempt { result: Ok(ran), caller, commit }
            }
            Err(error) => {
                let commit = caller.as_deref().and_then(|caller| self.spend_use(caller));
                Attempt { result: Err(error), caller, commit }
            }
        }
    }

    /// Runs the handler with everything that stands before and after it, up to the commit.
    fn run<'k>(
        &'k self,
        routed: &'k Routed,
        request: &'k Request,
        intent: Intent,
        found: &mut Option<Arc<Caller>>,
    ) -> Result<(Ran, Tx<'k>), Error> {
        let now = self.now();
        // A server that was sealed meanwhile does not go on, and one that has new keys goes on with these.
        let keys = self.opened()?.keys;
        let mut tx = self.begin(&keys, intent)?;
        let mut caller = self.caller_of(&mut tx, routed, request, now)?;
        // A token with counted uses is written by every use of it. Its last use may have been between the two
        // snapshots: it is looked at again.
        let is_counted = caller.as_ref().is_some_and(|caller| caller.token.num_uses > 0);
        if is_counted && !tx.is_writable() {
            tx = self.begin(&keys, Intent::Write)?;
            caller = self.caller_of(&mut tx, routed, request, now)?;
        }
        *found = caller.clone();
        let mut call = Call {
            kernel: self,
            tx,
            request,
            topology: &routed.open.topology,
            namespace: &routed.namespace,
            mount: routed.mount.clone(),
            path: &routed.path,
            captures: routed.captures.clone(),
            caller,
            now,
        };
        self.authorize(&mut call, routed)?;
        refuse_upgrading(&routed.mount)?;
        refuse_late_writes(&mut call.tx, &routed.mount)?;
        let mut response = if request.operation == Operation::Help {
            system::help(routed, &self.settings.version)
        } else {
            match self.answer(&mut call, routed.work) {
                Err(_) if routed.may_write && call.tx.has_refused_write() => {
                    return self.run(routed, request, Intent::Write, found);
                }
                answered => match answered? {
                    Outward::Answer(response) => response,
                    Outward::Errand(errand) => {
                        let preparation = Preparation::new(&mut call, errand)?;
                        return Ok((Ran::Prepared(preparation), call.tx));
                    }
                },
            }
        };
        response.mount_type.clone_from(&routed.mount.record.kind);
        grants::fulfil(&mut call, &mut response)?;
        wrapping::wrap_if_asked(&mut call, &mut response)?;
        if let Some(caller) = found {
            self.count_use(&mut call.tx, caller)?;
        }
        Ok((Ran::Answered(response), call.tx))
    }

    /// Runs the handler. Failed logins of one user are counted, and beyond their number no longer looked at.
    fn answer(&self, call: &mut Call<'_>, work: Work) -> Result<Outward, Error> {
        let handler = match work {
            Work::Answer(handler) => handler,
            Work::Outward(handler) => return handler(call),
        };
        let Some(login_name) = call.mount.backend.login_name.and_then(|name| name(call)) else {
            return handler(call).map(Outward::Answer);
        };
        self.lockouts.check(call, &login_name)?;
        let answered = handler(call);
        self.lockouts.count(call, &login_name, &answered);
        answered.map(Outward::Answer)
    }

    /// The caller, where the route needs one, or one was presented.
    pub(crate) fn caller_of(
        &self,
        tx: &mut Tx<'_>,
        routed: &Routed,
        request: &Request,
        now: Timestamp,
    ) -> Result<Option<Arc<Caller>>, Error> {
        let Routed { open, namespace, route, .. } = routed;
        let token = request.token.as_ref().filter(|token| !token.is_empty());
        match (route.access, token) {
            (Access::Open | Access::OwnToken, _) => Ok(None),
            (Access::Recovery, _) if self.settings.open_generate_root => Ok(None),
            (Access::Recovery, None) => Err(no_root_for_strangers()),
            (Access::Token | Access::Sudo, None) => {
                Err(Error::new(ErrorKind::Denied, "permission denied").with_detail("no token was presented"))
            }
            (Access::Token | Access::Sudo | Access::Recovery, Some(token)) => caller::authenticate(
                self,
                tx,
                &open.topology,
                namespace,
                token.expose(),
                &request.client,
                now,
            )
            .map(Some),
        }
    }

    /// Asks policy.
    fn authorize(&self, call: &mut Call<'_>, routed: &Routed) -> Result<(), Error> {
        let Some(caller) = call.caller.clone() else { return Ok(()) };
        if caller.token.is_wrapping && routed.mount.record.kind != "cubbyhole" {
            return Err(Error::denied().with_detail("a wrapping token is good for unwrapping alone"));
        }
        let (request, now) = (call.request, call.now);
        let wanted = |operation| AccessRequest {
            namespace: routed.namespace.path(),
            path: routed.path.as_str(),
            operation,
            privilege: if matches!(routed.route.access, Access::Sudo | Access::Recovery) {
                Privilege::Sudo
            } else {
                Privilege::Ordinary
            },
            parameters: Some(&request.fields.0),
            wrap_ttl: request.wrap_ttl,
            now,
        };
        let operation = match (request.operation, routed.route.exists) {
            (Operation::Write, Some(exists)) => {
                // The check costs a read: it is made only where the answer matters.
                let update = caller.acl.check(&wanted(policy::Operation::Update)).is_allowed();
                let create = caller.acl.check(&wanted(policy::Operation::Create)).is_allowed();
                match (update, create) {
                    (true, true) | (false, false) => policy::Operation::Update,
                    _ if exists(call)? => policy::Operation::Update,
                    _ => policy::Operation::Create,
                }
            }
            (operation, _) => policy_operation(operation),
        };
        match caller.acl.check(&wanted(operation)) {
            Decision::Allowed(_) => Ok(()),
            Decision::Denied(denial) => {
                let mut error = Error::denied().with_detail(format!("{denial:?}"));
                error.hint = self.denial_hint(&caller, &wanted(operation), routed);
                Err(error)
            }
        }
    }

    /// What a denied caller is told: only somebody who may look up their own permissions is told more than no.
    fn denial_hint(&self, caller: &Caller, wanted: &AccessRequest<'_>, routed: &Routed) -> Option<String> {
        let self_check = AccessRequest::new(
            routed.namespace.path(),
            "sys/capabilities-self",
            policy::Operation::Update,
            wanted.now,
        );
        if !self.settings.explain_denials || !caller.acl.check(&self_check).is_allowed() {
            return None;
        }
        Some(system::explain_text(&caller.acl, wanted, &routed.mount))
    }

    /// Counts a use of a token that has a limit; with the last one the token ends.
    pub(crate) fn count_use(&self, tx: &mut Tx<'_>, caller: &Caller) -> Result<(), Error> {
        let Some(row) = caller.row.filter(|_| caller.token.num_uses > 0) else { return Ok(()) };
        // The handler may have revoked it already.
        let Some(entry) = tokens::read(tx, caller.token.namespace, row)? else { return Ok(()) };
        if tokens::take_use(tx, row, &entry)? == 0 {
            grants::revoke_token(self, tx, entry.namespace, row, Children::Revoke)?;
        }
        Ok(())
    }

    /// The same for a request that failed: a use is a use.
    pub(crate) fn spend_use(&self, caller: &Caller) -> Option<(Transaction, Vec<Effect>)> {
        if caller.token.num_uses == 0 {
            return None;
        }
        let mut tx = self.begin(&self.opened().ok()?.keys, Intent::Write).ok()?;
        self.count_use(&mut tx, caller).ok()?;
        tx.is_changed().then(|| tx.finish(self.entropy()))
    }
}

fn policy_operation(operation: Operation) -> policy::Operation {
    match operation {
        Operation::Read => policy::Operation::Read,
        Operation::Write => policy::Operation::Update,
        Operation::Patch => policy::Operation::Patch,
        Operation::Delete => policy::Operation::Delete,
        Operation::List => policy::Operation::List,
        Operation::Scan => policy::Operation::Scan,
        Operation::Help => policy::Operation::Help,
    }
}

/// Nothing gets through to a locked namespace but its unlocking.
fn refuse_locked(namespace: &Namespace, mount: &Mount, rest: &str) -> Result<(), Error> {
    let is_unlocking = mount.record.kind == "system" && rest.starts_with("namespaces/api-lock/unlock");
    match &namespace.locked_by {
        Some(locked) if !is_unlocking => Err(Error::new(
            ErrorKind::Unavailable,
            format!(
                "API access to this namespace has been locked by an administrator: {locked} must be unlocked first"
            ),
        )),
        _ => Ok(()),
    }
}

fn no_root_for_strangers() -> Error {
    let mut error = Error::denied().with_detail("no token was presented");
    error.hint = Some(
        "a token with sudo on this path is needed. Where all are lost: disable_unauthed_generate_root_endpoints = \
         false in the server's configuration, until a new root token is made"
            .to_owned(),
    );
    error
}

fn no_handler(path: &RequestPath) -> Error {
    Error {
        messages: vec![format!("no handler for route {:?}. route entry not found.", path.as_str())],
        ..Error::not_found()
    }
}

fn no_route(mount: &Mount, path: &RequestPath) -> Error {
    let class = match mount.record.class {
        Class::Auth => "auth method",
        Class::Secret => "secrets engine",
    };
    let (kind, at) = (&mount.record.kind, mount.path());
    let mut messages = vec![format!("unsupported path: the {kind} {class} at {at} has no such path")];
    let rest = path.as_str().strip_prefix(at).unwrap_or("");
    let is_prefixed = rest.starts_with("data/") || rest.starts_with("metadata/");
    if kind == "kv" && !is_prefixed && mount.record.options.get("version").is_some_and(|v| v == "2") {
        messages
            .push(format!("this is a version 2 mount: read {at}data/{rest} and list {at}metadata/{rest}"));
    }
    Error { messages, ..Error::not_found() }
}

/// Help is answered from the route itself.
fn help_method() -> &'static Method {
    const HELP: Method = Method {
        operation: Operation::Help,
        run: Run::Read(|_| Ok(Response::data(Map::new()))),
        summary: "",
    };
    &HELP
}
