//! The world outside: accounts with passwords, commands and webhooks, all of which can be told to fail; and a server that
//! can be started again over what its store kept.

use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use strongroom_kernel::rotation::{
    Account, AccountFunctions, Accounts, EffectError, PluginError, PluginRequest,
};
use strongroom_kernel::{
    Backend, Call, Class, Error, KernelSettings, OutboundError, OutboundRequest, OutboundResponse, Seal,
    Surroundings,
};
use strongroom_secret::SecretBytes;
use strongroom_storage::memory::{Fault, MemoryStorage};
use strongroom_testkit::server::{Answer, TestServer, new_kernel_in};

static WORLDS: LazyLock<Mutex<HashMap<String, Arc<World>>>> = LazyLock::new(Mutex::default);
static NEXT: AtomicU64 = AtomicU64::new(1);

/// An engine whose connections are worlds.
static ACCOUNTS: Backend = Backend {
    account: Some(&AccountFunctions { policy_path: |connection| format!("config/{connection}"), open }),
    ..Backend::new("accounts", Class::Secret, "Accounts of a test.", &[])
};

fn open(_: &mut Call<'_>, connection: &str) -> Result<Accounts, Error> {
    let world = WORLDS.lock().unwrap().get(connection).cloned();
    let world = world.ok_or_else(|| Error::invalid(format!("there is no connection {connection:?}")))?;
    let (applied, verified) = (world.clone(), world.clone());
    Ok(Accounts {
        apply: Box::new(move |account, _| applied.effect("apply", || applied.set_password(account))),
        verify: Box::new(move |account, _| verified.effect("verify", || verified.log_in(account))),
        notify: Box::new(move |channel, text, _| {
            world.effect("notify", || {
                world.told.lock().unwrap().push((channel.to_owned(), text.to_owned()));
                Ok(())
            })
        }),
    })
}

/// What happens to an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    /// The peer says no.
    Refused,
    /// No answer, and it was not done.
    Lost,
    /// No answer, though it was done.
    Unheard,
    /// The server dies before it, or after it.
    DiesBefore,
    DiesAfter,
}

type Choose = Box<dyn FnMut(&str) -> Fate + Send>;

pub(crate) struct World {
    pub name: String,
    pub passwords: Mutex<HashMap<String, String>>,
    pub told: Mutex<Vec<(String, String)>>,
    /// The steps that were done outside, in order.
    pub log: Mutex<Vec<String>>,
    /// What commands and webhooks got.
    pub messages: Mutex<Vec<Value>>,
    pub choose: Mutex<Choose>,
    storage: Mutex<Option<Arc<MemoryStorage>>>,
    /// What commands answer, by step; without one they do what is asked.
    pub answers: Mutex<HashMap<String, Result<String, String>>>,
}

impl World {
    fn effect(&self, step: &str, act: impl FnOnce() -> Result<(), EffectError>) -> Result<(), EffectError> {
        self.log.lock().unwrap().push(step.to_owned());
        let fate = (self.choose.lock().unwrap())(step);
        let lost = || Err(EffectError::Unclear("the peer does not answer".to_owned()));
        match fate {
            Fate::Done => act(),
            Fate::Refused => Err(EffectError::Refused("the peer says no".to_owned())),
            Fate::Lost => lost(),
            Fate::Unheard => act().and_then(|()| lost()),
            Fate::DiesBefore => {
                self.kill();
                lost()
            }
            Fate::DiesAfter => {
                let done = act();
                self.kill();
                done
            }
        }
    }

    /// From here on nothing is stored any more.
    fn kill(&self) {
        if let Some(storage) = &*self.storage.lock().unwrap() {
            storage.set_faults(Some(Box::new(|_| Fault::CrashBefore)));
        }
    }

    fn set_password(&self, account: &Account<'_>) -> Result<(), EffectError> {
        let mut passwords = self.passwords.lock().unwrap();
        passwords.insert(account.username.to_owned(), account.password.expose().to_owned());
        Ok(())
    }

