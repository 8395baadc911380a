//! Go's regular expressions (RE2), rewritten for the `regex` crates.
//!
//! What differs, from <https://pkg.go.dev/regexp/syntax>: `\d`, `\w`, `\s`, `\b` and the named classes are ASCII; `\s` has no
//! vertical tab; a `{` that begins no repetition is an ordinary character; in a class `[`, `&&`, `--` and `~~` are ordinary
//! too; `\Q…\E` quotes; there are octal escapes. A byte that is no UTF-8 is one character that `.` and negated classes match.
//! Without regard to case, only ASCII letters fold (in Go the long s and the Kelvin sign do as well).

use super::PatternError;

/// Repetitions beyond are refused by Go too.
const REPEAT_MAX: u32 = 1000;
const NESTING_MAX: usize = 100;

/// The same expression for a parser with `unicode(false)` and `utf8(false)`.
pub(super) fn translate(source: &str) -> Result<String, PatternError> {
    let mut translator = Translator { rest: source, out: String::with_capacity(source.len() + 16), depth: 0 };
    translator.expression()?;
    Ok(translator.out)
}

struct Translator<'a> {
    rest: &'a str,
    out: String,
    depth: usize,
}

/// A class or a point, as far as it matters how it is written down.
enum Atom {
    /// Text that is valid as it stands.
    Narrow(String),
    /// The inside of a class that holds characters beyond ASCII. `any_byte` if also what is no UTF-8.
    Wide { class: String, any_byte: bool, bytes: Option<String> },
}

