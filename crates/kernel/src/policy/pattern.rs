//! The path of a rule: segments, `+` for exactly one segment, `*` at the end for anything that follows.

use super::template::{TemplateContext, Variable};
use std::cmp::Reverse;
use strongroom_secret::NamespacePath;
use strongroom_secret::limits::{PATH_SEGMENTS_MAX, REQUEST_PATH_BYTES_MAX};
use thiserror::Error;

/// A rule's path as written: wildcards are recognised here, before any value is put in, so that a value can
/// never become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathTemplate {
    segments: Vec<SegmentTemplate>,
    glob: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum SegmentTemplate {
    Any,
    Parts(Vec<Part>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Variable(Variable),
}

/// A rule's path for one identity, from the root namespace on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Pattern {
    pub(super) segments: Vec<Segment>,
    /// The last segment is the start of what matches.
    pub(super) glob: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    Any,
    Literal(Box<str>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum PathTemplateError {
    #[error("path is too long: the limit is {REQUEST_PATH_BYTES_MAX} bytes")]
    TooLong,
    #[error("path has too many segments: the limit is {PATH_SEGMENTS_MAX}")]
    TooDeep,
    #[error("invalid use of wildcards ('+*' is forbidden)")]
    PlusStar,
    #[error("unbalanced templating characters: every {{{{ needs its }}}}")]
    Unbalanced,
}

/// Why a rule does not apply to an identity. The value is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum RenderError {
    #[error("a template in its path has no value for this identity")]
    NoValue,
    #[error("the value of a template in its path contains {0:?}, which could widen the rule")]
    Widening(char),
}

/// Whether a rule gives or takes: what a doubtful template value must not do differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Grants,
    Denies,
}

impl PathTemplate {
    pub(super) fn parse(path: &str) -> Result<Self, PathTemplateError> {
        if path.len() > REQUEST_PATH_BYTES_MAX {
            return Err(PathTemplateError::TooLong);
        }
        let mut segments = vec![Vec::new()];
        for (index, piece) in path.split("{{").enumerate() {
            let text = match (index, piece.split_once("}}")) {
                (0, None) => piece,
                (0, Some(_)) | (_, None) => return Err(PathTemplateError::Unbalanced),
                (_, Some((variable, text))) => {
                    push(&mut segments, Part::Variable(Variable::parse(variable.trim())));
                    text
                }
            };
            push_text(&mut segments, text)?;
        }
        if segments.len() > PATH_SEGMENTS_MAX {
            return Err(PathTemplateError::TooDeep);
        }
        let glob = take_glob(&mut segments);
        let segments = segments.into_iter().map(SegmentTemplate::from_parts).collect();
        Ok(Self { segments, glob })
    }

    pub(super) fn has_unknown_variable(&self) -> bool {
        self.parts().any(|part| *part == Part::Variable(Variable::Unknown))
    }

    pub(super) fn is_templated(&self) -> bool {
        self.parts().any(|part| matches!(part, Part::Variable(_)))
    }

    /// Whether a literal segment contains a character of the pattern language that means nothing where it stands.
    pub(super) fn has_literal_wildcard(&self) -> bool {
        self.parts().any(|part| matches!(part, Part::Text(text) if text.contains(['*', '+'])))
    }

    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.segments.iter().flat_map(|segment| match segment {
            SegmentTemplate::Any => [].iter(),
            SegmentTemplate::Parts(parts) => parts.iter(),
        })
    }

    /// The pattern for an identity. In a rule that grants, a value must be a plain part of one segment; in a rule
    /// that denies, it is taken as it is: literally, with its slashes.
    pub(super) fn render(
        &self,
        namespace: &NamespacePath,
        context: &TemplateContext,
        effect: Effect,
    ) -> Result<Pattern, RenderError> {
        let mut segments: Vec<Segment> =
            namespace.as_str().split_terminator('/').map(|name| Segment::Literal(name.into())).collect();
        for segment in &self.segments {
            match segment {
                SegmentTemplate::Any => segments.push(Segment::Any),
                SegmentTemplate::Parts(parts) => {
                    let text = text_of(parts, namespace, context, effect)?;
                    segments.extend(text.split('/').map(|text| Segment::Literal(text.into())));
                }
            }
        }
        Ok(Pattern { segments, glob: self.glob })
    }
}

fn text_of(
    parts: &[Part],
    namespace: &NamespacePath,
    context: &TemplateContext,
    effect: Effect,
) -> Result<String, RenderError> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(literal) => text.push_str(literal),
            Part::Variable(variable) => {
                let value = variable.resolve(context, namespace).ok_or(RenderError::NoValue)?;
                if effect == Effect::Grants
                    && let Some(character) =
                        value.chars().find(|c| matches!(c, '*' | '+' | '/') || c.is_control())
                {
                    return Err(RenderError::Widening(character));
                }
                text.push_str(value);
            }
        }
    }
    Ok(text)
}

