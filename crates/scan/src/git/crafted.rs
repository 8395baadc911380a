//! For tests: packs that git would not make.

use super::database::Database;
use super::forest::{self, Wanted};
use super::history::History;
use super::incremental::Memory;
use super::options::GitOptions;
use super::pack::Pack;
use super::rebuild::table;
use super::repository::{ObjectDirectories, Repository};
use super::stored::Stored;
use crate::located::{Statistics, Watch};
use crate::planted;
use gix_hash::{Kind as HashKind, ObjectId};
use std::fs;
use strongroom_detect::{Detector, Options};
use zlib_rs::{Deflate, DeflateFlush};

/// An entry's header and what is compressed behind it.
struct Crafted {
    header: Vec<u8>,
    data: Vec<u8>,
}

fn header(kind: u8, size: u64) -> Vec<u8> {
    let mut bytes = vec![kind << 4 | (size & 0xf) as u8];
    let mut rest = size >> 4;
    while rest > 0 {
        *bytes.last_mut().unwrap() |= 0x80;
        bytes.push((rest & 0x7f) as u8);
        rest >>= 7;
    }
    bytes
}

fn blob(data: &[u8]) -> Crafted {
    Crafted { header: header(3, data.len() as u64), data: data.to_vec() }
}

fn delta_of(base: ObjectId, data: &[u8]) -> Crafted {
    let mut bytes = header(7, data.len() as u64);
    bytes.extend(base.as_bytes());
    Crafted { header: bytes, data: data.to_vec() }
}

fn id(number: usize) -> ObjectId {
    ObjectId::from_hex(format!("{number:040x}").as_bytes()).unwrap()
}

/// Scans a pack in which object number `n` is called `id(n)`, and says what was looked at and what was not.
fn scan(entries: &[Crafted]) -> (Statistics, usize) {
    let mut bytes = b"PACK\0\0\0\x02".to_vec();
    bytes.extend((entries.len() as u32).to_be_bytes());
    let mut found = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        found.push((id(number), bytes.len() as u64));
        bytes.extend(&entry.header);
        let mut target = vec![0; entry.data.len() * 2 + 64];
        let mut deflate = Deflate::new(6, true, 15);
        deflate.compress(&entry.data, &mut target, DeflateFlush::Finish).unwrap();
        target.truncate(deflate.total_out() as usize);
        bytes.extend(target);
    }
    bytes.extend([0; 20]);
    let folder = tempfile::tempdir().unwrap();
    for inner in ["objects/pack", "refs"] {
        fs::create_dir_all(folder.path().join(inner)).unwrap();
    }
    fs::write(folder.path().join("HEAD"), "ref: refs/heads/main\n").unwrap();
    let mut statistics = Statistics::default();
    let directories = ObjectDirectories::default();
    let repository = Repository::discover(folder.path(), &directories, &mut statistics).unwrap();
    let pack = Pack {
        path: "crafted.pack".into(),
        index: table(&mut found, HashKind::Sha1).unwrap(),
        bytes: Stored::Memory(bytes),
        hash: HashKind::Sha1,
        number: 0,
    };
    let database = Database::of_pack(pack);
    let detector = Detector::new(planted::rules(), Options::native());
    let options = GitOptions { blob_bytes_max: 1 << 20, ..GitOptions::default() };
    let watch = Watch::default();
    let history = History {
        repository: &repository,
        database: &database,
        detector: &detector,
        options: &options,
        watch,
    };
    let (sightings, _) = history.look_at_all(&Memory::default(), &mut statistics);
    (statistics, sightings.by_object().len())
}

fn reasons(statistics: &Statistics) -> Vec<String> {
    statistics.skipped().iter().map(|skipped| format!("{}: {}", skipped.reason, skipped.detail)).collect()
}

#[test]
fn deltas_in_a_circle_are_named() {
    let copy = b"\x04\x04\x90\x04";
    let (statistics, _) =
        scan(&[delta_of(id(1), copy), delta_of(id(0), copy), blob(b"good"), delta_of(id(3), copy)]);
    assert_eq!(statistics.texts, 1);
    assert_eq!(statistics.skipped().len(), 3, "{:?}", reasons(&statistics));
    assert!(statistics.skipped().iter().all(|skipped| skipped.reason.word() == "corrupt"));
}

#[test]
fn sizes_are_looked_at_before_anything_is_reserved() {
    let boast = |size| Crafted { header: header(3, size), data: b"little".to_vec() };
    let (statistics, _) = scan(&[boast(1 << 19), boast(1 << 50)]);
    assert_eq!(reasons(&statistics)[0], "corrupt: its size is not what it says");
    assert_eq!(statistics.skipped().len(), 2, "{:?}", reasons(&statistics));
    // A few bytes of delta that say they make a terabyte, and some that make more than they say.
    let huge = b"\x04\x80\x80\x80\x80\x80\x20\x90\x04";
    let more = b"\x04\x05\x90\x04\x90\x04\x90\x04";
    let (statistics, _) = scan(&[blob(b"base"), delta_of(id(0), huge), delta_of(id(0), more)]);
    assert_eq!(
        reasons(&statistics),
        ["too-large: its size is 1099511627776", "corrupt: its delta does not fit"]
    );
}

#[test]
fn a_chain_of_deltas_ends_somewhere() {
    let mut entries = vec![blob(b"base")];
    let copy = b"\x04\x04\x90\x04";
    entries.extend((0..6000).map(|number| delta_of(id(number), copy)));
    let (statistics, _) = scan(&entries);
    assert!(statistics.skipped().iter().all(|skipped| skipped.reason.word() == "too-deep"));
    let left_out: u64 = statistics.skipped_counts().values().sum();
    assert_eq!(statistics.texts + left_out, 6001);
    assert!(left_out > 0);
}

#[test]
fn a_secret_is_seen_in_each_version_that_has_it() {
    let text = b"token = zqz_needle0123456789\n";
    let size = text.len() as u8;
    // All of it copied; cut off in the middle; the missing half put in again.
    let whole = [size, size, 0x90, size];
    let half = [size, 15, 0x90, 15];
    let again = [&[15, size, 0x90, 15, size - 15][..], &text[15..]].concat();
    let entries = [blob(text), delta_of(id(0), &whole), delta_of(id(1), &half), delta_of(id(2), &again)];
    let (statistics, holders) = scan(&entries);
    assert_eq!((holders, reasons(&statistics)), (3, vec![]));
}

#[test]
fn a_forest_holds_what_is_wanted() {
    let (statistics, _) = scan(&[Crafted { header: header(5, 3), data: b"odd".to_vec() }, blob(b"good")]);
    assert_eq!(reasons(&statistics), ["corrupt: the pack has no entry there"]);
    let wanted = Wanted { blobs: true, messages: false, trees: false };
    let empty = Pack {
        path: "empty.pack".into(),
        index: table(&mut Vec::new(), HashKind::Sha1).unwrap(),
        bytes: Stored::Memory(vec![0; 32]),
        hash: HashKind::Sha1,
        number: 0,
    };
    assert!(forest::grow(&empty, wanted, &mut Statistics::default()).unwrap().nodes.is_empty());
}
