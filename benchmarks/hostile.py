"""Random and hostile command lines for :mod:`fuzz`, drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import OmegaConf

from shiftbench.settings.schema import CONFIG_DIR, GROUPS, Config, flatten

# A whole run with these takes about a second.
TINY = (
    "data.size=16",
    "data.train_images=40",
    "data.test_images=10",
    "model.width=2",
    "train.epochs=0",
    "shift=circular",
    "shift.circular.draws=2",
    "shift.circular.steps=1",
    "measure.layers=false",
    "measure.resamples=5",
    "progress=false",
)

# None is both allowed and costly anywhere: a million epochs that are asked for are no hang.
NUMBERS = (
    "-1", "0", "1", "2", "3", "7", "17", "0.5", "1.5", "-0.0", "1e-9", "1e308", "-1e308", "1e400",
    "nan", "inf", "-inf", "100000001", "2147483648", "4294967296", "9223372036854775807",
    "9223372036854775808", "-9223372036854775809", "1000000000", "1000000000000", f"1{'0' * 30}",
    f"1{'0' * 400}", "1_000_000_000", "0x10", "1e3",
)  # fmt: skip
TEXTS = (
    "", "''", '""', "' '", "abc", "true", "false", "null", "???", "none", "auto", "all", "peer",
    "\u202eabc", "😀", "e\u0301\u0301\u0301", "\ufeff", "\x1b[31mred", "a\nb", "a\tb", "\udcff",
    "'a b'", "a b", '"a', "'", "[", "]", "[[", "{", "}", "{}", "[]", "(", ")", "\\", "\\x00",
    "a=b", "a:b", "a,b", ",", "=", "%", "$", "$(id)", "`id`", "*", "?", "#", "!", "&", "|", ";",
    "~", "@", "a@b", "x" * 300, "x" * 5000, "[" * 200 + "]" * 200, "-", "--", "-m", "+", "++",
)  # fmt: skip
STRUCTURES = (
    "[1]", "[1,2]", "[2,1]", "[0,0]", "[nan,1]", "[a,b]", "[null]", "[1,2,3]", "[-1,1]", "[[1]]",
    "[1e308,1e309]", "[0.5,1]", "{a:1}", "{a:{b:c}}", "{_partial_:true}", "{a:null}", "{1:2}",
    "[circular,circular]", "[[circular]]", "[{a:1}]", "[-1000000000,1000000000]", "[-0.5,0.5]",
)  # fmt: skip
INTERPOLATIONS = (
    "${oc.env:HOME}", "${oc.env:NOSUCH}", "${now:}", "${seed}", "${out}", "${train}",
    "${nosuch}", "${}", "${", "${a", "${hydra:runtime.cwd}", "${data.size}", "${.size}", "${..}",
    "${oc.decode:x}", "${oc.create:{a:1}}", "${shift}", "${oc.env:HOME}/${seed}",
)  # fmt: skip
PATHS = (
    "../../etc", "..", ".", "/", "/proc/self/x", "/dev/null", "/dev/null/x", "a/b", "a/../b", "./x",
    "~", "~nosuchuser/x", "~/x", "\\\\x\\y", "C:\\x", "/dev/zero", "x/", "a//x", "../outside",
    "a_file", "a_folder", "a_file/x",
)  # fmt: skip
VALUES = (NUMBERS, TEXTS, STRUCTURES, INTERPOLATIONS, PATHS)

# Hydra would call them while it makes the objects. All are harmless, should one be called.
TARGETS = (
    "os.system", "os.getcwd", "os.getpid", "builtins.eval", "builtins.print", "builtins.exec",
    "builtins.dict", "subprocess.run", "pathlib.Path", "time.time", "shutil.disk_usage", "nosuch",
    "os", "", "a b", "shiftbench.pool.max.MaxPool2d", "shiftbench.cli.main",
    "null", "3", "[a]", "..", "hydra.utils.instantiate", "webbrowser.open",
)  # fmt: skip
HYDRA = (
    "hydra.run.dir=../outside", "hydra.run.dir=/proc/x", "hydra.run.dir=", "hydra.run.dir=null",
    "hydra.sweep.dir=../outside", "hydra.sweep.subdir=../../outside", "hydra/launcher=nosuch",
    "hydra/launcher=basic", "hydra/sweeper=nosuch", "hydra.job.chdir=true", "hydra.job.chdir=abc",
    "hydra.output_subdir=../outside", "hydra.output_subdir=.hydra", "hydra.verbose=true",
    "hydra.verbose=[a]", "hydra/job_logging=default", "hydra/hydra_logging=default",
    "hydra/job_logging=nosuch", "hydra.job.name=../x", "hydra.mode=MULTIRUN", "hydra.mode=abc",
    "hydra.searchpath=[file:///proc/x]", "hydra.searchpath=[pkg://os]", "hydra.nosuch=1",
    "hydra.launcher._target_=os.getcwd", "hydra.sweeper._target_=builtins.print", "hydra=null",
    "+hydra.callbacks.a={_target_: os.getcwd}", "+hydra.callbacks.a._target_=builtins.print",
    "hydra.sweeper.params={seed: 3}", "hydra.sweeper.max_batch_size=0", "hydra.runtime.cwd=/",
    "hydra.job.env_set={A: b}", "hydra.job.config.override_dirname.kv_sep=/", "hydra={}",
    "hydra.job.num=1", "hydra.job.id=../x", "hydra/help=nosuch", "hydra.help.template=x",
    "hydra/callbacks=nosuch", "hydra/output=nosuch", "hydra.sweep=null", "hydra.run=null",
    "hydra.overrides.task=[]", "hydra.env={}", "+hydra.x=1", "~hydra.run.dir", "~hydra",
)  # fmt: skip
FLAGS = (
    "--cfg", "--cfg=job", "--cfg=nosuch", "-c job", "--resolve", "--package", "--package=a.b",
    "--info", "--info=nosuch", "--info=config", "--info=defaults-tree", "--run", "-r", "--help",
    "-h", "--hydra-help", "--version", "--nosuch", "-x", "--", "-", "---", "--config-dir",
    "--config-dir=nosuch", "--config-dir=a_file", "--config-dir=", "--config-dir=/proc",
    "--config-dir=..", "--config-name", "--config-name=nosuch", "--config-name=../x",
    "--config-name=train/quick", "--config-name=", "--config-path=nosuch", "--config-path=",
    "--config-path=a_folder", "--experimental-rerun=nosuch", "--experimental-rerun=a_file",
    "--experimental-rerun=", "--multirun=1", "-mm", "-m", "--shell-completion", "-sc",
    "-sc install=bash", "-sc install=nosuch", "-sc query=bash", "--conf", "--mult", "--cfg job",
    "--cfg all", "--cfg hydra --package hydra.job", "--info all", "-cd a_folder", "-cn config",
)  # fmt: skip
NAMES = (
    "../config", "../../config", "/proc/x", "a/b", "shapes.yaml", "shapes/", "./shapes", "SHAPES",
    "sh*", "[a]", "[shapes]", "[shapes,mnist]", "{a:1}", "null", "", "''", "😀", "x" * 300,
    "${seed}", "${no}", "3", "1.5", "true", "a b", "'a b'", "a\nb", "\udcff", "none", "~", "@",
    "default", "../model/vgg", "..", ".", "%2e%2e", "a,b", "shapes", "circular", "max", "gap",
)  # fmt: skip
RUNS = (
    "", ".", "..", "/", "nosuch", "a_file", "a_folder", "*", "[", "\udcff", "😀", "x" * 300, "~",
    "/dev/null",
    "~nosuchuser", "a\nb", "outputs", "-", "--", "=", "out=", "out=a_file", "out=nosuch", "--out",
    "--out=", "--csv", "--csv=/proc/x", "--protocol", "--protocol=../x", "--protocol=",
    "--figure=/proc/x", "--nosuch", "-h", "--help", "shapes", "out=/", "a\x1b[2Jb",
    "pool", "data", "shift", "--config-dir", "--config-dir=nosuch", "--config-dir=a_file", "-cd",
    "--csv=../x", "--protocol=a\nb",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One command line, and what it tries."""

    kind: str
    arguments: tuple[str, ...]


