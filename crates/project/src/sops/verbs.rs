//! What is done to one file, from bytes to bytes.

use super::recipients::new_key;
use super::restricted::{Restriction, restrict_by_rules, without};
use super::{Keys, SopsError};
use strongroom_formats::sops::{
    Cipher, DataKeyError, Draft, Encrypted, Format, MacScope, MasterKey, Metadata, Opened, Recipient,
    SealPolicy, Selector, Verification, Whom, new_data_key,
};
use strongroom_secret::SecretBytes;

/// Decrypts a file, for reading; restricted values too, if they are for us.
pub fn open(
    format: Format,
    bytes: &[u8],
    keys: &Keys,
    verification: Verification,
) -> Result<Opened, SopsError> {
    let encrypted = Encrypted::read(format, bytes)?;
    let cipher = keys.data_key(&encrypted.metadata)?;
    let mut opened = encrypted.open(cipher, verification)?;
    opened.open_restricted(&mut |key| keys.unwrap(key));
    Ok(opened)
}

/// Decrypts a file, for changing: what does not change keeps its ciphertext.
pub fn open_for_edit(
    format: Format,
    bytes: &[u8],
    keys: &Keys,
    verification: Verification,
) -> Result<Opened, SopsError> {
    let mut opened = open_as_it_is(format, bytes, keys, verification)?;
    opened.open_restricted(&mut |key| keys.unwrap(key));
    Ok(opened)
}

/// As [`open_for_edit`], but restricted values stay closed: for what hands them on.
pub fn open_as_it_is(
    format: Format,
    bytes: &[u8],
    keys: &Keys,
    verification: Verification,
) -> Result<Opened, SopsError> {
    let encrypted = Encrypted::read(format, bytes)?;
    let cipher = keys.data_key(&encrypted.metadata)?;
    Ok(encrypted.open_for_edit(cipher, verification)?)
}

/// For whom and how a file is encrypted for the first time.
#[derive(Debug, Clone)]
pub struct NewFile {
    pub groups: Vec<Vec<Recipient>>,
    pub threshold: u8,
    pub selector: Selector,
    pub mac_scope: MacScope,
    pub restrictions: Vec<Restriction>,
}

/// Encrypts what was in clear.
pub fn encrypt(draft: Draft, new: NewFile, keys: &Keys, seal: SealPolicy) -> Result<SecretBytes, SopsError> {
    let opened = open_new(draft, new, keys)?;
    let surroundings = keys.surroundings();
    Ok(opened.encrypt(seal, surroundings.entropy.as_ref(), surroundings.clock.now())?)
}

/// A file that was never encrypted, with a data key that is wrapped for its recipients.
pub fn open_new(draft: Draft, new: NewFile, keys: &Keys) -> Result<Opened, SopsError> {
    let surroundings = keys.surroundings();
    let now = surroundings.clock.now();
    let group = |group: Vec<Recipient>| group.into_iter().map(|recipient| new_key(recipient, now)).collect();
    let groups = new.groups.into_iter().map(group).collect();
    let mut metadata = Metadata::new(groups, new.threshold, new.selector, new.mac_scope);
    let cipher = new_data_key(surroundings.entropy.as_ref());
    keys.wrap(&mut metadata, &cipher, Whom::All)?;
    let mut opened = draft.with_key(metadata, cipher);
    restrict_by_rules(&mut opened, &new.restrictions, keys)?;
    Ok(opened)
}

/// What becomes of the keys of a file.
#[derive(Debug, Clone, Default)]
pub struct KeyChange {
    /// Go into the first group.
    pub add: Vec<Recipient>,
    /// Go out of every group.
    pub remove: Vec<Recipient>,
}

/// Gives a file a new data key and all its values new ciphertexts; with other recipients, if asked.
pub fn rotate(
    opened: Opened,
    change: &KeyChange,
    keys: &Keys,
    seal: SealPolicy,
) -> Result<SecretBytes, SopsError> {
    let opened = rekeyed(opened, change, keys)?;
    let surroundings = keys.surroundings();
    Ok(opened.encrypt(seal, surroundings.entropy.as_ref(), surroundings.clock.now())?)
}

pub(super) fn rekeyed(mut opened: Opened, change: &KeyChange, keys: &Keys) -> Result<Opened, SopsError> {
    without(&mut opened, &change.remove, keys)?;
    change_keys(&mut opened.metadata, change, keys);
    let cipher = new_data_key(keys.surroundings().entropy.as_ref());
    keys.wrap(&mut opened.metadata, &cipher, Whom::All)?;
    opened.renew_data_key(cipher);
    Ok(opened)
}

