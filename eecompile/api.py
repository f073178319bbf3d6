"""One function per verb of the command line, with the same parameter names; nothing is printed.

Each verb imports what it works with when it is called, so that none waits for the packages of another.

All raise :class:`passes.errors.EecompileError` for what a user can put right: its message says what,
where and what to do, its ``exit_code`` is that of the command line.
"""

from __future__ import annotations

from eecompile.verbs.compare import compare
from eecompile.verbs.cost import cost
from eecompile.verbs.doctor import doctor
from eecompile.verbs.export import export
from eecompile.verbs.front import front
from eecompile.verbs.inspect import inspect
from eecompile.verbs.opt import opt
from eecompile.verbs.passes import passes
from eecompile.verbs.quantize import quantize
from eecompile.verbs.report import report
from eecompile.verbs.retune import retune
from eecompile.verbs.run import run
from eecompile.verbs.search import cache, search, why
from eecompile.verbs.serve import serve
from eecompile.verbs.simulate import simulate
from eecompile.verbs.split import split
from eecompile.verbs.targets import targets
from eecompile.verbs.whatif import whatif

__all__ = [
    "cache",
    "compare",
    "cost",
    "doctor",
    "export",
    "front",
    "inspect",
    "opt",
    "passes",
    "quantize",
    "report",
    "retune",
    "run",
    "search",
    "serve",
    "simulate",
    "split",
    "targets",
    "whatif",
    "why",
]
