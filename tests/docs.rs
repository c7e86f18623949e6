//! The book in docs/: what it includes, links to, types and lists is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use crate::run::built;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
const LOADER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/loader/src");

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder with a suffix, by name.
fn files(folder: &str, suffix: &str) -> BTreeMap<String, String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let texts = names.filter(|name| name.ends_with(suffix)).map(|name| (read(&Path::new(folder).join(&name)), name));
    texts.map(|(text, name)| (name, text)).collect()
}

fn pages() -> BTreeMap<String, String> {
    let mut pages = files(DOCS, ".md");
    pages.remove("SUMMARY.md").expect("the book has a SUMMARY.md");
    pages
}

fn page(name: &str) -> String {
    read(&Path::new(DOCS).join(name))
}

/// A line of a page, and the language of the block of code that it stands in.
struct Line<'a> {
    /// `PAGE:NUMBER`.
    place: String,
    code: Option<&'a str>,
    text: &'a str,
}

fn lines<'a>(name: &str, page: &'a str) -> Vec<Line<'a>> {
    let (mut code, mut lines) = (None, Vec::new());
    for (text, number) in page.lines().zip(1..) {
        let place = format!("docs/{name}:{number}");
        match text.trim_start().strip_prefix("```") {
            Some(language) if code.is_none() => code = Some(language.trim()),
            Some(_) => code = None,
            None => lines.push(Line { place, code, text }),
        }
    }
    lines
}

/// What stands between `open` and `close` in a text, each time.
fn between<'a>(text: &'a str, open: &'a str, close: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(open).skip(1).filter_map(move |rest| Some(rest.split_once(close)?.0))
}

/// The names by which a page's headings are linked to.
fn headings(name: &str, page: &str) -> BTreeSet<String> {
    let heading = |line: &Line| {
        let words = line.text.trim_start_matches('#').strip_prefix(' ').filter(|_| line.text.starts_with('#'))?;
        let kept = words.trim().chars().filter(|c| c.is_alphanumeric() || [' ', '_', '-'].contains(c));
        Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
    };
    lines(name, page).iter().filter(|line| line.code.is_none()).filter_map(heading).collect()
}

#[test]
fn every_page_is_in_the_summary_once() {
    let summary = page("SUMMARY.md");
    let mut listed: Vec<_> = between(&summary, "](", ")").collect();
    listed.sort_unstable();
    let pages = pages();
    assert_eq!(listed, pages.keys().collect::<Vec<_>>(), "docs/SUMMARY.md (left) and the pages in docs (right) differ");
}

#[test]
fn links_lead_to_pages_and_headings() {
    let pages = pages();
    let headings: BTreeMap<_, _> = pages.iter().map(|(name, page)| (name.as_str(), headings(name, page))).collect();
    for (name, page) in &pages {
        for line in lines(name, page).iter().filter(|line| line.code.is_none()) {
            for link in between(line.text, "](", ")").filter(|link| !link.starts_with("http")) {
                let (file, heading) = link.split_once('#').unwrap_or((link, ""));
                let known = headings.get(if file.is_empty() { name.as_str() } else { file });
                let known = known.unwrap_or_else(|| panic!("{}: ({link}): there is no such page in docs", line.place));
                let leads = heading.is_empty() || known.contains(heading);
                assert!(leads, "{}: ({link}): no such heading; there are {known:?}", line.place);
            }
        }
    }
}

#[test]
fn code_is_included_from_what_ci_compiles() {
    let mut seen = 0;
    for (name, page) in &pages() {
        for line in lines(name, page) {
            let included = between(line.text, "{{#include ", "}}").next();
            let is_source =
                line.code.is_some_and(|code| ["rust", "c"].contains(&code.split(',').next().unwrap_or(code)));
            let is_there = !is_source || included.is_some() || line.text.trim().is_empty();
            assert!(is_there, "{}: code is included from examples/ or plugins/, never pasted", line.place);
            let Some(included) = included else { continue };
            let (file, anchor) = included.split_once(':').unwrap_or((included, ""));
            let compiled = ["../examples/", "../plugins/"].iter().any(|room| file.starts_with(room));
            assert!(compiled, "{}: {file} lies neither in examples/ nor in plugins/", line.place);
            let source = read(&Path::new(DOCS).join(file));
            let has = |mark: &str| {
                source
                    .lines()
                    .any(|line| line.split_whitespace().collect::<Vec<_>>().windows(2).any(|it| it == [mark, anchor]))
            };
            let is_marked = anchor.is_empty() || has("ANCHOR:") && has("ANCHOR_END:");
            assert!(is_marked, "{}: {file} has no ANCHOR and ANCHOR_END of the name `{anchor}`", line.place);
            seen += 1;
        }
    }
    assert!(seen > 10, "only {seen} includes were found");
}

