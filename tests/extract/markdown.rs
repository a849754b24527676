//! Markdown of each kind of block.

use super::content;

fn check(cases: &[(&str, &str)]) {
    for (html, markdown) in cases {
        assert_eq!(content(html).markdown, *markdown, "{html}");
    }
}

#[test]
fn blocks_and_inline_markup() {
    check(&[
        ("<h2>A <b>b</b></h2><p>c", "## A b\n\nc\n"),
        ("<p>a <b>b </b><i>c</i> <code>d_e</code> <del>f</del>", "a **b** *c* `d_e` ~~f~~\n"),
        ("<p><a href=x>y</a>, <a href='mailto:z'>z</a>", "[y](https://example.org/dir/x), z\n"),
        ("<p>a<b></b><a href=x></a>b", "ab\n"),
        ("<pre><code>let x = 1;\n  &lt;y&gt;</code></pre>", "```\nlet x = 1;\n  <y>\n```\n"),
        ("<pre>a ``` b</pre>", "````\na ``` b\n````\n"),
        ("<p>1. a_b*c [d] &lt;e&gt;</p><p># f</p>", "1\\. a_b\\*c \\[d\\] \\<e>\n\n\\# f\n"),
        (
            "<p>a <img src=i.png alt='an image'> b",
            "a ![an image](https://example.org/dir/i.png) b\n",
        ),
        ("<b>a<p>b</p>c</b>", "**a**\n\n**b**\n\n**c**\n"),
        ("<p>a<br>- b<br>c", "a  \n\\- b  \nc\n"),
        (
            "<dl><dt>Furrow<dd>A groove.<dt>Land<dd>A plain.</dl>",
            "**Furrow**\n\nA groove.\n\n**Land**\n\nA plain.\n",
        ),
        ("<h2>Learn C #</h2>", "## Learn C \\#\n"),
    ]);
}

#[test]
fn emphasis_works_beside_letters_and_punctuation() {
    check(&[
        ("<p><b>Price:</b>20 and <b>「水車」</b>の", "**Price**:20 and 「**水車**」の\n"),
        ("<p>a<b>!</b>b <i>(c)</i>d", "a!b (*c*)d\n"),
        ("<p><b>a <i>b</i></b> <i>c</i>", "**a *b*** *c*\n"),
        ("<p><i><b>a</b> b</i>", "***a** b*\n"),
        ("<p>x<b><code>y</code></b>z", "x`y`z\n"),
        ("<p>Go<a href=x><b>now</b></a>", "Go[**now**](https://example.org/dir/x)\n"),
        ("<p>Today!<a href=x>Go</a>", "Today\\![Go](https://example.org/dir/x)\n"),
    ]);
}

#[test]
fn code_is_whole_and_links_stand_around_it() {
    check(&[
        ("<p><code><a href=v>Vec</a>&lt;<a href=u>u8</a>&gt;</code>", "`Vec<u8>`\n"),
        ("<p><code><a href=v>Vec</a></code>", "[`Vec`](https://example.org/dir/v)\n"),
        ("<p><code>a</code><code>b</code> <code>c`d</code>", "`ab` ``c`d``\n"),
    ]);
}

#[test]
fn lists_and_quotations_nest() {
    check(&[
        ("<ul><li>a<li>b<ul><li>c</ul><li>d</ul>", "- a\n- b\n    - c\n- d\n"),
        ("<ul><li><p>a</p><p>b</p></ul>", "- a\n\n    b\n"),
        ("<blockquote><p>a</p><p>b</p></blockquote>c", "> a\n>\n> b\n\nc\n"),
        ("<ul><li>a<blockquote>b</blockquote><li>c</ul>", "- a\n\n    > b\n\n- c\n"),
        (
            "<ol><li>a<pre>b\n  c</pre><li>d</ol>",
            "1. a\n\n    ```\n    b\n      c\n    ```\n\n2. d\n",
        ),
        ("<ul><li><pre>a</pre>b</ul>", "-   ```\n    a\n    ```\n\n    b\n"),
        ("<blockquote><ul><li>a<li>b</ul></blockquote>", "> - a\n> - b\n"),
        ("<ul>Sold here:<li>a<li>b</ul>", "Sold here:\n\n- a\n- b\n"),
        ("<ol><li>One</li><ol><li>Inner</li></ol><li>Two</ol>", "1. One\n    1. Inner\n2. Two\n"),
        ("<ul><li><h3>a</h3>b</ul>", "- ### a\n\n    b\n"),
    ]);
}

#[test]
fn lists_count_as_on_the_page() {
    check(&[
        ("<ol start=3><li>a<li>b</ol>", "3. a\n4. b\n"),
        ("<ol reversed><li>a<li>b</ol>", "2. a\n1) b\n"),
        ("<ol><li>a<li value=7>b<li>c</ol>", "1. a\n7) b\n8) c\n"),
        ("<ol><li>a</ol><ol><li>b</ol>", "1. a\n1) b\n"),
        ("<ol start=-1><li>a<li>b</ol>", "- a\n0. b\n"),
        ("<ul><li>a<ol start=5><li>b</ol></ul>", "- a\n\n    5. b\n"),
    ]);
}

