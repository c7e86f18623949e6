"""Builds the fixture plugin, or a host, against this SDK or a changed copy of it, outside the workspace.

    python3 build.py plugin VARIANT FILE.so     the plugin, small and stripped
    python3 build.py host VARIANT FOLDER        FOLDER/host, which loads a plugin and says what it found
    python3 build.py fixture                    the plugin of this version into fixtures/TARGET/, with a record of how

Variants: current; newer (a further table for losses, an extension of the root, a status, an option: all that may grow);
changed_struct, changed_parameter, other_major, other_abi_stable (what must be refused); aborts (current, built with
panic=abort).
"""

import hashlib
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "abi"
VARIANTS = ["current", "newer", "changed_struct", "changed_parameter", "other_major", "other_abi_stable", "aborts"]


def edit(copy, path, old, new):
    """Replaces a text that must be there, so that a change of the SDK cannot silently empty a variant."""
    file = copy / path
    text = file.read_text()
    if old not in text:
        sys.exit(f"{path} has no {old!r} any more: adapt tests/abi/build.py")
    file.write_text(text.replace(old, new, 1))


def set_version(copy, version):
    for path in ["Cargo.toml", "sdk/abi/Cargo.toml"]:
        text = (copy / path).read_text()
        (copy / path).write_text(re.sub(r"1\.0\.0-rc\.\d+", version, text))


def newer(copy):
    set_version(copy, "1.1.0")
    edit(copy, "sdk/abi/src/text.rs", "    pub const UNSUPPORTED", "    pub const BUSY: Self = Self(5);\n    /// As before.\n    pub const UNSUPPORTED")
    edit(copy, "sdk/abi/src/lib.rs", "mod augmentation;", "mod about;\nmod augmentation;")
    edit(copy, "sdk/abi/src/lib.rs", "pub use abi_stable;", "pub use about::*;\npub use abi_stable;")
    (copy / "sdk/abi/src/about.rs").write_text((HERE / "newer.rs").read_text())
    factory = "sdk/src/export/factory.rs"
    edit(copy, factory, "            Maker::Loss(_) if", "            Maker::Loss(_) if id == abi::LOSS_2 => known(&Self::LOSS_2),\n            Maker::Loss(_) if")
    edit(copy, factory, "    const EXPORTER:", "    const LOSS_2: abi::LossTable2 = abi::LossTable2 { first: loss::table(Self::create), epoch_done: abi::nothing };\n    const EXPORTER:")
    edit(copy, "sdk/src/export/mod.rs", "extern \"C\" fn get_ext(_id: Str) -> Extension {\n", "extern \"C\" fn get_ext(id: Str) -> Extension {\n    if let Some(known) = unsafe { abi::about(id) } {\n        return known;\n    }\n")
    edit(copy, "sdk/src/export/guard.rs", "(Status::FAILED, text)", "(if text.starts_with(\"busy\") { Status::BUSY } else { Status::FAILED }, text)")
    plugin = "plugin/src/lib.rs"
    edit(copy, plugin, "    factor: f64,\n}", "    factor: f64,\n    /// An option that older hosts have never heard of.\n    added: bool,\n}")
    edit(copy, plugin, "Self { factor: 0.5 }", "Self { factor: 0.5, added: true }")
    edit(copy, plugin, "        ensure!(state.len() == 8", "        ensure!(state != b\"busy\", \"busy, try again\");\n        ensure!(state.len() == 8")
    loader = "core/loader/src/open.rs"
    edit(copy, loader, "\"loss\" => Kind::Loss(table(guest, factory, is_plain)?),", "\"loss\" => Kind::Loss(newest_loss(guest, factory)?),")
    file = copy / loader
    file.write_text(file.read_text() + (HERE / "newer_host.rs").read_text().replace("//! ", "// "))


def changed_struct(copy):
    edit(copy, "sdk/abi/src/loss.rs", "    pub num_images: u32,", "    pub num_images: u32,\n    /// A field that a frozen struct must not get.\n    pub added: u64,")
    edit(copy, "core/loader/src/kinds/loss.rs", "        num_images:", "        added: 0,\n        num_images:")


def changed_parameter(copy):
    edit(copy, "sdk/abi/src/augmentation.rs", "fn(instance: Opaque) -> u32", "fn(instance: Opaque) -> u64")
    edit(copy, "sdk/src/export/augmentation.rs", "fn partners(instance: Opaque) -> u32", "fn partners(instance: Opaque) -> u64")
    edit(copy, "sdk/src/export/augmentation.rs", "u32::try_from", "u64::try_from")


def other_major(copy):
    set_version(copy, "2.0.0")


