//! What a step does outside the store. It is put together within a transaction and done without one.

use super::account::{Account, Accounts, EffectError};
use super::generate::Recipe;
use super::plan::{AccountTarget, Generator, Notice, Place, Plan, Target, WebhookTarget};
use super::plugin::PluginRequest;
use super::values::Values;
use crate::call::Call;
use crate::error::Error;
use crate::kernel::Kernel;
use crate::outbound::{CaFile, OutboundRequest};
use crate::system;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::Duration;
use strongroom_crypto::hash::HashAlgorithm;
use strongroom_crypto::mac::hmac;
use strongroom_crypto::token::{encode_base64, random_base62};
use strongroom_secret::{SecretBytes, SecretString};

/// An answer may be this long.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Of what a peer says of a failure, so much is kept.
const SAID_CHARACTERS_MAX: usize = 300;

/// Something to be done.
pub(super) struct Errand {
    action: Action,
    timeout: Duration,
}

enum Action {
    Nothing,
    Make {
        recipe: Recipe,
        field: Option<String>,
    },
    Account {
        accounts: Accounts,
        username: String,
        password: SecretString,
        does: Does,
    },
    Webhook(Webhook),
    Command {
        name: String,
        line: SecretBytes,
        secrets: Values,
    },
    /// Each with its position among the plan's notices.
    Tell(Vec<(usize, Telling)>),
}

enum Does {
    Apply,
    Verify,
}

enum Telling {
    Webhook(Webhook),
    File {
        path: String,
        text: String,
    },
    Database {
        accounts: Accounts,
        channel: String,
        text: String,
    },
    /// What is needed for it is not there.
    Impossible(String),
}

pub(crate) struct Webhook {
    pub target: WebhookTarget,
    pub key: SecretBytes,
    /// The same for every attempt, so that the receiver knows what it has had.
    pub id: String,
    pub body: SecretBytes,
}

/// What was done.
#[derive(Default)]
pub(super) struct Done {
    pub values: Option<Values>,
    pub told: Vec<(usize, Result<(), EffectError>)>,
}

/// The line that a command gets, and the body of a webhook.
#[derive(Serialize)]
struct Message<'m> {
    version: u32,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    step: &'m str,
    id: &'m str,
    secret: Address<'m>,
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<&'m Values>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<&'m Values>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retired: Option<&'m Values>,
    /// Of a notice.
    #[serde(skip_serializing_if = "Option::is_none")]
    new_version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
}

#[derive(Serialize, Clone, Copy)]
struct Address<'m> {
    namespace: &'m str,
    path: &'m str,
    field: Option<&'m str>,
}

/// What a command answers.
#[derive(Deserialize)]
struct Answer {
    ok: bool,
    value: Option<String>,
    values: Option<Values>,
    error: Option<String>,
    #[serde(default)]
    retry: bool,
}

/// A secret under rotation, for errands about it.
pub(super) struct About<'a> {
    pub place: &'a Place,
    pub plan: &'a Plan,
    /// The rotation's.
    pub id: &'a str,
}

