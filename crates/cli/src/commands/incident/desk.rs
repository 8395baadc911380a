//! Where incidents are kept: at the server, or as files in the project.

use super::PlaceArgs;
use crate::commands::project::manifest_path;
use crate::context::Context;
use crate::failure::{Doing, Failure, Kind};
use crate::system::{SystemClock, SystemEntropy};
use rustix::process::geteuid;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use strongroom_api::client::Client;
use strongroom_kernel::incident::{Act, By, Change, Facts, Incident, Refusal, is_id, new_id};
use strongroom_project::files::{self, FileError, Links};
use strongroom_scan::Statistics;
use strongroom_scan::git::{ObjectDirectories, Repository};
use strongroom_secret::{Clock, Timestamp};

/// An incident is bounded by itself; this is for what is none.
const FILE_BYTES_MAX: u64 = 8 << 20;
const FILES_MAX: usize = 10_000;
const FILE_VERSION: u32 = 1;

/// Who keeps incidents.
pub enum Desk {
    Server(Box<Client>),
    Folder(Folder),
}

pub struct Folder {
    /// `.strongroom/incidents` of the project.
    path: PathBuf,
    /// Who changes them.
    user: String,
}

/// What is in a file.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    incident: Incident,
}

impl Desk {
    /// Where a new one goes: to the server, if there is one to speak of and a token for it.
    pub fn of(context: &Context, place: &PlaceArgs) -> Result<Self, Failure> {
        match server(context, place)? {
            Some(client) => Ok(Self::Server(Box::new(client))),
            None => Ok(Self::Folder(Folder::of(context)?)),
        }
    }

    /// The incident that an id, or its beginning, names: here, or at the server.
    pub fn find(context: &Context, place: &PlaceArgs, id: &str) -> Result<(Self, Incident), Failure> {
        let folder = Folder::of(context)?;
        let mut local = folder.summaries()?;
        local.retain(|incident| incident.id.starts_with(id));
        let client = server(context, place)?;
        let mut remote = match &client {
            Some(client) if local.is_empty() => ids(client)?,
            _ => Vec::new(),
        };
        remote.retain(|known| known.starts_with(id));
        match (local.len(), remote.as_slice(), client) {
            (1, ..) => local.pop().map(|incident| (Self::Folder(folder), incident)),
            (0, [only], Some(client)) => {
                let incident = read(&client, only)?;
                Some((Self::Server(Box::new(client)), incident))
            }
            (0, ..) if remote.is_empty() => None,
            (count, ..) => {
                return Err(Failure::usage(format!(
                    "{id:?} is the beginning of {} incidents: write more of it",
                    count.max(remote.len())
                )));
            }
        }
        .ok_or_else(|| {
            Failure::missing(format!("there is no incident {id:?}"))
                .looked(
                    Folder::place(context)
                        .map_or_else(|_| "no folder".to_owned(), |at| at.display().to_string()),
                )
                .hint("strongroom incident list shows all")
        })
    }

