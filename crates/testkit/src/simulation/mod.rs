//! A seeded simulation of a whole server: many clients at once, commits in any order, faults and crashes at every
//! storage call, a clock that jumps. A model says what every answer must be. The same seed gives the same run.
//!
//! Handlers run in one piece up to their commit; there the request waits until the scheduler lets the commit happen.
//! The order of commits is therefore the order in which things happened, and the model needs no history: an answer is
//! right if it is right at the moment of its commit, or of its run if it had none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod act;
mod choose;
mod fingerprints;
mod model;
mod store;

use crate::server::{Answer, answer};
use crate::{FakeClock, SeededEntropy};
use act::{Act, Deed, policy_text};
use model::{Expected, Model, NAMESPACES, Token};
use serde_json::{Value, json};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use store::{Commit, QueueStorage, Waiting};
use strongroom_kernel::{
    AuditParts, Backend, Body, Client, Error, Fields, Kernel, KernelParts, KernelSettings, Operation,
    Request, Response, Seal, Sharing, Surroundings,
};
use strongroom_secret::{NamespacePath, RequestPath, SecretBytes, SecretString, Timestamp};
use strongroom_storage::memory::Fault;

/// What is simulated.
#[derive(Clone)]
pub struct Options {
    pub seed: u64,
    /// Requests that are made.
    pub operations: u64,
    pub backends: Vec<&'static Backend>,
    /// Everything that happens is printed.
    pub is_traced: bool,
}

/// What a run came to.
#[derive(Debug, Default, Clone, Copy)]
pub struct Report {
    pub operations: u64,
    pub commits: u64,
    /// Commits that lost against another and were run again.
    pub conflicts: u64,
    /// Commits with an injected fault.
    pub faults: u64,
    pub crashes: u64,
    pub seals: u64,
    /// Requests that were refused as they had to be.
    pub refusals: u64,
    /// Requests at mounts that were disabled while they were under way: their answers are not judged.
    pub overtaken: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operations, commits, conflicts, faults, crashes, seals, refusals, overtaken } = self;
        write!(
            f,
            "{operations} operations, {commits} commits, {conflicts} conflicts, {faults} faults, {crashes} crashes, \
             {seals} seals, {refusals} refusals, {overtaken} overtaken"
        )
    }
}

/// Runs a simulation; panics with the seed if the server does anything wrong.
pub fn run(options: &Options) -> Report {
    let mut world = World::new(options);
    while world.report.operations < options.operations {
        world.step();
    }
    world.finish();
    world.report
}

const FLIGHTS_MAX: usize = 12;

struct World {
    seed: u64,
    is_traced: bool,
    random: SeededEntropy,
    clock: Arc<FakeClock>,
    entropy: Arc<SeededEntropy>,
    storage: Arc<QueueStorage>,
    kernel: Arc<Kernel>,
    backends: Vec<&'static Backend>,
    unseal_key: SecretBytes,
    model: Model,
    flights: Vec<Flight>,
    report: Report,
    values_made: u64,
    /// Tokens that may be alive: the clients.
    clients: Vec<usize>,
}

type Handling = Pin<Box<dyn Future<Output = Result<Response, Error>>>>;

/// A request under way.
struct Flight {
    number: u64,
    act: Act,
    handling: Handling,
    waiting: Waiting,
    run: Run,
}

/// One run of a request's handler.
#[derive(Clone, Copy)]
struct Run {
    expected: Expected,
    began: Timestamp,
    /// A read failed in it.
    is_faulty: bool,
}

enum Polled {
    Waiting(Waiting),
    Answered(Answer),
}

