"""How fast `llar plan` answers and how near the truth it is, beside `accelerate estimate-memory`.

The peer asks a model hub for everything, so it gets one on loopback that serves a config.json.
Wall seconds are medians of runs in turn, so that noise falls on all alike. The truth is the number
of parameters that Llama-3.1-8B's makers publish. Last comes `llar plan verify`: predicted against
measured resident memory.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from environments import python

from llar.config import load
from llar.models import open_chat
from llar.models.interface import Options
from llar.plan.hardware import speed
from llar.plan.hardware.here import measure
from llar.plan.memory.formats import parse_format
from llar.plan.shapes.resolve import resolve

RUNS = 5
REPO = "bench/llama-3.1-8b"
TRUTH = 8_030_261_248 * 2  # bytes in fp16
CONFIG = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096,
    "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "tie_word_embeddings": False,
}  # fmt: skip
LLAR = [sys.executable, "-m", "llar"]
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "llar plan memory (all formats)": [*LLAR, "plan", "memory", "llama-3.1-8b"],
    "llar plan memory (one, 3 machines)": [
        *LLAR, "plan", "memory", "llama-3.1-8b", "--format", "Q4_K_M", "--context", "8192",
        "--machine", "l4", "--machine", "rtx-4090", "--machine", "h100-sxm",
    ],
    "llar plan memory --train lora": [*LLAR, "plan", "memory", "llama-3.1-8b", "--train", "lora"],
    "llar plan memory (GGUF file)": [*LLAR, "plan", "memory", "smollm2-135m-instruct"],
    "llar plan training": [*LLAR, "plan", "training", "llama-3.1-8b", "--tokens", "15T"],
    "llar plan cost": [*LLAR, "plan", "cost", "--requests", "1000"],
    "llar plan prices": [*LLAR, "plan", "prices", "gpt"],
    "llar plan machines": [*LLAR, "plan", "machines"],
    "llar plan advise": [*LLAR, "plan", "advise", "--users", "20", "--data", "personal"],
}  # fmt: skip


class _Hub(BaseHTTPRequestHandler):
    """As much of a hub as the peer asks for."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""

    def do_GET(self) -> None:
        body, status = b"", 404
        if "/api/models/" in self.path:
            about = {"id": REPO, "sha": "0" * 40, "library_name": "transformers", "config": {}}
            body, status = json.dumps(about | {"siblings": []}).encode(), 200
        elif self.path.endswith("/config.json"):
            body, status = json.dumps(CONFIG).encode(), 200
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"0"')
        self.send_header("X-Repo-Commit", "0" * 40)
        if status == 404:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the base's name


def timed(command: list[str], environment: dict[str, str]) -> tuple[float, str]:
    """(wall seconds, stdout) of one run, which must succeed."""
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    wall = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{command} failed: {done.stderr}")
    return wall, done.stdout


def main() -> None:
    """Print both tables and the verification."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    peer = [
        str(python("accelerate")), "-m", "accelerate.commands.accelerate_cli", "estimate-memory",
        REPO, "--dtypes", "float16",
    ]  # fmt: skip
    commands = {**COMMANDS, "accelerate estimate-memory": peer}
    walls: dict[str, list[float]] = {name: [] for name in commands}
    said: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as cache:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        environment = {**os.environ, "HF_ENDPOINT": url, "HF_HOME": cache}
        for _ in range(RUNS):
            for name, command in commands.items():
                wall, said[name] = timed(command, environment)
                walls[name].append(wall)
    server.shutdown()
    print(f"{'command':38} {'wall s':>7}  beside accelerate")
    slow = statistics.median(walls["accelerate estimate-memory"])
    for name, runs in walls.items():
        print(f"{name:38} {statistics.median(runs):7.3f}  {statistics.median(runs) / slow:.3f}")
    own = json.loads(
        timed([*LLAR, "plan", "memory", "llama-3.1-8b", "--format", "fp16", "--json"],
              dict(os.environ))[1]
    )  # fmt: skip
    print(f"\nLlama-3.1-8B in fp16, truth {TRUTH / 2**30:.2f} GiB")
    print(f"  llar        {own['runs'][0]['weights']['total'] / 2**30:.2f} GiB")
    found = re.search(r"float16\W+[\d.]+ [MG]B\W+([\d.]+) GB", said["accelerate estimate-memory"])
    print(f"  accelerate  {found[1] if found else said['accelerate estimate-memory']} 'GB' (GiB)")
    speed_here()
    print("\nllar plan verify", flush=True)
    subprocess.run([*LLAR, "plan", "verify"], check=True)


def speed_here() -> None:
    """SmolLM2 on one thread: tokens/s from measured bandwidth and compute, and as it really is."""
    config = load({"threads": 1})
    here = measure(config, seconds=0.5).machine
    one = replace(here, flops={k: v / (here.cores or 1) for k, v in here.flops.items()}, cores=1)
    shape = resolve(config, "smollm2-135m-instruct")
    done = speed.work(shape, parse_format("stored"))
    model = open_chat(config, "llamacpp:smollm2-135m-instruct")
    try:
        spent = []
        for tokens in (4, 16, 144):  # the first pays for loading
            start = time.process_time()
            model.complete("The history of the city begins", Options(max_tokens=tokens))
            spent.append(time.process_time() - start)
    finally:
        model.close()
    step = speed.decode(done, one, 80)
    assert step is not None
    real = 128 / (spent[2] - spent[1])
    print("\nSmolLM2-135M Q4_1 on one thread, by CPU time, tokens/s")
    print(f"  predicted {1 / step:.0f}, measured {real:.0f}, ratio {1 / step / real:.2f}")


if __name__ == "__main__":
    main()
