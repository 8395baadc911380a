//! Values for some of a file's recipients alone: who they are for, by rule or by hand.

use super::recipients::new_key;
use super::{Keys, SopsError};
use regex::Regex;
use std::sync::Arc;
use strongroom_formats::sops::{
    MacScope, Metadata, Opened, Part, Recipient, RestrictedValue, Selector, Step, Whom, new_data_key,
};

/// Whom values are for whose place has a key that matches.
#[derive(Debug, Clone)]
pub struct Restriction {
    pub key_regex: Regex,
    pub recipients: Vec<Recipient>,
}

impl Restriction {
    fn is_for(&self, steps: &[Step]) -> bool {
        steps.iter().any(|step| matches!(step, Step::Key(key) if self.key_regex.is_match(key)))
    }
}

/// Restricts what the rules mean and is not restricted yet. The first rule for a value counts. Returns how many values.
pub fn restrict_by_rules(
    opened: &mut Opened,
    rules: &[Restriction],
    keys: &Keys,
) -> Result<usize, SopsError> {
    let mut count = 0;
    for rule in rules {
        count += restrict(opened, &|steps| rule.is_for(steps), &rule.recipients, keys)?;
    }
    Ok(count)
}

/// Restricts the values that are meant and are not restricted yet. Returns how many.
pub fn restrict(
    opened: &mut Opened,
    is_meant: &dyn Fn(&[Step]) -> bool,
    recipients: &[Recipient],
    keys: &Keys,
) -> Result<usize, SopsError> {
    let places = opened.unrestricted(is_meant);
    if places.is_empty() {
        return Ok(0);
    }
    let readers: Vec<_> = opened.metadata.recipients().map(|key| &key.recipient).collect();
    let strangers: Vec<_> = recipients
        .iter()
        .filter(|recipient| !readers.iter().any(|reader| same_key(reader, recipient)))
        .map(ToString::to_string)
        .collect();
    if !strangers.is_empty() {
        return Err(SopsError::Other(format!(
            "{} cannot open the file itself: a value is restricted to some of its recipients",
            strangers.join(", ")
        )));
    }
    let shared = opened.restricted().iter().find(|value| is_for(value, recipients));
    let part = shared.and_then(RestrictedValue::part).map_or_else(|| new_part(recipients, keys), Ok)?;
    let count = places.len();
    for (document, steps) in places {
        opened.restrict(document, steps, &part);
    }
    Ok(count)
}

/// Takes recipients out of restricted values, which get a new part key: they know the old one.
pub(super) fn without(opened: &mut Opened, gone: &[Recipient], keys: &Keys) -> Result<(), SopsError> {
    let is_gone = |recipient: &Recipient| gone.iter().any(|gone| same_key(gone, recipient));
    let mut parts: Vec<(Vec<Recipient>, Part)> = Vec::new();
    for value in opened.restricted_mut() {
        if !value.keys.iter().any(|key| is_gone(&key.recipient)) {
            continue;
        }
        let (place, recipients) = (value.place(), value.recipients());
        let refused = |why: &str| SopsError::Other(format!("{place} is restricted to {recipients}: {why}"));
        if !value.is_open() {
            return Err(refused("only one of them can take somebody out"));
        }
        let left: Vec<_> = value
            .keys
            .iter()
            .map(|key| key.recipient.clone())
            .filter(|recipient| !is_gone(recipient))
            .collect();
        if left.is_empty() {
            return Err(refused("nobody would be left; restrict it to others, or lift that, first"));
        }
        let known = parts.iter().find(|(recipients, _)| *recipients == left).map(|(_, part)| part.clone());
        let part = match known {
            Some(part) => part,
            None => {
                let part = new_part(&left, keys)?;
                parts.push((left, part.clone()));
                part
            }
        };
        value.move_to(&part);
    }
    Ok(())
}

fn is_for(value: &RestrictedValue, recipients: &[Recipient]) -> bool {
    value.is_open()
        && value.keys.len() == recipients.len()
        && value.keys.iter().zip(recipients).all(|(key, recipient)| same_key(&key.recipient, recipient))
}

/// Equal, but for what wrapping tells of a recipient.
fn same_key(one: &Recipient, other: &Recipient) -> bool {
    match (one, other) {
        (Recipient::AzureKeyVault(one), Recipient::AzureKeyVault(other)) => {
            (&one.vault_url, &one.name) == (&other.vault_url, &other.name)
        }
        (one, other) => one == other,
    }
}

fn new_part(recipients: &[Recipient], keys: &Keys) -> Result<Part, SopsError> {
    let surroundings = keys.surroundings();
    let now = surroundings.clock.now();
    let group = recipients.iter().map(|recipient| new_key(recipient.clone(), now)).collect();
    let mut wrapping = Metadata::new(vec![group], 0, Selector::default(), MacScope::default());
    let cipher = new_data_key(surroundings.entropy.as_ref());
    keys.wrap(&mut wrapping, &cipher, Whom::All)?;
    let keys = wrapping.groups.pop().unwrap_or_default();
    Ok(Part { keys, cipher: Arc::new(cipher) })
}
