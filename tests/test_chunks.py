"""The default chunker: what always holds, on made-up and real documents, and what it decides."""

from __future__ import annotations

import random
import re
import time
from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import STORE

from llar.chunks.structure import split
from llar.errors import ConfigError
from llar.records import Block, Chunk, Document, Page

Count = Callable[[str], int]


def words(text: str) -> int:
    """A tokenizer whose counts can be worked out by hand: one token for each word."""
    return len(text.split())


def letters(text: str) -> int:
    """Three bytes a token, white space too: parts and whole never add up."""
    return -(-len(text.encode("utf-8", "surrogatepass")) // 3)


def joining(text: str) -> int:
    """Counts more for a whole than for its parts, as no sane tokenizer does."""
    return len(text.split()) + text.count("\n") + len(text) // 40


@pytest.fixture(scope="module")
def wordpiece() -> Count:
    """The real embedder's tokenizer, without special tokens."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(STORE / "all-minilm-l6-v2" / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))


def document(
    text: str, *blocks: Block, pages: tuple[Page, ...] = (), language: str = "en"
) -> Document:
    return Document(text, "/x.md", "md", 1, "", language=language, blocks=blocks, pages=pages)


def markdown(text: str, language: str = "en") -> Document:
    """Blocks for the headings, tables, lists and code of plain Markdown."""
    pattern = re.compile(
        r"(?P<code>^```.*?^```)|(?P<heading>^#{1,6} .*?$)|(?P<table>(?:^\|.*\n?)+)"
        r"|(?P<list>(?:^[-*] .*\n?)+)",
        re.MULTILINE | re.DOTALL,
    )
    blocks = []
    for match in re.finditer(pattern, text):
        found = match.group().rstrip("\n")
        level = len(found) - len(found.lstrip("#")) if match.lastgroup == "heading" else 0
        end = match.start() + (found.find("\n") if level and "\n" in found else len(found))
        blocks.append(Block(match.lastgroup, match.start(), end, level))  # type: ignore[arg-type]
    return document(text, *blocks, language=language)


def check(doc: Document, chunks: list[Chunk], limit: int, count: Count) -> None:
    """Everything a chunker must never break."""
    covered = bytearray(len(doc.text))
    for before, chunk in zip([None, *chunks], chunks, strict=False):
        assert chunk.text == doc.text[chunk.start : chunk.end]
        assert chunk.text == chunk.text.strip() != ""
        assert count(chunk.content) <= limit
        assert before is None or (before.start < chunk.start and before.end < chunk.end)
        covered[chunk.start : chunk.end] = b"x" * (chunk.end - chunk.start)
    lost = [at for at, char in enumerate(doc.text) if not char.isspace() and not covered[at]]
    assert not lost, doc.text[lost[0] : lost[0] + 40]
    again = [chunk for a, chunk in pairwise(chunks) if chunk.start < a.end]
    assert not again  # without overlap, nothing is said twice


def table(rows: int, cell: str = "x") -> str:
    lines = "\n".join(f"| r{i} | {cell} {i} |" for i in range(rows))
    return f"| a | b |\n|---|---|\n{lines}"


# -- what always holds ---------------------------------------------------------------------------

STUFF = [
    "Plain words go here and there. Then others follow! Do they? ",
    "# Heading one\n",
    "## Árvíztűrő tükörfúrógép és a többi\n",
    "### L'aigua d'enlloc\n",
    "\n\n",
    "\n",
    "- item one\n- item two. With two sentences\n\n",
    "```python\nx = 1\n\n\ny = 2\n```\n",
    "| a | b |\n|---|---|\n| one | two words |\n| \\| bar | |\n\n",
    "| " + "long cell " * 30 + "| " + "and more. " * 40 + "|\n|---|---|\n| c | d |\n\n",
    "東京都は日本の首都です。人口が多い。" * 8,
    "שלום עולם. זה משפט ארוך מאוד. ",
    "مرحبا بالعالم. هذه جملة طويلة. " * 5,
    "nobreaks" * 60 + " ",
    "👩‍👩‍👧é̂ñ" * 20,
    "\u00a0\u2003 \t",
    "1. first\n2. second\n",
    "Això és una frase en català, p. ex. aquesta. Núm. 3. " * 6,
    "A 3. fejezet 2023. január 5-én készült, kb. 5 óra alatt. " * 6,
    "\\|---|",
    "|",
]


@pytest.mark.parametrize("count", [words, letters, joining])
@pytest.mark.parametrize("limit", [16, 40, 254])
def test_invariants_on_random_documents(count: Count, limit: int) -> None:
    rng = random.Random(limit)
    for _ in range(60):
        text = "".join(rng.choice(STUFF) for _ in range(rng.randrange(30)))
        doc = markdown(text, rng.choice(["en", "es", "ca", "hu", "ja"]))
        check(doc, split(doc, max_tokens=limit, count_tokens=count), limit, count)


@pytest.mark.parametrize("limit", [16, 64, 254])
def test_invariants_with_the_real_tokenizer(limit: int, wordpiece: Count) -> None:
    rng = random.Random(7)
    for _ in range(40):
        text = "".join(rng.choice(STUFF) for _ in range(rng.randrange(30)))
        doc = markdown(text)
        check(doc, split(doc, max_tokens=limit, count_tokens=wordpiece), limit, wordpiece)


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "a" * 200_000,
        "漢字かな" * 50_000,
        "👩‍👩‍👧" * 30_000,
        ". " * 100_000,
        "a\n" * 100_000,
        "a\n\n" * 60_000,
        "Zm9vYmFy+/" * 20_000,
        "A. " * 60_000,
        " " * 200_000 + "x",
    ],
    ids=["a", "han", "emoji", "stops", "lines", "paragraphs", "base64", "initials", "blank"],
)
def test_text_without_breaks_takes_linear_time(text: str, wordpiece: Count) -> None:
    doc = document(text)
    started = time.perf_counter()
    chunks = split(doc, max_tokens=254, count_tokens=wordpiece)
    assert time.perf_counter() - started < 15  # under 1 s on an idle core
    check(doc, chunks, 254, wordpiece)
    assert max(len(chunk.text) for chunk in chunks) <= 254 * 12


def test_nothing_to_chunk() -> None:
    assert split(document(""), max_tokens=50, count_tokens=words) == []
    assert split(document(" \n\n\t "), max_tokens=50, count_tokens=words) == []


def test_limits_that_make_no_sense() -> None:
    with pytest.raises(ConfigError, match="at least 16 tokens, got 8"):
        split(document("x"), max_tokens=8, count_tokens=words)
    for overlap in (-1, 25, 60):
        with pytest.raises(ConfigError, match=f"got {overlap}"):
            split(document("x"), max_tokens=50, count_tokens=words, overlap=overlap)
    with pytest.raises(ConfigError, match="chunks must be longer"):
        split(document("x"), max_tokens=16, count_tokens=lambda text: 99)


# -- what it decides -----------------------------------------------------------------------------


def texts(doc: Document, limit: int) -> list[str]:
    return [chunk.text for chunk in split(doc, max_tokens=limit, count_tokens=words)]


def test_small_paragraphs_merge_and_large_ones_are_cut_evenly_between_sentences() -> None:
    small = "one two three.\n\nfour five six."
    assert texts(document(small), 16) == [small]
    # 8 sentences of 4 words: 32 tokens in chunks of at most 20 make two of 16, not 20 and 12.
    long = " ".join(f"Word number {n} here." for n in range(8))
    assert [words(text) for text in texts(document(long), 20)] == [16, 16]
    assert all(text.endswith("here.") for text in texts(document(long), 20))


def test_a_paragraph_is_not_cut_to_fill_a_chunk() -> None:
    a, b, c = ("A " + "word " * 11).strip(), ("B " + "word " * 11).strip(), "C end"
    assert texts(document(f"{a}\n\n{b}\n\n{c}"), 20) == [a, f"{b}\n\n{c}"]


def test_sections_keep_apart_and_headings_stay_with_their_text() -> None:
    body = ("word " * 30).strip()
    doc = markdown(
        f"# T\n\n## A\n\n{body}\n\n### A1\n\n{body}\n\n## B\n\n{body} {body} {body}\n\n## Last"
    )
    chunks = split(doc, max_tokens=60, count_tokens=words)
    assert [(chunk.headings, chunk.text.split("word")[0].split("\n\n")) for chunk in chunks] == [
        (("T", "A"), ["# T", "## A", ""]),
        (("T", "A", "A1"), ["### A1", ""]),
        (("T", "B"), ["## B", ""]),
        (("T", "B"), [""]),
    ]
    assert chunks[-1].text.endswith("## Last")
    assert chunks[0].content.startswith("T > A\n# T\n\n## A\n\nword")


def test_tiny_sections_join_beside_each_other_but_not_across_the_top_level() -> None:
    text = "# T\n\n## A\n\nx\n\n### A1\n\none two\n\n### A2\n\nthree four\n\n## B\n\nfive"
    chunks = split(markdown(text), max_tokens=100, count_tokens=words)
    assert [chunk.text for chunk in chunks] == [text[: text.index("\n\n## B")], "## B\n\nfive"]
    assert [chunk.headings for chunk in chunks] == [("T", "A"), ("T", "B")]


def test_a_heading_is_never_left_alone_before_a_long_paragraph() -> None:
    doc = markdown("## Heading of four words\n\n" + "One two three four. " * 4 + "Five six seven.")
    chunks = split(doc, max_tokens=20, count_tokens=words)
    assert chunks[0].text.startswith("## Heading of four words\n\nOne two")
    check(doc, chunks, 20, words)


def test_long_heading_paths_lose_the_middle_then_all_but_the_last() -> None:
    def headings(*titles: str, limit: int) -> tuple[str, ...]:
        lines = "\n\n".join(f"{'#' * (i + 1)} {title}" for i, title in enumerate(titles))
        doc = markdown(f"{lines}\n\n" + "Body words. " * limit)
        return split(doc, max_tokens=limit, count_tokens=words)[-1].headings

    # A quarter of 40 is 10 tokens: words, " > " as one each, and one for the line break.
    assert headings("a", "b", "c", "d", limit=40) == ("a", "b", "c", "d")
    assert headings("a", "b b", "c", "d e f", limit=40) == ("a", "…", "c", "d e f")
    assert headings("a b", "c d", "e f", "g h i", limit=40) == ("a b", "…", "g h i")
    assert headings("a b c d", "e", "f", "g h i j", limit=40) == ("g h i j",)
    assert headings("a", "b c d e f g h i j k", limit=40) == ()


def test_a_table_repeats_its_header_and_caption() -> None:
    rows = table(12)
    text = f"Words before the table that make a chunk of their own, all in all.\n\n{rows}"
    start = text.index("| a")
    doc = document(text, Block("table", start, len(text), caption="Table 3. Doses"))
    # header and delimiter 6 tokens, caption 3, a row 6: 9 + 6n <= 40 allows 5 rows, 12 need 3
    # chunks, evenly 4 in each.
    chunks = split(doc, max_tokens=40, count_tokens=words)
    assert [chunk.kind for chunk in chunks] == ["text", "table", "table", "table"]
    assert chunks[1].prefix == "Table 3. Doses"
    assert chunks[2].prefix == chunks[3].prefix == "Table 3. Doses\n| a | b |\n|---|---|"
    assert [chunk.text.count("\n| r") for chunk in chunks[1:]] == [4, 3, 3]
    assert chunks[3].text.startswith("| r8 | x 8 |")
    assert chunks[3].content.startswith("Table 3. Doses\n| a | b |\n|---|---|\n| r8 | x 8 |")
    check(doc, chunks, 40, words)


def test_a_caption_that_stands_in_the_chunk_is_not_repeated() -> None:
    text = f"Table 3. Doses\n\n{table(2)}\n\n* See note."
    start = text.index("| a")
    block = Block("table", start, start + len(table(2)), caption="Table 3. Doses")
    chunks = split(document(text, block), max_tokens=60, count_tokens=words)
    assert [(chunk.kind, chunk.prefix, chunk.text) for chunk in chunks] == [("table", "", text)]


def test_a_row_too_long_is_cut_by_cells_under_their_own_header() -> None:
    first, second = "Adult", "one two three. " * 8
    text = f"| Who | Oral dose | Other |\n|---|---|---|\n| {first} | {second}| short |"
    doc = document(text, Block("table", 0, len(text)))
    chunks = split(doc, max_tokens=24, count_tokens=words)
    check(doc, chunks, 24, words)
    oral = [chunk for chunk in chunks if "three" in chunk.text]
    # The prefix takes 8 of 24 tokens; 24 words and a bar go into two chunks of at most 16.
    assert [words(chunk.text) for chunk in oral] == [12, 13]
    assert {chunk.prefix for chunk in oral} == {"| Oral dose |\n|---|\n| Adult |"}
    assert chunks[-1].prefix == "| Other |\n|---|\n| Adult |"
    assert chunks[-1].text == "short |"


def test_a_header_too_wide_is_repeated_for_the_cells_concerned() -> None:
    names = " | ".join(f"column {n}" for n in range(12))
    values = " | ".join(f"value {n}" for n in range(12))
    text = f"| {names} |\n|{'---|' * 12}\n| {values} |"
    doc = document(text, Block("table", 0, len(text)))
    chunks = split(doc, max_tokens=30, count_tokens=words)
    check(doc, chunks, 30, words)
    for n in range(12):
        (holder,) = [c for c in chunks if f"value {n} |" in c.text]
        assert f"column {n} |" in holder.content


def test_a_table_without_a_header_is_cut_by_rows() -> None:
    text = "\n".join(f"| r{i} | value {i} |" for i in range(10))
    doc = document(text, Block("table", 0, len(text)))
    chunks = split(doc, max_tokens=20, count_tokens=words)
    check(doc, chunks, 20, words)
    assert all(chunk.prefix == "" and chunk.text.startswith("| r") for chunk in chunks)


def test_lists_are_cut_between_items_and_code_between_lines() -> None:
    items = "\n".join(f"- item {i} has words" for i in range(10))
    found = split(document(items, Block("list", 0, len(items))), max_tokens=20, count_tokens=words)
    assert all(chunk.text.startswith("- item") for chunk in found)
    assert all(chunk.kind == "text" for chunk in found)
    code = "```\n" + "\n".join(f"call({i}, x, y)" for i in range(12)) + "\n```"
    found = split(document(code, Block("code", 0, len(code))), max_tokens=16, count_tokens=words)
    assert all(chunk.kind == "code" for chunk in found)
    assert all(chunk.text.endswith((")", "```")) for chunk in found)
    mixed = f"Call it like this:\n\n{code}"
    doc = document(mixed, Block("code", len(mixed) - len(code), len(mixed)))
    assert [chunk.kind for chunk in split(doc, max_tokens=60, count_tokens=words)] == ["text"]


def test_pages_first_and_last() -> None:
    text = "One two.\n\nThree four.\n\nFive six."
    pages = (Page(7, 0, 8), Page(8, 10, 21), Page(9, 23, 32))
    chunk, last = split(
        document(text, pages=pages), max_tokens=16, count_tokens=lambda t: 4 * words(t)
    )
    assert (chunk.first_page, chunk.last_page) == (7, 8)
    assert (last.first_page, last.last_page) == (9, 9)
    (plain,) = split(document(text), max_tokens=16, count_tokens=words)
    assert (plain.first_page, plain.last_page) == (None, None)


def test_overlap_repeats_whole_sentences_inside_a_section() -> None:
    one = " ".join(f"Alpha number {n} here." for n in range(12))
    doc = markdown(f"## A\n\n{one}\n\n## B\n\n{one}")
    chunks = split(doc, max_tokens=30, count_tokens=words, overlap=9)
    assert all(words(chunk.content) <= 30 for chunk in chunks)
    for before, chunk in pairwise(chunks):
        shared = doc.text[chunk.start : before.end]
        if before.headings == chunk.headings:
            assert re.fullmatch(r"(?:Alpha number \d+ here\. ?){2}", shared)  # 8 of 9 tokens
        else:
            assert shared == ""
    assert chunks == split(doc, max_tokens=30, count_tokens=words, overlap=9)


def test_headings_of_restructuredtext_and_closed_markdown() -> None:
    text = "Title\n=====\n\nBody.\n\n## Sub ##\n\nMore."
    doc = document(text, Block("heading", 0, 11, 1), Block("heading", 20, 29, 2))
    (chunk,) = split(doc, max_tokens=16, count_tokens=lambda t: len(t.split()) // 2)
    assert chunk.headings == ("Title", "Sub")


# -- real documents ------------------------------------------------------------------------------


@pytest.mark.data
@pytest.mark.slow
def test_real_documents(data: Path, wordpiece: Count) -> None:
    from llar.documents.reading import Limits, read_document

    files = [
        *sorted((data / "corpus" / "django_en").rglob("*.txt"))[:40],
        *sorted((data / "corpus" / "debian_handbook").rglob("*.html"))[:8],
        *sorted((data / "formats").rglob("*.docx"))[:10],
        *sorted((data / "formats").rglob("*.xlsx"))[:6],
    ]
    assert len(files) == 64
    for file in files:
        doc = read_document(file, Limits(1 << 28))
        chunks = split(doc, max_tokens=254, count_tokens=wordpiece)
        check(doc, chunks, 254, wordpiece)
        starts = [block.start for block in doc.blocks]
        for chunk in chunks:
            if chunk.kind == "table":
                at = bisect_right(starts, chunk.end - 1)
                assert any(block.kind == "table" for block in doc.blocks[:at])


@pytest.mark.data
def test_real_corpora(data: Path, wordpiece: Count) -> None:
    for file in sorted((data / "chunking").glob("*.md")):
        doc = document(file.read_text(encoding="utf-8")[:150_000])
        chunks = split(doc, max_tokens=128, count_tokens=wordpiece)
        check(doc, chunks, 128, wordpiece)
        assert len(doc.text) / len(chunks) > 300  # characters: chunks are well filled
