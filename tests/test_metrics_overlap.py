"""Word and character overlap: against sacrebleu, NLTK and rouge-score, and worked by hand."""

from __future__ import annotations

import random
import re
import unicodedata
from typing import Any

import pytest
import sacrebleu
import Stemmer
from rouge_score import rouge_scorer

from llar.errors import EvaluationError
from llar.evaluate.overlap import (
    bleu,
    chrf,
    corpus_bleu,
    corpus_chrf,
    exact_match,
    meteor,
    rouge,
    scores,
    token_f1,
    words,
)

TEXTS = {
    "en": (
        "The nurse gave the patient 325-650 mg of paracetamol every 4-6 hours, at most 4,000 mg.",
        "It's well-known that the cat (a Siamese) sat on the mat; the dog didn't!",
        "Q&amp;A: is 3.5% of $1,200.50 more than €40? Yes -- it's 42.",
        "The committee met on 12 May.\nIt agreed on the budget.\nThe budget was agreed.",
    ),
    "es": (
        "¿Cuántos días de vacaciones hay? El personal tiene 27 días de vacaciones al año.",
        "La niña pequeña comió piña; según el médico, la información no llegó.",
        "Los «niños» de 10-15 kg toman 1,5 mg/kg cada 4-6 horas, máximo 60 mg/día.",
    ),
    "ca": (
        "L'home del col·legi va dir que l'aigua no és potable i se'n va anar.",
        "Els nens, les nenes i l'avi van menjar-se una coca de Sant Joan.",
        "Cada treballador té 27 dies de vacances; això és així des del 1998.",
    ),
    "hu": (
        "Az ügyfél két őszi napon látogatta meg a könyvtárat és a múzeumot.",
        "Egy dolgozónak évente 27 nap szabadság jár, ebből 10 nap szabadon választható.",
        "A gyűrűt a kútba ejtette; hűvös, esős idő volt, és senki sem látta.",
    ),
}
ASCII = [
    unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    for texts in TEXTS.values()
    for text in texts
]


def changed(text: str, randoms: random.Random) -> str:
    """The text with words left out, doubled, swapped or written in another case."""
    parts = re.split(r"(\s+)", text)
    for _ in range(randoms.randint(0, 6)):
        i, j = randoms.randrange(len(parts)), randoms.randrange(len(parts))
        change = randoms.randrange(4)
        if change == 0:
            parts[i] = ""
        elif change == 1:
            parts[i] += " " + parts[i]
        elif change == 2:
            parts[i], parts[j] = parts[j], parts[i]
        else:
            parts[i] = parts[i].upper()
    return "".join(parts)


def cases(texts: list[str], count: int = 150) -> list[tuple[str, list[str]]]:
    """Answers, each with one to three golds, near it or not."""
    randoms = random.Random(len(texts))
    return [
        (
            changed(randoms.choice(texts), randoms)[: randoms.choice((3, 20, 500))],
            [changed(randoms.choice(texts), randoms) for _ in range(randoms.randint(1, 3))],
        )
        for _ in range(count)
    ]


ALL = cases([text for texts in TEXTS.values() for text in texts], 300)


# --- exact match and F1


@pytest.mark.parametrize(
    ("answer", "gold", "language", "exact", "f1"),
    [
        ("The Norman conquest!", "Norman  Conquest", "en", 1, 1),
        ("an apple a day", "apple day", "en", 1, 1),
        ("in the year 1066", "1066", "en", 0, 2 * (1 / 3) / (1 + 1 / 3)),  # in, year, 1066
        ("to be or not to be", "to be", "en", 0, 2 * (2 / 6) / (1 + 2 / 6)),
        ("U.S.A.", "USA", "en", 1, 1),
        ("theatre", "atre", "en", 0, 0),  # articles are whole words
        ("1914–1918", "19141918", "en", 0, 0),  # SQuAD's script knows ASCII's punctuation only
        ("¿La información?", "información", "es", 1, 1),
        ("informacion", "información", "es", 0, 0),  # accents count
        ("«El» 1914–1918", "19141918", "es", 1, 1),
        ("the sun", "sun", "es", 0, 2 / 3),  # no article in Spanish
        ("una casa de los padres", "casa de padres", "es", 1, 1),
        ("L'home del col·legi", "home del coŀlegi", "ca", 1, 1),
        ("d’aigua", "aigua", "ca", 0, 2 / 3),
        ("els nens i les nenes", "nens i nenes", "ca", 1, 1),
        ("Az őszi nap", "őszi nap", "hu", 1, 1),
        ("egy őrült", "orult", "hu", 0, 0),
        ("der Hund", "Hund", "de", 0, 2 / 3),  # a language whose articles are not known
    ],
)
def test_exact_match_and_f1(answer: str, gold: str, language: str, exact: int, f1: float) -> None:
    assert exact_match(answer, [gold], language=language) == exact
    assert token_f1(answer, [gold], language=language) == pytest.approx(f1)
    assert token_f1(gold, [answer], language=language) == pytest.approx(f1)


