"""Hydra's errors, each in one sentence with suggestions, and arguments that are not allowed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

from hydra.errors import HydraException, MissingConfigException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from shiftbench.errors import UsageError, did_you_mean, printable
from shiftbench.launch.launcher_errors import (
    missing_launcher,
    setting_of_a_launcher,
    unknown_launcher,
)  # fmt: skip
from shiftbench.launch.setting_names import known_keys, option_keys
from shiftbench.settings.hydra_patches import args_parser, is_composing, is_readable
from shiftbench.settings.schema import CONFIG_DIR, GROUPS, LISTS

_SYNTAX_SIGNS = (
    "LexerNoViableAlt", "no viable alternative", "mismatched input", "extraneous input",
    "missing EQUAL", "token recognition error", "Error parsing override", "missing BRA",
)  # fmt: skip
_KINDS = {
    "Integer": "a whole number", "int": "a whole number", "Float": "a number", "float": "a number",
    "Boolean": "true or false", "bool": "true or false", "string": "text", "str": "text",
}  # fmt: skip

_BAD_TYPE = re.compile(
    r"(?s)Value '(.*?)'[^\n]* (?:could not be converted to|is not a valid) (\w+)"
    r"|Cannot convert '\w+' to (string): '(.*?)'\n"
)
_AUTHORS_WORDS = re.compile(  # relevant only to developers of Hydra
    r"(?:full_key|object_type|reference_type)[:=].*|See https?://\S+.*"
    r"|, set env var HYDRA_FULL_ERROR=1.*|\$[A-Z_]+|\w+Error raised while resolving interpolation:"
    r"| \(\w+Config\)"
)

# Settings that users may expect in the group optimizer but that belong to the group train.
_CALLED = {f"optimizer.{name}": f"train.{name}" for name in ("lr", "weight_decay", "momentum")}

_OPTION = re.compile(r"=\[?(?!(?:null|true|false|nan|inf)$)[a-z]", re.IGNORECASE)
_COMPLETION = re.compile("(?:un)?install=|query=")
# ``pool._target_=`` and ``{_target_: ...}``: the objects that hydra.utils.instantiate calls.
_CALLS = re.compile(
    r"(?:^[^=]*\.|[{,]\s*)_(?:target|args|partial|recursive|convert)_\s*(?:[=:@.]|$)"
)
# Settings for the folders of Hydra's own files; all of them are inside out=PATH.
_PLACES = re.compile(
    r"hydra(?:$|[./](?:run|sweep|output_subdir|output|job_logging|hydra_logging)(?:$|[./@])"
    r"|\.job\.(?:chdir|name)$|\.callbacks(?:$|\.keep_sweep))"
)


def refuse(arguments: Sequence[str]) -> None:
    """Refuse arguments that Hydra would act upon before any job is checked.

    Raises:
        UsageError: For unknown flags, output files outside ``out``, and Python objects named on
            the command line, which are allowed in yaml files only.
    """
    for item in arguments:
        if any("\ud800" <= character <= "\udfff" for character in item):
            raise UsageError(_undecoded(item))
    parser = args_parser()
    parser.error = _refuse_flags  # type: ignore[method-assign]
    given = parser.parse_args(list(arguments))
    if given.experimental_rerun is not None:
        raise UsageError(
            "--experimental-rerun reads a pickle, which could run anything; give the run's "
            "command again instead, it is in the run's provenance.json"
        )
    flags = {"--run": given.run, "--multirun": given.multirun, "--cfg": given.cfg,
             "--info": given.info, "-sc": given.shell_completion}  # fmt: skip
    if len(both := [flag for flag, is_given in flags.items() if is_given]) > 1:
        raise UsageError(f"{' and '.join(both)} are two commands; give one of them")
    if given.shell_completion and not _COMPLETION.match((given.overrides or [""])[0]):
        raise UsageError('-sc takes an action; e.g. eval "$(shiftbench -sc install=bash)"')
    for item in given.overrides:
        key = item.partition("=")[0].lstrip("+~")
        if _CALLS.search(item):
            raise UsageError(
                f"'{printable(item)}' says what Python is to call, and that belongs in a "
                "yaml file; write DIR/pool/mine.yaml and give --config-dir DIR pool=mine"
            )
        if _PLACES.match(key):
            raise UsageError(
                f"'{printable(item)}' would have Hydra change where files go; all of them "
                "go to the output folder, out=PATH chooses another"
            )


def _undecoded(item: str) -> str:
    encoding = sys.getfilesystemencoding()
    if encoding == "utf-8":
        return f"'{printable(item)}' is not text in UTF-8; give a name that is"
    return (
        f"'{printable(item)}' cannot be read in this locale, whose encoding is {encoding}; "
        "set PYTHONUTF8=1, or give a name in ASCII"
    )


def _refuse_flags(message: str) -> NoReturn:
    raise UsageError(f"{printable(message, 300)}; see shiftbench --help")


def explain(error: BaseException, arguments: list[str]) -> str | None:
    """Return one sentence for a user's error, None for an internal error."""
    if isinstance(error, MissingConfigException):
        return unknown_launcher(error) or _unknown_option(error)
    if missing := missing_launcher(_all_text(error)):
        return missing
    if not isinstance(error, HydraException | OmegaConfBaseException) and not is_composing(error):
        return None
    text = _all_text(error)
    unknown = re.search(r"Key '([^']+)' (?:is not in struct|not in '[^']+')", text)
    if unknown:
        return _unknown_key(unknown.group(1), text, arguments)
    group = re.search(r"Could not override '([^']+)'\. No match in the defaults list", text)
    if group:
        return _unknown_key(group.group(1), text, arguments)
    if no_null := re.search(r"field '([^']+)' is not Optional", text):
        return f"{no_null.group(1)}=null does not fit; give a value, or leave it out"
    if bad_type := _BAD_TYPE.search(text):
        value, kind, kind_of_text, other = bad_type.groups()
        return _bad_type(value if kind else other, kind or kind_of_text, text)
    if "Ambiguous value for argument" in text:
        return _ambiguous(text)
    if any(sign in text for sign in _SYNTAX_SIGNS):
        return _bad_syntax(arguments)
    if unresolved := re.search(r"Error resolving interpolation '([^\n]*?)',", text):
        return (
            f"{printable(unresolved.group(1))} cannot be resolved; give a plain value in its place"
        )
    if "Config group override must be a string or a list" in text:
        return _bad_option(arguments)
    return _plain(text)


