//! The commands that work with a project's manifest. `Session` is what they share: the manifest, the environment, and
//! the providers behind it.

pub mod check;
pub mod diff;
pub mod doctor;
pub mod edit;
pub mod explain;
pub mod export;
pub mod generate;
pub mod get;
pub mod guard;
pub mod hook;
pub mod import;
pub mod init;
pub mod list;
pub mod lock;
pub mod run;
pub mod set;
pub mod template;

use crate::context::Context;
use crate::environment::Environment as Process;
use crate::failure::{Failure, Kind};
use crate::system::{SystemClock, SystemEntropy};
use crate::terminal;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use strongroom_project::manifest::{Environment, FILE_NAME, Manifest, Problem, suggestion};
use strongroom_project::provider::Freshness;
use strongroom_project::resolve::{Depth, Opened, Request, Resolution, Resolved, Selection, resolve};
use strongroom_project::sops::{Conversation, Keys};
use strongroom_project::trust::{TrustStore, reaches};
use strongroom_project::{Surroundings, Variables};
use strongroom_secret::{Clock, Timestamp, format_duration};

/// A project on its way through one command.
pub struct Session<'a> {
    pub context: &'a Context,
    pub manifest: Manifest,
    pub environment: Environment,
    pub surroundings: Arc<Surroundings>,
    /// For SOPS files, in every environment: each data key is unwrapped once.
    keys: Arc<Keys>,
    /// The providers whose values were said to come from the cache.
    told_of: RefCell<BTreeSet<String>>,
}

impl<'a> Session<'a> {
    /// Finds and reads the manifest, and picks the environment.
    pub fn open(context: &'a Context) -> Result<Self, Failure> {
        Self::open_in(context, context.project().environment)
    }

    /// As `open`, in an environment that is named otherwise than by `-E`.
    pub fn open_in(context: &'a Context, environment: Option<&str>) -> Result<Self, Failure> {
        let manifest = Manifest::load(&manifest_path(context)?)?;
        let environment = manifest.environment(environment)?.clone();
        let surroundings = surroundings(context, manifest.folder.clone());
        let conversation = match context.never_asks() {
            true => Conversation::none(),
            false => terminal::conversation(),
        };
        let keys = Arc::new(Keys::of(&surroundings, conversation));
        Ok(Self { context, manifest, environment, surroundings, keys, told_of: RefCell::default() })
    }

    pub fn now(&self) -> Timestamp {
        self.surroundings.clock.now()
    }

    /// The same project in another environment.
    pub fn in_environment(&self, name: &str) -> Result<Environment, Failure> {
        Ok(self.manifest.environment(Some(name))?.clone())
    }

    /// The providers of an environment, once it is clear that the manifest may use them.
    pub fn providers_of(&self, environment: &Environment) -> Result<Opened, Failure> {
        let opened = self.opened(environment)?;
        self.insist_on_trust(environment, &opened)?;
        Ok(opened)
    }

    /// The providers of an environment, of which nothing may be asked yet.
    pub fn opened(&self, environment: &Environment) -> Result<Opened, Failure> {
        Ok(Opened::with_keys(&self.manifest, environment, &self.surroundings, &self.keys)?)
    }

    pub fn providers(&self) -> Result<Opened, Failure> {
        self.providers_of(&self.environment)
    }

