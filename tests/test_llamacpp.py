"""The llama.cpp chat model, with the real SmolLM2 and with files that are broken on purpose."""

from __future__ import annotations

import json
import math
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import STORE
from gguf import GGUFWriter

from llar.config import load
from llar.errors import ConfigError, ContextTooLong, EngineError, ModelCorrupt, ModelNotInstalled
from llar.models import open_chat
from llar.models.interface import ChatModel, Options
from llar.models.llama_socket import _UnixConnection
from llar.models.llamacpp import LlamaChat
from llar.records import Message, Usage

pytestmark = pytest.mark.slow

FILE = STORE / "smollm2-135m-instruct" / "SmolLM2-135M-Instruct.Q4_1.gguf"
FRUITS = [Message("user", "Name three fruits.")]
RENDERED = (
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n<|im_start|>user\nName three fruits.<|im_end|>\n<|im_start|>assistant\n"
)


@pytest.fixture(scope="module")
def smol() -> Iterator[LlamaChat]:
    if not FILE.is_file():
        pytest.fail(f"no model at {FILE}; run: make models")
    model = LlamaChat(FILE, name="llamacpp:smollm2-135m-instruct", threads=1)
    yield model
    model.close()


# --- answers


def test_the_installed_model_answers(installed: Path) -> None:
    model: ChatModel = open_chat(load({"threads": 1}), "llamacpp:smollm2-135m-instruct")
    try:
        assert model.name == "llamacpp:smollm2-135m-instruct"
        assert model.context == 8192  # from the GGUF header
        answer = model.chat(FRUITS)
        assert answer.finish_reason == "stop"
        assert "anana" in answer.text
        assert answer.model == model.name
    finally:
        model.close()


def test_the_configured_context_is_taken(installed: Path) -> None:
    model = open_chat(load({"threads": 1, "context": 512}))
    try:
        assert model.context == 512
    finally:
        model.close()


def test_a_model_that_is_not_there_says_how_to_get_it(home: Path) -> None:
    with pytest.raises(ModelNotInstalled, match="fix: llar models pull smollm2-135m-instruct"):
        open_chat(load())


def test_a_stream_is_the_same_answer_in_pieces(smol: LlamaChat) -> None:
    whole = smol.chat(FRUITS, Options(max_tokens=20))
    pieces = list(smol.stream(FRUITS, Options(max_tokens=20)))
    assert "".join(p.text for p in pieces) == whole.text
    assert len(pieces) > 5
    assert [p.finish_reason for p in pieces] == [None] * (len(pieces) - 1) + [whole.finish_reason]
    assert pieces[-1].usage == whole.usage


def test_raw_text_is_continued_without_the_template(smol: LlamaChat) -> None:
    answer = smol.complete("The capital of France is", Options(max_tokens=1))
    assert answer.text == " Paris"
    assert answer.usage == Usage(5, 1)  # one token per word
    with pytest.raises(EngineError, match="prompt is empty"):
        smol.complete("")


def test_max_tokens_ends_with_length(smol: LlamaChat) -> None:
    answer = smol.chat(FRUITS, Options(max_tokens=3))
    assert (answer.finish_reason, answer.usage.completion_tokens) == ("length", 3)
    assert smol.count_tokens(answer.text) == 3


def test_a_stop_text_ends_and_is_left_out(smol: LlamaChat) -> None:
    whole = smol.chat(FRUITS).text
    assert "\n2." in whole
    answer = smol.chat(FRUITS, Options(stop=("\n2.",)))
    assert answer.text == whole.partition("\n2.")[0]
    assert answer.finish_reason == "stop"


def test_a_seed_repeats_and_another_varies(smol: LlamaChat) -> None:
    def write(seed: int) -> str:
        return smol.chat(FRUITS, Options(max_tokens=8, temperature=1.5, seed=seed)).text

    first = write(1)
    assert write(1) == first
    assert {write(2), write(3)} != {first}


