//! The page at `/`: what a person wants to see after a push. No script and nothing from elsewhere.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::feed::Feed;
use super::groups::SYSTEM_GROUP;
use super::images::Place;
use super::patrons::PASSWORD_SET;
use super::store::{Record, Search, Store};
use super::{RequestRecord, Shared, contacts, groups, patrons};
use crate::infiniti::contract::{ADMINSYSTEMID, CONTACTS, USERNAME};

/// The most records of a feed on one page.
const RECORDS_MAX: usize = 1000;
/// The most requests on one page.
const REQUESTS_SHOWN_MAX: usize = 50;
/// The page may show pictures of ours, and nothing else but itself.
const POLICY: &str = "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The page itself. `?filter=TEXT` shows the records of which any value contains the text.
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
        let requests: Vec<&RequestRecord> = inner.requests.iter().rev().take(REQUESTS_SHOWN_MAX).collect();
        render(&Page { filter: &filter, store: &inner.store, requests: &requests })
    };
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, html).into_response()
}

/// What a feed brought, as JSON: a list of objects from header to value, in the order of their keys.
pub(super) fn records_json(feed: &Feed, shared: &Shared, headers: &HeaderMap) -> Response {
    if !is_for_loopback(headers) {
        return foreign();
    }
    let json = serde_json::to_string_pretty(&(feed.records)(&shared.lock().store).collect::<Vec<_>>());
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    json.map_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response(), |json| (headers, json).into_response())
}

/// The picture of an `adminsystemid`.
pub(super) async fn picture(State(shared): State<Arc<Shared>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    if !is_for_loopback(&headers) {
        return foreign();
    }
    let Some(shown) = shared.lock().store.images.show(&id) else {
        return (StatusCode::NOT_FOUND, "there is no such picture\n").into_response();
    };
    let read = tokio::task::spawn_blocking(move || match shown.place {
        Place::Memory(content) => Ok(Body::from(content)),
        Place::File(path) => std::fs::read(path).map(Body::from),
    });
    let Ok(Ok(content)) = read.await else {
        return (StatusCode::NOT_FOUND, "the picture's file cannot be read\n").into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, shown.media_type),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // A page elsewhere may name our address in an `<img>`, which `Host` does not give away.
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    (headers, content).into_response()
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
    store: &'a Store,
    requests: &'a [&'a RequestRecord],
}

fn render(page: &Page<'_>) -> String {
    let mut html = String::from(HEAD);
    // Writing to a `String` does not fail.
    let _: std::fmt::Result = filter(&mut html, page)
        .and_then(|()| patrons(&mut html, page))
        .and_then(|()| contacts(&mut html, page))
        .and_then(|()| groups(&mut html, page))
        .and_then(|()| requests(&mut html, page))
        .and_then(|()| classes(&mut html, page));
    html.push_str("</main></body></html>\n");
    html
}

fn filter(html: &mut String, page: &Page<'_>) -> std::fmt::Result {
    write!(
        html,
        "<form><input type=search name=filter value=\"{}\" placeholder=\"Filter by any value\" aria-label=\"Filter\">\
         <button>Filter</button></form></header><main>",
        Escaped(page.filter)
    )
}

