"""Definitions and references in source code, by tree-sitter's grammars, and words in identifiers.

Broken source is read as far as it goes: what the grammar makes no sense of is passed over.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from tree_sitter import Node, Query, Tree

__all__ = [
    "Definition",
    "Reference",
    "Source",
    "inner_words",
    "language_of",
    "parse",
    "references",
    "subwords",
]

Kind = Literal["class", "function", "type", "module"]

DEEPEST = 8  # levels that are looked through for a node that begins a line
MOST_BYTES = 8 << 20  # a tree takes some 20 times the memory of its text

# What the programming language is called -> module and function of its grammar.
GRAMMARS = {
    "bash": ("tree_sitter_bash", "language"),
    "c": ("tree_sitter_c", "language"),
    "c++": ("tree_sitter_cpp", "language"),
    "c#": ("tree_sitter_c_sharp", "language"),
    "go": ("tree_sitter_go", "language"),
    "java": ("tree_sitter_java", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "php": ("tree_sitter_php", "language_php"),
    "python": ("tree_sitter_python", "language"),
    "ruby": ("tree_sitter_ruby", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
}
_ARROWS = (
    "(lexical_declaration (variable_declarator value: [(arrow_function) (function_expression)]))"
    " (variable_declaration (variable_declarator value: [(arrow_function) (function_expression)]))"
)
_JAVASCRIPT = {
    "class": "(class_declaration)",
    "function": "(function_declaration) (generator_function_declaration) (method_definition) "
    + _ARROWS,
}
_TYPESCRIPT = {
    "class": "(class_declaration) (abstract_class_declaration) (interface_declaration)",
    "function": _JAVASCRIPT["function"] + " (function_signature)",
    "type": "(type_alias_declaration) (enum_declaration)",
    "module": "(internal_module) (module)",
}
_C = {
    "function": "(function_definition) (preproc_function_def)",
    "type": "(struct_specifier body: (_)) (union_specifier body: (_)) (enum_specifier body: (_))"
    " (type_definition)",
}
# Programming language -> kind -> patterns of the nodes that define one.
DEFINITIONS: dict[str, dict[str, str]] = {
    "bash": {"function": "(function_definition)"},
    "c": _C,
    "c++": _C | {"class": "(class_specifier body: (_))", "module": "(namespace_definition)"},
    "c#": {
        "class": "(class_declaration) (interface_declaration) (struct_declaration)"
        " (record_declaration)",
        "function": "(method_declaration) (constructor_declaration) (property_declaration)"
        " (operator_declaration)",
        "type": "(enum_declaration) (delegate_declaration)",
        "module": "(namespace_declaration)",
    },
    "go": {
        "function": "(function_declaration) (method_declaration)",
        "type": "(type_declaration)",
    },
    "java": {
        "class": "(class_declaration) (interface_declaration) (record_declaration)"
        " (enum_declaration) (annotation_type_declaration)",
        "function": "(method_declaration) (constructor_declaration)",
    },
    "javascript": _JAVASCRIPT,
    "php": {
        "class": "(class_declaration) (interface_declaration) (trait_declaration)"
        " (enum_declaration)",
        "function": "(function_definition) (method_declaration)",
        "module": "(namespace_definition body: (_))",
    },
    "python": {"class": "(class_definition)", "function": "(function_definition)"},
    "ruby": {
        "class": "(class)",
        "function": "(method) (singleton_method)",
        "module": "(module)",
    },
    "rust": {
        "class": "(impl_item) (trait_item)",
        "function": "(function_item) (macro_definition)",
        "type": "(struct_item) (enum_item) (union_item) (type_item)",
        "module": "(mod_item body: (_))",
    },
    "tsx": _TYPESCRIPT,
    "typescript": _TYPESCRIPT,
}
_WRAPPERS = frozenset(
    ("decorated_definition", "export_statement", "template_declaration", "ambient_declaration",
     "expression_statement")
)  # fmt: skip
_LEADING = frozenset(
    ("comment", "line_comment", "block_comment", "attribute_item", "attribute_list")
)
_NAMES = frozenset(
    ("identifier", "type_identifier", "property_identifier", "field_identifier", "constant", "name",
     "word", "namespace_identifier", "scoped_identifier", "qualified_identifier",
     "nested_identifier",
     "operator_name", "destructor_name", "qualified_name", "generic_type", "string")
)  # fmt: skip
_LEAVES = (
    "identifier", "type_identifier", "property_identifier", "field_identifier", "constant", "name",
    "word", "shorthand_property_identifier",
)  # fmt: skip
_SEPARATOR = re.compile(r"::|\.|\\")
_IDENTIFIER = re.compile(r"[^\W\d]\w*")
_CAMEL = re.compile(r"[a-z\d][A-Z]|[A-Z]{2}[a-z]")
_RUN = re.compile(r"[^\W_]+")


@dataclass(slots=True)
class Definition:
    """A class, function, type or module: where it is, comments and decorators above it included.

    `path` are the names of what it is in, from the outside, and its own. `inner` are the
    definitions in it; those inside functions are not looked at.
    """

    name: str
    kind: Kind
    start: int
    end: int
    path: tuple[str, ...]
    inner: list[Definition] = field(default_factory=list)
    node: Node | None = field(default=None, repr=False, compare=False)  # of the grammar's tree


@dataclass(frozen=True, slots=True)
class Reference:
    """An identifier as it is used somewhere; `start` and `end` are places in the text."""

    name: str
    start: int
    end: int


@dataclass(slots=True)
class Source:
    """A parsed text: its definitions, and where statements begin."""

    definitions: list[Definition]
    tree: Tree
    places: Callable[[int], int]  # from a place in the bytes to the one in the text

    def statements(self, node: Node) -> list[tuple[int, Node]]:
        """The nodes in this one that begin a line, those nearest below it, with their places."""
        level = [node]
        for _ in range(DEEPEST):
            level = [child for held in level for child in held.children]
            row = node.start_point[0]
            found = []
            for child in level:
                if child.start_point[0] > row:
                    row = child.start_point[0]
                    found.append((self.places(child.start_byte), child))
            if found or not level:
                return found
        return []


def language_of(programming_language: str, file: str) -> str | None:
    """The grammar for a document, None where there is none."""
    if programming_language == "typescript" and file.lower().endswith(".tsx"):
        return "tsx"
    return programming_language if programming_language in GRAMMARS else None


def parse(text: str, language: str) -> Source | None:
    """The definitions in a text; None for one that is too large to parse in memory."""
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > MOST_BYTES:
        return None
    tree = _parser(language)(data)
    places = _places(text, data)
    return Source(_definitions(tree, data, language, places), tree, places)


def references(text: str, language: str, names: Sequence[str]) -> list[Reference]:
    """The places of a text where these identifiers stand, in order."""
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > MOST_BYTES:
        return []
    tree = _parser(language)(data)
    places = _places(text, data)
    wanted = {name.encode("utf-8", "surrogatepass") for name in names}
    found = [
        Reference(
            node.text.decode("utf-8", "surrogatepass"),
            places(node.start_byte),
            places(node.end_byte),
        )
        for node in _captured(_leaf_query(language), tree)
        if node.text in wanted
    ]
    return sorted(found, key=lambda r: r.start)


def subwords(identifier: str) -> list[str]:
    """The words in an identifier: parseHTTPHeader and parse_http_header are three words each."""
    words = []
    for run in _RUN.findall(identifier):
        at = 0
        for i in range(1, len(run)):
            before, here, after = run[i - 1], run[i], run[i + 1 : i + 2]
            capital = here.isupper() and (not before.isupper() or after.islower())
            if (capital and not before.isdigit()) or before.isdigit() != here.isdigit():
                words.append(run[at:i].casefold())
                at = i
        words.append(run[at:].casefold())
    return words


def inner_words(code: str) -> str:
    """The words in the identifiers of a text whose words are told apart by capitals alone."""
    mixed = (name for name in _IDENTIFIER.findall(code) if _CAMEL.search(name))
    return " ".join(word for name in mixed for word in subwords(name) if len(word) > 1)


@cache
def _parser(language: str) -> Callable[[bytes], Tree]:
    from tree_sitter import Parser

    return Parser(_language(language)).parse


@cache
def _language(language: str):  # type: ignore[no-untyped-def]  # a type of an optional import
    from tree_sitter import Language

    module, function = GRAMMARS[language]
    return Language(getattr(importlib.import_module(module), function)())


@cache
def _query(language: str) -> Query:
    from tree_sitter import Query

    patterns = " ".join(
        re.sub(r"\)(?= \(|$)", f") @{kind}", listed)
        for kind, listed in DEFINITIONS[language].items()
    )
    return Query(_language(language), patterns)


@cache
def _leaf_query(language: str) -> Query:
    from tree_sitter import Query

    known = _language(language)
    types = [t for t in _LEAVES if known.id_for_node_kind(t, True)]
    return Query(known, " ".join(f"({t}) @use" for t in types))


def _captured(query: Query, tree: Tree) -> list[Node]:
    from tree_sitter import QueryCursor

    return [
        node for nodes in QueryCursor(query).captures(tree.root_node).values() for node in nodes
    ]


def _places(text: str, data: bytes) -> Callable[[int], int]:
    """From a place in the bytes to the one in the text."""
    if len(data) == len(text):
        return lambda place: place
    begins = (np.frombuffer(data, np.uint8) & 0xC0) != 0x80
    before = np.concatenate([[0], np.cumsum(begins)])
    return lambda place: int(before[place])


def _definitions(
    tree: Tree, data: bytes, language: str, places: Callable[[int], int]
) -> list[Definition]:
    from tree_sitter import QueryCursor

    captured = QueryCursor(_query(language)).captures(tree.root_node)
    nodes = sorted(
        ((node, kind) for kind, held in captured.items() for node in held),
        key=lambda found: (found[0].start_byte, -found[0].end_byte),
    )
    top: list[Definition] = []
    open_: list[tuple[int, Definition]] = []  # end in bytes, definition
    for node, kind in nodes:
        name = _name(node, data)
        while open_ and node.start_byte >= open_[-1][0]:
            open_.pop()
        if not name or any(held.kind in ("function", "type") for _, held in open_):
            continue
        start, end = _span(node, data)
        above = open_[-1][1] if open_ else None
        parts = [*_receiver(node, data), *_SEPARATOR.split(name)]
        path = (*(above.path if above else ()), *(part for part in parts if part))
        siblings = above.inner if above else top
        begin = max(places(start), siblings[-1].end if siblings else 0, above.start if above else 0)
        made = Definition(path[-1], kind, begin, places(end), path, node=node)  # type: ignore[arg-type]
        siblings.append(made)
        open_.append((node.end_byte, made))
    return top


def _name(node: Node, data: bytes) -> str:
    """What a node defines; of C's declarators, the innermost name."""
    found = node.child_by_field_name("name") or node.child_by_field_name("type")
    if node.type == "impl_item":
        found = node.child_by_field_name("type")
    if node.type in ("type_definition", "function_definition") and found is not None:
        declared = node.child_by_field_name("declarator")
        found = _declared(declared) if declared is not None else found
    if node.type == "type_declaration" and node.named_children:
        found = node.named_children[0].child_by_field_name("name")
    if node.type in ("lexical_declaration", "variable_declaration") and node.named_children:
        found = node.named_children[0].child_by_field_name("name")
    if found is None and (declarator := node.child_by_field_name("declarator")) is not None:
        found = _declared(declarator)
    if found is None:
        return ""
    text = data[found.start_byte : found.end_byte].decode("utf-8", "surrogatepass")
    return " ".join(text.split())[:200]


def _receiver(node: Node, data: bytes) -> list[str]:
    """The type that a method in Go is of."""
    held = node.child_by_field_name("receiver") if node.type == "method_declaration" else None
    text = data[held.start_byte : held.end_byte].decode("utf-8", "replace") if held else ""
    return re.findall(r"\w+", text.partition("[")[0])[-1:]


def _declared(node: Node) -> Node | None:
    while (inner := node.child_by_field_name("declarator")) is not None:
        node = inner
    if node.type in _NAMES:
        return node
    return next((c for c in node.named_children if c.type in _NAMES), None)


def _span(node: Node, data: bytes) -> tuple[int, int]:
    """Where a definition is, with its decorators, exports and the comments right above it."""
    while node.parent is not None and node.parent.type in _WRAPPERS:
        node = node.parent
    first = node
    before = node.prev_sibling
    while before is not None and before.type in _LEADING:
        gap = data[before.end_byte : first.start_byte].count(b"\n")
        line = data.rfind(b"\n", 0, before.start_byte) + 1
        if gap > 1 or data[line : before.start_byte].strip():
            break
        first, before = before, before.prev_sibling
    return first.start_byte, node.end_byte