impl World {
    fn new(options: &Options) -> Self {
        let clock = Arc::new(FakeClock::new());
        let entropy = Arc::new(SeededEntropy::new(options.seed ^ 0x5eed));
        let storage = Arc::new(QueueStorage::new());
        storage.set_direct(true);
        let kernel = kernel(&storage, &clock, &entropy, &options.backends);
        let one = Sharing { shares: 1, threshold: 1 };
        let made = kernel.initialize(one, one).expect("a new server initialises");
        let unseal_key = made.keys[0].duplicate();
        kernel.unseal_with_share(unseal_key.duplicate()).expect("the key is right");
        let root = Token { text: made.root_token.expose().to_owned(), is_root: true, ..Token::default() };
        let mut world = Self {
            seed: options.seed,
            is_traced: options.is_traced,
            random: SeededEntropy::new(options.seed),
            clock,
            entropy,
            storage,
            kernel,
            backends: options.backends.clone(),
            unseal_key,
            model: Model { tokens: vec![root], ..Model::default() },
            flights: Vec::new(),
            report: Report::default(),
            values_made: 0,
            clients: Vec::new(),
        };
        world.furnish();
        world.storage.set_direct(false);
        world
    }

    fn furnish(&mut self) {
        for namespace in &NAMESPACES[1..] {
            let (parent, name) = namespace.rsplit_once('/').unwrap_or(("", namespace));
            self.must(parent, &format!("sys/namespaces/{name}"), json!({}));
        }
        for (number, namespace) in NAMESPACES.iter().enumerate() {
            for (slot, version) in [(0, "2"), (1, "1")] {
                let body = json!({ "type": "kv", "options": { "version": version } });
                self.must(namespace, &format!("sys/mounts/m{slot}"), body);
                self.model.mount_made(number, slot, version == "2");
            }
            let minter = "path \"auth/token/create\" { capabilities = [\"update\"] }";
            self.must(namespace, "sys/policy/minter", json!({ "policy": minter }));
            self.must(namespace, "sys/policy/p0", json!({ "policy": policy_text(3) }));
            self.model.policies.insert((number, 0), 3);
            let config = json!({ "user_lockout_config": { "lockout_disable": true } });
            self.must(namespace, "sys/auth/approle", json!({ "type": "approle", "config": config }));
            for uses in 1..=3 {
                let at = format!("auth/approle/role/uses{uses}");
                let role = json!({
                    "role_id": format!("role-uses{uses}"), "secret_id_num_uses": uses,
                    "token_policies": ["p0", "p3", "minter"], "token_ttl": act::LOGIN_SECONDS,
                });
                self.must(namespace, &at, role);
            }
        }
    }

    fn must(&self, namespace: &str, path: &str, body: Value) {
        let token = &self.model.tokens[0].text;
        let made = request(Operation::Write, namespace, path, body, Some(token), None);
        let answered = answer(pollster::block_on(self.kernel.clone().handle(made)));
        assert!(answered.status < 300, "{namespace}/{path}: {answered:?}");
    }

    fn below(&self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap_or(0)
    }

