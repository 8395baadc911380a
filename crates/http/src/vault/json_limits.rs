//! A look at JSON before it is parsed: how deep, how many.

use strongroom_secret::limits::{JSON_DEPTH_MAX, JSON_ENTRIES_MAX};
use thiserror::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JsonLimit {
    #[error("JSON is nested too deep: the limit is {JSON_DEPTH_MAX} levels")]
    Depth,
    #[error("JSON has too many entries: the limit is {JSON_ENTRIES_MAX}")]
    Entries,
}

/// Counts brackets and commas outside strings. Whether it is JSON at all is for the parser to say.
pub fn check(json: &[u8]) -> Result<(), JsonLimit> {
    let (mut depth, mut entries) = (0_usize, 0_usize);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'{' | b'[' => {
                depth += 1;
                entries += 1;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => entries += 1,
            _ => continue,
        }
        if depth > JSON_DEPTH_MAX {
            return Err(JsonLimit::Depth);
        }
        if entries > JSON_ENTRIES_MAX {
            return Err(JsonLimit::Entries);
        }
    }
    Ok(())
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_and_entries_are_bounded() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(check(nested(JSON_DEPTH_MAX).as_bytes()), Ok(()));
        assert_eq!(check(nested(JSON_DEPTH_MAX + 1).as_bytes()), Err(JsonLimit::Depth));
        assert_eq!(
            check(format!("[{}1]", "1,".repeat(JSON_ENTRIES_MAX)).as_bytes()),
            Err(JsonLimit::Entries)
        );
        let text = format!(r#"{{"a":"{}\"{}"}}"#, "[".repeat(100), ",".repeat(JSON_ENTRIES_MAX));
        assert_eq!(check(text.as_bytes()), Ok(()));
        assert_eq!(check(br#"{"open\"#), Ok(()));
    }
}
