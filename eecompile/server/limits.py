"""How much a client may send, and how slowly."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request

from eecompile.server.inference import GONE
from eecompile.server.refusal import NotServedError


@dataclass(frozen=True)
class Limits:
    """Limits of one server.

    Attributes:
        body_bytes: Of a body.
        patience_s: Seconds in which the head of a request has to come, and in which its body has to begin.
        least_rate: Bytes per second of a body behind that: a link of 2 Mbit/s has 250,000.
    """

    body_bytes: int = 16 * 2**20
    patience_s: float = 10.0
    least_rate: float = 4000.0


async def read_body(request: Request, limits: Limits) -> bytes:
    """Return the body of a request.

    Raises:
        NotServedError: It is too large, comes too slowly, is compressed, or its client went away.
    """
    said = request.headers.get("content-length", "")
    if said.isdigit() and int(said) > limits.body_bytes:
        raise _too_large(limits)
    if (coding := request.headers.get("content-encoding", "identity")) != "identity":
        raise NotServedError(
            415, "compressed", f"content-encoding '{coding[:20]}' is not taken: send it as it is"
        )
    parts: list[bytes] = []
    size, until = 0, asyncio.get_running_loop().time() + limits.patience_s
    try:
        async with asyncio.timeout_at(until) as patience:  # a task for each part would cost more than it
            async for part in request.stream():
                parts.append(part)
                size += len(part)
                if size > limits.body_bytes:
                    raise _too_large(limits)
                if part:
                    patience.reschedule(until + size / limits.least_rate)
    except TimeoutError:
        raise NotServedError(408, "slow body", f"after {size} bytes the body came too slowly") from None
    except ClientDisconnect:
        raise NotServedError(GONE, "client gone", "the client went away in its body") from None
    return b"".join(parts)


def _too_large(limits: Limits) -> NotServedError:
    return NotServedError(413, "body too large", f"a body has {limits.body_bytes} bytes at most")
