//! The distiller without a model, in several languages.

use gristmill::cancel::CancelToken;
use gristmill::engine::distil::{DistilRequest, Distilled, Distiller, Extractive};
use gristmill::model::{Block, BlockKind, Content, Focus, Grounding};
use gristmill::time::Timestamp;

/// A content of such blocks; a heading is the heading of what follows.
pub(crate) fn content(blocks: &[(BlockKind, &str)]) -> Content {
    let mut content = Content::default();
    let mut heading = None;
    for (index, (kind, text)) in blocks.iter().enumerate() {
        if index > 0 {
            content.text.push_str("\n\n");
        }
        let start = content.text.len();
        content.text.push_str(text);
        let span = (start..content.text.len()).into();
        content.blocks.push(Block { span, kind: *kind, heading, hash: 0 });
        if matches!(kind, BlockKind::Heading(_)) {
            heading = u32::try_from(index).ok();
        }
    }
    content
}

fn paragraphs(texts: &[&str]) -> Content {
    content(&texts.iter().map(|text| (BlockKind::Paragraph, *text)).collect::<Vec<_>>())
}

fn distil(content: &Content, focus: &Focus) -> Distilled {
    let url = "https://example.org/page".parse().unwrap();
    let request =
        DistilRequest { url: &url, content, focus, fetched_at: Timestamp(5), now: Timestamp(9) };
    let distilled = Extractive::default().distil(&request, &CancelToken::new()).unwrap();
    for info in &distilled.infos {
        assert_eq!(info.span.of(&content.text), Some(info.quote.as_str()));
        assert_eq!((info.grounding, info.focus.as_str()), (Grounding::Exact, focus.text.as_str()));
        assert_eq!((info.fetched_at, info.created_at), (Timestamp(5), Timestamp(9)));
    }
    distilled
}

#[test]
fn the_passage_on_the_subject_is_found_in_each_language() {
    for (focus, texts) in [
        (
            "ownership and borrowing",
            &[
                "The book has twenty chapters and an index at its end for readers in a hurry.",
                "A function that borrows a value does not take ownership of it from the caller.",
                "Installation needs a network connection and about a gigabyte of free space.",
            ][..],
        ),
        (
            "Windkraftanlagen in Bayern",
            &[
                "Der Landtag hat gestern über den Haushalt des kommenden Jahres beraten.",
                "In Bayern wurde im Mai die größte Windkraftanlage des Landes in Betrieb genommen.",
                "Das Wetter bleibt in den nächsten Tagen wechselhaft und für die Jahreszeit zu kühl.",
            ],
        ),
        (
            "所有权和借用",
            &[
                "本章介绍如何安装编译器以及如何更新到最新的版本。",
                "借用不会转移所有权，函数结束之后原来的变量仍然可以使用。",
                "标准库提供了许多集合类型，例如向量和哈希表。",
            ],
        ),
        (
            "владение и заимствование",
            &[
                "В этой главе рассказано, как установить компилятор и обновить его до новой версии.",
                "При заимствовании функция не получает владения значением и не освобождает его.",
                "Стандартная библиотека содержит много коллекций, например векторы и таблицы.",
            ],
        ),
        (
            "prix des voitures électriques",
            &[
                "La commune a inauguré hier une nouvelle bibliothèque près de la gare centrale.",
                "Le prix moyen d'une voiture électrique a baissé de huit pour cent cette année.",
                "Les vacances scolaires commencent le samedi et durent deux semaines entières.",
            ],
        ),
        (
            "メモリの安全性",
            &[
                "この章ではコンパイラのインストール方法と更新方法を説明します。",
                "この言語はガベージコレクションなしでメモリの安全性を保証します。",
                "標準ライブラリには多くのコレクション型が用意されています。",
            ],
        ),
        (
            "precio del acero",
            &[
                "El ayuntamiento aprobó ayer el presupuesto de obras para el próximo año.",
                "Los precios del acero subieron un cuatro por ciento durante el último trimestre.",
                "Las vacaciones de verano empiezan el lunes y duran casi dos meses enteros.",
            ],
        ),
    ] {
        let content = paragraphs(texts);
        let infos = distil(&content, &Focus::new(focus)).infos;
        assert_eq!(infos.len(), 1, "{focus}: {infos:#?}");
        assert_eq!(infos[0].quote, texts[1], "{focus}");
    }
}

