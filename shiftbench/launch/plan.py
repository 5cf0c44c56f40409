"""``--plan``: what the jobs of a command need, without running any of them; without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from omegaconf import DictConfig

from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.launch.hydra_job import run_names
from shiftbench.runs.run import Run
from shiftbench.settings import schema as configuration

FLAG = "--plan"
_OTHER_COMMANDS = {
    "--cfg": ("--cfg", "-c"), "--info": ("--info", "-i"), "-sc": ("--shell-completion", "-sc"),
    "--help": ("--help", "-h"), "--hydra-help": ("--hydra-help",),
}  # fmt: skip


def without_flag(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Return the arguments without ``--plan``, and whether it was among them.

    Raises:
        UsageError: If another flag asks for something else than a run.
    """
    others = [argument for argument in arguments if argument != FLAG]
    if len(others) == len(arguments):
        return others, False
    for name, spellings in _OTHER_COMMANDS.items():
        if any(argument.partition("=")[0] in spellings for argument in others):
            raise UsageError(f"{FLAG} and {name} are two commands; give one of them")
    return others, True


@dataclass
class Collected:
    """The jobs of a command, sorted into those to run, finished ones and those that would fail."""

    jobs: list[tuple[DictConfig, Run]] = field(default_factory=list)
    done: int = 0
    refused: list[ShiftbenchError] = field(default_factory=list)

    def add(self, config: DictConfig) -> None:
        """Add the composed configuration of one job."""
        try:
            configuration.check(config)
            run = Run.of(config, run_names(config))
        except ShiftbenchError as error:
            self.refused.append(error)
            return
        if run.is_done() and not config.force:
            self.done += 1
        else:
            self.jobs.append((config, run))

    def show(self) -> None:
        """Estimate and print what the jobs need.

        Raises:
            ShiftbenchError: If the only job would fail.
        """
        from shiftbench.report.tables.plan_table import print_plan
        from shiftbench.runs.plan import Plan

        total = len(self.jobs) + self.done + len(self.refused)
        sentences = [str(error) for error in self.refused]
        if total == 1 and self.refused:
            raise self.refused[0]
        if not self.jobs:
            print_plan(Plan(total, self.done, tuple(sentences)))
            return
        from shiftbench.experiment.plan import plan_of

        print_plan(plan_of(self.jobs, total=total, done=self.done, refused=sentences))
