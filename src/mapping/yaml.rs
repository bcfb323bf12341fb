//! YAML as written: a tree in which every node knows its place and a scalar is the text that stands in the file.
//!
//! No scalar is interpreted: `N`, `no`, `off`, `007` and `1e3` stay. Only a plain `~`, `null` or nothing is null.

use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::code::Code;
use super::diagnostic::Finding;
use super::syntax;

/// Deeper than any mapping goes; bounds every recursion over the tree.
const DEPTH_MAX: usize = 32;
/// Nodes of one file after aliases are expanded. A large lookup has some thousands.
const NODES_MAX: usize = 200_000;

/// One node of the document.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where it stands, in bytes of the text.
    pub(super) span: Range<usize>,
    pub(super) content: Content,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Null,
    Scalar { text: String, style: Style },
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    /// `|` or `>`.
    Block,
}

impl Node {
    /// A scalar's text.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            Content::Null | Content::Sequence(_) | Content::Mapping(_) => None,
        }
    }

    /// The value of a key.
    pub(super) fn entry(&self, name: &str) -> Option<&Self> {
        let Content::Mapping(entries) = &self.content else { return None };
        entries.iter().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value)
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.content, Content::Null)
    }

    /// What it is, for messages.
    pub(super) fn what(&self) -> &'static str {
        match self.content {
            Content::Null => "nothing",
            Content::Scalar { .. } => "a text",
            Content::Sequence(_) => "a list",
            Content::Mapping(_) => "a group of keys",
        }
    }

    fn depth(&self) -> usize {
        1 + match &self.content {
            Content::Null | Content::Scalar { .. } => 0,
            Content::Sequence(items) => items.iter().map(Self::depth).max().unwrap_or(0),
            Content::Mapping(entries) => {
                entries.iter().map(|(key, value)| key.depth().max(value.depth())).max().unwrap_or(0)
            }
        }
    }

    fn count(&self) -> usize {
        1 + match &self.content {
            Content::Null | Content::Scalar { .. } => 0,
            Content::Sequence(items) => items.iter().map(Self::count).sum(),
            Content::Mapping(entries) => entries.iter().map(|(key, value)| key.count() + value.count()).sum(),
        }
    }
}

/// Parses one document. The tree is missing only when the text is no YAML at all; the findings then say why. Line
/// breaks must be `\n` and the byte order mark gone.
pub(super) fn parse(text: &str) -> (Option<Node>, Vec<Finding>) {
    let mut builder = Builder {
        text,
        open: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        findings: Vec::new(),
        root: None,
        tag: None,
    };
    let options = granit_parser::options! {
        emit_comments: false,
        disallow_directives: true,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut documents = 0;
    for event in Parser::new_from_str_with_options(text, options) {
        let taken = match event {
            Err(error) => Err(syntax::finding(&error, text)),
            Ok((Event::DocumentStart(..), span)) if documents == 1 => {
                Err(Finding::error(Code::SecondDocument, &bytes(&span, text), "a second document starts here")
                    .hint("one file is one mapping: delete the line `---`, or move what follows to a file of its own"))
            }
            Ok((event, span)) => {
                documents += usize::from(matches!(event, Event::DocumentStart(..)));
                builder.tag = span.tag_span().map(|tag| bytes(&tag, text));
                builder.take(event, &bytes(&span, text))
            }
        };
        if let Err(finding) = taken {
            builder.findings.push(finding);
            return (None, builder.findings);
        }
    }
    if builder.root.as_ref().is_none_or(Node::is_null) {
        let hint = "start with `version: 1`, or let `sispush init` write a mapping to start from";
        builder.findings.push(Finding::error(Code::Empty, &(0..0), "the mapping is empty").hint(hint));
        return (None, builder.findings);
    }
    (builder.root, builder.findings)
}

fn bytes(span: &Span, text: &str) -> Range<usize> {
    let range = span.byte_range().unwrap_or(0..0);
    let end = range.end.min(text.len());
    range.start.min(end)..end
}

struct Builder<'t> {
    text: &'t str,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    findings: Vec<Finding>,
    root: Option<Node>,
    /// Where the tag of the current event stands.
    tag: Option<Range<usize>>,
}

