"""What a client is told that gets no answer."""

from __future__ import annotations

from passes.errors import InputError


class NotServedError(Exception):
    """A request that is not served.

    Attributes:
        status: Of HTTP.
        kind: In a word, for counters and for the log.
        message: What is wrong, and what to do.
        retry_after_s: When it may be tried again; ``None`` where nobody can tell.
    """

    def __init__(self, status: int, kind: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status, self.kind, self.message, self.retry_after_s = status, kind, message, retry_after_s


def malformed(message: str) -> NotServedError:
    """Return that a request is not as the protocol has it."""
    return NotServedError(400, "malformed", message)


def in_one_line(error: InputError) -> str:
    """Return what is wrong and what to do."""
    return f"{error.message}: {error.hint}" if error.hint else error.message
