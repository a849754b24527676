//! The title of a page without the name of its site.

/// What stands between a title and the name of a site.
const SEPARATORS: [&str; 10] =
    [" | ", " - ", " – ", " — ", " · ", " • ", " » ", " « ", " :: ", " / "];

/// The title in `full`, the content of `<title>`. `said` are the titles that the page gives
/// elsewhere (its heading, Open Graph, JSON-LD), `site` the names of its site.
///
/// A part of `full` between separators that is said elsewhere is the title. Else the parts at its
/// ends that name the site are cut off. A separator that belongs to the title stays: without one of
/// these signs nothing is cut.
pub(super) fn without_site(full: &str, said: &[&str], site: &[&str]) -> String {
    let parts = parts(full);
    for title in said {
        let wanted = letters(title);
        if wanted.is_empty() || site.iter().any(|name| letters(name) == wanted) {
            continue;
        }
        for from in 0..parts.len() {
            for to in from + 1..=parts.len() {
                if letters(joined(full, &parts[from..to])) == wanted {
                    return (*title).to_owned();
                }
            }
        }
    }
    let names: Vec<String> =
        site.iter().map(|name| letters(name)).filter(|n| !n.is_empty()).collect();
    let is_site = |part: &&str| names.contains(&letters(part));
    let mut left = &parts[..];
    while let [rest @ .., last] = left
        && !rest.is_empty()
        && is_site(last)
    {
        left = rest;
    }
    while let [first, rest @ ..] = left
        && !rest.is_empty()
        && is_site(first)
    {
        left = rest;
    }
    joined(full, left).to_owned()
}

/// The parts of a title between separators; at most eight, the last with all the rest.
fn parts(full: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = full;
    while parts.len() < 7 {
        let next = SEPARATORS
            .iter()
            .filter_map(|separator| rest.find(separator).map(|at| (at, separator.len())))
            .min();
        let Some((at, length)) = next else { break };
        parts.push(rest[..at].trim());
        rest = &rest[at + length..];
    }
    parts.push(rest.trim());
    parts
}

/// The piece of `full` from the first of `parts` to the last.
fn joined<'a>(full: &'a str, parts: &[&'a str]) -> &'a str {
    let offset = |part: &str| part.as_ptr() as usize - full.as_ptr() as usize;
    match parts {
        [first, .., last] => &full[offset(first)..offset(last) + last.len()],
        [one] => one,
        [] => full,
    }
}

/// Letters and digits of `text` in lower case, so that spelling does not matter.
pub(super) fn letters(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_site_is_cut_off_where_a_sign_says_so() {
        for (full, said, site, title) in [
            ("The keeper | News | Valley Post", &["The Keeper"][..], &[][..], "The Keeper"),
            ("The keeper - Valley Post", &[], &["Valley Post"], "The keeper"),
            ("Valley Post » The keeper", &[], &["valley post"], "The keeper"),
            (
                "The keeper – valleypost.example",
                &[],
                &["Valley Post", "valleypost.example"],
                "The keeper",
            ),
            ("Wheat - a history | Valley Post", &[], &["Valley Post"], "Wheat - a history"),
            ("Wheat - a history", &["Wheat - a history"], &["Valley Post"], "Wheat - a history"),
            ("Wheat - a history", &[], &["Valley Post"], "Wheat - a history"),
            ("Wheat - a history", &["Other"], &[], "Wheat - a history"),
            ("Valley Post", &[], &["Valley Post"], "Valley Post"),
            ("Valley Post | Home", &["Valley Post"], &["Valley Post"], "Home"),
            ("A-B | C", &["A B"], &[], "A B"),
        ] {
            assert_eq!(without_site(full, said, site), title, "{full}");
        }
    }
}
