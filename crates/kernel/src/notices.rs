//! Notices: signed webhooks that people are told by. A notice is a row from the commit that made it until it was delivered or
//! given up, so a crash in between loses none; one may come twice, under the same id.

use crate::call::Call;
use crate::effect::Effect;
use crate::error::Error;
use crate::kernel::{Kernel, Open};
use crate::namespaces::{ROOT_NAMESPACE, kernel_space};
use crate::outbox::{Held, Lane};
use crate::rotation::{EffectError, Webhook, WebhookKey, WebhookTarget, webhook_key, webhook_target};
use crate::transaction::{Intent, Key, Record, Table, Tx};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use strongroom_secret::{SecretBytes, Timestamp};

const NOTICES: Table = Table(63);
const TIMEOUT: Duration = Duration::from_secs(30);
const BACKOFF_FIRST: Duration = Duration::from_secs(2);
const BACKOFF_MAX: Duration = Duration::from_secs(3600);
/// After this time nobody is told any more.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(7 * 24 * 3600);
/// Begun at once.
const BEGUN_MAX: usize = 64;
/// Of one peer at once.
const LANE_WIDTH: usize = 2;
const ATTEMPTS_MAX: u32 = 16;
const KEY_BYTES: usize = 32;

/// Who is told, and how that is signed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Recipient {
    pub target: WebhookTarget,
    key: WebhookKey,
}

/// What is told about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "kebab-case")]
pub(crate) enum Subject {
    Honey { namespace: u64, name: String },
    Incident { namespace: u64, id: String },
}

/// Something that somebody is to be told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Notice {
    /// The same in every attempt: who gets it twice knows.
    pub id: String,
    pub subject: Subject,
    recipient: Recipient,
    body: String,
    made: Timestamp,
    pub attempts: u32,
    not_before: Timestamp,
    pub error: String,
}

impl Record for Notice {}

/// What a kernel has in memory of notices.
pub(crate) struct Notices {
    /// Whether there may be any: a server looks once at its start, and then when some are made.
    may_wait: AtomicBool,
    pub(crate) delivered: AtomicU64,
    pub(crate) failed: AtomicU64,
}

impl Default for Notices {
    fn default() -> Self {
        Self { may_wait: AtomicBool::new(true), delivered: AtomicU64::new(0), failed: AtomicU64::new(0) }
    }
}

impl Notices {
    pub(crate) fn ask(&self) {
        self.may_wait.store(true, Relaxed);
    }
}

impl Recipient {
    /// What a request says: `webhook`, `ca_file`, `webhook_key`.
    pub(crate) fn of_fields(call: &Call<'_>) -> Result<Option<Self>, Error> {
        let fields = call.fields();
        let Some(url) = fields.text("webhook")?.filter(|url| !url.is_empty()) else { return Ok(None) };
        let target = webhook_target(url, fields.text("ca_file")?)?;
        let key = match webhook_key(fields)? {
            Some(key) => key,
            None => {
                let mut key = vec![0; KEY_BYTES];
                call.entropy().fill(&mut key);
                WebhookKey(SecretBytes::new(key))
            }
        };
        Ok(Some(Self { target, key }))
    }

    pub(crate) fn duplicate(&self) -> Self {
        Self { target: self.target.clone(), key: WebhookKey(self.key.0.duplicate()) }
    }

    /// As it is told once.
    pub(crate) fn key_text(&self) -> String {
        self.key.text()
    }
}

impl Notice {
    pub(crate) fn new(
        id: String,
        subject: Subject,
        recipient: Recipient,
        body: String,
        now: Timestamp,
    ) -> Self {
        Self { id, subject, recipient, body, made: now, attempts: 0, not_before: now, error: String::new() }
    }

    /// Where it goes, without what may be a credential.
    pub(crate) fn host(&self) -> &str {
        crate::incident::host_of(self.url())
    }

    pub(crate) fn url(&self) -> &str {
        self.recipient.target.url.as_str()
    }

    fn webhook(&self) -> Webhook {
        Webhook {
            target: self.recipient.target.clone(),
            key: self.recipient.key.0.duplicate(),
            id: self.id.clone(),
            body: SecretBytes::new(self.body.clone().into_bytes()),
        }
    }
}

fn table(tx: &Tx<'_>) -> Key {
    tx.table(kernel_space(ROOT_NAMESPACE), NOTICES)
}

fn key(tx: &Tx<'_>, id: &str) -> Key {
    tx.name_key(&table(tx), id)
}

