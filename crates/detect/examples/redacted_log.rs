//! A program whose log never shows its secrets: `cargo run -p strongroom-detect --features tracing --example redacted_log`.

use std::sync::Arc;
use strongroom_detect::redact::{Patterns, RedactingEvents, Redactor, Style, Values};
use strongroom_detect::{Confidence, builtin};
use strongroom_secret::SecretBytes;

fn main() {
    // What the program was given: from its environment, a file, a server.
    let password = SecretBytes::new(b"not-a-real-password".to_vec());
    let mut values = Values::telling();
    if let Err(reason) = values.add("DB_PASSWORD", &password) {
        eprintln!("DB_PASSWORD is not taken out of the log: {reason}");
    }
    let patterns = Patterns::new(builtin::rules(), Confidence::Medium);
    let redactor = Arc::new(Redactor::new(values, Style::Name).with_patterns(patterns));
    tracing_subscriber::fmt().with_writer(RedactingEvents::new(std::io::stderr, redactor)).init();

    tracing::info!(url = "postgres://app:not-a-real-password@db/shop", "connecting");
    tracing::warn!("retrying with password=another-one that nobody has listed");
}
