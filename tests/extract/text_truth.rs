//! The text never says something that the page does not: powers, notes, readings, formulas.

use super::content;

fn text(html: &str) -> String {
    content(html).text
}

#[test]
fn what_stands_above_or_below_the_line() {
    for (html, expected) in [
        ("10<sup>6</sup> bags", "10⁶ bags"),
        ("10<sup>&minus;3</sup> m<sup>2</sup>", "10⁻³ m²"),
        ("H<sub>2</sub>O, x<sub>i</sub>, V<sub>max</sub>", "H₂O, x_i, V_max"),
        ("2<sup>n</sup>, e<sup>ix</sup>, (a+b)<sup>n</sup>", "2^n, e^(ix), (a+b)^n"),
        ("1<sup>st</sup>, 2<sup>e</sup>, M<sup>me</sup>", "1st, 2e, Mme"),
        ("Mill<sup>TM</sup>, Mill<sup>&reg;</sup>", "Mill™, Mill®"),
        ("$799<sup>.99</sup>, $2,299<sup>00</sup>", "$799.99, $2,299⁰⁰"),
        ("<sup>1</sup>/<sub>2</sub> bag", "¹/₂ bag"),
        ("in 1841<sup><a href='#n12'>12</a></sup> by", "in 1841[12] by"),
        ("in 1841<a href='#n2'><sup>2</sup></a> by", "in 1841[2] by"),
        ("in 1841<sup class=footnote-ref>[2]</sup> by", "in 1841[2] by"),
        ("rebuilt<sup>1,2</sup>", "rebuilt[1,2]"),
        ("limited time<sup>†</sup>", "limited time†"),
        (
            "<sup>a whole sentence in small print, no script</sup>",
            "a whole sentence in small print, no script",
        ),
    ] {
        assert_eq!(text(&format!("<p>{html}")), expected, "{html}");
    }
}

#[test]
fn readings_stand_apart_from_their_base() {
    let html = "<p>この<ruby>水車<rp>(</rp><rt>すいしゃ</rt><rp>)</rp></ruby>は";
    assert_eq!(text(html), "この水車(すいしゃ)は");
    assert_eq!(text("<p><ruby>漢<rt>かん</rt>字<rt>じ</rt></ruby>"), "漢(かん)字(じ)");
}

#[test]
fn a_formula_stands_once() {
    let math = "<math alttext='x'><semantics><mrow><mi>P</mi><mo>=</mo><mi>v</mi></mrow>\
                <annotation encoding='application/x-tex'>P=v_q</annotation></semantics></math>";
    let twin = "<span aria-hidden=true><span>P</span><span>=</span>v<sub>q</sub></span>";
    for html in [
        format!("a <span><span>{math}</span>{twin}</span> b"),
        format!("a <span>{twin}<span>{math}</span></span> b"),
        format!(
            "a <span><span style='display: none'>{math}</span><img src=p.svg alt='P=v_q'></span> b"
        ),
        format!("a {math} b"),
    ] {
        let content = content(&format!("<p>{html}"));
        assert_eq!(content.text, "a P=v_q b", "{html}");
        assert_eq!(content.markdown, "a `P=v_q` b\n", "{html}");
    }
    for (html, expected) in [
        ("<math alttext='{\\displaystyle a/b}'><mi>c</mi></math>", "a/b"),
        (
            "<math><mfrac><mi>a</mi><mrow><mi>b</mi><mo>+</mo><mn>1</mn></mrow></mfrac></math>",
            "a/(b+1)",
        ),
        (
            "<math><msup><mi>x</mi><mn>2</mn></msup><mo>=</mo><msqrt><mi>y</mi></msqrt></math>",
            "x²=√(y)",
        ),
        ("<math><msubsup><mi>x</mi><mi>i</mi><mi>n</mi></msubsup></math>", "x_i^n"),
        ("an <b>icon <i aria-hidden=true>seen</i></b>", "an icon seen"),
    ] {
        assert_eq!(text(&format!("<p>{html}")), expected, "{html}");
    }
}

#[test]
fn struck_out_text_is_marked() {
    for (html, expected) in [
        ("The fee is <del>forty</del><ins>fifty</ins> crowns", "The fee is ~~forty~~fifty crowns"),
        ("<s>$40</s> $30", "~~$40~~ $30"),
        ("a <strike>b <b>c</b></strike>", "a ~~b c~~"),
        ("a <del></del>b", "a b"),
    ] {
        let content = content(&format!("<p>{html}"));
        assert_eq!(content.text, expected, "{html}");
    }
}

#[test]
fn quotations_words_and_handles() {
    for (html, expected) in [
        ("<p>He said <q>go <q>now</q> or never</q>.", "He said “go ‘now’ or never”."),
        ("<p>He said <q>«Go»</q>.", "He said «Go»."),
        (
            "<p>Förder&shy;produkt Donau<wbr>dampf <nobr>AP-fund</nobr>",
            "Förderprodukt Donaudampf AP-fund",
        ),
        (
            "<h2>Install<a href='#install'>¶</a></h2><p>x <a href='#a'>back</a> <a href='#b'>↩</a>",
            "Install\n\nx back",
        ),
        ("<p>a</p><div hidden=until-found>found</div><div hidden>no</div>", "a\n\nfound"),
        ("<details><summary>May I?</summary>Yes.</details>", "May I?\n\nYes."),
    ] {
        assert_eq!(text(html), expected, "{html}");
    }
}
