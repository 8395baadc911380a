//! The `[secret]` tables.

use super::super::place::Place;
use super::super::problem::suggestion;
use super::super::tree::{Node, Table, Value};
use super::super::{
    Default, Delivery, Environment, Generator, GeneratorKind, ProviderDeclaration, Required, Rotation, Secret,
};
use super::{Reader, declaration, section};
use crate::compose::{Marks, Template, is_variable_name};
use crate::provider::Address;
use crate::value_type::{Constraints, Pattern, ValueType};
use std::collections::BTreeMap;
use strongroom_secret::{Timestamp, parse_duration};

type Environments = BTreeMap<String, Environment>;
type Providers = BTreeMap<String, ProviderDeclaration>;

/// Longer ones are of no use, and shorter ones can be guessed.
const GENERATED_LENGTH: std::ops::RangeInclusive<i64> = 8..=4096;
const GENERATED_LENGTH_USUAL: usize = 32;

impl Reader<'_> {
    pub(super) fn secrets(
        &mut self,
        whole: &Table,
        environments: &Environments,
        providers: &Providers,
    ) -> Vec<Secret> {
        let mut secrets = Vec::new();
        let mut folded: BTreeMap<String, String> = BTreeMap::new();
        for entry in section(whole, "secret").flat_map(|table| &table.entries) {
            let name = &entry.name;
            if !is_variable_name(name) {
                let hint = "letters, digits and _, not beginning with a digit".to_owned();
                self.error(entry.place, format!("{name:?} cannot be the name of a variable"), Some(hint));
                continue;
            }
            if let Some(other) = folded.insert(name.to_ascii_uppercase(), name.clone()) {
                let message = format!("{name} and {other} differ in case alone");
                self.warning(entry.place, message, "some systems take them for the same variable");
            }
            let table = declaration(&entry.node);
            secrets.push(self.secret(name, entry.place, &table, environments, providers));
        }
        self.compositions(&secrets, whole);
        secrets
    }

    fn secret(
        &mut self,
        name: &str,
        place: Place,
        table: &Table,
        environments: &Environments,
        providers: &Providers,
    ) -> Secret {
        let value_type = table.text("type").and_then(ValueType::named).unwrap_or_default();
        let constraints = self.constraints(name, place, table, value_type);
        let default = self.default(name, table, environments);
        let compose = self.compose(name, table);
        let secret = Secret {
            name: name.to_owned(),
            place,
            value_type,
            constraints,
            doc: table.text("doc").map(str::to_owned),
            example: table.get("example").and_then(Node::as_value_text),
            sensitive: table.boolean("sensitive").unwrap_or(true),
            required: self.required(name, table, environments, &default),
            default,
            compose,
            delivery: delivery(table),
            generate: self.generator(name, table),
            rotate: table.get("rotate").and_then(Node::table).map(rotation),
            expires: self.expiry(name, table),
            references: self.references(name, table, providers),
            scopes: table.get("scope").map(Node::texts).into_iter().flatten().map(|(name, _)| name).collect(),
            readers: readers(table),
        };
        self.consistent(&secret, table);
        secret
    }

    /// Keys that do not go together, and texts of the manifest that its own types refuse.
    fn consistent(&mut self, secret: &Secret, table: &Table) {
        let name = &secret.name;
        let place_of = |key: &str| table.entry(key).map_or(secret.place, |entry| entry.place);
        if secret.compose.is_some() && secret.default != Default::None {
            self.error(
                place_of("default"),
                format!("{name} is composed: a default would never be used"),
                None,
            );
        }
        if table.get("required").is_some() && table.get("optional").is_some() {
            self.error(place_of("optional"), format!("{name} says both required and optional"), None);
        }
        if secret.delivery == Delivery::Internal && table.get("as").is_some() {
            let message = format!("{name} is internal: no program gets it, so `as` means nothing");
            self.error(place_of("as"), message, None);
        }
        if secret.sensitive && secret.default != Default::None {
            let message = format!("the default of {name} can be read by everybody who sees the repository");
            self.warning(place_of("default"), message, "sensitive = false if that is fine");
        }
        let defaults: Vec<&String> = match &secret.default {
            Default::None => Vec::new(),
            Default::Everywhere(text) => vec![text],
            Default::ByEnvironment(texts) => texts.values().collect(),
        };
        let defaults = defaults.into_iter().map(|text| ("default", text));
        for (key, text) in defaults.chain(secret.example.iter().map(|text| ("example", text))) {
            for problem in secret.value_type.problems(&secret.constraints, text.as_bytes()) {
                self.error(place_of(key), format!("the {key} of {name} {problem}"), None);
            }
        }
    }

    fn constraints(&mut self, name: &str, place: Place, table: &Table, value_type: ValueType) -> Constraints {
        let number = |key: &str| match table.get(key)?.value {
            Value::Integer(number) => Some(number as f64),
            Value::Float(number) => Some(number),
            _ => None,
        };
        let texts = |key: &str| -> Vec<String> {
            table.get(key).map(Node::texts).into_iter().flatten().map(|(text, _)| text).collect()
        };
        for (key, only) in [
            ("schemes", ValueType::Url),
            ("values", ValueType::Enum),
            ("items", ValueType::List),
            ("separator", ValueType::List),
        ] {
            if let Some(entry) = table.entry(key).filter(|_| value_type != only) {
                let (only, is) = (only.word(), value_type.word());
                self.error(
                    entry.place,
                    format!("{name}: {key} is for the type {only}, and this is {is}"),
                    None,
                );
            }
        }
        if value_type == ValueType::Enum && texts("values").is_empty() {
            let hint = "values = [\"debug\", \"info\"]".to_owned();
            self.error(place, format!("{name} is an enum without values"), Some(hint));
        }
        let (min, max) = (number("min"), number("max"));
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            let place = table.entry("min").map_or(place, |entry| entry.place);
            self.error(place, format!("{name}: min is above max"), None);
        }
        Constraints {
            min,
            max,
            pattern: self.pattern(name, table),
            schemes: texts("schemes").into_iter().map(|scheme| scheme.to_ascii_lowercase()).collect(),
            values: texts("values"),
            items: table.text("items").and_then(ValueType::named),
            separator: table.text("separator").map(str::to_owned),
        }
    }

    fn pattern(&mut self, name: &str, table: &Table) -> Option<Pattern> {
        let node = table.get("match")?;
        match Pattern::new(node.text()?) {
            Ok(pattern) => Some(pattern),
            Err(message) => {
                self.error(node.place, format!("{name}: match is no regular expression: {message}"), None);
                None
            }
        }
    }

    fn default(&mut self, name: &str, table: &Table, environments: &Environments) -> Default {
        let Some(node) = table.get("default") else { return Default::None };
        let Some(by_environment) = node.table() else {
            return node.as_value_text().map_or(Default::None, Default::Everywhere);
        };
        let mut texts = BTreeMap::new();
        for entry in &by_environment.entries {
            self.known_environment(&format!("{name}: default"), &entry.name, entry.place, environments);
            if let Some(text) = entry.node.as_value_text() {
                texts.insert(entry.name.clone(), text);
            }
        }
        Default::ByEnvironment(texts)
    }

    fn required(
        &mut self,
        name: &str,
        table: &Table,
        environments: &Environments,
        default: &Default,
    ) -> Required {
        let Some(node) = table.get("required") else {
            let optional = table.boolean("optional").unwrap_or(matches!(default, Default::Everywhere(_)));
            return if optional { Required::Never } else { Required::Always };
        };
        let Some(where_to) = node.table() else {
            return if node.boolean() == Some(false) { Required::Never } else { Required::Always };
        };
        for (key, wrap) in [("in", Required::In as fn(_) -> _), ("unless", Required::Unless)] {
            let Some(names) = where_to.get(key).map(Node::texts) else { continue };
            for (environment, place) in &names {
                self.known_environment(&format!("{name}: required"), environment, *place, environments);
            }
            return wrap(names.into_iter().map(|(name, _)| name).collect());
        }
        Required::Always
    }

    fn known_environment(&mut self, what: &str, name: &str, place: Place, environments: &Environments) {
        if !environments.contains_key(name) {
            let hint = suggestion(name, environments.keys().map(String::as_str));
            self.error(place, format!("{what}: there is no environment {name:?}"), hint);
        }
    }

    fn compose(&mut self, name: &str, table: &Table) -> Option<Template> {
        let node = table.get("compose")?;
        match Template::parse(node.text()?, Marks::COMPOSE) {
            Ok(template) => Some(template),
            Err(error) => {
                self.error(node.place, format!("{name}: compose: {error}"), None);
                None
            }
        }
    }

    fn generator(&mut self, name: &str, table: &Table) -> Option<Generator> {
        let node = table.get("generate")?;
        let of_word = |word: &str| GeneratorKind::named(word);
        let Some(options) = node.table() else {
            return Some(Generator { kind: of_word(node.text()?)?, length: GENERATED_LENGTH_USUAL });
        };
        let kind = options.text("kind").map_or(Some(GeneratorKind::Password), of_word)?;
        let length = match options.get("length").map(|length| (length.place, length.integer())) {
            Some((place, Some(length))) if !GENERATED_LENGTH.contains(&length) => {
                self.error(place, format!("{name}: a generated value has a length from 8 to 4096"), None);
                return None;
            }
            Some((_, Some(length))) => usize::try_from(length).unwrap_or(GENERATED_LENGTH_USUAL),
            _ => GENERATED_LENGTH_USUAL,
        };
        Some(Generator { kind, length })
    }

    fn expiry(&mut self, name: &str, table: &Table) -> Option<String> {
        let node = table.get("expires")?;
        let day = node.text()?.get(..10)?.to_owned();
        if Timestamp::parse_rfc3339(&format!("{day}T00:00:00Z")).is_none() {
            self.error(node.place, format!("{name}: expires is not a date as 2027-01-31"), None);
            return None;
        }
        Some(day)
    }

    fn references(&mut self, name: &str, table: &Table, providers: &Providers) -> BTreeMap<String, Address> {
        let mut references = BTreeMap::new();
        for entry in table.get("ref").and_then(Node::table).into_iter().flat_map(|table| &table.entries) {
            if !providers.contains_key(&entry.name) {
                let hint = suggestion(&entry.name, providers.keys().map(String::as_str));
                self.error(entry.place, format!("{name}: ref: there is no provider {:?}", entry.name), hint);
            }
            let Some(text) = entry.node.text() else { continue };
            match Address::parse(text) {
                Ok(address) => {
                    references.insert(entry.name.clone(), address);
                }
                Err(error) => self.error(entry.node.place, format!("{name}: ref: {error}"), None),
            }
        }
        references
    }

    /// Placeholders lead somewhere, and not in a circle.
    fn compositions(&mut self, secrets: &[Secret], whole: &Table) {
        let composed: BTreeMap<&str, &Secret> =
            secrets.iter().map(|secret| (secret.name.as_str(), secret)).collect();
        for secret in secrets {
            let Some(template) = &secret.compose else { continue };
            let node = section(whole, "secret").next().and_then(|table| table.get(&secret.name));
            let node = node.and_then(Node::table).and_then(|table| table.get("compose"));
            let place = node.map_or(secret.place, |node| node.place);
            for name in template.names().filter(|name| !composed.contains_key(name)) {
                let hint = suggestion(name, composed.keys().copied());
                self.error(place, format!("{}: compose: there is no secret {name:?}", secret.name), hint);
            }
            if let Some(circle) = circle_from(&secret.name, &composed) {
                self.error(place, format!("{} is composed in a circle: {circle}", secret.name), None);
            }
        }
        let used = |name: &str| {
            secrets.iter().filter_map(|secret| secret.compose.as_ref()).any(|t| t.names().any(|n| n == name))
        };
        for secret in secrets.iter().filter(|secret| secret.delivery == Delivery::Internal) {
            if !used(&secret.name) {
                let message = format!("{} is internal, and nothing is composed of it", secret.name);
                self.warning(secret.place, message, "leave it out, or say ${NAME} in a compose");
            }
        }
    }
}