def test_the_best_gold_counts() -> None:
    golds = ["Denver Broncos", "The Broncos", "Denver"]
    assert exact_match("broncos", golds) == 1.0
    assert token_f1("the Denver team", ["x", "Denver"]) == pytest.approx(2 / 3)


def test_a_question_without_an_answer() -> None:
    for golds in ([], [""], ["the"], [" ", "..."]):
        assert exact_match("", golds) == token_f1("", golds) == 1.0
        assert exact_match("something", golds) == token_f1("something", golds) == 0.0
        assert exact_match("The.", golds) == 1.0  # nothing is left of it
    assert exact_match("", ["the", "x"]) == 0.0  # golds of nothing are passed over
    assert set(scores("", [])) == set(scores("a", [" "])) == {"exact_match", "f1"}


# --- BLEU and chrF


@pytest.mark.parametrize("i", range(0, len(ALL), 60))
def test_bleu_and_chrf_equal_sacrebleu(i: int) -> None:
    for answer, golds in ALL[i : i + 60]:
        expected = sacrebleu.sentence_bleu(answer, golds).score / 100
        assert bleu(answer, golds) == pytest.approx(expected, abs=1e-12), (answer, golds)
        expected = sacrebleu.sentence_chrf(answer, golds).score / 100
        assert chrf(answer, golds) == pytest.approx(expected, abs=1e-12), (answer, golds)


@pytest.mark.parametrize("language", TEXTS)
def test_corpus_bleu_and_chrf_equal_sacrebleu(language: str) -> None:
    randoms = random.Random(language)
    golds = [[changed(text, randoms) for _ in range(2)] for text in TEXTS[language] * 5]
    answers = [changed(text, randoms) for text in TEXTS[language] * 5]
    streams = [list(stream) for stream in zip(*golds, strict=True)]
    expected = sacrebleu.corpus_bleu(answers, streams).score / 100
    assert 0.1 < expected < 1
    assert corpus_bleu(answers, golds) == pytest.approx(expected, abs=1e-12)
    expected = sacrebleu.corpus_chrf(answers, streams).score / 100
    assert corpus_chrf(answers, golds) == pytest.approx(expected, abs=1e-12)


def test_golds_may_differ_in_number() -> None:
    golds = [["the cat sat on the mat", "a cat sat on a mat"], ["the dog barked at the moon"]]
    answers = ["the cat sat on a mat", "a dog barked at the moon"]
    streams: Any = [["the cat sat on the mat", "the dog barked at the moon"],
                    ["a cat sat on a mat", None]]  # fmt: skip
    expected = sacrebleu.BLEU().corpus_score(answers, streams).score / 100
    assert corpus_bleu(answers, golds) == pytest.approx(expected)


def test_golds_shorter_than_an_n_gram_equal_sacrebleu() -> None:
    answers, golds = ["abcdefgh", "a b c d e f g h", "x"], ["ab", "abcd", "xyz"]
    expected = sacrebleu.corpus_chrf(answers, [golds]).score / 100
    assert corpus_chrf(answers, [[gold] for gold in golds]) == pytest.approx(expected, abs=1e-12)


def test_bleu_by_hand() -> None:
    # 1-grams 5 of 6 (the, cat, on, the, mat), 2-grams 3 of 5, 3-grams 1 of 4, none of 3 4-grams,
    # which smoothing counts as half of one.
    expected = ((5 / 6) * (3 / 5) * (1 / 4) * (0.5 / 3)) ** (1 / 4)
    assert bleu("the cat lay on the mat", ["the cat sat on the mat"]) == pytest.approx(expected)
    # Too short by half: exp(1 - 4 / 2). Only 1- and 2-grams are there to count.
    assert bleu("a b", ["a b c d"]) == pytest.approx(0.36787944117144233)
    assert corpus_bleu(["a b"], [["a b c d"]]) == 0.0  # a corpus without any 4-gram


