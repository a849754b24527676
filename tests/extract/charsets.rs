//! Pages in old encodings come out as the text they hold.

use encoding_rs::Encoding;
use gristmill::extract::{Extractor, Input};

use super::page_url;

fn read(body: &[u8], content_type: Option<&str>) -> (String, String) {
    let content =
        Extractor::default().extract(&Input { body, url: &page_url(), content_type }).unwrap();
    (content.text, content.charset)
}

#[test]
fn header_and_meta_are_believed() {
    for (label, name, text) in [
        ("windows-1251", "windows-1251", "Мельница мелет зерно"),
        ("shift_jis", "Shift_JIS", "水車は穀物をひく"),
        ("gb18030", "gb18030", "磨坊磨谷物"),
        ("iso-8859-1", "windows-1252", "Le moulin à café"),
        ("euc-jp", "EUC-JP", "水車は穀物をひく"),
    ] {
        let (body, _, _) = Encoding::for_label(label.as_bytes()).unwrap().encode(text);
        let bare = [b"<p>".as_slice(), &body].concat();
        let header = format!("text/html; charset={label}");
        assert_eq!(read(&bare, Some(&header)), (text.into(), name.into()));
        let meta =
            [format!("<!doctype html><meta charset=\"{label}\"><p>").as_bytes(), &body].concat();
        assert_eq!(read(&meta, Some("text/html")), (text.into(), name.into()));
    }
}

#[test]
fn a_mark_wins_over_a_wrong_header() {
    let little = [
        &[0xFF, 0xFE][..],
        &"<p>Mühle".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
    ]
    .concat();
    assert_eq!(
        read(&little, Some("text/html; charset=utf-8")),
        ("Mühle".into(), "UTF-16LE".into())
    );
}

#[test]
fn words_about_an_encoding_declare_none() {
    let page = "<meta name=description content='charset=koi8-r'><meta charset=utf-8><p>Mühle";
    assert_eq!(read(page.as_bytes(), None), ("Mühle".into(), "UTF-8".into()));
}

#[test]
fn what_the_bytes_say_beats_a_wrong_declaration() {
    let page = "<meta charset=iso-8859-1><p>Mühle für alle";
    assert_eq!(read(page.as_bytes(), None), ("Mühle für alle".into(), "UTF-8".into()));
    let page = b"<meta charset=utf-8><p>M\xFChle f\xFCr alle";
    assert_eq!(read(page, None), ("Mühle für alle".into(), "windows-1252".into()));
}
