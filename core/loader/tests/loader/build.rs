//! Files that are no plugins, or were built in a way that cannot work. None of their code is ever run.

use std::fs;

use trainer_loader::Policy;

use crate::place::{Place, built};

/// C source of a library with a manifest.
fn with_manifest(change: impl FnOnce(&mut serde_json::Value), code: &str) -> String {
    let mut manifest = serde_json::json!({
        "schema": 1, "id": "c", "version": "0.1.0", "license": "", "abi": trainer_sdk::abi::VERSION, "rustc": "",
        "target": trainer_sdk::export::TARGET, "panic": "unwind", "components": [],
    });
    change(&mut manifest);
    section(&manifest.to_string()) + code
}

fn section(text: &str) -> String {
    let length = text.len();
    let text = text.replace('"', "\\\"");
    format!(
        "__attribute__((section(\".trainer.manifest\"), used)) static const char manifest[{length}] = \"{text}\";\n"
    )
}

const SHARED: [&str; 3] = ["-shared", "-fPIC", "-Wl,-z,noexecstack"];

/// Asserts the refusal of a library compiled from C.
fn assert_refused(source: &str, flags: &[&str], code: &str, message: &str) {
    let place = Place::empty(Policy::Off);
    place.cc("x.so", source, &[&SHARED[..], flags].concat());
    assert_eq!(place.refusal("x.so", code), message);
}

fn assert_code(code: &str, flags: &[&str], refusal: &str, message: &str) {
    assert_refused(&with_manifest(|_| {}, code), flags, refusal, message);
}

#[test]
fn a_sound_library_gets_as_far_as_the_root_module() {
    let message = "plugin ~/x.so cannot be loaded: it has no root module";
    assert_code("", &[], "cannot-open", message);
}

#[test]
fn no_elf_file() {
    let place = Place::empty(Policy::Off);
    let message = |reason: &str| {
        format!(
            "~/x.so is not a dynamic library: {reason}; build the plugin with `cargo build --release` and give the .so \
             file"
        )
    };
    place.write("x.so", "text");
    assert_eq!(place.refusal("x.so", "not-elf"), message("it does not begin as an ELF file does"));
    place.write("x.so", "\x7fELF");
    assert_eq!(place.refusal("x.so", "not-elf"), message("it ends within its header"));
    let whole = fs::read(built("librogue.so")).unwrap();
    for length in [19, 64, 1000, whole.len() / 2, whole.len() - 1] {
        place.write("x.so", &whole[..length]);
        let text = place.refusal("x.so", "not-elf");
        assert!(text.starts_with("~/x.so is not a dynamic library: "), "{text}");
    }
}

#[test]
fn damage_anywhere_is_an_error_and_no_crash() {
    let place = Place::empty(Policy::Off);
    let source = place.cc("x.so", &with_manifest(|_| {}, ""), &SHARED);
    let whole = fs::read(source).unwrap();
    for at in (0..whole.len()).step_by(37) {
        let mut bytes = whole.clone();
        bytes[at..(at + 8).min(whole.len())].fill(0xff);
        place.write("y.so", bytes);
        let _any = place.inspect("y.so"); // most bytes do not matter; none may panic
    }
}

#[test]
fn another_machine() {
    let place = Place::new(Policy::Off);
    let bytes = fs::read(place.path("x.so")).unwrap();
    let (ours, target) =
        (if cfg!(target_arch = "x86_64") { "64-bit x86-64" } else { "64-bit AArch64" }, trainer_sdk::export::TARGET);
    for (at, value, theirs) in [(18, 0xf3, "64-bit RISC-V"), (18, 0x03, "64-bit x86"), (18, 0x99, "64-bit machine 153")]
    {
        let mut bytes = bytes.clone();
        bytes[at..at + 2].copy_from_slice(&[value, 0]);
        place.write("x.so", bytes);
        assert_eq!(
            place.refusal("x.so", "other-machine"),
            format!("plugin ~/x.so is built for {theirs}, this trainer runs on {ours}; rebuild it for {target}")
        );
    }
    let mut bytes = bytes;
    bytes[4] = 1;
    bytes[18..20].copy_from_slice(&[3, 0]);
    place.write("x.so", bytes);
    let message = place.refusal("x.so", "other-machine");
    assert!(message.starts_with("plugin ~/x.so is built for 32-bit x86, this trainer"), "{message}");
}