def test_chrf_by_hand() -> None:
    # "ab" and "abc": 1-grams 2 of 2 and of 3, 2-grams 1 of 1 and of 2; longer ones are not in both.
    precision, recall = 1.0, (2 / 3 + 1 / 2) / 2
    assert chrf("ab", ["a b c"]) == pytest.approx(5 * precision * recall / (4 * precision + recall))


def test_chrf_of_very_short_and_unusual_texts_equals_sacrebleu() -> None:
    texts = [
        "",
        "a",
        "ab",
        "abc",
        "abcd",
        "aaaaaaa",
        "aaaaaaaaaa",
        "\U0010ffff\U0010fffe",
        "漢字仮名",
        " a b ",
    ]
    for answer in texts:
        for gold in texts:
            expected = sacrebleu.sentence_chrf(answer, [gold]).score / 100
            assert chrf(answer, [gold]) == pytest.approx(expected, abs=1e-12), (answer, gold)
    assert chrf("\ud800x", ["\ud800x"]) == 1.0  # half a character, as broken files have it


# --- ROUGE


@pytest.mark.parametrize("stem", [False, True])
def test_rouge_equals_rouge_score_on_ascii(stem: bool) -> None:
    class Tokenizer:
        """Words as the package cuts them, with the stemmer that llar has."""

        def tokenize(self, text: str) -> list[str]:
            found = re.findall("[a-z0-9]+", text.lower())
            if not stem:
                return found
            return [english.stemWord(w) if len(w) > 3 else w for w in found]

    english = Stemmer.Stemmer("english", 0)
    names = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    plain = rouge_scorer.RougeScorer(names, tokenizer=Tokenizer() if stem else None)
    for answer, golds in cases(ASCII, 200):
        found = rouge(answer, golds, stem=stem)
        expected = plain.score_multi(golds, answer)
        for name in names:
            assert found[name] == pytest.approx(expected[name].fmeasure, abs=1e-12), (answer, golds)


def test_rouge_of_lines_with_many_repeated_words_equals_rouge_score() -> None:
    """Which of several longest common subsequences is taken decides ROUGE-Lsum."""
    randoms = random.Random(2)
    scorer = rouge_scorer.RougeScorer(["rougeL", "rougeLsum"])
    for _ in range(400):
        one, two = (
            "\n".join(" ".join(randoms.choices("abc", k=randoms.randint(0, 6))) for _ in range(3))
            for _ in range(2)
        )
        expected, found = scorer.score(two, one), rouge(one, [two])
        assert found["rougeL"] == pytest.approx(expected["rougeL"].fmeasure)
        assert found["rougeLsum"] == pytest.approx(expected["rougeLsum"].fmeasure), (one, two)


def test_rouge_by_hand_in_four_languages() -> None:
    # Of 4 and 3 words 3 are shared, 1 pair of 3 and of 2, and 2 in order.
    cases = {
        "es": ("la información llegó mañana", "mañana la información"),
        "ca": ("el col·legi és gran", "gran el col·legi"),
        "hu": ("két őszi ünnep volt", "volt két őszi"),
        "en": ("two autumn feasts were", "were two autumn"),
    }
    for language, (answer, gold) in cases.items():
        found = rouge(answer, [gold], language=language)
        assert found["rouge1"] == pytest.approx(2 * 3 / (4 + 3))
        assert found["rouge2"] == pytest.approx(2 * 1 / (3 + 2))
        assert found["rougeL"] == found["rougeLsum"] == pytest.approx(2 * 2 / (4 + 3))


def test_the_packages_words_end_at_accents_and_ours_do_not() -> None:
    theirs = rouge_scorer.RougeScorer(["rouge1"]).score("ñandú", "ñu")["rouge1"].fmeasure
    assert theirs == 0.0 == rouge("ñu", ["ñandú"])["rouge1"]
    theirs = rouge_scorer.RougeScorer(["rouge1"]).score("está", "estó")["rouge1"].fmeasure
    assert theirs == 1.0  # "est" and "est"
    assert rouge("estó", ["está"])["rouge1"] == 0.0


def test_stems_are_the_languages_own() -> None:
    assert rouge("las canciones", ["la canción"], language="es", stem=True)["rouge1"] == 0.5
    assert rouge("las canciones", ["la canción"], language="es")["rouge1"] == 0.0
    assert rouge("könyveket", ["könyvek"], language="hu", stem=True)["rouge1"] == 1.0
    assert rouge("könyveket", ["könyvek"], language="xx", stem=True)["rouge1"] == 0.0


