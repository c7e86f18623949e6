//! What a host of that version does: asks for the newest table first. Appended to the loader's open.rs by build.py.

/// The newest table for losses that both sides know, as the one that the rest of this host uses.
fn newest_loss(
    guest: &'static Guest,
    factory: &Factory,
) -> Result<guest::Factory<trainer_abi::LossTable>, LoadError> {
    // SAFETY: the id lives for the call.
    let Extension { layout, table: found } = unsafe { (factory.table)(Str::new(trainer_abi::LOSS_2)) };
    if found.is_null() {
        eprintln!("{}: {}", guest.component, trainer_abi::LOSS);
        return table(guest, factory, false);
    }
    compare(&guest.file, <trainer_abi::LossTable2 as StableAbi>::LAYOUT, layout)?;
    eprintln!("{}: {}", guest.component, trainer_abi::LOSS_2);
    // SAFETY: the id names the table's type and the layouts agree.
    Ok(guest::Factory { table: unsafe { &(*found.cast::<trainer_abi::LossTable2>()).first }, guest })
}
