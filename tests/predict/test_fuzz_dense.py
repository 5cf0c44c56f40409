"""Random networks: the dense engine rejects those to which it does not apply, accepts others."""

import dataclasses
import functools
from collections import Counter

import pytest
import torch
from every_view import WrongTableError, attempt, check_table
from position_traps import TRAPS
from random_heads import HEADS, POSITIONS
from random_layers import BLOCKS, CLASSES, SUBSAMPLING
from random_networks import IMAGES, LAST, draw

from shiftbench.api import measure
from shiftbench.shift.circular import Circular

pytestmark = pytest.mark.slow  # measures many networks, one after the other

NETWORKS = 200
AT_ONCE = 25
CHANGES = {
    "ceil_mode", "divisor_override", "even kernel", "dilation", "groups", "GroupNorm",
    "InstanceNorm", "in-place ReLU", "dead units", "huge weights", "float64",
}  # fmt: skip

HARMLESS = {  # in some networks: features are averaged later, or never large
    "transposed convolution", "the corner of loud maps",
}  # fmt: skip


@functools.cache
def outcome(number):
    """Draw and measure network ``number`` once, and compare its table with all views."""
    drawn = draw(number)
    return drawn.holds, drawn.names, attempt(drawn)


def outcomes():
    return [outcome(number) for number in range(NETWORKS)]


@pytest.mark.parametrize("first", range(0, NETWORKS, AT_ONCE))
def test_no_answer_is_wrong(first):
    """With either engine; ``attempt`` raises an error if a table differs from the views."""
    for number in range(first, first + AT_ONCE):
        outcome(number)


def test_nine_in_ten_of_those_that_hold_are_accepted():
    engines = Counter(found.engine for holds, _, found in outcomes() if holds)
    assert engines["dense"] >= 0.9 * engines.total()


def test_every_kind_of_layer_read_out_and_logits_is_accepted_somewhere():
    accepted = [names for _, names, found in outcomes() if found.engine == "dense"]
    missing = {*BLOCKS, *SUBSAMPLING, *HEADS, *LAST, *CHANGES} - set().union(*accepted)
    assert not missing


def test_every_attack_is_drawn():
    drawn = set().union(*(names for _, names, _ in outcomes()))
    weak = {"weak branch", "weaker branch"}
    attacks = {*TRAPS, *POSITIONS, *IMAGES, *LAST, *CHANGES, *weak}
    assert len(attacks) > 70
    assert not attacks - drawn


def test_traps_are_refused_but_for_harmless_ones():
    """The accepted ones have no wrong answers, as tested above."""
    taken = [names & {*TRAPS, *POSITIONS} for holds, names, found in outcomes()
             if not holds and found.engine == "dense"]  # fmt: skip
    assert set().union(*taken) <= HARMLESS
    assert len(taken) <= 0.05 * NETWORKS


def tampered(table, name, change):
    values = getattr(table, name).copy()
    values[2, 5] = change(values[2, 5])
    return dataclasses.replace(table, **{name: values})


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("top1", lambda answer: (answer + 1) % CLASSES),
        ("top1", lambda answer: -1),
        ("p_top1", lambda p: p + 1e-3),
        ("p_true", lambda p: p + 1e-3),
        ("logit_change", lambda moved: 1.01 * moved),
    ],
)
def test_a_wrong_table_is_found(name, change):
    """The comparison used by all tests above detects a single wrong number."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, CLASSES)).eval()
    images = torch.rand(3, 3, 8, 8)
    shift = Circular(sampling="all")
    table = measure(network, images, [0, 1, 2], shift, resamples=0).predictions
    check_table(network, images, table)
    with pytest.raises(WrongTableError):
        check_table(network, images, tampered(table, name, change))