/// As [`rotate`], but the data key stays: for files that more people may read than before.
pub fn with_new_keys(mut opened: Opened, keys: &Keys, seal: SealPolicy) -> Result<SecretBytes, SopsError> {
    let cipher = Cipher::new(opened.cipher().data_key().expose()).ok_or(DataKeyError::Length)?;
    keys.wrap(&mut opened.metadata, &cipher, Whom::New)?;
    let surroundings = keys.surroundings();
    Ok(opened.encrypt(seal, surroundings.entropy.as_ref(), surroundings.clock.now())?)
}

/// Gives a file the groups of a rule. If somebody loses access, the file gets a new data key: they know the old one.
pub fn regroup(
    mut opened: Opened,
    groups: &[Vec<Recipient>],
    threshold: u8,
    keys: &Keys,
    seal: SealPolicy,
) -> Result<SecretBytes, SopsError> {
    let now = keys.surroundings().clock.now();
    let old: Vec<MasterKey> = opened.metadata.recipients().cloned().collect();
    let stays = |key: &MasterKey| groups.iter().flatten().any(|recipient| *recipient == key.recipient);
    let gone: Vec<_> = old.iter().filter(|key| !stays(key)).map(|key| key.recipient.clone()).collect();
    without(&mut opened, &gone, keys)?;
    let stays_whole = opened.metadata.groups.len() == 1 && groups.len() == 1;
    let key = |recipient: &Recipient| {
        let known = old.iter().find(|key| stays_whole && key.recipient == *recipient);
        known.cloned().unwrap_or_else(|| new_key(recipient.clone(), now))
    };
    opened.metadata.groups = groups.iter().map(|group| group.iter().map(key).collect()).collect();
    opened.metadata.threshold = if groups.len() > 1 { threshold } else { 0 };
    if !gone.is_empty() {
        rotate(opened, &KeyChange::default(), keys, seal)
    } else {
        with_new_keys(opened, keys, seal)
    }
}

/// Adds and removes recipients. What is there already is not added again. Says whether anything changed.
pub fn change_keys(metadata: &mut Metadata, change: &KeyChange, keys: &Keys) -> bool {
    let now = keys.surroundings().clock.now();
    let before: Vec<Recipient> = metadata.recipients().map(|key| key.recipient.clone()).collect();
    for recipient in &change.add {
        if let Some(group) = metadata.groups.first_mut()
            && !group.iter().any(|key| key.recipient == *recipient)
        {
            group.push(new_key(recipient.clone(), now));
        }
    }
    for group in &mut metadata.groups {
        group.retain(|key| !change.remove.iter().any(|gone| gone.to_string() == key.recipient.to_string()));
    }
    !metadata.recipients().map(|key| &key.recipient).eq(&before)
}

/// How the keys of one group differ from those of a rule.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub common: Vec<String>,
    pub added: Vec<String>,
    pub removed: Vec<String>,
}

/// Group by group, what a rule changes about a file.
pub fn differences(ours: &[Vec<MasterKey>], theirs: &[Vec<Recipient>]) -> Vec<Difference> {
    let empty = (Vec::new(), Vec::new());
    (0..ours.len().max(theirs.len()))
        .map(|number| {
            let ours: Vec<String> =
                ours.get(number).unwrap_or(&empty.0).iter().map(|key| key.recipient.to_string()).collect();
            let theirs: Vec<String> =
                theirs.get(number).unwrap_or(&empty.1).iter().map(Recipient::to_string).collect();
            let (common, added) = theirs.iter().cloned().partition(|key| ours.contains(key));
            let removed = ours.into_iter().filter(|key| !theirs.contains(key)).collect();
            Difference { common, added, removed }
        })
        .collect()
}

/// Wraps the data key of a file for the groups of a rule. The values are not touched, nor looked at: what this does not do
/// is take the data key from somebody who had it.
pub fn update_keys(
    mut encrypted: Encrypted,
    groups: &[Vec<Recipient>],
    threshold: u8,
    keys: &Keys,
) -> Result<SecretBytes, SopsError> {
    let cipher = keys.data_key(&encrypted.metadata)?;
    let now = keys.surroundings().clock.now();
    let group =
        |group: &Vec<Recipient>| group.iter().map(|recipient| new_key(recipient.clone(), now)).collect();
    encrypted.metadata.groups = groups.iter().map(group).collect();
    encrypted.metadata.threshold = threshold;
    // Without the values there is no seal over the new recipients, and the old one would be broken.
    encrypted.metadata.seal.clear();
    keys.wrap(&mut encrypted.metadata, &cipher, Whom::All)?;
    Ok(encrypted.write()?)
}
