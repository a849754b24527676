//! Options change what is content and how it is written.

use gristmill::extract::{Comments, ExtractOptions, Extractor, Favour, Input};
use gristmill::model::Content;

use super::page_url;

fn with(options: ExtractOptions, html: &str) -> Content {
    let url = page_url();
    let input = Input { body: html.as_bytes(), url: &url, content_type: Some("text/html") };
    Extractor::new(options).extract(&input).unwrap()
}

fn prose(word: &str) -> String {
    format!("{word} is ground between two stones, and what falls out below is sieved twice.")
}

#[test]
fn what_selectors_keep_is_the_content_and_what_they_remove_is_not() {
    let html = format!(
        "<article><h1>Mill</h1><p>{}<p class=note>{}<p hidden>no</article><div id=box><p>box\
         <p class=note>boxed note</div>",
        prose("Rye"),
        prose("Oats")
    );
    let removed = ["article .note".parse().unwrap()].to_vec();
    let content = with(ExtractOptions { remove: removed.clone(), ..Default::default() }, &html);
    assert!(content.text.contains("Rye") && !content.text.contains("Oats"), "{}", content.text);
    let kept = ["#box".parse().unwrap(), "h1".parse().unwrap()].to_vec();
    let content = with(ExtractOptions { keep: kept.clone(), ..Default::default() }, &html);
    assert_eq!(content.text, "Mill\n\nbox\n\nboxed note");
    let removed = [".note".parse().unwrap()].to_vec();
    let both = ExtractOptions { keep: kept, remove: removed, ..Default::default() };
    assert_eq!(with(both, &html).text, "Mill\n\nbox");
    let missing = ["#nowhere".parse().unwrap()].to_vec();
    let content = with(ExtractOptions { keep: missing, ..Default::default() }, &html);
    assert_eq!(content.text, with(ExtractOptions::default(), &html).text);
}

#[test]
fn tables_of_data_can_be_left_out() {
    let html = format!(
        "<p>{}<table><tr><th>grain<th>kg<tr><td>rye<td>5</table>\
         <table role=presentation><tr><td>{}</table>",
        prose("Rye"),
        prose("Oats")
    );
    let content = with(ExtractOptions { tables: false, ..Default::default() }, &html);
    assert!(!content.text.contains("grain") && !content.markdown.contains('|'));
    assert!(content.text.contains("Oats"), "a layout table is no table: {}", content.text);
    assert!(with(ExtractOptions::default(), &html).markdown.contains("| rye | 5 |"));
}

#[test]
fn images_and_targets_of_links_can_be_left_out() {
    let html = format!("<p>{} <a href=/x>more</a> <img src=/i.png alt=stone> end", prose("Rye"));
    let plain = ExtractOptions { images: false, links: false, ..Default::default() };
    let content = with(plain, &html);
    assert!(content.markdown.contains("twice. more end"), "{}", content.markdown);
    assert_eq!(content.links.len(), 1);
    let content = with(ExtractOptions::default(), &html);
    assert!(content.markdown.contains("](https://example.org/x)"));
    assert!(content.markdown.contains("![stone](https://example.org/i.png)"));
}

#[test]
fn comments_are_kept_or_dropped_as_asked() {
    let html = format!(
        "<article><p>{0}<p>{0}<p>{0}</article><div id=comments><p>{1}</div>",
        prose("Rye"),
        prose("Oats")
    );
    let text = |comments| with(ExtractOptions { comments, ..Default::default() }, &html).text;
    assert!(!text(Comments::Drop).contains("Oats"));
    let kept = with(
        ExtractOptions { comments: Comments::Keep, favour: Favour::Recall, ..Default::default() },
        &html,
    );
    assert!(kept.text.contains("Oats"), "{}", kept.text);
    let forum = format!("<p>{}<div id=comments><p>{1}<p>{1}<p>{1}</div>", "Thread", prose("Oats"));
    let text = |comments| with(ExtractOptions { comments, ..Default::default() }, &forum).text;
    assert!(text(Comments::ByPage).contains("Oats"));
    assert!(!text(Comments::Drop).contains("Oats"));
}

#[test]
fn precision_and_recall_differ_where_the_rules_doubt() {
    let html = format!(
        "<article>{0}<div class=related><p>{1}</div></article>",
        format!("<p>{}", prose("Rye")).repeat(8),
        "Read <a href=/next>how oats are hulled, of course on the same two stones</a>, in the next part."
    );
    let text = |favour| with(ExtractOptions { favour, ..Default::default() }, &html).text;
    assert!(!text(Favour::Balance).contains("oats"));
    assert!(text(Favour::Recall).contains("oats"));
    let html = format!(
        "<article><p>{0}<p>{0}<ul><li><a href=/a>All about oats and their mills</a> of 2024 and after</ul></article>",
        prose("Rye")
    );
    let text = |favour| with(ExtractOptions { favour, ..Default::default() }, &html).text;
    assert!(text(Favour::Balance).contains("oats"));
    assert!(!text(Favour::Precision).contains("oats"));
}
