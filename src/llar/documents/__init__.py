"""Files to documents: which files there are, and each one's text, tables and facts."""

from __future__ import annotations

from .folders import Report, about, find_files, hash_file, is_ignored
from .sandbox import Parsers, load

__all__ = ["Parsers", "Report", "about", "find_files", "hash_file", "is_ignored", "load"]