    /// All of them, the newest first.
    pub fn all(context: &Context, place: &PlaceArgs) -> Result<Vec<(&'static str, Incident)>, Failure> {
        let local = Folder::of(context)?.summaries()?;
        let mut all: Vec<(&'static str, Incident)> =
            local.into_iter().map(|incident| ("project", incident)).collect();
        if let Some(client) = server(context, place)? {
            for id in ids(&client)? {
                all.push(("server", read(&client, &id)?));
            }
        }
        all.sort_by(|(_, a), (_, b)| (b.opened, &b.id).cmp(&(a.opened, &a.id)));
        Ok(all)
    }

    pub fn client(&self) -> Option<&Client> {
        match self {
            Self::Server(client) => Some(client),
            Self::Folder(_) => None,
        }
    }

    pub fn open(&self, title: &str, facts: Facts) -> Result<Incident, Failure> {
        match self {
            Self::Server(client) => {
                let body = json!({ "title": title, "facts": facts });
                let made =
                    client.write("sys/incidents", &body).while_doing(|| "opening an incident".to_owned())?;
                incident_of(made.and_then(|made| made.data))
            }
            Self::Folder(folder) => folder.open(title, facts),
        }
    }

    /// Changes an incident as it was seen.
    pub fn change(&self, seen: &Incident, change: Change) -> Result<Incident, Failure> {
        match self {
            Self::Server(client) => {
                let (path, body) = request(seen, change);
                let changed = client.write(&path, &body).while_doing(|| format!("changing {}", seen.id))?;
                incident_of(changed.and_then(|changed| changed.data))
            }
            Self::Folder(folder) => folder.change(seen, change),
        }
    }

    /// The incident as it is now.
    pub fn again(&self, incident: &Incident) -> Result<Incident, Failure> {
        match self {
            Self::Server(client) => read(client, &incident.id),
            Self::Folder(folder) => folder.read(&folder.file(&incident.id)),
        }
    }
}

/// The server, if one was named or somebody is logged in.
fn server(context: &Context, place: &PlaceArgs) -> Result<Option<Client>, Failure> {
    if place.local || context.project().offline || context.token()?.is_none() {
        return Ok(None);
    }
    context.client().map(Some)
}

fn ids(client: &Client) -> Result<Vec<String>, Failure> {
    let answer = client.read("sys/incidents", &[]).while_doing(|| "listing incidents".to_owned())?;
    Ok(answer.map(|answer| answer.keys().into_iter().map(str::to_owned).collect()).unwrap_or_default())
}

fn read(client: &Client, id: &str) -> Result<Incident, Failure> {
    let answer = client.read(&format!("sys/incidents/{id}"), &[]).while_doing(|| format!("reading {id}"))?;
    incident_of(answer.and_then(|answer| answer.data))
}

fn incident_of(data: Option<Map<String, Value>>) -> Result<Incident, Failure> {
    serde_json::from_value(Value::Object(data.unwrap_or_default()))
        .map_err(|_| Failure::other("the server's answer is no incident: is it of another version?"))
}

/// A change as the server takes it.
fn request(seen: &Incident, change: Change) -> (String, Value) {
    let path = |what: &str| format!("sys/incidents/{}/{what}", seen.id);
    let revision = seen.revision;
    match change {
        Change::Step { step, act } => {
            let mut body = json!({ "revision": revision });
            let fields = match act {
                Act::Begin { take_over } => json!({ "act": "begin", "take_over": take_over }),
                Act::Progress { evidence } => json!({ "act": "progress", "evidence": evidence }),
                Act::Done { evidence } => json!({ "act": "done", "evidence": evidence }),
                Act::Skip { reason } => json!({ "act": "skip", "reason": reason }),
                Act::Fail { reason } => json!({ "act": "fail", "reason": reason }),
                Act::Reopen { reason } => json!({ "act": "reopen", "reason": reason }),
            };
            if let (Some(body), Value::Object(fields)) = (body.as_object_mut(), fields) {
                body.extend(fields);
            }
            (path(&format!("step/{}", step.as_str())), body)
        }
        Change::Learn { facts } => (path("facts"), json!({ "facts": facts, "revision": revision })),
        Change::Note { text } => (path("note"), json!({ "text": text, "revision": revision })),
        Change::Close { note, force } => {
            (path("close"), json!({ "note": note, "force": force, "revision": revision }))
        }
        Change::Reopen { reason } => (path("reopen"), json!({ "reason": reason, "revision": revision })),
    }
}

impl Folder {
    /// Beside the manifest, else at the root of the repository, else below the user's own state.
    pub fn place(context: &Context) -> Result<PathBuf, Failure> {
        if let Ok(manifest) = manifest_path(context) {
            let folder = manifest.parent().filter(|folder| !folder.as_os_str().is_empty());
            return Ok(folder.unwrap_or(Path::new(".")).join(".strongroom/incidents"));
        }
        let repository =
            Repository::discover(Path::new("."), &ObjectDirectories::default(), &mut Statistics::default());
        if let Some(root) = repository.ok().and_then(|repository| repository.work_tree) {
            return Ok(root.join(".strongroom/incidents"));
        }
        let state = context.environment.variable("XDG_STATE_HOME").map(|path| PathBuf::from(path.expose()));
        let state = state.filter(|path| path.is_absolute());
        let state = state.or_else(|| context.environment.home().map(|home| home.join(".local/state")));
        let state = state.ok_or_else(|| {
            Failure::missing("there is no folder to keep incidents in")
                .looked("a manifest, a repository, XDG_STATE_HOME, HOME")
        })?;
        Ok(state.join("strongroom/incidents"))
    }

