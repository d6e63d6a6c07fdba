"""The map of meanings, against numpy, scipy, brute force, the real embedder and a browser."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import itertools
import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

from llar.cli.inside.map import map as command
from llar.collection import Collection
from llar.config import load
from llar.errors import CollectionError, InsideError, PictureError
from llar.inside import map as maps
from llar.inside import map_html, projection
from llar.inside.clusters import clustered, cosines, kmeans, silhouette
from llar.inside.map import Line, Map, arrange, cosine_matrix, embed, read_lines
from llar.inside.map_picture import draw_map, draw_matrix, subtitle
from llar.models.interface import Embedder

PRODUCTS = Path(__file__).parent.parent / "samples" / "products.tsv"
Vectors = NDArray[np.float64]


def unit(vectors: Vectors) -> Vectors:
    found: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found


def blobs(groups: int, each: int, spread: float, seed: int = 0) -> tuple[Vectors, list[int]]:
    """Unit vectors around as many directions, and which each is of."""
    generator = np.random.default_rng(seed)
    middles = unit(generator.normal(size=(groups, 24)))
    of = [n for n in range(groups) for _ in range(each)]
    return unit(middles[of] + spread * generator.normal(size=(len(of), 24))), of


def same_partition(first: list[int], second: list[int]) -> bool:
    """Whether both put the same things together, whatever they call the groups."""
    pairs = set(zip(first, second, strict=True))
    return len(pairs) == len(set(first)) == len(set(second))


# -- on the plane --------------------------------------------------------------------------


def test_pca_is_that_of_the_covariance_matrix() -> None:
    generator = np.random.default_rng(1)
    vectors = generator.normal(size=(200, 12)) * np.linspace(3, 0.2, 12)
    plane, shares = projection.pca(vectors)
    values, directions = np.linalg.eigh(np.cov(vectors.T))
    np.testing.assert_allclose(shares, values[::-1][:2] / values.sum(), rtol=1e-9)
    expected = (vectors - vectors.mean(axis=0)) @ directions[:, ::-1][:, :2]
    for n in range(2):
        assert abs(np.corrcoef(plane[:, n], expected[:, n])[0, 1]) == pytest.approx(1)
    np.testing.assert_allclose(plane.var(axis=0, ddof=1), values[::-1][:2], rtol=1e-9)


def test_pca_worked_by_hand() -> None:
    # on the line (1, 2, 2) / 3: at -3, 0 and 3 from the middle
    vectors = np.array([[0.0, 0, 0], [1, 2, 2], [2, 4, 4]])
    plane, shares = projection.pca(vectors)
    np.testing.assert_allclose(plane, [[-3, 0], [0, 0], [3, 0]], atol=1e-12)
    assert list(shares) == pytest.approx([1, 0])


def test_pca_of_one_two_and_identical_points() -> None:
    vectors, _ = blobs(2, 1, 0.1)
    plane, shares = projection.pca(vectors[:1])
    assert (plane.tolist(), shares) == ([[0, 0]], (0, 0))
    plane, shares = projection.pca(vectors)
    assert np.linalg.norm(plane[0] - plane[1]) == pytest.approx(
        np.linalg.norm(vectors[0] - vectors[1])
    )
    assert list(shares) == pytest.approx([1, 0])
    plane, shares = projection.pca(np.repeat(vectors[:1], 7, axis=0))
    assert (float(np.abs(plane).max()), shares) == (0, (0, 0))


def test_methods_that_are_not_there() -> None:
    with pytest.raises(InsideError, match="expected one of pca, umap"):
        projection.check("tsne")
    if importlib.util.find_spec("umap") is None:
        with pytest.raises(InsideError, match="umap-learn") as found:
            projection.check("umap")
        assert found.value.fix == "pip install umap-learn"


@pytest.mark.slow
def test_umap_keeps_groups_apart_and_repeats_itself() -> None:
    pytest.importorskip("umap")
    vectors, of = blobs(3, 20, 0.05)
    plane = projection.umap(vectors, seed=3)
    np.testing.assert_array_equal(plane, projection.umap(vectors, seed=3))
    middles = np.array([plane[np.array(of) == n].mean(axis=0) for n in range(3)])
    nearest = np.linalg.norm(plane[:, None] - middles[None], axis=2).argmin(axis=1)
    assert nearest.tolist() == of
    with pytest.raises(InsideError, match="needs 5 points"):
        projection.umap(vectors[:4])


# -- groups --------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [2, 3, 6])
def test_groups_are_found_and_counted(groups: int) -> None:
    vectors, of = blobs(groups, 30, 0.06, seed=groups)
    found, score = clustered(vectors, None)
    assert same_partition(found.tolist(), of)
    assert score is not None
    assert score > 0.5
    assert same_partition(kmeans(vectors, groups).tolist(), of)


def test_groups_are_as_tight_as_the_best_of_scipy() -> None:
    def spread(labels: NDArray[Any]) -> float:
        parts = [vectors[labels == g] for g in np.unique(labels)]
        return float(sum(np.square(part - part.mean(axis=0)).sum() for part in parts))

    for k in (3, 5):
        vectors, _ = blobs(5, 16, 0.35, seed=k)  # groups that run into each other
        runs = [kmeans2(vectors, k, seed=n, minit="++")[1] for n in range(60)]
        best = min(spread(labels) for labels in runs if len(set(labels.tolist())) == k)
        assert spread(kmeans(vectors, k)) <= best * 1.001


def test_groups_are_numbered_by_size() -> None:
    vectors, of = blobs(3, 10, 0.03)
    kept = [*range(4), *range(10, 20), *range(20, 27)]
    found = kmeans(vectors[kept], 3)
    assert np.bincount(found).tolist() == [10, 7, 4]
    assert same_partition(found.tolist(), [of[n] for n in kept])
    np.testing.assert_array_equal(found, kmeans(vectors[kept], 3))


def test_silhouette_is_that_of_the_definition() -> None:
    vectors, _ = blobs(4, 6, 0.4)
    labels = np.array([0] * 5 + [1] * 9 + [2] * 9 + [3])
    away = 1 - vectors @ vectors.T
    scores = []
    for n in range(len(vectors)):
        own = [m for m in range(len(vectors)) if labels[m] == labels[n] and m != n]
        if not own:
            scores.append(0.0)
            continue
        a = away[n, own].mean()
        b = min(away[n, labels == other].mean() for other in range(4) if other != labels[n])
        scores.append((b - a) / max(a, b))
    assert silhouette(vectors, labels) == pytest.approx(np.mean(scores))
    assert silhouette(vectors, np.zeros(len(vectors), np.int64)) is None


def test_mean_cosines_are_those_of_all_pairs() -> None:
    vectors, _ = blobs(3, 5, 0.5)
    labels = [0] * 4 + [1] * 10 + [2]
    pairs = list(itertools.combinations(range(15), 2))
    of = {pair: float(vectors[pair[0]] @ vectors[pair[1]]) for pair in pairs}
    within = [c for (a, b), c in of.items() if labels[a] == labels[b]]
    between = [c for (a, b), c in of.items() if labels[a] != labels[b]]
    found = cosines(vectors, labels)
    assert found.within == pytest.approx(np.mean(within))
    assert found.between == pytest.approx(np.mean(between))
    assert cosines(vectors[:1], [0]) == (None, None)
    np.testing.assert_allclose(cosine_matrix(vectors)[3, 7], of[3, 7])


def test_few_and_identical_vectors_make_one_group() -> None:
    vectors, _ = blobs(1, 1, 0.1)
    for many in (1, 2, 5):
        same = np.repeat(vectors, many, axis=0)
        found, score = clustered(same, None)
        assert found.tolist() == [0] * many
        assert score is None
        assert clustered(same, many)[0].tolist() == [0] * many


# -- nine products -------------------------------------------------------------------------


def products() -> list[Line]:
    return read_lines(PRODUCTS.read_text(encoding="utf-8").splitlines())


def test_nine_products_separate_into_their_three_groups(minilm: Embedder) -> None:
    lines = products()
    assert len(lines) == 9
    vectors = embed(lines, minilm)
    found = arrange(lines, vectors, title="t", embedder="e", find_groups=True)
    of = [line.label for line in lines]
    names = [point.group for point in found.points]
    assert sorted(set(of)) == ["books", "kitchen", "travel"]
    assert len(set(zip(of, names, strict=True))) == len(set(names)) == 3
    given = arrange(lines, vectors, title="t", embedder="e")
    assert [p.group for p in given.points] == of
    assert given.within is not None
    assert given.between is not None
    assert given.within > given.between + 0.2
    assert (given.within, given.between) == pytest.approx((found.within, found.between))
    # on the plane, too, each product is nearest to the middle of its own group
    at = np.array([(p.x, p.y) for p in given.points])
    middles = {name: at[np.array(of) == name].mean(axis=0) for name in set(of)}
    for place, name in zip(at, of, strict=True):
        assert min(middles, key=lambda m: float(np.linalg.norm(middles[m] - place))) == name
    assert given.variance is not None
    assert 0.3 < sum(given.variance) < 1


def test_a_text_longer_than_the_embedder_reads_is_named(minilm: Embedder) -> None:
    lines = read_lines(["short", "many words " * 400])
    with pytest.raises(InsideError, match=r"text 2 .* has 800 tokens; .* at most 254"):
        embed(lines, minilm)


# -- reading texts -------------------------------------------------------------------------


def test_texts_with_and_without_labels() -> None:
    assert read_lines(["a: b", "", "  c "]) == [Line("a: b"), Line("c")]
    assert read_lines(["x\ta: b", "y \t c"]) == [Line("a: b", "x"), Line("c", "y")]
    assert read_lines(["x: a: b", "y\tc"], labelled=True) == [Line("a: b", "x"), Line("c", "y")]


@pytest.mark.parametrize(
    ("texts", "labelled", "why"),
    [
        ([], False, "no text"),
        ([" ", ""], False, "no text"),
        (["a\tb", "c"], False, "text 2 has no label, others have"),
        (["a", "b"], True, "text 1 has no label; expected 'label: text'"),
        (["a:"], True, "lacks its text"),
        ([": b"], True, "lacks its label"),
        (["x" * 61 + "\ty"], False, "61 characters"),
        (["a \udc80"], False, "not valid UTF-8"),
    ],
)
def test_texts_that_cannot_be_placed(texts: list[str], labelled: bool, why: str) -> None:
    with pytest.raises(InsideError, match=why):
        read_lines(texts, labelled=labelled)


def test_groups_asked_for() -> None:
    vectors, of = blobs(2, 5, 0.1)
    lines = [Line(f"text {n}") for n in range(10)]
    found = arrange(lines, vectors, title="t", embedder="e", groups=2)
    assert [g.size for g in found.groups] == [5, 5]
    assert same_partition([int(p.group[-1]) for p in found.points], of)
    for wrong in (0, -1, 11):
        with pytest.raises(InsideError, match="groups cannot be made"):
            arrange(lines, vectors, title="t", embedder="e", groups=wrong)
    weak = unit(np.random.default_rng(1).normal(size=(30, 60)))
    lines = [Line(str(n)) for n in range(30)]
    assert "hardly stand apart" in arrange(lines, weak, title="t", embedder="e").notes[0]


# -- a collection --------------------------------------------------------------------------


@pytest.fixture
def filled(home: Path, tmp_path: Path) -> Collection:
    """A collection of three documents with a passage or more each."""
    (home / "llar.toml").write_text('embedder = "fake:hash"\n')
    folder = tmp_path / "papers"
    folder.mkdir()
    for name in ("one", "two", "három"):
        text = "\n\n".join(f"{name} {n}: " + f"words of {name} " * 30 for n in range(4))
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    collection = Collection("papers")
    collection.add(folder)
    return collection


@pytest.mark.slow
def test_passages_of_a_collection_come_with_their_vectors(filled: Collection) -> None:
    lines, vectors, notes = maps.passages(filled, 100)
    assert notes == ()
    assert {line.label for line in lines} == {"one.txt", "two.txt", "három.txt"}
    assert vectors.shape == (len(lines), filled.embedder.identity.dimension)
    again = filled.embedder.embed_documents([line.text for line in lines])
    np.testing.assert_allclose(np.vecdot(vectors, again.astype(float)), 1, atol=1e-5)
    some, part, notes = maps.passages(filled, 3, seed=1)
    assert notes == (f"a random sample of 3 of the {len(lines)} passages",)
    assert len(some) == len(part) == 3
    assert some == maps.passages(filled, 3, seed=1)[0]
    filled.remove(filled.index.roots())
    with pytest.raises(CollectionError, match="holds no passages"):
        maps.passages(filled, 3)


def run(*args: str | Path, code: int = 0) -> Any:
    """The command's JSON."""
    found = CliRunner().invoke(
        command, [*map(str, args), "--json"], obj=load(), catch_exceptions=False
    )
    assert found.exit_code == code, found.output
    return json.loads(found.stdout)