@dataclass
class Cases:
    """Draws cases from ``seed``.

    Args:
        seed: The same seed draws the same cases.
        images: A folder of images for ``data=folder``.
    """

    seed: int
    images: Path
    random: random.Random = field(init=False)
    keys: dict[str, tuple[str, ...]] = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.keys = dict(known_settings(self.images))

    def draw(self, count: int) -> list[Case]:
        """Return ``count`` cases; most set one key to a hostile value."""
        makers: tuple[tuple[int, Callable[[], Case]], ...] = (
            (50, self._value), (8, self._several), (8, self._prefix), (9, self._name),
            (5, self._target), (5, self._hydra), (5, self._flag), (5, self._sweep),
            (5, self._verb), (3, self._token), (3, self._twice), (3, self._pair),
        )  # fmt: skip
        weights, functions = zip(*makers, strict=True)
        chosen = self.random.choices(functions, weights, k=count)
        return [make() for make in chosen]

    def _pick(self, options: Sequence[str]) -> str:
        return self.random.choice(options)

    def _any_value(self) -> str:
        return self._pick(self.random.choice(VALUES))

    def _case(self, kind: str, base: Sequence[str], *items: str) -> Case:
        """Return TINY without what ``base`` and ``items`` make void, then both."""
        arguments = [*TINY]
        chosen = {item.partition("=")[0]: item.partition("=")[2] for item in base}
        if chosen.get("data", "shapes") != "shapes":
            arguments = [item for item in arguments if not item.startswith("data.")]
        if "shift" in chosen:
            arguments = [item for item in arguments if not item.startswith("shift")]
        given = {item.partition("=")[0].lstrip("+~") for item in (*base, *items)}
        arguments = [item for item in arguments if item.partition("=")[0] not in given]
        return Case(kind, (*arguments, *base, *items))

    def _setting(self) -> tuple[str, tuple[str, ...]]:
        key = self._pick(sorted(self.keys))
        return key, self.keys[key]

    def _value(self) -> Case:
        key, base = self._setting()
        return self._case("value", base, f"{_last(key)}={self._any_value()}")

    def _pair(self) -> Case:
        """Two settings of one option: what each allows, both together may not."""
        key, base = self._setting()
        others = [other for other in sorted(self.keys) if self.keys[other] == base]
        items = [f"{_last(k)}={self._pick(NUMBERS)}" for k in (key, self._pick(others))]
        return self._case("pair", base, *dict.fromkeys(items))

    def _several(self) -> Case:
        plain = [key for key in sorted(self.keys) if not self.keys[key]]
        keys = self.random.sample(plain, self.random.randint(2, 4))
        return self._case("several", (), *(f"{_last(key)}={self._any_value()}" for key in keys))

    def _prefix(self) -> Case:
        key, base = self._setting()
        name, value = _last(key), self._any_value()
        group = name.split(".")[0]
        forms = (
            f"+{name}={value}", f"++{name}={value}", f"~{name}", f"~{name}={value}",
            f"+{name}.x={value}", f"++{name}.x.y={value}", f"{name}@x={value}", f"{name}.x={value}",
            f"+{group}.x={value}", f"+x={value}", f"{name}@x:y={value}", f"++x={value}",
            f"++x.y={value}", f"+{group}@x={value}", f"~{group}", f"+{value}={value}",
        )  # fmt: skip
        return self._case("prefix", base, self._pick(forms))

    def _name(self) -> Case:
        group = self._pick((*GROUPS, "data.name", "padding", "device", "precision", "checkpoint"))
        if group == "data.name":
            base = ("data=folder", f"data.root={self.images}")
            return self._case("name", base, f"data.name={self._pick((*NAMES, *PATHS))}")
        return self._case("name", (), f"{group}={self._pick((*NAMES, *PATHS, *TEXTS))}")

    def _target(self) -> Case:
        group, target = self._pick(GROUPS[:5]), self._pick(TARGETS)
        forms = (
            f"{group}._target_={target}", f"++{group}._target_={target}",
            f"++{group}={{_target_: '{target}'}}", f"+{group}.x={{_target_: '{target}'}}",
            f"++shift.circular._target_={target}", f"+shift.mine={{_target_: '{target}'}}",
            f"+{group}.x._target_={target}", f"++data.test={{_target_: '{target}'}}",
            f"++{group}._args_=[{{_target_: '{target}'}}]", f"++{group}._recursive_={target}",
            f"++{group}._convert_={target}", f"++{group}._partial_={target}",
            f"++{group}._args_=[1]", f"~{group}._target_",
        )  # fmt: skip
        return self._case("target", (), self._pick(forms))

    def _hydra(self) -> Case:
        many = ("-m",) if self.random.random() < 0.3 else ()
        return self._case("hydra", (), *many, self._pick(HYDRA))

    def _flag(self) -> Case:
        flags = self._pick(FLAGS).split(" ")
        rest = () if self.random.random() < 0.5 else (f"{_last(self._setting()[0])}=1",)
        return self._case("flag", (), *flags, *rest)

    def _sweep(self) -> Case:
        key, base = self._setting()
        first, second = self._any_value(), self._any_value()
        forms = (
            f"{first},{second}", f"range(0,{first})", f"choice({first},{second})", f"glob({first})",
            f"interval(0,{first})", f"sort({first},{second})", f"shuffle({first})", "range(3)",
            f"range(1,2,{first})", f"tag({first})", f"int({first})", f"str({first}),1", "glob(*)",
            f"extend_list({first})",
        )  # fmt: skip
        return self._case("sweep", base, "-m", f"{_last(key)}={self._pick(forms)}")

    def _verb(self) -> Case:
        verb = self._pick(("list", "compare", "jagged", "compare", "jagged", "lst", "LIST", ""))
        return Case("verb", (verb, *(self._pick(RUNS) for _ in range(self.random.randint(0, 3)))))

    def _token(self) -> Case:
        return self._case("token", (), self._any_value())

    def _twice(self) -> Case:
        key, base = self._setting()
        values = self._any_value(), self._any_value()
        return self._case("twice", base, *(f"{_last(key)}={value}" for value in values))


def known_settings(images: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Return every setting, written ``option:key``, with the arguments that bring it in."""
    schema = OmegaConf.to_container(OmegaConf.structured(Config))
    found: list[tuple[str, tuple[str, ...]]] = [(key, ()) for key, _ in flatten(schema)]  # type: ignore[arg-type]
    for group in GROUPS:
        for path in sorted((CONFIG_DIR / group).glob("*.yaml")):
            base = (f"{group}={path.stem}",)
            if base == ("data=folder",):
                base = (*base, f"data.root={images}")
            prefix = f"shift.{path.stem}." if group == "shift" else f"{group}."
            content = OmegaConf.to_container(OmegaConf.load(path))
            keys = [key for key, _ in flatten(content, prefix)]  # type: ignore[arg-type]
            found += [(f"{path.stem}:{key}", base) for key in keys if "_target_" not in key]
    return found


def _last(key: str) -> str:
    return key.rpartition(":")[2]
