//! The page at `/`: what a person wants to see after a push. No script and nothing from elsewhere.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::store::PASSWORD_SET;
use super::{RequestRecord, Shared};
use crate::infiniti::contract::USERS;

/// The most patrons on one page.
const PATRONS_MAX: usize = 1000;
/// The most requests on one page.
const REQUESTS_SHOWN_MAX: usize = 50;

/// The page itself. `?filter=TEXT` shows the patrons of whom any value contains the text.
pub(super) async fn index(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap) -> Response {
    if !is_for_loopback(&headers) {
        return foreign();
    }
    let filter = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
        .find(|(name, _)| name == "filter")
        .map(|(_, value)| value.trim().to_owned())
        .unwrap_or_default();
    let html = {
        let inner = shared.lock();
        let (total, matching, patrons) = inner.store.search(&filter, PATRONS_MAX);
        let requests: Vec<&RequestRecord> = inner.requests.iter().rev().take(REQUESTS_SHOWN_MAX).collect();
        render(&Page {
            filter: &filter,
            total,
            matching,
            patrons: &patrons,
            requests: &requests,
            form_classes: &inner.store.form_classes(),
        })
    };
    let policy =
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, html).into_response()
}

/// The patrons as JSON: a list of objects from header to value, in the order of usernames.
pub(super) async fn patrons_json(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if !is_for_loopback(&headers) {
        return foreign();
    }
    let patrons = shared.lock().store.patrons();
    match serde_json::to_string_pretty(&patrons) {
        Ok(json) => {
            ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], json).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A web page elsewhere may bend a name of its own to this machine and then read what we answer; its `Host` gives it away.
pub(crate) fn is_for_loopback(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    match url::Url::parse(&format!("http://{host}/")).ok().as_ref().and_then(url::Url::host) {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn foreign() -> Response {
    (StatusCode::FORBIDDEN, "the sandbox answers to loopback names only\n").into_response()
}

struct Page<'a> {
    filter: &'a str,
    total: usize,
    matching: usize,
    patrons: &'a [Vec<&'a str>],
    requests: &'a [&'a RequestRecord],
    form_classes: &'a [(&'a str, usize)],
}

fn render(page: &Page<'_>) -> String {
    let mut html = String::from(HEAD);
    // Writing to a `String` does not fail.
    let _: std::fmt::Result =
        patrons(&mut html, page).and_then(|()| requests(&mut html, page)).and_then(|()| classes(&mut html, page));
    html.push_str("</main></body></html>\n");
    html
}

fn patrons(html: &mut String, page: &Page<'_>) -> std::fmt::Result {
    write!(
        html,
        "<section><div class=bar><h2>Patrons <span class=count>{}</span></h2>\
         <form><input type=search name=filter value=\"{}\" placeholder=\"Filter by any value\" aria-label=\"Filter patrons\">\
         <button>Filter</button></form></div>",
        page.total,
        Escaped(page.filter)
    )?;
    if page.total == 0 {
        return html.write_str("<p class=empty>No patrons yet. The first push fills this table.</p></section>");
    }
    if page.matching < page.total || page.patrons.len() < page.matching {
        write!(html, "<p class=note>{} match, {} shown.</p>", page.matching, page.patrons.len())?;
    }
    // Only columns that somebody on this page has.
    let columns: Vec<usize> = (0..USERS.headers.len())
        .filter(|column| page.patrons.iter().any(|patron| !patron[*column].is_empty()))
        .collect();
    html.push_str("<div class=scroll><table><thead><tr>");
    for column in &columns {
        write!(html, "<th>{}", USERS.headers[*column].name)?;
    }
    html.push_str("<tbody>");
    for patron in page.patrons {
        html.push_str("<tr>");
        for column in &columns {
            let value = patron[*column];
            let value = if value == PASSWORD_SET { "set" } else { value };
            write!(html, "<td>{}", Escaped(value))?;
        }
    }
    html.write_str("</table></div></section>")
}

