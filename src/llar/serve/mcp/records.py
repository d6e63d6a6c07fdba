"""What the tools take and give, as their JSON schemas say it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

LONGEST_QUESTION = 8_000  # characters
LONGEST_TEXT = 50_000  # characters of a document given at once

Name = Annotated[str, Field(min_length=1, max_length=64, description="name of the collection")]
Filters = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=500)]],
    Field(
        max_length=20,
        description="conditions on documents, all of which must hold: KEY=VALUE, also with"
        " != > >= < <= and ~ (contains). Keys: title, author, language, format, year, date, path,"
        " and the collection's own, such as kind. Example: year>=2023",
    ),
]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Nothing(_Asked):
    """No arguments."""


class Search(_Asked):
    """A search."""

    collection: Name
    question: str = Field(
        min_length=1,
        max_length=LONGEST_QUESTION,
        description="what is looked for, in plain words; any language of the documents",
    )
    k: int = Field(8, ge=1, le=50, description="how many passages")
    mode: Literal["hybrid", "dense", "lexical"] | None = Field(
        None, description="by words and meaning, by meaning, or by words; hybrid unless configured"
    )
    filters: Filters = []


class Ask(_Asked):
    """A question."""

    collection: Name
    question: str = Field(
        min_length=1,
        max_length=LONGEST_QUESTION,
        description="one question that stands for itself; earlier ones are not known",
    )
    filters: Filters = []


class GetDocument(_Asked):
    """Which part of which document."""

    collection: Name
    document_id: int = Field(ge=0, lt=2**53, description="as a passage or list names it")
    page: int | None = Field(None, ge=1, lt=2**31, description="only this page, counted from 1")
    start: int | None = Field(
        None, ge=0, lt=2**53, description="first character wanted, counted from 0; not with page"
    )
    end: int | None = Field(
        None, ge=0, lt=2**53, description="the one behind the last wanted; not with page"
    )


class ListDocuments(_Asked):
    """Which documents of a collection."""

    collection: Name
    text: str = Field("", max_length=500, description="only those with this in path or title")
    start: int = Field(0, ge=0, lt=2**53, description="how many to skip")
    limit: int = Field(50, ge=1, le=200, description="how many to list")


class CollectionAbout(_Given):
    """One collection."""

    name: str
    documents: int
    passages: int
    languages: dict[str, int] = Field(
        description="documents by language (ISO 639-1), under unknown where it is not known"
    )


class Collections(_Given):
    """The collections that may be read."""

    collections: list[CollectionAbout]


class Place(_Given):
    """A place in a document."""

    document_id: int
    name: str = Field(description="the document's title, or its file's name")
    path: str
    page: int | None = Field(description="counted from 1; null where the format has no pages")
    start: int = Field(description="first character in the document's text, counted from 0")
    end: int = Field(description="the one behind the last")
    uri: str = Field(description="the resource with the text of that page or document")


class Passage(Place):
    """A passage that was found. `text` stands so in the document."""

    headings: list[str]
    text: str
    score: float | None


class Found(_Given):
    """What a search found, best first."""

    passages: list[Passage]
    computed: list[str] = Field(description="worked out from tables, where that was asked")


class Quote(Place):
    """A citation: `quote` is verbatim, the document's text from start to end."""

    n: int = Field(description="the number that stands as [n] in the answer")
    quote: str


class Answered(_Given):
    """An answer in which every sentence is supported by a quote, or that there is none."""

    answer: str = Field(description="with [n] behind each sentence")
    abstained: bool = Field(description="true: the documents do not say it")
    citations: list[Quote]
    left_out: int = Field(description="sentences of the model that no passage supports")
    model: str


class Text(_Given):
    """A part of a document's text, as Markdown where its format has structure."""

    document_id: int
    name: str
    path: str
    format: str
    language: str | None
    pages: int = Field(description="0 where the format has none")
    characters: int = Field(description="of the whole document")
    page: int | None
    start: int
    end: int
    next: int | None = Field(description="the start to ask for next; null at the end")
    text: str


class Listed(_Given):
    """One document of a list."""

    document_id: int
    name: str
    path: str
    format: str
    language: str | None
    uri: str


class Documents(_Given):
    """Some documents of a collection, by path."""

    documents: list[Listed]
    total: int = Field(description="how many there are in all")
