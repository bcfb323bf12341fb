//! A message as Teams, Slack and programs take it.

use serde_json::{Value, json};

use super::text::Message;
use crate::mapping::notify::Style;

/// The body of the POST.
pub(super) fn body(style: Style, message: &Message) -> Value {
    match style {
        Style::Json => message.fields.clone(),
        Style::Teams => teams(message),
        Style::Slack => slack(message),
    }
}

/// What the workflow "Post to a channel when a webhook request is received" takes: an Adaptive Card. Its text blocks read
/// Markdown, by which `a_school_name` would lose its lines; runs of text do not.
fn teams(message: &Message) -> Value {
    let run = |text: &str, more: Value| {
        let mut run = json!({ "type": "TextRun", "text": text });
        if let (Some(run), Value::Object(more)) = (run.as_object_mut(), more) {
            run.extend(more);
        }
        json!({ "type": "RichTextBlock", "inlines": [run] })
    };
    let mut body = vec![run(&message.subject, json!({ "weight": "Bolder", "size": "Medium" }))];
    body.extend(message.text.lines().filter(|line| !line.is_empty()).map(|line| run(line, json!({}))));
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": { "width": "Full" },
                "body": body,
            },
        }],
    })
}

/// `text` is what a notification on a phone shows, and reads Slack's markup; the blocks read none.
fn slack(message: &Message) -> Value {
    let escaped = message.subject.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    json!({
        "text": escaped,
        "blocks": [
            { "type": "header", "text": { "type": "plain_text", "text": message.subject, "emoji": false } },
            {
                "type": "rich_text",
                "elements": [{
                    "type": "rich_text_section",
                    "elements": [{ "type": "text", "text": message.text }],
                }],
            },
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message {
            subject: "sispush: a_b_c <!channel> failed & more".into(),
            text: "one *bold* [link](http://x)\n\ntwo \"quoted\"".into(),
            fields: json!({ "version": 1 }),
        }
    }

    #[test]
    fn a_card_reads_no_markup() {
        let card = body(Style::Teams, &message());
        let content = &card["attachments"][0]["content"];
        assert_eq!(card["attachments"][0]["contentType"], "application/vnd.microsoft.card.adaptive");
        let texts: Vec<&str> = content["body"]
            .as_array()
            .unwrap()
            .iter()
            .map(|block| block["inlines"][0]["text"].as_str().unwrap())
            .collect();
        assert_eq!(texts, [message().subject.as_str(), "one *bold* [link](http://x)", "two \"quoted\""]);
        assert!(content["body"].as_array().unwrap().iter().all(|block| block["type"] == "RichTextBlock"));
    }

    /// Regression guard: a name of a mapping must not call everybody of a channel.
    #[test]
    fn a_line_of_slack_calls_nobody() {
        let said = body(Style::Slack, &message());
        assert_eq!(said["text"], "sispush: a_b_c &lt;!channel&gt; failed &amp; more");
        assert_eq!(said["blocks"][0]["text"]["type"], "plain_text");
        assert_eq!(said["blocks"][1]["elements"][0]["elements"][0]["text"], message().text);
    }
}
