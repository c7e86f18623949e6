//! What a library's ELF headers and symbols say about how it was built, before any of its code runs. Meant against
//! accidents: a file that sets out to deceive is a matter of policy.

use std::path::Path;

use object::{
    Endianness, Object as _, ObjectSymbol as _,
    elf::{
        DF_1_PIE, DF_TEXTREL, DT_FLAGS, DT_FLAGS_1, DT_NEEDED, DT_TEXTREL, ET_DYN, ET_EXEC, ET_REL, PF_X, PT_GNU_STACK,
    },
    read::elf::{Dynamic, DynamicTable, ElfFile64, FileHeader as _, ProgramHeader as _},
};
use thiserror::Error;

use crate::{LoadError, Manifest, file::FILE_LIMIT, system};

type File<'a> = ElfFile64<'a, Endianness>;

/// A way of building that cannot work in this trainer. Each message reads after the file's name.
#[derive(Debug, Error)]
pub enum BuildFault {
    /// More bytes than any plugin has.
    #[error("has {size} bytes, a plugin has at most {FILE_LIMIT}; put large data into files of its own")]
    TooLarge {
        /// Its size.
        size: u64,
    },
    /// Another processor.
    #[error(
        "is built for {theirs}, this trainer runs on {}; rebuild it for {}",
        machine::OURS,
        trainer_sdk::export::TARGET
    )]
    OtherMachine {
        /// The file's machine.
        theirs: String,
    },
    /// An executable or an object file.
    #[error("is {kind}, not a shared library; a plugin's Cargo.toml says `crate-type = [\"cdylib\"]`")]
    NotShared {
        /// What it is.
        kind: &'static str,
    },
    /// A manifest beyond all measure.
    #[error("has a manifest of {size} bytes, the limit is {}; shorten its texts", Manifest::LIMIT)]
    ManifestTooLarge {
        /// The manifest's size.
        size: u64,
    },
    /// Another target triple.
    #[error(
        "is built for target {theirs}, this trainer for {}; rebuild it with `--target {}`",
        trainer_sdk::export::TARGET,
        trainer_sdk::export::TARGET
    )]
    OtherTarget {
        /// The target in its manifest.
        theirs: String,
    },
    /// Its panics would end the trainer.
    #[error(
        "is built with panic=abort, so that a panic in it would end the training; take `panic = \"abort\"` out of its Cargo.toml"
    )]
    PanicAbort,
    /// A second libtorch or CUDA runtime inside.
    #[error(
        "contains a libtorch or CUDA runtime of its own (it defines {symbol}); a plugin reaches the trainer's through trainer_sdk::Tensor"
    )]
    BundlesTorch {
        /// One of the symbols.
        symbol: String,
    },
    /// It would bring libtorch or a CUDA runtime along.
    #[error("links {library}; a plugin links no libtorch and reaches the trainer's through trainer_sdk::Tensor")]
    LinksTorch {
        /// The library it names.
        library: String,
    },
    /// Operators that record no gradient.
    #[error(
        "calls {symbol}, which bypasses autograd: gradients would be lost without a word; call the operator through trainer_sdk::Tensor"
    )]
    AotiSymbol {
        /// The symbol.
        symbol: String,
    },
    /// libtorch's C++ interface, which changes from release to release.
    #[error(
        "calls {symbol} of libtorch's C++ interface, which differs from release to release; call operators through trainer_sdk::Tensor"
    )]
    TorchSymbol {
        /// The symbol.
        symbol: String,
    },
    /// Data on the stack could be run.
    #[error("asks for an executable stack; link it with `-z noexecstack`")]
    ExecutableStack,
    /// Its code is rewritten when it is loaded.
    #[error("rewrites its own code when it is loaded (text relocations); compile all of it with -fPIC")]
    TextRelocations,
    /// It needs a newer C library.
    #[error("needs glibc {theirs}, this machine has {ours}; build it on a system with glibc {ours} or older")]
    Glibc {
        /// The newest version it names.
        theirs: Version,
        /// The machine's.
        ours: Version,
    },
}