def other_abi_stable(copy):
    """abi_stable as it would be in its next minor version, which is another ABI to it."""
    host = subprocess.run(["rustc", "--print", "host-tuple"], capture_output=True, check=True, text=True).stdout.strip()
    words = ["cargo", "metadata", "--offline", "--filter-platform", host, "--format-version", "1"] # what was built is there
    packages = json.loads(subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout)["packages"]
    manifest = next(package["manifest_path"] for package in packages if package["name"] == "abi_stable")
    shutil.copytree(pathlib.Path(manifest).parent, copy / "abi_stable")
    edit(copy, "abi_stable/Cargo.toml", 'version = "0.11.3"', 'version = "0.12.0"')
    file = copy / "abi_stable/Cargo.toml"
    file.write_text(re.sub(r"\n\[dev-dependencies.*?(?=\n\[(?!dev-)|\Z)", "", file.read_text(), flags=re.S))
    edit(copy, "abi_stable/src/library/lib_header.rs", "        value::ABI_HEADER\n", "        AbiHeader { abi_minor: 12, ..value::ABI_HEADER }\n")
    edit(copy, "Cargo.toml", 'abi_stable = { version = "=0.11.3"', 'abi_stable = { path = "abi_stable"')


def copy_of(variant):
    copy = BUILD / variant
    shutil.rmtree(copy, ignore_errors=True)
    # With times of now: cargo takes the same package of another variant for up to date if its files are older.
    for part in ["sdk", "core/loader"]:
        shutil.copytree(ROOT / part, copy / part, copy_function=shutil.copy)
    ignored = shutil.ignore_patterns("target", "Cargo.lock")
    shutil.copytree(HERE / "plugin", copy / "plugin", ignore=ignored, copy_function=shutil.copy)
    shutil.copy(ROOT / "Cargo.lock", copy)
    text = (ROOT / "Cargo.toml").read_text()
    text = re.sub(r"members = \[.*?\]", 'members = ["sdk", "sdk/abi", "sdk/image", "core/loader", "plugin"]', text, flags=re.S)
    text = re.sub(r"\nexclude = .*", "", text)
    text += '\n[profile.fixture]\ninherits = "release"\nopt-level = "s"\nlto = true\ncodegen-units = 1\nstrip = true\ndebug = false\n'
    (copy / "Cargo.toml").write_text(text)
    if variant not in ("current", "aborts"):
        globals()[variant](copy)
    return copy


def cargo(copy, command, *words):
    command = ["cargo", command, "--offline", *words]
    environment = dict(os.environ, CARGO_TARGET_DIR=str(BUILD / "target"), RUSTFLAGS="--cap-lints allow")
    subprocess.run(command, cwd=copy, env=environment, check=True)


def plugin(variant, file):
    copy = copy_of(variant)
    panic = "abort" if variant == "aborts" else "unwind"
    cargo(copy, "rustc", "--profile", "fixture", "-p", "fixture", "--", "-C", f"panic={panic}")
    shutil.copy(BUILD / "target/fixture/libfixture.so", file)


def host(variant, folder):
    copy = copy_of(variant)
    (copy / "core/loader/src/bin/host.rs").write_text((HERE / "host.rs").read_text())
    cargo(copy, "build", "--release", "-p", "trainer-loader", "--bin", "host")
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    shutil.copy(BUILD / "target/release/host", pathlib.Path(folder) / "host")


def fixture():
    rustc = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    target = re.search("host: (.*)", rustc).group(1)
    version = re.search(r'version = "(.*?)"', (ROOT / "sdk/abi/Cargo.toml").read_text()).group(1)
    folder = HERE / "fixtures" / target
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{version}.so"
    plugin("current", file)
    needs = subprocess.run(["readelf", "-V", file], capture_output=True, text=True, check=True).stdout
    floor = max(tuple(map(int, found.split("."))) for found in re.findall(r"GLIBC_([\d.]+)", needs))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    record = folder / "RECORD.md"
    if not record.exists():
        record.write_text(
            "# Released plugins\n\nMade by `tests/abi/build.py fixture`, loaded by tests/evolution.rs for ever. Before 1.0.0"
            " each release candidate replaces the one before.\n\n"
            "| file | bytes | compiler | built on glibc | needs glibc | sha256 |\n|---|---|---|---|---|---|\n"
        )
    rows = [line for line in record.read_text().splitlines() if not line.startswith(f"| {file.name} ")]
    built = f"{rustc.splitlines()[0].removeprefix('rustc ')} | {platform.libc_ver()[1]}"
    rows.append(f"| {file.name} | {file.stat().st_size} | {built} | {'.'.join(map(str, floor))} | {digest} |")
    record.write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    words = sys.argv[1:]
    if words == ["fixture"]:
        fixture()
    elif len(words) == 3 and words[0] in ("plugin", "host") and words[1] in VARIANTS:
        {"plugin": plugin, "host": host}[words[0]](words[1], words[2])
    else:
        sys.exit(__doc__)
