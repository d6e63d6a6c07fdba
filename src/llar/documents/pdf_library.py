"""PDFium, which liteparse brings along, for what liteparse does not hand out.

Two things: the Info dictionary, and a page's plain characters. The latter show what liteparse
takes for a second drawing of the same text and leaves out though it is not, such as the numerator
of a fraction or a line set very close to the next.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, c_bool, c_char_p, c_double, c_float, c_int, c_ulong, c_void_p
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from .pdf_page import Box

_ENTRIES = ("Title", "Author", "Subject", "Keywords", "CreationDate", "ModDate")
_LONGEST = 65_536  # bytes of one Info entry
_FINE = 100  # device units per point, for exact conversion of coordinates


class _Rectangle(ctypes.Structure):
    _fields_ = [("left", c_float), ("top", c_float), ("right", c_float), ("bottom", c_float)]


_SIGNATURES: dict[str, tuple[object, list[object]]] = {
    "FPDF_LoadDocument": (c_void_p, [c_char_p, c_char_p]),
    "FPDF_CloseDocument": (None, [c_void_p]),
    "FPDF_GetMetaText": (c_ulong, [c_void_p, c_char_p, c_void_p, c_ulong]),
    "FPDF_LoadPage": (c_void_p, [c_void_p, c_int]),
    "FPDF_ClosePage": (None, [c_void_p]),
    "FPDF_GetPageWidthF": (c_float, [c_void_p]),
    "FPDF_GetPageHeightF": (c_float, [c_void_p]),
    "FPDF_PageToDevice": (
        c_int,
        [c_void_p, *[c_int] * 5, c_double, c_double, POINTER(c_int), POINTER(c_int)],
    ),
    "FPDFText_LoadPage": (c_void_p, [c_void_p]),
    "FPDFText_ClosePage": (None, [c_void_p]),
    "FPDFText_CountChars": (c_int, [c_void_p]),
    "FPDFText_GetText": (c_int, [c_void_p, c_int, c_int, c_void_p]),
    "FPDFText_GetCharIndexFromTextIndex": (c_int, [c_void_p, c_int]),
    "FPDFText_GetLooseCharBox": (c_bool, [c_void_p, c_int, POINTER(_Rectangle)]),
}


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The loaded library; None where this build of liteparse does not ship it as a file."""
    spec = find_spec("liteparse")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for file in sorted(Path(folder).glob("*pdfium*")):
            if file.suffix in (".so", ".dylib", ".dll"):
                loaded = ctypes.CDLL(str(file))
                for name, (result, arguments) in _SIGNATURES.items():
                    function = getattr(loaded, name)
                    function.restype, function.argtypes = result, arguments
                loaded.FPDF_InitLibrary()
                return loaded
    return None


class RawDocument:
    """An open PDF. Pages are numbered from 1."""

    def __init__(self, pdfium: ctypes.CDLL, handle: int) -> None:
        self._pdfium = pdfium
        self._handle = handle

    def info(self) -> dict[str, str]:
        """The entries of the Info dictionary that say something."""
        entries: dict[str, str] = {}
        for name in _ENTRIES:
            size = self._pdfium.FPDF_GetMetaText(self._handle, name.encode(), None, 0)
            if not 2 < size < _LONGEST:
                continue
            buffer = ctypes.create_string_buffer(size)
            self._pdfium.FPDF_GetMetaText(self._handle, name.encode(), buffer, size)
            text = buffer.raw[: size - 2].decode("utf-16-le", errors="replace")
            text = " ".join(text.replace("\x00", " ").split())
            if text:
                entries[name] = text
        return entries

    @contextmanager
    def page(self, number: int) -> Iterator[RawPage | None]:
        """One page's characters; None where the page cannot be loaded."""
        page = self._pdfium.FPDF_LoadPage(self._handle, number - 1)
        if not page:
            yield None
            return
        text = self._pdfium.FPDFText_LoadPage(page)
        try:
            yield RawPage(self._pdfium, page, text) if text else None
        finally:
            if text:
                self._pdfium.FPDFText_ClosePage(text)
            self._pdfium.FPDF_ClosePage(page)


class RawPage:
    """The characters of one page in the file's order."""

    def __init__(self, pdfium: ctypes.CDLL, page: int, text: int) -> None:
        self._pdfium = pdfium
        self._page = page
        self._text = text
        count = pdfium.FPDFText_CountChars(text)
        buffer = ctypes.create_string_buffer(2 * max(count, 0) + 2)
        written = pdfium.FPDFText_GetText(text, 0, max(count, 0), buffer)
        units = buffer.raw[: 2 * max(written - 1, 0)]
        self.text = units.decode("utf-16-le", errors="replace")
        if 2 * len(self.text) != len(units):
            # One character per UTF-16 unit, so that offsets count as the library's do.
            self.text = "".join(map(chr, memoryview(units).cast("H")))

    def box(self, offset: int) -> Box | None:
        """Where the character at an offset of `text` stands, in points from the top left."""
        index = self._pdfium.FPDFText_GetCharIndexFromTextIndex(self._text, offset)
        found = _Rectangle()
        if index < 0 or not self._pdfium.FPDFText_GetLooseCharBox(self._text, index, found):
            return None
        x0, y0 = self._place(found.left, found.top)
        x1, y1 = self._place(found.right, found.bottom)
        return min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)

    def _place(self, x: float, y: float) -> tuple[float, float]:
        width = round(self._pdfium.FPDF_GetPageWidthF(self._page) * _FINE)
        height = round(self._pdfium.FPDF_GetPageHeightF(self._page) * _FINE)
        across, down = c_int(), c_int()
        self._pdfium.FPDF_PageToDevice(
            self._page, 0, 0, width, height, 0, x, y, ctypes.byref(across), ctypes.byref(down)
        )
        return across.value / _FINE, down.value / _FINE


@contextmanager
def open_raw(path: Path, password: str | None) -> Iterator[RawDocument | None]:
    """The document through PDFium itself; None where the library or the file cannot be opened."""
    pdfium = library()
    secret = password.encode() if password is not None else None
    handle = pdfium.FPDF_LoadDocument(os.fsencode(path), secret) if pdfium else None
    if pdfium is None or not handle:
        yield None
        return
    try:
        yield RawDocument(pdfium, handle)
    finally:
        pdfium.FPDF_CloseDocument(handle)
