"""How the packages are built: circles of imports, files per folder, and the floors that imports pass through.

    python -m tools.house [DIR] [--json]

DIR is a checkout, by default this one; nothing of it is imported. What counts:

* An import anywhere in a module, inside functions too, or ``importlib.import_module`` of a literal name.
  Imports under ``TYPE_CHECKING`` never run and are counted apart. That a module also loads the packages it
  lies in is not counted.
* A *circle* is a set of modules that all reach each other. A circle between rooms is one between the files
  and folders that lie side by side in a folder, whichever of their modules import each other.
* The *rooms* of a folder are its files and folders; ``__init__`` only if it holds more than its docstring.
* *Floors*: how many rooms lie on the longest chain of imports in a folder, circles taken as one room.
"""

from __future__ import annotations

import argparse
import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

PACKAGES = ("eecompile", "targets", "passes")
MOST_FILES = 20

Graph = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Imports:
    """What a module imports, by full name: when it runs, and only for the type checker."""

    run: frozenset[str]
    typed: frozenset[str]


@dataclass(frozen=True)
class Folder:
    """A folder of modules.

    Attributes:
        files: Python files in it, ``__init__`` too.
        rooms: Files and folders in it that hold code.
        floors: Rooms on the longest chain of imports.
        circles: Rooms that import each other, imports for the type checker included.
    """

    name: str
    files: int
    rooms: int
    floors: int
    circles: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class House:
    """All that is counted.

    Attributes:
        circles: Modules that reach each other when they run.
        typed_circles: Circles that are there only with the imports for the type checker.
        folders: By name.
    """

    circles: tuple[tuple[str, ...], ...]
    typed_circles: tuple[tuple[str, ...], ...]
    folders: tuple[Folder, ...]

    @property
    def crowded(self) -> tuple[Folder, ...]:
        """Folders with more than ``MOST_FILES`` files."""
        return tuple(folder for folder in self.folders if folder.files > MOST_FILES)


def survey(root: Path) -> House:
    """Return what the packages below ``root`` are built like."""
    paths = {
        _module(path.relative_to(root)): path for name in PACKAGES for path in root.glob(f"{name}/**/*.py")
    }
    imports = {module: _imports(path, frozenset(paths)) for module, path in sorted(paths.items())}
    run = {module: found.run for module, found in imports.items()}
    full = {module: found.run | found.typed for module, found in imports.items()}
    circles = _circles(run)
    folders = sorted({path.parent.relative_to(root) for path in paths.values()})
    return House(
        circles=circles,
        typed_circles=tuple(circle for circle in _circles(full) if circle not in circles),
        folders=tuple(_folder(root, folder, full, paths) for folder in folders),
    )


def _folder(root: Path, folder: Path, graph: Graph, paths: Mapping[str, Path]) -> Folder:
    prefix = ".".join(folder.parts)
    rooms: dict[str, set[str]] = {}
    for module in graph:
        room = _room(module, prefix)
        if room != prefix or _holds_code(paths[module]):
            reached = {_room(other, prefix) for other in graph[module]}
            rooms.setdefault(room, set()).update(reached - {room})
    rooms.pop("", None)
    inside = {room: frozenset(reached & rooms.keys()) for room, reached in rooms.items()}
    return Folder(
        name=str(folder),
        files=len(list((root / folder).glob("*.py"))),
        rooms=len(inside),
        floors=_floors(inside),
        circles=_circles(inside),
    )


def _room(module: str, prefix: str) -> str:
    """Return the room of the folder ``prefix`` that ``module`` lies in; empty if in none."""
    if module == prefix:
        return prefix
    if not module.startswith(f"{prefix}."):
        return ""
    return f"{prefix}.{module.removeprefix(prefix).split('.')[1]}"


def _module(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _holds_code(path: Path) -> bool:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)


def _imports(path: Path, modules: frozenset[str]) -> Imports:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    guards = [node for node in ast.walk(tree) if isinstance(node, ast.If) and _is_type_checking(node.test)]
    guarded = {id(inner) for guard in guards for part in guard.body for inner in ast.walk(part)}
    run: set[str] = set()
    typed: set[str] = set()
    for node in ast.walk(tree):
        names = {name for name in _imported(node, modules) if name in modules}
        (typed if id(node) in guarded else run).update(names)
    return Imports(frozenset(run), frozenset(typed))


def _is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _imported(node: ast.AST, modules: frozenset[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module is not None:
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield inner if inner in modules else node.module
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
        "importlib.import_module",
        "import_module",
    ):
        yield from (str(arg.value) for arg in node.args[:1] if isinstance(arg, ast.Constant))


def _components(graph: Graph) -> list[tuple[str, ...]]:
    """Return the strongly connected components, those that others import first (Tarjan's algorithm)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[tuple[str, ...]] = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in order:
                visit(other)
            if other in stack:
                lowest[node] = min(lowest[node], lowest[other])
        if lowest[node] == order[node]:
            component = stack[stack.index(node) :]
            del stack[-len(component) :]
            found.append(tuple(sorted(component)))

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return found


def _circles(graph: Graph) -> tuple[tuple[str, ...], ...]:
    return tuple(sorted(component for component in _components(graph) if len(component) > 1))


def _floors(graph: Graph) -> int:
    floor: dict[str, int] = {}
    for component in _components(graph):
        below = [floor[other] for node in component for other in graph[node] if other not in component]
        floor.update(dict.fromkeys(component, 1 + max(below, default=0)))
    return max(floor.values(), default=0)


def to_text(house: House) -> str:
    """Return the counts as tables."""
    lines = [f"import circles: {len(house.circles)}"]
    lines += [f"  {' <-> '.join(circle)}" for circle in house.circles]
    lines.append(f"more of them under TYPE_CHECKING: {len(house.typed_circles)}")
    lines += [f"  {' <-> '.join(circle)}" for circle in house.typed_circles]
    between = [circle for folder in house.folders for circle in folder.circles]
    lines.append(f"circles between rooms: {len(between)}")
    lines += [f"  {' <-> '.join(circle)}" for circle in between]
    lines.append(f"most files in a folder: {max((folder.files for folder in house.folders), default=0)}")
    lines.append(f"folders with more than {MOST_FILES} files: {len(house.crowded)}")
    lines.append("")
    width = max((len(folder.name) for folder in house.folders), default=0)
    lines.append(f"{'folder':{width}}  files  rooms  floors")
    lines += [f"{f.name:{width}}  {f.files:5}  {f.rooms:5}  {f.floors:6}" for f in house.folders]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``python -m tools.house``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dir", nargs="?", type=Path, default=Path(__file__).parents[1], metavar="DIR")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args(arguments)
    house = survey(options.dir)
    print(json.dumps(asdict(house), indent=1) if options.json else to_text(house))


if __name__ == "__main__":
    main()