impl About<'_> {
    pub(super) fn nothing(&self) -> Errand {
        self.errand(Action::Nothing)
    }

    pub(super) fn generation(&self, call: &mut Call<'_>, current: &Values) -> Result<Errand, Error> {
        let policy = match &self.plan.generate {
            Generator::Password { policy: Some(name) } => Some(system::password_policy_text(call, name)?),
            _ => None,
        };
        let action = match (&self.plan.generate, Recipe::of(&self.plan.generate, policy.as_deref())?) {
            (_, Some(recipe)) => Action::Make { recipe, field: self.plan.field.clone() },
            (Generator::Command { name }, None) => {
                self.command(call, name, "generate", self.id, [Some(current), None, None])?
            }
            (_, None) => Action::Nothing,
        };
        Ok(self.errand(action))
    }

    /// Makes `pending` valid where the plan says. `id` tells a restoration from the application.
    pub(super) fn application(
        &self,
        call: &mut Call<'_>,
        current: &Values,
        pending: &Values,
        id: &str,
    ) -> Result<Errand, Error> {
        self.at(call, &self.plan.apply, Does::Apply, id, [Some(current), Some(pending), None])
    }

    pub(super) fn verification(
        &self,
        call: &mut Call<'_>,
        current: &Values,
        pending: &Values,
        id: &str,
    ) -> Result<Errand, Error> {
        self.at(call, &self.plan.verify, Does::Verify, id, [Some(current), Some(pending), None])
    }

    /// Ends what a version in its grace was good for.
    pub(super) fn retirement(&self, call: &mut Call<'_>, retired: &Values) -> Result<Errand, Error> {
        let payload = self.place.read(call)?.payload;
        let names: Vec<&str> = retired.names().collect();
        let current =
            payload.as_ref().map(|payload| Values::of_payload(payload, Some(&names))).transpose()?;
        let current = current.unwrap_or_default();
        let parts = [Some(&current), None, Some(retired)];
        let action = match &self.plan.apply {
            Target::Command { name } => self.command(call, name, "retire", self.id, parts)?,
            Target::Webhook(target) => self.webhook(call, target, "retire", self.id, parts)?,
            Target::Database(target) if target.accounts.len() == 2 => {
                let account =
                    |values: &Values| values.get(&target.username_field).map(|name| name.expose().to_owned());
                match account(retired) {
                    // The account that was replaced gets a password that nobody knows.
                    Some(username) if account(&current).as_ref() != Some(&username) => Action::Account {
                        accounts: open_accounts(call, &target.mount, &target.connection)?,
                        username,
                        password: random_base62(call.entropy(), 48),
                        does: Does::Apply,
                    },
                    _ => Action::Nothing,
                }
            }
            Target::Database(_) | Target::None => Action::Nothing,
        };
        Ok(self.errand(action))
    }

    /// Tells those who were not told yet.
    pub(super) fn notification(
        &self,
        call: &mut Call<'_>,
        told: &[bool],
        new_version: u64,
    ) -> Result<Errand, Error> {
        let path = self.place.shown(call);
        let time = call.now.rfc3339();
        let message = Message {
            kind: Some("rotation.promoted".to_owned()),
            new_version: Some(new_version),
            time: Some(time),
            ..self.message(call, &path, "notify", self.id, [None; 3])
        };
        let text =
            serde_json::to_string(&message).map_err(|_| Error::internal("a notice cannot be written"))?;
        let mut telling = Vec::new();
        let waiting = self.plan.notify.iter().enumerate();
        for (position, notice) in waiting.filter(|(position, _)| told.get(*position) != Some(&true)) {
            let one = match notice {
                Notice::Webhook(target) => Telling::Webhook(Webhook {
                    target: target.clone(),
                    key: self.webhook_key()?,
                    id: format!("{}.notify.{position}", self.id),
                    body: SecretBytes::new(text.clone().into_bytes()),
                }),
                Notice::File { path } => Telling::File { path: path.clone(), text: format!("{text}\n") },
                Notice::Database { mount, connection, channel } => {
                    match open_accounts(call, mount, connection) {
                        Ok(accounts) => {
                            Telling::Database { accounts, channel: channel.clone(), text: text.clone() }
                        }
                        Err(error) => Telling::Impossible(error.messages.join("; ")),
                    }
                }
            };
            telling.push((position, one));
        }
        Ok(self.errand(Action::Tell(telling)))
    }

    fn errand(&self, action: Action) -> Errand {
        Errand { action, timeout: self.plan.timeout }
    }

    /// `parts`: current, pending and retired values.
    fn at(
        &self,
        call: &mut Call<'_>,
        target: &Target,
        does: Does,
        id: &str,
        parts: [Option<&Values>; 3],
    ) -> Result<Errand, Error> {
        let step = match does {
            Does::Apply => "apply",
            Does::Verify => "verify",
        };
        let action = match target {
            Target::None => Action::Nothing,
            Target::Command { name } => self.command(call, name, step, id, parts)?,
            Target::Webhook(target) => self.webhook(call, target, step, id, parts)?,
            Target::Database(target) => {
                let pending = parts.get(1).copied().flatten();
                let password = pending.and_then(|values| values.presented(self.plan.field.as_deref()));
                let password = password.ok_or_else(|| {
                    Error::invalid(
                        "an account's password is one field of the secret: the plan has to name it",
                    )
                })?;
                Action::Account {
                    username: self.username(call, target, pending)?,
                    password: password.duplicate(),
                    accounts: open_accounts(call, &target.mount, &target.connection)?,
                    does,
                }
            }
        };
        Ok(self.errand(action))
    }

    /// The account that a target is about.
    fn username(
        &self,
        call: &mut Call<'_>,
        target: &AccountTarget,
        values: Option<&Values>,
    ) -> Result<String, Error> {
        let field = target.username_field.as_str();
        if let Some(username) = &target.username {
            return Ok(username.clone());
        }
        if let Some(username) = values.and_then(|values| values.get(field)) {
            return Ok(username.expose().to_owned());
        }
        let payload = self.place.read(call)?.payload;
        let found =
            payload.as_ref().map(|payload| Values::of_payload(payload, Some(&[field]))).transpose()?;
        let username =
            found.as_ref().and_then(|values| values.get(field)).map(|name| name.expose().to_owned());
        username.ok_or_else(|| {
            Error::invalid(format!(
                "the secret has no {field:?}: the plan or the secret has to name the account"
            ))
        })
    }

    fn message<'m>(
        &'m self,
        call: &'m Call<'_>,
        path: &'m str,
        step: &'m str,
        id: &'m str,
        [current, pending, retired]: [Option<&'m Values>; 3],
    ) -> Message<'m> {
        let namespace = call.namespace.path().as_str();
        let secret = Address { namespace, path, field: self.plan.field.as_deref() };
        Message {
            version: 1,
            kind: None,
            step,
            id,
            secret,
            current,
            pending,
            retired,
            new_version: None,
            time: None,
        }
    }

    fn command(
        &self,
        call: &Call<'_>,
        name: &str,
        step: &str,
        id: &str,
        parts: [Option<&Values>; 3],
    ) -> Result<Action, Error> {
        let path = self.place.shown(call);
        let mut line = to_json(&self.message(call, &path, step, id, parts))?;
        line.push(b'\n');
        Ok(Action::Command { name: name.to_owned(), line: SecretBytes::new(line), secrets: all_of(parts) })
    }

    fn webhook(
        &self,
        call: &Call<'_>,
        target: &WebhookTarget,
        step: &str,
        id: &str,
        parts: [Option<&Values>; 3],
    ) -> Result<Action, Error> {
        let path = self.place.shown(call);
        let kind = Some(format!("rotation.{step}"));
        let body = to_json(&Message { kind, ..self.message(call, &path, step, id, parts) })?;
        Ok(Action::Webhook(Webhook {
            target: target.clone(),
            key: self.webhook_key()?,
            id: format!("{id}.{step}"),
            body: SecretBytes::new(body),
        }))
    }

    fn webhook_key(&self) -> Result<SecretBytes, Error> {
        let key = self.plan.webhook_key.as_ref().map(|key| key.0.duplicate());
        key.ok_or_else(|| Error::internal("a plan with webhooks has no key"))
    }
}

