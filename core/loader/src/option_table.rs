//! `trainer.options/1`: single values out of a JSON object, for authors in C.

#![allow(unsafe_code)] // C functions

use std::panic::catch_unwind;

use serde_json::{Map, Value};
use trainer_abi::{OptionsTable, Sink, Status, Str};

pub(crate) static OPTION_TABLE: OptionsTable = OptionsTable { number, integer, boolean, text };

unsafe extern "C" fn number(json: Str, key: Str, out: *mut f64) -> Status {
    // SAFETY: promised by the caller, see `read`.
    unsafe { read(json, key, out, Value::as_f64) }
}

unsafe extern "C" fn integer(json: Str, key: Str, out: *mut i64) -> Status {
    // SAFETY: promised by the caller, see `read`.
    unsafe { read(json, key, out, whole) }
}

unsafe extern "C" fn boolean(json: Str, key: Str, out: *mut i32) -> Status {
    // SAFETY: promised by the caller, see `read`.
    unsafe { read(json, key, out, |value| value.as_bool().map(i32::from)) }
}

unsafe extern "C" fn text(json: Str, key: Str, out: Sink) -> Status {
    // SAFETY: the texts live for the call.
    let found = unsafe { look_up(json, key, |value| Some(value.as_str().map_or(value.to_string(), str::to_owned))) };
    // SAFETY: the sink lives for the call.
    found.map_or_else(
        |status| status,
        |text| unsafe {
            out.put(text.as_bytes());
            Status::OK
        },
    )
}

/// A whole number, also one that is written as `3.0`, as JSON Schema has it.
fn whole(value: &Value) -> Option<i64> {
    let float = || value.as_f64().filter(|number| number.fract() == 0.0 && number.abs() <= 9e15);
    value.as_i64().or_else(|| float().map(|number| number as i64))
}

/// Writes what `convert` makes of the value.
///
/// # Safety
/// The texts live for the call; `out` may be written.
unsafe fn read<T>(json: Str, key: Str, out: *mut T, convert: impl Fn(&Value) -> Option<T>) -> Status {
    // SAFETY: promised by the caller.
    unsafe {
        match look_up(json, key, convert) {
            Ok(value) => {
                out.write(value);
                Status::OK
            }
            Err(status) => status,
        }
    }
}

/// The value of `key`, if `json` is an object that has it and `convert` knows its type.
///
/// # Safety
/// The texts live for the call.
unsafe fn look_up<T>(json: Str, key: Str, convert: impl Fn(&Value) -> Option<T>) -> Result<T, Status> {
    // SAFETY: promised by the caller.
    let (json, key) = unsafe { (json.as_bytes(), key.to_text()) };
    let object = catch_unwind(|| serde_json::from_slice::<Map<String, Value>>(json));
    let object = object.map_err(|_| Status::PANICKED)?.map_err(|_| Status::OPTIONS)?;
    convert(object.get(&*key).ok_or(Status::UNSUPPORTED)?).ok_or(Status::OPTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str =
        r#"{"x": 0.5, "n": -3, "whole": 4.0, "yes": true, "word": "a \"b\"", "list": [1, 2], "no": null}"#;

    /// What a function makes of a key, and `start` where it leaves the place alone.
    fn got<T>(
        function: unsafe extern "C" fn(Str, Str, *mut T) -> Status,
        json: &str,
        key: &str,
        start: T,
    ) -> (Status, T) {
        let mut out = start;
        // SAFETY: the texts live for the call.
        let status = unsafe { function(Str::new(json), Str::new(key), &raw mut out) };
        (status, out)
    }

    fn text_of(key: &str) -> (Status, String) {
        let mut out = Vec::new();
        // SAFETY: texts and sink live for the call.
        let status = unsafe { text(Str::new(JSON), Str::new(key), Sink::to(&mut out)) };
        (status, String::from_utf8(out).unwrap())
    }

    #[test]
    fn values_are_read_by_type() {
        assert_eq!(got(number, JSON, "x", 0.0), (Status::OK, 0.5));
        assert_eq!(got(number, JSON, "n", 0.0), (Status::OK, -3.0));
        assert_eq!(got(integer, JSON, "n", 0), (Status::OK, -3));
        assert_eq!(got(integer, JSON, "whole", 0), (Status::OK, 4));
        assert_eq!(got(boolean, JSON, "yes", 0), (Status::OK, 1));
        assert_eq!(text_of("word"), (Status::OK, "a \"b\"".into()));
        assert_eq!(text_of("list"), (Status::OK, "[1,2]".into()));
        assert_eq!(text_of("no"), (Status::OK, "null".into()));
    }

    #[test]
    fn missing_keys_and_other_types_leave_the_place_alone() {
        assert_eq!(got(number, JSON, "nothing", 7.0), (Status::UNSUPPORTED, 7.0));
        assert_eq!(got(number, JSON, "word", 7.0), (Status::OPTIONS, 7.0));
        assert_eq!(got(integer, JSON, "x", 7), (Status::OPTIONS, 7));
        assert_eq!(got(integer, r#"{"x": 1e300}"#, "x", 7), (Status::OPTIONS, 7));
        assert_eq!(got(boolean, JSON, "n", 7), (Status::OPTIONS, 7));
        assert_eq!(text_of("nothing"), (Status::UNSUPPORTED, String::new()));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for json in ["", "[1]", "3", "{\"x\": 1", "\u{0}"] {
            assert_eq!(got(number, json, "x", 7.0), (Status::OPTIONS, 7.0), "{json:?}");
        }
        let deep = "[".repeat(1 << 20);
        assert_eq!(got(number, &format!("{{\"x\": {deep}"), "x", 7.0), (Status::OPTIONS, 7.0));
    }
}
