"""Time to first token and tokens per second of `ask` beside the bare engine, on the same prompts.

    python bench/engine.py [--questions N] [--threads N]

Each question is asked once of llar (search, evidence, prompt, generation, checking) and its prompt,
taken from the answer, once of the bare engine in a process of its own, in turn. Both keep the state
of a prompt's beginning and read its rest for the first time. Goal: 0.95 of the engine's speed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

from indexed import indexed
from peer import DATA, Peer, running, table

import llar
from llar import answer as answering
from llar.models.interface import DEFAULTS, ChatModel, Options, Pieces
from llar.models.llamacpp import model_file
from llar.records import Answer, Completion, Message, to_json


class Watched:
    """A chat model that notes when each piece of text came out of it."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model
        self.name, self.context = model.name, model.context
        self.began = 0.0
        self.came: list[float] = []
        self.text = ""

    def chat(self, messages: Sequence[Message], options: Options = DEFAULTS) -> Completion:
        """The model's own."""
        return self._model.chat(messages, options)

    def stream(self, messages: Sequence[Message], options: Options = DEFAULTS) -> Pieces:
        """The model's own, watched."""
        self.began, self.came, self.text = time.perf_counter(), [], ""
        for piece in self._model.stream(messages, options):
            if piece.text:
                self.came.append(time.perf_counter())
                self.text += piece.text
            yield piece

    def complete(self, prompt: str, options: Options = DEFAULTS) -> Completion:
        """The model's own."""
        return self._model.complete(prompt, options)

    def count_tokens(self, text: str) -> int:
        """The model's own."""
        return self._model.count_tokens(text)

    def count_prompt(self, messages: Sequence[Message]) -> int:
        """The model's own."""
        return self._model.count_prompt(messages)

    def close(self) -> None:
        """The model's own."""
        self._model.close()


Figures = dict[str, list[float]]


def main() -> None:
    """Ask, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=24)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    articles = json.loads((DATA / "qa" / "xquad.en.json").read_text(encoding="utf-8"))["data"]
    texts = [p for article in articles[:12] for p in article["paragraphs"]]
    docs = indexed("engine", {f"{i}.txt": p["context"] for i, p in enumerate(texts)})
    docs.config = replace(docs.config, threads=given.threads)
    questions = [p["qas"][0]["question"] for p in texts[:: len(texts) // (given.questions + 2)]]
    watched = Watched(docs.chat_model())
    ours: Figures = {"first": [], "model": [], "speed": [], "same": []}
    bare: Figures = {"first": [], "speed": []}
    with running("xllamacpp") as engine:
        file = model_file(docs.config, docs.config.chat_model.partition(":")[2])
        asked = {"file": str(file), "context": watched.context, "threads": given.threads}
        engine.ask("load", asked)
        for number, question in enumerate(questions[: given.questions + 2]):
            counted = number >= 2  # the first two warm up
            measure(docs, watched, engine, question, (ours, bare) if counted else None)
    watched.close()
    report(ours, bare, given.threads)


def measure(
    docs: llar.Collection,
    watched: Watched,
    engine: Peer,
    question: str,
    figures: tuple[Figures, Figures] | None,
) -> None:
    """Ask one question of both."""
    start = time.perf_counter()
    answer = _ask(docs, watched, question)
    came = watched.came
    if not answer.prompt or len(came) < 8:  # abstained, or too short to time
        return
    asked = {"messages": to_json(answer.prompt), "tokens": docs.config.max_answer_tokens}
    answered = engine.ask("chat", asked)
    theirs = answered["came"]
    if figures is None:
        return
    ours, bare = figures
    ours["same"].append(answered["text"].startswith(watched.text))
    ours["first"].append(came[0] - start)
    ours["model"].append(came[0] - watched.began)
    bare["first"].append(theirs[0])
    shared = min(len(came), len(theirs))
    ours["speed"].append((shared - 1) / (came[shared - 1] - came[0]))
    bare["speed"].append((shared - 1) / (theirs[shared - 1] - theirs[0]))


def _ask(docs: llar.Collection, watched: Watched, question: str) -> Answer:
    """What `Collection.ask` does, with the watched model."""
    for event in answering.stream(
        question,
        search=lambda q: docs.explain(q, k=8),
        index=docs.index,
        chat=watched,
        embedder=docs.embedder,
        config=docs.config,
    ):
        if isinstance(event, Answer):
            return event
    raise AssertionError("a stream of an answer ends with the answer")


def report(ours: Figures, bare: Figures, threads: int) -> None:
    """Print medians; ratios are medians of each question's own."""
    rows = [
        ("time to first token, from the prompt", "model", "first", "ms"),
        ("time to first token, from the question", "first", "first", "ms"),
        ("tokens/s", "speed", "speed", ""),
    ]
    body = []
    for name, mine, other, unit in rows:
        pairs = list(zip(ours[mine], bare[other], strict=True))
        ratio = statistics.median(o / m if unit else m / o for m, o in pairs)
        scale = 1000 if unit else 1
        a, b = (statistics.median(column) * scale for column in zip(*pairs, strict=True))
        body.append((name, f"{a:.0f} {unit}".strip(), f"{b:.0f} {unit}".strip(), f"{ratio:.3f}"))
    print(f"{len(ours['speed'])} questions, {threads} thread(s), medians\n")
    print(table(("", "llar ask", "bare engine", "llar's share of the speed"), body))
    print(f"\nword for word the same text: {sum(ours['same']):.0f} of {len(ours['same'])}")


if __name__ == "__main__":
    main()
