//! Effects outside the store, with an engine that makes accounts in a world of the test's own: whatever fails, wherever
//! the server dies, no account is left without a lease and no lease without an account.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use strongroom_kernel::{
    Access, Backend, Call, Class, Errand, Error, ErrorKind, Failure, Intent, IntentDraft, KernelSettings,
    Lane, LeaseGrant, LeaseRecord, Method, Operation, Outward, Renewal, Response, Route, Run, Seal, Sharing,
};
use strongroom_secret::Timestamp;
use strongroom_storage::Storage;
use strongroom_storage::memory::{Fault, MemoryStorage};
use strongroom_testkit::server::{Answer, TestServer, new_kernel};

/// The outside: accounts by name, with their ends.
#[derive(Default)]
struct World {
    accounts: BTreeMap<String, Timestamp>,
    /// What the next actions come to, the first first.
    plans: Vec<Plan>,
    /// Until it is opened, nothing ends.
    is_shut: bool,
    created: usize,
    dropped: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Plan {
    /// It is not reached.
    Down,
    /// It does what it was asked to, and the answer is lost.
    DoneUnknown,
    /// It does nothing, and nobody learns of it.
    LostUnknown,
}

static WORLDS: Mutex<BTreeMap<String, World>> = Mutex::new(BTreeMap::new());
static OPENED: Condvar = Condvar::new();

fn worlds() -> MutexGuard<'static, BTreeMap<String, World>> {
    WORLDS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn world<T>(name: &str, act: impl FnOnce(&mut World) -> T) -> T {
    act(worlds().entry(name.to_owned()).or_default())
}

/// Acts on a world as its next plan has it.
fn reach(name: &str, act: impl FnOnce(&mut World)) -> Result<(), Failure> {
    let mut all = worlds();
    while all.entry(name.to_owned()).or_default().is_shut {
        all = OPENED.wait(all).unwrap_or_else(PoisonError::into_inner);
    }
    let world = all.entry(name.to_owned()).or_default();
    let plan = if world.plans.is_empty() { None } else { Some(world.plans.remove(0)) };
    let error = || Error::new(ErrorKind::Unavailable, "the world does not answer");
    match plan {
        None => act(world),
        Some(Plan::Down) => return Err(Failure::Untouched(error())),
        Some(Plan::LostUnknown) => return Err(Failure::Unclear(error())),
        Some(Plan::DoneUnknown) => {
            act(world);
            return Err(Failure::Unclear(error()));
        }
    }
    Ok(())
}

const ROUTES: &[Route] = &[Route {
    pattern: "creds/{world}",
    summary: "Makes an account.",
    access: Access::Token,
    fields: &[],
    methods: &[Method { operation: Operation::Read, run: Run::Outward(create), summary: "" }],
    exists: None,
}];

static DEMO: Backend = Backend {
    renew: Some(|_, _| Ok(Renewal { ttl: Duration::from_secs(3600), ttl_max: None })),
    revoke_outward: Some(drop_leased),
    extend_outward: Some(extend),
    recover: Some(undo),
    ..Backend::new("demo", Class::Secret, "Makes accounts.", &[ROUTES])
};

fn errand(
    world: &str,
    intent: Option<IntentDraft>,
    act: impl FnOnce() -> Result<strongroom_kernel::Conclusion, Failure> + Send + 'static,
) -> Outward {
    let lane = Lane { name: world.to_owned(), width: 4 };
    let time_limit = Duration::from_secs(10);
    Outward::Errand(Errand { intent, lane, time_limit, action: Box::new(move |_| act()) })
}

fn create(call: &mut Call<'_>) -> Result<Outward, Error> {
    let place = call.capture("world").to_owned();
    let name = strongroom_crypto::token::uuid_v4(call.entropy());
    let ttl = call.fields().duration("ttl")?;
    let end = call.now.plus(ttl.unwrap_or_default());
    let payload = json!({ "world": place, "name": name });
    let intent = IntentDraft { kind: "create account", subject: name.clone(), payload: payload.clone() };
    Ok(errand(&place.clone(), Some(intent), move || {
        reach(&place, |world| {
            world.created += 1;
            world.accounts.insert(name.clone(), end);
        })?;
        Ok(Box::new(move |_| {
            let lease = LeaseGrant { ttl, ttl_max: None, renewable: true, internal: payload.clone() };
            let data = Map::from_iter([("name".to_owned(), Value::from(name.clone()))]);
            Ok(Response { lease: Some(lease), ..Response::data(data) })
        }))
    }))
}

fn drop_account(payload: &Value) -> Outward {
    let text = |name: &str| payload[name].as_str().unwrap().to_owned();
    let (place, name) = (text("world"), text("name"));
    errand(&place.clone(), None, move || {
        reach(&place, |world| {
            world.dropped += 1;
            world.accounts.retain(|known, _| *known != name);
        })?;
        Ok(Box::new(|_| Ok(Response::default())))
    })
}

fn drop_leased(_: &mut Call<'_>, lease: &LeaseRecord) -> Result<Outward, Error> {
    Ok(drop_account(&lease.internal))
}

fn undo(_: &mut Call<'_>, intent: &Intent) -> Result<Outward, Error> {
    Ok(drop_account(&intent.payload))
}

fn extend(_: &mut Call<'_>, lease: &LeaseRecord, end: Timestamp) -> Result<Outward, Error> {
    let text = |name: &str| lease.internal[name].as_str().unwrap().to_owned();
    let (place, name) = (text("world"), text("name"));
    Ok(errand(&place.clone(), None, move || {
        reach(&place, |world| {
            if let Some(known) = world.accounts.get_mut(&name) {
                *known = end;
            }
        })?;
        Ok(Box::new(|_| Ok(Response::default())))
    }))
}

fn start(storage: Arc<MemoryStorage>) -> TestServer {
    let server = TestServer::start_on(storage, vec![&DEMO], Sharing { shares: 1, threshold: 1 });
    assert_eq!(server.root().write("sys/mounts/demo", json!({"type": "demo"})).status, 204);
    server
}

fn server() -> TestServer {
    start(Arc::new(MemoryStorage::new()))
}

fn account(server: &TestServer, world: &str, ttl: u64) -> Answer {
    server.root().read_with(&format!("demo/creds/{world}"), json!({ "ttl": ttl }))
}

fn lease_of(made: &Answer) -> String {
    made.data();
    made.body["lease_id"].as_str().unwrap().to_owned()
}

/// Lets maintenance do all that is due, retries among it.
fn settle(server: &TestServer) {
    for _ in 0..12 {
        for _ in 0..8 {
            server.kernel.maintain();
        }
        server.clock.advance(Duration::from_secs(600));
    }
}

fn accounts(name: &str) -> BTreeSet<String> {
    world(name, |world| world.accounts.keys().cloned().collect())
}

/// The accounts that leases speak of.
fn leased(server: &TestServer, world: &str) -> usize {
    let listed = server.root().list(&format!("sys/leases/lookup/demo/creds/{world}"));
    listed.body["data"]["keys"].as_array().map_or(0, Vec::len)
}

fn unfinished(server: &TestServer) -> usize {
    server.root().read("sys/outbox").data()["keys"].as_array().unwrap().len()
}

#[test]
fn an_account_is_made_renewed_and_taken_back() {
    let server = server();
    let root = server.root();
    let made = account(&server, "whole", 600);
    let lease = lease_of(&made);
    let name = made.data()["name"].as_str().unwrap().to_owned();
    assert_eq!((accounts("whole").len(), unfinished(&server)), (1, 0));
    let renewed = root.write("sys/leases/renew", json!({"lease_id": lease, "increment": 1200}));
    assert_eq!(renewed.body["lease_duration"], 1200, "{renewed:?}");
    let end = world("whole", |world| world.accounts[&name]);
    assert_eq!(end.since(server.kernel.now()), Duration::from_secs(1200));
    server.clock.advance(Duration::from_secs(1199));
    server.kernel.maintain();
    assert_eq!((accounts("whole").len(), leased(&server, "whole")), (1, 1));
    server.clock.advance(Duration::from_secs(1));
    server.kernel.maintain();
    assert_eq!((accounts("whole").len(), leased(&server, "whole")), (0, 0));
    let lease = lease_of(&account(&server, "whole", 600));
    let revoked = root.write("sys/leases/revoke", json!({"lease_id": lease, "sync": true}));
    assert_eq!(revoked.status, 204, "{revoked:?}");
    assert_eq!((accounts("whole").len(), leased(&server, "whole")), (0, 0));
    let lease = lease_of(&account(&server, "whole", 600));
    assert_eq!(root.write("sys/leases/revoke", json!({ "lease_id": lease })).status, 204);
    server.kernel.maintain();
    assert_eq!((accounts("whole").len(), leased(&server, "whole")), (0, 0));
}

#[test]
fn what_fails_is_undone_until_it_is() {
    for (name, plans, was_made) in [
        ("down", vec![Plan::Down], 0),
        ("done", vec![Plan::DoneUnknown], 1),
        ("lost", vec![Plan::LostUnknown], 0),
        ("twice", vec![Plan::DoneUnknown, Plan::Down, Plan::LostUnknown, Plan::DoneUnknown], 1),
    ] {
        let server = server();
        world(name, |world| world.plans = plans);
        let made = account(&server, name, 600);
        assert_eq!(made.refusal(), (503, "the world does not answer".into()), "{name}");
        assert_eq!(accounts(name).len(), was_made, "{name}");
        assert_eq!(unfinished(&server), usize::from(name != "down"), "{name}");
        settle(&server);
        assert_eq!((accounts(name).len(), leased(&server, name), unfinished(&server)), (0, 0, 0), "{name}");
    }
}

#[test]
fn an_intent_that_cannot_be_undone_is_seen_and_can_be_hurried_or_forgotten() {
    let server = server();
    let root = server.root();
    world("stuck", |world| world.plans = vec![Plan::DoneUnknown, Plan::Down, Plan::Down]);
    account(&server, "stuck", 600);
    server.kernel.maintain();
    let listed = root.read("sys/outbox");
    let id = listed.data()["keys"][0].as_str().unwrap().to_owned();
    let shown = &listed.data()["key_info"][&id];
    assert_eq!((&shown["kind"], &shown["mount"]), (&json!("create account"), &json!("demo/")));
    assert_eq!(
        (&shown["state"], &shown["attempts"], &shown["last_error"]),
        (&json!("to be undone"), &json!(1), &json!("the world does not answer"))
    );
    assert!(!listed.body.to_string().contains("\"payload\""));
    server.kernel.maintain();
    assert_eq!(root.read("sys/health").data()["outbox_failing"], 1);
    // Not before its time, unless somebody asks for it.
    assert_eq!(root.read(&format!("sys/outbox/{id}")).data()["attempts"], 1);
    assert_eq!(root.write(&format!("sys/outbox/{id}/retry"), json!({})).status, 204);
    server.kernel.maintain();
    assert_eq!(root.read(&format!("sys/outbox/{id}")).data()["attempts"], 2);
    assert_eq!(root.delete(&format!("sys/outbox/{id}")).status, 204);
    assert_eq!((unfinished(&server), accounts("stuck").len()), (0, 1));
    assert_eq!(root.read(&format!("sys/outbox/{id}")).status, 404);
}

#[test]
fn a_token_that_is_revoked_meanwhile_gets_no_lease_and_a_mount_that_goes_leaves_nothing() {
    let server = server();
    let root = server.root();
    let token = root.write("auth/token/create", json!({"policies": ["root"]})).token();
    let lease = {
        let made = server.session(Some(&token)).read_with("demo/creds/revoked", json!({"ttl": 600}));
        lease_of(&made)
    };
    assert!(lease.starts_with("demo/creds/revoked/"));
    assert_eq!(root.write("auth/token/revoke", json!({ "token": token })).status, 204);
    settle(&server);
    assert_eq!(accounts("revoked").len(), 0);
    for _ in 0..100 {
        account(&server, "gone", 100_000);
    }
    world("gone", |world| world.plans = vec![Plan::DoneUnknown]);
    account(&server, "gone", 100_000);
    assert_eq!(accounts("gone").len(), 101);
    assert_eq!(root.delete("sys/mounts/demo").status, 204);
    settle(&server);
    assert_eq!((accounts("gone").len(), unfinished(&server)), (0, 0));
}

#[test]
fn a_lease_whose_subject_cannot_be_taken_back_is_given_up_and_forced() {
    let server = server();
    let root = server.root();
    let lease = lease_of(&account(&server, "broken", 60));
    world("broken", |world| world.plans = vec![Plan::Down; 6]);
    settle(&server);
    let count = root.read_with("sys/leases", json!({"type": "irrevocable"}));
    assert_eq!(count.data()["lease_count"], 1);
    assert_eq!((accounts("broken").len(), leased(&server, "broken")), (1, 1));
    // Asked for once more, it is tried again.
    assert_eq!(root.write("sys/leases/revoke", json!({ "lease_id": lease })).status, 204);
    settle(&server);
    assert_eq!((accounts("broken").len(), leased(&server, "broken")), (0, 0));
    // By force it goes even if its subject stays.
    lease_of(&account(&server, "broken", 100_000));
    world("broken", |world| world.plans = vec![Plan::Down]);
    assert_eq!(root.write("sys/leases/revoke-force/demo/creds/broken", json!({})).status, 204);
    settle(&server);
    assert_eq!((accounts("broken").len(), leased(&server, "broken")), (1, 0));
    let asked = lease_of(&account(&server, "broken", 600));
    world("broken", |world| world.plans = vec![Plan::Down]);
    let refused = root.write("sys/leases/revoke", json!({ "lease_id": asked, "sync": true }));
    assert_eq!(refused.refusal(), (503, "the world does not answer".into()));
    settle(&server);
    assert_eq!((accounts("broken").len(), leased(&server, "broken")), (1, 0));
}

/// Makes accounts, renews, revokes and lets expire; stops at the first sign that the store is gone.
fn some_life(server: &TestServer, world_name: &str) {
    let root = server.root();
    let first = account(server, world_name, 600);
    let second = account(server, world_name, 600);
    account(server, world_name, 30);
    for (made, path, body) in [
        (&first, "sys/leases/renew", json!({"increment": 900})),
        (&first, "sys/leases/revoke", json!({"sync": true})),
        (&second, "sys/leases/revoke", json!({})),
    ] {
        let mut body = body;
        body["lease_id"] = made.body["lease_id"].clone();
        if body["lease_id"].is_string() {
            root.write(path, body);
        }
    }
    server.clock.advance(Duration::from_secs(31));
    for _ in 0..4 {
        server.kernel.maintain();
    }
    account(server, world_name, 100_000);
}

#[test]
fn a_crash_at_any_call_of_the_store_leaves_no_account_without_lease_and_no_lease_without_account() {
    let mut crashes = 0;
    for fault in [
        Fault::CrashBefore,
        Fault::CrashAfter,
        Fault::Error,
        Fault::Full,
        Fault::UnknownApplied,
        Fault::UnknownLost,
    ] {
        for number in 0.. {
            let name = format!("crash-{fault:?}-{number}");
            let storage = Arc::new(MemoryStorage::new());
            let server = start(storage.clone());
            let mut call = 0;
            let reached = Arc::new(Mutex::new(false));
            let seen = reached.clone();
            storage.set_faults(Some(Box::new(move |_| {
                call += 1;
                if call == number + 1 {
                    *seen.lock().unwrap() = true;
                    return fault;
                }
                Fault::Nothing
            })));
            some_life(&server, &name);
            storage.set_faults(None);
            crashes += 1;
            let recovered: Arc<dyn Storage> = Arc::new(storage.recover(None));
            let kernel = new_kernel(
                &recovered,
                &server.clock,
                vec![&DEMO],
                Seal::Shamir,
                None,
                KernelSettings::default(),
            );
            let after = TestServer { storage: recovered, ..server.beside(kernel) };
            after.unseal();
            for _ in 0..4 {
                after.kernel.maintain();
            }
            // A failed attempt waits for its retry, and so does a revocation that somebody waited for.
            after.clock.advance(Duration::from_secs(150));
            for _ in 0..4 {
                after.kernel.maintain();
            }
            assert_eq!(unfinished(&after), 0, "{name}");
            let named: BTreeSet<String> = leased_names(&after, &name);
            assert_eq!(accounts(&name), named, "{name}");
            if !*reached.lock().unwrap() {
                break;
            }
        }
    }
    assert!(crashes > 300, "{crashes}");
}

/// The names of the accounts whose leases are in the store, as revoking them takes the accounts away one by one.
fn leased_names(server: &TestServer, world_name: &str) -> BTreeSet<String> {
    let root = server.root();
    let before = world(world_name, |world| world.accounts.clone());
    let listed = root.list(&format!("sys/leases/lookup/demo/creds/{world_name}"));
    let keys = listed.body["data"]["keys"].as_array().cloned().unwrap_or_default();
    for key in &keys {
        let id = format!("demo/creds/{world_name}/{}", key.as_str().unwrap());
        let revoked = root.write("sys/leases/revoke", json!({"lease_id": id, "sync": true}));
        assert_eq!(revoked.status, 204, "{revoked:?}");
    }
    let after = accounts(world_name);
    let gone: BTreeSet<String> = before.keys().filter(|name| !after.contains(*name)).cloned().collect();
    assert_eq!(gone.len(), keys.len(), "a lease without an account in {world_name}");
    world(world_name, |world| world.accounts = before);
    gone
}

fn threaded() -> TestServer {
    server().restarted(|settings| settings.outward_threads = 8)
}

fn open(name: &str) {
    world(name, |world| world.is_shut = false);
    OPENED.notify_all();
}

/// Waits for what another thread does.
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..20_000 {
        if is_so() {
            return;
        }
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(1));
    }
    panic!("not so: {what}");
}

