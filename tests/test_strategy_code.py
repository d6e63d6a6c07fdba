"""Source code: definitions and references, chunks by definition, and questions about them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llar import Collection
from llar.chunks.structure import split
from llar.config import Config, load
from llar.documents import load as read_file
from llar.errors import QueryError
from llar.records import Chunk, Document
from llar.retrieve.strategy.code_symbols import Symbols, identifiers, is_about
from llar.text import symbols
from llar.text.symbols import Definition, inner_words, subwords

pytestmark = pytest.mark.slow

SOURCES = {
    "javascript": (
        "// adds\nexport function add(a,b){return a+b}\nconst mul = (a,b)=>a*b;\n"
        "class A { foo(){ } }\n",
        "function add, function mul, class A, function A.foo",
    ),
    "typescript": (
        "interface X { a: string }\n"
        "export class C<T> { private m(x:number): string { return '' } }\n"
        "type U = string|number;\nenum E {A,B}\nnamespace N { export function f(){} }\n",
        "class X, class C, function C.m, type U, type E, module N, function N.f",
    ),
    "tsx": ("export const App = () => <div/>;\n", "function App"),
    "java": (
        "package a;\npublic class Foo { int x; Foo(){} public void bar(int y){ } }\n"
        "record R(int a){}\n",
        "class Foo, function Foo.Foo, function Foo.bar, class R",
    ),
    "c": (
        "#define SQ(x) ((x)*(x))\nstatic int *foo(int a, char *b)\n{ return 0; }\n"
        "struct S { int a; };\ntypedef struct { int b; } T;\n",
        "function SQ, function foo, type S, type T",
    ),
    "c++": (
        "namespace n { class A { public: void f(){} }; }\nint n::A::g(){return 1;}\n"
        "template<class T> T id(T x){return x;}\n",
        "module n, class n.A, function n.A.f, function n.A.g, function id",
    ),
    "go": (
        "package a\n// Foo does\nfunc Foo(a int) int { return a }\nfunc (s *S) Bar() {}\n"
        "type S struct { a int }\n",
        "function Foo, function S.Bar, type S",
    ),
    "rust": (
        "#[derive(Debug)]\nstruct S { a: i32 }\nimpl S { pub fn new() -> S { S{a:1} } }\n"
        "trait T { fn t(&self); }\nmod m { fn x(){} }\nmacro_rules! mm { () => {} }\n",
        "type S, class S, function S.new, class T, module m, function m.x, function mm",
    ),
    "c#": (
        "namespace N { public class A { public int P {get;set;} public void M<T>(T x){ } } "
        "enum E {X} }\n",
        "module N, class N.A, function N.A.P, function N.A.M, type N.E",
    ),
    "bash": ("foo() { echo 1; }\nfunction bar { echo 2; }\nfoo\n", "function foo, function bar"),
    "php": (
        "<?php\nclass B { public function m() {} }\nfunction f(){}\ninterface I {}\n",
        "class B, function B.m, function f, class I",
    ),
    "ruby": (
        "module M\n  class A < B\n    def self.bar\n    end\n  end\nend\ndef top; end\n",
        "module M, class M.A, function M.A.bar, function top",
    ),
    "python": (
        "@deco\ndef f():\n    def g(): pass\n\nclass Ú:\n    @property\n"
        "    def é(self): return 'ñ'\n"
        "if 1:\n    def h(): pass\n",
        "function f, class Ú, function Ú.é, function h",
    ),
}


def _flat(definitions: list[Definition]) -> Iterator[Definition]:
    for definition in definitions:
        yield definition
        yield from _flat(definition.inner)


@pytest.mark.parametrize("language", SOURCES)
def test_definitions(language: str) -> None:
    text, expected = SOURCES[language]
    source = symbols.parse(text, language)
    assert source is not None
    found = list(_flat(source.definitions))
    assert ", ".join(f"{d.kind} {'.'.join(d.path)}" for d in found) == expected
    for definition in found:
        assert definition.name in text[definition.start : definition.end]


def test_comments_and_decorators_belong_to_what_is_below() -> None:
    text = "x = 1  # not this\n\n# lonely\n\n# why\n@cached\ndef f():\n    return 1\n"
    source = symbols.parse(text, "python")
    assert source is not None
    (found,) = source.definitions
    assert text[found.start : found.end] == "# why\n@cached\ndef f():\n    return 1"


def test_broken_source_is_read_as_far_as_it_goes() -> None:
    text = "def f(:\n    pass\n\n)))\n\ndef good():\n    return 2\n"
    source = symbols.parse(text, "python")
    assert source is not None
    assert "good" in [d.name for d in source.definitions]


def test_references_are_code_not_comments_or_strings() -> None:
    text = '# parse this\nx = "parse"\ndef parse(y): pass\nz = parse(1)\nobj.parse()\n'
    found = symbols.references(text, "python", ["parse"])
    assert [text[: r.start].count("\n") for r in found] == [2, 3, 4]


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("parseHTTPHeader", ["parse", "http", "header"]),
        ("parse_http_header", ["parse", "http", "header"]),
        ("XMLParser2", ["xml", "parser", "2"]),
        ("__init__", ["init"]),
        ("értékMező", ["érték", "mező"]),
    ],
)
def test_subwords(identifier: str, words: list[str]) -> None:
    assert subwords(identifier) == words


def test_inner_words_are_those_capitals_hide() -> None:
    assert inner_words("foo_bar parseHTTPHeader Collection") == "parse http header"


def test_inner_words_of_a_long_run_take_no_time() -> None:
    start = time.process_time()
    assert inner_words("a" * 2_000_000) == ""
    assert time.process_time() - start < 2


# -- chunks --------------------------------------------------------------------------------------


def _words(text: str) -> int:
    return len(text.split())


def _document(tmp_path: Path, name: str, text: str) -> Document:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return read_file(file, load({"home": tmp_path}, env={}))


def _check(document: Document, chunks: list[Chunk], limit: int) -> None:
    at = 0
    for chunk in chunks:
        assert chunk.text == document.text[chunk.start : chunk.end]
        assert not document.text[at : chunk.start].strip(), "something was lost"
        assert chunk.start >= at
        assert _words(chunk.content) <= limit
        at = chunk.end
    assert not document.text[at:].strip()


PYTHON = '''"""A module."""

import os

LIMIT = 3


class Basket:
    """Holds fruit."""

    size = 4

    # How heavy it is.
    @property
    def weight(self):
        """Grams."""
        return sum(f.weight for f in self.fruit)

    def add(self, fruit):
        """Put one in."""
        if len(self.fruit) > self.size:
            raise ValueError("it is full and nothing more can be put into it any more")
        for other in self.fruit:
            if other.kind == fruit.kind and other.colour == fruit.colour:
                print("there is one of this kind and of this colour in the basket already")
        self.fruit.append(fruit)
        return self


def main():
    return Basket()
'''


def test_chunks_by_definition(tmp_path: Path) -> None:
    document = _document(tmp_path, "shop.py", PYTHON)
    chunks = split(document, max_tokens=40, count_tokens=_words)
    _check(document, chunks, 40)
    by_path: dict[tuple[str, ...], list[str]] = {}
    for chunk in chunks:
        by_path.setdefault(chunk.headings, []).append(chunk.text)
        assert chunk.kind == "code"
    assert list(by_path) == [
        ("shop.py",),
        ("shop.py", "Basket"),
        ("shop.py", "Basket", "weight"),
        ("shop.py", "Basket", "add"),
        ("shop.py", "main"),
    ]
    (weight,) = by_path["shop.py", "Basket", "weight"]
    assert weight.startswith("# How heavy it is.\n    @property")
    assert len(by_path["shop.py", "Basket", "add"]) > 1
    for piece in by_path["shop.py", "Basket", "add"]:  # cut where statements begin
        assert piece.startswith(
            ("def add", '"""', "if ", "raise", "for ", "self.", "return", "print")
        )
    assert "size = 4" in " ".join(by_path["shop.py", "Basket"])