/// A sequence or mapping whose end has not come yet.
struct Open {
    start: usize,
    anchor: usize,
    is_mapping: bool,
    /// Items; for a mapping keys and values in turn.
    children: Vec<Node>,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: &Range<usize>) -> Result<(), Finding> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tagged = tag.is_some();
                if tag.is_some_and(|tag| tag.core_suffix() != Some("str")) {
                    self.tag(span);
                }
                let content = match style {
                    ScalarStyle::Plain if !tagged && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") => {
                        Content::Null
                    }
                    ScalarStyle::Plain => Content::Scalar { text: text.into(), style: Style::Plain },
                    ScalarStyle::SingleQuoted => Content::Scalar { text: text.into(), style: Style::SingleQuoted },
                    ScalarStyle::DoubleQuoted => Content::Scalar { text: text.into(), style: Style::DoubleQuoted },
                    ScalarStyle::Literal | ScalarStyle::Folded => {
                        Content::Scalar { text: text.into(), style: Style::Block }
                    }
                };
                self.add(Node { span: span.clone(), content }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.open(span, anchor, false, tag.as_deref());
                Ok(())
            }
            Event::MappingStart(_, anchor, tag) => {
                self.open(span, anchor, true, tag.as_deref());
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let end = open.children.last().map_or(span.end, |child| child.span.end).max(open.start);
                let content = if open.is_mapping {
                    Content::Mapping(self.entries(open.children))
                } else {
                    Content::Sequence(open.children)
                };
                self.add(Node { span: open.start..end, content }, open.anchor)
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(Finding::error(
                        Code::AliasLoop,
                        span,
                        "an alias stands inside the very part that it repeats",
                    ));
                };
                if self.open.len() + node.depth() > DEPTH_MAX {
                    return Err(Finding::error(
                        Code::TooDeep,
                        span,
                        format!("nested deeper than {DEPTH_MAX} levels by aliases"),
                    ));
                }
                self.nodes += node.count();
                self.add(node, 0)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, span: &Range<usize>, anchor: usize, is_mapping: bool, tag: Option<&Tag>) {
        if tag.is_some_and(|tag| tag.core_suffix() != Some(if is_mapping { "map" } else { "seq" })) {
            self.tag(span);
        }
        self.open.push(Open { start: span.start, anchor, is_mapping, children: Vec::new() });
    }

    /// The tag is not shown: it may be the start of a password.
    fn tag(&mut self, span: &Range<usize>) {
        let span = self.tag.as_ref().unwrap_or(span);
        self.findings.push(
            Finding::error(Code::Tag, span, "a value cannot begin with `!`, which marks a tag in YAML")
                .hint("put the value in single quotes: `'!…'`"),
        );
    }

    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Finding> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(Finding::error(
                Code::TooLarge,
                &node.span,
                format!("more than {NODES_MAX} values, aliases counted in full"),
            ));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            Some(open) => open.children.push(node),
            None => self.root = Some(node),
        }
        Ok(())
    }

    /// Keys with values; equal keys are reported, merge keys (`<<`) taken in.
    fn entries(&mut self, children: Vec<Node>) -> Vec<(Node, Node)> {
        let mut entries: Vec<(Node, Node)> = Vec::with_capacity(children.len() / 2);
        let mut seen: HashMap<String, usize> = HashMap::with_capacity(children.len() / 2);
        let mut merged = Vec::new();
        let mut children = children.into_iter();
        while let (Some(key), Some(value)) = (children.next(), children.next()) {
            match &key.content {
                Content::Scalar { text, style: Style::Plain } if text == "<<" => merged.push((key.span, value)),
                Content::Scalar { text, .. } => {
                    if let Some(first) = seen.get(text) {
                        let line = self.text[..*first].matches('\n').count() + 1;
                        self.findings.push(
                            Finding::error(Code::KeyTwice, &key.span, format!("`{text}` is given twice; first in line {line}"))
                                .hint("delete one of the two"),
                        );
                        continue;
                    }
                    seen.insert(text.clone(), key.span.start);
                    entries.push((key, value));
                }
                Content::Null => self.findings.push(
                    Finding::error(Code::KeyMissing, &key.span, "a key is missing here").hint("a key that is the word `null` or `~` needs quotes"),
                ),
                Content::Sequence(_) | Content::Mapping(_) => self.findings.push(
                    Finding::error(Code::KeyNotText, &key.span, format!("{} cannot be a key", key.what()))
                        .hint("a value that begins with `{` or `[`, such as a template, needs quotes: `template: \"{{ Year }}\"`"),
                ),
            }
        }
        for (span, value) in merged {
            self.merge(&span, value, &mut entries, &mut seen);
        }
        entries
    }

    /// Earlier ones win, as YAML's merge says.
    fn merge(
        &mut self,
        key: &Range<usize>,
        value: Node,
        entries: &mut Vec<(Node, Node)>,
        seen: &mut HashMap<String, usize>,
    ) {
        match value.content {
            Content::Mapping(merged) => {
                for (key, value) in merged {
                    let text = key.text().unwrap_or_default();
                    if !seen.contains_key(text) {
                        seen.insert(text.to_owned(), key.span.start);
                        entries.push((key, value));
                    }
                }
            }
            Content::Sequence(items) => items.into_iter().for_each(|item| self.merge(key, item, entries, seen)),
            Content::Null | Content::Scalar { .. } => self.findings.push(
                Finding::error(Code::Merge, key, "`<<` needs a group of keys to take in")
                    .hint("write `<<: *name`, with `&name` at the group"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn show(node: &Node) -> String {
        match &node.content {
            Content::Null => "null".into(),
            Content::Scalar { text, style: Style::Plain } => text.clone(),
            Content::Scalar { text, .. } => format!("{text:?}"),
            Content::Sequence(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
            Content::Mapping(entries) => {
                let entries: Vec<_> =
                    entries.iter().map(|(key, value)| format!("{}: {}", show(key), show(value))).collect();
                format!("{{{}}}", entries.join(", "))
            }
        }
    }

    fn check(text: &str, expected: &str) {
        let (tree, findings) = parse(text);
        assert!(findings.is_empty(), "{findings:?}");
        assert_eq!(show(&tree.unwrap()), expected);
    }

    fn refused(text: &str, expected: &str) {
        let (_, findings) = parse(text);
        let messages: Vec<_> = findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(messages, [expected]);
    }

    #[test]
    fn scalars_are_what_was_written() {
        check(
            "[N, no, off, 007, 1e3, 0x1F, 1.10, true, 2026-01-01]",
            "[N, no, off, 007, 1e3, 0x1F, 1.10, true, 2026-01-01]",
        );
        check("[~, null, 'null', \"\", x]", "[null, null, \"null\", \"\", x]");
        check("a:\nb: |\n  x\n  y\nc: >-\n  x\n  y\n", "{a: null, b: \"x\\ny\\n\", c: \"x y\"}");
        check("a: !!str 5\nb: !!str\n", "{a: 5, b: }");
    }

    #[test]
    fn spans_cover_what_was_written() {
        let text = "é: {a: 'b c'}\n";
        let tree = parse(text).0.unwrap();
        let Content::Mapping(entries) = &tree.content else { panic!() };
        assert_eq!(&text[entries[0].0.span.clone()], "é");
        let Content::Mapping(inner) = &entries[0].1.content else { panic!() };
        assert_eq!(&text[inner[0].1.span.clone()], "'b c'");
    }

    #[test]
    fn aliases_and_merges_are_expanded() {
        check("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\nc: *x", "{a: {p: 1, q: 2}, b: {q: 3, p: 1}, c: {p: 1, q: 2}}");
        check("a: &x {p: 1}\nb: &y {p: 2, q: 3}\nc: {<<: [*x, *y]}", "{a: {p: 1}, b: {p: 2, q: 3}, c: {p: 1, q: 3}}");
    }

    #[test]
    fn expansion_is_bounded() {
        let mut laughs = String::from("l0: &l0 [a, a, a, a, a, a, a, a, a, a]\n");
        for level in 1..12 {
            let before = format!("*l{}", level - 1);
            writeln!(laughs, "l{level}: &l{level} [{}]", vec![before; 10].join(", ")).unwrap();
        }
        refused(&laughs, "more than 200000 values, aliases counted in full");
        let mut deep = String::from("l0: &l0 [a]\n");
        for level in 1..60 {
            writeln!(deep, "l{level}: &l{level} [*l{}]", level - 1).unwrap();
        }
        refused(&deep, "nested deeper than 32 levels by aliases");
        refused(&"[".repeat(10_000), "nested too deeply");
    }

    #[test]
    fn the_second_of_two_equal_keys_is_reported() {
        let (tree, findings) = parse("a: 1\nb: 2\na: 3\n");
        assert_eq!(show(&tree.unwrap()), "{a: 1, b: 2}");
        assert_eq!(findings[0].message, "`a` is given twice; first in line 1");
        assert_eq!(findings[0].span, 10..11);
    }

    #[test]
    fn one_document_only() {
        check("---\na: 1\n...\n", "{a: 1}");
        refused("a: 1\n---\nb: 1\n", "a second document starts here");
        refused("", "the mapping is empty");
        refused("# only a comment\n", "the mapping is empty");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(?s)[a-z:&* {}\\[\\]'\"\n\t|>!#%-]{0,60}") {
            drop(parse(&text));
        }
    }
}
