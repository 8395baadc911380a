use super::*;
use crate::content::ContentOptions;
use crate::files::scan_stream;
use crate::located::Watch;
use crate::planted::{NEEDLE, collected, detector, told};
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};

/// `token = NEEDLE`, by the ordinary tools.
const XZ: &str = "fd377a585a000004e6d6b4460200210116000000742fe5a301001c746f6b656e203d207a717a5f6e6565646c65303132333435363738390a00000000c51a6348fea045490001351d441bb1e11fb6f37d010000000004595a";
const ZSTD: &str = "28b52ffd241de90000746f6b656e203d207a717a5f6e6565646c65303132333435363738390a4580caf9";
const BZIP2: &str = "425a6839314159265359a4d2c29c00000d5b80001040007fe20000860da4102000228034699064d0a00311a69a341e96eb60be072466c29034559ab07987e2ee48a70a12149a585380";

fn scan_within(bytes: &[u8], archives: ArchiveLimits) -> Vec<String> {
    let options = ContentOptions { archives, ..ContentOptions::default() };
    let mut source = bytes;
    let (found, statistics) =
        collected(|sink| scan_stream(&detector(), &mut source, "a", &options, Watch::default(), sink));
    told(&found, &statistics)
}

fn scan(bytes: &[u8]) -> Vec<String> {
    scan_within(bytes, ArchiveLimits::default())
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn tar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn zip_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut archive = rawzip::ZipArchiveWriter::new(&mut bytes);
    for (name, content) in members {
        let (mut entry, config) =
            archive.new_file(*name).compression_method(rawzip::CompressionMethod::DEFLATE).start().unwrap();
        let encoder = DeflateEncoder::new(&mut entry, Compression::default());
        let mut writer = config.wrap(encoder);
        writer.write_all(content).unwrap();
        let (encoder, descriptor) = writer.finish().unwrap();
        encoder.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap();
    bytes
}

fn text() -> Vec<u8> {
    format!("token = {NEEDLE}\n").into_bytes()
}

#[test]
fn compressed_files_keep_their_path() {
    for digits in [XZ, ZSTD, BZIP2] {
        assert_eq!(scan(&hex::decode(digits).unwrap()), ["a:1:9"]);
    }
    assert_eq!(scan(&gz(&text())), ["a:1:9"]);
    let two = [gz(b"one\n"), gz(&text())].concat();
    assert_eq!(scan(&two), ["a:2:9"], "two members of a gzip are one text");
    let frames = [hex::decode("502a4d1803000000abcdef").unwrap(), hex::decode(ZSTD).unwrap()].concat();
    assert_eq!(scan(&[hex::decode(ZSTD).unwrap(), frames].concat()), ["a:1:9", "a:2:9"]);
}

#[test]
fn archives_in_archives() {
    let name = format!("{}/long.txt", "d".repeat(150));
    let inner = zip_of(&[("x/in.txt", &text()), ("two.gz", &gz(&text()))]);
    let tar = tar_of(&[(&name, &text()), ("lib.jar", &inner)]);
    let expected = [format!("a!{name}:1:9"), "a!lib.jar!x/in.txt:1:9".into(), "a!lib.jar!two.gz:1:9".into()];
    assert_eq!(scan(&tar), expected);
    assert_eq!(scan(&gz(&tar)), expected, "a tar.gz is one archive");
}

#[test]
fn the_layers_of_images() {
    let layer = tar_of(&[("etc/app.conf", &text())]);
    let saved = tar_of(&[("manifest.json", b"[]"), ("0a1b/layer.tar", &layer)]);
    assert_eq!(scan(&saved), ["a!0a1b/layer.tar!etc/app.conf:1:9"]);
    let oci = tar_of(&[("index.json", b"{}"), ("blobs/sha256/77aa", &gz(&layer))]);
    assert_eq!(scan(&oci), ["a!blobs/sha256/77aa!etc/app.conf:1:9"]);
}

#[test]
fn pax_names() {
    let mut records = Vec::new();
    records.extend_from_slice(b"21 atime=123456789.5\n");
    records.extend_from_slice(b"20 path=from-pax/\xc3\xa9\n");
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_path("PaxHeaders").unwrap();
    header.set_size(records.len() as u64);
    header.set_cksum();
    builder.append(&header, records.as_slice()).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_path("short").unwrap();
    header.set_size(text().len() as u64);
    header.set_cksum();
    builder.append(&header, text().as_slice()).unwrap();
    assert_eq!(scan(&builder.into_inner().unwrap()), ["a!from-pax/\u{e9}:1:9"]);
    assert_eq!(pax_path(b"7 path="), None);
    assert_eq!(pax_path(b"99999999999999999999 path=x\n"), None);
}

#[test]
fn depth_is_bounded() {
    let mut bytes = zip_of(&[("t", &text())]);
    for _ in 0..3 {
        bytes = zip_of(&[("z", &bytes)]);
    }
    let depth = |depth| scan_within(&bytes, ArchiveLimits { depth, ..ArchiveLimits::default() });
    assert_eq!(depth(4), ["a!z!z!z!t:1:9"]);
    assert_eq!(depth(3), ["too-deep a!z!z!z"]);
    assert_eq!(scan_within(&bytes, ArchiveLimits::NONE), ["too-deep a"]);
    let mut layers = text();
    for _ in 0..50 {
        layers = gz(&layers);
    }
    assert_eq!(scan(&layers), ["too-deep a"], "compressed in compressed in compressed");
}

#[test]
fn bombs_end_at_their_bounds() {
    assert_eq!(scan(&gz(&vec![0; 80 << 20])), ["binary a"], "what is not looked at is not unpacked");
    let dense = vec![b'\n'; 80 << 20];
    assert_eq!(scan(&gz(&dense)), ["too-large a"]);
    let with_bomb = zip_of(&[("bomb", &dense), ("after", &text())]);
    assert_eq!(scan(&with_bomb), ["a!after:1:9", "too-large a!bomb"], "the others are looked at");
    let many: Vec<(&str, &[u8])> = vec![("m", b"x"); 20];
    let limits = ArchiveLimits { entries: 5, ..ArchiveLimits::default() };
    assert_eq!(scan_within(&tar_of(&many), limits.clone()), ["too-large a"]);
    assert_eq!(scan_within(&zip_of(&many), limits), ["too-large a"]);
    let limits = ArchiveLimits { bytes: 1000, ..ArchiveLimits::default() };
    let large: Vec<u8> = (0..4000_u32).flat_map(|n| n.to_string().into_bytes()).collect();
    let told = scan_within(&zip_of(&[("m", &large), ("n", &text())]), limits);
    assert_eq!(told, ["too-large a!m", "too-large a"]);
}

#[test]
fn damaged_archives_are_looked_at_as_far_as_they_go() {
    let tar = tar_of(&[("one", &text()), ("two", &text())]);
    let mut cut = gz(&[tar.clone(), vec![7; 5000]].concat());
    cut.truncate(cut.len() - 6);
    let told = scan(&cut);
    assert_eq!(told.get(..2).unwrap(), ["a!one:1:9", "a!two:1:9"], "{told:?}");
    let mut torn = tar;
    torn.truncate(1024 + 700);
    let told = scan(&torn);
    assert_eq!(told.first().unwrap(), "a!one:1:9");
    assert!(told.iter().any(|line| line.starts_with("corrupt ")), "{told:?}");
    let mut zip = zip_of(&[("one", &text())]);
    zip.truncate(zip.len() - 30);
    assert_eq!(scan(&zip), ["corrupt a"]);
    assert_eq!(scan(b"7z\xbc\xaf\x27\x1c\0\x04"), ["unsupported a"]);
}

#[test]
fn an_encrypted_member_is_said() {
    let mut zip = zip_of(&[("secret", &text())]);
    let central = memchr::memmem::rfind(&zip, b"PK\x01\x02").unwrap();
    zip[central + 8] |= 1;
    assert_eq!(scan(&zip), ["unsupported a!secret"]);
}

#[test]
fn a_zip_within_a_stream_that_does_not_fit_the_buffer() {
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(5_000_000)
    .collect();
    let zip = zip_of(&[("noise", &noise), ("t", &text())]);
    assert!(zip.len() > crate::content::PIECE_BYTES);
    let told = scan(&tar_of(&[("big.zip", &zip)]));
    assert_eq!(told, ["a!big.zip!t:1:9", "binary a!big.zip!noise"]);
}