def test_a_class_that_fits_is_whole(tmp_path: Path) -> None:
    document = _document(tmp_path, "shop.py", PYTHON)
    chunks = split(document, max_tokens=120, count_tokens=_words)
    (basket,) = [c for c in chunks if c.headings == ("shop.py", "Basket")]
    assert basket.text.startswith("class Basket")
    assert basket.text.endswith("return self")


@pytest.mark.parametrize("language", SOURCES)
def test_nothing_is_lost_in_any_language(tmp_path: Path, language: str) -> None:
    suffix = {"javascript": "js", "typescript": "ts", "c++": "cpp", "c#": "cs", "python": "py",
              "ruby": "rb", "rust": "rs", "bash": "sh"}.get(language, language)  # fmt: skip
    text = "\n\n".join([SOURCES[language][0]] * 5 + ["}}} ((( broken 'quote"])
    document = _document(tmp_path, f"file.{suffix}", text)
    for limit in (16, 60):
        chunks = split(document, max_tokens=limit, count_tokens=_words)
        _check(document, chunks, limit)
        assert any(len(chunk.headings) > 1 for chunk in chunks)


def test_a_file_without_a_grammar_is_chunked_as_before(tmp_path: Path) -> None:
    document = _document(tmp_path, "settings.ini", "[a]\nb = 1\n\n[c]\nd = 2\n" * 20)
    chunks = split(document, max_tokens=30, count_tokens=_words)
    _check(document, chunks, 30)
    assert {chunk.headings for chunk in chunks} == {()}