def _unknown_option(error: MissingConfigException) -> str:
    wanted = str(error.missing_cfg_file or "")
    group, _, option = wanted.rpartition("/")
    if group not in GROUPS:
        return _plain(str(error))
    # Hydra also lists the options of --config-dir, except for an option inside a list.
    known = sorted(error.options or [path.stem for path in (CONFIG_DIR / group).glob("*.yaml")])
    hint = did_you_mean(option, known)
    return f"{group}={printable(option)} is not known{hint}; allowed: {', '.join(known) or 'none'}"


def _unknown_key(key: str, text: str, arguments: list[str]) -> str:
    full = re.search(r"full_key: (\S+)", text)
    name = full.group(1) if full else key
    typed = [item.partition("=")[0].lstrip("+~") for item in arguments]
    given = next((item for item in typed if f"{item}.".startswith(f"{name}.")),
                 next((item for item in typed if item.endswith(key)), name))  # fmt: skip
    if given in _CALLED:
        return f"'{given}' is called {_CALLED[given]}, whatever the optimizer; give that"
    elsewhere = _of_another_option(given, arguments) or setting_of_a_launcher(given, arguments)
    if elsewhere:
        return elsewhere
    known = list(known_keys())
    if given in known:
        group = given.partition(".")[0]
        return (
            f"'{printable(given)}' is set, but {group} is taken away or unset; "
            f"name one, {group}=OPTION"
        )
    hint = did_you_mean(given, known) or _by_last_part(given, known)
    return f"'{printable(given)}' is not a setting{hint}; see shiftbench --cfg job"


