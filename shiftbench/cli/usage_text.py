"""The text of ``shiftbench --help``."""

from __future__ import annotations

import re
import textwrap

from shiftbench.cli.list_command import options
from shiftbench.settings.schema import CONFIG_DIR, GROUPS

HEADER = """\
shiftbench: how much does an image classifier's prediction change when its
input shifts by one pixel, and what helps?

Examples
  shiftbench model=vgg pool=blur                   train, measure, report
  shiftbench data=cifar10 model=resnet pool=aps padding=circular
  shiftbench -m pool=max,stride,blur seed=0,1,2    a sweep
  shiftbench -m pool=max,stride,blur --plan        what it needs, not run
  shiftbench experiment=theory scale=cpu           a study with its verdicts
  shiftbench train=none checkpoint=path.pt         measure without training
  shiftbench report --against pool=max             tables of all runs
  shiftbench compare RUN_A RUN_B                   differences over all seeds
  shiftbench jagged RUN_A RUN_B                    probability curves of both
  shiftbench list pool                             available options

Options, as group=option
"""

FOOTER = """
Settings, as key=value
  padding=zeros|circular|reflect|full  device=auto  seed=0  checkpoint=null
  precision, measure.precision=fp32|tf32|bf16  measure.batch_size=auto|256
  threads=null  out=outputs  force=false  fail_fast=false  progress=true
  figures=true  scale=smoke|cpu|gpu (of a study)  train.lr ...  pool.taps ...

shiftbench --cfg job                    print the configuration and exit
shiftbench --config-dir DIR pool=mine   your own options in addition
shiftbench --hydra-help, --version      Hydra's own options; the version
eval "$(shiftbench -sc install=bash)"   completion; zsh and fish too"""


# Groups with too many options for one line.
_SHORT = {"metric": "standard, more or others: shiftbench list metric"}


def help_text() -> str:
    """Return the text, at most 80 columns wide."""
    lines = []
    for group in GROUPS:
        found = _SHORT.get(group) or _names(group)
        lines += textwrap.wrap(
            found, 79, initial_indent=f"  {group:<11}", subsequent_indent=" " * 13
        )
    return HEADER + "\n".join(lines) + "\n" + FOOTER


def _names(group: str) -> str:
    """Return the options of a group; those named after a publication and its year are counted."""
    every = sorted(options(group, [CONFIG_DIR]))
    own = [name for name in every if not re.search(r"\d{4}", name)]
    if published := len(every) - len(own):
        own.append(f"{published} of publications (shiftbench list {group})")
    return ", ".join(own) or "(none)"
