//! What a purge reads from people: files of replacements, globs.

use super::Target;
use strongroom_scan::purge::{Lines, Removals, Replacements, read_replacements};

pub const TARGETS: &[Target] = &[Target {
    name: "replacements",
    examples: &[
        "fake-value-one\nliteral:fake-value-two==>other\nregex:key=(\\w{8,})==>key=\\1\nglob:token*end[0-9]==>$1\n",
        "regex:(?P<name>AKIA[0-9A-Z]{16})==>${name}\\g<name>\\n\r\nregex:^x{10,20}$==>\\$\nglob:*{a,b}*[!c]?==>\n",
    ],
    run: replacements,
}];

/// What is read can be applied to any text, and leaves none of the literal values that no replacement brings back.
pub fn replacements(bytes: &[u8]) {
    for lines in [Lines::Whole, Lines::Each] {
        let mut replacements = Replacements::default();
        if read_replacements(bytes, "file", lines, &mut replacements).is_err() {
            continue;
        }
        replacements.prepare();
        let mut counts = vec![0; replacements.sources().len()];
        for text in [bytes, b"key=password123 fake-value-one token and end7 AKIA0123456789ABCDEF\n"] {
            if let Some(replaced) = replacements.replace(text, &mut counts) {
                assert!(replaced != text && replacements.contains(text));
            }
        }
        assert!(!format!("{replacements:?}").contains("fake-value"));
    }
    if let Ok(glob) = std::str::from_utf8(bytes) {
        let mut removals = Removals::default();
        let _ = (
            removals.add_files(glob),
            removals.add_folders(glob),
            removals.add_path(glob),
            removals.add_path_glob(glob),
        );
    }
}