fn to_json(message: &Message<'_>) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(message).map_err(|_| Error::internal("a message to a plugin cannot be written"))
}

fn all_of(parts: [Option<&Values>; 3]) -> Values {
    let mut all = Values::default();
    for (number, value) in parts.into_iter().flatten().flat_map(Values::texts).enumerate() {
        all.insert(&number.to_string(), value.duplicate());
    }
    all
}

/// The accounts behind a connection of a mount of the call's namespace.
pub(super) fn open_accounts(call: &mut Call<'_>, mount: &str, connection: &str) -> Result<Accounts, Error> {
    let found = call.namespace.mount_of(mount).filter(|found| found.path() == mount).cloned();
    let found = found.ok_or_else(|| Error::invalid(format!("there is no mount {mount}")))?;
    let functions = found
        .backend
        .account
        .ok_or_else(|| Error::invalid(format!("{mount} has no accounts that a rotation could change")))?;
    call.at_mount(found.namespace, found.record.id, |call| (functions.open)(call, connection))
        .unwrap_or_else(|| Err(Error::invalid(format!("there is no mount {mount}"))))
}

impl Errand {
    /// Whether there is anything to be done outside.
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self.action, Action::Nothing)
    }

    pub(super) fn perform(self, kernel: &Kernel) -> Result<Done, EffectError> {
        let timeout = self.timeout;
        match self.action {
            Action::Nothing => Ok(Done::default()),
            Action::Make { recipe, field } => {
                let made = recipe.make(field.as_deref(), kernel.entropy());
                let values = made.map_err(|error| {
                    EffectError::Unclear(error.detail.unwrap_or_else(|| error.messages.join("; ")))
                })?;
                Ok(Done { values: Some(values), ..Done::default() })
            }
            Action::Account { accounts, username, password, does } => {
                let account = Account { username: &username, password: &password };
                let done = match does {
                    Does::Apply => (accounts.apply)(&account, timeout),
                    Does::Verify => (accounts.verify)(&account, timeout),
                };
                done.map(|()| Done::default())
            }
            Action::Webhook(webhook) => webhook.send(kernel, timeout).map(|()| Done::default()),
            Action::Command { name, line, secrets } => run(kernel, &name, &line, &secrets, timeout),
            Action::Tell(telling) => {
                let tell = |(position, one): (usize, Telling)| (position, one.tell(kernel, timeout));
                Ok(Done { told: telling.into_iter().map(tell).collect(), ..Done::default() })
            }
        }
    }
}