def _of_another_option(key: str, arguments: Sequence[str]) -> str | None:
    """Return a message if ``key`` is a setting of an option that was not chosen."""
    group, _, rest = key.partition(".")
    homes = [option for option, name in option_keys() if name == key and option[0] == group]
    if not homes:
        return None
    names = [name for _, name in homes]
    chosen = _chosen(group, arguments)
    if chosen in names:
        return None
    if group in LISTS:
        first = {"shift": "circular", "metric": "standard"}[group]
        return (
            f"'{key}' is set, but {group}={chosen} does not have {names[0]}; "
            f"add it, e.g. {group}=[{first},{names[0]}]"
        )
    return (
        f"{group}={chosen} has no setting '{rest}'; "
        f"{group}={', '.join(names)} {'has' if len(names) == 1 else 'have'} it; "
        f"give one of them, e.g. {group}={names[0]} {printable(key)}=..."
    )


def _chosen(group: str, arguments: Sequence[str]) -> str:
    """Return the option of ``group`` that the command names, by default that of config.yaml."""
    named = [item.partition("=")[2] for item in arguments if item.startswith(f"{group}=")]
    if named:
        return printable(named[-1])
    defaults = OmegaConf.load(CONFIG_DIR / "config.yaml").defaults
    [option] = [entry[group] for entry in defaults if not isinstance(entry, str) and group in entry]
    return str(option).replace("'", "").replace(" ", "") if option is not None else "null"


def _by_last_part(name: str, known: Iterable[str]) -> str:
    """Return a hint if the user omitted the group: ``lr`` for ``train.lr``."""
    last = name.rpartition(".")[2]
    endings = {key.rpartition(".")[2]: key for key in known}
    hint = did_you_mean(last, endings)
    match = re.search(r"'(.+)'", hint)
    return f" (did you mean '{endings[match.group(1)]}'?)" if match else ""


def _bad_type(value: str, kind: str, text: str) -> str:
    key = re.search(r"full_key: (\S+)", text)
    name = key.group(1) if key else "a setting"
    return f"{name}={printable(value)} does not fit; it takes {_KINDS.get(kind, kind)}"


def _bad_option(arguments: Sequence[str]) -> str:
    item = next((item for item in arguments if item.partition("=")[0].lstrip("+") in GROUPS
                 and not _OPTION.search(item)), "GROUP=VALUE")  # fmt: skip
    group = item.partition("=")[0].lstrip("+")
    return f"'{printable(item)}' does not name an option of {group}; see shiftbench list {group}"


def _ambiguous(text: str) -> str:
    found = re.search(r"Ambiguous value for argument '([^=]+)=([^']*)'", text)
    key, value = found.groups() if found else ("key", "a,b")
    key, value = printable(key), printable(value)
    return (
        f"{key}={value} is several values; to run each of them add -m, "
        f"to give a list write {key}=[{value}]"
    )


def _bad_syntax(arguments: Sequence[str]) -> str:
    bad = next((item for item in arguments if "=" not in item and not item.startswith("-")), None)
    if bad is not None:
        hint = did_you_mean(bad, ("compare", "jagged", "list", "report", *GROUPS))
        return (
            f"'{printable(bad)}' is neither a verb nor key=value{hint}; e.g. shiftbench pool=blur"
        )
    what = printable(_unreadable(arguments))
    return (
        f"'{what}' cannot be read as key=value; put values with spaces or special "
        "characters in quotes, e.g. 'out=\"my folder\"'"
    )


def _unreadable(arguments: Sequence[str]) -> str:
    """Return the first argument that Hydra cannot parse."""
    unreadable = [item for item in arguments if not (item.startswith("-") or is_readable(item))]
    return unreadable[0] if unreadable else " ".join(arguments)


def _plain(text: str) -> str:
    """Return Hydra's message on one line, without parts that only its developers need."""
    lines = []
    for line in text.splitlines():
        plain = _AUTHORS_WORDS.sub("", line).strip()
        if plain and plain not in lines and plain != "None":
            lines.append(plain)
    return printable(" ".join(lines), 500)


def _all_text(error: BaseException | None) -> str:
    chain: list[BaseException] = []
    while error is not None and error not in chain:  # a cause raised again closes a cycle
        chain.append(error)
        error = error.__cause__ or error.__context__
    return "\n".join(map(str, chain))
