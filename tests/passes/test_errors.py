from __future__ import annotations

import pytest

from passes.errors import EecompileError, InputError, NoSolutionError, PassError, did_you_mean


@pytest.mark.parametrize(("kind", "code"), [(InputError, 2), (PassError, 2), (NoSolutionError, 1)])
def test_errors_tell_what_and_what_to_do(kind: type[EecompileError], code: int) -> None:
    error = kind("the file is bad", "write it again")
    assert (error.message, error.hint, error.exit_code) == ("the file is bad", "write it again", code)
    assert str(error) == "the file is bad\nwrite it again"
    assert str(kind("alone")) == "alone"


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("relu_9", ("relu_1", "conv_1"), "did you mean 'relu_1'?"),
        ("digit", ("digits", "cifar10"), "did you mean 'digits'?"),
        ("zzz", ("b", "a"), "known: a, b"),
        ("zzz", (), "none are known"),
    ],
)
def test_near_names_are_suggested(name: str, known: tuple[str, ...], hint: str) -> None:
    assert did_you_mean(name, known) == hint
