"""Documents into chunks: passages of a size the embedder takes, that stay true to the text."""

from .structure import split

__all__ = ["split"]