def test_output_follows_a_schema(smol: LlamaChat) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 20},
            "kind": {"enum": ["fruit", "animal"]},
            "count": {"type": "integer"},
        },
        "required": ["name", "kind", "count"],
        "additionalProperties": False,
    }
    answer = smol.chat(FRUITS, Options(max_tokens=100, schema=schema))
    assert answer.finish_reason == "stop"
    value = json.loads(answer.text)
    assert set(value) == {"name", "kind", "count"}
    assert isinstance(value["name"], str)
    assert value["kind"] in ("fruit", "animal")
    assert isinstance(value["count"], int)


def test_an_impossible_schema_is_an_error(smol: LlamaChat) -> None:
    with pytest.raises(EngineError, match="refused"):
        smol.chat(FRUITS, Options(max_tokens=5, schema={"type": "no such type"}))
    assert smol.chat(FRUITS, Options(max_tokens=1)).text  # the model goes on


def test_token_probabilities(smol: LlamaChat) -> None:
    answer = smol.chat(FRUITS, Options(max_tokens=6, top_logprobs=4))
    assert "".join(t.token for t in answer.tokens) == answer.text
    for token in answer.tokens:
        chances = [math.exp(logprob) for _, logprob in token.top]
        assert len(chances) == 4
        assert chances == sorted(chances, reverse=True)
        assert sum(chances) <= 1 + 1e-6
        assert token.top[0] == (token.token, token.logprob)  # greedy takes the likeliest
    pieces = list(smol.stream(FRUITS, Options(max_tokens=6, top_logprobs=4)))
    streamed = [token for piece in pieces for token in piece.tokens]
    assert [t.token for t in streamed] == [t.token for t in answer.tokens]
    alone = smol.chat(FRUITS, Options(max_tokens=6, top_logprobs=0)).tokens
    assert [t.token for t in alone] == [t.token for t in answer.tokens]
    assert {t.top for t in alone} == {()}
    assert smol.chat(FRUITS, Options(max_tokens=2)).tokens == ()


# --- counting and the context


def test_counts_are_those_of_the_model(smol: LlamaChat) -> None:
    assert smol.count_tokens("hello world") == 2
    assert smol.count_tokens("") == 0
    assert smol.count_tokens("<|im_end|>") == 7  # in a text it is no control token
    assert smol.count_prompt(FRUITS) == smol.chat(FRUITS, Options(max_tokens=1)).usage.prompt_tokens
    by_hand = smol.complete(RENDERED, Options(max_tokens=1)).usage.prompt_tokens
    assert smol.count_prompt(FRUITS) == by_hand


def test_prompt_and_answer_fill_the_context_exactly() -> None:
    model = LlamaChat(FILE, name="llamacpp:smol", context=100, threads=1)
    try:
        used = model.count_prompt(FRUITS)
        fits = Options(max_tokens=100 - used, stop=("\n",))
        assert model.chat(FRUITS, fits).text
        message = rf"prompt of {used} tokens and an answer of up to {101 - used} .* context of 100"
        with pytest.raises(ContextTooLong, match=message):
            model.chat(FRUITS, Options(max_tokens=101 - used))
        with pytest.raises(ContextTooLong):
            model.stream(FRUITS, Options(max_tokens=101 - used))
        with pytest.raises(ContextTooLong, match=r"prompt of \d{3} tokens does not fit"):
            model.chat([Message("user", "fruit " * 200)])
        long = [Message("user", "Count from one to one hundred, in words.")]
        answer = model.chat(long)  # no limit given: it may fill what is left
        total = answer.usage.prompt_tokens + answer.usage.completion_tokens
        assert total <= 100
        assert answer.finish_reason == ("length" if total == 100 else "stop")
    finally:
        model.close()


def test_a_context_longer_than_the_models_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"9000 tokens .* has 8192\nfix: set LLAR_CONTEXT=8192"):
        LlamaChat(FILE, name="llamacpp:smol", context=9000)


