//! Archives, compressed files and what is in them, to a depth: by their content, whatever their name is. Container
//! images are tars of tars, and need nothing of their own.
//!
//! Nothing is unpacked to disk but an inner zip that does not fit in memory (into a file without a name): its directory
//! stands at its end.

mod kind;
mod limits;
mod zstandard;

use crate::content::{Inspector, Opened};
use crate::located::SkipReason;
pub(crate) use kind::Kind;
pub use limits::ArchiveLimits;
pub(crate) use limits::Budget;
use limits::{Counted, Exceeded, Metered};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::rc::Rc;
use zstandard::ZstandardReader;

/// xz files say how much memory they need; the highest preset takes 65 MiB.
const XZ_MEMORY_KIB_MAX: u32 = 160 << 10;
const READ_BYTES: usize = 64 << 10;
/// Names beyond this are cut.
const NAME_BYTES_MAX: u64 = 64 << 10;

/// Where something stands: in a file, or in archives in that file.
#[derive(Debug, Clone)]
pub(crate) struct Within {
    pub(crate) path: String,
    /// How many more archives may be opened.
    pub(crate) depth_left: usize,
    /// It came out of a compressed file, which has counted as an archive: a tar in it is not one more.
    pub(crate) decompressed: bool,
    pub(crate) budget: Rc<Budget>,
}

impl Within {
    fn member(&self, name: &[u8]) -> Self {
        let name = String::from_utf8_lossy(name).replace('\\', "/");
        let name = name.trim_start_matches("./").trim_start_matches('/');
        Self { path: format!("{}!{name}", self.path), decompressed: false, ..self.clone() }
    }
}

/// Opens an archive and has its members looked at. `head` is what was read of it already, `opened` the rest.
pub(crate) fn inspect(
    inspector: &mut Inspector<'_>,
    kind: Kind,
    head: &[u8],
    opened: Opened<'_>,
    within: &Within,
) {
    let outcome = match kind {
        Kind::Foreign(name) => {
            return inspector.skip(&within.path, SkipReason::Unsupported, &format!("{name} is not opened"));
        }
        Kind::Zip => zip(inspector, head, opened, within),
        Kind::Tar => tar_members(inspector, &mut head.chain(opened.reader), within),
        compressed => decompressed(inspector, compressed, &mut head.chain(opened.reader), within),
    };
    if let Err(error) = outcome {
        let reason = match () {
            () if is_limit(&error) => SkipReason::TooLarge,
            () if error.kind() == io::ErrorKind::Unsupported => SkipReason::Unsupported,
            () => SkipReason::Corrupt,
        };
        inspector.skip(&within.path, reason, &error.to_string());
    }
}

/// Whether a read ended because of [`ArchiveLimits`].
pub(crate) fn is_limit(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Exceeded>())
}

/// One file in fewer bytes. It keeps its path: `logs.gz` is the file that is in it.
fn decompressed(
    inspector: &mut Inspector<'_>,
    kind: Kind,
    source: &mut dyn Read,
    within: &Within,
) -> io::Result<()> {
    let (counted, input) = Counted::new(source);
    let source = BufReader::with_capacity(READ_BYTES, counted);
    let reader: Box<dyn Read + '_> = match kind {
        Kind::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        Kind::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(source)),
        Kind::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(source, true, XZ_MEMORY_KIB_MAX)),
        _ => Box::new(ZstandardReader::new(source)),
    };
    let mut reader = Metered::new(reader, input, &within.budget);
    let inner = Within { decompressed: true, ..within.clone() };
    inspector.inspect(Opened::stream(&mut reader), inner);
    Ok(())
}

/// Headers are taken one by one: what describes a member's name is bounded before it is read.
fn tar_members(inspector: &mut Inspector<'_>, source: &mut dyn Read, within: &Within) -> io::Result<()> {
    let mut archive = tar::Archive::new(source);
    let mut long_name: Option<Vec<u8>> = None;
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry.map_err(|error| stopped(error, within))?;
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() {
            let mut name = Vec::new();
            (&mut entry).take(NAME_BYTES_MAX).read_to_end(&mut name)?;
            name.truncate(name.iter().position(|byte| *byte == 0).unwrap_or(name.len()));
            long_name = Some(name);
        } else if kind.is_pax_local_extensions() {
            let mut records = Vec::new();
            (&mut entry).take(NAME_BYTES_MAX).read_to_end(&mut records)?;
            long_name = pax_path(&records).or(long_name);
        } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
            within.budget.entry().map_err(io::Error::other)?;
            let name = long_name.take().unwrap_or_else(|| entry.header().path_bytes().into_owned());
            inspector.inspect(Opened::stream(&mut entry), within.member(&name));
            if let Some(exceeded) = within.budget.exceeded() {
                return Err(io::Error::other(exceeded));
            }
        } else if !kind.is_pax_global_extensions() && !kind.is_gnu_longlink() {
            long_name = None;
        }
    }
    Ok(())
}

