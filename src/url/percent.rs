//! Normalisation of percent-encoding (RFC 3986, sections 2.1 to 2.4 and 6.2.2).

/// Parts of a URL; they differ in which encoded characters are equivalent to their plain form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The path: only unreserved characters may be decoded.
    Path,
    /// The query, for identity: as the path.
    Query,
    /// The query, for matching rules of `robots.txt`: `/`, `:`, `?` and `@` have no meaning of
    /// their own there, so their encoded forms count as equal.
    #[cfg(feature = "crawl")]
    MatchedQuery,
}

const UNRESERVED: u8 = 1;
const RESERVED: u8 = 2;
const QUERY_DATA: u8 = 4;

/// Classes of the ASCII characters by RFC 3986, section 2.
static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256 by the loop's condition")]
        let c = byte as u8;
        table[byte] = match c {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => UNRESERVED,
            b'/' | b':' | b'?' | b'@' => RESERVED | QUERY_DATA,
            b'#' | b'[' | b']' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b','
            | b';' | b'=' => RESERVED,
            _ => 0,
        };
        byte += 1;
    }
    table
}

fn class(byte: u8) -> u8 {
    CLASS.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Appends `text` in its one form: unreserved characters decoded, hexadecimal digits in upper
/// case, everything that may not stand in a URL encoded, and so a `%` that begins no escape.
///
/// The operation is idempotent.
pub(crate) fn normalise(out: &mut String, text: &[u8], part: Part) {
    let decoded = match part {
        Part::Path | Part::Query => UNRESERVED,
        #[cfg(feature = "crawl")]
        Part::MatchedQuery => UNRESERVED | QUERY_DATA,
    };
    let mut rest = text;
    loop {
        let plain = rest.iter().position(|b| class(*b) == 0).unwrap_or(rest.len());
        let (head, tail) = rest.split_at(plain);
        out.push_str(std::str::from_utf8(head).expect("invariant: classed bytes are ASCII"));
        match *tail {
            [] => return,
            [b'%', high, low, ref after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let byte = hex_value(high) << 4 | hex_value(low);
                if class(byte) & decoded != 0 {
                    out.push(char::from(byte));
                } else {
                    push_encoded(out, byte);
                }
                rest = after;
            }
            [byte, ref after @ ..] => {
                push_encoded(out, byte);
                rest = after;
            }
        }
    }
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

fn push_encoded(out: &mut String, byte: u8) {
    let digit = |value: u8| char::from(if value < 10 { b'0' + value } else { b'A' + value - 10 });
    out.push('%');
    out.push(digit(byte >> 4));
    out.push(digit(byte & 15));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(text: &str, part: Part) -> String {
        let mut out = String::new();
        normalise(&mut out, text.as_bytes(), part);
        out
    }

    #[test]
    fn one_form_for_each_meaning() {
        for (text, expected) in [
            ("/a%7eb%2fc%C3%a9", "/a~b%2Fc%C3%A9"),
            ("/%41%", "/A%25"),
            ("/%%34%31", "/%2541"),
            ("/100%zz", "/100%25zz"),
            ("/a|b\"c d", "/a%7Cb%22c%20d"),
            ("/ツ", "/%E3%83%84"),
            ("/%2A*%24$", "/%2A*%24$"),
        ] {
            assert_eq!(normal(text, Part::Path), expected);
            assert_eq!(normal(expected, Part::Path), expected);
        }
        #[cfg(feature = "crawl")]
        assert_eq!(normal("u=https%3A%2F%2Fx%26", Part::MatchedQuery), "u=https://x%26");
        assert_eq!(normal("u=https%3A%2F%2Fx", Part::Query), "u=https%3A%2F%2Fx");
    }
}