fn patrons(html: &mut String, page: &Page<'_>) -> std::fmt::Result {
    let Store { contacts, images, groups, .. } = page.store;
    let found = section(html, page, &patrons::FEED, "Patrons")?;
    if found.shown.is_empty() {
        return html.write_str("</section>");
    }
    let id = |patron: &Record<'_>| patron.0[ADMINSYSTEMID.index()].1.to_string();
    let username = |patron: &Record<'_>| patron.0[USERNAME.index()].1.to_string();
    // Only columns that somebody on this page has.
    let columns = filled_columns(&found);
    let has = |wanted: &dyn Fn(&Record<'_>) -> bool| found.shown.iter().any(wanted);
    let has_pictures = has(&|patron| images.contains(&id(patron)));
    let has_contacts = has(&|patron| !contacts.of(&username(patron)).is_empty());
    let has_groups = has(&|patron| groups.of(&username(patron)).next().is_some());
    html.push_str("<div class=scroll><table><thead><tr>");
    html.push_str(if has_pictures { "<th>picture" } else { "" });
    for column in &columns {
        write!(html, "<th>{}", found.shown[0].0[*column].0)?;
    }
    html.push_str(if has_contacts { "<th>contacts" } else { "" });
    html.push_str(if has_groups { "<th>groups" } else { "" });
    html.push_str("<tbody>");
    for patron in &found.shown {
        html.push_str("<tr>");
        if has_pictures {
            html.push_str("<td class=face>");
            let id = id(patron);
            if images.contains(&id) {
                write!(html, "<img src=\"/images/{}\" alt=\"\" width=40 height=40 loading=lazy>", Segment(&id))?;
            }
        }
        for column in &columns {
            let value = patron.0[*column].1.as_ref();
            write!(html, "<td>{}", Escaped(if value == PASSWORD_SET { "set" } else { value }))?;
        }
        if has_contacts {
            html.push_str("<td>");
            for (index, contact) in contacts.of(&username(patron)).iter().enumerate() {
                let [role, reach] = contacts::ROLE_AND_REACH
                    .map(|name| CONTACTS.header(name).map_or("", |header| contact[header.index()].as_str()));
                let line = if index == 0 { "" } else { "<br>" };
                write!(html, "{line}{} <small>{}</small>", Escaped(reach), Escaped(role))?;
            }
        }
        if has_groups {
            html.push_str("<td>");
            for (index, group) in groups.of(&username(patron)).enumerate() {
                write!(html, "{}{}", if index == 0 { "" } else { "<br>" }, Escaped(group))?;
            }
        }
    }
    html.write_str("</table></div></section>")
}

fn contacts(html: &mut String, page: &Page<'_>) -> std::fmt::Result {
    let found = section(html, page, &contacts::FEED, "Contacts")?;
    table(html, &found)?;
    html.write_str("</section>")
}

fn groups(html: &mut String, page: &Page<'_>) -> std::fmt::Result {
    let found = section(html, page, &groups::FEED, "Groups")?;
    html.push_str("<ul class=classes>");
    for (group, members) in page.store.groups.counts() {
        let mark = if group == SYSTEM_GROUP { " <small>system</small>" } else { "" };
        write!(html, "<li>{}{mark} <span class=count>{members}</span>", Escaped(group))?;
    }
    html.push_str("</ul>");
    table(html, &found)?;
    html.write_str("</section>")
}

/// The head of a feed's section: how many records there are, and how many of them the filter lets through.
fn section<'p>(html: &mut String, page: &Page<'p>, feed: &Feed, title: &str) -> Result<Search<'p>, std::fmt::Error> {
    let found = Search::new((feed.records)(page.store), page.filter, RECORDS_MAX);
    write!(html, "<section><h2>{title} <span class=count>{}</span></h2>", found.total)?;
    if found.total == 0 {
        write!(html, "<p class=empty>No {} yet. The first push fills this table.</p>", title.to_lowercase())?;
    } else if found.shown.len() < found.total {
        write!(html, "<p class=note>{} match, {} shown.</p>", found.matching, found.shown.len())?;
    }
    Ok(found)
}

fn table(html: &mut String, found: &Search<'_>) -> std::fmt::Result {
    let Some(first) = found.shown.first() else { return Ok(()) };
    let columns = filled_columns(found);
    html.push_str("<div class=scroll><table><thead><tr>");
    for column in &columns {
        write!(html, "<th>{}", first.0[*column].0)?;
    }
    html.push_str("<tbody>");
    for record in &found.shown {
        html.push_str("<tr>");
        for column in &columns {
            write!(html, "<td>{}", Escaped(&record.0[*column].1))?;
        }
    }
    html.write_str("</table></div>")
}

/// The columns in which a record on this page has a value.
fn filled_columns(found: &Search<'_>) -> Vec<usize> {
    let width = found.shown.first().map_or(0, |record| record.0.len());
    (0..width).filter(|column| found.shown.iter().any(|record| !record.0[*column].1.is_empty())).collect()
}