# --- several at once, stopping, closing


def test_closing_a_stream_stops_the_generation(smol: LlamaChat) -> None:
    stream = smol.stream(
        [Message("user", "Write a long story.")], Options(max_tokens=6000, stop=("¤",))
    )
    next(stream)
    next(stream)
    start = time.monotonic()
    stream.close()
    assert smol.chat(FRUITS, Options(max_tokens=1)).text
    assert time.monotonic() - start < 10  # 6000 tokens take a minute and more


def test_several_threads_get_their_own_answers(smol: LlamaChat) -> None:
    asked = ["The capital of France is", "One, two, three,", "Roses are red, violets are"]
    alone = [smol.complete(text, Options(max_tokens=2)).text for text in asked]
    with ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(smol.complete, text, Options(max_tokens=2)) for text in asked * 4]
        assert [job.result().text for job in jobs] == alone * 4


def test_counting_does_not_wait_for_a_generation(smol: LlamaChat) -> None:
    stream = smol.stream([Message("user", "Write a long story.")], Options(max_tokens=200))
    next(stream)
    start = time.monotonic()
    assert smol.count_tokens("hello world") == 2
    assert time.monotonic() - start < 1
    stream.close()


def test_a_closed_model_says_so() -> None:
    before = threading.active_count()
    model = LlamaChat(FILE, name="llamacpp:smol", context=256, threads=1)
    socket_file = Path(model._llama.socket.address)
    assert socket_file.is_socket()
    assert socket_file.parent.stat().st_mode & 0o777 == 0o700
    model.close()
    model.close()
    assert not socket_file.parent.exists()
    with pytest.raises(EngineError, match="is closed"):
        model.chat(FRUITS)
    assert threading.active_count() == before


def test_closing_breaks_off_what_still_runs() -> None:
    model = LlamaChat(FILE, name="llamacpp:smol", context=2048, threads=1)
    long = Options(max_tokens=1500, stop=("¤",))
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(model.chat, [Message("user", "A long story.")], long) for _ in "ab"]
        time.sleep(0.5)
        model.close()
        for job in jobs:
            with pytest.raises(EngineError, match="was closed before it had answered"):
                job.result()


def test_strangers_are_refused(smol: LlamaChat) -> None:
    for path, status in (("/props", 401), ("/v1/models", 401), ("/", 404), ("/slots", 401)):
        connection = _UnixConnection(smol._llama.socket.address)
        connection.request("GET", path)
        assert connection.getresponse().status == status, path
        connection.close()
    assert not _listening_ports()


def _listening_ports() -> set[int]:
    """TCP ports this process listens on (Linux)."""
    ours = {os.readlink(fd) for fd in _sockets()}
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in ours:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def _sockets() -> list[Path]:
    return [fd for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]


# --- files that are broken, too large, or of another kind


def _patched(target: Path, old: bytes, new: bytes) -> Path:
    data = FILE.read_bytes()
    assert data.count(old) == 1
    target.write_bytes(data.replace(old, new))
    return target


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "GGUF"),
        (b"hello" * 1000, "it starts with b'hell'"),
        (b"GGUF" + b"\xff" * 1000, "GGUF version"),
        ("half", "is cut off"),
        ("head", "is cut off"),
        (None, "is missing"),
    ],
)
def test_a_broken_file_is_an_error(
    tmp_path: Path, content: bytes | str | None, message: str
) -> None:
    file = tmp_path / "model.gguf"
    if isinstance(content, str):
        whole = FILE.read_bytes()
        content = whole[: len(whole) // 2] if content == "half" else whole[:2_000_000]
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ModelCorrupt, match=message):
        LlamaChat(file, name="llamacpp:broken")


