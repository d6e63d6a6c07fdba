"""synonyms, hypernyms and ontology: words from WordNet and from a customer's own file."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rewritten import about, found, made

import llar
from llar.errors import ConfigError, QueryError
from llar.text.ontology import read_ontology
from llar.text.wordnet import KINDS, WordNet

pytestmark = pytest.mark.slow

DEBIAN = Path("/usr/share/wordnet")
debian = pytest.mark.skipif(not DEBIAN.is_dir(), reason="apt install wordnet-base")

TEXTS = {
    "car.txt": "The automobile of the director stands in the garage of the house.",
    "wheel.txt": "A motor vehicle needs a yearly inspection before the end of March.",
    "infarct.txt": "A myocardial infarction was treated with acetylsalicylic acid at once.",
    "cine.txt": "El infarto de miocardio se trata con ácido acetilsalicílico en el hospital.",
    "pain.txt": "An analgesic was given to all the patients with a strong headache.",
}

# A WordNet of our own in the format of wndb(5WN): the offset of a record is its place in the file.
LICENCE = "  1 This is the licence.  \n  2 It stands first.  \n"
RECORDS = {  # name -> (words, gloss, hypernyms)
    "car": (("car", "auto", "motor_car"), "a motor vehicle with four wheels", ("vehicle",)),
    "carriage": (("car", "railcar"), "a wheeled vehicle for rails; \"three cars\"", ("vehicle",)),
    "vehicle": (("motor_vehicle",), "a self-propelled vehicle", ("machine",)),
    "machine": (("machine",), "a mechanical device", ()),
}  # fmt: skip
SENSES = {
    "auto": ["car"], "car": ["carriage", "car"], "machine": ["machine"], "motor_car": ["car"],
    "motor_vehicle": ["vehicle"], "railcar": ["carriage"],
}  # fmt: skip


def _record(name: str, offsets: dict[str, int]) -> str:
    words, gloss, above = RECORDS[name]
    spelled = " ".join(f"{word} 0" for word in words)
    pointers = "".join(f" @ {offsets[a]:08d} n 0000" for a in above)
    head = f"{offsets[name]:08d} 06 n {len(words):02x} {spelled}"
    return f"{head} {len(above):03d}{pointers} | {gloss}  \n"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four senses, two irregular nouns, and no verbs, adjectives and adverbs."""
    folder = tmp_path_factory.mktemp("wordnet")
    offsets = dict.fromkeys(RECORDS, 0)
    place = len(LICENCE)
    for name in RECORDS:
        offsets[name] = place
        place += len(_record(name, offsets))
    (folder / "data.noun").write_text(LICENCE + "".join(_record(n, offsets) for n in RECORDS))
    rows = "".join(
        f"{lemma} n {len(senses)} 1 @ {len(senses)} 0 "
        + " ".join(f"{offsets[s]:08d}" for s in senses) + "  \n"
        for lemma, senses in SENSES.items()
    )  # fmt: skip
    (folder / "index.noun").write_text(LICENCE + rows)
    (folder / "noun.exc").write_text("carz car\nmachinae machine\n")
    (folder / "cntlist.rev").write_text("car%1:06:00:: 2 71\ncar%1:06:01:: 1 2\n")
    for kind in KINDS[1:]:
        (folder / f"index.{kind}").write_text(LICENCE)
        (folder / f"{kind}.exc").write_text("")
    return folder


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory, small: Path) -> Iterator[llar.Collection]:
    with made(tmp_path_factory.mktemp("thesaurus"), TEXTS) as docs:
        docs.config = replace(docs.config, wordnet=str(small))
        yield docs


# -- WordNet -----------------------------------------------------------------------------------


def test_senses_stand_by_their_use(small: Path) -> None:
    """The second sense of "car" was met 71 times, the first twice."""
    senses = WordNet(small).senses("cars")
    assert [(s.words, s.uses) for s in senses] == [
        (("car", "auto", "motor car"), 71),
        (("car", "railcar"), 2),
    ]
    assert senses[1].gloss == "a wheeled vehicle for rails"


