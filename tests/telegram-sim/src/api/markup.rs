//! Inline keyboards: what Telegram accepts.

use serde_json::Value;

use super::{ApiError, Params};

const MAX_BUTTONS: usize = 100;
const MAX_IN_A_ROW: usize = 8;
const MAX_CALLBACK_DATA_BYTES: usize = 64;
const MAX_COPY_TEXT: usize = 256;

/// The keyboard of a call, checked; `None` when there is none (an empty one counts as none).
pub(super) fn keyboard(params: &Params) -> Result<Option<Value>, ApiError> {
    let Some(markup) = params.json("reply_markup")? else { return Ok(None) };
    let Some(object) = markup.as_object() else {
        return Err(ApiError::bad("object expected as reply markup"));
    };
    let Some(rows) = object.get("inline_keyboard") else {
        // Reply keyboards, removals and forced replies are not simulated: accepted, not shown.
        return Ok(None);
    };
    let Some(rows) = rows.as_array() else {
        return Err(ApiError::bad("field \"inline_keyboard\" of the InlineKeyboardMarkup must be an Array"));
    };
    let mut kept = vec![];
    for row in rows {
        let Some(buttons) = row.as_array() else {
            return Err(ApiError::bad("can't parse inline keyboard button: InlineKeyboardButton row must be an Array"));
        };
        for button in buttons {
            check(button)?;
        }
        if buttons.len() > MAX_IN_A_ROW {
            return Err(ApiError::bad("reply markup is too long"));
        }
        if !buttons.is_empty() {
            kept.push(row.clone());
        }
    }
    if kept.iter().filter_map(Value::as_array).map(Vec::len).sum::<usize>() > MAX_BUTTONS {
        return Err(ApiError::bad("reply markup is too long"));
    }
    Ok((!kept.is_empty()).then(|| serde_json::json!({"inline_keyboard": kept})))
}

fn check(button: &Value) -> Result<(), ApiError> {
    if !button.is_object() {
        return Err(ApiError::bad("can't parse inline keyboard button: InlineKeyboardButton must be an Object"));
    }
    if button["text"].as_str().is_none_or(|text| text.trim().is_empty()) {
        return Err(ApiError::bad("inline keyboard button text must be non-empty"));
    }
    if let Some(data) = button["callback_data"].as_str() {
        if data.is_empty() || data.len() > MAX_CALLBACK_DATA_BYTES {
            return Err(ApiError::bad("BUTTON_DATA_INVALID"));
        }
    } else if let Some(url) = button["url"].as_str() {
        // A login or profile link is as good as a web address; a bare word is not.
        let scheme_known = ["http://", "https://", "tg://"].iter().any(|scheme| url.starts_with(scheme));
        if !(scheme_known || url.contains('.')) || url.contains(char::is_whitespace) {
            return Err(ApiError::bad(&format!("inline keyboard button URL '{url}' is invalid: Wrong HTTP URL")));
        }
    } else if !button["copy_text"].is_null() {
        let length = button["copy_text"]["text"].as_str().map_or(0, |text| text.chars().count());
        if length == 0 || length > MAX_COPY_TEXT {
            return Err(ApiError::bad("BUTTON_COPY_TEXT_INVALID"));
        }
    } else if button["web_app"]["url"].as_str().is_some_and(|url| !url.starts_with("https://")) {
        return Err(ApiError::bad("inline keyboard button Web App URL is invalid: Only HTTPS links are allowed"));
    } else if ["web_app", "switch_inline_query", "switch_inline_query_current_chat", "login_url", "pay"]
        .iter()
        .all(|kind| button[kind].is_null())
    {
        return Err(ApiError::bad("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"));
    }
    Ok(())
}