impl Translator<'_> {
    fn expression(&mut self) -> Result<(), PatternError> {
        while let Some(next) = self.next() {
            match next {
                '(' => self.group()?,
                ')' => {
                    self.depth =
                        self.depth.checked_sub(1).ok_or(PatternError::Syntax("a ) without its (".into()))?;
                    self.out.push(')');
                }
                '[' => {
                    let atom = self.class()?;
                    self.write(&atom);
                }
                '.' => self.point(),
                '\\' => self.escape()?,
                '{' => self.brace()?,
                '*' | '+' | '?' | '|' | '^' | '$' => self.out.push(next),
                literal => push_literal(&mut self.out, literal),
            }
        }
        if self.depth > 0 {
            return Err(PatternError::Syntax("a ( without its )".into()));
        }
        Ok(())
    }

    fn next(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.rest = self.rest.get(next.len_utf8()..).unwrap_or_default();
        Some(next)
    }

    fn eat(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn group(&mut self) -> Result<(), PatternError> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(PatternError::Syntax(format!("groups nested deeper than {NESTING_MAX}")));
        }
        self.out.push('(');
        if !self.eat("?") {
            return Ok(());
        }
        if ["=", "!", "<=", "<!"].iter().any(|look| self.rest.starts_with(look)) {
            return Err(PatternError::LookAround);
        }
        if self.eat("P<") || self.eat("<") {
            return self.name();
        }
        self.flags()
    }

    fn name(&mut self) -> Result<(), PatternError> {
        let Some((name, rest)) = self.rest.split_once('>') else {
            return Err(PatternError::Syntax("a group's name has no >".into()));
        };
        if name.is_empty() || !name.chars().all(|letter| letter == '_' || letter.is_ascii_alphanumeric()) {
            return Err(PatternError::Syntax("a group's name consists of letters, digits and _".into()));
        }
        self.out.push_str("?P<");
        // Here a name may not begin with a digit.
        if name.starts_with(|first: char| first.is_ascii_digit()) {
            self.out.push('_');
        }
        self.out.push_str(name);
        self.out.push('>');
        self.rest = rest;
        Ok(())
    }

    /// `(?i:…)` or `(?i)`, after the question mark.
    fn flags(&mut self) -> Result<(), PatternError> {
        self.out.push('?');
        loop {
            match self.next() {
                Some(flag @ ('i' | 'm' | 's' | 'U' | '-')) => self.out.push(flag),
                Some(':') => {
                    self.out.push(':');
                    return Ok(());
                }
                Some(')') => {
                    // `(?)` and `(?-)` say nothing.
                    self.depth -= 1;
                    if self.out.ends_with('?') || self.out.ends_with('-') {
                        return Err(PatternError::Syntax("a group without flags".into()));
                    }
                    self.out.push(')');
                    return Ok(());
                }
                Some('>' | '|' | '(' | '#' | '&') => return Err(PatternError::LookAround),
                Some(other) => return Err(PatternError::Syntax(format!("there is no flag {other:?}"))),
                None => return Err(PatternError::Syntax("a group that does not end".into())),
            }
        }
    }

    /// A repetition, if it is written as one; else an ordinary character.
    fn brace(&mut self) -> Result<(), PatternError> {
        let Some((inside, rest)) = self.rest.split_once('}') else {
            self.out.push_str("\\{");
            return Ok(());
        };
        let (low, high) = inside.split_once(',').map_or((inside, None), |(low, high)| (low, Some(high)));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(low) || !high.is_none_or(|high| high.is_empty() || is_number(high)) {
            self.out.push_str("\\{");
            return Ok(());
        }
        let fits = |text: &str| text.parse::<u32>().is_ok_and(|count| count <= REPEAT_MAX);
        if !fits(low) || !high.is_none_or(|high| high.is_empty() || fits(high)) {
            return Err(PatternError::TooLarge);
        }
        self.out.push('{');
        self.out.push_str(inside);
        self.out.push('}');
        self.rest = rest;
        Ok(())
    }

    /// What follows makes it the same to count bytes or characters.
    fn is_repeated_freely(&self) -> bool {
        self.rest.starts_with(['*', '+'])
    }

    fn point(&mut self) {
        let text = if self.is_repeated_freely() { "." } else { "(?:(?u:.)|[\\x80-\\xff])" };
        self.out.push_str(text);
    }

    fn write(&mut self, atom: &Atom) {
        match atom {
            Atom::Narrow(text) => self.out.push_str(text),
            Atom::Wide { bytes: Some(bytes), .. } if self.is_repeated_freely() => self.out.push_str(bytes),
            Atom::Wide { class, any_byte: true, .. } => {
                self.out.push_str("(?:(?u:");
                self.out.push_str(class);
                self.out.push_str(")|[\\x80-\\xff])");
            }
            Atom::Wide { class, any_byte: false, .. } => {
                self.out.push_str("(?u:");
                self.out.push_str(class);
                self.out.push(')');
            }
        }
    }

    /// After a backslash, outside of a class.
    fn escape(&mut self) -> Result<(), PatternError> {
        if self.eat("Q") {
            let (quoted, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
            self.rest = rest;
            for literal in quoted.chars() {
                push_literal(&mut self.out, literal);
            }
            return Ok(());
        }
        let Some(next) = self.rest.chars().next() else {
            return Err(PatternError::Syntax("a \\ at the end".into()));
        };
        match next {
            'A' | 'z' | 'b' | 'B' => {
                self.next();
                self.out.push('\\');
                self.out.push(next);
            }
            'd' | 'w' | 's' | 'D' | 'W' | 'S' => {
                self.next();
                let (inside, is_negated) = perl_class(next);
                let atom = if is_negated {
                    let class = format!("[^{inside}]");
                    Atom::Wide { bytes: Some(class.clone()), class, any_byte: true }
                } else {
                    Atom::Narrow(format!("[{inside}]"))
                };
                self.write(&atom);
            }
            'p' | 'P' => {
                let class = self.unicode_class()?;
                self.write(&Atom::Wide { class, any_byte: next == 'P', bytes: None });
            }
            _ => {
                let literal = self.escaped_character()?;
                push_literal(&mut self.out, literal);
            }
        }
        Ok(())
    }

    /// `pN`, `p{Greek}`, `P{^Greek}`, beginning at the letter.
    fn unicode_class(&mut self) -> Result<String, PatternError> {
        let unknown = || PatternError::Syntax("a class of characters without its name".into());
        let letter = self.next().ok_or_else(unknown)?;
        let mut is_negated = letter == 'P';
        let name = if self.eat("{") {
            let (name, rest) = self.rest.split_once('}').ok_or_else(unknown)?;
            self.rest = rest;
            name.to_owned()
        } else {
            self.next().ok_or_else(unknown)?.to_string()
        };
        let name = match name.strip_prefix('^') {
            Some(name) => {
                is_negated = !is_negated;
                name
            }
            None => &name,
        };
        if name.is_empty() || !name.chars().all(|letter| letter == '_' || letter.is_ascii_alphanumeric()) {
            return Err(unknown());
        }
        Ok(format!("\\{}{{{name}}}", if is_negated { 'P' } else { 'p' }))
    }

    /// One character, after its backslash.
    fn escaped_character(&mut self) -> Result<char, PatternError> {
        let bad = |what: &str| PatternError::Syntax(format!("the escape {what} is not known"));
        let Some(next) = self.next() else { return Err(PatternError::Syntax("a \\ at the end".into())) };
        match next {
            'a' => Ok('\x07'),
            'f' => Ok('\x0c'),
            't' => Ok('\t'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            'v' => Ok('\x0b'),
            'x' => self.hexadecimal().ok_or_else(|| bad("\\x")),
            '1'..='7' if !self.rest.starts_with(|digit: char| digit.is_digit(8)) => {
                Err(PatternError::LookAround)
            }
            '0'..='7' => {
                let mut code = u32::from(next) - u32::from('0');
                for _ in 0..2 {
                    let Some(digit) = self.rest.chars().next().and_then(|digit| digit.to_digit(8)) else {
                        break;
                    };
                    code = code * 8 + digit;
                    self.next();
                }
                char::from_u32(code).ok_or_else(|| bad("\\0"))
            }
            other if other.is_ascii() && !other.is_ascii_alphanumeric() => Ok(other),
            other => Err(bad(&format!("\\{other}"))),
        }
    }

    /// `41` or `{1F600}`, after `\x`.
    fn hexadecimal(&mut self) -> Option<char> {
        let digits = if self.eat("{") {
            let (digits, rest) = self.rest.split_once('}')?;
            self.rest = rest;
            digits
        } else {
            let (digits, rest) = self.rest.split_at_checked(2)?;
            self.rest = rest;
            digits
        };
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        char::from_u32(u32::from_str_radix(digits, 16).ok()?)
    }

    /// A class, after its `[`.
    fn class(&mut self) -> Result<Atom, PatternError> {
        let is_negated = self.eat("^");
        let mut inside = String::new();
        let (mut is_wide, mut has_negated, mut is_first) = (false, false, true);
        loop {
            let Some(next) = self.rest.chars().next() else {
                return Err(PatternError::Syntax("a [ without its ]".into()));
            };
            match next {
                ']' if !is_first => {
                    self.next();
                    break;
                }
                '[' if self.rest.starts_with("[:") && self.rest.contains(":]") => {
                    inside.push_str(&self.named_class()?)
                }
                '\\' if self.rest.get(1..2).is_some_and(|kind| "dwsDWS".contains(kind)) => {
                    self.next();
                    let (set, is_set_negated) = self.next().map_or(("", false), perl_class);
                    has_negated |= is_set_negated;
                    if is_set_negated {
                        inside.push_str(&format!("[^{set}]"));
                    } else {
                        inside.push_str(set);
                    }
                }
                '\\' if self.rest.get(1..2).is_some_and(|kind| "pP".contains(kind)) => {
                    self.next();
                    is_wide = true;
                    has_negated |= self.rest.starts_with('P');
                    inside.push_str(&self.unicode_class()?);
                }
                _ => is_wide |= self.class_range(&mut inside)?,
            }
            is_first = false;
        }
        let class = format!("[{}{inside}]", if is_negated { "^" } else { "" });
        if !is_wide && !is_negated && !has_negated {
            return Ok(Atom::Narrow(class));
        }
        let bytes = (!is_wide).then(|| class.clone());
        Ok(Atom::Wide { class, any_byte: is_negated != has_negated, bytes })
    }

    /// `[:alpha:]` in a class.
    fn named_class(&mut self) -> Result<String, PatternError> {
        let end = self.rest.find(":]").map_or(0, |end| end + 2);
        let (name, rest) = self.rest.split_at_checked(end).unwrap_or_default();
        self.rest = rest;
        let known = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
            "space", "upper", "word", "xdigit",
        ];
        let plain = name.trim_start_matches("[:").trim_end_matches(":]");
        if known.contains(&plain.trim_start_matches('^')) {
            return Ok(name.to_owned());
        }
        Err(PatternError::Syntax(format!("there is no class [:{plain}:]")))
    }

    /// A character or a range of them, within a class. Answers whether it leaves ASCII.
    fn class_range(&mut self, inside: &mut String) -> Result<bool, PatternError> {
        let low = self.class_character()?;
        let mut high = low;
        let mut after = self.rest.chars();
        if after.next() == Some('-') && after.next().is_some_and(|next| next != ']') {
            self.next();
            high = self.class_character()?;
            if high < low {
                return Err(PatternError::Syntax(format!(
                    "the range {low:?} to {high:?} is the wrong way round"
                )));
            }
        }
        push_in_class(inside, low);
        if high != low {
            inside.push('-');
            push_in_class(inside, high);
        }
        Ok(!high.is_ascii())
    }

    fn class_character(&mut self) -> Result<char, PatternError> {
        match self.next() {
            Some('\\') => self.escaped_character(),
            Some(other) => Ok(other),
            None => Err(PatternError::Syntax("a [ without its ]".into())),
        }
    }
}

/// The inside of a class, and whether it is meant the other way round.
fn perl_class(letter: char) -> (&'static str, bool) {
    match letter {
        'd' => ("0-9", false),
        'D' => ("0-9", true),
        'w' => ("0-9A-Za-z_", false),
        'W' => ("0-9A-Za-z_", true),
        's' => ("\\t\\n\\x0c\\r ", false),
        _ => ("\\t\\n\\x0c\\r ", true),
    }
}

fn push_literal(out: &mut String, literal: char) {
    if literal.is_ascii_control() {
        out.push_str(&format!("\\x{:02x}", u32::from(literal)));
        return;
    }
    if literal.is_ascii_punctuation()
        && !matches!(
            literal,
            '"' | '\'' | '/' | '_' | ',' | ':' | ';' | '=' | '@' | '%' | '!' | '<' | '>' | '`'
        )
    {
        out.push('\\');
    }
    out.push(literal);
}

fn push_in_class(out: &mut String, literal: char) {
    if literal.is_ascii_alphanumeric() || matches!(literal, '_' | ' ') || !literal.is_ascii() {
        out.push(literal);
    } else {
        out.push_str(&format!("\\x{:02x}", u32::from(literal)));
    }
}
