//! Near names for error messages.

/// `; did you mean `x`?` for the known name closest to a mistyped one; empty where none is close.
#[must_use]
pub fn near<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    const CLOSE: f64 = 0.75; // Jaro-Winkler similarity; lower lets unrelated short names through
    let score = |candidate: &&str| strsim::jaro_winkler(name, candidate);
    let best = known.into_iter().min_by(|a, b| score(b).total_cmp(&score(a))); // the first of equals
    best.filter(|best| score(best) >= CLOSE).map_or(String::new(), |best| format!("; did you mean `{best}`?"))
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn finds_the_nearest_or_nothing() {
        assert_eq!(near("epoch", ["imgsz", "epochs", "patience"]), "; did you mean `epochs`?");
        assert_eq!(near("lr", ["epochs", "lr0", "lrf"]), "; did you mean `lr0`?");
        assert_eq!(near("zzz", ["imgsz", "epochs"]), "");
    }
}
