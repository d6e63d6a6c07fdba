"""The GGUF reader against gguf-py and against hostile files."""

from __future__ import annotations

import ctypes
import struct
import time
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import gguf as reference
import pytest

from llar.errors import ModelCorrupt, ModelError, PlanError
from llar.models import gguf
from llar.plan.memory.formats import parse_format
from llar.plan.memory.weights import weights
from llar.plan.shape import Tensor
from llar.plan.shapes.numbers import parse_numbers


def smollm(installed: Path) -> Path:
    return next((installed / "models" / "smollm2-135m-instruct").glob("*.gguf"))


@pytest.mark.slow
def test_the_real_model_as_gguf_py_reads_it(installed: Path) -> None:
    file = smollm(installed)
    theirs = reference.GGUFReader(file)
    ours = gguf.read(file, theirs.fields.keys())
    assert len(ours.tensors) == len(theirs.tensors) == 272
    for mine, other in zip(ours.tensors, theirs.tensors, strict=True):
        assert mine.name == other.name
        assert mine.shape == tuple(int(n) for n in reversed(other.shape))
        assert mine.type == other.tensor_type.name.lower()
        assert (mine.offset, mine.size) == (int(other.data_offset), int(other.n_bytes))
    fields = {k: f for k, f in theirs.fields.items() if not k.startswith("GGUF.")}
    assert set(ours.values) == set(fields)
    for key, field in fields.items():
        assert ours.values[key] == pytest.approx(field.contents()), key


def test_types_are_those_of_ggml_itself() -> None:
    """The library that llama.cpp runs on, by its C functions; a removed type has no block."""
    ggml = ctypes.CDLL(next(str(p) for p in files("xllamacpp").iterdir() if p.name.endswith(".so")))
    ggml.ggml_type_name.restype = ctypes.c_char_p
    ggml.ggml_blck_size.restype = ctypes.c_int64
    ggml.ggml_type_size.restype = ctypes.c_size_t
    theirs = {}
    for number in range(max(gguf.TYPES) + 1):
        block = ggml.ggml_blck_size(number)
        name = ggml.ggml_type_name(number).decode().lower()
        if block:
            theirs[number] = (name, block, ggml.ggml_type_size(number))
    assert dict(gguf.TYPES) == theirs


# ---- a file of our own, byte by byte

STRING, ARRAY, U32, F32_VALUE, BOOL = 8, 9, 4, 6, 7


def text(value: str | bytes, order: str = "<") -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack(order + "Q", len(raw)) + raw


def pair(key: str, kind: int, value: bytes, order: str = "<") -> bytes:
    return text(key, order) + struct.pack(order + "I", kind) + value


def number(key: str, value: int, order: str = "<") -> bytes:
    return pair(key, U32, struct.pack(order + "I", value), order)


def tensor(name: str, sizes: tuple[int, ...], kind: int, offset: int, order: str = "<") -> bytes:
    dims = struct.pack(f"{order}{len(sizes)}Q", *sizes)
    return text(name, order) + struct.pack(order + "I", len(sizes)) + dims + struct.pack(
        order + "IQ", kind, offset)  # fmt: skip


def build(pairs: list[bytes], tensors: list[bytes], data: int, *, version: int = 3,
          counts: tuple[int, int] | None = None, order: str = "<") -> bytes:  # fmt: skip
    n, m = counts or (len(tensors), len(pairs))
    head = b"GGUF" + struct.pack(order + "IQQ", version, n, m) + b"".join(pairs) + b"".join(tensors)
    return head + b"\0" * (-len(head) % 32) + b"\0" * data


ARCH = pair("general.architecture", STRING, text("llama"))


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_and_versions(tmp_path: Path, version: int, order: str) -> None:
    array = struct.pack(order + "IQ", STRING, 2) + text("a", order) + text("", order)
    file = tmp_path / "m.gguf"
    file.write_bytes(build(
        [pair("general.architecture", STRING, text("llama", order), order),
         number("llama.block_count", 7, order), pair("tokens", ARRAY, array, order),
         pair("on", BOOL, b"\1", order),
         pair("f", F32_VALUE, struct.pack(order + "f", 0.5), order)],
        [tensor("w", (32, 4), 8, 0, order), tensor("b", (4,), 0, 160, order)], 192,
        version=version, order=order))  # fmt: skip
    read = gguf.read(file)
    assert read.big_endian == (order == ">")
    assert read.version == version
    assert read.values == {"general.architecture": "llama", "llama.block_count": 7,
                           "tokens": ["a", ""], "on": True, "f": 0.5}  # fmt: skip
    assert [(t.name, t.shape, t.type, t.size) for t in read.tensors] == [
        ("w", (4, 32), "q8_0", 136), ("b", (4,), "f32", 16)]  # fmt: skip
    assert read.tensors[1].offset - read.tensors[0].offset == 160


