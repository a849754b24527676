//! Reading JSON from the text that models put around it.

use serde_json::Value;

/// Deepest nesting that is repaired: `serde_json` reads no deeper.
const MAX_DEPTH: usize = 128;

/// The JSON value in `text`, and whether it was repaired.
///
/// White space and byte order marks around it need no repair. Reasoning before it, code fences,
/// other text around it, trailing commas and missing closing brackets do. An unclosed string is
/// never repaired, as the rest of it is unknown.
pub(super) fn read_json(text: &str) -> Option<(Value, bool)> {
    let bare = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if let Ok(value) = serde_json::from_str(bare) {
        return Some((value, false));
    }
    let spoken = bare.rfind("</think>").and_then(|at| bare.get(at + 8..)).unwrap_or(bare);
    let candidates = fenced(spoken).into_iter().chain([spoken]);
    candidates.into_iter().find_map(read_candidate).map(|value| (value, true))
}

/// The inside of the first code fence.
fn fenced(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("```")?;
    let (_language, body) = rest.split_once('\n')?;
    Some(body.split_once("```").map_or(body, |(inside, _)| inside))
}

/// The value at the first opening bracket from which one can be read.
fn read_candidate(text: &str) -> Option<Value> {
    /// Opening brackets that are tried. Each costs a pass over the rest of the text.
    const MAX_STARTS: usize = 8;
    text.match_indices(['{', '['])
        .take(MAX_STARTS)
        .find_map(|(at, _)| serde_json::from_str(&balanced(text.get(at..)?)?).ok())
}

/// The text from its opening bracket to the matching closing one, without trailing commas. Brackets
/// that are open at the end of the text are closed.
fn balanced(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut open = Vec::new();
    let (mut in_string, mut escaped) = (false, false);
    for c in text.chars() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => in_string = true,
            '{' if open.len() < MAX_DEPTH => open.push('}'),
            '[' if open.len() < MAX_DEPTH => open.push(']'),
            '{' | '[' => return None,
            '}' | ']' => {
                if open.pop() != Some(c) {
                    return None;
                }
                drop_trailing_comma(&mut out);
                out.push(c);
                if open.is_empty() {
                    return Some(out);
                }
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    if in_string {
        return None;
    }
    drop_trailing_comma(&mut out);
    out.extend(open.into_iter().rev());
    Some(out)
}

fn drop_trailing_comma(out: &mut String) {
    let kept = out.trim_end().strip_suffix(',').map(str::len);
    if let Some(kept) = kept {
        out.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn wrapped_and_cut_values_are_read() {
        let wanted = json!({"infos": [{"fact": "a } \" b", "quote": "[c"}]});
        let clean = wanted.to_string();
        assert_eq!(read_json(&format!("\u{feff} {clean}\n")), Some((wanted.clone(), false)));
        for text in [
            format!("```json\n{clean}\n```"),
            format!("Sure! Here it is:\n```\n{clean}\n```\nAnything else?"),
            format!("<think>the user {{wants}} json</think>{clean}"),
            format!("{clean}\n\nI hope this helps {{really}}."),
            format!("The answer [as asked] is {clean}"),
            clean.trim_end_matches(['}', ']']).to_owned(),
            clean.replace("}]}", "},]}"),
        ] {
            let text = if text.ends_with("[c\"") { format!("{text},") } else { text };
            assert_eq!(read_json(&text), Some((wanted.clone(), true)), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_known_is_not_invented() {
        for text in ["", "no json", r#"{"fact": "cut in the mid"#, "}]", "{\"a\": }", "[1, {]"] {
            assert_eq!(read_json(text), None, "{text}");
        }
        assert_eq!(read_json(&"[".repeat(100_000)), None);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[\\[\\]{}\",:\\\\a`\\n é]{0,200}") {
            let _read = read_json(&text);
        }

        #[test]
        fn a_value_survives_any_plain_words_around_it(
            before in "[a-z .]{0,40}", after in "[a-z .{}\\[\\]]{0,40}", text in "\\PC{0,40}",
        ) {
            let wanted = json!({"fact": text});
            let read = read_json(&format!("{before}{wanted}{after}"));
            prop_assert_eq!(read.map(|(value, _)| value), Some(wanted));
        }
    }
}