@pytest.mark.slow
def test_the_command_on_a_collection(filled: Collection, tmp_path: Path) -> None:
    page = tmp_path / "m.html"
    found = run("-c", "papers", "--html", page, "--plot", tmp_path / "m.pdf")
    assert {g["name"] for g in found["groups"]} == {"one.txt", "two.txt", "három.txt"}
    assert found["embedder"] == "fake:hash"
    assert found["found"] is False
    assert "három.txt" in page.read_text(encoding="utf-8")
    assert (tmp_path / "m.pdf").read_bytes().startswith(b"%PDF")
    sample = run("-c", "papers", "--points", "2")
    assert len(sample["points"]) == 2
    assert sample["notes"][0].startswith("a random sample of 2 of the")


def test_the_command_on_texts(installed: Path, tmp_path: Path) -> None:
    found = run("--file", PRODUCTS, "--find-groups", "--matrix")
    assert [g["size"] for g in found["groups"]] == [3, 3, 3]
    assert np.array(found["cosines"]).shape == (9, 9)
    assert np.array(found["cosines"]).diagonal() == pytest.approx(np.ones(9), abs=1e-5)
    assert all(math.isfinite(p["x"]) for p in found["points"])
    shown = CliRunner().invoke(command, ["a cat", "a kitten", "a bus", "--matrix"], obj=load())
    assert shown.exit_code == 0, shown.output
    rows = [row.split() for row in shown.stdout.splitlines()[1:]]
    cells = {tuple(row[4:]): row[1:4] for row in rows}
    assert cells["a", "cat"].count("1.00") == 1
    labelled = run("pet: a cat", "pet: a dog", "a: b", "--labelled", "--html", tmp_path / "m.html")
    assert [p["group"] for p in labelled["points"]] == ["pet", "pet", "a"]


