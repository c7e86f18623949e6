//! How names and types of this crate read in C.

use super::types::Constant;

/// The C struct of a type; none for what is no struct there.
pub fn c_struct(name: &str) -> Option<String> {
    match name {
        "Status" | "Dtype" => None, // numbers in C
        "Root" => None,             // abi_stable's way in; PlainRoot is that of C
        "PlainRoot" => Some("trainer_plugin_root".into()),
        _ => Some(format!("trainer_{}", snake(name))),
    }
}

fn snake(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.extend(letter.to_lowercase());
    }
    text
}

/// The C name of a field; C++ reserves two of ours.
pub fn c_field<'a>(kind: &str, field: &'a str) -> &'a str {
    match (kind, field) {
        ("Object", "class") => "class_index",
        ("ExporterTable", "export") => "export_",
        _ => field,
    }
}

/// The macro of a constant.
pub fn c_constant(constant: &Constant) -> String {
    let Constant { group, name, value } = constant;
    match group.as_str() {
        "abi" if value.contains('/') => format!("TRAINER_ID_{name}"),
        "abi" => format!("TRAINER_{name}"),
        group => format!("TRAINER_{}_{name}", group.to_uppercase()),
    }
}

/// The C declaration of `declared` with a Rust type.
pub fn c_type(rust: &str, declared: &str) -> String {
    let name = match rust {
        "()" => "void".to_owned(),
        "u8" | "u32" | "u64" => format!("uint{}_t", &rust[1..]),
        "i32" | "i64" => format!("int{}_t", &rust[1..]),
        "usize" => "size_t".into(),
        "f32" => "float".into(),
        "f64" => "double".into(),
        "Status" => "trainer_status".into(),
        "Option<&'static TypeLayout>" => "void const *".into(),
        _ => return c_compound(rust, declared),
    };
    format!("{name} {declared}").trim_end().to_owned()
}

fn c_compound(rust: &str, declared: &str) -> String {
    if let Some(target) = rust.strip_prefix("*const ") {
        return c_type(target, &format!("const *{declared}"));
    }
    if let Some(target) = rust.strip_prefix("*mut ") {
        return c_type(target, &format!("*{declared}"));
    }
    if let Some((element, count)) = rust.strip_prefix('[').and_then(|list| list.strip_suffix(']')?.split_once("; ")) {
        return c_type(element, &format!("{declared}[{count}]"));
    }
    let name = c_struct(rust).unwrap_or_else(|| panic!("{rust}: c_names.rs does not know this type"));
    format!("struct {name} {declared}").trim_end().to_owned()
}
