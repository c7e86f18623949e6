//! sdk/include/trainer_plugin.h against this crate: a C program, made from both, prints what the C compiler sees.

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use trainer_abi as abi;

use super::{
    c_names::{c_constant, c_field, c_struct, c_type},
    c_parser::{defines, structs},
    types::{self, Field, Form},
};

fn include() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "include"].iter().collect()
}

/// Runs a compiler; the program's path where it makes one.
fn compile(compiler: &str, source_name: &str, source: &str, flags: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (file, program) = (dir.path().join(source_name), dir.path().join("program"));
    fs::write(&file, source).unwrap();
    let mut command = Command::new(compiler);
    command.args(flags).args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"]).arg(include());
    let output = command.arg(&file).arg("-o").arg(&program).output();
    let output = output.unwrap_or_else(|reason| panic!("this test needs the compiler {compiler}: {reason}"));
    assert!(output.status.success(), "{compiler} refuses the header:\n{}", String::from_utf8_lossy(&output.stderr));
    (dir, program)
}

fn run(source: &str) -> String {
    let (_dir, program) = compile("cc", "contract.c", source, &["-std=c11"]);
    String::from_utf8(Command::new(program).output().unwrap().stdout).unwrap()
}

/// What the sources say: everything that the header must have, by its name there.
fn wanted() -> BTreeMap<String, String> {
    let mut wanted = BTreeMap::from([("TRAINER_ABI_VERSION".to_owned(), abi::VERSION.to_owned())]);
    for constant in types::constants() {
        wanted.insert(c_constant(&constant), constant.value.trim_matches('"').to_owned());
    }
    for kind in types::all() {
        let Some(name) = c_struct(kind.name) else { continue };
        wanted.insert(name.clone(), format!("{} bytes, aligned to {}", kind.size, kind.align));
        for field in &kind.fields {
            let place = format!("{name}.{}", c_field(kind.name, field.name));
            wanted.insert(place, format!("at {}, {} bytes, {}", field.offset, field.size, form(field)));
        }
    }
    wanted
}

fn form(field: &Field) -> String {
    match &field.form {
        Form::Data(data) => c_type(data, ""),
        Form::Function { parameters, result } => {
            let types: Vec<_> = parameters.iter().map(|(_, data)| c_type(data, "")).collect();
            let list = if types.is_empty() { "void".to_owned() } else { types.join(", ") };
            c_type(result, &format!("(*)({list})"))
        }
    }
}

/// A program that prints the same of the header; a type is printed as the wanted one where it is that one.
fn program(header: &str, wanted: &BTreeMap<String, String>) -> String {
    let mut text = String::from("#include <stdio.h>\n#include \"trainer_plugin.h\"\nint main(void) {\n");
    for (name, value) in defines(header) {
        let form = if value.starts_with('"') { "%s" } else { "%d" };
        text += &format!("    printf(\"{name} = {form}\\n\", {name});\n");
    }
    for (kind, fields) in structs(header) {
        let size = format!("sizeof(struct {kind}), _Alignof(struct {kind})");
        text += &format!("    printf(\"{kind} = %zu bytes, aligned to %zu\\n\", {size});\n");
        for (field, declared) in fields {
            let at = format!("((struct {kind} *)0)->{field}");
            let known = wanted.get(&format!("{kind}.{field}")).and_then(|value| value.splitn(3, ", ").nth(2));
            let pointer = known.map(|known| match known.find("(*)").or(known.find('[')) {
                Some(place) if known[place..].starts_with("(*)") => known.replacen("(*)", "(**)", 1),
                Some(place) => format!("{}(*){}", &known[..place], &known[place..]),
                None => format!("{known} *"),
            });
            let other = declared.replace('"', "'");
            let form = match (known, pointer) {
                (Some(known), Some(pointer)) => {
                    format!("_Generic(&{at}, {pointer}: \"{known}\", default: \"{other}\")")
                }
                _ => format!("\"{other}\""),
            };
            let place = format!("offsetof(struct {kind}, {field}), sizeof({at})");
            text += &format!("    printf(\"{kind}.{field} = at %zu, %zu bytes, %s\\n\", {place}, {form});\n");
        }
    }
    text + "    return 0;\n}\n"
}

