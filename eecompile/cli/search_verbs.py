"""The verbs of a search: `search`, `why` and `cache`; registered in `eecompile.cli.main`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eecompile.cli.guard import INTERRUPTED, complain, shown_progress
from eecompile.cli.options import CACHE, DATA, JSON, PREPROCESS, SEED, TARGETS_OF_SEARCH, TRIAL


def search(
    space: Annotated[Path, typer.Argument(metavar="SPACE", help="The space, TOML; see docs/search.md.")],
    data: DATA = None,
    target: TARGETS_OF_SEARCH = "diana",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="DIR", help="Folder of the search. [default: searches/SPACE-TARGET]"
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(metavar="N", help="Designs in all, earlier runs included. [default: 20]")
    ] = None,
    seed: SEED = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes of this machine. [default: 1]")
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Where the study is kept: sqlite:///FILE, journal:FILE, grpc://HOST:PORT, or a database. "
            "[default: a file in DIR]",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the search that is in --out.")] = False,
    preprocess: PREPROCESS = None,
    cache: CACHE = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Train nothing: tell the space, costs of its corners, the time."),
    ] = False,
    no_hardware: Annotated[
        bool, typer.Option("--no-hardware", help="Ablation: search by MACs; costs of the target come behind.")
    ] = False,
    no_quantization: Annotated[
        bool, typer.Option("--no-quantization", help="Ablation: judge designs by what they answer in float.")
    ] = False,
    fixed_heads: Annotated[
        bool, typer.Option("--fixed-heads", help="Ablation: use only the first head of the space.")
    ] = False,
    one_threshold: Annotated[
        bool, typer.Option("--one-threshold", help="Ablation: all exits of a network have one threshold.")
    ] = False,
    ga_only: Annotated[
        bool,
        typer.Option("--ga-only", help="Ablation: a genetic algorithm searches inside designs; see docs."),
    ] = False,
    ga_evaluations: Annotated[
        int | None,
        typer.Option(metavar="N", help="Networks that --ga-only looks at in each design. [default: 1000]"),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Designs asked for at once, of a new study. [default: by --workers; see docs]"
        ),
    ] = None,
    join: Annotated[
        bool,
        typer.Option("--join", help="Work for the search whose study is in --storage, until it is over."),
    ] = False,
    as_json: JSON = False,
) -> None:
    """Design early-exit networks for an accelerator.

    Backbone, precision, exits, heads and thresholds are searched together; the front goes to --out.
    """
    from eecompile import api
    from eecompile.cli import show_search, terminal, values

    try:
        with shown_progress() as progress:
            result = api.search(
                space, data, values.parse_names("--target", target) or (), out, trials, seed, workers,
                storage, resume, preprocess, cache, dry_run,
                no_hardware, no_quantization, fixed_heads, one_threshold, ga_only, ga_evaluations, batch,
                join, progress=progress,
            )  # fmt: skip
    except KeyboardInterrupt:
        hint = "" if dry_run or join else "what was found is kept: the same command with --resume goes on"
        raise SystemExit(complain("interrupted", hint, INTERRUPTED)) from None
    terminal.show(result, as_json, show_search.searched)
    if not result.found:
        raise SystemExit(1)


def why(
    study: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a search.")],
    trial: TRIAL,
    as_json: JSON = False,
) -> None:
    """Tell why a design of a search keeps not all constraints, and what would help."""
    from eecompile import api
    from eecompile.cli import show_search, terminal

    terminal.show(api.why(study, trial), as_json, show_search.reason)


def front(
    studies: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of searches.")],
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the page goes. [default: DIR/front.html, where DIR is one]"),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where the table goes. [default: DIR/front.csv, where DIR is one]"),
    ] = None,
    svg: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Where the picture goes. [default: DIR/front.svg, where DIR is one]"
        ),
    ] = None,
    as_json: JSON = False,
) -> None:
    """Show the front of a search as page, table and picture.

    Several are laid over each other, with hypervolumes up to one reference.
    """
    from eecompile import api
    from eecompile.cli import show_front, terminal

    terminal.show(api.front(studies, html, csv, svg), as_json, show_front.fronts)


def cache(
    cache: CACHE = None,
    keep: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Keep at most so much, the last used: 500MB, 2GiB, 0."),
    ] = None,
    as_json: JSON = False,
) -> None:
    """List what runs and searches keep for each other, or keep less."""
    from eecompile import api
    from eecompile.cli import show_search, terminal, values

    terminal.show(api.cache(cache, values.parse_size(keep)), as_json, show_search.cached)


def whatif(
    study: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a search that ended.")],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="PATH=VALUE", help="A number of the hardware: memories.l1.size_bytes=65536."
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target", "-t", metavar="NAME|FILE", help="Another accelerator. [default: the search's]"
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Writes DIR/whatif-NAME.json. [default: by what is changed]"),
    ] = None,
    cache: CACHE = None,
    as_json: JSON = False,
) -> None:
    """Tell what the front of a search would cost on other hardware; nothing is trained."""
    from eecompile import api
    from eecompile.cli import show_what_if, terminal, values

    with shown_progress() as progress:
        found = api.whatif(study, values.parse_settings(settings), target, name, cache, progress=progress)
    terminal.show(found, as_json, show_what_if.moved)
