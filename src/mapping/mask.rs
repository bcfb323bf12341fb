//! Where a mapping's text holds passwords, so that no message shows one.
//!
//! A file that does not parse must not leak its passwords either, so the text alone is searched first, and rather too
//! much is masked than too little. The tree, where there is one, takes back what is only a column's name.

use std::ops::Range;

use super::secret;
use super::yaml::{Content, Node};

/// What stands in place of a password. Its length tells nothing.
pub(super) const MASK: &str = "********";

/// The ranges of `text` that may hold passwords, in order and apart.
pub(super) fn masks(text: &str, tree: Option<&Node>) -> Vec<Range<usize>> {
    let mut masks = Vec::new();
    let mut columns = Vec::new();
    if let Some(tree) = tree {
        from_tree(tree, &mut masks, &mut columns);
        of_notifications(tree, text, &mut masks);
    } else {
        links(text, 0..text.len(), &mut masks);
    }
    from_text(text, tree.is_some(), &columns, &mut masks);
    masks.sort_by_key(|mask| (mask.start, mask.end));
    masks.dedup_by(|next, previous| {
        let joined = next.start <= previous.end;
        if joined {
            previous.end = previous.end.max(next.end);
        }
        joined
    });
    masks
}

/// Keys, in YAML and in connection strings, whose values are passwords.
const KEYS: [&str; 3] = ["password", "passwd", "pwd"];

fn is_password_key(key: &Node) -> bool {
    key.text().is_some_and(|text| KEYS.iter().any(|name| text.eq_ignore_ascii_case(name)))
}

/// Whether somebody may have meant such a key: `pasword`, `passwords`, `pass`. The value of a slip is as secret.
fn is_meant_as_password(key: &str) -> bool {
    const OTHERS: [&str; 4] = ["pass", "pw", "secret", "passphrase"];
    let key = key.trim().to_lowercase();
    key.starts_with("password")
        || OTHERS.contains(&key.as_str())
        || KEYS.iter().any(|name| name.len() > 3 && strsim::damerau_levenshtein(&key, name) <= 2)
}

/// Masks values of password keys; collects the keys that are headers, whose values are names of columns.
fn from_tree(node: &Node, masks: &mut Vec<Range<usize>>, columns: &mut Vec<Range<usize>>) {
    match &node.content {
        Content::Null | Content::Scalar { .. } => {}
        Content::Sequence(items) => items.iter().for_each(|item| from_tree(item, masks, columns)),
        Content::Mapping(entries) => {
            for (key, value) in entries {
                if key.text() == Some("columns") {
                    if let Content::Mapping(rules) = &value.content {
                        for (header, rule) in rules.iter().filter(|(header, _)| is_password_key(header)) {
                            columns.push(header.span.clone());
                            literals_of_rule(rule, masks);
                        }
                    }
                } else if is_password_key(key) || key.text().is_some_and(is_meant_as_password) {
                    if !value.text().is_some_and(is_reference) {
                        masks.push(value.span.clone());
                    }
                } else {
                    from_tree(value, masks, columns);
                }
            }
        }
    }
}

/// Whoever knows the address of a webhook can post there. Its key may be misspelt, so everything counts that is none of the
/// parts which have addresses of their own.
fn of_notifications(root: &Node, text: &str, masks: &mut Vec<Range<usize>>) {
    let Content::Mapping(entries) = &root.content else { return };
    for (key, value) in entries {
        const OTHERS: [&str; 7] = ["source", "target", "state", "users", "contacts", "images", "groups"];
        if !key.text().is_some_and(|key| OTHERS.contains(&key)) {
            links(text, value.span.clone(), masks);
            addresses(value, text, masks);
        }
    }
}

