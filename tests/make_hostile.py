"""Writes folders of files that are hostile or unlucky, and knows what may become of each.

Beside the bad files of every folder lies a good one: it must be found afterwards.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import socket
import string
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from itertools import count
from pathlib import Path

from make_files import docx_bomb, minimal_docx

MIB = 1 << 20
_number = count(random.SystemRandom().randrange(1 << 20))


@dataclass(slots=True)
class Made:
    """What was written. Every path stands in one of the three, by its absolute path."""

    good: dict[str, str] = field(default_factory=dict)  # path -> a word of it alone
    bad: set[str] = field(default_factory=set)  # one line for each
    either: set[str] = field(default_factory=set)  # read, or one line

    def write(self, path: Path, text: str = "The boat is called {}.") -> None:
        """A good file; `{}` in the text becomes its word."""
        word = new_word()
        path.write_text(text.replace("{}", word), encoding="utf-8")
        self.good[str(path)] = word


def new_word() -> str:
    """A word of no language without an ending, different in every call."""
    number = next(_number) % 16**6
    letters = string.ascii_lowercase[:16]
    return "zq" + "".join(letters[(number >> shift) & 15] for shift in range(20, -1, -4)) + "x"


def zip_bombs(folder: Path, made: Made) -> None:
    """Archives and office files of some kilobytes that unpack to gigabytes."""
    zeros = bytes(MIB)
    with (
        zipfile.ZipFile(folder / "zeros.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("zeros.txt", "w", force_zip64=True) as part,
    ):
        for _ in range(1024):
            part.write(zeros)
    inner = _zip({"zeros.txt": bytes(10 * MIB)})
    for _ in range(5):
        inner = _zip({f"{n}.zip": inner for n in range(16)})
    (folder / "nested.zip").write_bytes(inner)
    (folder / "overlapping.zip").write_bytes(_overlapping(bytes(20 * MIB), 2_000))
    (folder / "entries.zip").write_bytes(_zip({f"{n}.txt": b"" for n in range(60_000)}))
    with gzip.open(folder / "zeros.txt.gz", "wb") as gz:
        for _ in range(1024):
            gz.write(zeros)
    (folder / "zeros.bz2").write_bytes(bz2.compress(zeros * 16) * 64)
    (folder / "zeros.xz").write_bytes(lzma.compress(zeros * 64, preset=0) * 16)
    header = tarfile.TarInfo("large.txt")
    header.size = 8 << 30
    (folder / "claims.tar").write_bytes(header.tobuf() + b"short")
    docx_bomb(folder / "bomb.docx", 1024)
    for path in folder.iterdir():
        made.bad.add(str(path))


def xml_bombs(folder: Path, made: Made) -> None:
    """Entities that expand to gigabytes, in every format that holds XML."""
    laughs = '<!DOCTYPE d [<!ENTITY a0 "ha ha ha ">' + "".join(
        f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)
    ) + "]>"  # fmt: skip
    quadratic = f'<!DOCTYPE d [<!ENTITY a "{"long " * 20_000}">]>'
    body = "<w:p><w:r><w:t>&a9;</w:t></w:r></w:p>"
    minimal_docx(folder / "laughs.docx", body, before=laughs)
    minimal_docx(
        folder / "quadratic.docx", f"<w:p><w:r><w:t>{'&a;' * 20_000}</w:t></w:r></w:p>", quadratic
    )
    for kind in ("text", "spreadsheet"):
        path = folder / f"laughs.{'odt' if kind == 'text' else 'ods'}"
        parts = {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}".encode(),
            "content.xml": (laughs + "<office>&a9;</office>").encode(),
        }
        path.write_bytes(_zip(parts))
    (folder / "laughs.xml").write_text(laughs + "<d>&a9;</d>")
    (folder / "laughs.svg").write_text("<?xml version='1.0'?>" + laughs + "<svg>&a9;</svg>")
    made.bad |= {str(path) for path in folder.iterdir()}
    (folder / "laughs.html").write_text(laughs + "<html><p>&a9;</p></html>")
    made.either.add(str(folder / "laughs.html"))


def _packed(data: bytes, times: int) -> bytes:
    """`data`, repeated, as zlib packs it; it is packed once."""
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH)  # refers to nothing before it
    check = 1
    for _ in range(times):
        check = zlib.adler32(data, check)
    return b"\x78\xda" + block * times + packer.flush() + check.to_bytes(4, "big")


def pdf_bombs(folder: Path, made: Made) -> None:
    """PDFs that unpack, recurse or claim without end."""
    packed = _packed(b"0 0 m 9 9 l S\n" * (MIB // 14), 2_048)
    flate = b"/Filter /FlateDecode"
    twice = b"/Filter [/FlateDecode /FlateDecode]"
    files = {
        "lines.pdf": _pdf(_stream(packed, flate)),
        "twice.pdf": _pdf(_stream(zlib.compress(packed, 9), twice)),
        "huge_page.pdf": _pdf(_stream(b""), box=b"0 0 1000000000 1000000000"),
        "picture.pdf": _pdf(
            _stream(b"9 0 0 9 0 0 cm /X0 Do"),
            _stream(
                zlib.compress(bytes(8 * MIB), 9),
                flate + b"/Subtype /Image /Width 100000 /Height 100000 /BitsPerComponent 8"
                b" /ColorSpace /DeviceRGB",
            ),
        ),
        "forms.pdf": _pdf(
            _stream(b"/X0 Do"),
            *(
                _stream(
                    f"/X{n + 1} Do ".encode() * 10 if n < 11 else b"0 0 9 9 re f",
                    b"/Subtype /Form /BBox [0 0 99 99] /Resources << /XObject <<"
                    + f"/X{n + 1} {n + 6} 0 R".encode() * (n < 11) + b">> >>",
                )
                for n in range(12)
            ),
        ),
    }  # fmt: skip
    for name, data in files.items():
        (folder / name).write_bytes(data)
        made.either.add(str(folder / name))
    loop = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [2 0 R] /Count 9 >>"]
    deep = [b"<< /Type /Catalog /Pages 2 0 R >>"] + [
        f"<< /Type /Pages /Kids [{n + 3} 0 R] /Count 1 >>".encode() for n in range(50_000)
    ]
    deep.append(b"<< /Type /Page /MediaBox [0 0 99 99] >>")
    arrays = [b"<< /Type /Catalog /Pages 2 0 R /X " + b"[" * 200_000 + b"]" * 200_000 + b" >>"]
    for name, objects in (("loop.pdf", loop), ("deep.pdf", deep), ("arrays.pdf", arrays)):
        (folder / name).write_bytes(_objects(objects))
        made.either.add(str(folder / name))


def deep(folder: Path, made: Made) -> None:
    """Folders, archives, JSON, HTML, Markdown, RTF, mail and tables inside themselves."""
    inner = _zip({"a.txt": b"In the middle."})
    for n in range(10):
        inner = _zip({f"{n}.zip": inner})
    (folder / "archives.zip").write_bytes(inner)
    made.bad.add(str(folder / "archives.zip"))
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@b.c", "d@e.f", "Inside"
    mail.set_content("Hello.")
    letter = mail.as_bytes()
    for n in range(300):
        around = f"From: a@b.c\nTo: d@e.f\nSubject: {n}\nMIME-Version: 1.0\n"
        letter = (around + "Content-Type: message/rfc822\n\n").encode() + letter
    table = "<w:p/>"
    for _ in range(600):
        table = f"<w:tbl><w:tr><w:tc>{table}</w:tc></w:tr></w:tbl><w:p/>"
    minimal_docx(folder / "tables.docx", table)
    written = {
        "lists.json": "[" * 100_000 + "]" * 100_000,
        "objects.json": '{"a":' * 100_000 + "1" + "}" * 100_000,
        "divs.html": "<html><body>" + "<div>" * 100_000 + "Inside" + "</div>" * 100_000,
        "tables.html": "<html><body>" + "<table><tr><td>" * 5_000 + "Inside",
        "quotes.md": ">" * 20_000 + " Inside",
        "lists.md": "".join("  " * n + "- a\n" for n in range(1_000)),
        "brackets.md": "[" * 10_000 + "a" + "](b)" * 10_000,
        "groups.rtf": "{\\rtf1 " + "{" * 200_000 + "Inside" + "}" * 200_000 + "}",
        "letters.eml": letter.decode(),
        "front.md": "---\na: " + "[" * 10_000 + "]" * 10_000 + "\n---\nInside",
    }
    for name, text in written.items():
        (folder / name).write_text(text)
    made.either |= {str(p) for p in folder.iterdir() if p.name != "archives.zip"}
    _deep_folders(folder, made)


def _deep_folders(folder: Path, made: Made) -> None:
    """A file 100 folders down, and folders until their path is too long to be opened."""
    below = folder / "d"
    for _ in range(100):
        below = below / "d"
    below.mkdir(parents=True)
    made.write(below / "deep.txt")
    # A path has at most 4,096 bytes; relative steps make longer ones, as other programs may.
    name = "f" * 50
    at = os.open(folder, os.O_RDONLY)
    path = str(folder)
    while len(path) + 1 + len(name) < 4_096 + 200:
        os.mkdir(name, dir_fd=at)
        below_it = os.open(name, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at, path = below_it, f"{path}/{name}"
    os.close(at)
    first_unreachable = path
    while len(first_unreachable.rpartition("/")[0]) >= 4_096:
        first_unreachable = first_unreachable.rpartition("/")[0]
    made.bad.add(first_unreachable)


def claims(folder: Path, made: Made) -> None:
    """Small files that claim enormous tables, and pictures that claim enormous sizes."""
    span = (
        '<table:table-cell table:number-columns-repeated="1000000000" office:value="1">'
        "<text:p>a</text:p></table:table-cell>"
    )
    spaces = " ".join(
        f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for short, name in (("office", "office"), ("table", "table"), ("text", "text"))
    )
    sheet = (
        f'<office:document-content {spaces}><office:body><office:spreadsheet><table:table'
        f' table:name="a"><table:table-row table:number-rows-repeated="1000000000">{span}'
        "</table:table-row></table:table></office:spreadsheet></office:body>"
        "</office:document-content>"
    )  # fmt: skip
    kind = b"application/vnd.oasis.opendocument.spreadsheet"
    (folder / "repeated.ods").write_bytes(_zip({"mimetype": kind, "content.xml": sheet.encode()}))
    grid = '<w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val="1000000000"/></w:tcPr><w:p/></w:tc>'
    minimal_docx(folder / "span.docx", grid + "</w:tr></w:tbl><w:p/>")
    cell = '<td colspan="1000000000" rowspan="1000000000">a</td>'
    (folder / "span.html").write_text(f"<html><table>{f'<tr>{cell * 99}</tr>' * 99}</table>")
    (folder / "columns.csv").write_text(",".join(f"column {n}" for n in range(30_000)))
    (folder / "rows.csv").write_text("a,b\n" + ",\n" * 2_000_000)
    (folder / "picture.png").write_bytes(_png(60_000, 60_000))
    (folder / "picture.gif").write_bytes(b"GIF89a\xff\xff\xff\xff\xf7\0\0" + bytes(768) + b"\x3b")
    made.either |= {str(path) for path in folder.iterdir()}


def text_bombs(folder: Path, made: Made) -> None:
    """Plain text that is hard to cut into passages or to search."""
    made.write(
        folder / "headings.md", "# {}\n\n" + "".join(f"# h{n}\n\nb\n\n" for n in range(4_000))
    )
    made.write(folder / "one_line.txt", "{} " + "many words on one line " * 20_000)
    made.write(folder / "path.md", f"# {{}} {'long heading ' * 20_000}\n\n" + "A line.\n\n" * 2_000)
    (folder / "one_word.txt").write_text("a" * MIB)
    (folder / "stops.txt").write_text(". " * (MIB // 4))
    (folder / "marks.txt").write_text("e" + "\u0301" * MIB)
    (folder / "pipes.md").write_text("|" * (MIB // 8) + "\n" + "|-" * (MIB // 8) + "|\n")
    (folder / "nul.txt").write_bytes(b"text" + b"\0" * MIB)
    (folder / "wide.md").write_text(
        "|" + "a|" * 2_000 + "\n|" + "-|" * 2_000 + "\n" + ("|" + "b|" * 2_000 + "\n") * 20
    )
    made.either |= {str(p) for p in folder.iterdir()} - set(made.good)


def sparse(folder: Path, made: Made, size: int = 2 << 30) -> None:
    """Files of gigabytes that hold next to nothing."""
    for name, head in (("a.txt", b"text "), ("a.pdf", b"%PDF-1.7\n"), ("a.zip", b"PK\x03\x04")):
        with (folder / name).open("wb") as file:
            file.write(head)
            file.truncate(size)
        made.bad.add(str(folder / name))


def names(folder: Path, made: Made) -> None:
    """Good and bad files with names of any bytes, and names as long as can be."""
    odd = (b"new\nline", b"bell\x07 \x1b[31mred\x1b]0;t\x07", b"caf\xe9", b"\xff\xfe",
           b"a\rfailed: b", b"'quote\" ; DROP TABLE files", b" ", b"-rf", b"--help",
           b"%s{0}$HOME`id`",
           "e\u0301 \u202e rtl".encode(), b"n" * 240)  # fmt: skip
    for name in odd:
        made.write(Path(os.fsdecode(os.fsencode(folder) + b"/" + name + b".txt")))
        bad = Path(os.fsdecode(os.fsencode(folder) + b"/" + name + b".pdf"))
        bad.write_text("no PDF")
        made.bad.add(str(bad))


def links(folder: Path, made: Made) -> None:
    """Links in circles, to nothing, to devices, and to the folder above; pipes and sockets."""
    inside = folder / "inside"
    inside.mkdir()
    made.write(inside / "a.txt")
    (inside / "up").symlink_to(folder)
    (inside / "here").symlink_to(inside)
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    (folder / "nowhere.txt").symlink_to("nothing.txt")
    (folder / "zero.txt").symlink_to("/dev/zero")
    (folder / "random.txt").symlink_to("/dev/random")
    os.mkfifo(folder / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(folder, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/socket.txt")  # the whole path may be too long for one
        os.close(here)
    whole = {str(inside / "a.txt"), str(inside), str(inside / "up"), str(inside / "here")}
    made.bad |= {str(path) for path in folder.glob("**/*")} - whole


def unreadable(folder: Path, made: Made) -> None:
    """A file and a folder that nobody but the superuser may read."""
    (folder / "secret.txt").write_text("Nobody reads this.")
    (folder / "secret.txt").chmod(0)
    closed = folder / "closed"
    closed.mkdir()
    (closed / "a.txt").write_text("Nobody finds this.")
    closed.chmod(0)
    made.bad |= {str(folder / "secret.txt"), str(closed)}


def many(folder: Path, made: Made, number: int = 100_000) -> None:
    """Tiny files, a thousand to a folder."""
    for n in range(number):
        if n % 1000 == 0:
            (folder / f"{n // 1000:03}").mkdir()
        made.write(folder / f"{n // 1000:03}" / f"{n}.txt", "{} is a boat.")


def long_pdf(folder: Path, made: Made, pages: int = 1_600) -> None:
    """One PDF of many pages of prose, each with a word of its own."""
    from reportlab.pdfgen.canvas import Canvas

    path = folder / "long.pdf"
    canvas = Canvas(str(path))
    for page in range(pages):
        word = new_word()
        for line in range(40):
            text = f"Page {page + 1}, line {line + 1}: the boat {word} sails to harbour {line}."
            canvas.drawString(60, 780 - 17 * line, text)
        canvas.showPage()
    canvas.save()
    made.good[str(path)] = word


CASES: dict[str, Callable[[Path, Made], None]] = {
    "zip bombs": zip_bombs,
    "XML bombs": xml_bombs,
    "PDF bombs": pdf_bombs,
    "deep nesting": deep,
    "enormous claims": claims,
    "hostile text": text_bombs,
    "2 GB sparse files": sparse,
    "odd names": names,
    "links, pipes, devices": links,
    "unreadable": unreadable,
}


def make(folder: Path, case: str) -> Made:
    """Write one case with a good file beside its bad ones."""
    folder.mkdir(parents=True)
    made = Made()
    CASES[case](folder, made)
    made.write(folder / "beside.txt")
    return made


def _zip(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def _overlapping(data: bytes, times: int) -> bytes:
    """A zip whose directory lists its one member again and again."""
    one = _zip({"a.txt": data})
    start = one.index(b"PK\x01\x02")
    end = one.index(b"PK\x05\x06")
    directory = one[start:end] * times
    tail = struct.pack(
        "<4s4H2LH", b"PK\x05\x06", 0, 0, times, times, len(directory), start, 0
    )  # fmt: skip
    return one[:start] + directory + tail


def _stream(data: bytes, about: bytes = b"") -> bytes:
    return b"<< %s /Length %d >> stream\n%s\nendstream" % (about, len(data), data)


def _pdf(content: bytes, *resources: bytes, box: bytes = b"0 0 612 792") -> bytes:
    """A PDF of one page; the resources are X0 and on, as objects 5 and on."""
    named = b" ".join(b"/X%d %d 0 R" % (n, n + 5) for n in range(len(resources)))
    return _objects(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [%s] /Contents 4 0 R"
            b" /Resources << /XObject << %s >> >> >>" % (box, named),
            content,
            *resources,
        ]
    )


def _objects(objects: list[bytes]) -> bytes:
    out = bytearray(b"%PDF-1.7\n")
    places = []
    for number, data in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, data)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer << /Size %d /Root 1 0 R >>\n" % (len(objects) + 1)
    return bytes(out + b"startxref\n%d\n%%%%EOF\n" % table)


def _png(width: int, height: int) -> bytes:
    def part(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))
        )

    packer = zlib.compressobj(9)
    row = bytes(1 + width // 8)
    packed = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">LLBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = (part(b"IHDR", header), part(b"IDAT", packed), part(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def walk(folder: Path) -> Iterator[str]:
    """Every file below a folder, links not followed."""
    for at, _, files in os.walk(folder):
        yield from (os.path.join(at, name) for name in files)
