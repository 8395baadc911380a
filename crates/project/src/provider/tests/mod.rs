//! Providers against small servers that count, delay and misbehave. Against real ones: `tests/`.

mod aws;
mod azure;
mod cache;
mod file;
mod google;
mod others;
mod recorded;
mod recorded_credentials;

use super::*;
use crate::testing::surroundings;
use std::path::Path;

fn text(value: &str) -> Setting {
    Setting::Text(value.to_owned())
}

/// A provider of this kind, in a home folder and with variables, that repeats nothing.
fn open_with(
    kind: &str,
    home: &Path,
    variables: &[(&str, &str)],
    settings: &[(&str, Setting)],
) -> Box<dyn Provider> {
    let mut settings: Settings =
        settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let kind = Kind::named(kind).unwrap();
    if kind.rules().any(|rule| rule.name == "retries") {
        settings.insert("retries".to_owned(), Setting::Number(0));
    }
    kind.open(&settings, &surroundings(home, variables)).map_err(|problems| format!("{problems:?}")).unwrap()
}

#[test]
fn addresses_read_as_they_are_written() {
    for text in [
        "kv/pay",
        "kv/pay#stripe",
        "kv/pay?version=3#stripe",
        "arn:aws:x:y:secret:a/b-AbCdEf?version=AWSPREVIOUS",
    ] {
        assert_eq!(Address::parse(text).unwrap().to_string(), text);
    }
    assert_eq!(Address::parse("#x"), Err(AddressError::NoPath));
    assert_eq!(Address::parse("x#"), Err(AddressError::NoKey));
    assert_eq!(Address::parse("x?v=3"), Err(AddressError::Question));
    assert_eq!(Address::parse("x?version="), Err(AddressError::Question));
}
