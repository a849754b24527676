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
