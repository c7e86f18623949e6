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

use crate::{BuildFault, LoadError, Manifest, Version, machine, system};

type File<'a> = ElfFile64<'a, Endianness>;

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
    let has_pie = |flags: u64| flags & DF_1_PIE.0 != 0;
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
    let rewrites = |entry: Dynamic| entry.tag == DT_TEXTREL || (entry.tag == DT_FLAGS && entry.val & DF_TEXTREL.0 != 0);
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
