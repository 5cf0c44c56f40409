"""Hydra's errors in one sentence each, with "did you mean"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from hydra.errors import HydraException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from shiftbench.config import CONFIG_DIR, GROUPS, Config, flatten
from shiftbench.errors import did_you_mean

_SYNTAX_SIGNS = ("LexerNoViableAlt", "mismatched input", "extraneous input", "missing EQUAL")


def explain(error: BaseException, arguments: list[str]) -> str | None:
    """Return one sentence for an error of the user's, None for one of ours."""
    if isinstance(error, MissingConfigException):
        return _unknown_option(error)
    if not isinstance(error, HydraException | OmegaConfBaseException):
        return None
    text = _all_text(error)
    unknown = re.search(r"Key '([^']+)' (?:is not in struct|not in '[^']+')", text)
    if unknown:
        return _unknown_key(unknown.group(1), text, arguments)
    group = re.search(r"Could not override '([^']+)'\. No match in the defaults list", text)
    if group:
        return _unknown_key(group.group(1), text, arguments)
    bad_type = re.search(r"Value '([^']*)'.* could not be converted to (\w+)", text)
    if bad_type:
        return _bad_type(bad_type.group(1), bad_type.group(2), text)
    if "Ambiguous value for argument" in text:
        return _ambiguous(text)
    if (
        "LexerNoViableAlt" in text
        or "mismatched input" in text
        or "extraneous input" in text
        or "missing EQUAL" in text
    ):
        return _bad_syntax(text, arguments)
    return " ".join(text.split())


def _unknown_option(error: MissingConfigException) -> str:
    wanted = str(error.missing_cfg_file or "")
    group, _, option = wanted.rpartition("/")
    if group not in GROUPS:
        return " ".join(str(error).split())
    # Hydra knows the options of --config-dir too, but not for an option inside a list.
    known = sorted(error.options or [path.stem for path in (CONFIG_DIR / group).glob("*.yaml")])
    hint = did_you_mean(option, known)
    return f"{group}={option} is not known{hint}; allowed: {', '.join(known)}"


def _unknown_key(key: str, text: str, arguments: list[str]) -> str:
    full = re.search(r"full_key: (\S+)", text)
    name = full.group(1) if full else key
    given = next((item.split("=")[0].lstrip("+~") for item in arguments
                  if item.split("=")[0].lstrip("+~").endswith(key)), name)  # fmt: skip
    known = list(known_keys())
    hint = did_you_mean(given, known) or _by_last_part(given, known)
    return f"'{given}' is not a setting{hint}; see shiftbench --cfg job"


def _by_last_part(name: str, known: Iterable[str]) -> str:
    """Return a hint where the user left out the group: ``lr`` for ``train.lr``."""
    last = name.rpartition(".")[2]
    endings = {key.rpartition(".")[2]: key for key in known}
    hint = did_you_mean(last, endings)
    match = re.search(r"'(.+)'", hint)
    return f" (did you mean '{endings[match.group(1)]}'?)" if match else ""


def known_keys() -> Iterator[str]:
    """Yield every key that the shipped configuration has, dotted, the groups' names included."""
    schema = OmegaConf.to_container(OmegaConf.structured(Config))
    yield from (key for key, _ in flatten(schema))  # type: ignore[arg-type]
    yield from GROUPS
    for group in GROUPS:
        for path in sorted((CONFIG_DIR / group).glob("*.yaml")):
            yield from _keys_of(group, path)


def _keys_of(group: str, path: Path) -> Iterator[str]:
    content: Any = OmegaConf.to_container(OmegaConf.load(path))
    prefix = f"shift.{path.stem}." if group == "shift" else f"{group}."
    if group != "experiment" and isinstance(content, dict):
        yield from (key for key, _ in flatten(content, prefix) if "_target_" not in key)


def _bad_type(value: str, kind: str, text: str) -> str:
    key = re.search(r"full_key: (\S+)", text)
    wanted = {"Integer": "a whole number", "Float": "a number", "Boolean": "true or false"}
    name = key.group(1) if key else "a setting"
    return f"{name}={value} does not fit; it takes {wanted.get(kind, kind)}"


def _ambiguous(text: str) -> str:
    found = re.search(r"Ambiguous value for argument '([^=]+)=([^']*)'", text)
    key, value = found.groups() if found else ("key", "a,b")
    return (
        f"{key}={value} is several values; to run each of them add -m, "
        f"to give a list write {key}=[{value}]"
    )


def _bad_syntax(text: str, arguments: list[str]) -> str:
    bad = next((item for item in arguments if "=" not in item and not item.startswith("-")), None)
    if bad is not None:
        hint = did_you_mean(bad, ("compare", "jagged", "list", *GROUPS))
        return f"'{bad}' is neither a verb nor key=value{hint}; as: shiftbench pool=blur"
    item = re.search(r"Error parsing override '([^']*)'", text)
    what = item.group(1) if item else " ".join(arguments)
    return (
        f"'{what}' cannot be read as key=value; put values with spaces or special characters in "
        "quotes, as: 'out=\"my folder\"'"
    )


def _all_text(error: BaseException | None) -> str:
    parts = []
    while error is not None:
        parts.append(str(error))
        error = error.__cause__ or error.__context__
    return "\n".join(parts)