@pytest.mark.parametrize("word", ["car", "CAR", "cars", "carz", "motor cars", "motor_car"])
def test_forms_of_a_word(small: Path, word: str) -> None:
    assert "car" in WordNet(small).senses(word)[0].words


@pytest.mark.parametrize("word", ["bicycle", "carss", "", "ca", "zzz", "a", "motor"])
def test_what_is_not_there(small: Path, word: str) -> None:
    assert WordNet(small).senses(word) == []


def test_hypernyms_by_level(small: Path) -> None:
    wordnet = WordNet(small)
    (vehicle,) = wordnet.above(wordnet.senses("car")[0])
    assert vehicle.words == ("motor vehicle",)
    (machine,) = wordnet.above(vehicle)
    assert wordnet.above(machine) == []


def test_wordnet_that_is_not_installed(docs: llar.Collection, tmp_path: Path) -> None:
    docs_config = docs.config
    docs.config = replace(docs_config, wordnet=str(tmp_path))
    try:
        with pytest.raises(ConfigError, match=r"there is no file index.noun\nfix: apt install wor"):
            docs.search("car", query="synonyms")
    finally:
        docs.config = docs_config


def test_a_damaged_wordnet(small: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(small, broken)
    data = (broken / "data.noun").read_bytes()
    (broken / "data.noun").write_bytes(b"x" + data)
    with pytest.raises(ConfigError, match=r"data\.noun' is damaged at"):
        WordNet(broken).senses("car")
    (broken / "index.noun").write_text("")
    with pytest.raises(ConfigError, match=r"index\.noun' cannot be read"):
        WordNet(broken).senses("car")


@debian
def test_every_entry_is_found() -> None:
    wordnet = WordNet(DEBIAN)
    entries = [
        line.split(" ", 1)[0]
        for line in (DEBIAN / "index.adv").read_text("utf-8").splitlines()
        if not line.startswith("  ")
    ]
    assert len(entries) == 4481  # as wnstats(7WN) says of 3.0
    assert all("adv" in {s.kind for s in wordnet.senses(entry)} for entry in entries[::20])
    assert wordnet.senses(entries[0])
    assert wordnet.senses(entries[-1])


@debian
def test_plurals_inside_a_word() -> None:
    assert WordNet(DEBIAN).base_forms("spoonsful", "noun") == ["spoonful"]  # morphy(7WN)


@debian
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The multilingual functions")
def test_wordnet_is_read_as_nltk_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    folder = tmp_path / "corpora" / "wordnet"
    shutil.copytree(DEBIAN, folder)
    (folder / "lexnames").write_text("".join(f"{n:02d}\tname{n}\t1\n" for n in range(45)))
    (folder / "index.sense").write_text("")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    theirs, ours = WordNetCorpusReader(str(folder), None), WordNet(DEBIAN)
    letters = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
    words = [
        line.split(" ", 1)[0]
        for kind in KINDS
        for line in (DEBIAN / f"index.{kind}").read_text("utf-8").splitlines()
        if not line.startswith("  ")
    ]
    forms = "wings geese went better leaves running analyses men axes boxes churches"
    asked = [*random.Random(1).sample(words, 300), *forms.split()]
    for word in asked:
        senses = ours.senses(word.replace("_", " "))
        expected = {(s.pos().replace("s", "a"), s.offset()) for s in theirs.synsets(word)}
        assert {(letters[s.kind], s.offset) for s in senses} == expected, word
        for sense in senses:
            other = theirs.synset_from_pos_and_offset(letters[sense.kind], sense.offset)
            names = sorted(lemma.name().replace("_", " ") for lemma in other.lemmas())
            assert sorted(sense.words) == names
            above = other.hypernyms() + other.instance_hypernyms()
            assert {offset for _, offset in sense.above} == {s.offset() for s in above}


# -- the steps ---------------------------------------------------------------------------------


def test_synonyms_find_and_tell_why(docs: llar.Collection) -> None:
    assert found(docs, "the car of the director", "none") == ["car.txt"]
    result = docs.explain("cars", query="hypernyms", mode="lexical")
    assert [Path(h.document.path).name for h in result.hits] == ["wheel.txt"]
    assert about(result, "WordNet") == {
        "cars": ["motor vehicle (0.3, noun: a self-propelled vehicle)"]
    }
    assert result.query.words is not None
    own, *added = result.query.words
    assert (own.stems[0], own.weight) == ("car", 1.0)
    assert [(w.stems, w.weight) for w in added] == [(("motor",), 0.15), (("vehicl",), 0.15)]


def test_words_the_collection_lacks_are_not_added(docs: llar.Collection) -> None:
    result = docs.explain("car", query="synonyms:2", mode="lexical")
    assert result.query.words is None
    assert about(result, "WordNet") == {"not in the collection": "auto, motor car, railcar"}
    higher = about(docs.explain("car", query="hypernyms:5"), "WordNet")
    assert higher["not in the collection"] == "machine"


def test_wordnet_leaves_other_languages_alone(docs: llar.Collection) -> None:
    result = docs.explain("¿Cómo se trata el infarto en el hospital?", query="synonyms")
    assert about(result, "WordNet")["skipped"] == "WordNet is English, the question is in 'es'"
    assert result.query.words is None


@debian
def test_debians_wordnet(docs: llar.Collection) -> None:
    ours, docs.config = docs.config, replace(docs.config, wordnet=str(DEBIAN))
    try:
        assert found(docs, "car", "synonyms") == ["car.txt"]
        assert "infarct.txt" in found(docs, "an aspirin", "synonyms")
        assert "wheel.txt" in found(docs, "the car", "hypernyms")
    finally:
        docs.config = ours


TABLES = {
    "synonyms.csv": "car;automobile;auto\naspirin;acetylsalicylic acid;ASA\n",
    "commas.csv": '# ours\n\ncar,automobile\naspirin,"acetylsalicylic acid"\n',
    "relations.csv": "term,relation,term\ncar,synonym,automobile\naspirin,Synonym,"
    "acetylsalicylic acid\naspirin,broader,analgesic\n",
    "relations2.csv": "\ufeffcar;synonym;automobile\nacetylsalicylic acid;synonym;aspirin\n",
    "tabs.tsv": "car\tautomobile\naspirin\tacetylsalicylic acid\n",
}


@pytest.mark.parametrize("name", TABLES)
def test_tables(docs: llar.Collection, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(TABLES[name], encoding="utf-8")
    assert found(docs, "car", f"ontology:{tmp_path / name}") == ["car.txt"]
    assert found(docs, "Aspirin?", f"ontology:{tmp_path / name}")[0] == "infarct.txt"


TURTLE = """
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix : <http://example.org/> .
:asa a skos:Concept ;
  skos:prefLabel "aspirin"@en , "aspirina"@es , "aszpirin"@hu ;
  skos:altLabel "acetylsalicylic acid"@en , "ácido acetilsalicílico"@es ;
  skos:broader :analgesic .
:analgesic a skos:Concept ; skos:prefLabel "analgesic"@en ; skos:hiddenLabel "painkiler"@en .
:mi skos:prefLabel "heart attack"@en ; skos:altLabel "myocardial infarction"@en ;
  skos:exactMatch :mi-es .
:mi-es skos:prefLabel "infarto de miocardio"@es .
"""
RDF = """<?xml version="1.0" encoding="UTF-8"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
         xmlns:skos="http://www.w3.org/2004/02/skos/core#">
  <skos:Concept rdf:about="http://example.org/asa">
    <skos:prefLabel xml:lang="en">aspirin</skos:prefLabel>
    <skos:altLabel xml:lang="es">ácido acetilsalicílico</skos:altLabel>
    <skos:broader rdf:resource="http://example.org/analgesic"/>
  </skos:Concept>
  <skos:Concept rdf:about="http://example.org/analgesic">
    <skos:prefLabel xml:lang="en">analgesic</skos:prefLabel>
  </skos:Concept>
</rdf:RDF>
"""


def test_turtle(docs: llar.Collection, tmp_path: Path) -> None:
    file = tmp_path / "terms.ttl"
    file.write_text(TURTLE, encoding="utf-8")
    result = docs.explain("Which aspirins help after heart attacks?", query=f"ontology:{file}")
    shown = about(result, "terms of terms.ttl")
    assert set(shown["aspirin / aspirina"]) == {
        "acetylsalicylic acid (0.8, synonym)",
        "ácido acetilsalicílico (0.8, synonym)",
        "analgesic (0.3, broader)",
    }
    assert shown["heart attack"] == [
        "myocardial infarction (0.8, synonym)",
        "infarto de miocardio (0.8, synonym)",
    ]
    assert shown["not in the collection"] == "aszpirin, painkiler"
    ranked = found(docs, "aspirin", f"ontology:{file}")
    assert set(ranked) == {"infarct.txt", "cine.txt", "pain.txt"}
    assert ranked[-1] == "pain.txt"
    assert found(docs, "infarto de miocardio", f"ontology:{file}")[:2] == [
        "cine.txt",
        "infarct.txt",
    ]


def test_narrower_is_the_other_side_of_broader(tmp_path: Path) -> None:
    file = tmp_path / "terms.ttl"
    file.write_text(TURTLE, encoding="utf-8")
    (match,) = read_ontology(file).find("an analgesic", ["en"])
    assert (match.start, match.end) == (3, 12)
    assert dict(match.related)["aspirin"] == "narrower"


@pytest.mark.parametrize("suffix", [".rdf", ".xml", ".owl"])
def test_rdf_xml(docs: llar.Collection, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"terms{suffix}"
    file.write_text(RDF, encoding="utf-8")
    assert found(docs, "aspirin", "none") == []
    assert {"cine.txt", "pain.txt"} <= set(found(docs, "aspirin", f"ontology:{file}"))


def test_the_longest_term_at_a_place_counts(tmp_path: Path) -> None:
    file = tmp_path / "terms.csv"
    file.write_text("attack;assault\nheart attack;infarction\nheart;cor\n")
    terms = read_ontology(file)
    assert [m.term for m in terms.find("heart attacks and an attack", ["en"])] == [
        "heart attack", "attack",
    ]  # fmt: skip


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "'
    + "&a;" * 50
    + '">]><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">&b;</rdf:RDF>'
)
OUTSIDE = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">&a;</rdf:RDF>'
)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "car;automobile\n\n;auto;x\n", r"line 3 is ';auto;x', expected preferred term;"),
        ("a.csv", "car;automobile\nauto\n", "line 2 is 'auto'"),
        ("a.csv", "car,synonym,auto\nauto,wider,van\n", "line 2 is 'auto,wider,van', expected te"),
        ("a.csv", 'car,auto\n"van\n', "is no table|goes over several lines"),
        ("a.csv", "", "relates no terms"),
        ("a.csv", b"caf\xe9;coffee\n", "is not UTF-8"),
        ("a.json", "{}", r"expected a file that ends in \.csv, \.tsv, \.txt, \.ttl"),
        ("a.ttl", ":a skos:prefLabel", "is no valid turtle"),
        ("a.ttl", "", "relates no terms"),
        ("a.rdf", "<rdf", "is no valid XML"),
        ("a.rdf", LAUGHS, "declares the XML entity 'a'; files with entities are not read"),
        ("a.rdf", OUTSIDE, "declares the XML entity 'a'"),
        ("a.rdf", "<a/>", "relates no terms|is no valid xml"),
    ],
)
def test_files_that_are_no_ontology(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=message):
        read_ontology(file)


def test_a_changed_file_is_read_again(docs: llar.Collection, tmp_path: Path) -> None:
    file = tmp_path / "terms.csv"
    file.write_text("car;automobile\n")
    assert found(docs, "van", f"ontology:{file}") == []
    file.write_text("car;automobile;van\n")
    assert found(docs, "van", f"ontology:{file}") == ["car.txt"]


def test_bad_arguments(docs: llar.Collection, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="--query ontology: there is no file; expected ontology:F"):
        docs.search("car", query="ontology")
    with pytest.raises(ConfigError, match=r"absent.csv' cannot be read: No such file"):
        docs.search("car", query=f"ontology:{tmp_path}/absent.csv")
    with pytest.raises(QueryError, match="'x' is not a whole number from 1 to 50"):
        docs.search("car", query="synonyms:x")
    with pytest.raises(QueryError, match="'2' is too much"):
        docs.search("car", query="hypernyms:1:2")