@pytest.mark.slow
def test_deep_and_long_source_takes_linear_time(tmp_path: Path) -> None:
    deep = _document(tmp_path, "deep.js", "f(" * 20_000 + ")" * 20_000)
    start = time.process_time()
    _check(deep, split(deep, max_tokens=50, count_tokens=_words), 50)
    seconds = []
    for many in (500, 2000):
        text = "\n".join(f"def f{i}(a):\n    b = a + {i}\n    return b\n" for i in range(many))
        document = _document(tmp_path, f"long{many}.py", text)
        tries = []
        for _ in range(3):  # in one of them Python may look through all that other tests left
            begun = time.process_time()
            split(document, max_tokens=50, count_tokens=_words)
            tries.append(time.process_time() - begun)
        seconds.append(min(tries))
    assert seconds[1] < 12 * seconds[0]
    assert time.process_time() - start < 60


# -- questions -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("src")
    (folder / "shop.py").write_text(PYTHON)
    (folder / "till.py").write_text(
        "from shop import Basket\n\n\ndef open_till(basket):\n    # add is not called here\n"
        "    return Basket()\n\n\ndef fill_basket(basket, fruits):\n    for fruit in fruits:\n"
        "        basket.add(fruit)\n\n\nclass Till:\n    def add(self, coin):\n"
        "        self.coins += coin\n"
    )
    (folder / "header.ts").write_text(
        "export class Reader {\n  parseRequestHeader(text: string): string[] {\n"
        "    return text.split(':');\n  }\n}\n"
    )
    (folder / "notes.md").write_text("# Baskets\n\nA basket holds fruit until it is full.\n")
    home = tmp_path_factory.mktemp("home")
    with Collection("code", config=_config(home)) as made:
        made.add([folder])
    return home


@pytest.fixture
def collection(made_home: Path, home: Path) -> Iterator[Collection]:
    """A copy of the collection of these files."""
    shutil.copytree(made_home, home, dirs_exist_ok=True)
    with Collection("code", config=_config(home)) as made:
        yield made


def _config(home: Path) -> Config:
    return load({"home": home, "embedder": "fake:hash", "query": "", "chunk_tokens": 60})


def _paths(collection: Collection, question: str) -> list[tuple[str, ...]]:
    return [h.chunk.headings for h in collection.search(question, strategy="code")]