/// An error at the edge of a member says how far one came.
fn stopped(error: io::Error, within: &Within) -> io::Error {
    if is_limit(&error) {
        return error;
    }
    let text = format!("{error}; what comes after {} members was not looked at", within.budget.entries());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// The path in the records of a pax header: `LENGTH path=VALUE`, each ended by a newline (POSIX, pax).
fn pax_path(mut records: &[u8]) -> Option<Vec<u8>> {
    let mut path = None;
    while let Some(space) = records.iter().position(|byte| *byte == b' ') {
        let length: usize = std::str::from_utf8(records.get(..space)?).ok()?.parse().ok()?;
        let record = records.get(space + 1..length.checked_sub(1)?)?;
        if let Some(value) = record.strip_prefix(b"path=") {
            path = Some(value.to_vec());
        }
        records = records.get(length..)?;
    }
    path
}

/// A zip is read by its directory, which stands at the end.
fn zip(inspector: &mut Inspector<'_>, head: &[u8], opened: Opened<'_>, within: &Within) -> io::Result<()> {
    if opened.ended {
        return zip_members(inspector, head, head.len() as u64, within);
    }
    let file = match opened.file {
        Some(file) => file.try_clone()?,
        None => spooled(head, opened.reader)?,
    };
    let size = file.metadata()?.len();
    zip_members(inspector, rawzip::FileReader::from(file), size, within)
}

/// What an inner zip may take on disk while it is looked at.
const INNER_ZIP_BYTES_MAX: u64 = 1 << 30;

/// An inner zip that is longer than the buffer. The file has no name: nobody else can open it, and it is gone when the
/// scan is, however that ends.
fn spooled(head: &[u8], rest: &mut dyn Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(head)?;
    if io::copy(&mut rest.take(INNER_ZIP_BYTES_MAX), &mut file)? == INNER_ZIP_BYTES_MAX {
        return Err(io::Error::other(Exceeded::InnerZip(INNER_ZIP_BYTES_MAX)));
    }
    file.rewind()?;
    Ok(file)
}

fn zip_members<R: rawzip::ReaderAt>(
    inspector: &mut Inspector<'_>,
    source: R,
    size: u64,
    within: &Within,
) -> io::Result<()> {
    let mut buffer = vec![0; rawzip::RECOMMENDED_BUFFER_SIZE];
    let archive = rawzip::ZipLocator::new()
        .locate_in_reader(source, &mut buffer, size)
        .map_err(|(_, error)| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let mut entries = archive.entries(&mut buffer);
    loop {
        let entry = match entries.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(()),
            Err(error) => return Err(stopped(io::Error::new(io::ErrorKind::InvalidData, error), within)),
        };
        if entry.is_dir() {
            continue;
        }
        within.budget.entry().map_err(io::Error::other)?;
        let member = within.member(entry.file_path().as_bytes());
        if entry.flags().is_encrypted() {
            inspector.skip(&member.path, SkipReason::Unsupported, "it is encrypted");
            continue;
        }
        let method = entry.compression_method();
        match archive.get_entry(entry.wayfinder()) {
            Ok(found) => zip_member(inspector, method, found.reader(), member),
            Err(error) => inspector.skip(&member.path, SkipReason::Corrupt, &error.to_string()),
        }
        within.budget.forgive_ratio();
        if let Some(exceeded) = within.budget.exceeded() {
            return Err(io::Error::other(exceeded));
        }
    }
}

fn zip_member(
    inspector: &mut Inspector<'_>,
    method: rawzip::CompressionMethod,
    source: impl Read,
    member: Within,
) {
    use rawzip::CompressionMethod as Method;
    let (counted, input) = Counted::new(source);
    let source = BufReader::with_capacity(READ_BYTES, counted);
    let reader: Box<dyn Read + '_> = match method {
        Method::STORE => Box::new(source),
        Method::DEFLATE => Box::new(flate2::bufread::DeflateDecoder::new(source)),
        Method::BZIP2 => Box::new(bzip2::bufread::MultiBzDecoder::new(source)),
        Method::ZSTD | Method::ZSTD_DEPRECATED => Box::new(ZstandardReader::new(source)),
        Method::XZ => Box::new(lzma_rust2::XzReader::new_mem_limit(source, true, XZ_MEMORY_KIB_MAX)),
        other => {
            let detail = format!("its method of compression is not known: {other}");
            return inspector.skip(&member.path, SkipReason::Unsupported, &detail);
        }
    };
    let mut reader = Metered::new(reader, input, &member.budget);
    inspector.inspect(Opened::stream(&mut reader), member);
}

#[cfg(test)]
mod tests;
