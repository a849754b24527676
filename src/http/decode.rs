//! Content decoding with limits: gzip, deflate (zlib and raw), br, zstd, and stacks of them.

use std::io::{self, Read};

use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};

/// The encodings that the client accepts.
pub(super) const ACCEPT_ENCODING: &str = "gzip, deflate, br, zstd";

/// Most encodings of one body. A longer list is a bomb or a mistake.
const MAX_ENCODINGS: usize = 3;

/// Bodies that decode to at most this many bytes may have any ratio: a small page of repeated markup
/// compresses very well.
pub(super) const RATIO_FREE: u64 = 1024 * 1024;

/// Largest window of zstd in bits, by RFC 9659: 8 MB.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Memory reserved for the output at first, in multiples of the input.
const FIRST_GUESS: usize = 4;

/// Input buffer of the brotli decoder.
const BROTLI_BUFFER: usize = 4096;

/// Limits of the output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caps {
    /// Bytes at any stage.
    pub(super) bytes: u64,
    /// Decoded bytes for each byte on the wire, beyond [`RATIO_FREE`].
    pub(super) ratio: u64,
}

/// Why a body cannot be decoded.
#[derive(Debug)]
pub(super) enum DecodeError {
    TooLarge,
    Ratio,
    Invalid { encoding: String, source: io::Error },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Undoes the encodings in `fields`, the values of `content-encoding`, from the last to the first.
/// An empty body is empty in every encoding.
pub(super) fn decode<'a>(
    body: Vec<u8>,
    fields: impl Iterator<Item = &'a str>,
    caps: Caps,
) -> Result<Vec<u8>, DecodeError> {
    let stack = parse(fields)?;
    if body.is_empty() {
        return Ok(body);
    }
    let by_ratio = (body.len() as u64).saturating_mul(caps.ratio).max(RATIO_FREE);
    let most = caps.bytes.min(by_ratio);
    let mut body = body;
    for encoding in stack.iter().rev() {
        body = undo(*encoding, &body, most)
            .map_err(|source| DecodeError::Invalid { encoding: encoding.name().into(), source })?;
        if body.len() as u64 > most {
            let over_ratio = by_ratio < caps.bytes;
            return Err(if over_ratio { DecodeError::Ratio } else { DecodeError::TooLarge });
        }
    }
    Ok(body)
}

/// The encodings in the order they were applied.
fn parse<'a>(fields: impl Iterator<Item = &'a str>) -> Result<Vec<Encoding>, DecodeError> {
    let invalid = |encoding: &str, reason: &'static str| DecodeError::Invalid {
        encoding: encoding.to_owned(),
        source: io::Error::new(io::ErrorKind::Unsupported, reason),
    };
    let mut stack = Vec::new();
    for token in fields.flat_map(|value| value.split(',')).map(str::trim) {
        let encoding = match token.to_ascii_lowercase().as_str() {
            // "none" and charsets are not encodings; browsers read such bodies as they are.
            "" | "identity" | "none" | "utf-8" => continue,
            "gzip" | "x-gzip" => Encoding::Gzip,
            "deflate" => Encoding::Deflate,
            "br" => Encoding::Brotli,
            "zstd" => Encoding::Zstd,
            _ => return Err(invalid(token, "unknown content encoding")),
        };
        if stack.len() == MAX_ENCODINGS {
            return Err(invalid(token, "too many content encodings"));
        }
        stack.push(encoding);
    }
    Ok(stack)
}

impl Encoding {
    const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// Decodes `input` up to one byte beyond `most`. A truncated input is an error.
fn undo(encoding: Encoding, input: &[u8], most: u64) -> io::Result<Vec<u8>> {
    match encoding {
        Encoding::Gzip => undo_gzip(input, most),
        Encoding::Deflate => undo_deflate(input, most),
        Encoding::Brotli => {
            let decoder = brotli_decompressor::Decompressor::new(input, BROTLI_BUFFER);
            read_capped(decoder, input.len(), most)
        }
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            read_capped(decoder, input.len(), most)
        }
    }
}

fn read_capped(decoder: impl Read, input: usize, most: u64) -> io::Result<Vec<u8>> {
    let most_room = usize::try_from(most).unwrap_or(usize::MAX);
    let mut out = Vec::with_capacity(input.saturating_mul(FIRST_GUESS).min(most_room));
    decoder.take(most.saturating_add(1)).read_to_end(&mut out)?;
    Ok(out)
}

/// All members of a gzip file (RFC 1952 allows several); padding after the last is ignored.
fn undo_gzip(mut input: &[u8], most: u64) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let mut member = GzDecoder::new(input);
        let left = most.saturating_sub(out.len() as u64);
        let decoded = read_capped(&mut member, input.len(), left)?;
        if out.is_empty() {
            out = decoded;
        } else {
            out.extend_from_slice(&decoded);
        }
        input = member.into_inner();
        if out.len() as u64 > most || !input.starts_with(&[0x1f, 0x8b]) {
            return Ok(out);
        }
    }
}

/// `deflate` is zlib by RFC 9110, and raw deflate from servers that misread it.
fn undo_deflate(input: &[u8], most: u64) -> io::Result<Vec<u8>> {
    let zlib = read_capped(ZlibDecoder::new(input), input.len(), most);
    if zlib.is_ok() || has_zlib_header(input) {
        return zlib;
    }
    read_capped(DeflateDecoder::new(input), input.len(), most)
}

