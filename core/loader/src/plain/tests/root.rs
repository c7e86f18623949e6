//! Roots and tables that are wrong.

use trainer_abi::{LossTable, PlainRoot, VERSION};

use super::build::{library, root};
use crate::plain::empty_entry;

/// A root whose first field and whose functions are these.
fn source(size: &str, functions: &str) -> String {
    format!(
        "#include <trainer_plugin.h>
         static struct trainer_str meta(void) {{ return trainer_str(\"{{}}\"); }}
         static const struct trainer_factory *factories(size_t *count) {{ *count = 0; return NULL; }}
         static trainer_status init(const struct trainer_host *host, struct trainer_sink error) {{
             return host ? TRAINER_STATUS_OK : trainer_fail(error, \"no host\");
         }}
         static struct trainer_extension get_ext(struct trainer_str id) {{
             struct trainer_extension none = {{ NULL, id.len ? NULL : NULL }};
             return none;
         }}
         __attribute__((unused)) static const void *const all[] = {{ &meta, &factories, &init, &get_ext }};
         TRAINER_EXPORT const struct trainer_plugin_root trainer_plugin_root = {{ {size}, {functions} }};"
    )
}

fn refusal(source: &str) -> String {
    root(&library(source).1).unwrap().err().unwrap().to_string()
}

#[test]
fn a_root_of_another_size_is_refused_with_both_sizes() {
    let known = size_of::<PlainRoot>();
    for size in [8, known - 8, 5000] {
        let reason = refusal(&source(&size.to_string(), "meta, factories, init, get_ext"));
        let wanted = format!(
            "plugin plugin.so does not fit this trainer's plugin ABI {VERSION}: its trainer_plugin_root says that it has \
             {size} bytes, this trainer's has {known}; "
        );
        assert!(reason.starts_with(&wanted), "{reason}");
    }
}

#[test]
fn a_larger_root_is_a_newer_one() {
    let larger = source("sizeof(struct trainer_plugin_root) + 8", "meta, factories, init, get_ext");
    assert_eq!(root(&library(&larger).1).unwrap().unwrap().size, size_of::<PlainRoot>() + 8);
}

#[test]
fn a_missing_function_is_refused_by_name() {
    let reason = refusal(&source("sizeof(struct trainer_plugin_root)", "meta, factories, NULL, get_ext"));
    assert!(reason.contains("its trainer_plugin_root has no function `init`"), "{reason}");
}

#[test]
fn a_library_without_the_symbol_has_no_plain_root() {
    assert!(root(&library("int trainer_plugin_roots = 0;").1).is_none());
}

#[test]
fn an_empty_entry_of_a_table_is_found_by_name() {
    let mut words = [1usize; size_of::<LossTable>() / size_of::<usize>()];
    // SAFETY: as many bytes as the table has.
    let empty = |words: &[usize]| unsafe { empty_entry::<LossTable>(words.as_ptr().cast()) };
    assert_eq!(empty(&words), None);
    words[5] = 0;
    assert_eq!(empty(&words), Some("save"));
}