    fn of(context: &Context) -> Result<Self, Failure> {
        let user = context.environment.variable("USER").map(|user| user.expose().to_owned());
        let user = user.filter(|user| !user.is_empty());
        let user = user.unwrap_or_else(|| format!("uid {}", geteuid().as_raw()));
        Ok(Self { path: Self::place(context)?, user })
    }

    fn file(&self, id: &str) -> PathBuf {
        self.path.join(format!("{id}.json"))
    }

    fn summaries(&self) -> Result<Vec<Incident>, Failure> {
        let entries = match std::fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(Failure::other(format!("cannot read {}: {error}", self.path.display())));
            }
        };
        let mut found = Vec::new();
        for entry in entries.flatten().take(FILES_MAX) {
            let path = entry.path();
            let is_json = path.extension().is_some_and(|extension| extension == "json");
            if is_json && path.file_stem().and_then(|stem| stem.to_str()).is_some_and(is_id) {
                found.push(self.read(&path)?);
            }
        }
        found.sort_by(|a, b| (b.opened, &b.id).cmp(&(a.opened, &a.id)));
        Ok(found)
    }

    fn read(&self, path: &Path) -> Result<Incident, Failure> {
        let bytes = files::read(path, FILE_BYTES_MAX).map_err(|error| unusable(path, &error))?;
        parse(path, bytes.expose())
    }

    fn open(&self, title: &str, facts: Facts) -> Result<Incident, Failure> {
        make_folder(&self.path)?;
        let now = now();
        let id = new_id(&SystemEntropy, now);
        let incident = Incident::open(id, title, facts, By { name: &self.user, at: now }).map_err(refused)?;
        let path = self.file(&incident.id);
        let file =
            files::change(&path, Links::Refuse, FILE_BYTES_MAX).map_err(|error| unusable(&path, &error))?;
        file.replace(&to_text(&incident)?).map_err(|error| unusable(&path, &error))?;
        Ok(incident)
    }

    fn change(&self, seen: &Incident, change: Change) -> Result<Incident, Failure> {
        let by = By { name: &self.user, at: now() };
        let path = self.file(&seen.id);
        // The folder is locked from reading to replacing: of two people, one is told to look again.
        let file =
            files::change(&path, Links::Refuse, FILE_BYTES_MAX).map_err(|error| unusable(&path, &error))?;
        let mut incident = match file.content() {
            Some(content) => parse(&path, content.expose())?,
            None => return Err(Failure::missing(format!("there is no incident {}", seen.id))),
        };
        incident.apply(change, by, seen.revision).map_err(refused)?;
        file.replace(&to_text(&incident)?).map_err(|error| unusable(&path, &error))?;
        Ok(incident)
    }
}

/// Makes the folder of incidents: for its owner alone, and not to be committed.
pub fn make_folder(path: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::other(format!("cannot make {}: {error}", path.display()));
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    let Some(parent) = path.parent() else { return Ok(()) };
    match File::create_new(parent.join(".gitignore")) {
        Ok(mut file) => file.write_all(b"*\n").map_err(failed),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

fn now() -> Timestamp {
    SystemClock::new().now()
}

fn to_text(incident: &Incident) -> Result<Vec<u8>, Failure> {
    let stored = json!({ "version": FILE_VERSION, "incident": incident });
    let text = serde_json::to_string_pretty(&stored).map_err(|error| Failure::other(error.to_string()))?;
    Ok((text + "\n").into_bytes())
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Incident, Failure> {
    let damaged = |what: String| Failure::new(Kind::Integrity, format!("{}: {what}", path.display()));
    let stored: Stored = serde_json::from_slice(bytes)
        .map_err(|error| damaged(format!("no incident: line {} column {}", error.line(), error.column())))?;
    match stored.version {
        FILE_VERSION => Ok(stored.incident),
        version => {
            Err(damaged(format!("version {version} is of a newer program; this one knows {FILE_VERSION}")))
        }
    }
}

fn unusable(path: &Path, error: &FileError) -> Failure {
    let failure = Failure::other(error.to_string());
    failure.doing(format!("keeping the incident in {}", path.display()))
}

fn refused(refusal: Refusal) -> Failure {
    let kind = if matches!(refusal, Refusal::Invalid(_)) { Kind::Usage } else { Kind::Other };
    Failure::new(kind, refusal.to_string())
}
