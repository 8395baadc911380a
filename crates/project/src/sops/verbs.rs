//! What is done to one file, from bytes to bytes.

use super::recipients::new_key;
use super::{Keys, SopsError};
use strongroom_formats::sops::{
    Draft, Encrypted, Format, MacScope, MasterKey, Metadata, Opened, Recipient, SealPolicy, Selector,
    Verification, new_data_key,
};
use strongroom_secret::SecretBytes;

/// Decrypts a file, for reading.
pub fn open(
    format: Format,
    bytes: &[u8],
    keys: &Keys,
    verification: Verification,
) -> Result<Opened, SopsError> {
    let encrypted = Encrypted::read(format, bytes)?;
    let cipher = keys.data_key(&encrypted.metadata)?;
    Ok(encrypted.open(cipher, verification)?)
}

/// Decrypts a file, for changing: what does not change keeps its ciphertext.
pub fn open_for_edit(
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
}

/// Whether our seal is written: a person who uses our commands gets one, a script that uses sops' does not.
pub type SealWish = SealPolicy;

/// Encrypts what was in clear.
pub fn encrypt(draft: Draft, new: NewFile, keys: &Keys, seal: SealWish) -> Result<SecretBytes, SopsError> {
    let opened = prepare(draft, new, keys)?;
    let surroundings = keys.surroundings();
    Ok(opened.encrypt(seal, surroundings.entropy.as_ref(), surroundings.clock.now())?)
}

/// A file that was never encrypted, with a data key.
fn prepare(draft: Draft, new: NewFile, keys: &Keys) -> Result<Opened, SopsError> {
    let surroundings = keys.surroundings();
    let now = surroundings.clock.now();
    let group = |group: Vec<Recipient>| group.into_iter().map(|recipient| new_key(recipient, now)).collect();
    let groups = new.groups.into_iter().map(group).collect();
    let mut metadata = Metadata::new(groups, new.threshold, new.selector, new.mac_scope);
    let cipher = new_data_key(surroundings.entropy.as_ref());
    keys.wrap(&mut metadata, &cipher)?;
    Ok(draft.with_key(metadata, cipher))
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
    seal: SealWish,
) -> Result<SecretBytes, SopsError> {
    let opened = rekeyed(opened, change, keys)?;
    let surroundings = keys.surroundings();
    Ok(opened.encrypt(seal, surroundings.entropy.as_ref(), surroundings.clock.now())?)
}

fn rekeyed(mut opened: Opened, change: &KeyChange, keys: &Keys) -> Result<Opened, SopsError> {
    change_keys(&mut opened.metadata, change, keys);
    let cipher = new_data_key(keys.surroundings().entropy.as_ref());
    keys.wrap(&mut opened.metadata, &cipher)?;
    opened.renew_data_key(cipher);
    Ok(opened)
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
    keys.wrap(&mut encrypted.metadata, &cipher)?;
    Ok(encrypted.write()?)
}
