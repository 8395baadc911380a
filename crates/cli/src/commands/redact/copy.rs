//! From an input through a redactor to an output, as it comes.

use crate::failure::{Failure, Kind};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};
use strongroom_detect::redact::{HELD_MAX, Stream};
use zeroize::Zeroizing;

const CHUNK_BYTES: usize = 256 << 10;

/// A file, a pipe or a terminal, without a buffer of its own.
pub struct Input(File);

impl Input {
    pub fn of(file: File) -> Self {
        Self(file)
    }

    pub fn standard() -> Result<Self, Failure> {
        let owned = io::stdin().as_fd().try_clone_to_owned();
        owned.map(|owned| Self(owned.into())).map_err(|error| Failure::other(format!("cannot read: {error}")))
    }

    pub fn file(path: &Path) -> Result<Self, Failure> {
        File::open(path).map(Self).map_err(|error| {
            let kind = if error.kind() == io::ErrorKind::NotFound { Kind::Missing } else { Kind::Other };
            Failure::new(kind, format!("{}: {error}", path.display()))
        })
    }

    /// `None`: nothing has come until the deadline.
    fn read(&mut self, chunk: &mut [u8], deadline: Option<Instant>) -> io::Result<Option<usize>> {
        if deadline.is_some_and(|deadline| !self.has_more(deadline)) {
            return Ok(None);
        }
        loop {
            match self.0.read(chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read.map(Some),
            }
        }
    }

    fn has_more(&self, deadline: Instant) -> bool {
        loop {
            let left = deadline.saturating_duration_since(now());
            let mut waiting = [PollFd::new(&self.0, PollFlags::IN)];
            let left =
                Timespec { tv_sec: 0, tv_nsec: left.min(Duration::from_millis(999)).subsec_nanos().into() };
            match poll(&mut waiting, Some(&left)) {
                Err(Errno::INTR) => {}
                // What cannot be waited for is read.
                ready => return ready.map_or(true, |ready| ready > 0),
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the composition root asks the real clock")]
fn now() -> Instant {
    Instant::now()
}

/// Copies all of the input. What is held back is let go when nothing has shown for [`HELD_MAX`] what it is.
pub fn copy(stream: &mut Stream, input: &mut Input, output: &mut impl Write) -> io::Result<()> {
    let mut chunk = Zeroizing::new(vec![0; CHUNK_BYTES]);
    let mut shown = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4);
    let mut held: Option<(u64, Instant)> = None;
    loop {
        let read = input.read(&mut chunk, held.map(|(_, deadline)| deadline))?;
        shown.clear();
        match read {
            None => stream.flush(&mut shown),
            Some(0) => stream.finish(&mut shown),
            Some(length) => stream.push(chunk.get(..length).unwrap_or_default(), &mut shown),
        }
        output.write_all(&shown)?;
        if read == Some(0) {
            return output.flush();
        }
        if read.is_none() {
            // What is held even so waits for what follows it.
            held = None;
            continue;
        }
        let deadline = |from| held.filter(|(known, _)| *known == from).map(|(_, deadline)| deadline);
        held = stream.held_from().map(|from| (from, deadline(from).unwrap_or_else(|| now() + HELD_MAX)));
    }
}