/// Puts a notice among those to be sent, once this is committed.
pub(crate) fn put(tx: &mut Tx<'_>, notice: &Notice) -> Result<(), Error> {
    let key = key(tx, &notice.id);
    tx.put_record(&key, notice)?;
    tx.after_commit(Effect::Notices);
    Ok(())
}

/// Those that wait, about one subject.
pub(crate) fn waiting(tx: &mut Tx<'_>, subject: &Subject) -> Result<Vec<Notice>, Error> {
    let table = table(tx);
    let mut notices: Vec<Notice> = tx.records(&table)?;
    notices.retain(|notice| notice.subject == *subject);
    Ok(notices)
}

impl Kernel {
    /// Begins to send what is due. It waits for nobody.
    pub(crate) fn send_notices(self: &Arc<Self>) {
        if !self.notices.may_wait.load(Relaxed) {
            return;
        }
        let Ok(open) = self.opened() else { return };
        // Before the look: what is made meanwhile is seen by the next one.
        self.notices.may_wait.store(false, Relaxed);
        match self.begin_notices(&open) {
            Ok(false) => {}
            Ok(true) => self.notices.ask(),
            Err(error) => {
                self.notices.ask();
                if !self.is_sealed() {
                    tracing::warn!(%error, "notices cannot be sent now");
                }
            }
        }
    }

    /// Whether any are left for later.
    fn begin_notices(self: &Arc<Self>, open: &Open) -> Result<bool, Error> {
        let mut tx = self.begin(&open.keys, Intent::Read)?;
        let table = table(&tx);
        let notices: Vec<Notice> = tx.records(&table)?;
        drop(tx);
        let now = self.now();
        let is_any = !notices.is_empty();
        for notice in notices.into_iter().filter(|notice| notice.not_before <= now).take(BEGUN_MAX) {
            let Some(held) = self.outbox.hold(&format!("notice {}", notice.id)) else { continue };
            let lane = Lane { name: format!("notice {}", notice.host()), width: LANE_WIDTH };
            let kernel = self.clone();
            let sending = self.clone();
            let webhook = notice.webhook();
            self.outward.run_in_background(
                (0, lane),
                move || webhook.send(&sending, TIMEOUT),
                move |sent| kernel.told(&notice, held, sent),
            );
        }
        Ok(is_any)
    }

    fn told(self: &Arc<Self>, notice: &Notice, held: Held, sent: Result<(), EffectError>) {
        match &sent {
            Ok(()) => self.notices.delivered.fetch_add(1, Relaxed),
            Err(error) => {
                tracing::warn!(to = notice.host(), "a notice did not get through: {}", error.text());
                self.notices.failed.fetch_add(1, Relaxed)
            }
        };
        if let Err(error) = self.settle_notice(notice, &sent)
            && !self.is_sealed()
        {
            tracing::warn!(%error, "what became of a notice cannot be stored now: it is sent again");
        }
        drop(held);
    }

    fn settle_notice(self: &Arc<Self>, notice: &Notice, sent: &Result<(), EffectError>) -> Result<(), Error> {
        for _ in 0..ATTEMPTS_MAX {
            let open = self.opened()?;
            let mut tx = self.begin(&open.keys, Intent::Write)?;
            let key = key(&tx, &notice.id);
            let Some(mut row) = tx.record::<Notice>(&key)? else { return Ok(()) };
            let now = self.now();
            let failed = sent.as_ref().err().map(|error| error.text().to_owned());
            let is_over = failed.is_none() || now.since(row.made) > GIVEN_UP_AFTER;
            if is_over {
                tx.delete(&key)?;
            } else {
                row.attempts = row.attempts.saturating_add(1);
                let doubled = BACKOFF_FIRST.saturating_mul(2_u32.saturating_pow(row.attempts.min(16)));
                row.not_before = now.plus(doubled.min(BACKOFF_MAX));
                row.error = failed.clone().unwrap_or_default();
                tx.put_record(&key, &row)?;
            }
            match &row.subject {
                Subject::Honey { namespace, name } => {
                    crate::honey::note_told(&mut tx, *namespace, name, failed.as_deref(), now)?;
                }
                Subject::Incident { namespace, id } if is_over => {
                    crate::incident::note_told(
                        &mut tx,
                        *namespace,
                        id,
                        notice.url(),
                        failed.as_deref(),
                        now,
                    )?;
                }
                Subject::Incident { .. } => {}
            }
            if self.commit_change(tx)? {
                return Ok(());
            }
        }
        Err(strongroom_storage::CommitError::Conflict.into())
    }
}
