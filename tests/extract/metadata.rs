//! What a page says of itself.

use super::content;

#[test]
fn plain_elements_are_read() {
    let content = content(
        "<html lang=pt-BR><head><title> The\n mill &amp; more </title><meta name=Author content='A. Miller'>\
         <meta name=description content='About mills'><meta name=robots content='NoIndex, nofollow'>\
         <meta property='article:published_time' content='2024-03-01T10:00:00Z'>\
         <link rel=canonical href='/mill#top'></head><svg><title>no</title></svg><p>x",
    );
    assert_eq!(content.title.as_deref(), Some("The mill & more"));
    assert_eq!(content.language.as_deref(), Some("pt-BR"));
    assert_eq!(content.author.as_deref(), Some("A. Miller"));
    assert_eq!(content.description.as_deref(), Some("About mills"));
    assert_eq!(content.published_at.as_deref(), Some("2024-03-01T10:00:00Z"));
    assert_eq!(content.canonical.unwrap().as_str(), "https://example.org/mill");
    assert!(content.noindex && content.nofollow);
}

#[test]
fn open_graph_stands_in() {
    let content = content(
        "<meta property='og:title' content=T><meta property='og:description' content=D>\
         <meta property='og:locale' content='de_AT'><p>x",
    );
    assert_eq!(content.title.as_deref(), Some("T"));
    assert_eq!(content.description.as_deref(), Some("D"));
    assert_eq!(content.language.as_deref(), Some("de-AT"));
    assert!(!content.noindex && !content.nofollow);
}

#[test]
fn linked_data_stands_in() {
    let content = content(
        r#"<script type="application/ld+json">{broken</script>
        <script type="application/ld+json">{"@context":"https://schema.org","@graph":[
          {"@type":"Organization","name":"no","description":"no"},
          {"@type":["NewsArticle"],"headline":"H","datePublished":"2023-05-06","inLanguage":"fr",
           "author":[{"@type":"Person","name":"A"},"B"],"description":"D"}]}</script><p>x"#,
    );
    assert_eq!(content.title.as_deref(), Some("H"));
    assert_eq!(content.published_at.as_deref(), Some("2023-05-06"));
    assert_eq!(content.author.as_deref(), Some("A, B"));
    assert_eq!(content.description.as_deref(), Some("D"));
    assert_eq!(content.language.as_deref(), Some("fr"));
}

#[test]
fn deep_linked_data_is_no_danger() {
    let json = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let html = format!("<script type=application/ld+json>{json}</script><h1>T</h1><p>x");
    assert_eq!(content(&html).title.as_deref(), Some("T"), "the first heading is the last resort");
}

#[test]
fn dates_come_from_microdata_and_time() {
    assert_eq!(
        content("<time datetime=2020-01-02>x</time>").published_at.as_deref(),
        Some("2020-01-02")
    );
    let html = "<time datetime=2020-01-02>x</time><time itemprop=datePublished datetime=2019-01-02>y</time>";
    assert_eq!(content(html).published_at.as_deref(), Some("2019-01-02"));
}

#[test]
fn the_title_loses_the_name_of_the_site_and_nothing_else() {
    let titled = |title: &str, rest: &str| {
        content(&format!("<title>{title}</title>{rest}<p>x")).title.unwrap_or_default()
    };
    let site = "<meta property='og:site_name' content='Valley Post'>";
    assert_eq!(titled("Wheels - a history | Valley Post", site), "Wheels - a history");
    assert_eq!(titled("Wheels | News | Valley Post", "<h1>Wheels</h1>"), "Wheels");
    assert_eq!(titled("Wheels - a history", "<h1>Valley Post</h1>"), "Wheels - a history");
    let linked =
        r#"<script type="application/ld+json">{"@type":"WebSite","name":"Valley Post"}</script>"#;
    assert_eq!(
        titled("Valley Post: news – Wheels – Valley Post", linked),
        "Valley Post: news – Wheels"
    );
}

#[test]
fn all_authors_are_named() {
    for page in [
        "<meta name=author content='Ada Keeper'><meta name=author content='Bo Reed'>",
        "<h1>T</h1><a rel=author href=/a>Ada Keeper</a>, <a rel=author href=/b>Bo Reed</a>",
        "<h1>T</h1><p>By <a href=/a>Ada Keeper and Bo Reed</a>",
        "<h1>T</h1><div class=post-byline>Written by Ada Keeper and Bo Reed</div>",
        r#"<script type="application/ld+json">{"@type":"Article","author":["Ada Keeper",{"name":"Bo Reed"}]}</script>"#,
    ] {
        let content = content(&format!("{page}<p>x"));
        assert_eq!(content.authors, ["Ada Keeper", "Bo Reed"], "{page}");
        assert_eq!(content.author.as_deref(), Some("Ada Keeper, Bo Reed"));
    }
    let account = content(
        "<meta name=twitter:creator content='@post'><aside><a rel=author>No One</a></aside>",
    );
    assert!(account.authors.is_empty() && account.author.is_none());
}

#[test]
fn dates_are_those_of_the_page_and_know_their_kind() {
    let dates = |page: &str| {
        let content = content(&format!("{page}<p>x"));
        (content.published_at.unwrap_or_default(), content.modified_at.unwrap_or_default())
    };
    let other = "<aside><time datetime=2011-01-01>old</time></aside>";
    let own = "<article><h1>T</h1><time datetime=2024-06-01>1 June 2024</time></article>";
    assert_eq!(dates(&format!("{other}{own}")), ("2024-06-01".into(), String::new()));
    let next = "<article><h2>Other</h2><time datetime=2012-01-01>o</time></article>";
    assert_eq!(dates(&format!("<article><h1>T</h1></article>{next}{next}")).0, "");
    assert_eq!(
        dates(
            "<h1>T</h1><div>Published May 9, 2024</div><div>Last updated: <b>10 May 2024</b></div>"
        ),
        ("2024-05-09".into(), "2024-05-10".into())
    );
    assert_eq!(dates("<h1>T</h1><time datetime=PT5M>5 min</time><p>© 2024"), Default::default());
    assert_eq!(
        dates("<meta property=article:modified_time content='Thu, 09 May 2024 10:00:00 GMT'>").1,
        "2024-05-09"
    );
}

#[test]
fn image_and_site_are_told() {
    let content = content(
        "<meta property=og:image content='/i.png'><meta property=og:site_name content='Valley Post'><p>x",
    );
    assert_eq!(content.image.unwrap().as_str(), "https://example.org/i.png");
    assert_eq!(content.site_name.as_deref(), Some("Valley Post"));
}