def test_options_that_do_not_go_together(home: Path, tmp_path: Path) -> None:
    for args, why in (
        ((), "expected texts, or --file"),
        (("a", "-c", "b"), "one of them"),
        (("a", "--matrix", "--html", "x.html"), "--html draws the map"),
        (("-c", "b", "--labelled"), "labelled by their documents"),
        (("a", "--html", "x.txt"), r"ends in \.html"),
        (("a", "--html", str(tmp_path / "no" / "x.html")), "no folder"),
        (("a", "--plot", "x.bmp"), r"ends in \.png"),
        (("--file", str(tmp_path / "none")), "cannot be read"),
    ):
        with pytest.raises((InsideError, PictureError), match=why):
            run(*args)
    (tmp_path / "x").write_bytes(b"a\xff\xfe")
    with pytest.raises(InsideError, match="no UTF-8 text"):
        run("--file", tmp_path / "x")


# -- pictures ------------------------------------------------------------------------------


def example(many: int, groups: int, title: str = "A map") -> tuple[Map, Vectors]:
    vectors, of = blobs(groups, -(-many // groups), 0.2)
    vectors, of = vectors[:many], of[:many]
    lines = [Line(f"{n} tükörfúrógép és l·l " + "word " * (n % 40), f"group {g}")
             for n, g in enumerate(of)]  # fmt: skip
    return arrange(lines, vectors, title=title, embedder="fake:hash"), vectors


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("many", "groups"), [(1, 1), (2, 2), (2, 1), (40, 3), (80, 20), (500, 3)])
def test_maps_and_matrices_of_every_size(
    many: int, groups: int, theme: str, tmp_path: Path
) -> None:
    drawn, vectors = example(many, groups)
    lost = draw_map(tmp_path / "a.png", drawn, theme)
    assert (tmp_path / "a.png").stat().st_size > 5000
    if many <= 2:
        assert lost == ()
    if groups == 20:
        assert lost == ("the 4 smallest of 20 groups are drawn alike, in grey",)
    draw_matrix(tmp_path / "b.png", drawn, vectors, theme)
    assert (tmp_path / "b.png").stat().st_size > 5000


def test_a_picture_is_the_same_twice_and_too_large_a_matrix_is_refused(tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        draw_map(tmp_path / name, example(30, 3)[0])
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    drawn, vectors = example(2001, 3)
    with pytest.raises(InsideError, match="2,001 texts cannot be read"):
        draw_matrix(tmp_path / "m.png", drawn, vectors)


@pytest.mark.slow
def test_ten_thousand_points(tmp_path: Path) -> None:
    drawn, vectors = example(10_000, 5)
    assert draw_map(tmp_path / "a.png", drawn) == ()
    map_html.write(tmp_path / "a.html", drawn, subtitle(drawn))
    assert (tmp_path / "a.html").stat().st_size < 4_000_000
    labels, score = clustered(vectors, None)
    assert len(set(labels.tolist())) == 5
    assert score is not None


# -- the page ------------------------------------------------------------------------------

HOSTILE = [
    '</script><script>document.title="owned"</script>', "<img src=x onerror='alert(1)'>",
    "]]> --> <!-- <!--<script>", 'quotes " and \' and ` and \\', "\u2028end\u2029 ${title} $style",
    "árvíztűrő tükörfúrógép, l·l, ñ, 漢字, 🙂", "\x00\x1b[31m tab\tand\nline",
]  # fmt: skip


def hostile() -> Map:
    vectors, _ = blobs(len(HOSTILE), 1, 0.1)
    lines = [Line(text, text[:20], f"file\udc80{text}") for text in HOSTILE]
    return arrange(lines, vectors, title=HOSTILE[0], embedder="fake:hash")


class Page(HTMLParser):
    """The elements of a page, with their attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self.found.append(("/" + tag, {}, ""))

    def handle_data(self, data: str) -> None:
        if self.found:
            tag, attributes, text = self.found[-1]
            self.found[-1] = tag, attributes, text + data

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(attributes, text) for name, attributes, text in self.found if name == tag]


def test_no_text_can_leave_its_place_in_the_page() -> None:
    text = map_html.page(hostile(), "about <b>this</b>")
    page = Page(text)
    scripts = page.all("script")
    assert len(scripts) == 2
    assert not page.all("img")
    assert not page.all("b")
    data = json.loads(scripts[0][1])
    assert sorted(p[3] for p in data["points"]) == sorted(HOSTILE)
    assert data["points"][0][4].startswith("file\udc80")
    assert page.all("h1")[0][1].strip() == HOSTILE[0]
    assert "\u2028" not in text
    for attributes, _ in scripts:
        assert "src" not in attributes
    assert not re.search(r"https?://|@import|url\(|eval\(|innerHTML", text)


def test_the_policy_allows_the_own_script_and_nothing_else() -> None:
    page = Page(map_html.page(hostile(), "about"))
    policy = next(a["content"] for a, _ in page.all("meta") if "http-equiv" in a)
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind, text in (("script", page.all("script")[1][1]), ("style", page.all("style")[0][1])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_colours_of_the_page_are_those_of_the_pictures() -> None:
    from llar.pictures.style import THEMES

    style = (Path(map_html.__file__).with_name("page") / "map.css").read_text()
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    for part, theme in ((light, THEMES["light"]), (dark, THEMES["dark"])):
        for name, colour in [("background", theme.background), ("text", theme.text),
                             ("muted", theme.muted),
                             *((f"s{n}", c) for n, c in enumerate(theme.series))]:  # fmt: skip
            assert f"--{name}: {colour};" in part


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromium"), reason="there is no chromium")
def test_a_browser_runs_the_page_and_no_text_of_it(tmp_path: Path) -> None:
    map_html.write(tmp_path / "m.html", hostile(), "about")
    done = subprocess.run(
        ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic",
         "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}",
         "--virtual-time-budget=2000", "--dump-dom", (tmp_path / "m.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    page = Page(done.stdout)
    assert page.all("title")[0][1] == HOSTILE[0]
    buttons = [attributes for attributes, _ in page.all("button") if "aria-pressed" in attributes]
    assert len(buttons) == len(HOSTILE)  # the script made one for each group
    assert not page.all("img")
    assert len(page.all("script")) == 2
