//! What bytes from outside are, and how the detector gets to see them: encodings, and streams in pieces.

mod encoding;
mod gitleaks;
mod inspector;
mod pieces;
mod utf16;

pub use encoding::{Encoding, Endian, encoding_of};
pub use inspector::{Binaries, ContentOptions, Cutting};
pub(crate) use inspector::{Inspector, Opened};
#[cfg(test)]
pub(crate) use pieces::PIECE_BYTES;
pub(crate) use pieces::{Piece, Pieces};
pub use utf16::{Utf16Reader, offset_in_utf16};