fn requests(html: &mut String, page: &Page<'_>) -> std::fmt::Result {
    html.push_str("<section><h2>Requests <small>newest first</small></h2>");
    if page.requests.is_empty() {
        return html.write_str("<p class=empty>None yet.</p></section>");
    }
    html.push_str(
        "<div class=scroll><table><thead><tr><th>time (UTC)<th>path<th>status<th class=n>rows<th class=n>created\
         <th class=n>updated<th class=n>failed<th>fault<tbody>",
    );
    for request in page.requests {
        let (class, status) = match request.status {
            Some(status @ 200..=299) => ("good", status.to_string()),
            Some(status) => ("bad", status.to_string()),
            None => ("bad", "no answer".to_owned()),
        };
        write!(
            html,
            "<tr><td>{}<td>{}<td><b class={class}>{status}</b><td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td>{}",
            request.time.strftime("%Y-%m-%d %H:%M:%S"),
            Escaped(&request.path),
            request.rows,
            request.created,
            request.updated,
            request.failed,
            Escaped(request.fault.as_deref().unwrap_or_default()),
        )?;
    }
    html.write_str("</table></div></section>")
}

fn classes(html: &mut String, page: &Page<'_>) -> std::fmt::Result {
    html.push_str("<section><h2>Form classes</h2>");
    if page.form_classes.is_empty() {
        return html.write_str("<p class=empty>None yet. A class that does not exist is made by the first row that names it.</p></section>");
    }
    html.push_str("<ul class=classes>");
    for (class, members) in page.form_classes {
        write!(html, "<li>{} <span class=count>{members}</span>", Escaped(class))?;
    }
    html.write_str("</ul></section>")
}

struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

const HEAD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>sispush sandbox</title>
<style>
:root{color-scheme:light dark;--ink:light-dark(#1b2430,#e3e8ee);--soft:light-dark(#5d6b7a,#93a1b1);--line:light-dark(#dde3ea,#2c3642);
--paper:light-dark(#f5f7f9,#12171d);--card:light-dark(#fff,#1a2129);--accent:light-dark(#0b6e75,#4cc3ca);
--good:light-dark(#12733a,#5fd38d);--bad:light-dark(#b3261e,#ff8a80)}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
header{padding:1.6rem 2rem .4rem}h1{margin:0;font-size:1.4rem}header p{margin:.2rem 0 0;color:var(--soft)}
main{padding:1rem 2rem 3rem;display:grid;gap:1.2rem}section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1rem 1.2rem;min-width:0}
h2{margin:0 0 .6rem;font-size:1.05rem}h2 small,.note,.empty{color:var(--soft);font-weight:400}.note,.empty{margin:.2rem 0 .6rem}
.bar{display:flex;flex-wrap:wrap;gap:.6rem;justify-content:space-between;align-items:start}
.count{background:var(--paper);border:1px solid var(--line);border-radius:99px;padding:.05rem .55rem;font-size:.85em;color:var(--soft)}
input,button{font:inherit;color:inherit;padding:.3rem .7rem;border:1px solid var(--line);border-radius:7px;background:var(--paper)}
input{width:15rem}button{background:var(--accent);border-color:var(--accent);color:var(--card);cursor:pointer}
.scroll{overflow:auto;max-height:32rem}table{border-collapse:collapse;font-size:.88rem;white-space:nowrap;min-width:100%}
th,td{padding:.32rem .7rem;text-align:left;border-bottom:1px solid var(--line)}th{position:sticky;top:0;background:var(--card);color:var(--soft);font-weight:600}
tbody tr:hover{background:var(--paper)}.n{text-align:right;font-variant-numeric:tabular-nums}.good{color:var(--good)}.bad{color:var(--bad)}
.classes{list-style:none;margin:0;padding:0;display:flex;flex-wrap:wrap;gap:.5rem}.classes li{border:1px solid var(--line);border-radius:7px;padding:.2rem .6rem}
</style></head><body>
<header><h1>sispush sandbox</h1><p>An Infiniti on this machine only, for rehearsals. Nothing here reaches a school.</p></header><main>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_value_holds_stays_text() {
        let patron = vec!["<script>alert('x')</script>"; USERS.headers.len()];
        let page = Page {
            filter: "\"><b>",
            total: 1,
            matching: 1,
            patrons: &[patron],
            requests: &[],
            form_classes: &[("<i>&", 1)],
        };
        let html = render(&page);
        assert!(!html.contains("<script") && !html.contains("<b>") && !html.contains("<i>"), "{html}");
        assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)") && html.contains("&lt;i&gt;&amp;"));
    }

    #[test]
    fn a_host_from_elsewhere_is_not_answered() {
        for (host, expected) in [
            ("127.0.0.1:8080", true),
            ("localhost:1", true),
            ("[::1]:8080", true),
            ("evil.example:8080", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            assert_eq!(is_for_loopback(&headers), expected, "{host}");
        }
    }
}
