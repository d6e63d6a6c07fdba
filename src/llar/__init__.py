"""llar: ask your own documents, offline."""
