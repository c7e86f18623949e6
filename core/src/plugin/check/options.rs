//! Check 5: options have a schema that is true, and bad ones are refused without harm.

use anyhow::{Context as _, Result, bail, ensure};
use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value, json};

use super::{
    Done,
    subject::{Subject, is_panic, words},
};
use crate::registry::Options;

const LARGE: usize = 1 << 20;
const RANDOM: u64 = 200;

pub fn check(subject: &Subject) -> Result<Done> {
    let schema = subject.schema()?;
    let properties = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    jsonschema::validator_for(schema).map_err(|reason| anyhow::anyhow!("the option schema is not valid: {reason}"))?;
    for (option, schema) in &properties {
        let doc = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        ensure!(!doc.trim().is_empty(), "option `{option}` has no description; write a doc comment above the field");
        ensure!(
            schema.get("default").is_some(),
            "option `{option}` has no default; put #[serde(default)] on the struct, and derive Serialize for a type of yours"
        );
    }
    defaults(subject, schema, &properties)?;
    for (fault, what, options) in faulty(schema, &properties)? {
        let text = Value::Object(options).to_string();
        let outcome = constructed(subject, &what, text.as_bytes())?;
        let advice = match fault {
            Fault::Unknown if subject.is_rust() => "put #[serde(deny_unknown_fields)] on the struct",
            Fault::Type => "read it as the type that the schema gives it, and return the error",
            Fault::Unknown | Fault::Range => continue,
        };
        ensure!(outcome.is_some(), "`create` accepts {what}; {advice}");
    }
    garbage(subject)?;
    Ok(Done::Passed)
}

/// The schema's defaults are valid, and both they and `{}` make an instance.
fn defaults(subject: &Subject, schema: &Value, properties: &Map<String, Value>) -> Result<()> {
    let all: Options =
        properties.iter().filter_map(|(key, it)| Some((key.clone(), it.get("default")?.clone()))).collect();
    let validator = jsonschema::validator_for(schema)?;
    if let Some(error) = validator.iter_errors(&Value::Object(all.clone())).next() {
        bail!(
            "the default of `{}` breaks its own schema: {error}",
            error.instance_path().as_str().trim_start_matches('/')
        );
    }
    for options in [Value::Object(all).to_string(), "{}".into()] {
        subject.construct(options.as_bytes()).with_context(|| format!("`create` refuses the defaults {options}"))?;
    }
    Ok(())
}

/// What is wrong with an option.
enum Fault {
    /// An author in C asks for options by name and sees no others.
    Unknown,
    Type,
    /// It is the trainer's to refuse, by the schema.
    Range,
}

/// Options that are wrong, and how to name them.
fn faulty(schema: &Value, properties: &Map<String, Value>) -> Result<Vec<(Fault, String, Options)>> {
    let validator = jsonschema::validator_for(schema)?;
    let one = |key: &str, value: Value| Options::from_iter([(key.to_owned(), value)]);
    let mut all = vec![(Fault::Unknown, "an unknown option".into(), one("no_such_option", json!(1)))];
    for (option, schema) in properties {
        let types = [json!({ "a": [1] }), json!([[]]), json!(true), json!(0.123), json!("no such value")];
        for value in types {
            let (what, options) = (format!("`{option}` = {value}, which its schema forbids"), one(option, value));
            let is_fault = validator.iter_errors(&Value::Object(options.clone())).any(|error| is_of_type(error.kind()));
            if is_fault {
                all.push((Fault::Type, what, options));
            }
        }
        let bounds = [("minimum", -1.0), ("exclusiveMinimum", 0.0), ("maximum", 1.0), ("exclusiveMaximum", 0.0)];
        for (bound, by) in bounds {
            if let Some(limit) = schema.get(bound).and_then(Value::as_f64) {
                let outside = limit + by * (1.0 + limit.abs() * 1e-3);
                let is_whole = schema["type"] == "integer";
                let value = if is_whole { json!(outside as i64) } else { json!(outside) };
                all.push((Fault::Range, format!("`{option}` = {value}, out of range"), one(option, value)));
            }
        }
    }
    Ok(all)
}

/// Whether no value of this type would do, or none but some.
fn is_of_type(kind: &ValidationErrorKind) -> bool {
    use ValidationErrorKind::{AnyOf, Constant, Enum, OneOfNotValid, Type};
    matches!(kind, Type { .. } | Enum { .. } | Constant { .. } | AnyOf { .. } | OneOfNotValid { .. })
}

/// Bytes that are no options.
fn garbage(subject: &Subject) -> Result<()> {
    let large = json!({ "no_such_option": "x".repeat(LARGE) }).to_string();
    constructed(subject, "an unknown option of 1 MB", large.as_bytes())?;
    let text = Value::String("x".repeat(LARGE)).to_string();
    for (what, bytes) in [("a text of 1 MB", text), ("no text at all", String::new())] {
        ensure!(
            constructed(subject, what, bytes.as_bytes())?.is_some(),
            "`create` accepts {what}; refuse what is no object of options"
        );
    }
    for number in 0..RANDOM {
        let mut rng = subject.rng(number);
        let mut bytes: Vec<u8> = (0..rng.below(300)).map(|_| rng.next_u64() as u8).collect();
        if rng.chance(0.5) {
            bytes.splice(0..0, *b"{\"");
        }
        let what = format!("random bytes (number {number} of --seed {})", subject.seed);
        ensure!(
            constructed(subject, &what, &bytes)?.is_some(),
            "`create` accepts {what}; refuse what is no object of options"
        );
    }
    Ok(())
}

/// The refusal of `create`, if it refuses. A panic is an error.
fn constructed(subject: &Subject, what: &str, options: &[u8]) -> Result<Option<String>> {
    match subject.construct(options) {
        Ok(()) => Ok(None),
        Err(error) if is_panic(&error) => {
            bail!("`create` panics on {what}: {}; return an error instead", words(&error))
        }
        Err(error) => Ok(Some(words(&error))),
    }
}
