use crate::manifest::{Environment, Manifest, Problem, ProblemKind, ProviderDeclaration};
use crate::provider::{Address, Kind, Provider, Setting, Settings};
use crate::sops::Keys;
use crate::surroundings::Surroundings;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The providers of an environment, ready to be asked. Making them reads no file and reaches no host.
pub struct Opened {
    providers: BTreeMap<String, Box<dyn Provider>>,
    placeholders: Placeholders,
}

/// What `{env}` and `{project}` stand for.
#[derive(Clone)]
struct Placeholders {
    environment: String,
    project: String,
}

impl Opened {
    pub fn new(
        manifest: &Manifest,
        environment: &Environment,
        surroundings: &Arc<Surroundings>,
    ) -> Result<Self, Vec<Problem>> {
        Self::with_keys(manifest, environment, surroundings, &Arc::new(Keys::of_nobody(surroundings)))
    }

    /// As `new`, with the keys for SOPS files. All providers share them: each data key is unwrapped once.
    pub fn with_keys(
        manifest: &Manifest,
        environment: &Environment,
        surroundings: &Arc<Surroundings>,
        keys: &Arc<Keys>,
    ) -> Result<Self, Vec<Problem>> {
        let placeholders =
            Placeholders { environment: environment.name.clone(), project: manifest.project.clone() };
        let mut providers = BTreeMap::new();
        let mut problems = Vec::new();
        for name in &environment.order {
            let Some(declaration) = manifest.providers.get(name) else { continue };
            match open(declaration, &placeholders, surroundings, keys) {
                Ok(provider) => {
                    providers.insert(name.clone(), provider);
                }
                Err(wrong) => problems.extend(wrong.into_iter().map(|(setting, message, hint)| {
                    let place = setting.and_then(|setting| declaration.setting_places.get(&setting));
                    let place = place.copied().unwrap_or(declaration.place);
                    Problem::error(ProblemKind::Manifest, format!("provider.{name}: {message}"))
                        .at(manifest.location(place))
                        .maybe_hint(hint)
                })),
            }
        }
        if problems.is_empty() { Ok(Self { providers, placeholders }) } else { Err(problems) }
    }

    pub fn provider(&self, name: &str) -> Option<&dyn Provider> {
        self.providers.get(name).map(Box::as_ref)
    }

    /// Name and provider in the order of the environment.
    pub fn in_order<'a>(
        &'a self,
        environment: &'a Environment,
    ) -> impl Iterator<Item = (&'a str, &'a dyn Provider)> {
        environment.order.iter().filter_map(|name| Some((name.as_str(), self.provider(name)?)))
    }

    /// Where a secret lies in a provider: as its `ref` says, or where the provider keeps what has this name.
    pub fn address(&self, provider: &str, name: &str, reference: Option<&Address>) -> Option<Address> {
        match reference {
            None => Some(self.provider(provider)?.address_of(name)),
            Some(address) => {
                let fill = |text: &str| self.placeholders.fill(text, "");
                let key = address.key.as_deref().map(fill);
                Some(Address { path: fill(&address.path), key, version: address.version.clone() })
            }
        }
    }
}

type Wrong = (Option<String>, String, Option<String>);

fn open(
    declaration: &ProviderDeclaration,
    placeholders: &Placeholders,
    surroundings: &Arc<Surroundings>,
    keys: &Arc<Keys>,
) -> Result<Box<dyn Provider>, Vec<Wrong>> {
    let Some(kind) = Kind::named(&declaration.kind) else {
        return Err(vec![(None, format!("there is no provider of the type {:?}", declaration.kind), None)]);
    };
    let folder = declaration.folder.to_string_lossy();
    let settings: Settings = declaration
        .settings
        .iter()
        .map(|(name, setting)| (name.clone(), placeholders.fill_setting(setting, &folder)))
        .collect();
    let wrong = |errors: Vec<crate::provider::SettingsError>| {
        errors.into_iter().map(|error| (error.setting, error.message, error.hint)).collect()
    };
    kind.open_with_keys(&settings, surroundings, keys).map_err(wrong)
}

impl Placeholders {
    fn fill(&self, text: &str, folder: &str) -> String {
        let folder = if folder.is_empty() { "." } else { folder };
        let filled = text.replace("{env}", &self.environment).replace("{project}", &self.project);
        filled.replace("{folder}", folder)
    }

    fn fill_setting(&self, setting: &Setting, folder: &str) -> Setting {
        match setting {
            Setting::Text(text) => Setting::Text(self.fill(text, folder)),
            Setting::List(texts) => Setting::List(texts.iter().map(|text| self.fill(text, folder)).collect()),
            Setting::Table(table) => {
                let fill =
                    |(name, setting): (&String, &Setting)| (name.clone(), self.fill_setting(setting, folder));
                Setting::Table(table.iter().map(fill).collect())
            }
            Setting::Number(_) | Setting::Switch(_) => setting.clone(),
        }
    }
}
