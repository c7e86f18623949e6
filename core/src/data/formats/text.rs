//! Text files of labels: read within bounds, cut into lines, numbers with a reason where they are none.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Larger files are not the labels of one image.
const MAX_BYTES: u64 = 64 << 20;

/// The bytes of `file` without a byte order mark; `None` where there is no such file.
pub(super) fn read(file: &Path) -> Result<Option<Vec<u8>>, String> {
    let mut bytes = Vec::new();
    match File::open(file).and_then(|opened| opened.take(MAX_BYTES + 1).read_to_end(&mut bytes)) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(format!("cannot be read: {error}")),
        Ok(_) if bytes.len() as u64 > MAX_BYTES => Err("too large for a label file".to_owned()),
        Ok(_) => {
            if bytes.starts_with("\u{feff}".as_bytes()) {
                bytes.drain(..3);
            }
            Ok(Some(bytes))
        }
    }
}

/// The lines that are not blank, trimmed, each after its number from 1.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, Result<&str, String>)> {
    let lines = bytes.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
    let text = |line| str::from_utf8(line).map_err(|_| "not UTF-8 text".to_owned());
    (1..).zip(lines).filter(|(_, line)| !line.is_empty()).map(move |(number, line)| (number, text(line)))
}

/// A finite number.
pub(super) fn number(text: &str) -> Result<f64, String> {
    let parsed = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite());
    parsed(text).ok_or_else(|| {
        let dotted = text.replace(',', ".");
        let hint = if text.contains(',') && parsed(&dotted).is_some() { ": decimals take a dot" } else { "" };
        format!("`{}` is not a finite number{hint}", short(text))
    })
}

/// A word of the user fit for a message: without control characters, at most 30 characters.
pub fn short(text: &str) -> String {
    printable(text, 30)
}

/// A library's message in one line of bounded length: it may quote the user at length.
pub fn brief(message: &str) -> String {
    printable(message, 200)
}

fn printable(text: &str, limit: usize) -> String {
    let print = |character: char| -> String {
        if character.is_control() { character.escape_debug().collect() } else { character.to_string() }
    };
    let printed: String = text.chars().take(limit).map(print).collect();
    if text.chars().nth(limit).is_some() { printed + "…" } else { printed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_without_their_mark() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.txt");
        for (content, expected) in [("", ""), ("0 1", "0 1"), ("\u{feff}0 1", "0 1"), ("0\u{feff}", "0\u{feff}")] {
            std::fs::write(&file, content).unwrap();
            assert_eq!(read(&file), Ok(Some(expected.as_bytes().to_vec())), "{content:?}");
        }
        assert_eq!(read(&dir.path().join("none.txt")), Ok(None));
        assert_eq!(read(&file.join("below_a_file.txt")), Ok(None));
        assert_eq!(read(dir.path()), Err("cannot be read: Is a directory (os error 21)".to_owned()));
    }

    #[test]
    fn lines_keep_their_number() {
        let found: Vec<_> = lines(b" a b\r\n\n \t\n\xff\nc").collect();
        assert_eq!(found, [(1, Ok("a b")), (4, Err("not UTF-8 text".to_owned())), (5, Ok("c"))]);
    }

    #[test]
    fn words_of_the_user_stay_short_and_printable() {
        assert_eq!(short("a\nb\u{1b}é"), "a\\nb\\u{1b}é");
        let (thirty, more) = ("é".repeat(30), "é".repeat(31));
        assert_eq!((short(&thirty), short(&more)), (thirty.clone(), format!("{thirty}…")));
        assert_eq!(brief(&"x".repeat(201)), format!("{}…", "x".repeat(200)));
    }
}