def test_the_definition_comes_first_then_its_callers(collection: Collection) -> None:
    found = collection.explain("Where is `Basket.add` called?", strategy="code")
    first = found.hits[0]
    assert first.chunk.headings == ("shop.py", "Basket", "add")
    assert first.parts["definition"] == 1.0
    used = [h for h in found.hits if "reference" in h.parts]
    assert ("till.py", "fill_basket") in [h.chunk.headings for h in used]
    assert ("till.py", "open_till") not in [h.chunk.headings for h in used]  # only in a comment
    text = collection.index.document(used[0].document.id).text
    assert {text[a:b] for a, b in used[0].highlights} == {"add"}
    (step,) = [s for s in found.steps if s.name == "symbols"]
    assert step.about["definitions"] == {"Basket.add": ["shop.py: Basket.add"]}


def test_a_name_defined_twice_is_told_apart(collection: Collection) -> None:
    assert _paths(collection, "Till.add")[0] == ("till.py", "Till")  # the whole class is one chunk
    paths = _paths(collection, "what does the method add do?")[:3]
    assert ("shop.py", "Basket", "add") in paths


def test_a_method_inside_a_whole_class_is_found(collection: Collection) -> None:
    found = collection.explain("parseRequestHeader", strategy="code")
    assert found.hits[0].chunk.headings == ("header.ts", "Reader")
    assert found.hits[0].parts["definition"] == 1.0


def test_the_words_in_an_identifier_find_it(collection: Collection) -> None:
    words = collection.search("request header", strategy="single", mode="lexical")
    assert words[0].chunk.headings[0] == "header.ts"


def test_a_question_in_words_finds_code_before_prose(collection: Collection) -> None:
    found = collection.search("fill a basket with fruits", k=20, strategy="code")
    assert found[0].chunk.headings == ("till.py", "fill_basket")
    assert any(h.document.format == "md" for h in found)


def test_what_is_only_mentioned_is_not_what_is_asked(collection: Collection) -> None:
    known = Symbols()
    question = "Initialize the stream and the header of a new basket before `fruit` is put in"
    names = identifiers(question, known)
    assert names == ["fruit"]
    assert not is_about(question, names)
    assert is_about("Where is parse_header defined?", ["parse_header"])
    assert is_about("¿Qué hace la función parse_header?", ["parse_header"])


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("What does Foo.bar do?", ["Foo.bar"]),
        ("where is parse_header used", ["parse_header"]),
        ("How does parseHeader work?", ["parseHeader"]),
        ("call to close() on exit", ["close"]),
        ("std::vector::push_back", ["std::vector::push_back"]),
        ("what is the capital of France?", []),
        ("How many days of leave are there?", []),
    ],
)
def test_identifiers(question: str, names: list[str]) -> None:
    assert identifiers(question, Symbols()) == names


def test_symbols_follow_the_collection(collection: Collection, tmp_path: Path) -> None:
    new = tmp_path / "new.py"
    new.write_text("def weigh_apples(apples):\n    return sum(apples)\n")
    assert "definition" not in collection.search("weigh_apples", strategy="code")[0].parts
    collection.add([new])
    assert (
        collection.search("weigh_apples", strategy="code")[0].chunk.headings[-1] == "weigh_apples"
    )
    collection.remove([new])
    assert all(
        h.document.path != str(new) for h in collection.search("weigh_apples", strategy="code")
    )


def test_code_takes_no_argument(collection: Collection) -> None:
    with pytest.raises(QueryError, match="no argument"):
        collection.search("x", strategy="code:deep")


def test_a_collection_without_code_is_searched_plainly(notes: Path, home: Path) -> None:
    config = load({"home": home, "embedder": "fake:hash", "query": ""})
    with Collection("n", config=config) as made:
        made.add([notes])
        plain = made.search("annual leave", strategy="single")
        assert made.search("annual leave", strategy="code") == plain