/// The way from a secret through its placeholders back to itself.
fn circle_from(start: &str, secrets: &BTreeMap<&str, &Secret>) -> Option<String> {
    let mut seen: Vec<&str> = Vec::new();
    let mut open: Vec<Vec<&str>> = vec![vec![start]];
    while let Some(way) = open.pop() {
        let template =
            way.last().and_then(|last| secrets.get(last)).and_then(|secret| secret.compose.as_ref());
        for name in template.iter().flat_map(|template| template.names()) {
            let mut longer = way.clone();
            longer.push(name);
            if name == start {
                return Some(longer.join(" → "));
            }
            if !seen.contains(&name) {
                seen.push(name);
                open.push(longer);
            }
        }
    }
    None
}

fn delivery(table: &Table) -> Delivery {
    match (table.boolean("internal"), table.text("as")) {
        (Some(true), _) => Delivery::Internal,
        (_, Some("file")) => Delivery::File,
        _ => Delivery::Variable,
    }
}

fn rotation(table: &Table) -> Rotation {
    let duration = |key: &str| parse_duration(table.text(key)?).ok();
    Rotation {
        every: duration("every"),
        via: table.text("via").map(str::to_owned),
        overlap: duration("overlap"),
    }
}

fn readers(table: &Table) -> Vec<String> {
    let read = table.get("allow").and_then(Node::table).and_then(|allow| allow.get("read"));
    read.map(Node::texts).into_iter().flatten().map(|(name, _)| name).collect()
}