#[test]
fn no_shared_library() {
    let message = |kind: &str| {
        format!("plugin ~/x is {kind}, not a shared library; a plugin's Cargo.toml says `crate-type = [\"cdylib\"]`")
    };
    let source = with_manifest(|_| {}, "int main(void) { return 0; }");
    for (flags, kind) in [
        (["-no-pie", "-fno-pie"], "an executable"),
        (["-pie", "-fPIE"], "an executable"),
        (["-c", "-fPIC"], "an object file"),
    ] {
        let place = Place::empty(Policy::Off);
        place.cc("x", &source, &flags);
        assert_eq!(place.refusal("x", "not-shared-library"), message(kind));
    }
}

#[test]
fn manifest_is_missing_damaged_or_too_large() {
    let no_plugin = "~/x.so is a library but no Trainer plugin: it has no .trainer.manifest section; \
                     a plugin ends in `export_plugin! { … }`";
    assert_refused("int x;", &[], "no-manifest", no_plugin);
    let damaged = "plugin ~/x.so has a damaged manifest: expected ident at line 1 column 2; rebuild it";
    assert_refused(&section("no JSON"), &[], "damaged-manifest", damaged);
    let incomplete = "plugin ~/x.so has a damaged manifest: missing field `id` at line 1 column 12; rebuild it";
    assert_refused(&section("{\"schema\":1}"), &[], "damaged-manifest", incomplete);
    let large = "plugin ~/x.so has a manifest of 1048577 bytes, the limit is 1048576; shorten its texts";
    let source =
        "__attribute__((section(\".trainer.manifest\"), used)) static const char manifest[(1 << 20) + 1] = \"{\";";
    assert_refused(source, &[], "manifest-too-large", large);
}

#[test]
fn manifest_names_another_abi_target_or_panic() {
    let ours = trainer_sdk::abi::VERSION;
    assert_refused(
        &with_manifest(|manifest| manifest["abi"] = "7.1.0".into(), ""),
        &[],
        "abi-major",
        &format!(
            "plugin ~/x.so was built for plugin ABI 7.1.0, this trainer has {ours}: the major versions must be equal; \
             rebuild it with the trainer-sdk of this trainer"
        ),
    );
    let target = trainer_sdk::export::TARGET;
    assert_refused(
        &with_manifest(|manifest| manifest["target"] = "x86_64-unknown-linux-musl".into(), ""),
        &[],
        "other-target",
        &format!(
            "plugin ~/x.so is built for target x86_64-unknown-linux-musl, this trainer for {target}; \
             rebuild it with `--target {target}`"
        ),
    );
    assert_refused(
        &with_manifest(|manifest| manifest["panic"] = "abort".into(), ""),
        &[],
        "panic-abort",
        "plugin ~/x.so is built with panic=abort, so that a panic in it would end the training; \
         take `panic = \"abort\"` out of its Cargo.toml",
    );
}

#[test]
fn file_is_too_large() {
    let place = Place::empty(Policy::Off);
    let file = fs::File::create(place.path("x.so")).unwrap();
    file.set_len((256 << 20) + 1).unwrap();
    place.mode("x.so", 0o644);
    assert_eq!(
        place.refusal("x.so", "file-too-large"),
        "plugin ~/x.so has 268435457 bytes, a plugin has at most 268435456; put large data into files of its own"
    );
}

#[test]
fn libtorch_inside() {
    let message = |symbol: &str| {
        format!(
            "plugin ~/x.so contains a libtorch or CUDA runtime of its own (it defines {symbol}); \
             a plugin reaches the trainer's through trainer_sdk::Tensor"
        )
    };
    for symbol in ["_ZN2at5emptyEv", "_ZNK3c1010TensorImpl3dimEv", "_ZN5torch3jit4loadEv", "cudaLaunchKernel"] {
        assert_code(&format!("void {symbol}(void) {{}}"), &[], "bundles-libtorch", &message(symbol));
    }
    let hidden = "__attribute__((visibility(\"hidden\"))) void cudaMalloc(void) {}";
    assert_code(hidden, &[], "cannot-open", "plugin ~/x.so cannot be loaded: it has no root module");
}