    /// What to ask of providers, as the flags say.
    pub fn request<'r>(&self, selection: Selection<'r>, depth: Depth) -> Request<'r> {
        Request { selection, depth, pins: None, now: self.now() }
    }

    /// Asks the providers of an environment, and says which of them did not answer themselves.
    pub fn resolve_with(
        &self,
        environment: &Environment,
        opened: &Opened,
        request: &Request<'_>,
    ) -> Resolution {
        let resolution = resolve(&self.manifest, environment, opened, request);
        self.tell_ages(opened, &resolution);
        resolution
    }

    /// Once for each provider whose values are older than a person would think.
    fn tell_ages(&self, opened: &Opened, resolution: &Resolution) {
        let is_offline = self.surroundings.is_offline();
        let mut ages: BTreeMap<&str, Duration> = BTreeMap::new();
        for candidate in resolution.secrets.values().filter_map(Resolved::candidate) {
            let age = match candidate.found.freshness {
                Freshness::Stale { age } => age,
                Freshness::Cached { age } if is_offline => age,
                Freshness::Fresh | Freshness::Cached { .. } => continue,
            };
            let oldest = ages.entry(&candidate.provider).or_default();
            *oldest = age.max(*oldest);
        }
        let why = if is_offline { "we are offline" } else { "it does not answer" };
        for (name, age) in ages {
            if self.told_of.borrow_mut().insert(name.to_owned()) {
                let place = opened.provider(name).map(|provider| provider.place()).unwrap_or_default();
                let age = format_duration(age);
                self.note(&format!("{name} ({place}): values from the cache, up to {age} old: {why}"));
            }
        }
    }

    /// Resolves, and says what is odd. Errors are in the resolution.
    pub fn resolve(&self, opened: &Opened, selection: Selection<'_>, depth: Depth) -> Resolution {
        self.resolve_with(&self.environment, opened, &self.request(selection, depth))
    }

    /// Resolves, and fails with all that is wrong.
    pub fn values(&self, selection: Selection<'_>) -> Result<Resolution, Failure> {
        self.values_of(&self.providers()?, selection)
    }

    /// As `values`, of providers that go on being used: leases end with the login that they were given to.
    pub fn values_of(&self, opened: &Opened, selection: Selection<'_>) -> Result<Resolution, Failure> {
        if self.context.project().locked {
            return lock::locked(self, opened, selection);
        }
        let resolution = self.resolve(opened, selection, Depth::First);
        self.complete(resolution)
    }

    /// Ends what was lent to a command that has only looked.
    pub fn take_back(&self, opened: &Opened, environment: &Environment) {
        for (name, provider) in opened.in_order(environment) {
            if let Err(error) = provider.take_back() {
                self.note(&format!("warning: what {name} has lent was not ended: {error}"));
            }
        }
    }

    /// The resolution, if it has no errors.
    pub fn complete(&self, resolution: Resolution) -> Result<Resolution, Failure> {
        if resolution.has_errors() {
            return Err(Failure::of_problems(&resolution.problems));
        }
        resolution.problems.iter().for_each(|problem| self.note(problem.render().trim_end()));
        Ok(resolution)
    }

    /// A secret that the manifest declares, or the failure that says so.
    pub fn declared(&self, name: &str) -> Result<&strongroom_project::manifest::Secret, Failure> {
        self.manifest.secret(name).ok_or_else(|| {
            let known = self.manifest.secrets.iter().map(|secret| secret.name.as_str());
            let failure =
                Failure::missing(format!("{} declares no secret {name}", self.manifest.path.display()));
            match suggestion(name, known) {
                Some(hint) => failure.hint(hint),
                None => failure.hint(format!("strongroom set {name} --declare adds it")),
            }
        })
    }

    /// Talk, unless it is not wanted.
    pub fn note(&self, text: &str) {
        if !self.context.project().quiet {
            self.context.output.note(text);
        }
    }

    /// A protected environment is not changed by accident.
    pub fn insist_on_change(&self, environment: &Environment) -> Result<(), Failure> {
        if !environment.protected || self.context.project().yes {
            return Ok(());
        }
        let name = &environment.name;
        if self.context.may_ask() && ask(&format!("The environment {name:?} is protected. Change it?"))? {
            return Ok(());
        }
        Err(Failure::usage(format!("the environment {name:?} is protected: nothing was changed"))
            .hint("--yes changes it all the same"))
    }

    pub fn trust_store(&self) -> Option<TrustStore> {
        trust_store(&self.surroundings)
    }

    fn insist_on_trust(&self, environment: &Environment, opened: &Opened) -> Result<(), Failure> {
        let wanted = reaches(environment, opened);
        if wanted.is_empty() || self.context.project().yes {
            return Ok(());
        }
        let store = self.trust_store();
        if let Some(store) = &store
            && store.trusts(&self.manifest, &wanted)?
        {
            return Ok(());
        }
        let path = self.manifest.path.display();
        let list: String = wanted.iter().map(|reach| format!("\n  {reach}")).collect();
        if self.context.may_ask()
            && ask(&format!("{path} is new here. It wants to:{list}\nMay it, from now on?"))?
        {
            return match store {
                Some(store) => Ok(store.trust(&self.manifest, &wanted)?),
                None => Ok(()),
            };
        }
        let failure = Failure::new(Kind::Denied, format!("{path} is not trusted yet. It wants to:{list}"));
        Err(failure.hint("`strongroom trust` allows it from now on; --yes (STRONGROOM_YES=1) for this once"))
    }
}

/// The file that `--config` names, or the manifest here or above.
pub fn manifest_path(context: &Context) -> Result<PathBuf, Failure> {
    if let Some(path) = context.project().manifest {
        return Ok(path);
    }
    let here = std::env::current_dir().map_err(|error| Failure::other(format!("where are we? {error}")))?;
    let found = Manifest::find(&here).ok_or_else(|| {
        Failure::missing(format!("there is no {FILE_NAME}"))
            .looked(format!("{} and the folders above it", here.display()))
            .hint("`strongroom init` makes one from .env files and from the code")
    })?;
    // Messages name the file as the person would.
    Ok(found.strip_prefix(&here).map(PathBuf::from).unwrap_or(found))
}

pub fn surroundings(context: &Context, folder: PathBuf) -> Arc<Surroundings> {
    let variables = own_variables();
    let variables = match context.project().offline {
        true => variables.with(Surroundings::OFFLINE, "1"),
        false => variables,
    };
    Arc::new(Surroundings {
        variables,
        home: context.environment.home().cloned(),
        folder,
        clock: Arc::new(SystemClock::new()),
        entropy: Arc::new(SystemEntropy),
    })
}

/// The process environment without what the shell hook has put there: those values have their own source.
fn own_variables() -> Variables {
    let all = Process::variables();
    match all.text(hook::STATE).map(hook::State::of) {
        None => all,
        Some(state) => all.without(&state.names),
    }
}

/// `$XDG_CONFIG_HOME/strongroom/trust.json`, else below `~/.config`.
fn trust_store(surroundings: &Surroundings) -> Option<TrustStore> {
    let xdg =
        surroundings.variables.text("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = xdg.or_else(|| surroundings.in_home(".config"))?;
    Some(TrustStore::new(folder.join("strongroom/trust.json")))
}

/// A question to the person at the terminal. Anything but yes is no.
pub fn ask(question: &str) -> Result<bool, Failure> {
    let failed = |error| Failure::other(format!("cannot ask: {error}"));
    let mut stderr = std::io::stderr();
    write!(stderr, "{question} [y/N] ").and_then(|()| stderr.flush()).map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
}

/// What is wrong, as JSON.
pub fn problems_json(problems: &[Problem]) -> serde_json::Value {
    let one = |problem: &Problem| {
        let location = problem.location.as_ref();
        serde_json::json!({
            "code": problem.kind.code(),
            "severity": if problem.is_error() { "error" } else { "warning" },
            "message": problem.message,
            "file": location.map(|location| location.path.display().to_string()),
            "line": location.map(|location| location.line),
            "column": location.map(|location| location.column),
            "looked_at": problem.looked,
            "hint": problem.hint,
        })
    };
    problems.iter().map(one).collect()
}