/// One line for each name on which the sides differ.
fn differences(wanted: &BTreeMap<String, String>, printed: &str) -> Vec<String> {
    let there: BTreeMap<_, _> = printed.lines().filter_map(|line| line.split_once(" = ")).collect();
    let mut names: Vec<&str> = wanted.keys().map(String::as_str).chain(there.keys().copied()).collect();
    names.sort_unstable();
    names.dedup();
    let difference = |name: &str| {
        let (rust, c) = (wanted.get(name).map(String::as_str), there.get(name).copied());
        let side = |value: Option<&str>| value.map_or("nothing".to_owned(), |value| format!("`{value}`"));
        (rust != c).then(|| format!("{name}: sdk/abi/src has {}, the header has {}", side(rust), side(c)))
    };
    names.into_iter().filter_map(difference).collect()
}

fn header() -> String {
    fs::read_to_string(include().join("trainer_plugin.h")).unwrap()
}

#[test]
fn the_c_header_mirrors_the_crate() {
    let (header, wanted) = (header(), wanted());
    let printed = run(&program(&header, &wanted));
    let differences = differences(&wanted, &printed);
    let advice = "sdk/include/trainer_plugin.h differs from sdk/abi/src; change both or none";
    assert!(differences.is_empty(), "{advice}:\n{}", differences.join("\n"));
    assert!(printed.lines().count() > 200, "the program printed too little:\n{printed}");
}

#[test]
fn every_difference_is_told_with_both_sides() {
    let wanted = BTreeMap::from([
        ("TRAINER_TAG_INT".to_owned(), "2".to_owned()),
        ("trainer_x".to_owned(), "16 bytes, aligned to 8".to_owned()),
        ("trainer_x.a".to_owned(), "at 0, 8 bytes, uint64_t".to_owned()),
        ("trainer_x.f".to_owned(), "at 8, 8 bytes, void (*)(uint32_t)".to_owned()),
    ]);
    let header = "#define TRAINER_TAG_INT 3\nstruct trainer_x {\n    int64_t a; /* signed */\n    int32_t b;\n};\n";
    let own = program(header, &wanted)
        .replace("#include \"trainer_plugin.h\"\n", &format!("#include <stdint.h>\n#include <stddef.h>\n{header}"));
    assert_eq!(
        differences(&wanted, &run(&own)),
        [
            "TRAINER_TAG_INT: sdk/abi/src has `2`, the header has `3`",
            "trainer_x.a: sdk/abi/src has `at 0, 8 bytes, uint64_t`, the header has `at 0, 8 bytes, int64_t a`",
            "trainer_x.b: sdk/abi/src has nothing, the header has `at 8, 4 bytes, int32_t b`",
            "trainer_x.f: sdk/abi/src has `at 8, 8 bytes, void (*)(uint32_t)`, the header has nothing",
        ]
    );
}

#[test]
fn cxx_takes_the_header_and_its_macros() {
    let source = r#"
        #include "trainer_plugin.h"
        TRAINER_MANIFEST(TRAINER_MANIFEST_TEXT("x", "1.0.0", "MIT", TRAINER_COMPONENT("loss", "x", "a loss", "{}")))
        static trainer_status init(const trainer_host *host, trainer_sink error) {
            return host->table(trainer_str(TRAINER_ID_TENSOR)) ? TRAINER_STATUS_OK : trainer_fail(error, "no tensors");
        }
        static void schema(trainer_sink out) { trainer_write(out, "{}"); }
        static trainer_extension table(struct trainer_str) { return {}; }
        TRAINER_ROOT(init, { TRAINER_STR("loss"), TRAINER_STR("x"), TRAINER_STR("a loss"), schema, table });
    "#;
    compile("c++", "plugin.cpp", source, &["-std=c++17", "-O2", "-shared", "-fPIC", "-fvisibility=hidden"]);
    compile("c++", "plugin.cpp", "#include \"trainer_plugin.h\"\n", &["-std=c++17", "-fsyntax-only"]);
}
