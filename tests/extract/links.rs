//! Which links are found, how they are resolved, and that both ways find the same.

use gristmill::extract::links;

use super::{content, page_url};

/// The links of a document, the same from both ways of finding them.
fn urls(html: &str) -> Vec<String> {
    let full = content(html).links;
    assert_eq!(
        links(html.as_bytes(), &page_url(), None).unwrap_or_default().len().max(full.len()),
        full.len()
    );
    assert_eq!(links(html.as_bytes(), &page_url(), Some("text/html")).unwrap(), full);
    full.into_iter().map(|link| link.url.to_string()).collect()
}

#[test]
fn every_source_of_links_is_read() {
    for (html, expected) in [
        ("<a href=a>x</a>", &["https://example.org/dir/a"][..]),
        ("<A HREF='/b?x=1&amp;y=2'>", &["https://example.org/b?x=1&y=2"]),
        ("<a href=\" //other.example/c \">", &["https://other.example/c"]),
        ("<map><area href=d></map>", &["https://example.org/dir/d"]),
        (
            "<link rel='prefetch NEXT' href=e><link rel=prev href=f><link rel=stylesheet href=no>",
            &["https://example.org/dir/e", "https://example.org/dir/f"],
        ),
        ("<frameset><frame src=g></frameset>", &["https://example.org/dir/g"]),
        ("<iframe src=h></iframe>", &["https://example.org/dir/h"]),
        ("<meta http-equiv=Refresh content=\"3; URL='i'\">", &["https://example.org/dir/i"]),
        ("<noscript><a href=j></a></noscript>", &["https://example.org/dir/j"]),
        ("<p hidden><a href=k></a></p>", &["https://example.org/dir/k"]),
        ("<a href=?p=2>", &["https://example.org/dir/page.html?p=2"]),
        ("<a href='l\n\tm'>", &["https://example.org/dir/lm"]),
    ] {
        assert_eq!(urls(html), expected, "{html}");
    }
}

#[test]
fn what_is_no_page_is_left_out() {
    for html in [
        "<a href='mailto:a@b.example'>",
        "<a href='javascript:void(0)'>",
        "<a href='tel:1'>",
        "<a href='data:text/html,x'>",
        "<a href='ftp://example.org/'>",
        "<a href='http://'>",
        "<a name=x>",
        "<!-- <a href=x> -->",
        "<script>'<a href=x>'</script>",
        "<template><a href=x></a></template>",
        "<textarea><a href=x></textarea>",
        "<title><a href=x></title>",
        "<a data-href=x>",
    ] {
        assert_eq!(urls(html), [""; 0], "{html}");
    }
}

#[test]
fn the_first_base_counts_wherever_it_stands() {
    let html = "<a href=a>1</a><base target=x><base href='/other/'><base href=/no/><a href=b>2</a>";
    assert_eq!(urls(html), ["https://example.org/other/a", "https://example.org/other/b"]);
    assert_eq!(urls("<base href='javascript:x'><a href=a>"), ["https://example.org/dir/a"]);
    assert_eq!(urls("<base href='http://b.example/x/y'><a href=z>"), ["http://b.example/x/z"]);
}

#[test]
fn each_url_comes_once_in_document_order() {
    let html = "<a href=b></a><a href=a>first</a><a href='b#x'>named</a><a href='./b'>later</a>\
                <a href=https://EXAMPLE.org:443/dir/a>again</a>";
    let links = content(html).links;
    let found: Vec<_> = links.iter().map(|link| (link.url.path(), link.text.as_str())).collect();
    assert_eq!(found, [("/dir/b", "named"), ("/dir/a", "first")]);
}

#[test]
fn texts_and_rel_are_kept() {
    let html = format!(
        "<a href=1 rel='ugc NoFollow'> a\n <b>b</b>&amp;<i>c</i></a><a href=2><img alt='the mill'></a>\
         <a href=3><div>one</div><div>two</div></a><a href=4>{}</a>\
         <a href=5 rel=nofollow>x</a><a href=5>y</a>",
        "é".repeat(300)
    );
    let links = content(&html).links;
    let found: Vec<_> = links.iter().map(|link| (link.text.as_str(), link.nofollow)).collect();
    assert_eq!(found[..3], [("a b&c", true), ("the mill", false), ("one two", false)]);
    assert_eq!(links[3].text, "é".repeat(100));
    assert!(!links[4].nofollow, "one of its links may be followed");
}
