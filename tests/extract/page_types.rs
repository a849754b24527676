//! The kind of a page is told, and decides what of it is content.

use gristmill::extract::{Extractor, Input};
use gristmill::model::PageKind;

use super::blocks_cover_the_text::check;
use super::{content, page_url};

const PROSE: &str = "The mill stands by the river and has ground the grain of the valley for ages.";

fn linked_data(json: &str) -> String {
    format!("<script type='application/ld+json'>{json}</script>")
}

#[test]
fn comments_are_content_where_people_discuss() {
    let body = format!(
        "<article>{}</article><div id=comments><div class=comment><p>Oats: {PROSE}</p></div></div>",
        format!("<p>{PROSE}</p>").repeat(4)
    );
    let thread = content(&format!(
        "<link rel=canonical href=https://example.org/forum/threads/mills>{}{body}",
        linked_data(r#"{"@type":"DiscussionForumPosting","headline":"Mills"}"#)
    ));
    assert_eq!(thread.page_type.unwrap().kind, PageKind::Forum);
    assert!(thread.text.contains("Oats"));
    let article = content(&format!(
        "<meta property=og:type content=article>{}{body}",
        linked_data(r#"{"@type":"NewsArticle","headline":"Mills"}"#)
    ));
    assert_eq!(article.page_type.unwrap().kind, PageKind::Article);
    assert!(!article.text.contains("Oats"));
}

#[test]
fn linked_data_gives_what_the_markup_lacks() {
    let body = format!("{PROSE}\\n\\n{}", PROSE.repeat(3));
    let json = format!(r#"{{"@type":"NewsArticle","headline":"Mills","articleBody":"{body}"}}"#);
    let lacking = content(&format!("<h1>Mills</h1>{}", linked_data(&json)));
    assert_eq!(lacking.text, format!("Mills\n\n{PROSE}\n\n{}", PROSE.repeat(3)));
    check(&lacking);
    let whole =
        content(&format!("<h1>Mills</h1><p>{PROSE}<p>{}{}", PROSE.repeat(3), linked_data(&json)));
    assert_eq!(whole.text, lacking.text, "once");
}

#[test]
fn posts_of_a_discussion_are_read_with_their_markup() {
    let json = format!(
        r#"{{"@type":"QAPage","mainEntity":{{"@type":"Question","text":"<p>Why? {PROSE}</p>",
        "acceptedAnswer":{{"@type":"Answer","text":"<p>Since <b>water</b> falls. {PROSE}</p>"}}}}}}"#
    );
    let found = content(&linked_data(&json));
    assert_eq!(found.text, format!("Why? {PROSE}\n\nSince water falls. {PROSE}"));
    assert!(found.markdown.contains("Since **water** falls."));
    check(&found);
}

#[test]
fn a_product_has_its_description_once() {
    let json = format!(
        r#"{{"@type":"Product","name":"Mill","description":"{PROSE}","offers":{{"price":"5"}}}}"#
    );
    let head = "<meta property=og:type content=product>";
    let without = content(&format!("{head}<h1>Mill</h1><p>$ 5</p>{}", linked_data(&json)));
    assert_eq!(without.page_type.unwrap().kind, PageKind::Product);
    assert!(without.text.ends_with(PROSE), "{}", without.text);
    check(&without);
    let with = content(&format!("{head}<h1>Mill</h1><p>Read: {PROSE}</p>{}", linked_data(&json)));
    assert_eq!(with.text.matches(PROSE).count(), 1);
}

#[test]
fn only_markup_has_a_kind() {
    let url = page_url();
    let kind = |content_type| {
        let input = Input { body: b"<p>a", url: &url, content_type: Some(content_type) };
        Extractor::default().extract(&input).unwrap().page_type
    };
    assert!(kind("text/html").is_some());
    assert_eq!(kind("text/plain"), None);
}
