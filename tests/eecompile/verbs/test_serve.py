from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from eecompile import api
from eecompile.server import running
from passes.errors import InputError


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"runs": []}, "there is no run to serve"),
        ({"priority": (1.0, 2.0)}, "`priority` has 2 for 1 runs"),
        ({"policy": "oracle"}, "only a simulation knows"),
        ({"policy": "remain"}, "unknown policy 'remain'\ndid you mean 'remaining'"),
        ({"batch": "fixed:4"}, "wait for ever .*\ntimeout:4,2ms"),
        ({"batch": "some"}, "batches cannot be 'some'"),
        ({"slo": 0.0}, "`slo` cannot be 0"),
        ({"slo": float("inf")}, "`slo` cannot be inf"),
        ({"max_body": 0}, "`max_body` cannot be 0"),
        ({"max_queue": 0}, "`max_queue` cannot be 0"),
        ({"threads": -1}, "`threads` cannot be -1"),
        ({"port": 65536}, "`port` cannot be 65536"),
        ({"grpc_port": -1}, "`grpc_port` cannot be -1"),
        ({"runs": "nowhere"}, "there is no directory nowhere"),
    ],
)
def test_what_is_wrong_is_said(given: dict[str, Any], message: str) -> None:
    whole: dict[str, Any] = {"runs": "a", "port": 0, **given}
    with pytest.raises(InputError, match=message.replace("\n", r"\n")):
        api.serve(**whole)


def test_it_needs_the_packages_of_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "eecompile.server.limits", None)  # as if an import there had failed
    with pytest.raises(
        InputError, match=r"`serve` needs .*, which is not installed\npip install 'eecompile\[ser"
    ):
        api.serve("a")


def test_all_that_is_given_reaches_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(running, "RunningServer", lambda *given: told.append(given))
    api.serve(
        ["a", "b"], "prema", "timeout:3,4ms", 0.2, (2.0, 1.0), "::", 1, 2, 3, 4, 5, progress=told.append
    )
    (folders, options, say), *_ = told
    assert folders == [(Path("a"), 2.0), (Path("b"), 1.0)] and say == told.append
    assert (options.host, options.port, options.grpc_port) == ("::", 1, 2)
    assert (options.policy.name, str(options.batching), options.slo_s) == ("prema", "timeout:3,4ms", 0.2)
    assert (options.limits.body_bytes, options.max_queue, options.threads) == (3, 4, 5)
    api.serve("a")
    (folders, options, _) = told[-1]
    assert folders == [(Path("a"), 1.0)] and options.limits.body_bytes == 16 * 2**20
    assert (options.policy.name, options.batching.kind, options.slo_s) == ("fifo", "none", None)
