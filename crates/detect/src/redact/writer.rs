//! Writers that redact: around any other, and as what `tracing-subscriber` makes for each event.

use super::{Redactor, Stream};
use std::io::{self, Write};
use std::sync::Arc;

/// Redacts what is written to another writer. What is held back is written by `flush`, as far as it can be, and when this is
/// dropped, whole.
pub struct Redacting<W: Write> {
    to: W,
    stream: Stream,
    shown: Vec<u8>,
}

impl<W: Write> Redacting<W> {
    pub fn new(to: W, redactor: Arc<Redactor>) -> Self {
        Self { to, stream: Stream::new(redactor), shown: Vec::new() }
    }

    fn pass_on(&mut self, step: impl FnOnce(&mut Stream, &mut Vec<u8>)) -> io::Result<()> {
        self.shown.clear();
        step(&mut self.stream, &mut self.shown);
        self.to.write_all(&self.shown)
    }
}

impl<W: Write> Write for Redacting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pass_on(|stream, shown| stream.push(bytes, shown))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pass_on(|stream, shown| stream.flush(shown))?;
        self.to.flush()
    }
}

impl<W: Write> Drop for Redacting<W> {
    fn drop(&mut self) {
        // Nobody is left who could be told.
        let _ = self.pass_on(|stream, shown| stream.finish(shown)).and_then(|()| self.to.flush());
    }
}

#[cfg(feature = "tracing")]
pub use events::{EventWriter, RedactingEvents};

#[cfg(feature = "tracing")]
mod events {
    use super::{Arc, Redactor, Stream, Write, io};
    use std::sync::{Mutex, PoisonError};
    use tracing_subscriber::fmt::MakeWriter;

    /// More are not kept for the next events.
    const IDLE_MAX: usize = 16;

    /// Redacts a log of `tracing-subscriber`, event by event.
    ///
    /// ```
    /// use std::io::Write;
    /// use std::sync::{Arc, Mutex};
    /// use strongroom_detect::redact::{Redactor, RedactingEvents, Style, Values};
    /// use strongroom_secret::SecretBytes;
    ///
    /// let mut values = Values::telling();
    /// values.add("DB_PASSWORD", &SecretBytes::new(b"not-a-real-password".to_vec())).unwrap();
    /// let redactor = Arc::new(Redactor::new(values, Style::Name));
    /// # #[derive(Clone, Default)]
    /// # struct Log(Arc<Mutex<Vec<u8>>>);
    /// # impl Write for Log {
    /// #     fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> { self.0.lock().unwrap().write(bytes) }
    /// #     fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
    /// # }
    /// # let log = Log::default();
    /// # let to = log.clone();
    /// // Instead of `std::io::stderr`:
    /// let writer = RedactingEvents::new(move || to.clone(), redactor);
    /// let subscriber = tracing_subscriber::fmt().with_writer(writer).without_time().with_ansi(false).finish();
    /// tracing::subscriber::with_default(subscriber, || {
    ///     tracing::warn!(url = "postgres://app:not-a-real-password@db/shop", "cannot connect");
    /// });
    /// let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    /// assert!(text.contains("postgres://app:[DB_PASSWORD]@db/shop"), "{text}");
    /// ```
    pub struct RedactingEvents<M> {
        make: M,
        redactor: Arc<Redactor>,
        /// Streams with their buffers, for the next events.
        idle: Mutex<Vec<Stream>>,
    }

    impl<M> RedactingEvents<M> {
        pub fn new(make: M, redactor: Arc<Redactor>) -> Self {
            Self { make, redactor, idle: Mutex::default() }
        }

        fn stream(&self) -> Stream {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            idle.unwrap_or_else(|| Stream::new(Arc::clone(&self.redactor)))
        }
    }

    impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for RedactingEvents<M> {
        type Writer = EventWriter<'a, M::Writer>;

        fn make_writer(&'a self) -> Self::Writer {
            let (to, stream) = (self.make.make_writer(), Some(self.stream()));
            EventWriter { to, stream, shown: Vec::new(), idle: &self.idle }
        }

        fn make_writer_for(&'a self, metadata: &tracing::Metadata<'_>) -> Self::Writer {
            let (to, stream) = (self.make.make_writer_for(metadata), Some(self.stream()));
            EventWriter { to, stream, shown: Vec::new(), idle: &self.idle }
        }
    }

    /// Writes one event, as a whole, when it is dropped.
    pub struct EventWriter<'a, W: Write> {
        to: W,
        stream: Option<Stream>,
        shown: Vec<u8>,
        idle: &'a Mutex<Vec<Stream>>,
    }

    impl<W: Write> Write for EventWriter<'_, W> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(stream) = &mut self.stream {
                stream.push(bytes, &mut self.shown);
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<W: Write> Drop for EventWriter<'_, W> {
        fn drop(&mut self) {
            let Some(mut stream) = self.stream.take() else { return };
            stream.finish(&mut self.shown);
            // A log that cannot be written has nobody to tell.
            let _ = self.to.write_all(&self.shown).and_then(|()| self.to.flush());
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < IDLE_MAX {
                idle.push(stream);
            }
        }
    }
}
