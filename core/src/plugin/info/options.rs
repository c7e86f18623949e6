//! A component's options in words, from their JSON Schema.

use serde::Serialize;
use serde_json::Value;

/// One option.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct OptionDoc {
    pub key: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// As JSON text; `-` where there is none.
    pub default: String,
    /// What numbers are taken; `-` for all.
    pub range: String,
    pub doc: String,
}

/// All options, in the schema's order.
pub(super) fn options(schema: &Value) -> Vec<OptionDoc> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let option = |(key, option): (&String, &Value)| OptionDoc {
        key: key.clone(),
        kind: kind(option),
        default: option.get("default").map_or("-".into(), ToString::to_string),
        range: range(option),
        doc: option.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " "),
    };
    properties.into_iter().flatten().map(option).collect()
}

/// `number`, `integer or null`, `one of "cos", "linear"`.
fn kind(option: &Value) -> String {
    let list = |key: &str| option.get(key).and_then(Value::as_array);
    let one_of = |values: Vec<String>| format!("one of {}", values.join(", "));
    if let Some(values) = list("enum") {
        return one_of(values.iter().map(ToString::to_string).collect());
    }
    let variants = || list("oneOf").or_else(|| list("anyOf")).into_iter().flatten();
    let constants: Vec<_> = variants().filter_map(|it| Some(it.get("const")?.to_string())).collect();
    if !constants.is_empty() {
        return one_of(constants);
    }
    match option.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => match variants().map(kind).collect::<Vec<_>>() {
            kinds if kinds.is_empty() => "any".into(),
            kinds => kinds.join(" or "),
        },
    }
}

/// `0 to 1`, `from 0`, `above 0, up to 1`.
fn range(option: &Value) -> String {
    let bound = |key: &str| Some(option.get(key)?.as_f64()?.to_string()); // 1.0 is shown as 1
    if let (Some(low), Some(high)) = (bound("minimum"), bound("maximum")) {
        return format!("{low} to {high}");
    }
    let low = bound("minimum").map(|low| format!("from {low}"));
    let above = bound("exclusiveMinimum").map(|low| format!("above {low}"));
    let high = bound("maximum").map(|high| format!("up to {high}"));
    let below = bound("exclusiveMaximum").map(|high| format!("below {high}"));
    let parts: Vec<_> = [low, above, high, below].into_iter().flatten().collect();
    if parts.is_empty() { "-".into() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_and_ranges_are_said_in_words() {
        let kinds = [
            json!({ "type": "number" }),
            json!({ "type": ["integer", "null"] }),
            json!({ "enum": ["a", 1] }),
            json!({ "oneOf": [{ "const": "cos" }, { "const": "linear" }] }),
            json!({ "anyOf": [{ "type": "string" }, { "type": "null" }] }),
            json!({}),
            json!(true),
        ];
        let wanted = [
            "number",
            "integer or null",
            "one of \"a\", 1",
            "one of \"cos\", \"linear\"",
            "string or null",
            "any",
            "any",
        ];
        assert_eq!(kinds.each_ref().map(kind), wanted);
        let ranges = [
            json!({ "minimum": 0.0, "maximum": 1.5 }),
            json!({ "minimum": 0 }),
            json!({ "exclusiveMinimum": 0, "maximum": 1 }),
            json!({ "exclusiveMaximum": 2 }),
            json!({ "minimum": "x" }),
        ];
        assert_eq!(ranges.each_ref().map(range), ["0 to 1.5", "from 0", "above 0, up to 1", "below 2", "-"]);
    }

    #[test]
    fn options_without_default_or_words() {
        let b = json!({ "type": "string", "description": "two\nlines" });
        let schema = json!({ "properties": { "b": b, "a": { "default": false } } });
        let option = |key: &str, kind: &str, default: &str, doc: &str| OptionDoc {
            key: key.into(),
            kind: kind.into(),
            default: default.into(),
            range: "-".into(),
            doc: doc.into(),
        };
        assert_eq!(options(&schema), [option("b", "string", "-", "two lines"), option("a", "any", "false", "")]);
        assert_eq!(options(&json!(null)), []);
    }
}
