"""Runs `llar` in the process of the test, where a process of its own would prove nothing more."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys

import pytest

from llar.cli import main


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What `llar ARGUMENTS` returns and prints."""
    out, err = io.StringIO(), io.StringIO()
    before = sys.argv
    sys.argv = ["llar", *arguments]
    try:
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            main()
    finally:
        sys.argv = before
    code = ended.value.code
    assert isinstance(code, int)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())
