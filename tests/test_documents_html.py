"""HTML pages: content kept in order, surroundings left out, tables laid out."""

from __future__ import annotations

import pytest

from llar.documents.html import parse, parse_markup
from llar.errors import LimitExceeded


def pieces(markup: str) -> list[tuple[str, str]]:
    parsed = parse_markup(markup)
    return [(b.kind, parsed.text[b.start : b.end]) for b in parsed.blocks]


def test_page_block_by_block() -> None:
    assert pieces(
        """<!DOCTYPE html><html><body>
        <header><p>Our company</p><h1>Doses <a class="headerlink" href="#x">¶</a></h1></header>
        <nav><a href="/">Home</a></nav><ul class="breadcrumb"><li>Home &gt; Doses</li></ul>
        <div id="toc" class="toc"><a href="#a">One</a> <a href="#b">Two</a></div>
        <main><article><header>By <b>Ana</b></header>
        Loose text &amp; more.
        <p>One<br>two 10<sup>9</sup>/L<!-- no --> <span hidden>never</span>
        <span style="display: none">never</span></p>
        <ul><li>a</li><li>b<ol start="3"><li>c<p>more c</p></li></ol></li></ul>
        <dl><dt>Term</dt><dd>Meaning</dd><dt>Alone</dt></dl>
        <pre><code class="language-py">x = 1

        y</code></pre>
        <blockquote><p>Quoted</p></blockquote>
        <img src="a.png" alt="A chart of doses"><img src="b.png" alt="logo">
        <button>Buy</button><script>never()</script><noscript>never</noscript>
        <footer>Article footer</footer></article></main>
        <footer>Page footer</footer></body></html>"""
    ) == [
        ("heading", "# Doses"),
        ("text", "By Ana"),
        ("text", "Loose text & more."),
        ("text", "One\ntwo 10⁹/L"),
        ("list", "- a\n- b\n   3. c\n     more c"),
        ("text", "Term\nMeaning"),
        ("text", "Alone"),
        ("code", "```py\nx = 1\n\n        y\n```"),
        ("text", "Quoted"),
        ("text", "A chart of doses"),
        ("text", "Article footer"),
    ]


def test_table_spans_caption_and_sections() -> None:
    parsed = parse_markup(
        """<table><caption>Doses by age</caption>
        <tfoot><tr><td>Total</td><td>3 g</td><td>4 g</td></tr></tfoot>
        <thead><tr><th rowspan=2>Age</th><th colspan=2>Dose</th></tr>
        <tr><th>oral</th><th>iv</th></tr></thead>
        <tbody><tr><td>Adults | old<td><p>1 g</p><p>daily</p><td rowspan=0>2 g
        <tr><td>Children<td><ul><li>a<li>b</ul></table>"""
    )
    table = parsed.blocks[-1]
    assert parsed.text[table.start : table.end] == (
        "| Age | Dose | Dose |\n| --- | --- | --- |\n| Age | oral | iv |\n"
        "| Adults \\| old | 1 g daily | 2 g |\n| Children | a b | 2 g |\n| Total | 3 g | 4 g |"
    )
    assert table.caption == "Doses by age"
    assert parsed.text.startswith("Doses by age\n\n|")


def test_layout_tables_are_walked_through() -> None:
    assert pieces(
        "<table><tr><td><h2>Left</h2><p>text</p></td><td><table><tr><th>a</th><th>b</th></tr>"
        "<tr><td>1</td><td>2</td></tr></table></td></tr></table>"
    ) == [
        ("heading", "## Left"),
        ("text", "text"),
        ("table", "| a | b |\n| --- | --- |\n| 1 | 2 |"),
    ]
    assert pieces("<table role=presentation><tr><td>a<td>b</table>") == [
        ("text", "a"),
        ("text", "b"),
    ]


def test_paragraph_that_reads_like_a_caption_is_one() -> None:
    parsed = parse_markup(
        "<p>Tabla 2. Dosis</p><table><tr><th>a<th>b<tr><td>1<td>2</table>"
        "<p>Text</p><table><tr><th>c<th>d<tr><td>1<td>2</table>"
    )
    assert [b.caption for b in parsed.blocks if b.kind == "table"] == ["Tabla 2. Dosis", None]


def test_head_facts_and_declared_encoding() -> None:
    page = (
        '<html lang="ca-ES"><head><meta charset="iso-8859-1"><title>Manual d’ús </title>'
        '<meta name="author" content="Núria"><meta name="date" content="2024-05-06">'
        '<meta property="article:modified_time" content="2024-06-07T08:00:00Z">'
        '<meta name="keywords" content="a, b"></head><body>Adéu</body></html>'
    ).encode("cp1252")
    parsed = parse(page, "a.html")
    assert parsed.title == "Manual d’ús"
    assert parsed.author == "Núria"
    assert parsed.created == "2024-05-06"
    assert parsed.modified == "2024-06-07T08:00:00Z"
    assert parsed.language == "ca-ES"
    assert dict(parsed.metadata) == {"keywords": "a, b"}
    assert parsed.text == "Adéu"
    assert parsed.notes == ()


def test_deep_nesting_is_refused_not_cut() -> None:
    deep = 1_500
    text = parse_markup("<div>" * deep + "bottom" + "</div>" * deep).text
    assert text == "bottom"
    with pytest.raises(LimitExceeded, match="nested more than"):
        parse_markup("<div>" * 100_000 + "bottom" + "</div>" * 100_000)


@pytest.mark.parametrize("markup", ["", "   ", "<html></html>", "<!-- only a comment -->"])
def test_pages_without_text(markup: str) -> None:
    assert parse_markup(markup).text == ""


def test_broken_markup_loses_no_text() -> None:
    text = parse_markup("<p>a<b>c<p>d</i><li>e<td>f</span><table>g<tr>h</table>i").text
    for letter in "acdefghi":
        assert letter in text
