from __future__ import annotations

from eecompile.server.refusal import NotServedError, malformed


def test_what_a_client_is_told() -> None:
    error = NotServedError(503, "queue full", "come again", 2.0)
    assert (error.status, error.kind, str(error), error.retry_after_s) == (
        503, "queue full", "come again", 2.0,
    )  # fmt: skip
    assert (malformed("x").status, malformed("x").kind, malformed("x").retry_after_s) == (
        400,
        "malformed",
        None,
    )
