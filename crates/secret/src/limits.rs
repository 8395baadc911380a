//! Bounds on what comes from outside, checked before anything is parsed.

/// The whole path of a request after `/v1/`, in bytes.
pub const REQUEST_PATH_BYTES_MAX: usize = 4096;
/// One segment of a path, in bytes.
pub const PATH_SEGMENT_BYTES_MAX: usize = 1024;
/// Segments in a path.
pub const PATH_SEGMENTS_MAX: usize = 128;
/// Depth of nested namespaces.
pub const NAMESPACE_DEPTH_MAX: usize = 16;
/// A policy name, in bytes.
pub const POLICY_NAME_BYTES_MAX: usize = 512;
/// A policy document, in bytes.
pub const POLICY_TEXT_BYTES_MAX: usize = 1 << 20;
/// A request body, in bytes, unless the listener is configured otherwise.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// Nesting of JSON.
pub const JSON_DEPTH_MAX: usize = 64;
/// Entries in one JSON document.
pub const JSON_ENTRIES_MAX: usize = 100_000;