/// What `trainer VERBS --help` prints; none where it knows no such verb.
fn help(verbs: &[&str]) -> Option<String> {
    let output = Command::new(built("trainer")).args(verbs).arg("--help").output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn commands_are_those_that_help_knows() {
    let mut helps: BTreeMap<Vec<&str>, Option<String>> = BTreeMap::new();
    let pages = pages();
    for (name, page) in &pages {
        for line in lines(name, page) {
            let shown = if line.code == Some("console") { "$ trainer " } else { "    trainer " };
            let Some(words) = line.text.strip_prefix(shown) else { continue };
            let words: Vec<_> = words.split(" #").next().unwrap_or(words).split_whitespace().collect();
            let is_verb = |word: &&&str| word.chars().all(|c| c.is_ascii_lowercase()) && !word.is_empty();
            let depth = if words.first().is_some_and(|verb| ["plugin", "data"].contains(verb)) { 2 } else { 1 };
            let verbs: Vec<&str> = words.iter().take(depth).take_while(is_verb).copied().collect();
            let verbs = if verbs.is_empty() { vec!["train"] } else { verbs };
            let help = helps.entry(verbs.clone()).or_insert_with_key(|verbs| help(verbs)).as_ref();
            let help = help.unwrap_or_else(|| panic!("{}: the trainer has no verb {verbs:?}", line.place));
            for flag in words.iter().filter(|word| word.starts_with("--")) {
                let flag = flag.split('=').next().unwrap_or(flag);
                let knows = help.split(|c: char| c.is_whitespace() || c == ',').any(|word| word == flag);
                assert!(knows, "{}: `trainer {}` has no flag {flag}", line.place, verbs.join(" "));
            }
        }
    }
    assert!(helps.len() >= 5, "only {} different commands were found", helps.len());
}

/// The cells of a page's tables whose first cell is a `word` in code type.
fn rows(page: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    page.lines().filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix("| ")?.trim_end_matches([' ', '|']).split(" | ").collect();
        Some((cells.first()?.strip_prefix('`')?.strip_suffix('`')?, cells))
    })
}

#[test]
fn the_refusals_are_the_loaders() {
    let sources = files(LOADER, ".rs").into_values().collect::<Vec<_>>().join("\n");
    let code =
        |line: &str| Some(line.trim().strip_prefix("Self::")?.split_once("=> \"")?.1.strip_suffix("\",")?.to_owned());
    let codes: BTreeSet<_> = sources.lines().filter_map(code).collect();
    let trust = page("trust.md");
    let refusals = trust.split("\n## ").find(|part| part.starts_with("Refusals")).expect("trust.md has its refusals");
    let listed: BTreeSet<_> = rows(refusals).map(|(code, _)| code.to_owned()).collect();
    assert_eq!(listed, codes, "the codes of docs/trust.md (left) and of core/loader/src (right) differ");
    for (code, cells) in rows(refusals) {
        let lost = cells[1].split('…').map(|part| part.trim_matches([' ', ':'])).find(|part| !sources.contains(part));
        assert_eq!(lost, None, "docs/trust.md: no message of the loader has these words of {code}");
    }
}

#[test]
fn the_checks_are_those_there_are() {
    let output =
        Command::new(built("trainer")).args(["plugin", "check", "--builtin", "--only", "none"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let names = said.split("there are ").nth(1).expect("the refusal lists the checks").trim_end();
    let check = page("check.md");
    let headings = check.lines().filter_map(|line| line.strip_prefix("### ")).collect::<Vec<_>>().join(", ");
    assert_eq!(headings, names, "the headings of docs/check.md (left) and the checks (right) differ");
}