/// Values that are meant as addresses, but are none: what follows their first slash.
fn addresses(node: &Node, text: &str, masks: &mut Vec<Range<usize>>) {
    match &node.content {
        Content::Null | Content::Scalar { .. } => {}
        Content::Sequence(items) => items.iter().for_each(|item| addresses(item, text, masks)),
        Content::Mapping(entries) => {
            for (key, value) in entries {
                let is_address = key.text().is_some_and(|key| ["url", "heartbeat"].contains(&key));
                if is_address
                    && !value.text().is_some_and(is_reference)
                    && let Some(written) = text.get(value.span.clone())
                {
                    let host = written.find("://").map_or(0, |at| at + "://".len());
                    let path = written[host..].find(['/', '?', '#']).map(|at| host + at + 1);
                    let end = value.span.start + written.trim_end_matches(['"', '\'']).len();
                    masks.extend(path.map(|path| value.span.start + path..end));
                }
                addresses(value, text, masks);
            }
        }
    }
}

/// What follows the host in an address of the web, up to its end.
fn links(text: &str, within: Range<usize>, masks: &mut Vec<Range<usize>>) {
    let Some(part) = text.get(within.clone()) else { return };
    for scheme in ["https://", "http://"] {
        for (at, _) in part.match_indices(scheme) {
            let address = &part[at + scheme.len()..];
            let end = address.find([' ', '\t', '\r', '\n', '"', '\'', '}', ']', ',']).unwrap_or(address.len());
            // A brace may belong to a reference.
            let Some(path) = address[..end].find(['/', '?', '#']).map(|path| path + 1) else { continue };
            let start = within.start + at + scheme.len();
            if path < end {
                masks.push(start + path..start + end);
            }
        }
    }
}

/// The texts that the rule of a `password` header sends as they are.
fn literals_of_rule(rule: &Node, masks: &mut Vec<Range<usize>>) {
    let Content::Mapping(entries) = &rule.content else { return };
    for (key, value) in entries {
        match (key.text(), &value.content) {
            (Some("value" | "default"), _) => masks.push(value.span.clone()),
            (Some("lookup"), Content::Mapping(outputs)) => {
                masks.extend(outputs.iter().map(|(_, output)| output.span.clone()));
            }
            _ => {}
        }
    }
}

fn from_text(text: &str, has_tree: bool, columns: &[Range<usize>], masks: &mut Vec<Range<usize>>) {
    let lower = text.to_ascii_lowercase();
    let mut start = 0;
    // Set while the lines of a password that goes over several lines follow: its key's indentation.
    let mut inside = None;
    for line in lower.split_inclusive('\n') {
        let end = start + line.trim_end_matches('\n').len();
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        match inside {
            Some(key_indent) if line.trim().is_empty() || indent > key_indent => masks.push(start..end),
            _ => {
                inside = None;
                for key in KEYS {
                    for (at, _) in line.match_indices(key) {
                        if columns.iter().any(|column| column.contains(&(start + at))) {
                            continue;
                        }
                        let Some((value, separator)) = value_start(line, at + key.len()) else { continue };
                        let value = start + value;
                        if is_reference_at(&text[value..end]) {
                            continue;
                        }
                        masks.push(value..end);
                        if separator == ':' && !has_tree {
                            inside = Some(indent);
                        }
                    }
                }
                if let Some(value) = after_slip(line) {
                    let value = start + value;
                    if columns.iter().all(|column| !(start..end).contains(&column.start))
                        && !is_reference_at(&text[value..end])
                    {
                        masks.push(value..end);
                    }
                }
                in_url(text, start..end, masks);
                in_command(text, start..end, masks);
            }
        }
        start += line.len();
    }
    masks.retain(|mask| mask.start < mask.end);
}

/// Where the value starts after a line's first key, if that may be meant as a password's.
fn after_slip(line: &str) -> Option<usize> {
    let (before, _) = line.split_once(':')?;
    let key = before.trim_start_matches([' ', '\t', '-', '#', '{', '"', '\'']).trim_end_matches(['"', '\'']);
    is_meant_as_password(key).then(|| value_start(line, before.len()))?.map(|(value, _)| value)
}

/// Where the value starts after a key that ends at `at`, if a `:` or `=` follows it.
fn value_start(line: &str, at: usize) -> Option<(usize, char)> {
    let rest = line[at..].trim_start_matches(['"', '\'']).trim_start();
    let separator = rest.chars().next().filter(|char| matches!(char, ':' | '='))?;
    let value = rest[1..].trim_start_matches([' ', '\t']);
    Some((line.len() - value.len(), separator))
}

