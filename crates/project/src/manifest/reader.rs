//! From the merged tree to the types of the manifest: every name is resolved here, and all that is wrong is gathered.

mod secrets;

use super::files::into_table;
use super::place::{Place, Sources};
use super::problem::{Problem, ProblemKind, in_order, suggestion};
use super::tree::{Node, Table, Value};
use super::{DOTENV, Environment, Group, GroupRule, Guard, Manifest, PROCESS, ProviderDeclaration, Secret};
use crate::provider::{Kind, Setting, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub(super) fn read(
    path: &Path,
    whole: Option<Table>,
    sources: Sources,
    problems: Vec<Problem>,
) -> Result<Manifest, Vec<Problem>> {
    let whole = whole.unwrap_or_default();
    let mut reader = Reader { sources: &sources, problems };
    if sources.paths().next().is_some() {
        reader.version(&whole);
    }
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let providers = reader.providers(&whole);
    let environments = reader.environments(&whole, &providers);
    let mut secrets = reader.secrets(&whole, &environments, &providers);
    let scopes = reader.scopes(&whole, &mut secrets);
    let groups = reader.groups(&whole, &secrets);
    let by_name = secrets.iter().enumerate().map(|(index, secret)| (secret.name.clone(), index)).collect();
    let default_environment = reader.default_environment(&whole, &environments);
    let generated = section(&whole, "generate").flat_map(|table| &table.entries);
    let generated = generated.filter_map(|entry| Some((entry.name.clone(), folder.join(entry.node.text()?))));
    let generated = generated.collect();
    let name_of_folder = || folder.canonicalize().ok()?.file_name()?.to_str().map(str::to_owned);
    let project = whole.text("project").map(str::to_owned).or_else(name_of_folder);
    let problems = in_order(reader.problems);
    let (errors, warnings): (Vec<_>, Vec<_>) = problems.into_iter().partition(Problem::is_error);
    if !errors.is_empty() {
        return Err(errors.into_iter().chain(warnings).collect());
    }
    Ok(Manifest {
        path: path.to_owned(),
        folder,
        project: project.unwrap_or_else(|| "project".to_owned()),
        environments,
        providers,
        secrets,
        scopes,
        groups,
        generated,
        guard: guard(&whole),
        warnings,
        default_environment,
        by_name,
        sources,
    })
}

struct Reader<'a> {
    sources: &'a Sources,
    problems: Vec<Problem>,
}

/// The table of a section, if it is there and is one.
fn section<'t>(whole: &'t Table, name: &str) -> impl Iterator<Item = &'t Table> {
    whole.get(name).and_then(Node::table).into_iter()
}

fn guard(whole: &Table) -> Guard {
    let switch = |name| section(whole, "guard").next().and_then(|table| table.boolean(name));
    Guard {
        gitignore: switch("gitignore").unwrap_or(true),
        precommit: switch("precommit").unwrap_or(false),
        fingerprints: switch("fingerprints").unwrap_or(true),
    }
}

