//! Lines of a text, by the bytes in them.

const BYTE_ORDER_MARK: char = '\u{feff}';

/// The beginning of a byte's line, after a byte order mark.
pub(super) fn start(text: &str, at: usize) -> usize {
    let start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1);
    start + text.get(start..).map_or(0, |line| if line.starts_with(BYTE_ORDER_MARK) { 3 } else { 0 })
}

/// The end of a byte's line, before its line break.
pub(super) fn end(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let line = rest.split('\n').next().unwrap_or_default();
    at + line.strip_suffix('\r').unwrap_or(line).len()
}

/// The end of a byte's line, after its line break.
pub(super) fn after(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.find('\n').map_or(rest.len(), |newline| newline + 1)
}

/// The column of a byte, from 0, in bytes.
pub(super) fn column(text: &str, at: usize) -> usize {
    at.saturating_sub(start(text, at))
}

/// The end of the last line above a byte's that is not blank; nothing if there is none.
pub(super) fn end_above(text: &str, at: usize) -> Option<usize> {
    let above = text.get(..start(text, at)).unwrap_or_default();
    let length = above.trim_end().len();
    let is_empty = above.trim_start_matches(BYTE_ORDER_MARK).trim().is_empty();
    (!is_empty).then(|| end(text, length))
}

/// The line break that a document uses: its first.
pub(super) fn newline(text: &str) -> &'static str {
    match text.split_once('\n') {
        Some((line, _)) if line.ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_around_a_byte() {
        let text = "\u{feff}ab \r\n \t\r\ncd";
        assert_eq!((start(text, 4), end(text, 4), after(text, 4)), (3, 6, 8));
        assert_eq!((start(text, 13), end(text, 13), after(text, 13), column(text, 13)), (12, 14, 14, 1));
        assert_eq!((end_above(text, 13), end_above(text, 4)), (Some(6), None));
    }
}