impl BuildFault {
    /// The refusal's stable name.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "file-too-large",
            Self::OtherMachine { .. } => "other-machine",
            Self::NotShared { .. } => "not-shared-library",
            Self::ManifestTooLarge { .. } => "manifest-too-large",
            Self::OtherTarget { .. } => "other-target",
            Self::PanicAbort => "panic-abort",
            Self::BundlesTorch { .. } => "bundles-libtorch",
            Self::LinksTorch { .. } => "links-libtorch",
            Self::AotiSymbol { .. } => "aoti-symbol",
            Self::TorchSymbol { .. } => "torch-symbol",
            Self::ExecutableStack => "executable-stack",
            Self::TextRelocations => "text-relocations",
            Self::Glibc { .. } => "glibc-too-old",
        }
    }
}

/// A version of glibc.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32);

impl Version {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

mod machine {
    //! The first bytes of an ELF file: class, byte order and machine.

    use object::elf::{ELFCLASS32, ELFDATA2MSB, EM_386, EM_AARCH64, EM_ARM, EM_RISCV, EM_X86_64};

    #[cfg(target_arch = "x86_64")]
    pub const OURS: &str = "64-bit x86-64";
    #[cfg(target_arch = "aarch64")]
    pub const OURS: &str = "64-bit AArch64";

    pub fn of(bytes: &[u8]) -> Option<String> {
        let is_big = *bytes.get(5)? == ELFDATA2MSB.0;
        let machine = *bytes.get(18..)?.first_chunk()?;
        let machine = if is_big { u16::from_be_bytes(machine) } else { u16::from_le_bytes(machine) };
        let name = match object::elf::Machine(machine) {
            EM_X86_64 => "x86-64".into(),
            EM_AARCH64 => "AArch64".into(),
            EM_386 => "x86".into(),
            EM_ARM => "ARM".into(),
            EM_RISCV => "RISC-V".into(),
            other => format!("machine {}", other.0),
        };
        let bits = if *bytes.get(4)? == ELFCLASS32.0 { 32 } else { 64 };
        Some(format!("{bits}-bit {name}{}", if is_big { ", big-endian" } else { "" }))
    }
}

/// Parses the headers of a shared library for this machine.
pub(crate) fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<File<'a>, LoadError> {
    let no_elf = |reason: String| LoadError::NotElf { path: path.into(), reason };
    let refused = |reason| Err(LoadError::Build { path: path.into(), reason });
    if !bytes.starts_with(&object::elf::ELFMAG) {
        return Err(no_elf("it does not begin as an ELF file does".into()));
    }
    let theirs = machine::of(bytes).ok_or_else(|| no_elf("it ends within its header".into()))?;
    if theirs != machine::OURS {
        return refused(BuildFault::OtherMachine { theirs });
    }
    let elf = File::parse(bytes).map_err(|reason| no_elf(reason.to_string()))?;
    let has_pie = |flags: u64| flags & u64::from(DF_1_PIE.0) != 0;
    match elf.elf_header().e_type(elf.endian()) {
        ET_DYN if entries(&elf).is_some_and(|mut all| all.any(|it| it.tag == DT_FLAGS_1 && has_pie(it.val))) => {
            refused(BuildFault::NotShared { kind: "an executable" })
        }
        ET_DYN => Ok(elf),
        ET_EXEC => refused(BuildFault::NotShared { kind: "an executable" }),
        ET_REL => refused(BuildFault::NotShared { kind: "an object file" }),
        _ => refused(BuildFault::NotShared { kind: "some other ELF file" }),
    }
}

fn table<'a>(elf: &File<'a>) -> Option<DynamicTable<'a, object::elf::FileHeader64<Endianness>>> {
    elf.elf_dynamic_table().ok()
}

fn entries(elf: &File) -> Option<impl Iterator<Item = Dynamic>> {
    Some(table(elf)?.iter().collect::<Vec<_>>().into_iter())
}

/// The libraries that a library or program links (`DT_NEEDED`).
///
/// # Errors
/// If the bytes are no ELF file.
pub fn needed(bytes: &[u8]) -> object::Result<Vec<String>> {
    let elf = File::parse(bytes)?;
    let table = elf.elf_dynamic_table()?;
    let names = table.iter().filter(|entry| entry.tag == DT_NEEDED).map(|entry| table.string(entry));
    names.map(|name| Ok(String::from_utf8_lossy(name?).into_owned())).collect()
}

