//! The step `notify`: webhooks, and the text of a mail.

use super::desk::Folder;
use super::evidence;
use super::report::words;
use super::run::{Outcome, Run};
use crate::failure::{Doing, Failure};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use strongroom_api::client::{TlsOptions, WebClient, WebRequest};
use strongroom_kernel::incident::{StepKind, webhook_name};
use strongroom_project::files::{self, Links};
use strongroom_secret::SecretString;

const TIMEOUT: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// So long the server is watched.
const WATCH_INTERVAL: Duration = Duration::from_millis(250);
const WATCHED_MAX: usize = 80;
const MAIL_BYTES_MAX: u64 = 1 << 20;

pub fn notify(run: &mut Run<'_>) -> Result<Outcome, Failure> {
    let mut failed = Vec::new();
    for url in run.args.webhook.clone() {
        let of = webhook_name(&url);
        let told = match run.client() {
            Some(_) => by_server(run, &url)?,
            // Of a run that broke off.
            None if is_told(run, &of) => Ok(()),
            None => match post(&url, &run.incident.message()) {
                Ok(()) => Ok(run.progress(StepKind::Notify, evidence(&of, "told"))?),
                Err(why) => Err(why),
            },
        };
        failed.extend(told.err().map(|why| format!("{of}: {why}")));
    }
    let path = mail(run)?;
    let text =
        format!("{}: send it to those who use the secret, and to who has to be told by law", path.display());
    run.progress(StepKind::Notify, evidence("text of a mail", &text))?;
    match failed.is_empty() {
        true => Ok(Outcome::Done(Vec::new())),
        false => Ok(Outcome::failed(failed.join("; "), "run this again when the webhook answers")),
    }
}

fn is_told(run: &Run<'_>, of: &str) -> bool {
    let step = run.incident.step(StepKind::Notify);
    step.is_some_and(|step| step.evidence.iter().any(|one| one.of == of))
}

/// By the server: it signs, and goes on trying until the webhook hears. What comes of that stands in the incident.
fn by_server(run: &mut Run<'_>, url: &str) -> Result<Result<(), String>, Failure> {
    let id = run.incident.id.clone();
    let Some(client) = run.client() else { return Ok(Err("there is no server".to_owned())) };
    let asked = client
        .write(&format!("sys/incidents/{id}/notify"), &json!({ "webhook": url }))
        .while_doing(|| "having the server tell a webhook".to_owned())?;
    let asked = asked.and_then(|asked| asked.data).unwrap_or_default();
    let text = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let of = text("of");
    if let Some(key) = asked.get("webhook_key").and_then(Value::as_str) {
        run.tell(&format!("  {of}: signed with {key} (told this once)"));
    }
    for _ in 0..WATCHED_MAX {
        run.incident = run.desk.again(&run.incident)?;
        if is_told(run, &of) {
            return Ok(Ok(()));
        }
        std::thread::sleep(WATCH_INTERVAL);
    }
    Ok(Err("it has not answered yet; the server goes on trying".to_owned()))
}

fn post(url: &str, message: &Value) -> Result<(), String> {
    let client = WebClient::new(&TlsOptions::default()).map_err(|error| error.to_string())?;
    let headers = [("content-type".to_owned(), SecretString::from("application/json"))];
    let body = message.to_string();
    let request = WebRequest {
        method: "POST",
        url,
        headers: &headers,
        body: body.as_bytes(),
        timeout: TIMEOUT,
        response_bytes_max: ANSWER_BYTES_MAX,
    };
    match client.send(&request) {
        Ok((status, _)) if (200..300).contains(&status) => Ok(()),
        Ok((status, _)) => Err(format!("it answered with status {status}")),
        Err(error) => Err(error.to_string()),
    }
}

fn mail(run: &Run<'_>) -> Result<PathBuf, Failure> {
    let folder = Folder::place(run.context)?;
    super::desk::make_folder(&folder)?;
    let path = folder.join(format!("{}.mail.txt", run.incident.id));
    let text = words::mail(&run.incident);
    files::change(&path, Links::Refuse, MAIL_BYTES_MAX)?.replace(text.as_bytes())?;
    Ok(path)
}
