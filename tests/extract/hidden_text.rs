//! What a reader does not see never enters the text.

use super::content;

#[test]
fn hidden_elements_comments_and_scripts_stay_out() {
    let content = content(
        "<p>one</p><p hidden>no</p><p style='display: none'>no</p><!-- no --><script>no()</script>\
         <style>no{}</style><template><p>no</p></template><noscript>no</noscript>\
         <select><option>no</select><textarea>no</textarea><svg><text>no</text></svg>\
         <p>t\u{200B}w\u{AD}o\u{FEFF} &#x200b;</p><p>\u{200B}</p><p>&zwnj;&nbsp;</p>",
    );
    assert_eq!(content.text, "one\n\ntwo");
    assert_eq!(content.markdown, "one\n\ntwo\n");
}

#[test]
fn navigation_and_footers_stay_out_of_a_page_with_content() {
    let prose =
        "The mill stands by the river and has ground the grain of the valley for centuries. "
            .repeat(6);
    let content = content(&format!(
        "<header><a href=/>Home</a></header><nav><ul><li><a href=/a>A</a></ul></nav>\
         <div class=cookie-banner>We use cookies</div>\
         <main><article><h1>The mill</h1><p>{prose}</p><div class='share-buttons'>Share me</div></article></main>\
         <aside>Buy flour</aside><footer>All rights reserved</footer>"
    ));
    assert_eq!(content.text, format!("The mill\n\n{}", prose.trim()));
    assert_eq!(content.links.len(), 2, "links are those of the whole document");
}

#[test]
fn a_page_with_text_has_a_text() {
    for html in [
        "just text",
        "<nav><a href=/a>Only</a> navigation</nav>",
        "<footer>only a footer</footer>",
        "<form class=login><label>Name</label></form>",
        "<div class='menu sidebar ad'>misnamed</div>",
        "<a href=/x>a link</a>",
        "<table><tr><td>cell</table>",
        "<td>stray cell",
        "<dialog>only this</dialog>",
        "<ul><li>item",
    ] {
        assert!(!content(html).text.is_empty(), "{html}");
    }
    assert_eq!(content("<p hidden>no</p>").text, "");
}
