//! PEM (RFC 7468).

use ::pem::{EncodeConfig, LineEnding, Pem};

/// One block, with a newline at its end.
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    ::pem::encode_config(&Pem::new(label, der), EncodeConfig::new().set_line_ending(LineEnding::LF))
}

/// The bytes of the first block if it has this label.
pub(crate) fn decode_one(text: &str, label: &str) -> Option<Vec<u8>> {
    ::pem::parse(text).ok().filter(|block| block.tag() == label).map(Pem::into_contents)
}

/// Every block: its label and its bytes. None where something is no PEM, or there is nothing.
pub(crate) fn decode_all(text: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let blocks = ::pem::parse_many(text).ok().filter(|blocks| !blocks.is_empty())?;
    Some(blocks.into_iter().map(|block| (block.tag().to_owned(), block.into_contents())).collect())
}