    fn log_in(&self, account: &Account<'_>) -> Result<(), EffectError> {
        match self.works(account.username, account.password.expose()) {
            true => Ok(()),
            false => Err(EffectError::Refused("the login was refused".to_owned())),
        }
    }

    pub(crate) fn works(&self, username: &str, password: &str) -> bool {
        self.passwords.lock().unwrap().get(username).is_some_and(|known| known == password)
    }

    pub(crate) fn choose(&self, choose: impl FnMut(&str) -> Fate + Send + 'static) {
        *self.choose.lock().unwrap() = Box::new(choose);
    }

    pub(crate) fn count(&self, step: &str) -> usize {
        self.log.lock().unwrap().iter().filter(|done| *done == step).count()
    }

    /// A command of the operator's: it changes the password of the account `app` as it is told.
    fn command(&self, request: &PluginRequest<'_>) -> Result<SecretBytes, PluginError> {
        let message: Value = serde_json::from_slice(request.input.expose()).unwrap();
        let step = message["step"].as_str().unwrap().to_owned();
        self.messages.lock().unwrap().push(message.clone());
        if let Some(answer) = self.answers.lock().unwrap().get(&step) {
            return answer.clone().map(|text| text.into_bytes().into()).map_err(PluginError);
        }
        let pending = message["pending"]["password"].as_str().unwrap_or_default();
        let password = pending.into();
        let account = Account { username: "app", password: &password };
        let done = match step.as_str() {
            "apply" => self.effect("apply", || self.set_password(&account)),
            "verify" => self.effect("verify", || self.log_in(&account)),
            "generate" => {
                let value = format!("generated-{}", NEXT.fetch_add(1, Ordering::Relaxed));
                return Ok(json!({ "ok": true, "value": value }).to_string().into_bytes().into());
            }
            other => self.effect(other, || Ok(())),
        };
        let answer = match done {
            Ok(()) => json!({ "ok": true }),
            Err(EffectError::Refused(text)) => json!({ "ok": false, "error": text }),
            Err(EffectError::Unclear(text)) => return Err(PluginError(text)),
        };
        Ok(answer.to_string().into_bytes().into())
    }

    fn webhook(&self, request: &OutboundRequest<'_>) -> Result<OutboundResponse, OutboundError> {
        let body: Value = serde_json::from_slice(request.body).unwrap();
        let headers: HashMap<&str, &str> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        let step = body["step"].as_str().unwrap().to_owned();
        let text = String::from_utf8(request.body.to_vec()).unwrap();
        self.messages.lock().unwrap().push(json!({ "headers": headers, "body": body, "text": text }));
        let done = self.effect(&format!("webhook {step}"), || Ok(()));
        let status = match done {
            Ok(()) => 200,
            Err(EffectError::Refused(_)) => 403,
            Err(EffectError::Unclear(text)) => return Err(OutboundError(text)),
        };
        Ok(OutboundResponse { status, body: SecretBytes::new(Vec::new()) })
    }
}

/// A server and its world.
pub(crate) struct Scene {
    pub server: TestServer,
    pub storage: Arc<MemoryStorage>,
    pub world: Arc<World>,
}

pub(crate) const SECRET: &str = "secret/app/db";

