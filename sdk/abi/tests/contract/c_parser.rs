//! Reads names out of the C header, as far as that header's own style goes.

/// The constants: name and value of each macro.
pub fn defines(header: &str) -> Vec<(String, String)> {
    let text = without_comments(header);
    let define = |line: &str| {
        let (name, value) = line.strip_prefix("#define ")?.split_once(' ')?;
        Some((name.to_owned(), value.trim().to_owned()))
    };
    text.lines().filter_map(define).collect()
}

/// The structs, each with its fields: name and declaration.
pub fn structs(header: &str) -> Vec<(String, Vec<(String, String)>)> {
    let text = without_comments(header);
    let body = |part: &str| {
        let (name, rest) = part.split_once(" {")?;
        let (fields, _) = rest.split_once("\n};")?;
        Some((name.to_owned(), fields.split(';').filter_map(field).collect()))
    };
    text.split("\nstruct ").skip(1).filter_map(body).collect()
}

fn field(declaration: &str) -> Option<(String, String)> {
    let text = declaration.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let name = match text.find("(*") {
        // A function; the first `(*` may belong to its result, but not in this header.
        Some(place) => text[place + 2..].split(|letter| !is_word(letter)).next()?,
        None => text.split('[').next()?.rsplit(|letter| !is_word(letter)).next()?,
    };
    (!name.is_empty()).then(|| (name.to_owned(), text.clone()))
}

fn without_comments(header: &str) -> String {
    let mut parts = header.split("/*");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once("*/").map_or("", |(_, rest)| rest))
}
