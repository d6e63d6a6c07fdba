"""LlamaIndex as its documentation says: reader, splitter, its own store, BM25, fusion.

The chunk size is ours, 160 tokens without the file's metadata: the default, 1,024, is four times
what the model reads.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from llama_index.core import Settings, SimpleDirectoryReader, VectorStoreIndex
from llama_index.core.llms import MockLLM
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.retrievers import QueryFusionRetriever
from llama_index.core.retrievers.fusion_retriever import FUSION_MODES
from llama_index.core.schema import TextNode
from llama_index.embeddings.huggingface import HuggingFaceEmbedding
from llama_index.retrievers.bm25 import BM25Retriever
from wire import MODEL, rows, serve

_open: dict[str, Any] = {}


def load(_: Mapping[str, Any]) -> dict[str, Any]:
    """Load the model."""
    Settings.embed_model = HuggingFaceEmbedding(model_name=MODEL, device="cpu")
    Settings.llm = MockLLM()  # its default would be a service on the network
    return {}


def ingest(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Index a folder of text files, for words as well, and persist both."""
    folder = asked["folder"]  # below one whose name begins with a dot: hidden, to the reader
    documents = SimpleDirectoryReader(folder, recursive=True, exclude_hidden=False).load_data()
    splitter = SentenceSplitter(chunk_size=160, chunk_overlap=0, include_metadata=False)
    index = VectorStoreIndex.from_documents(documents, transformations=[splitter])
    place = os.environ["PEER_HOME"] + "/docs"
    index.storage_context.persist(place)
    BM25Retriever.from_defaults(index=index).persist(place + "/bm25")
    return {"documents": len(documents), "chunks": len(index.docstore.docs)}


def fill(asked: Mapping[str, Any]) -> dict[str, Any]:
    """An index of given texts and vectors, and the retriever for words."""
    texts, vectors = rows(asked["folder"], asked["count"])
    nodes = [TextNode(text=t, embedding=v.tolist()) for t, v in zip(texts, vectors, strict=True)]
    k = asked["k"]
    dense = VectorStoreIndex(nodes).as_retriever(similarity_top_k=k)
    lexical = BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=k)
    both = QueryFusionRetriever(
        [dense, lexical],
        similarity_top_k=k,
        num_queries=1,  # ask the question as it stands, without a language model
        mode=FUSION_MODES.RECIPROCAL_RANK,
        use_async=False,
    )
    _open.update(lexical=lexical, dense=dense, hybrid=both)
    return {"chunks": len(nodes)}


def search(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The texts that fit a question."""
    start = time.perf_counter()
    hits = _open[asked["mode"]].retrieve(asked["query"])
    return {"seconds": time.perf_counter() - start, "found": [hit.get_content() for hit in hits]}


if __name__ == "__main__":
    serve({"load": load, "ingest": ingest, "fill": fill, "search": search})