#[test]
fn a_page_on_something_else_gives_nothing() {
    let content = paragraphs(&[
        "The mayor opened the new swimming pool on Saturday, in bright sunshine and good mood.",
        "Tickets are sold at the entrance, and children under six years pay nothing at all.",
    ]);
    for focus in ["ownership and borrowing in Rust", "所有权", "steel prices", "владение", "the"]
    {
        let distilled = distil(&content, &Focus::new(focus));
        assert!(distilled.infos.is_empty() || focus == "the", "{focus}");
    }
    assert_eq!(distil(&content, &Focus::new("steel prices")).skipped.unwrap().irrelevant, 2);
    assert!(distil(&Content::default(), &Focus::new("x")).infos.is_empty());
}

#[test]
fn words_that_are_scattered_over_a_page_make_no_subject() {
    let content = paragraphs(&[
        "The opening of the new bridge was celebrated by the whole town last week.",
        "It takes about two hours to assemble the shelf, and a second pair of hands.",
    ]);
    assert!(distil(&content, &Focus::new("What are the opening hours?")).infos.is_empty());
    let mut titled = content;
    titled.title = Some("Opening of the bridge".into());
    assert_eq!(distil(&titled, &Focus::new("opening hours")).infos.len(), 2);
}

#[test]
fn headings_help_and_code_and_captions_do_not_stand() {
    let page = content(&[
        (BlockKind::Heading(1), "Borrow checker"),
        (BlockKind::Paragraph, "borrow checker"),
        (BlockKind::Code, "let checker = borrow(&value); // the borrow checker sees it all here"),
        (BlockKind::Paragraph, "It rejects a borrow that lives longer than its value."),
        (BlockKind::Heading(1), "Cargo"),
        (BlockKind::ListItem, "It borrows much from the package tools of other languages."),
    ]);
    let infos = distil(&page, &Focus::new("borrow checker rejects programs")).infos;
    assert_eq!(infos.len(), 1, "{infos:#?}");
    assert!(infos[0].quote.starts_with("It rejects a borrow"));
}

#[test]
fn long_passages_are_cut_at_sentences_and_infos_are_bounded() {
    let filler = "Nothing in this sentence is about it, and it goes on for quite a while. ";
    let long =
        format!("{}The price of steel rose by 4 % in May. {}", filler.repeat(9), filler.repeat(9));
    let more: Vec<String> = (0..9)
        .map(|number| format!("Report {number} says that the price of steel is stable."))
        .collect();
    let mut texts = vec![long.as_str()];
    texts.extend(more.iter().map(String::as_str));
    let content = paragraphs(&texts);
    let focus = Focus::new("price of steel");
    assert_eq!(distil(&content, &focus).infos.len(), 3);
    let all = distil(&content, &focus.clone().max_infos_per_page(50)).infos;
    assert_eq!(all.len(), 10);
    let cut = all.iter().find(|info| info.quote.contains("4 % in May")).unwrap();
    assert!(cut.quote.len() <= 600 && cut.quote.ends_with('.'), "{}", cut.quote);
    assert!(distil(&content, &focus.max_infos_per_page(0)).infos.is_empty());
}

#[test]
fn a_further_term_marks_a_passage() {
    let content = paragraphs(&[
        "The tender for road works was published by the district office on Monday.",
        "The district office is closed on public holidays and on the day after them.",
    ]);
    let focus = Focus::new("call for bids on bridges").term("tender");
    let infos = distil(&content, &focus).infos;
    assert_eq!(infos.len(), 1);
    assert!(infos[0].quote.starts_with("The tender"));
}