/// `://user:password@`: the password goes up to the last `@` of the line, since it may hold one itself. A proxy may
/// lack its `://`.
fn in_url(text: &str, line: Range<usize>, masks: &mut Vec<Range<usize>>) {
    let shown = &text[line.clone()];
    let Some(last_at) = shown.rfind('@') else { return };
    let schemes: Vec<usize> = shown.match_indices("://").map(|(at, separator)| at + separator.len()).collect();
    let logins = if schemes.is_empty() {
        vec![shown[..last_at].rfind([' ', '\t', '"', '\'']).map_or(0, |before| before + 1)]
    } else {
        schemes
    };
    for login in logins {
        let Some(colon) = shown.get(login..last_at).and_then(|login| login.find(':')) else { continue };
        let password = login + colon + 1;
        if !is_reference(&shown[password..last_at]) {
            masks.push(line.start + password..line.start + last_at);
        }
    }
}

/// `${command:program arguments}`: an argument may be a secret, though it should not; the program is shown.
fn in_command(text: &str, line: Range<usize>, masks: &mut Vec<Range<usize>>) {
    const OPENING: &str = "${command:";
    let shown = &text[line.clone()];
    for (at, opening) in shown.match_indices(OPENING) {
        let command = at + opening.len();
        let inner = &shown[command..];
        let inner = &inner[..inner.find('}').unwrap_or(inner.len())];
        let program = inner.len() - inner.trim_start().len();
        if let Some(arguments) = inner[program..].find([' ', '\t']) {
            masks.push(line.start + command + program + arguments + 1..line.start + command + inner.len());
        }
    }
}

/// Whether a text is one reference to a secret and nothing else.
fn is_reference(text: &str) -> bool {
    reference_end(text) == Some(text.len())
}

/// Whether a reference stands here, and nothing after it that may belong to a password.
fn is_reference_at(text: &str) -> bool {
    let text = text.trim_start_matches(['"', '\'']);
    let Some(end) = reference_end(text) else { return false };
    let rest = &text[end..];
    let rest = rest.strip_prefix(['"', '\'']).unwrap_or(rest);
    rest.trim().is_empty() || rest.starts_with([';', ',', '&']) || rest.trim_start().starts_with(['#', '}'])
}

