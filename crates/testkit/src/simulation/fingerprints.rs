//! At the end of a run: every value that was ever written to a mount that is there is in the index of its namespace, no other is, and
//! each is told by the name of its secret, its version, and how that stands.

use super::act::{key_text, payload, secret_name};
use super::model::NAMESPACES;
use super::{World, request};
use crate::server::answer;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use strongroom_fingerprint::{ScanKey, fingerprints};
use strongroom_kernel::{Operation, Tidied};
use strongroom_secret::SecretBytes;

/// Tags in one question.
const TAGS_MAX: usize = 1000;
/// Bytes of a row of the index before its tag.
const PLAIN_BYTES: usize = 16;

impl World {
    pub(super) fn check_fingerprints(&mut self) {
        self.storage.set_direct(true);
        // What it notes of values that are gone changes nothing of what it says.
        while self.kernel.clean_up().expect("it cleans up") == Tidied::More {}
        for (number, namespace) in NAMESPACES.iter().enumerate() {
            let (key, exported) = self.exported(namespace);
            let tag = |text: &str| Some(hex::encode(fingerprints(&key, text.as_bytes()).ok()?.first()?.tag));
            let (mut tags, mut places) = (BTreeSet::new(), BTreeMap::new());
            let mounts = self.model.mounts.iter().filter(|((namespace, _), _)| *namespace == number);
            for ((_, slot), mount) in mounts {
                let store = &self.model.stores[mount];
                for written in &store.written {
                    let payload = payload(written.value);
                    tags.extend(payload["text"].as_str().and_then(tag));
                    let named = tag(&key_text(written.value)).expect("it cannot be guessed");
                    let secret = format!("m{slot}/{}", secret_name(written.secret));
                    places.insert(named.clone(), (secret, written.version, store.state(written)));
                    tags.insert(named);
                }
            }
            self.report.operations += 1;
            if exported != tags {
                let (more, less) = (exported.difference(&tags).count(), tags.difference(&exported).count());
                self.fail(
                    0,
                    &format!("the index of {namespace:?} has {more} tags too many and lacks {less}"),
                );
            }
            self.check_places(namespace, &places);
        }
    }

    fn ask(&self, namespace: &str, path: &str, body: Value) -> Value {
        let token = &self.model.tokens[0].text;
        let asked = request(Operation::Write, namespace, path, body, Some(token), None);
        let answered = answer(pollster::block_on(self.kernel.clone().handle(asked)));
        if answered.status != 200 {
            self.fail(0, &format!("{namespace}/{path}: {answered:?}"));
        }
        answered.body["data"].clone()
    }

    /// The key of a namespace, and the tags of its index.
    fn exported(&self, namespace: &str) -> (ScanKey, BTreeSet<String>) {
        let (mut tags, mut cursor) = (BTreeSet::new(), Value::Null);
        loop {
            let page = self.ask(namespace, "sys/fingerprints", json!({ "cursor": cursor, "limit": 500 }));
            let packed = STANDARD.decode(page["fingerprints"].as_str().unwrap()).unwrap();
            let rows = packed.chunks(PLAIN_BYTES + strongroom_fingerprint::TAG_BYTES);
            tags.extend(rows.map(|row| hex::encode(&row[PLAIN_BYTES..])));
            cursor = page["cursor"].clone();
            if page["more"] == false {
                let key = hex::decode(page["scan_key"].as_str().unwrap()).unwrap();
                return (ScanKey::new(SecretBytes::new(key)), tags);
            }
        }
    }

    fn check_places(&self, namespace: &str, places: &BTreeMap<String, (String, u64, Option<&'static str>)>) {
        let tags: Vec<&String> = places.keys().collect();
        for tags in tags.chunks(TAGS_MAX) {
            let answer = self.ask(namespace, "sys/fingerprints/resolve", json!({ "tags": tags }));
            for tag in tags {
                let found = &answer["fingerprints"][tag.as_str()];
                let place = &found["places"][0];
                let (secret, version, state) = &places[*tag];
                let right = found["places"].as_array().is_some_and(|places| places.len() == 1)
                    && place["secret"] == json!(secret)
                    && place["versions"][0]["version"] == json!(version)
                    && state.is_none_or(|state| place["state"] == json!(state));
                if !right {
                    self.fail(0, &format!("{namespace:?}: {secret} version {version} {state:?}: {found}"));
                }
            }
        }
    }
}