/// A zlib stream begins with method 8 and two bytes that are a multiple of 31 (RFC 1950).
fn has_zlib_header(input: &[u8]) -> bool {
    matches!(input, [cmf, flags, ..]
        if cmf & 0x0f == 8 && u16::from_be_bytes([*cmf, *flags]).is_multiple_of(31))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;

    const CAPS: Caps = Caps { bytes: 8 << 20, ratio: 100 };
    /// "hello\n" in brotli.
    const BROTLI: &[u8] = b"\x8f\x02\x80hello\x0a\x03";

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(body: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn raw(body: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn run(body: &[u8], fields: &[&str]) -> Result<Vec<u8>, DecodeError> {
        decode(body.to_vec(), fields.iter().copied(), CAPS)
    }

    #[test]
    fn each_encoding_and_stacks_of_them_are_undone() {
        let text = b"a page, a page, a page".as_slice();
        assert_eq!(run(text, &[]).unwrap(), text);
        assert_eq!(run(text, &["identity"]).unwrap(), text);
        assert_eq!(run(&gzip(text), &["GZIP"]).unwrap(), text);
        assert_eq!(run(&gzip(text), &["x-gzip"]).unwrap(), text);
        assert_eq!(run(&zlib(text), &["deflate"]).unwrap(), text);
        assert_eq!(run(&raw(text), &["deflate"]).unwrap(), text);
        assert_eq!(run(BROTLI, &["br"]).unwrap(), b"hello\n");
        assert_eq!(run(&zstd::encode_all(text, 1).unwrap(), &["zstd"]).unwrap(), text);
        let stacked = gzip(&zlib(&zstd::encode_all(text, 1).unwrap()));
        assert_eq!(run(&stacked, &["zstd, deflate", "gzip"]).unwrap(), text);
        assert_eq!(run(&[gzip(b"one "), gzip(b"two")].concat(), &["gzip"]).unwrap(), b"one two");
        assert_eq!(run(&[gzip(text), vec![0; 9]].concat(), &["gzip"]).unwrap(), text);
        assert_eq!(run(b"", &["gzip"]).unwrap(), b"");
    }

    #[test]
    fn cut_or_foreign_bodies_are_errors() {
        let text: Vec<u8> = (0..20_000_u32).flat_map(|n| (n * 7919).to_le_bytes()).collect();
        let bodies = [
            (gzip(&text), "gzip"),
            (zlib(&text), "deflate"),
            (raw(&text), "deflate"),
            (zstd::encode_all(text.as_slice(), 1).unwrap(), "zstd"),
            (BROTLI.to_vec(), "br"),
        ];
        for (body, encoding) in &bodies {
            for keep in [1, body.len() / 2, body.len() - 1] {
                let result = run(&body[..keep], &[encoding]);
                assert!(
                    matches!(result, Err(DecodeError::Invalid { .. })),
                    "{encoding} {keep} of {}",
                    body.len()
                );
            }
        }
        assert!(matches!(run(b"<html>", &["gzip"]), Err(DecodeError::Invalid { .. })));
        assert!(matches!(run(b"x", &["compress"]), Err(DecodeError::Invalid { .. })));
        assert!(matches!(run(b"x", &["gzip,gzip,gzip,gzip"]), Err(DecodeError::Invalid { .. })));
    }

    #[test]
    fn bombs_stop_at_the_ratio_and_at_the_size() {
        let bomb = vec![0; 12 << 20];
        for (body, encoding) in [
            (gzip(&bomb), "gzip"),
            (zlib(&bomb), "deflate"),
            (zstd::encode_all(bomb.as_slice(), 1).unwrap(), "zstd"),
        ] {
            let ratio = decode(body.clone(), [encoding].into_iter(), CAPS);
            assert!(matches!(ratio, Err(DecodeError::Ratio)), "{encoding}");
            let caps = Caps { ratio: u64::MAX, ..CAPS };
            let size = decode(body, [encoding].into_iter(), caps);
            assert!(matches!(size, Err(DecodeError::TooLarge)), "{encoding}");
        }
        let nested = gzip(&gzip(&bomb));
        assert!(matches!(run(&nested, &["gzip, gzip"]), Err(DecodeError::Ratio)));
        // Below one mebibyte any ratio is fine.
        assert_eq!(run(&gzip(&bomb[..900_000]), &["gzip"]).unwrap().len(), 900_000);
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_a_body_or_an_error(
            body in proptest::collection::vec(any::<u8>(), 0..300),
            which in 0..4_usize,
        ) {
            let encoding = ["gzip", "deflate", "br", "zstd"][which];
            let _ = run(&body, &[encoding]);
        }

        #[test]
        fn what_was_encoded_comes_back(body in proptest::collection::vec(any::<u8>(), 1..5000)) {
            prop_assert_eq!(run(&gzip(&body), &["gzip"]).unwrap(), body.clone());
            prop_assert_eq!(run(&zlib(&body), &["deflate"]).unwrap(), body.clone());
            let zstd = zstd::encode_all(body.as_slice(), 1).unwrap();
            prop_assert_eq!(run(&zstd, &["zstd"]).unwrap(), body);
        }
    }
}