#[test]
fn tables_keep_their_columns() {
    check(&[
        (
            "<table><tr><th>k<th>v|w</tr><tr><td>a<td><b>b</b></table>",
            "| k | v\\|w |\n| --- | --- |\n| a | **b** |\n",
        ),
        ("<table><tr><td><h2>Layout</h2><p>text</table>", "## Layout\n\ntext\n"),
        (
            "<table><tr><th colspan=2>Stone<th>Year<tr><td>upper<td>basalt<td>1841</table>",
            "| Stone |  | Year |\n| --- | --- | --- |\n| upper | basalt | 1841 |\n",
        ),
        (
            "<table><tr><th>A<th>B<th>C<tr><td rowspan=2>x<td>y<td>1<tr><td>z<td>2<tr><td>u<td>v</table>",
            "| A | B | C |\n| --- | --- | --- |\n| x | y | 1 |\n|  | z | 2 |\n| u | v |\n",
        ),
        (
            "<table><caption>Stock</caption><tfoot><tr><td>Total<td>3</tfoot><tr><th>Grain<th>Bags<tr><td>rye<td>3</table>",
            "Stock\n\n| Grain | Bags |\n| --- | --- |\n| rye | 3 |\n| Total | 3 |\n",
        ),
        (
            "<table><tr><th>k<th>v<tr><td>feed<td>as in <pre>a|b</pre></table>",
            "| k | v |\n| --- | --- |\n| feed | as in `a\\|b` |\n",
        ),
        (
            "<ul><li>a<table><tr><th>k<th>v<tr><td>m<td>n</table></ul>",
            "- a\n\n    | k | v |\n    | --- | --- |\n    | m | n |\n",
        ),
        ("<table><tr><td colspan=999>a<td>b</table>", "| a | b |\n| --- | --- |\n"),
    ]);
}

#[test]
fn code_blocks_keep_their_lines_and_name_their_language() {
    check(&[
        (
            "<pre><code><div>fn a() {</div><div>    b();</div><div>}</div></code></pre>",
            "```\nfn a() {\n    b();\n}\n```\n",
        ),
        ("<pre><code>a</code><code>b</code></pre>", "```\na\nb\n```\n"),
        ("<pre>a<br>b</pre>", "```\na\nb\n```\n"),
        ("<pre><code class='x language-ruby'>a</code></pre>", "```ruby\na\n```\n"),
        ("<div class='highlight highlight-source-c++'><pre>a</pre></div>", "```c++\na\n```\n"),
        ("<pre class='brush: js; gutter: false'>a</pre>", "```js\na\n```\n"),
        ("<pre class='language-none'>a</pre>", "```\na\n```\n"),
        (
            "<pre><span class=lineno>1</span>a\n<span class=lineno>2</span>b</pre>",
            "```\na\nb\n```\n",
        ),
        ("<pre><span class=number>1</span> + 1</pre>", "```\n1 + 1\n```\n"),
        ("<table><tr><td><pre>1\n2</pre><td><pre>a\nb</pre></table>", "```\na\nb\n```\n"),
        ("<pre>1\n2</pre>", "```\n1\n2\n```\n"),
    ]);
}

#[test]
fn images_stand_where_the_page_shows_them() {
    check(&[
        (
            "<figure><img src=i.png alt=I><figcaption>C</figcaption></figure>",
            "![I](https://example.org/dir/i.png)\n\nC\n",
        ),
        (
            "<p><a href=b><img src=i.png alt=I></a>",
            "[![I](https://example.org/dir/i.png)](https://example.org/dir/b)\n",
        ),
        (
            "<p>a <img src='data:x' data-src=r.jpg alt=I> b",
            "a ![I](https://example.org/dir/r.jpg) b\n",
        ),
        (
            "<p>a <img src=blank.gif data-lazy-src=r.jpg alt=I>",
            "a ![I](https://example.org/dir/r.jpg)\n",
        ),
        (
            "<p>a <img srcset='s.jpg 300w, l.jpg 900w' alt=I>",
            "a ![I](https://example.org/dir/l.jpg)\n",
        ),
        (
            "<p>a <picture><source srcset=s.webp><img alt=I></picture>",
            "a ![I](https://example.org/dir/s.webp)\n",
        ),
        (
            "<p>a <img src='data:x' alt=I><noscript><img src=r.jpg alt=I></noscript>",
            "a ![I](https://example.org/dir/r.jpg)\n",
        ),
        ("<p>a <img src=i.png alt=''> b <img src='data:x' alt=I>", "a b\n"),
        (
            "<p>a <img alt='[A;B)' src='S(1).png'>",
            "a ![\\[A;B)](https://example.org/dir/S%281%29.png)\n",
        ),
    ]);
}
