//! The sandbox's page: what it holds and what was sent to it. No script and nothing from elsewhere.

use std::fmt::Write as _;

use super::store::{Patron, RequestRecord, Store};
use crate::infiniti::contract::USERS;

/// So many patrons are shown.
const SHOWN: usize = 1000;

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #0b6e8a; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 90rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; margin-bottom: .2rem } h2 { font-size: 1.05rem; margin-top: 2rem }
p { margin: .3rem 0; opacity: .8 } .numbers { display: flex; gap: 1rem; flex-wrap: wrap; margin: 1rem 0 }
.numbers div { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem 1rem; min-width: 7rem }
.numbers b { display: block; font-size: 1.5rem; color: var(--accent) }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem }
table { border-collapse: collapse; width: 100%; white-space: nowrap }
th, td { text-align: left; padding: .3rem .7rem; border-bottom: 1px solid var(--soft) }
th { position: sticky; top: 0; background: var(--soft); font-weight: 600 }
tr:last-child td { border-bottom: 0 } .bad { color: #c0392b } .off { opacity: .5 }
";

/// The whole page.
pub(super) fn render(store: &Store) -> String {
    let patrons = store.patrons();
    let requests = store.requests();
    let mut page = String::with_capacity(64 * 1024);
    let _ = write!(
        page,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>sispush sandbox</title><style>{STYLE}</style>\
         <h1>A loopback Infiniti</h1><p>For rehearsals: it keeps to the import's contract and shows what arrived. \
         Load the page again to see what is new.</p><div class=\"numbers\">"
    );
    let staff = patrons.iter().filter(|patron| patron.get("staffmember").is_some_and(|value| value == "Y")).count();
    for (label, count) in [
        ("patrons", patrons.len()),
        ("students", patrons.len() - staff),
        ("staff", staff),
        ("form classes", store.form_classes().len()),
        ("uploads", requests.len()),
    ] {
        let _ = write!(page, "<div><b>{count}</b>{label}</div>");
    }
    page.push_str("</div>");
    write_requests(&mut page, requests);
    write_patrons(&mut page, &patrons);
    page.push_str("</html>\n");
    page
}

fn write_requests(page: &mut String, requests: &[RequestRecord]) {
    page.push_str(
        "<h2>Uploads, newest first</h2><div class=\"scroll\"><table><tr><th>time (UTC)<th>answer<th>rows<th>created\
         <th>updated<th>failed<th>fault on demand<th>headers</tr>",
    );
    for request in requests.iter().rev().take(100) {
        let bad = if request.failed > 0 || request.status != 200 { " class=\"bad\"" } else { "" };
        let _ = write!(
            page,
            "<tr{bad}><td>{:.0}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            request.time,
            if request.status == 0 { "none".to_owned() } else { request.status.to_string() },
            request.rows,
            request.created,
            request.updated,
            request.failed,
            escape(request.fault.as_deref().unwrap_or_default()),
            escape(&request.headers.join(", ")),
        );
    }
    page.push_str("</table></div>");
}

fn write_patrons(page: &mut String, patrons: &[Patron]) {
    let shown = patrons.len().min(SHOWN);
    let _ = write!(
        page,
        "<h2>Patrons</h2><p>{}</p><div class=\"scroll\"><table><tr>",
        if shown < patrons.len() { format!("The first {shown} of {}.", patrons.len()) } else { String::new() }
    );
    for rule in USERS.headers {
        let _ = write!(page, "<th>{}", rule.name);
    }
    page.push_str("</tr>");
    for patron in &patrons[..shown] {
        let off = if patron.get("enabled").is_some_and(|value| value == "N") { " class=\"off\"" } else { "" };
        let _ = write!(page, "<tr{off}>");
        for rule in USERS.headers {
            let _ = write!(page, "<td>{}", escape(patron.get(rule.name).map_or("", String::as_str)));
        }
        page.push_str("</tr>");
    }
    page.push_str("</table></div>");
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_passwords_not_shown() {
        let mut store = Store::default();
        let csv = "username,enabled,staffmember,surname,password\na,Y,Y,<script>alert(1)</script>,swordfish\n";
        store.import(csv.as_bytes(), &[], None);
        let page = render(&store);
        assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
        assert!(!page.contains("<script") && !page.contains("swordfish"), "{page}");
    }
}
