//! Markdown of each kind of block.

use super::content;

#[test]
fn blocks_and_inline_markup() {
    for (html, markdown) in [
        ("<h2>A <b>b</b></h2><p>c", "## A b\n\nc\n"),
        ("<p>a <b>b </b><i>c</i> <code>d_e</code> <del>f</del>", "a **b** *c* `d_e` ~~f~~\n"),
        ("<p><a href=x>y</a>, <a href='mailto:z'>z</a>", "[y](https://example.org/dir/x), z\n"),
        ("<p>a<b></b><a href=x></a>b", "ab\n"),
        ("<ul><li>a<li>b<ul><li>c</ul><li>d</ul>", "- a\n- b\n    - c\n- d\n"),
        ("<ol start=3><li>a<li>b</ol>", "3. a\n4. b\n"),
        ("<ul><li><p>a</p><p>b</p></ul>", "- a\n\n    b\n"),
        ("<blockquote><p>a</p><p>b</p></blockquote>c", "> a\n\n> b\n\nc\n"),
        ("<pre><code>let x = 1;\n  &lt;y&gt;</code></pre>", "```\nlet x = 1;\n  <y>\n```\n"),
        ("<pre>a ``` b</pre>", "````\na ``` b\n````\n"),
        (
            "<table><tr><th>k<th>v|w</tr><tr><td>a<td><b>b</b></table>",
            "| k | v\\|w |\n| --- | --- |\n| a | **b** |\n",
        ),
        ("<table><tr><td><h2>Layout</h2><p>text</table>", "## Layout\n\ntext\n"),
        ("<p>1. a_b*c [d] &lt;e&gt;</p><p># f</p>", "1\\. a\\_b\\*c \\[d\\] \\<e>\n\n\\# f\n"),
        (
            "<p>a <img src=i.png alt='an image'> b",
            "a ![an image](https://example.org/dir/i.png) b\n",
        ),
        ("<b>a<p>b</p>c</b>", "**a**\n\n**b**\n\n**c**\n"),
        ("<p>a<br>b", "a b\n"),
    ] {
        assert_eq!(content(html).markdown, markdown, "{html}");
    }
}
