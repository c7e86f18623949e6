//! What a plugin can be called: its name is that of a crate, a library, a type, a component, a word on the command line.

use anyhow::{Result, bail, ensure};

use super::Kind;
use crate::registry::Registry;

/// Longer names make lines that nobody reads.
const LONGEST: usize = 40;

/// Words of Rust and of C, and crates that a plugin needs or has anyway.
const TAKEN: &str = "abstract alignas alignof alloc as async auto await become bool box break case char const continue \
    core crate default do double dyn else enum export extern false final float fn for gen goto if impl in inline int \
    let long loop macro match mod move mut override priv proc_macro pub ref register restrict return schemars self \
    serde short signed sizeof static std struct super switch test trainer_sdk trait true try type typedef typeof union \
    unsafe unsigned unsized use virtual void volatile where while yield";

/// Refuses a name that cannot be used.
pub(super) fn check(name: &str, kind: Kind) -> Result<()> {
    let near = snake_case(name);
    if near != name || name.is_empty() {
        let hint = if near.is_empty() { String::new() } else { format!("; did you mean `{near}`?") };
        bail!(
            "`{name}` cannot be a plugin's name: give lower snake case, a letter first, then letters, digits and \
             single underscores, e.g. my_{}{hint}",
            kind.name()
        );
    }
    ensure!(name.len() <= LONGEST, "`{name}` has {} characters; a plugin's name has at most {LONGEST}", name.len());
    if TAKEN.split_whitespace().any(|word| word == name) {
        bail!("`{name}` means something to compilers already; take another name, e.g. my_{name}");
    }
    if Registry::built_in().find(kind.name(), name).is_some() {
        bail!("the trainer itself has a {} `{name}` already; take another name, e.g. my_{name}", kind.name());
    }
    Ok(())
}

/// The nearest name that would do; empty where there is none.
fn snake_case(text: &str) -> String {
    let mut out = String::new();
    let mut after_lower = false;
    for c in text.chars() {
        let is_word = c.is_ascii_alphanumeric() && !(out.is_empty() && c.is_ascii_digit());
        if !out.is_empty() && !out.ends_with('_') && (!is_word || c.is_ascii_uppercase() && after_lower) {
            out.push('_');
        }
        if is_word {
            out.push(c.to_ascii_lowercase());
        }
        after_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    out.trim_end_matches('_').to_owned()
}

/// The name of a type: `my_loss` is `MyLoss`.
pub(super) fn camel_case(name: &str) -> String {
    let part = |part: &str| part[..1].to_ascii_uppercase() + &part[1..];
    name.split('_').filter(|it| !it.is_empty()).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str) -> String {
        check(name, Kind::Loss).unwrap_err().to_string()
    }

    #[test]
    fn names_are_lower_snake_case() {
        for name in ["a", "my_loss", "loss2", "a_1_b"] {
            check(name, Kind::Loss).unwrap();
        }
        let rule = |name: &str, hint: &str| {
            let rule =
                "give lower snake case, a letter first, then letters, digits and single underscores, e.g. my_loss";
            assert_eq!(refusal(name), format!("`{name}` cannot be a plugin's name: {rule}{hint}"));
        };
        rule("MyLoss", "; did you mean `my_loss`?");
        rule("my-loss", "; did you mean `my_loss`?");
        rule("my__loss_", "; did you mean `my_loss`?");
        rule("2fast", "; did you mean `fast`?");
        rule("../x", "; did you mean `x`?");
        rule("größe", "; did you mean `gr_e`?");
        rule("", "");
        rule("_", "");
    }

    #[test]
    fn words_of_compilers_and_built_ins_are_taken() {
        assert_eq!(refusal("match"), "`match` means something to compilers already; take another name, e.g. my_match");
        assert_eq!(
            refusal("detection"),
            "the trainer itself has a loss `detection` already; take another name, e.g. my_detection"
        );
        check("detection", Kind::Exporter).unwrap();
        assert_eq!(
            refusal(&"x".repeat(41)),
            format!("`{}` has 41 characters; a plugin's name has at most 40", "x".repeat(41))
        );
    }

    #[test]
    fn types_are_in_camel_case() {
        assert_eq!(camel_case("my_loss_2"), "MyLoss2");
    }
}
