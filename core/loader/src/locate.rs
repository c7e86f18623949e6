//! From a place in a plugin's code to the line of its source, by the debug information in the file.

use std::path::Path;

use addr2line::Loader;

/// Where the sources of Rust's own libraries and of crates from a registry lie; no line of theirs says what a plugin did.
const FOREIGN: [&str; 3] = ["/rustc/", "/rustlib/src/", "/registry/src/"];

/// `FILE:LINE` of the first of `offsets` (counted from where the file was loaded) in the plugin's own sources; none
/// without debug information. A function that was inlined counts as itself.
#[must_use]
pub fn locate(file: &Path, offsets: impl IntoIterator<Item = u64>) -> Option<String> {
    let loader = Loader::new(file).ok()?;
    offsets.into_iter().find_map(|offset| own_line(&loader, offset))
}

fn own_line(loader: &Loader, offset: u64) -> Option<String> {
    let mut frames = loader.find_frames(offset).ok()?;
    while let Some(frame) = frames.next().ok()? {
        let Some(location) = frame.location else { continue };
        if let (Some(file), Some(line)) = (location.file, location.line)
            && line > 0
            && !FOREIGN.iter().any(|part| file.contains(part))
        {
            return Some(format!("{file}:{line}"));
        }
    }
    None
}