def test_long_arrays_are_stepped_over_unless_asked_for(tmp_path: Path) -> None:
    words = [f"word{i}" for i in range(2000)]
    array = struct.pack("<IQ", STRING, 2000) + b"".join(map(text, words))
    scores = struct.pack("<IQ", F32_VALUE, 2000) + struct.pack("<2000f", *range(2000))
    file = tmp_path / "m.gguf"
    file.write_bytes(build([ARCH, pair("t", ARRAY, array), pair("s", ARRAY, scores)], [], 0))
    read = gguf.read(file)
    assert read.values["t"] == gguf.Skipped(2000, text=True)
    assert read.values["s"] == gguf.Skipped(2000, text=False)
    built = gguf.read(file, {"t", "s"}).values
    assert built["t"] == words
    assert built["s"] == list(map(float, range(2000)))


def test_tokens_that_are_no_utf8_are_not_lost(tmp_path: Path) -> None:
    array = struct.pack("<IQ", STRING, 1) + text(b"\xff\xfea")
    file = tmp_path / "m.gguf"
    file.write_bytes(build([ARCH, pair("t", ARRAY, array)], [], 0))
    (token,) = gguf.read(file).values["t"]
    assert token.encode("utf-8", "surrogateescape") == b"\xff\xfea"


def test_a_vocabulary_of_150000_tokens_is_read_in_no_time(tmp_path: Path) -> None:
    words = b"".join(text(f"token{i}") for i in range(150_000))
    merges = b"".join(text(f"to ken{i}") for i in range(150_000))
    file = tmp_path / "m.gguf"
    file.write_bytes(build([
        ARCH,
        pair("tokenizer.ggml.tokens", ARRAY, struct.pack("<IQ", STRING, 150_000) + words),
        pair("tokenizer.ggml.merges", ARRAY, struct.pack("<IQ", STRING, 150_000) + merges),
    ], [], 0))  # fmt: skip
    spent = []
    for _ in range(3):
        start = time.perf_counter()
        read = gguf.read(file)
        spent.append(time.perf_counter() - start)
    assert read.values["tokenizer.ggml.tokens"].length == 150_000
    assert min(spent) < 0.2


# ---- files that are not what they say


