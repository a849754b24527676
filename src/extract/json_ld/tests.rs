use super::*;
use crate::extract::token::Tokens;

/// Reads a page and calls `check` with what its JSON-LD says.
fn read(page: &str, check: impl FnOnce(&LinkedData<'_>)) {
    let mut scripts = Scripts::default();
    for token in Tokens::new(page, false) {
        scripts.token(&token);
    }
    check(&LinkedData::of(&scripts.read()));
}

fn script(json: &str) -> String {
    format!("<script type='Application/LD+JSON; charset=utf-8'>{json}</script>")
}

fn lines(texts: &[Text<'_>]) -> Vec<String> {
    texts.iter().filter_map(|text| text.line()).collect()
}

fn one(text: Option<Text<'_>>) -> String {
    text.and_then(Text::line).unwrap_or_default()
}

#[test]
fn works_are_found_where_pages_put_them() {
    let article = r#"{"@type":"NewsArticle","headline":"H"}"#;
    for json in [
        article.to_owned(),
        format!("[{{\"@type\":\"BreadcrumbList\"}},{article}]"),
        format!("{{\"@graph\":[{article}]}}"),
        format!("{{\"@type\":\"WebPage\",\"name\":\"P\",\"mainEntity\":{article}}}"),
        format!("{{\"@type\":\"WebPage\",\"mainEntityOfPage\":[{article}]}}"),
        r#"{"@type":["Thing","http://schema.org/NewsArticle"],"headline":{"@value":"H"}}"#
            .to_owned(),
    ] {
        read(&script(&json), |data| {
            assert_eq!(one(data.works[0].headline), "H", "{json}");
            assert!(data.types.iter().any(|kind| kind == "NewsArticle"), "{json}");
        });
    }
    let several = script("{\"@type\":\"WebSite\",\"name\":\"Valley\"}")
        + &script("{broken")
        + &script(article);
    read(&several, |data| {
        assert_eq!((data.works.len(), one(data.site_name).as_str()), (1, "Valley"));
    });
    read("<script type=module>{\"@type\":\"Article\"}</script>", |data| {
        assert!(data.works.is_empty());
    });
}

#[test]
fn other_stories_are_not_the_page() {
    let json = r#"{"@type":"WebPage","hasPart":[{"@type":"Article","headline":"No"}],
        "mainEntity":{"@type":"ItemList","itemListElement":[{"item":{"@type":"Article","headline":"No"}}]}}"#;
    read(&script(json), |data| {
        assert_eq!(data.works.len(), 1);
        assert_eq!(one(data.works[0].headline), "");
    });
}

#[test]
fn names_are_read_in_every_form() {
    for (author, names) in [
        (r#""Ada Keeper""#, vec!["Ada Keeper"]),
        (r#"["Ada Keeper","Bo Reed"]"#, vec!["Ada Keeper", "Bo Reed"]),
        (
            r#"[{"@type":"Person","name":"Ada Keeper"},{"name":"Bo Reed"}]"#,
            vec!["Ada Keeper", "Bo Reed"],
        ),
        (r#"{"name":["Ada Keeper","Co"]}"#, vec!["Ada Keeper"]),
        (r#"{"name":{"@type":"Person","name":"Ada Keeper"}}"#, vec!["Ada Keeper"]),
        (r#"{"@list":[{"name":{"@value":"Ada &amp; Bo"}}]}"#, vec!["Ada & Bo"]),
        (r##"[{"@id":"#ada"},{"@id":"#nobody"}]"##, vec!["Ada Keeper"]),
        ("null", vec![]),
    ] {
        let json = format!(
            "{{\"@graph\":[{{\"@type\":\"Article\",\"author\":{author}}},{{\"@type\":\"Person\",\"@id\":\"#ada\",\"name\":\"Ada Keeper\"}}]}}"
        );
        read(&script(&json), |data| assert_eq!(lines(&data.works[0].authors), names, "{author}"));
    }
}

#[test]
fn a_piece_of_writing_comes_before_its_page() {
    let json = r#"{"@graph":[{"@type":"WebPage","datePublished":"2020-01-01","inLanguage":"fr"},
        {"@type":"BlogPosting","datePublished":"2021-05-06","dateModified":"2022-01-01","articleBody":"a\nb",
         "image":[{"@type":"ImageObject","url":"/i.png"}],"publisher":{"name":"Valley Post"}}]}"#;
    read(&script(json), |data| {
        let [posting, page] = &data.works[..] else { panic!("two works") };
        assert_eq!(
            (one(posting.published), one(posting.modified)),
            ("2021-05-06".into(), "2022-01-01".into())
        );
        assert_eq!((one(posting.image), one(page.language)), ("/i.png".into(), "fr".into()));
        assert_eq!(posting.body.unwrap().decoded(), "a\nb");
        assert_eq!(one(data.site_name), "Valley Post");
    });
}

#[test]
fn discussions_are_read_in_order() {
    let json = r#"{"@type":"DiscussionForumPosting","headline":"Stones","author":{"name":"ada"},"datePublished":"2020-01-01",
        "text":"one","comment":[{"text":"two","author":"bo","comment":[{"text":"three"}]},{"text":"four"}]}"#;
    read(&script(json), |data| {
        let posts: Vec<_> =
            data.posts.iter().map(|post| (post.text.decoded(), post.level)).collect();
        assert_eq!(
            posts,
            [("one".into(), 0), ("two".into(), 1), ("three".into(), 2), ("four".into(), 1)]
        );
        assert_eq!(
            (one(data.posts[0].headline), one(data.posts[1].author)),
            ("Stones".into(), "bo".into())
        );
        assert_eq!(one(data.posts[0].published), "2020-01-01");
    });
    let json = r#"{"@type":"QAPage","mainEntity":{"@type":"Question","name":"Why?","text":"q",
        "acceptedAnswer":{"text":"a"},"suggestedAnswer":[{"text":"b"}]}}"#;
    read(&script(json), |data| {
        let posts: Vec<_> = data.posts.iter().map(|post| post.text.decoded()).collect();
        assert_eq!(posts, ["q", "a", "b"]);
    });
}

#[test]
fn products_are_read_with_their_offer() {
    let json = r#"{"@type":"Product","name":"Rye","description":"Ground","brand":{"name":"Mill"},"sku":7,
        "offers":[{"@type":"Offer","price":"4.50","priceCurrency":"EUR"}]}"#;
    read(&script(json), |data| {
        let product = data.product.as_ref().unwrap();
        let fields = [
            product.name,
            product.description,
            product.brand,
            product.sku,
            product.price,
            product.currency,
        ];
        assert_eq!(fields.map(one), ["Rye", "Ground", "Mill", "7", "4.50", "EUR"]);
    });
}

#[test]
fn references_in_a_circle_and_many_fields_end() {
    let circle =
        r##"{"@type":"Question","@id":"#q","comment":{"@id":"#q"},"author":{"@id":"#q"}}"##;
    read(&script(circle), |data| assert_eq!(data.works.len(), 1));
    let fields: String = "\"field\":1,".repeat(5000);
    let authors = r##"{"@id":"#big"},"##.repeat(1000);
    let roots = format!("{{\"@type\":\"Article\",\"author\":[{authors}]}},").repeat(20);
    let page = script(&format!("[{{\"@id\":\"#big\",{fields}}},{roots}]"));
    read(&page, |data| assert_eq!(data.works.len(), MAX_WORKS));
}
