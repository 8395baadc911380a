use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// Bytes that are wiped when dropped, print as `[redacted]`, and compare in constant time.
#[derive(Default)]
pub struct SecretBytes(Vec<u8>);

/// Text that is wiped when dropped, prints as `[redacted]`, and compares in constant time.
#[derive(Default)]
pub struct SecretString(String);

impl SecretBytes {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes themselves. Every call is a place where a secret can get out: keep them few.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// A second copy, made on purpose.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }
}

impl SecretString {
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself. Every call is a place where a secret can get out: keep them few.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A second copy, made on purpose.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<String> for SecretString {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for SecretString {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

impl Drop for SecretString {
    fn drop(&mut self) {
        wipe(&mut std::mem::take(&mut self.0).into_bytes());
    }
}

/// Overwrites the whole room of a vector, and empties it. The same as its own `zeroize`, which goes byte by byte: that takes longer
/// than most of what is done with a text.
pub fn wipe(bytes: &mut Vec<u8>) {
    bytes.as_mut_slice().zeroize();
    bytes.spare_capacity_mut().zeroize();
    bytes.clear();
}

impl PartialEq for SecretBytes {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl PartialEq for SecretString {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for SecretBytes {}
impl Eq for SecretString {}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_print() {
        let text = SecretString::from("not-a-real-secret");
        assert_eq!(format!("{text:?}"), "[redacted]");
        assert_eq!(format!("{:?}", SecretBytes::from(vec![1, 2])), "[redacted]");
        assert_eq!(text, text.duplicate());
        assert_ne!(text, SecretString::from("other"));
    }
}