fn push(segments: &mut [Vec<Part>], part: Part) {
    if let Some(last) = segments.last_mut() {
        last.push(part);
    }
}

fn push_text(segments: &mut Vec<Vec<Part>>, text: &str) -> Result<(), PathTemplateError> {
    if text.contains("}}") {
        return Err(PathTemplateError::Unbalanced);
    }
    if text.contains("+*") {
        return Err(PathTemplateError::PlusStar);
    }
    for (index, piece) in text.split('/').enumerate() {
        if index > 0 {
            segments.push(Vec::new());
        }
        if !piece.is_empty() {
            push(segments, Part::Text(piece.into()));
        }
    }
    Ok(())
}

/// Takes the `*` off the end, if there is one.
fn take_glob(segments: &mut [Vec<Part>]) -> bool {
    let Some(Part::Text(text)) = segments.last_mut().and_then(|parts| parts.last_mut()) else { return false };
    match text.strip_suffix('*') {
        Some(prefix) => {
            *text = prefix.into();
            true
        }
        None => false,
    }
}

impl SegmentTemplate {
    fn from_parts(parts: Vec<Part>) -> Self {
        if parts == [Part::Text("+".into())] { Self::Any } else { Self::Parts(parts) }
    }
}

/// Which of two matching rules without an exact path decides: the greater one. Vault's order, see
/// <https://developer.hashicorp.com/vault/docs/concepts/policies#priority-matching>.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Specificity {
    first_wildcard: usize,
    ends_literally: bool,
    wildcards: Reverse<usize>,
    length: usize,
    text: Box<str>,
}

impl Pattern {
    pub(super) fn has_segment_wildcards(&self) -> bool {
        self.segments.contains(&Segment::Any)
    }

    /// The segments joined, `+` for any; without the final `*`.
    pub(super) fn text(&self) -> String {
        let texts: Vec<&str> = self.segments.iter().map(Segment::text).collect();
        texts.join("/")
    }

    pub(super) fn specificity(&self) -> Specificity {
        let text = self.text();
        let before = self.segments.iter().take_while(|segment| **segment != Segment::Any);
        let first_any: usize = before.map(|segment| segment.text().len() + 1).sum();
        let wildcards = self.segments.iter().filter(|segment| **segment == Segment::Any).count();
        Specificity {
            first_wildcard: first_any.min(text.len()),
            ends_literally: !self.glob,
            wildcards: Reverse(wildcards),
            length: text.len(),
            text: text.into(),
        }
    }

    /// The segments joined, with the final `*`: as a rule in the root namespace would be written.
    pub(super) fn rule_text(&self) -> String {
        format!("{}{}", self.text(), if self.glob { "*" } else { "" })
    }

    /// Whether the pattern matches a path. The slow way, for explanations; decisions go through the index.
    pub(super) fn matches(&self, path: &str) -> bool {
        let mut rest = Some(path);
        let last = self.segments.len().saturating_sub(1);
        for (index, segment) in self.segments.iter().enumerate() {
            let Some(text) = rest else { return false };
            if self.glob && index == last {
                return matches!(segment, Segment::Literal(prefix) if text.starts_with(&**prefix));
            }
            let (name, tail) = text.split_once('/').map_or((text, None), |(name, tail)| (name, Some(tail)));
            if matches!(segment, Segment::Literal(wanted) if **wanted != *name) {
                return false;
            }
            rest = tail;
        }
        rest.is_none()
    }

    /// How many leading segments of a path the pattern has in common with it.
    pub(super) fn segments_in_common(&self, path: &str) -> usize {
        let pairs = self.segments.iter().zip(path.split('/'));
        pairs.take_while(|(segment, name)| matches!(segment, Segment::Any) || segment.text() == *name).count()
    }

    /// Whether some path below `folder` (with its trailing slash) could match.
    pub(super) fn reaches_below(&self, folder: &str) -> bool {
        let names: Vec<&str> = folder.split_terminator('/').collect();
        let last = self.segments.len().saturating_sub(1);
        for (index, name) in names.iter().enumerate() {
            match self.segments.get(index) {
                None => return false,
                Some(Segment::Any) => {}
                Some(Segment::Literal(text)) if self.glob && index == last => {
                    return name.starts_with(&**text);
                }
                Some(Segment::Literal(text)) if **text == **name => {}
                Some(Segment::Literal(_)) => return false,
            }
        }
        true
    }
}

impl Segment {
    fn text(&self) -> &str {
        match self {
            Self::Any => "+",
            Self::Literal(text) => text,
        }
    }
}
