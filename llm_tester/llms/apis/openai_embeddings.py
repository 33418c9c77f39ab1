"""Answers of `POST {base_url}/embeddings`, as OpenAI and all that speak like it give them."""

from __future__ import annotations

import base64
import binascii
import struct
from typing import Any

from llm_tester.errors import BadResponseError
from llm_tester.llms.embeddings import EmbeddingDelivery, checked_vectors, without_output
from llm_tester.llms.json_bodies import bad, json_body
from llm_tester.llms.transport import Reply
from llm_tester.llms.wire import HTTPProvider, raise_hidden_error
from llm_tester.records import Request


def read_embeddings(provider: HTTPProvider, reply: Reply, request: Request) -> EmbeddingDelivery:
    """A vector for each text of the request, in its order; raises BadResponseError for anything else."""
    body = json_body(reply)
    raise_hidden_error(body)
    data = body.get("data")
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        bad("the answer has no list of embeddings", "bad_embeddings", reply.body.decode("utf-8", "replace"))
    vectors = checked_vectors([_vector(item.get("embedding")) for item in _in_order(data)], len(request.messages))
    model = body.get("model")
    usage = provider.usage_of(body, served_model=model if isinstance(model, str) else None)
    return EmbeddingDelivery("", without_output(usage), vectors=vectors)


def _in_order(data: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By `index`, as some servers answer out of order; as they stand where there is none."""
    indices = [item.get("index") for item in data]
    if all(index is None for index in indices):
        return data
    by_index = {index: item for index, item in zip(indices, data, strict=True) if isinstance(index, int)}
    if sorted(by_index) != list(range(len(data))):
        raise BadResponseError(f"the embeddings are numbered {indices}"[:200], reason="bad_embeddings")
    return [by_index[index] for index in range(len(data))]


def _vector(found: Any) -> Any:
    """Numbers as they are; base64 stands for 32-bit floats, the lowest byte first."""
    if not isinstance(found, str):
        return found
    try:
        packed = base64.b64decode(found, validate=True)
        return list(struct.unpack(f"<{len(packed) // 4}f", packed))
    except (binascii.Error, struct.error) as error:
        raise BadResponseError(f"a vector is no base64 of floats: {error}", reason="bad_embeddings") from None
