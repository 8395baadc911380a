//! python-dotenv: `${NAME}` and `${NAME:-default}`, and nothing else (`dotenv/variables.py`).

use super::{Pieces, Variable};

/// A piece of a value before its variables are put in.
#[derive(Debug, PartialEq, Eq)]
pub enum Atom<'t> {
    Literal(&'t str),
    Variable { name: &'t str, default: Option<&'t str> },
}

/// The atoms of a value. A name may be empty, and holds anything but `}` and `:`.
pub fn atoms(value: &str) -> Vec<Atom<'_>> {
    let mut atoms = Vec::new();
    let mut scan = Scan::new(value);
    let (mut literal, mut from) = (0, 0);
    while let Some(offset) = value.get(from..).and_then(|rest| rest.find("${")) {
        let start = from + offset;
        let Some((name, default, end)) = scan.variable(start + 2) else {
            from = start + 2;
            continue;
        };
        if start > literal {
            atoms.push(Atom::Literal(value.get(literal..start).unwrap_or_default()));
        }
        atoms.push(Atom::Variable { name, default });
        (literal, from) = (end, end);
    }
    if literal < value.len() {
        atoms.push(Atom::Literal(value.get(literal..).unwrap_or_default()));
    }
    atoms
}

/// Looks for the ends of names and defaults, and remembers what it has found: many `${` before one end cost no more
/// than one.
struct Scan<'t> {
    value: &'t str,
    next_end_of_name: Option<usize>,
    next_brace: Option<usize>,
}

impl<'t> Scan<'t> {
    fn new(value: &'t str) -> Self {
        Self { value, next_end_of_name: Some(0), next_brace: Some(0) }
    }

    /// A variable whose name starts here: name, default, and the position behind the `}`.
    fn variable(&mut self, start: usize) -> Option<(&'t str, Option<&'t str>, usize)> {
        let ends = find_from(self.value, start, &mut self.next_end_of_name, |c| c == '}' || c == ':')?;
        let name = self.value.get(start..ends)?;
        let rest = self.value.get(ends..)?;
        if rest.starts_with('}') {
            return Some((name, None, ends + 1));
        }
        rest.strip_prefix(":-")?;
        let brace = find_from(self.value, ends + 2, &mut self.next_brace, |c| c == '}')?;
        Some((name, Some(self.value.get(ends + 2..brace)?), brace + 1))
    }
}

fn find_from(
    value: &str,
    start: usize,
    known: &mut Option<usize>,
    is_end: impl Fn(char) -> bool,
) -> Option<usize> {
    if (*known)? < start || start == 0 || !value.get((*known)?..)?.starts_with(&is_end) {
        *known = value.get(start..).and_then(|rest| rest.find(&is_end)).map(|offset| start + offset);
    }
    *known
}

/// The value in pieces. A variable without a value counts as set and empty: its default does not come in.
pub(crate) fn pieces<'t>(value: &'t str, variable: Variable<'t, '_>) -> Pieces<'t> {
    let piece = |atom: Atom<'t>| match atom {
        Atom::Literal(text) => text,
        Atom::Variable { name, default } => variable(name).or(default).unwrap_or_default(),
    };
    atoms(value).into_iter().map(piece).collect()
}