/// Refuses what cannot work here, by the manifest and by the ELF file itself.
pub(crate) fn check(elf: &File, bytes: &[u8], manifest: &Manifest) -> Result<(), BuildFault> {
    if !["", trainer_sdk::export::TARGET].contains(&manifest.target.as_str()) {
        return Err(BuildFault::OtherTarget { theirs: manifest.target.clone() });
    }
    if manifest.panic == "abort" {
        return Err(BuildFault::PanicAbort);
    }
    check_libraries(bytes)?;
    check_symbols(elf)?;
    check_memory(elf)?;
    check_glibc(elf)
}

fn check_libraries(bytes: &[u8]) -> Result<(), BuildFault> {
    let is_torch = |name: &String| ["libtorch", "libc10", "libcudart"].iter().any(|start| name.starts_with(start));
    match needed(bytes).unwrap_or_default().into_iter().find(is_torch) {
        Some(library) => Err(BuildFault::LinksTorch { library }),
        None => Ok(()),
    }
}

/// Names of C++ in the namespaces `at`, `c10` and `torch`.
const TORCH: [&str; 6] = ["_ZN2at", "_ZNK2at", "_ZN3c10", "_ZNK3c10", "_ZN5torch", "_ZNK5torch"];
/// Functions that every CUDA runtime has.
const CUDA_RUNTIME: [&str; 2] = ["cudaMalloc", "cudaLaunchKernel"];
const AOTI: [&str; 2] = ["aoti_torch_cpu_", "aoti_torch_cuda_"];

fn check_symbols(elf: &File) -> Result<(), BuildFault> {
    for symbol in elf.dynamic_symbols() {
        let Ok(name) = symbol.name() else { continue };
        let is_torch = TORCH.iter().any(|start| name.starts_with(start));
        let symbol_name = || name.to_owned();
        match symbol.is_undefined() {
            true if AOTI.iter().any(|start| name.starts_with(start)) => {
                return Err(BuildFault::AotiSymbol { symbol: symbol_name() });
            }
            true if is_torch => return Err(BuildFault::TorchSymbol { symbol: symbol_name() }),
            false if is_torch || CUDA_RUNTIME.contains(&name) => {
                return Err(BuildFault::BundlesTorch { symbol: symbol_name() });
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_memory(elf: &File) -> Result<(), BuildFault> {
    let endian = elf.endian();
    let stack = elf.elf_program_headers().iter().find(|segment| segment.p_type(endian) == PT_GNU_STACK);
    // Without the header, the system's loader makes stacks executable.
    if stack.is_none_or(|stack| stack.p_flags(endian).0 & PF_X.0 != 0) {
        return Err(BuildFault::ExecutableStack);
    }
    let rewrites =
        |entry: Dynamic| entry.tag == DT_TEXTREL || (entry.tag == DT_FLAGS && entry.val & u64::from(DF_TEXTREL.0) != 0);
    match entries(elf).is_some_and(|mut all| all.any(rewrites)) {
        true => Err(BuildFault::TextRelocations),
        false => Ok(()),
    }
}

fn check_glibc(elf: &File) -> Result<(), BuildFault> {
    let Some((ours, theirs)) = system::glibc().zip(glibc_floor(elf).ok().flatten()) else { return Ok(()) };
    if theirs > ours { Err(BuildFault::Glibc { theirs, ours }) } else { Ok(()) }
}

/// The newest `GLIBC_x.y` among the versions that the library's symbols ask for.
fn glibc_floor(elf: &File) -> object::Result<Option<Version>> {
    let (endian, sections) = (elf.endian(), elf.elf_section_table());
    let Some((mut needs, link)) = sections.gnu_verneed(endian, elf.data())? else { return Ok(None) };
    let strings = sections.strings(endian, elf.data(), link)?;
    let mut newest = None;
    while let Some((_, mut versions)) = needs.next()? {
        while let Some(version) = versions.next()? {
            let name = String::from_utf8_lossy(version.name(endian, strings)?);
            newest = newest.max(name.strip_prefix("GLIBC_").and_then(Version::parse));
        }
    }
    Ok(newest)
}