@pytest.mark.parametrize(("content", "message"), [
    (b"", "it is empty"),
    (b"GGUF", "cut off: it has 4 bytes"),
    (b"ggjt" + bytes(60), "a format before GGUF"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
    (b"<!DOCTYPE html><html><body>404</body></html>", "a web page"),
    (b"  <html>", "a web page"),
    (b"PK\x03\x04" + bytes(60), "a zip archive"),
    (b"abcd" + bytes(60), r"it starts with b'abcd', not b'GGUF'"),
    (build([], [], 0, version=1), "GGUF version 1, of August 2023"),
    (build([], [], 0, version=4), "GGUF version is 4, expected 2 or 3"),
    (build([], [], 0, counts=(2**40, 0)), "promises 1099511627776 tensors"),
    (build([], [], 0, counts=(0, 2**63)), "more than its .* bytes can hold"),
    (build([], [], 0, counts=(0, 1)), "cut off|more than"),
    (b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 2**62) + bytes(40),
     "a key of 4611686018427387904 bytes goes beyond"),
    (build([pair("a", STRING, struct.pack("<Q", 2**64 - 1))], [], 64), "'a' of .* beyond"),
    (build([pair("a", 99, b"")], [], 64), "of the unknown kind 99"),
    (build([pair("a", ARRAY, struct.pack("<IQ", STRING, 2**61))], [], 64), "items goes beyond"),
    (build([pair("a", ARRAY, struct.pack("<IQ", ARRAY, 1))], [], 64), "unknown kind 9"),
    (build([pair("a", ARRAY, struct.pack("<IQ", STRING, 1) + struct.pack("<Q", 2**63))], [], 64),
     "a string of .* goes beyond"),
    (build([ARCH, ARCH], [], 0), "occurs twice"),
    (build([pair("general.alignment", U32, struct.pack("<I", 3))], [], 0), "alignment is 3"),
    (build([pair("general.alignment", U32, struct.pack("<I", 0))], [], 0), "alignment is 0"),
    (build([], [text(b"\xff" * 8) + bytes(32)], 64), "a tensor's name is no text"),
    (build([], [tensor("w", (2,) * 5, 0, 0)], 128), "has 5 dimensions"),
    (build([], [tensor("w", (2**33, 2**33), 0, 0)], 128), "cannot have the dimensions"),
    (build([], [tensor("w", (0, 4), 0, 0)], 128), "cannot have the dimensions"),
    (build([], [tensor("w", (33,), 8, 0)], 128), "rows of 33 values, no multiple of 32"),
    (build([], [tensor("w", (4,), 0, 8)], 128), "starts at 8, no multiple of 32"),
    (build([], [tensor("w", (4,), 0, 2**63)], 128), "cut off: it has .* bytes, its tensors need"),
    (build([], [tensor("w", (16,), 0, 0), tensor("v", (16,), 0, 32)], 128), "'w' and 'v' overlap"),
    (build([], [tensor("w", (8,), 0, 0), tensor("w", (8,), 0, 32)], 128), "have the same name"),
    (build([], [tensor("w", (64,), 0, 0)], 128), "has 192 bytes, its tensors need 320"),
])  # fmt: skip
def test_a_damaged_file_says_what_is_wrong(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(content)
    with pytest.raises(ModelCorrupt, match=message):
        gguf.read(file)


def test_a_type_of_the_future_is_named(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(build([], [tensor("w", (32,), 77, 0)], 128))
    [read] = gguf.read(file).tensors
    assert (read.shape, read.type, read.size) == ((32,), "no. 77", 0)
    numbers = parse_numbers("layers=1,hidden=32,heads=1,ffn=32,vocabulary=32")
    shape = replace(numbers, tensors=(Tensor("w", (32,), "no. 77"),))
    with pytest.raises(PlanError, match=r"stored as 'no. 77', a type llar doesn't know"):
        weights(shape, parse_format("stored"))


def test_a_file_cut_anywhere_is_an_error_and_never_a_traceback(tmp_path: Path) -> None:
    array = struct.pack("<IQ", STRING, 2) + text("one") + text("two")
    whole = build([ARCH, number("llama.block_count", 1), pair("t", ARRAY, array)],
                  [tensor("w", (32, 2), 8, 0)], 68)  # fmt: skip
    file = tmp_path / "m.gguf"
    file.write_bytes(whole)
    assert len(gguf.read(file).tensors) == 1
    for end in range(len(whole)):
        file.write_bytes(whole[:end])
        with pytest.raises(ModelCorrupt):
            gguf.read(file)


def test_a_byte_changed_anywhere_is_read_or_refused(tmp_path: Path) -> None:
    array = struct.pack("<IQ", STRING, 2) + text("one") + text("two")
    whole = build([ARCH, number("llama.block_count", 1), pair("t", ARRAY, array)],
                  [tensor("w", (32, 2), 8, 0)], 68)  # fmt: skip
    file = tmp_path / "m.gguf"
    refused = 0
    for at in range(len(whole) - 68):
        for value in (0, 0x7F, 0xFF):
            file.write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
            try:
                gguf.read(file)
            except ModelCorrupt:
                refused += 1
    assert refused > 100


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no file"):
        gguf.read(tmp_path / "none.gguf")
    with pytest.raises(ModelError, match="there is no file"):
        gguf.read(tmp_path)


# ---- split models


def split(folder: Path, count: int, *, wrong: dict[str, int] | None = None) -> list[Path]:
    files = []
    for n in range(count):
        stated = {"split.no": n, "split.count": count, "split.tensors.count": count} | (wrong or {})
        pairs = [number(k, v) for k, v in stated.items()] + ([ARCH] if n == 0 else [])
        file = folder / f"m-{n + 1:05d}-of-{count:05d}.gguf"
        file.write_bytes(build(pairs, [tensor(f"w{n}", (32,), 8, 0)], 34))
        files.append(file)
    return files


def test_a_split_model_is_read_from_any_of_its_parts(tmp_path: Path) -> None:
    files = split(tmp_path, 3)
    for file in files:
        read = gguf.read(file)
        assert read.files == tuple(files)
        assert [t.name for t in read.tensors] == ["w0", "w1", "w2"]
        assert [t.file for t in read.tensors] == files
        assert read.architecture == "llama"
        assert read.size == sum(f.stat().st_size for f in files)


def test_missing_parts_are_named(tmp_path: Path) -> None:
    files = split(tmp_path, 3)
    files[1].unlink()
    with pytest.raises(ModelCorrupt, match=r"3 parts, 1 are missing in .*: m-00002-of-00003.gguf"):
        gguf.read(files[2])


@pytest.mark.parametrize(("wrong", "message"), [
    ({"split.count": 4}, "one of 4 parts by its header, 2 by its name"),
    ({"split.no": 0}, "is part 0 by its header"),
    ({"split.tensors.count": 9}, "has 9 tensors by its header, its 2 parts hold 2"),
])  # fmt: skip
def test_parts_that_do_not_belong_together(
    tmp_path: Path, wrong: dict[str, int], message: str
) -> None:
    files = split(tmp_path, 2, wrong=wrong)
    with pytest.raises(ModelCorrupt, match=message):
        gguf.read(files[0])


def test_a_part_whose_number_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ModelCorrupt, match=r"cannot be a part of a model: it is no. 4 of 3"):
        gguf.read(tmp_path / "m-00004-of-00003.gguf")


def test_the_same_tensor_in_two_parts(tmp_path: Path) -> None:
    files = split(tmp_path, 2)
    pairs = [number("split.no", 1), number("split.count", 2), number("split.tensors.count", 2)]
    files[1].write_bytes(build(pairs, [tensor("w0", (32,), 8, 0)], 34))
    with pytest.raises(ModelCorrupt, match="'w0' is in two of its parts"):
        gguf.read(files[0])