/// The end of the reference that a text begins with. `${…}` alone is not enough: a password may look like that.
fn reference_end(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("${")?;
    let inner = &inner[..inner.find('}')?];
    secret::looks_like_reference(inner).then_some(2 + inner.len() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::yaml;

    fn masked(text: &str, tree: bool) -> String {
        let tree = tree.then(|| yaml::parse(text).0.unwrap());
        let mut shown = String::new();
        let mut at = 0;
        for mask in masks(text, tree.as_ref()) {
            shown.push_str(&text[at..mask.start]);
            shown.push('*');
            at = mask.end;
        }
        shown.push_str(&text[at..]);
        shown
    }

    #[test]
    fn passwords_are_masked_without_a_tree() {
        for (text, expected) in [
            ("password: hunter2", "password: *"),
            ("  - Password: 'hunter2'\nnext: 1", "  - Password: *\nnext: 1"),
            ("a: { password: {hunter2", "a: { password: *"),
            ("\"password\" : hunter2", "\"password\" : *"),
            ("password:\n  hunter2\nnext: 1", "password:\n*\nnext: 1"),
            ("password: |\n  hunter2\n\n  more\nnext: 1", "password: *\n*\n\n*\nnext: 1"),
            ("url: mssql://sa:hunt@er2@host/db", "url: mssql://sa:*@host/db"),
            ("proxy: me:hunter2@host:80", "proxy: me:*@host:80"),
            ("url: Server=x;Password=hunter2;Database=y", "url: Server=x;Password=*"),
            ("url: Server=x;pwd = hunter2", "url: Server=x;pwd = *"),
            ("# password: hunter2", "# password: *"),
        ] {
            assert_eq!(masked(text, false), expected);
        }
    }

    #[test]
    fn references_and_columns_stay_readable() {
        for text in [
            "password: ${SIS_PASSWORD}",
            "password: \"${SIS_PASSWORD}\" # where it comes from",
            "target: { password: \"${X}\", timeout: 5m }",
            "url: Server=x;Password=${SIS_PASSWORD};Database=y",
            "url: mssql://sa:${SIS_PASSWORD}@host/db",
            "emailaddress: { value: library@example.edu }",
        ] {
            assert_eq!(masked(text, false), text);
            assert_eq!(masked(text, true), text);
        }
        let columns = "columns:\n  password: { column: Initial, sned: create }\n  surname: Surname\n";
        assert_eq!(masked(columns, true), columns);
    }

    /// Regression: a slip in the key showed the password beside it, in messages and in the file for a support request.
    #[test]
    fn what_may_be_meant_as_a_password_is_masked() {
        for key in ["pasword", "passwort", "Pass", "passwords", "passwd2", "pw", "- paswsord", "\"secret\""] {
            let text = format!("a:\n  {key}: hunter2\n");
            let expected = format!("a:\n  {key}: *\n");
            assert_eq!(masked(&text, false), expected);
            assert_eq!(masked(&text, true), expected);
        }
        assert_eq!(masked("a: { pasword: hunter2, b: 1 }", true), "a: { pasword: *, b: 1 }");
        for text in ["pasword: ${SIS_PASSWORD}\n", "address: x\n", "port: 1\n", "query_file: x\n"] {
            assert_eq!(masked(text, true), text);
        }
    }

    #[test]
    fn the_address_of_a_webhook_is_masked_but_for_its_host() {
        for (text, expected) in [
            (
                "notify: { webhook: [{ url: https://x.example/hunter2 }] }",
                "notify: { webhook: [{ url: https://x.example/* }] }",
            ),
            (
                "notfy:\n  webhok:\n    - url: \"https://x.example:1/a?sig=hunter2\"\n",
                "notfy:\n  webhok:\n    - url: \"https://x.example:1/*\"\n",
            ),
            (
                "notify: { heartbeat: http://localhost/hunter2, metrics: a }",
                "notify: { heartbeat: http://localhost/*, metrics: a }",
            ),
        ] {
            assert_eq!(masked(text, true), expected);
            assert_eq!(masked(text, false), expected);
        }
        for (text, expected) in [
            ("notify: { webhook: [{ url: x.example/hunter2 }] }", "notify: { webhook: [{ url: x.example/* }] }"),
            ("notify: { heartbeat: ftp://x.example/hunter2 }", "notify: { heartbeat: ftp://x.example/* }"),
        ] {
            assert_eq!(masked(text, true), expected);
        }
        for text in
            ["target: { url: https://x.example/path }", "images: { path: https://x.example/path, folder: photos }"]
        {
            assert_eq!(masked(text, true), text);
        }
    }

    #[test]
    fn a_reference_with_more_around_it_is_masked() {
        assert_eq!(masked("password: ${A}hunter2", false), "password: *");
        assert_eq!(masked("password: ${A}hunter2", true), "password: *");
    }

    #[test]
    fn the_arguments_of_a_command_are_masked() {
        for (text, expected) in [
            ("password: ${command:pass}", "password: ${command:pass}"),
            ("password: ${command: pass show sis} # x", "password: ${command: pass *} # x"),
            ("url: mysql://u:${command:a b@c}@h/d", "url: mysql://u:${command:a *}@h/d"),
            ("username: ${command:a hunter2", "username: ${command:a *"),
        ] {
            assert_eq!(masked(text, false), expected);
        }
        assert_eq!(masked("password: ${command:pass show sis}", true), "password: ${command:pass *}");
    }

    #[test]
    fn literals_of_the_password_header_are_masked() {
        assert_eq!(
            masked("columns:\n  password: { value: hunter2, send: create }\n", true),
            "columns:\n  password: { value: *, send: create }\n"
        );
        assert_eq!(
            masked("columns:\n  password: { column: X, lookup: { a: hunter2 }, default: hunter3 }\n", true),
            "columns:\n  password: { column: X, lookup: { a: * }, default: * }\n"
        );
    }
}
