"""A whole working system as one file, for a machine that never had a network."""

from .install import Installed, install, verify
from .pack import Bundle, create

__all__ = ["Bundle", "Installed", "create", "install", "verify"]
