"""``shiftbench list GROUP``: one line for each option, read from the yaml files."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from shiftbench.errors import UsageError, require_one_of
from shiftbench.settings.schema import CONFIG_DIR, GROUPS


def list_options(arguments: list[str]) -> int:
    """Print the options of a group, or all groups; ``--config-dir DIR`` adds a user's options."""
    arguments, folders = _split_config_dir(arguments)
    if len(arguments) > 1:
        given = " ".join(arguments)
        raise UsageError(f"list takes one group, got {given}; e.g. shiftbench list pool")
    if not arguments:
        rows = [(group, ", ".join(sorted(options(group, folders)))) for group in GROUPS]
    else:
        require_one_of("list", arguments[0], GROUPS)
        rows = sorted(options(arguments[0], folders).items())
    _print(rows or [("(none)", "")])
    return 0


def options(group: str, folders: list[Path]) -> dict[str, str]:
    """Return the options of ``group`` with the first comment line of their yaml."""
    files = [path for folder in reversed(folders) for path in (folder / group).glob("*.yaml")]
    return {path.stem: first_comment(path) for path in files}


def first_comment(path: Path) -> str:
    """Return the first comment line of a yaml that is not a Hydra directive."""
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("#") and "@package" not in line:
            return line.lstrip("# ").strip()
    return ""


def _split_config_dir(arguments: list[str]) -> tuple[list[str], list[Path]]:
    rest, folders = [], [CONFIG_DIR]
    remaining = iter(arguments)
    for argument in remaining:
        name, equals, value = argument.partition("=")
        if name not in ("--config-dir", "-cd"):
            rest.append(argument)
            continue
        folder = Path(value if equals else next(remaining, "")).expanduser()
        if not folder.is_dir():
            raise UsageError(f"--config-dir {folder} is not a folder")
        folders.insert(0, folder)
    return rest, folders


def _print(rows: list[tuple[str, str]]) -> None:
    table = Table.grid(padding=(0, 3))
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for row in rows:
        table.add_row(*row)
    Console().print(table, highlight=False)