def test_each_key_takes_its_own_best_gold() -> None:
    # Against the first gold all words, no pair; against the second one pair of two.
    found = rouge("a b c", ["c b a", "x b c"])
    assert found["rouge1"] == 1.0
    assert found["rouge2"] == 0.5


# --- METEOR


class NoSynonyms:
    """In the place of WordNet."""

    def synsets(self, _: str) -> list[str]:
        return []


class Stems:
    def __init__(self, algorithm: str) -> None:
        self._stemmer = Stemmer.Stemmer(algorithm)

    def stem(self, word: str) -> str:
        stemmed: str = self._stemmer.stemWord(word)
        return stemmed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "algorithm"),
    [("en", "english"), ("es", "spanish"), ("ca", "catalan"), ("hu", "hungarian")],
)
def test_meteor_equals_nltk(language: str, algorithm: str) -> None:
    from nltk.translate.meteor_score import meteor_score  # brings half of scipy and scikit-learn

    for answer, golds in cases(list(TEXTS[language]), 80):
        expected = meteor_score(
            [words(gold) for gold in golds],
            words(answer),
            stemmer=Stems(algorithm),
            wordnet=NoSynonyms(),
        )
        assert meteor(answer, golds, language=language) == pytest.approx(expected, abs=1e-12)


def test_meteor_by_hand() -> None:
    # 2 of 3 words and of 4 match, in two chunks: the penalty is half of 1.
    mean = (2 / 3) * (2 / 4) / (0.9 * 2 / 3 + 0.1 * 2 / 4)
    assert meteor("cat x sat", ["the cat has sat"]) == pytest.approx(mean * 0.5)
    # The same words in one chunk of two: half of (1/2)^3.
    assert meteor("cat sat", ["cat sat"]) == pytest.approx(1 - 0.5 / 8)


def test_meteor_with_stems_and_synonyms() -> None:
    assert meteor("canciones", ["canción"], language="es") == 0.5  # one chunk of one word
    assert meteor("canciones", ["canción"], language="en") == 0.0
    near = {"physician": frozenset({"doctor", "medic"})}

    def same(word: str) -> frozenset[str]:
        return near.get(word, frozenset())

    assert meteor("physician", ["doctor"]) == 0.0
    assert meteor("physician", ["doctor"], synonyms=same) == 0.5
    found = meteor("the physician left", ["the doctor left"], synonyms=same)
    assert found == meteor("the doctor left", ["the doctor left"])


# --- edges, all measures


@pytest.mark.parametrize("language", TEXTS)
def test_identical_texts(language: str) -> None:
    for text in TEXTS[language]:
        found = scores(text, [text, "something else"], language=language)
        chunk = found.pop("meteor")  # 1 less half of (1 / words)^3
        assert chunk == pytest.approx(1 - 0.5 / len(words(text)) ** 3)
        assert found == pytest.approx(dict.fromkeys(found, 1.0))


def test_empty_texts() -> None:
    nothing = dict.fromkeys(scores("a", ["b"]), 0.0)
    assert scores("", ["a gold answer"]) == nothing
    assert scores("...", ["a gold answer"]) == nothing
    for measure in (bleu, chrf, meteor):
        assert measure("an answer", [""]) == measure("", [""]) == 0.0
    assert set(rouge("", [""]).values()) == {0.0}


def test_a_typed_accent_is_the_same_composed_or_not() -> None:
    text = "¿Cuántos niños comieron piña según el médico?"
    apart = unicodedata.normalize("NFD", text)
    assert apart != text
    assert scores(apart, [text], language="es") == scores(text, [text], language="es")
    assert bleu("l̥", ["l̥"]) == 1.0  # one without a composed form
    assert words("l̥a") == ["l̥a"]


def test_no_gold_is_an_error() -> None:
    for measure in (bleu, chrf, meteor, rouge):
        with pytest.raises(EvaluationError, match="no gold answer"):
            measure("an answer", [])
    for whole in (corpus_bleu, corpus_chrf):
        with pytest.raises(EvaluationError, match="2 answers and 1 lists"):
            whole(["a", "b"], [["c"]])
        with pytest.raises(EvaluationError, match="at least one answer"):
            whole([], [])
