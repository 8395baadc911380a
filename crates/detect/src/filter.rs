//! betterleaks' filters: a small part of the Expr language.

/// An expression over a finding, or over the attributes of a fragment.
#[derive(Debug)]
pub struct Filter {
    source: String,
}

impl Filter {
    /// The expression as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }
}