impl Reader<'_> {
    fn error(&mut self, place: Place, message: impl Into<String>, hint: Option<String>) {
        let problem = Problem::error(ProblemKind::Manifest, message);
        self.problems.push(problem.at(self.sources.location(place)).maybe_hint(hint));
    }

    fn warning(&mut self, place: Place, message: impl Into<String>, hint: &str) {
        let problem = Problem::warning(ProblemKind::Manifest, message);
        self.problems.push(problem.at(self.sources.location(place)).hint(hint));
    }

    fn version(&mut self, whole: &Table) {
        let start = Place::default();
        match whole.get("version") {
            None => {
                self.error(start, "the manifest has no version", Some("begin it with version = 1".to_owned()))
            }
            Some(Node { value: Value::Integer(1), .. }) => {}
            Some(Node { value: Value::Integer(_), place }) => {
                let hint = "this program reads version 1: a newer one may read this file".to_owned();
                self.error(*place, "the manifest has a version that is not known", Some(hint));
            }
            Some(_) => {}
        }
    }

    fn default_environment(
        &mut self,
        whole: &Table,
        environments: &BTreeMap<String, Environment>,
    ) -> Option<String> {
        let node = whole.get("default-env")?;
        let name = node.text()?;
        if !environments.contains_key(name) {
            let hint = suggestion(name, environments.keys().map(String::as_str));
            self.error(node.place, format!("default-env: there is no environment {name:?}"), hint);
        }
        Some(name.to_owned())
    }

    fn providers(&mut self, whole: &Table) -> BTreeMap<String, ProviderDeclaration> {
        let mut providers = BTreeMap::new();
        for entry in section(whole, "provider").flat_map(|table| &table.entries) {
            let Some(table) = entry.node.table() else { continue };
            let Some(kind) = table.text("type").and_then(Kind::named) else { continue };
            let mut settings: Settings = table
                .entries
                .iter()
                .filter(|entry| entry.name != "type")
                .filter_map(|entry| Some((entry.name.clone(), self.setting(&entry.node)?)))
                .collect();
            usual_settings(kind.name, &mut settings);
            let setting_places: BTreeMap<String, Place> =
                table.entries.iter().map(|entry| (entry.name.clone(), entry.place)).collect();
            for wrong in kind.check(&settings) {
                let place = wrong.setting.as_ref().and_then(|name| setting_places.get(name));
                let message = format!("provider.{}: {}", entry.name, wrong.message);
                self.error(*place.unwrap_or(&entry.place), message, wrong.hint);
            }
            let file = self.sources.path(entry.place.file);
            let declaration = ProviderDeclaration {
                name: entry.name.clone(),
                kind: kind.name.to_owned(),
                settings,
                place: entry.place,
                setting_places,
                folder: file.parent().unwrap_or(Path::new("")).to_owned(),
            };
            providers.insert(entry.name.clone(), declaration);
        }
        for name in [PROCESS, DOTENV].into_iter().filter(|name| Kind::named(name).is_some()) {
            providers.entry(name.to_owned()).or_insert_with(|| built_in(name));
        }
        providers
    }

    fn setting(&mut self, node: &Node) -> Option<Setting> {
        Some(match &node.value {
            Value::Text(text) | Value::Date(text) => Setting::Text(text.clone()),
            Value::Integer(number) => Setting::Number(*number),
            Value::Bool(value) => Setting::Switch(*value),
            Value::List(_) => Setting::List(node.texts().into_iter().map(|(text, _)| text).collect()),
            Value::Table(table) => {
                let settings = table.entries.iter();
                let settings =
                    settings.filter_map(|entry| Some((entry.name.clone(), self.setting(&entry.node)?)));
                Setting::Table(settings.collect())
            }
            Value::Float(_) => {
                self.error(node.place, "no setting of a provider is a fraction", None);
                return None;
            }
        })
    }

    fn environments(
        &mut self,
        whole: &Table,
        providers: &BTreeMap<String, ProviderDeclaration>,
    ) -> BTreeMap<String, Environment> {
        let declared: BTreeMap<&str, (Place, &Table)> = section(whole, "env")
            .flat_map(|table| &table.entries)
            .filter_map(|entry| Some((entry.name.as_str(), (entry.place, entry.node.table()?))))
            .collect();
        let usual = usual_order(whole, providers);
        let mut environments = BTreeMap::new();
        for (name, (place, table)) in &declared {
            let lineage = self.lineage(name, &declared);
            let ordered = lineage.iter().filter_map(|name| declared.get(name.as_str()));
            let order = ordered.filter_map(|(_, table)| table.get("order")).next();
            for (provider, place) in table.get("order").map(Node::texts).unwrap_or_default() {
                if !providers.contains_key(&provider) {
                    let hint = suggestion(&provider, providers.keys().map(String::as_str));
                    self.error(place, format!("env.{name}: there is no provider {provider:?}"), hint);
                }
            }
            let order = order.map(|node| node.texts().into_iter().map(|(text, _)| text).collect());
            let environment = Environment {
                name: (*name).to_owned(),
                order: order.unwrap_or_else(|| usual.clone()),
                lineage,
                protected: table.boolean("protected").unwrap_or(false),
                doc: table.text("doc").map(str::to_owned),
                place: *place,
            };
            environments.insert((*name).to_owned(), environment);
        }
        if environments.is_empty() {
            let name = "default".to_owned();
            let lineage = vec![name.clone()];
            let place = Place::default();
            let only = Environment { name, order: usual, lineage, protected: false, doc: None, place };
            environments.insert(only.name.clone(), only);
        }
        environments
    }

    /// The environment itself and all that it inherits from, nearest first.
    fn lineage(&mut self, name: &str, declared: &BTreeMap<&str, (Place, &Table)>) -> Vec<String> {
        let mut lineage = vec![name.to_owned()];
        let mut current = name;
        while let Some(node) = declared.get(current).and_then(|(_, table)| table.get("inherits")) {
            let Some(parent) = node.text() else { break };
            if !declared.contains_key(parent) {
                if current == name {
                    let hint = suggestion(parent, declared.keys().copied());
                    self.error(node.place, format!("env.{name}: there is no environment {parent:?}"), hint);
                }
                break;
            }
            if lineage.iter().any(|known| known == parent) {
                let circle = lineage.join(" → ");
                self.error(node.place, format!("env.{name} inherits in a circle: {circle} → {parent}"), None);
                break;
            }
            lineage.push(parent.to_owned());
            current = parent;
        }
        lineage
    }

    fn scopes(&mut self, whole: &Table, secrets: &mut [Secret]) -> BTreeMap<String, Vec<String>> {
        let mut scopes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in section(whole, "scope").flat_map(|table| &table.entries) {
            let members = entry.node.texts();
            self.members(&format!("scope.{}", entry.name), &members, secrets);
            let names = members.into_iter().map(|(name, _)| name).collect();
            scopes.insert(entry.name.clone(), names);
        }
        for secret in secrets.iter() {
            for scope in &secret.scopes {
                let members = scopes.entry(scope.clone()).or_default();
                if !members.contains(&secret.name) {
                    members.push(secret.name.clone());
                }
            }
        }
        for secret in secrets {
            let of = scopes.iter().filter(|(_, members)| members.contains(&secret.name));
            secret.scopes = of.map(|(scope, _)| scope.clone()).collect();
        }
        scopes
    }

    fn groups(&mut self, whole: &Table, secrets: &[Secret]) -> Vec<Group> {
        let rules = [
            ("exactly-one", GroupRule::ExactlyOne),
            ("at-least-one", GroupRule::AtLeastOne),
            ("together", GroupRule::Together),
        ];
        let mut groups = Vec::new();
        for entry in section(whole, "group").flat_map(|table| &table.entries) {
            let Some(table) = entry.node.table() else { continue };
            for (key, rule) in rules {
                let Some(node) = table.get(key) else { continue };
                let members = node.texts();
                self.members(&format!("group.{}", entry.name), &members, secrets);
                let members = members.into_iter().map(|(name, _)| name).collect();
                groups.push(Group { name: entry.name.clone(), rule, members, place: entry.place });
            }
            if table.entries.is_empty() {
                let hint = "exactly-one, at-least-one or together with a list of names".to_owned();
                self.error(entry.place, format!("group.{} has no rule", entry.name), Some(hint));
            }
        }
        groups
    }

    fn members(&mut self, what: &str, members: &[(String, Place)], secrets: &[Secret]) {
        let known: BTreeSet<&str> = secrets.iter().map(|secret| secret.name.as_str()).collect();
        for (name, place) in members {
            if !known.contains(name.as_str()) {
                let hint = suggestion(name, known.iter().copied());
                self.error(*place, format!("{what}: there is no secret {name:?}"), hint);
            }
        }
    }
}