#[test]
fn libtorch_linked() {
    for library in ["libtorch_cpu.so", "libc10.so", "libcudart.so.13"] {
        let place = Place::empty(Policy::Off);
        let soname = format!("-Wl,-soname,{library}");
        let linked = place.cc("linked.so", "int x;", &["-shared", "-fPIC", &soname]);
        let flags = ["-shared", "-fPIC", "-Wl,--no-as-needed", linked.to_str().unwrap()];
        place.cc("x.so", &with_manifest(|_| {}, ""), &flags);
        assert_eq!(
            place.refusal("x.so", "links-libtorch"),
            format!(
                "plugin ~/x.so links {library}; a plugin links no libtorch and reaches the trainer's through \
                 trainer_sdk::Tensor"
            )
        );
    }
}

#[test]
fn libtorch_called() {
    let calls = |symbol: &str| format!("extern int {symbol}(void); int f(void) {{ return {symbol}(); }}");
    for symbol in ["aoti_torch_cpu_cumsum", "aoti_torch_cuda_add_Tensor"] {
        let message = format!(
            "plugin ~/x.so calls {symbol}, which bypasses autograd: gradients would be lost without a word; \
             call the operator through trainer_sdk::Tensor"
        );
        assert_code(&calls(symbol), &[], "aoti-symbol", &message);
    }
    for symbol in ["_ZN2at4_ops3addEv", "_ZN3c106detail3ErrEv", "_ZNK5torch8autograd4NodeEv"] {
        let message = format!(
            "plugin ~/x.so calls {symbol} of libtorch's C++ interface, which differs from release to release; \
             call operators through trainer_sdk::Tensor"
        );
        assert_code(&calls(symbol), &[], "torch-symbol", &message);
    }
}

#[test]
fn memory_that_is_code_and_data() {
    let stack = "plugin ~/x.so asks for an executable stack; link it with `-z noexecstack`";
    assert_code("", &["-Wl,-z,execstack"], "executable-stack", stack);
    let text = "plugin ~/x.so rewrites its own code when it is loaded (text relocations); compile all of it with -fPIC";
    let relocation = "__asm__(\".text\\n.quad somewhere\\n\");";
    assert_code(relocation, &["-Wl,-z,notext"], "text-relocations", text);
}

#[test]
fn glibc_is_too_old() {
    let place = Place::empty(Policy::Off);
    let source = with_manifest(|_| {}, "#include <stdlib.h>\nint f(void) { return abs(rand()); }");
    let mut bytes = fs::read(place.cc("y.so", &source, &SHARED)).unwrap();
    let old = b"GLIBC_2.";
    let places: Vec<usize> = (0..bytes.len() - old.len()).filter(|&at| bytes[at..].starts_with(old)).collect();
    assert!(!places.is_empty());
    places.iter().for_each(|at| bytes[at + 6] = b'9');
    place.write("x.so", bytes);
    let message = place.refusal("x.so", "glibc-too-old");
    let start = message.starts_with("plugin ~/x.so needs glibc 9.");
    assert!(
        start && message.contains(", this machine has 2.") && message.contains("; build it on a system with glibc 2."),
        "{message}"
    );
}

#[test]
fn the_probe_links_no_libtorch() {
    let libraries = trainer_loader::needed(&fs::read(env!("CARGO_BIN_EXE_trainer-probe")).unwrap()).unwrap();
    assert!(libraries.iter().any(|name| name.starts_with("libc.so")), "{libraries:?}");
    let is_heavy =
        |name: &&String| ["libtorch", "libc10", "libstdc++", "libcu"].iter().any(|start| name.starts_with(start));
    assert_eq!(libraries.iter().find(is_heavy), None, "{libraries:?}");
}
