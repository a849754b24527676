//! No name of an element deletes content by itself, and what stands in the content belongs to it.

use super::content;

const PROSE: &str = "The mill stands by the river and has ground the grain of the valley for ages.";

/// A page whose `main` holds paragraphs around `part`.
fn around(part: &str) -> String {
    let paragraphs = format!("<p>{PROSE}</p>").repeat(6);
    format!("<nav><a href=/>Home</a></nav><main>{paragraphs}{part}{paragraphs}</main>")
}

#[test]
fn names_made_from_words_of_the_text_delete_nothing() {
    for part in [
        "<h2 id=input>Kept</h2>",
        "<h3 class=newsletter-title>Kept</h3>",
        "<h2 id=comments class=comments>Kept</h2>",
        "<p class=gdpr-paragraph>Kept: the keepers may not write down the names of those they meet.</p>",
        "<div class=member-signature><code>void Kept()</code></div>",
        "<pre class=input>Kept</pre>",
        "<table class=placeholder-table><tr class=filter><td class=input>4<td class=tags>Kept</table>",
        "<section id=filters><h2>Filters</h2><ul><li>Kept</ul></section>",
        "<section id='share(int)'><h3>share</h3><div><span>void share(int)</span></div>Kept</section>",
        "<section id=method.share><h4>fn share()</h4><code>Kept</code></section>",
        "<section id=comments><h2>Comments</h2><p>Kept</p><section id=inner-comments><h3>Inner comments</h3></section></section>",
    ] {
        let content = content(&around(part));
        assert!(content.text.contains("Kept"), "{part}");
    }
}

#[test]
fn names_that_what_they_hold_bears_out_delete() {
    for part in [
        "<div id=related><h3>Related pages</h3><ul><li><a href=/a>No</a><li><a href=/b>No</a></ul></div>",
        "<div class=share-buttons>No</div>",
        "<p class=byline>No</p>",
        "<div id=comments><h3>2 comments</h3><div class=comment>No</div><form>Reply</form></div>",
    ] {
        let content = content(&around(part));
        assert!(!content.text.contains("No"), "{part}");
    }
}

#[test]
fn headers_asides_and_footers_inside_the_content_belong_to_it() {
    for part in [
        "<section><header><h2>Kept</h2></header></section>",
        "<aside><p>Kept: never lift the gate above notch seven while the stones are engaged.</p></aside>",
        "<blockquote><p>Grind slowly.</p><footer>Kept</footer></blockquote>",
    ] {
        let content = content(&around(part));
        assert!(content.text.contains("Kept"), "{part}");
    }
    for part in [
        "<aside><a href=/a>No</a> <a href=/b>No</a></aside>",
        "<header><a href=/a>No</a></header>",
        "<footer>No</footer>",
    ] {
        assert!(!content(&around(part)).text.contains("No"), "{part}");
    }
}

#[test]
fn a_header_beside_the_article_is_its_title() {
    let paragraphs = format!("<p>{PROSE}</p>").repeat(6);
    let page = format!(
        "<main><header><h1>Barley</h1><p>Dearer again.</p></header><div>Share this</div>\
         <article>{paragraphs}</article><div>More to read</div></main>"
    );
    let text = content(&page).text;
    assert!(text.starts_with("Barley\n\nDearer again.\n\nThe mill"), "{text}");
    assert!(text.ends_with("ages."), "{text}");
}

#[test]
fn an_announced_list_of_links_is_content() {
    for announcement in ["<h2>Downloads</h2>", "<p>Choose one:</p>"] {
        let list = "<ul><li><a href=/a>Kept</a><li><a href=/b>Kept</a></ul>";
        assert!(content(&around(&format!("{announcement}{list}"))).text.contains("Kept"));
        assert!(!content(&around(list)).text.contains("Kept"), "without an announcement");
    }
}

#[test]
fn noscript_is_the_content_of_a_page_that_scripts_fill() {
    let prose = PROSE.repeat(8);
    let filled = format!("<p>Loading</p><noscript><h1>Mills</h1><p>{prose}</p></noscript>");
    assert!(content(&filled).text.contains(&prose));
    let both = format!("<p>{prose} {prose}</p><noscript><p>No: {prose}</p></noscript>");
    assert!(!content(&both).text.contains("No"));
}
