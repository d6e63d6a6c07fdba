"""LangChain with Chroma as their documentation says: loader, splitter, vector store, retrievers.

The chunk size is ours (600 characters hold about 160 tokens): the documentation's 1,000 and more
exceed what the model reads.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from langchain_chroma import Chroma
from langchain_classic.retrievers import EnsembleRetriever
from langchain_community.document_loaders import DirectoryLoader, TextLoader
from langchain_community.retrievers import BM25Retriever
from langchain_huggingface import HuggingFaceEmbeddings
from langchain_text_splitters import RecursiveCharacterTextSplitter
from wire import MODEL, rows, serve

_open: dict[str, Any] = {}


def load(_: Mapping[str, Any]) -> dict[str, Any]:
    """Load the model."""
    _open["model"] = HuggingFaceEmbeddings(model_name=MODEL)
    return {}


def ingest(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Index a folder of text files in a store on disk, and for words in memory."""
    loader = DirectoryLoader(
        asked["folder"],
        glob="**/*.txt",
        loader_cls=TextLoader,
        loader_kwargs={"encoding": "utf-8"},
    )
    documents = loader.load()
    splitter = RecursiveCharacterTextSplitter(chunk_size=600, chunk_overlap=0)
    parts = splitter.split_documents(documents)
    place = os.environ["PEER_HOME"] + "/docs"
    Chroma.from_documents(parts, _open["model"], persist_directory=place)
    BM25Retriever.from_documents(parts)
    return {"documents": len(documents), "chunks": len(parts)}


def fill(asked: Mapping[str, Any]) -> dict[str, Any]:
    """A store of given texts and vectors, and the retriever for words."""
    texts, vectors = rows(asked["folder"], asked["count"])
    place = f"{os.environ['PEER_HOME']}/{len(texts)}"
    store = Chroma(embedding_function=_open["model"], persist_directory=place)
    batch = 5000  # Chroma takes no more than 5,461 at once
    for at in range(0, len(texts), batch):
        part = texts[at : at + batch]
        ids = [str(at + i) for i in range(len(part))]
        store._collection.add(ids, embeddings=vectors[at : at + batch], documents=part)
    lexical = BM25Retriever.from_texts(texts)
    dense = store.as_retriever()
    both = EnsembleRetriever(retrievers=[lexical, dense], weights=[0.5, 0.5])
    _open.update(lexical=lexical, dense=dense, hybrid=both)
    return {"chunks": store._collection.count()}


def search(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The texts that fit a question."""
    _open["lexical"].k = asked["k"]
    _open["dense"].search_kwargs = {"k": asked["k"]}
    start = time.perf_counter()
    hits = _open[asked["mode"]].invoke(asked["query"])
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "found": [hit.page_content for hit in hits]}


if __name__ == "__main__":
    serve({"load": load, "ingest": ingest, "fill": fill, "search": search})