#[test]
fn a_peer_that_hangs_is_not_waited_for_and_holds_up_nobody_else() {
    let server = threaded();
    world("hung", |world| world.is_shut = true);
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| account(&server, "hung", 600));
        eventually("the errand is under way", || unfinished(&server) == 1);
        let listed = server.root().read("sys/outbox");
        let id = listed.data()["keys"][0].as_str().unwrap();
        assert_eq!(listed.data()["key_info"][id]["state"], "under way");
        assert_eq!(account(&server, "other", 600).status, 200);
        server.clock.advance(Duration::from_secs(11));
        server.kernel.maintain();
        let (status, error) = hanging.join().unwrap().refusal();
        assert_eq!((status, error.starts_with("the time for it is over")), (503, true), "{error}");
        // While its action still runs, nothing is undone: it might act afterwards.
        server.kernel.maintain();
        assert_eq!((unfinished(&server), accounts("hung").len()), (1, 0));
        open("hung");
    });
    eventually("the late account is undone", || {
        server.kernel.maintain();
        unfinished(&server) == 0
    });
    assert_eq!(world("hung", |world| (world.created, world.accounts.len())), (1, 0));
}

/// Asks for the revocation of a lease and waits for it, in a world that is shut; `then` runs meanwhile, and opens it.
fn revoked_meanwhile(server: &TestServer, world_name: &str, then: impl FnOnce()) -> Answer {
    let lease = lease_of(&account(server, world_name, 600));
    world(world_name, |world| world.is_shut = true);
    let root = server.root();
    std::thread::scope(|scope| {
        let body = json!({"lease_id": lease, "sync": true});
        let waiting = scope.spawn(|| server.root().write("sys/leases/revoke", body));
        eventually("the revocation is under way", || {
            let found = root.write("sys/leases/lookup", json!({"lease_id": lease}));
            found.body["data"]["ttl"] == 0
        });
        then();
        waiting.join().unwrap()
    })
}

