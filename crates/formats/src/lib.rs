//! The files that hold a project's secrets, read and written without losing a byte: `.env` in its dialects, trees of
//! JSON, YAML, TOML and INI, and SOPS documents over them. Pure: text in, text out.

pub mod document;
pub mod dotenv;
pub mod sops;