/// Settings that depend on the environment, where none are given.
fn usual_settings(kind: &str, settings: &mut Settings) {
    if kind == DOTENV {
        let files = [".env", ".env.local", ".env.{env}", ".env.{env}.local"].map(str::to_owned).to_vec();
        settings.entry("path".to_owned()).or_insert(Setting::List(files));
    }
}

fn built_in(name: &str) -> ProviderDeclaration {
    let mut settings = Settings::new();
    usual_settings(name, &mut settings);
    ProviderDeclaration {
        name: name.to_owned(),
        kind: name.to_owned(),
        settings,
        place: Place::default(),
        setting_places: BTreeMap::new(),
        folder: std::path::PathBuf::new(),
    }
}

/// The order of an environment that names none: the process, then the declared providers as they stand in the file; with
/// none declared, `.env` files.
fn usual_order(whole: &Table, providers: &BTreeMap<String, ProviderDeclaration>) -> Vec<String> {
    let mut order = vec![PROCESS.to_owned()];
    let declared = section(whole, "provider").flat_map(|table| &table.entries);
    order.extend(declared.map(|entry| entry.name.clone()).filter(|name| name != PROCESS));
    if order.len() == 1 {
        order.push(DOTENV.to_owned());
    }
    order.retain(|name| providers.contains_key(name));
    order
}

/// The long form of a declaration.
fn declaration(node: &Node) -> Table {
    into_table(node.clone())
}