#[test]
fn a_revocation_that_somebody_waits_for_is_done_once() {
    let server = threaded();
    let answer = revoked_meanwhile(&server, "once", || {
        for _ in 0..8 {
            server.kernel.maintain();
        }
        open("once");
    });
    assert_eq!((answer.status, accounts("once").len(), leased(&server, "once")), (204, 0, 0));
    assert_eq!(world("once", |world| world.dropped), 1);
}

#[test]
fn a_revocation_that_somebody_waited_for_when_the_server_died_is_not_put_off_after_its_start() {
    let server = threaded();
    let mut after = None;
    let answer = revoked_meanwhile(&server, "widow", || {
        after = Some(server.restarted(|_| ()));
        open("widow");
    });
    assert_eq!(answer.status, 503, "{answer:?}");
    let after = after.unwrap();
    assert_eq!((accounts("widow").len(), leased(&after, "widow")), (0, 1));
    after.kernel.maintain();
    assert_eq!(leased(&after, "widow"), 0);
}

#[test]
fn leases_of_a_peer_that_hangs_do_not_keep_others_from_ending() {
    let server = threaded();
    for _ in 0..200 {
        lease_of(&account(&server, "slow", 60));
        lease_of(&account(&server, "quick", 60));
    }
    world("slow", |world| world.is_shut = true);
    server.clock.advance(Duration::from_secs(61));
    // Leases of one mount are begun in the order of their ends: those of the hung peer take their turns, and keep
    // what the mount may have in hand; another mount is not concerned.
    assert_eq!(server.root().write("sys/mounts/other", json!({"type": "demo"})).status, 204);
    let made = server.root().read_with("other/creds/third", json!({ "ttl": 60 }));
    lease_of(&made);
    server.clock.advance(Duration::from_secs(61));
    eventually("the other mount's lease ends", || {
        server.kernel.maintain();
        accounts("third").is_empty()
    });
    open("slow");
    eventually("all leases end", || {
        server.kernel.maintain();
        accounts("slow").is_empty() && accounts("quick").is_empty()
    });
    eventually("all leases are gone", || leased(&server, "slow") + leased(&server, "quick") == 0);
}

#[test]
fn many_at_once_end_well() {
    let server = threaded();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let lease = lease_of(&account(&server, "busy", 600));
                    let body = json!({"lease_id": lease, "sync": true});
                    assert_eq!(server.root().write("sys/leases/revoke", body).status, 204);
                }
            });
        }
    });
    assert_eq!((accounts("busy").len(), leased(&server, "busy"), unfinished(&server)), (0, 0, 0));
    assert_eq!(world("busy", |world| world.created), 200);
}