fn requests(html: &mut String, page: &Page<'_>) -> std::fmt::Result {
    html.push_str("<section><h2>Requests <small>newest first</small></h2>");
    if page.requests.is_empty() {
        return html.write_str("<p class=empty>None yet.</p></section>");
    }
    html.push_str(
        "<div class=scroll><table><thead><tr><th>time (UTC)<th>feed<th>path<th>status<th class=n>rows<th class=n>created\
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
            "<tr><td>{}<td>{}<td>{}<td><b class={class}>{status}</b><td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td>{}",
            request.time.strftime("%Y-%m-%d %H:%M:%S"),
            request.feed,
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
    let form_classes = page.store.patrons.form_classes();
    if form_classes.is_empty() {
        return html.write_str("<p class=empty>None yet. A class that does not exist is made by the first row that names it.</p></section>");
    }
    html.push_str("<ul class=classes>");
    for (class, members) in form_classes {
        write!(html, "<li>{} <span class=count>{members}</span>", Escaped(class))?;
    }
    html.write_str("</ul></section>")
}

/// Text as a segment of a path.
struct Segment<'a>(&'a str);

impl std::fmt::Display for Segment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.bytes().try_for_each(|byte| match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'.' | b'~' => f.write_char(byte.into()),
            _ => write!(f, "%{byte:02X}"),
        })
    }
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
header{padding:1.6rem 2rem .4rem;display:flex;flex-wrap:wrap;gap:.6rem;justify-content:space-between;align-items:end}h1{margin:0;font-size:1.4rem}header p{margin:.2rem 0 0;color:var(--soft)}
main{padding:1rem 2rem 3rem;display:grid;gap:1.2rem}section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1rem 1.2rem;min-width:0}
h2{margin:0 0 .6rem;font-size:1.05rem}h2 small,.note,.empty{color:var(--soft);font-weight:400}.note,.empty{margin:.2rem 0 .6rem}
small{color:var(--soft)}.face{padding-block:.15rem}img{display:block;border-radius:7px;object-fit:cover;background:var(--line)}
.count{background:var(--paper);border:1px solid var(--line);border-radius:99px;padding:.05rem .55rem;font-size:.85em;color:var(--soft)}
input,button{font:inherit;color:inherit;padding:.3rem .7rem;border:1px solid var(--line);border-radius:7px;background:var(--paper)}
input{width:15rem}button{background:var(--accent);border-color:var(--accent);color:var(--card);cursor:pointer}
.scroll{overflow:auto;max-height:32rem}table{border-collapse:collapse;font-size:.88rem;white-space:nowrap;min-width:100%}
th,td{padding:.32rem .7rem;text-align:left;border-bottom:1px solid var(--line)}th{position:sticky;top:0;background:var(--card);color:var(--soft);font-weight:600}
tbody tr:hover{background:var(--paper)}.n{text-align:right;font-variant-numeric:tabular-nums}.good{color:var(--good)}.bad{color:var(--bad)}
.classes{list-style:none;margin:0 0 .6rem;padding:0;display:flex;flex-wrap:wrap;gap:.5rem}.classes li{border:1px solid var(--line);border-radius:7px;padding:.2rem .6rem}
</style></head><body>
<header><div><h1>sispush sandbox</h1><p>An Infiniti on this machine only, for rehearsals. Nothing here reaches a school.</p></div>"#;

#[cfg(test)]
mod tests {
    use super::super::patrons::Patrons;
    use super::*;
    use crate::infiniti::contract::USERS;

    #[test]
    fn whatever_a_value_holds_stays_text() {
        let mut store = Store::new(&["<i>&".to_owned()]);
        let values = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let evil = "<script>alert('x')</script>";
        let patron = USERS.headers.iter().map(|rule| (rule.name.to_owned(), evil.to_owned())).collect();
        store.patrons = Patrons::new(&[patron], [evil.to_owned()].into());
        store.contacts.insert(&CONTACTS.headers.iter().map(|rule| (rule.name.to_owned(), evil.to_owned())).collect());
        store.groups.insert(&values(&[("username", evil), ("group", evil)]));
        let image = format!("jpg 1 {}", "0".repeat(32));
        store.images.insert(&values(&[("adminsystemid", evil), ("image", &image)])).unwrap();
        let html = render(&Page { filter: "", store: &store, requests: &[] });
        assert!(!html.contains("<script") && !html.contains("<i>"), "{html}");
        assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)") && html.contains("&lt;i&gt;&amp;"));
        assert!(html.contains("<img src=\"/images/%3Cscript%3Ealert%28%27x%27%29%3C%2Fscript%3E\""), "{html}");
        let html = render(&Page { filter: "\"><b>", store: &store, requests: &[] });
        assert!(!html.contains("<b>") && html.contains("&quot;&gt;&lt;b&gt;"), "{html}");
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