impl Scene {
    /// A server with a secret `app`, whose password works.
    pub(crate) fn new() -> Self {
        let name = format!("world-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let storage = Arc::new(MemoryStorage::new());
        let world = Arc::new(World {
            name: name.clone(),
            passwords: Mutex::new(HashMap::from([("app".to_owned(), "first-value".to_owned())])),
            told: Mutex::default(),
            log: Mutex::default(),
            messages: Mutex::default(),
            choose: Mutex::new(Box::new(|_| Fate::Done)),
            storage: Mutex::new(Some(storage.clone())),
            answers: Mutex::default(),
        });
        WORLDS.lock().unwrap().insert(name, world.clone());
        let mut backends = strongroom_backends::all();
        backends.push(&ACCOUNTS);
        let server = TestServer::start_in(surroundings(&world), storage.clone(), backends);
        let root = server.root();
        root.write("sys/mounts/secret", json!({"type": "kv", "options": {"version": "2"}}));
        root.write("sys/mounts/accounts", json!({"type": "accounts"}));
        let data = json!({"username": "app", "password": "first-value", "port": 5432});
        assert_eq!(root.write("secret/data/app/db", json!({ "data": data })).status, 200);
        Self { server, storage, world }
    }

    /// What a database plan says, with changes.
    pub(crate) fn database_plan(&self, changes: Value) -> Answer {
        let apply = json!({"type": "database", "mount": "accounts", "connection": self.world.name});
        let mut plan = json!({"field": "password", "generate": "token bytes=16", "apply": apply});
        plan.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        self.plan(plan)
    }

    pub(crate) fn plan(&self, plan: Value) -> Answer {
        let answer = self.server.root().write(&format!("sys/rotation/plans/{SECRET}"), plan);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    pub(crate) fn rotate(&self) -> Answer {
        self.server.root().write(&format!("sys/rotation/rotate/{SECRET}"), json!({}))
    }

    /// Lets the server do what is due.
    pub(crate) fn work(&self) {
        self.server.kernel.maintain();
    }

    pub(crate) fn pass(&self, duration: Duration) {
        self.server.clock.advance(duration);
        self.work();
    }

    /// Lets time pass in small steps until nothing is under way.
    pub(crate) fn settle(&self) {
        for _ in 0..400 {
            self.work();
            let status = self.status();
            if status["state"] != "rotating" {
                return;
            }
            self.server.clock.advance(Duration::from_secs(5));
        }
        panic!("it does not end: {}", self.status());
    }

    pub(crate) fn status(&self) -> Value {
        self.server.root().read(&format!("sys/rotation/status/{SECRET}")).data().clone()
    }

    pub(crate) fn history(&self) -> Vec<Value> {
        let answer = self.server.root().read(&format!("sys/rotation/history/{SECRET}"));
        answer.data()["rotations"].as_array().unwrap().clone()
    }

    pub(crate) fn secret(&self) -> Value {
        self.server.root().read("secret/data/app/db").data()["data"].clone()
    }

    pub(crate) fn password(&self) -> String {
        self.secret()["password"].as_str().unwrap().to_owned()
    }

    pub(crate) fn validate(&self, value: &str) -> Value {
        let answer =
            self.server.root().write(&format!("sys/rotation/validate/{SECRET}"), json!({ "value": value }));
        answer.data().clone()
    }

    /// At any moment somebody who knows the current or the pending value gets in.
    pub(crate) fn somebody_gets_in(&self) -> bool {
        let root = self.server.root();
        let readings = [json!({}), json!({"label": "pending"})];
        readings.into_iter().any(|query| {
            let answer = root.read_with("secret/data/app/db", query);
            let data = &answer.body["data"]["data"];
            let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
            self.world.works(&text("username"), &text("password"))
        })
    }

    /// The server dies and is started again over what was stored.
    pub(crate) fn restart(&mut self) {
        let storage = Arc::new(self.storage.recover(None));
        *self.world.storage.lock().unwrap() = Some(storage.clone());
        self.storage = storage.clone();
        self.server.storage = storage;
        let kernel = new_kernel_in(
            surroundings(&self.world),
            &self.server.storage,
            &self.server.clock,
            self.server.backends.clone(),
            (Seal::Shamir, None),
            KernelSettings::default(),
        );
        self.server = self.server.beside(kernel);
        self.server.unseal();
    }
}

fn surroundings(world: &Arc<World>) -> Surroundings {
    let (commands, webhooks, files) = (world.clone(), world.clone(), world.clone());
    Surroundings {
        plugins: Arc::new(move |request| commands.command(request)),
        outbound: Arc::new(move |request| webhooks.webhook(request)),
        notice_files: Arc::new(move |path, text| {
            let told = (format!("file {path}"), String::from_utf8(text.to_vec()).unwrap());
            files.told.lock().unwrap().push(told);
            Ok(())
        }),
        ..Surroundings::default()
    }
}