def test_llama_cpps_own_reason_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    writer = GGUFWriter(tmp_path / "m.gguf", "nonsense")
    writer.add_context_length(64)
    writer.add_tensor("token_embd.weight", np.zeros((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(EngineError, match="unknown model architecture: 'nonsense'"):
        LlamaChat(tmp_path / "m.gguf", name="llamacpp:nonsense")
    assert capfd.readouterr() == ("", "")


def test_a_context_that_does_not_fit_the_memory_is_refused(tmp_path: Path) -> None:
    key = b"llama.context_length" + struct.pack("<I", 4)
    file = _patched(tmp_path / "m.gguf", key + struct.pack("<I", 8192),
                    key + struct.pack("<I", 2_000_000_000))  # fmt: skip
    # 30 layers of 3 shared heads with 64 numbers, keys and values, two bytes each: 23040 a token
    expected = 2_000_000_000 * 23040 >> 20
    with pytest.raises(EngineError, match=rf"takes {expected} MiB.*(?s:.)fix: set LLAR_CONTEXT="):
        LlamaChat(file, name="llamacpp:smol", threads=1)


def test_a_model_without_a_template_cannot_chat(tmp_path: Path) -> None:
    file = _patched(tmp_path / "m.gguf", b"tokenizer.chat_template", b"tokenizer.chat_templatX")
    model = LlamaChat(file, name="llamacpp:raw", context=256, threads=1)
    try:
        with pytest.raises(EngineError, match="no chat template"):
            model.chat(FRUITS)
        assert model.complete("The capital of France is", Options(max_tokens=1)).text == " Paris"
    finally:
        model.close()


# --- in a process of its own

SCRIPT = f"""
import sys
from pathlib import Path
from llar.models.llama_socket import _UnixConnection
from llar.models.llamacpp import LlamaChat
from llar.models.interface import Options
from llar.records import Message
from llar.errors import EngineError
FILE = {str(FILE)!r}
model = LlamaChat(Path(FILE), name="llamacpp:smol", context=512, threads=1)
"""


def _run(code: str, *, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [*before, sys.executable, "-W", "error", "-c", SCRIPT + code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_nothing_is_printed_and_no_network_is_needed() -> None:
    code = "print(model.complete('The capital of France is', Options(max_tokens=1)).text)"
    plain = _run(code)
    assert (plain.returncode, plain.stdout, plain.stderr) == (0, " Paris\n", "")
    alone = ("unshare", "-rn")  # a network namespace in which not even loopback is up
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system does not let us make a network namespace")
    bare = _run(code, before=alone)
    assert (bare.returncode, bare.stdout, bare.stderr) == (0, " Paris\n", "")


def test_a_stream_left_open_does_not_keep_the_process() -> None:
    code = """
stream = model.stream([Message('user', 'Write a long story.')], Options(max_tokens=400))
print(next(stream).text != '')
"""
    result = _run(code)
    assert (result.returncode, result.stdout, result.stderr) == (0, "True\n", "")


def test_too_little_memory_is_an_error_not_a_crash() -> None:
    code = """
import resource
used = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (600 << 20), -1))  # 8192 tokens take 274 MB more
try:
    LlamaChat(Path(FILE), name="llamacpp:second", threads=1)
except EngineError as e:
    print('refused:', e.message)
print(model.complete('The capital of France is', Options(max_tokens=1)).text)
"""
    result = _run(code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("refused: llamacpp:second: it needs 785 MiB of address space")
    assert result.stdout.endswith(" Paris\n")


def test_ctrl_c_ends_a_generation() -> None:
    code = """
print('ready', flush=True)
try:
    model.chat([Message('user', 'Write a long story.')], Options(max_tokens=400, stop=('¤',)))
except KeyboardInterrupt:
    print('interrupted')
"""
    command = [sys.executable, "-c", SCRIPT + code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[0] == "interrupted\n"
        assert time.monotonic() - start < 3


# --- adapters


def write_lora(file: Path, scale: float, *, seed: int = 0) -> None:
    """A rank-1 adapter on the last layer's feed-forward output (1536 -> 576)."""
    rng = np.random.default_rng(seed)
    writer = GGUFWriter(file, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 1.0)
    name = "blk.29.ffn_down.weight"
    writer.add_tensor(f"{name}.lora_a", rng.normal(0, 1, (1, 1536)).astype(np.float32))
    writer.add_tensor(f"{name}.lora_b", scale * rng.normal(0, 1, (576, 1)).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_adapters_by_name_and_scale(tmp_path: Path, installed: Path) -> None:
    folder = installed / "adapters" / "smollm2-135m-instruct"
    folder.mkdir(parents=True)
    write_lora(folder / "once.gguf", 0.5)
    write_lora(folder / "twice.gguf", 1.0)
    model = open_chat(load({"threads": 1, "context": 256}), "llamacpp:smollm2-135m-instruct")

    def logprobs(*adapters: tuple[str, float]) -> dict[str, float]:
        options = Options(max_tokens=1, top_logprobs=20, adapters=adapters)
        (token,) = model.complete("The capital of France is", options).tokens
        return dict(token.top)

    try:
        plain = logprobs()
        assert max(plain, key=lambda t: plain[t]) == " Paris"
        twice = logprobs(("twice", 1.0))
        assert (
            twice.keys() != plain.keys() or max(abs(twice[t] - plain[t]) for t in plain) > 0.5
        )  # it does something
        same = logprobs(("once", 2.0))
        assert same.keys() == twice.keys()
        for token, value in same.items():
            assert value == pytest.approx(twice[token], abs=0.02)
        both = logprobs(("once", 1.0), ("twice", 0.5))
        for token, value in both.items():
            assert value == pytest.approx(twice[token], abs=0.02)
        again = logprobs()  # off again, also for a cached prompt
        for token, value in again.items():
            assert value == pytest.approx(plain[token], abs=0.02)
        with pytest.raises(ConfigError, match="no adapter 'thrice'; loaded: once, twice"):
            logprobs(("thrice", 1.0))
    finally:
        model.close()


def test_a_broken_adapter_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"nothing")
    with pytest.raises(ModelCorrupt, match=r"bad\.gguf"):
        LlamaChat(FILE, name="llamacpp:smol", adapters={"bad": tmp_path / "bad.gguf"})
    with pytest.raises(EngineError, match="cannot load"):  # a whole model is no adapter
        LlamaChat(FILE, name="llamacpp:smol", context=256, adapters={"bad": FILE})


# --- a prompt that starts like the last one is not read again


def test_a_shared_beginning_is_read_once(smol: LlamaChat) -> None:
    passage = "The bridge was built in 1904 and repaired twice. " * 8

    def read(question: str) -> tuple[int, int]:
        """Tokens of the prompt that were taken from the cache, and that were computed."""
        messages = [{"role": "user", "content": passage + question}]
        body = {"messages": messages, "max_tokens": 1}
        times = smol.socket.post("/v1/chat/completions", body)["timings"]
        return times["cache_n"], times["prompt_n"]

    cached, computed = read("When was it built?")
    assert computed > smol.count_tokens(passage) > 80
    again, rest = read("How often was it repaired?")
    assert again >= cached + smol.count_tokens(passage) - 1  # the last may join what follows
    assert rest < 20


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.25, 0.45, 0.8])
def test_ctrl_c_while_a_model_loads_ends_the_process(delay: float) -> None:
    code = (
        "import sys; from pathlib import Path; from llar.models.llamacpp import LlamaChat; "
        "print('go', flush=True); LlamaChat(Path(sys.argv[1]), name='llamacpp:x')"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(FILE)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "go\n"
    time.sleep(delay - 0.2)
    child.send_signal(signal.SIGINT)
    child.wait(timeout=20)
    child.stdout.close()
    assert child.returncode in (0, 1, -signal.SIGINT)
