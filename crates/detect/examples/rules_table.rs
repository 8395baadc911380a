//! Prints docs/scan-rules-table.md.

fn main() {
    print!("{}", strongroom_detect::builtin::markdown());
}
