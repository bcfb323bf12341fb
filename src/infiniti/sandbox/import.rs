//! A request for an import: its upload, the fault that strikes it, and its answer in the vendor's shapes.

use std::io;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::multipart::Field;
use axum::extract::{ConnectInfo, FromRequest as _, Multipart, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;

use super::faults::FaultKind;
use super::feed::{Feed, Imported, Order, Outcome, Refused, Upload};
use super::socket::Connection;
use super::{RequestRecord, Shared};

pub(super) async fn import(
    feed: &'static Feed,
    State(shared): State<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let (struck, reject) = shared.strike(feed.contract.feed);
    let mut record = RequestRecord {
        time: Timestamp::now(),
        feed: feed.contract.feed,
        path: request.uri().path().to_owned(),
        status: None,
        rows: 0,
        created: 0,
        updated: 0,
        failed: 0,
        fault: struck
            .as_ref()
            .map(ToString::to_string)
            .or_else(|| reject.as_ref().map(|pattern| format!("reject={pattern}"))),
    };
    let kind = struck.map(|fault| fault.kind);
    if let Some(FaultKind::CutUpload { bytes }) = kind {
        read_some(request.into_body(), bytes).await;
        shared.record(record);
        connection.cut();
        return StatusCode::NO_CONTENT.into_response();
    }
    let authorised = shared.is_authorised(request.headers());
    // Read to the end even if it will be refused: a client that cannot finish may miss the answer.
    let upload = first_file(request, feed.bytes_max).await;
    let mode = feed.mode(&record.path);
    let refusal = match (&kind, &mode) {
        (Some(FaultKind::Status { status, retry_after }), _) => Some(status_answer(*status, *retry_after)),
        (Some(FaultKind::Redirect), _) => Some(redirect_answer()),
        (Some(FaultKind::Html), _) => Some(html_answer()),
        _ if !authorised => Some(status_answer(401, None)),
        (_, Err(refused)) => Some(refused_answer(feed, refused)),
        _ => None,
    };
    let answer = match (refusal, upload) {
        (Some(refusal), _) => refusal,
        (None, Ok(upload)) => {
            let worker = Arc::clone(&shared);
            let mode = mode.unwrap_or_default().to_owned();
            let imported = tokio::task::spawn_blocking(move || {
                worker.import(feed, &upload, &Order { mode: &mode, reject: reject.as_ref() })
            })
            .await;
            match imported.map_err(io::Error::other).flatten() {
                Ok(Ok(imported)) => {
                    record.rows = imported.outcomes.len();
                    record.created = imported.count(|outcome| *outcome == Outcome::Created);
                    record.updated = imported.count(|outcome| *outcome == Outcome::Updated);
                    record.failed = imported.count(|outcome| matches!(outcome, Outcome::Failed(_)));
                    import_answer(feed, &imported, &record, kind.as_ref())
                }
                Ok(Err(refused)) => refused_answer(feed, &refused),
                Err(error) => {
                    tracing::warn!(%error, "the sandbox could not keep what it took");
                    StatusCode::INTERNAL_SERVER_ERROR.into_response()
                }
            }
        }
        (None, Err(refused)) => refused_answer(feed, &refused),
    };
    if matches!(kind, Some(FaultKind::Hang)) && authorised {
        shared.record(record);
        connection.ended().await;
        return answer;
    }
    record.status = Some(answer.status().as_u16());
    shared.record(record);
    if matches!(kind, Some(FaultKind::Cut)) && authorised {
        cut_in_the_middle(answer, connection).await
    } else {
        answer
    }
}

async fn read_some(body: Body, bytes: usize) {
    let mut read = 0;
    let mut chunks = body.into_data_stream();
    while read < bytes {
        match chunks.next().await {
            Some(Ok(chunk)) => read += chunk.len(),
            _ => break,
        }
    }
}

/// The first file part, whatever its names. An error says why there is none.
async fn first_file(request: Request, bytes_max: usize) -> Result<Upload, Refused> {
    let unreadable = |_| Refused::from("The upload cannot be read.".to_owned());
    let mut parts =
        Multipart::from_request(request, &()).await.map_err(|_| "The upload is not multipart/form-data.".to_owned())?;
    let mut file = None;
    while let Some(part) = parts.next_field().await.map_err(unreadable)? {
        if let (None, Some(name)) = (&file, part.file_name()) {
            let name = name.to_owned();
            file = Some(content(part, bytes_max).await?.map(|bytes| Upload { name, bytes }));
        }
    }
    file.ok_or_else(|| "The upload has no file.".to_owned())?.ok_or_else(|| Refused::too_large(bytes_max))
}

/// The content of a part; `None` if it is larger than is taken, of which no more is kept.
async fn content(mut part: Field<'_>, bytes_max: usize) -> Result<Option<Bytes>, Refused> {
    let mut content = Vec::new();
    let mut is_too_large = false;
    while let Some(chunk) = part.chunk().await.map_err(|_| "The upload cannot be read.".to_owned())? {
        is_too_large |= content.len() + chunk.len() > bytes_max;
        if is_too_large {
            content = Vec::new();
        } else {
            content.extend_from_slice(&chunk);
        }
    }
    Ok((!is_too_large).then(|| content.into()))
}

/// The answer to an import, in the vendor's shapes: details of every row, and only if some failed. For accounts they are
/// documented; those of the other feeds are chosen to be like them.
fn import_answer(feed: &Feed, imported: &Imported, record: &RequestRecord, fault: Option<&FaultKind>) -> Response {
    if matches!(fault, Some(FaultKind::BadJson)) {
        return json_answer(StatusCode::OK, "{\"success\": tru".to_owned());
    }
    let mut processed = record.rows;
    let (mut created, mut updated, mut failed) = (record.created, record.updated, record.failed);
    if matches!(fault, Some(FaultKind::Miscount)) {
        processed = processed.checked_sub(1).unwrap_or(1);
    }
    let no_details = matches!(fault, Some(FaultKind::NoDetails));
    if no_details && failed == 0 {
        failed = 1;
        (created, updated) = if created > 0 { (created - 1, updated) } else { (0, updated.saturating_sub(1)) };
    }
    let counts = [(processed, "processed"), (created, "created"), (updated, "updated"), (failed, "failed")];
    let thing = feed.thing;
    let summary = counts.map(|(count, verb)| format!("{count} {thing}{} {verb}.", if count == 1 { "" } else { "s" }));
    let mut answer = serde_json::json!({ "success": failed == 0, "summary": summary.join(" ") });
    if failed > 0 && !no_details {
        let title = thing[..1].to_uppercase() + &thing[1..];
        let details = imported.outcomes.iter().enumerate().map(|(index, outcome)| {
            let text = match outcome {
                Outcome::Created => format!("{title} Created"),
                Outcome::Updated => format!("{title} Updated"),
                // Infiniti says an error twice, and ends it with a space.
                Outcome::Failed(error) => format!("{error} {title} failed to import: {error} "),
            };
            ((index + 1).to_string(), text.into())
        });
        answer["details"] = serde_json::Value::Object(details.collect());
    }
    json_answer(StatusCode::OK, answer.to_string())
}

fn json_answer(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn refused_answer(feed: &Feed, refused: &Refused) -> Response {
    let summary = format!("{} No {}s were imported.", refused.reason, feed.thing);
    json_answer(refused.status, serde_json::json!({ "success": false, "summary": summary }).to_string())
}

fn status_answer(status: u16, retry_after: Option<u64>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = if status == StatusCode::UNAUTHORIZED {
        json_answer(status, r#"{"success": false, "summary":"Unauthorised. Check credentials."}"#.to_owned())
    } else {
        (status, format!("{status}\n")).into_response()
    };
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}

fn redirect_answer() -> Response {
    (StatusCode::FOUND, [(header::LOCATION, "https://sso.example.invalid/login?return=import")]).into_response()
}

fn html_answer() -> Response {
    let page = "<!doctype html><title>Sign in</title><form method=post><input name=user><input type=password></form>";
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

/// The same answer, of which half arrives before the connection is reset.
async fn cut_in_the_middle(answer: Response, connection: Connection) -> Response {
    let (parts, body) = answer.into_parts();
    let whole = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut parts = parts;
    parts.headers.insert(header::CONTENT_LENGTH, whole.len().into());
    let half = whole.slice(..whole.len() / 2);
    let body = stream::once(async move { Ok::<_, io::Error>(half) }).chain(stream::once(async move {
        // Gives the server a turn to send what it has.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        connection.cut();
        Err(io::ErrorKind::ConnectionReset.into())
    }));
    Response::from_parts(parts, Body::from_stream(body))
}
