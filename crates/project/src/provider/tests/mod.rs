//! Providers against small servers that count, delay and misbehave. Against real ones: `tests/`.

mod aws;

use super::*;

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