    fn one_in(&self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn now(&self) -> Timestamp {
        use strongroom_secret::Clock;
        self.clock.now()
    }

    fn fail(&self, flight: u64, why: &str) -> ! {
        panic!(
            "request {flight}: {why}\nto see it again: seed {} (operation {})",
            self.seed, self.report.operations
        )
    }

    fn step(&mut self) {
        match self.below(1000) {
            0..10 => self.move_clock(),
            10..14 => self.maintain(),
            14..16 if !self.model.is_sealed => self.toggle_seal(),
            14..80 if self.model.is_sealed => self.toggle_seal(),
            16..17 => self.crash(),
            17..20 => self.rotate(),
            20..640 if self.flights.len() < FLIGHTS_MAX => self.begin(),
            _ if self.flights.is_empty() => self.begin(),
            _ => self.commit_one(),
        }
    }

    /// A client makes a request.
    fn begin(&mut self) {
        let act = self.choose();
        self.report.operations += 1;
        let number = self.report.operations;
        let plain = act.request(&self.model);
        let token = act.caller.map(|caller| self.model.tokens[caller].text.as_str());
        let made =
            request(plain.operation, act.namespace_path(), &plain.path, plain.body, token, plain.wrap_ttl);
        let handling: Handling = Box::pin(self.kernel.clone().handle(made));
        self.advance(number, act, handling);
    }

    /// Runs a request's handler up to its commit or its end.
    fn advance(&mut self, number: u64, act: Act, mut handling: Handling) {
        let mut run = Run { expected: self.expect(&act), began: self.now(), is_faulty: false };
        let fault = self.one_in(300).then(|| self.below(12) as u32);
        self.storage.arm_reads(fault);
        let polled = self.poll(number, &mut handling);
        self.trace(|| match &polled {
            Polled::Waiting(_) => format!("{number} waits: {act:?} {:?}", run.expected),
            Polled::Answered(answer) => {
                format!("{number} is answered {}: {act:?} {:?}", answer.status, run.expected)
            }
        });
        run.is_faulty = self.storage.arm_reads(None);
        match polled {
            Polled::Waiting(waiting) => {
                self.flights.push(Flight { number, act, handling, waiting, run });
            }
            Polled::Answered(answer) => self.settle_without_commit(number, &act, run, &answer),
        }
    }

    /// What the model expects of a run that begins now.
    fn expect(&self, act: &Act) -> Expected {
        if self.model.is_sealed {
            return Expected { may_be_denied: false, allowed: Some(503) };
        }
        self.model.expect(act, self.now())
    }

    fn poll(&self, number: u64, handling: &mut Handling) -> Polled {
        let mut context = Context::from_waker(Waker::noop());
        match handling.as_mut().poll(&mut context) {
            Poll::Ready(result) => Polled::Answered(answer(result)),
            Poll::Pending => match self.storage.take_submitted() {
                Some(waiting) => Polled::Waiting(waiting),
                None => self.fail(number, "it waits for nothing"),
            },
        }
    }

    fn is_overtaken(&self, act: &Act) -> bool {
        matches!(&act.deed, Deed::Kv { mount: Some(mount), .. } if !self.model.stores.contains_key(mount))
    }

    fn settle_without_commit(&mut self, number: u64, act: &Act, run: Run, answer: &Answer) {
        // Who cannot be authenticated is not told that there is no mount, whatever the reason.
        let is_unrouted = matches!(act.deed, Deed::Kv { mount: None, .. });
        if run.is_faulty && (answer.status == 503 || (is_unrouted && answer.status == 403)) {
            return;
        }
        if self.is_overtaken(act) {
            self.report.overtaken += 1;
            return;
        }
        self.check_status(number, act, run.expected, answer);
        if answer.status >= 300 {
            self.report.refusals += 1;
        }
        if answer.status != 403 {
            if self.model.is_counted(act) && answer.status < 300 {
                self.fail(number, &format!("a use was not counted: {act:?}"));
            }
            self.check_content(number, act, answer);
            if answer.status < 300 {
                self.model.happened(act, Some(answer), run.began);
            }
        }
    }

    fn trace(&self, what: impl FnOnce() -> String) {
        if self.is_traced {
            println!("{}: {}", self.report.operations, what());
        }
    }

    fn check_status(&self, number: u64, act: &Act, expected: Expected, answer: &Answer) {
        // Zero: whatever the server says of something that nobody can know.
        if !expected.accepts(answer.status) && expected.allowed != Some(0) {
            self.fail(number, &format!("{act:?}\nexpected {expected:?}\nanswered {answer:?}"));
        }
    }

    fn check_content(&self, number: u64, act: &Act, answer: &Answer) {
        if answer.status >= 300 && answer.status != 404 {
            return;
        }
        if let Some(flaw) = self.model.flaw(act, answer) {
            self.fail(number, &format!("{act:?}\n{flaw}\nanswered {answer:?}"));
        }
    }

    /// Lets one of the waiting commits happen.
    fn commit_one(&mut self) {
        let at = self.below(self.flights.len());
        let Flight { number, act, mut handling, waiting, run } = self.flights.swap_remove(at);
        let fault = self.choose_fault();
        let commit = self.storage.apply(waiting, fault);
        self.report.commits += 1;
        self.trace(|| format!("{number} commits: {commit:?}"));
        self.report.faults += u64::from(fault != Fault::Nothing);
        if self.storage.is_closed() {
            if commit == Commit::Hidden {
                self.settle_unseen(&act, run);
            }
            return self.restart();
        }
        if commit == Commit::Conflict {
            self.report.conflicts += 1;
            return self.advance(number, act, handling);
        }
        let Polled::Answered(answer) = self.poll(number, &mut handling) else {
            self.fail(number, "it goes on after its commit");
        };
        match commit {
            Commit::Acknowledged => self.settle(number, &act, run, &answer),
            Commit::Hidden if answer.status == 503 => self.settle_unseen(&act, run),
            Commit::Lost | Commit::Refused if matches!(answer.status, 503 | 507) => {}
            _ if is_refusal(answer.status) && !run.expected.is_success() => {
                // The commit was that of the use alone, and the answer a refusal already.
                if commit == Commit::Hidden {
                    self.settle_unseen(&act, run);
                }
            }
            _ => self.fail(number, &format!("{act:?}\ncommit {commit:?} and yet\nanswered {answer:?}")),
        }
    }

    fn choose_fault(&self) -> Fault {
        match self.below(1000) {
            0..3 => Fault::Error,
            3..5 => Fault::Full,
            5..8 => Fault::UnknownApplied,
            8..11 => Fault::UnknownLost,
            11..12 => Fault::CrashBefore,
            12..13 => Fault::CrashAfter,
            _ => Fault::Nothing,
        }
    }

    /// A commit happened and its client was told.
    fn settle(&mut self, number: u64, act: &Act, run: Run, answer: &Answer) {
        if self.is_overtaken(act) {
            self.report.overtaken += 1;
            self.model.spend(act);
            return;
        }
        if is_refusal(answer.status) && self.model.is_counted(act) {
            // The refusal is as old as the run; the commit is that of the use alone.
            if !(run.is_faulty && answer.status == 503) {
                self.check_status(number, act, run.expected, answer);
            }
            self.report.refusals += 1;
            return self.model.spend(act);
        }
        if run.expected.allowed.is_none() {
            self.fail(number, &format!("{act:?}\nexpected {:?}\nanswered {answer:?}", run.expected));
        }
        let expected = Expected { may_be_denied: false, ..self.model.expect_permitted(act, run.began) };
        self.check_status(number, act, expected, answer);
        self.check_content(number, act, answer);
        let tokens = self.model.tokens.len();
        self.model.happened(act, Some(answer), run.began);
        self.trace(|| match self.model.tokens.get(tokens) {
            Some(token) => format!("{number} made token {tokens}: {token:?}"),
            None => format!("{number} is answered {}", answer.status),
        });
        self.model.spend(act);
    }

    /// A commit happened and nobody was told.
    fn settle_unseen(&mut self, act: &Act, run: Run) {
        let is_refused = run.is_faulty || !run.expected.is_success();
        if !(self.is_overtaken(act) || is_refused && self.model.is_counted(act)) {
            self.model.happened(act, None, run.began);
        }
        self.model.spend(act);
    }

    fn move_clock(&mut self) {
        let wall = self.now();
        // A commit that came late may have made a token whose time was over already.
        self.model.time_moved(wall);
        let seconds = |count: usize| Duration::from_secs(count as u64);
        match self.below(10) {
            0 => {
                let back = self.below(120) as i64 * 1_000_000_000;
                self.clock.set_wall(Timestamp::from_nanoseconds(wall.nanoseconds() - back));
            }
            1 => self.clock.advance(seconds(self.below(3600))),
            _ => self.clock.advance(seconds(self.below(60))),
        }
        self.trace(|| format!("the clock says {}", self.now().rfc3339()));
        self.model.time_moved(self.now());
    }

    /// The expirer works off what is due; now and then the store crashes under it.
    fn maintain(&mut self) {
        if self.model.is_sealed {
            return;
        }
        self.storage.set_direct(true);
        if self.one_in(8) {
            self.storage.arm_crash(Some(self.below(3) as u32));
        }
        for _ in 0..1000 {
            match self.kernel.expire_due(64) {
                Ok(Some(Duration::ZERO)) => {}
                Ok(_) => {
                    self.model.expired(self.now());
                    break;
                }
                Err(error) if self.storage.is_closed() => {
                    drop(error);
                    break;
                }
                Err(error) => self.fail(0, &format!("the expirer: {error:?}")),
            }
        }
        self.storage.arm_crash(None);
        self.storage.set_direct(false);
        if self.storage.is_closed() {
            self.restart();
        }
    }

    fn rotate(&mut self) {
        if self.model.is_sealed || !self.one_in(10) {
            return;
        }
        self.storage.set_direct(true);
        if let Err(error) = self.kernel.rotate_keyring() {
            self.fail(0, &format!("the keys cannot be rotated: {error:?}"));
        }
        self.storage.set_direct(false);
    }

    fn toggle_seal(&mut self) {
        if self.model.is_sealed {
            self.unseal();
        } else {
            self.kernel.seal();
            self.report.seals += 1;
        }
        self.model.is_sealed = self.kernel.is_sealed();
    }

    fn unseal(&self) {
        match self.kernel.unseal_with_share(self.unseal_key.duplicate()) {
            Ok(true) => {}
            other => self.fail(0, &format!("the server does not open: {other:?}")),
        }
    }

    /// The process ends where it stands.
    fn crash(&mut self) {
        self.restart();
    }

    /// A new process finds what the store holds. Requests that were under way are gone, with their commits.
    fn restart(&mut self) {
        self.report.crashes += 1;
        self.trace(|| "crash".to_owned());
        self.flights.clear();
        self.storage = Arc::new(self.storage.recover());
        self.kernel = kernel(&self.storage, &self.clock, &self.entropy, &self.backends);
        self.unseal();
        self.model.is_sealed = false;
    }

    /// Ends what is under way, and compares everything that can be listed.
    fn finish(&mut self) {
        while !self.flights.is_empty() {
            self.commit_one();
        }
        if self.model.is_sealed {
            self.toggle_seal();
        }
        self.restart();
        for act in self.final_reads() {
            self.report.operations += 1;
            let plain = act.request(&self.model);
            let token = &self.model.tokens[0].text;
            let made =
                request(plain.operation, act.namespace_path(), &plain.path, plain.body, Some(token), None);
            let mut handling: Handling = Box::pin(self.kernel.clone().handle(made));
            let Polled::Answered(answer) = self.poll(0, &mut handling) else {
                self.fail(0, "a read commits");
            };
            self.check_status(0, &act, self.model.expect(&act, self.now()), &answer);
            self.check_content(0, &act, &answer);
        }
        self.check_fingerprints();
    }
}

fn is_refusal(status: u16) -> bool {
    status >= 400
}

fn kernel(
    storage: &Arc<QueueStorage>,
    clock: &Arc<FakeClock>,
    entropy: &Arc<SeededEntropy>,
    backends: &[&'static Backend],
) -> Arc<Kernel> {
    Kernel::new(KernelParts {
        storage: storage.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
        backends: backends.to_vec(),
        seal: Seal::Shamir,
        seal_before: None,
        audit: AuditParts::default(),
        settings: KernelSettings::default(),
        surroundings: Surroundings::default(),
    })
}

fn request(
    operation: Operation,
    namespace: &str,
    path: &str,
    body: Value,
    token: Option<&str>,
    wrap_ttl: Option<Duration>,
) -> Request {
    let text = body.to_string();
    let Value::Object(fields) = body else { panic!("a body is an object") };
    let path = RequestPath::parse(path).expect("the path is one");
    Request {
        id: "00000000-0000-4000-8000-000000000000".to_owned(),
        path: if operation == Operation::List { path.to_folder() } else { path },
        operation,
        namespace: NamespacePath::parse(namespace).expect("the namespace is a path"),
        fields: Fields(fields),
        body: Body(text.into_bytes()),
        token: token.map(SecretString::from),
        basic: None,
        wrap_ttl,
        client: Client::default(),
        headers: Vec::new(),
    }
}