impl Telling {
    fn tell(self, kernel: &Kernel, timeout: Duration) -> Result<(), EffectError> {
        match self {
            Self::Webhook(webhook) => webhook.send(kernel, timeout),
            Self::File { path, text } => (kernel.surroundings.notice_files)(&path, text.as_bytes())
                .map_err(|error| EffectError::Unclear(error.to_string())),
            Self::Database { accounts, channel, text } => (accounts.notify)(&channel, &text, timeout),
            Self::Impossible(why) => Err(EffectError::Unclear(why)),
        }
    }
}

impl Webhook {
    /// Signed as Standard Webhooks has it (<https://www.standardwebhooks.com>): HMAC-SHA256 of id, time and body.
    pub(crate) fn send(self, kernel: &Kernel, timeout: Duration) -> Result<(), EffectError> {
        let time = kernel.now().seconds().to_string();
        let mut signed = format!("{}.{time}.", self.id).into_bytes();
        signed.extend_from_slice(self.body.expose());
        let signed = SecretBytes::new(signed);
        let signature = encode_base64(&hmac(HashAlgorithm::Sha2_256, self.key.expose(), signed.expose()));
        let header = |name: &str, value: String| (name.to_owned(), SecretString::new(value));
        let headers = [
            header("content-type", "application/json".to_owned()),
            header("webhook-id", self.id),
            header("webhook-timestamp", time),
            header("webhook-signature", format!("v1,{signature}")),
        ];
        let answer = (kernel.outbound())(&OutboundRequest {
            method: "POST",
            url: &self.target.url,
            headers: &headers,
            body: self.body.expose(),
            timeout,
            ca_file: self.target.ca_file.as_deref().map(|path| CaFile::At(Path::new(path))),
            response_bytes_max: ANSWER_BYTES_MAX as u64,
        });
        match answer {
            Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
            Ok(answer) => {
                let text = format!("the webhook answered with status {}", answer.status);
                match answer.status {
                    408 | 425 | 429 | 500..=599 => Err(EffectError::Unclear(text)),
                    _ => Err(EffectError::Refused(text)),
                }
            }
            Err(error) => Err(EffectError::Unclear(format!("the webhook: {error}"))),
        }
    }
}

fn run(
    kernel: &Kernel,
    name: &str,
    line: &SecretBytes,
    secrets: &Values,
    timeout: Duration,
) -> Result<Done, EffectError> {
    let request = PluginRequest { name, input: line, timeout, output_bytes_max: ANSWER_BYTES_MAX };
    let printed = (kernel.surroundings.plugins)(&request)
        .map_err(|error| EffectError::Unclear(format!("the command {name}: {error}")))?;
    let answer: Answer = serde_json::from_slice(printed.expose()).map_err(|_| {
        EffectError::Unclear(format!("the command {name} answered with something that is no answer: one JSON object, {{\"ok\": true}}, is expected"))
    })?;
    if !answer.ok {
        let said = without(answer.error.as_deref().unwrap_or("no reason was given"), secrets);
        let text = format!("the command {name} says: {said}");
        return Err(if answer.retry { EffectError::Unclear(text) } else { EffectError::Refused(text) });
    }
    let values = match (answer.value, answer.values) {
        (Some(value), None) => Some(Values::one("", SecretString::new(value))),
        (None, values) => values,
        (Some(_), Some(_)) => {
            return Err(EffectError::Refused(format!(
                "the command {name} gave value and values: one is enough"
            )));
        }
    };
    Ok(Done { values, ..Done::default() })
}

/// A text of somebody else's, short, on one line, and without the values that it was told.
pub(super) fn without(text: &str, secrets: &Values) -> String {
    let mut text = text.to_owned();
    for secret in secrets.texts().filter(|secret| secret.expose().len() >= 4) {
        text = text.replace(secret.expose(), "[redacted]");
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID_CHARACTERS_MAX).collect()
}
