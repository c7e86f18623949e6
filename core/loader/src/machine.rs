//! Which processor an ELF file is for, by its first bytes.

use object::elf::{ELFCLASS32, ELFDATA2MSB, EM_386, EM_AARCH64, EM_ARM, EM_RISCV, EM_X86_64};

/// This trainer's own, as [`of`] names it.
#[cfg(target_arch = "x86_64")]
pub(crate) const OURS: &str = "64-bit x86-64";
/// This trainer's own, as [`of`] names it.
#[cfg(target_arch = "aarch64")]
pub(crate) const OURS: &str = "64-bit AArch64";

/// Bits, processor and byte order; none where the header is cut off.
pub(crate) fn of(bytes: &[u8]) -> Option<String> {
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
