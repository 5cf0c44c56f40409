"""Low-pass filters by name: sums, zeros at the Nyquist frequency, and published values."""

import math

import pytest

from shiftbench.errors import UsageError
from shiftbench.ops.filter_taps import CH44_ROOT, WAVELETS, binomial, taps_of

# Reconstruction low-passes of PyWavelets 1.4, ten digits, without zeros at the ends.
PUBLISHED = {
    "haar": [0.7071067812, 0.7071067812],
    "db2": [0.4829629131, 0.8365163037, 0.2241438680, -0.1294095226],
    "ch2.2": [0.3535533906, 0.7071067812, 0.3535533906],
    "ch3.3": [0.1767766953, 0.5303300859, 0.5303300859, 0.1767766953],
    "ch4.4": [-0.0645388826, -0.0406894176, 0.4180922732, 0.7884856164, 0.4180922732,
              -0.0406894176, -0.0645388826],
}  # fmt: skip


@pytest.mark.parametrize("name", WAVELETS)
def test_a_wavelet_is_the_published_one_divided_by_its_sum(name):
    published = [tap / math.sqrt(2) for tap in PUBLISHED[name]]
    assert taps_of("pool.taps", name) == pytest.approx(published, abs=1e-9)


@pytest.mark.parametrize("name", WAVELETS)
def test_a_wavelet_keeps_the_mean_and_removes_the_nyquist_frequency(name):
    taps = taps_of("pool.taps", name)
    assert sum(taps) == pytest.approx(1, abs=1e-12)
    assert sum((-1) ** i * tap for i, tap in enumerate(taps)) == pytest.approx(0, abs=1e-12)


def test_three_wavelets_are_binomial_filters():
    found = [taps_of("pool.taps", name) for name in ("haar", "ch2.2", "ch3.3")]
    assert found == [binomial(2), binomial(3), binomial(4)]


def test_the_root_of_ch44_is_one():
    y = CH44_ROOT
    assert 20 * y**3 + 10 * y**2 + 4 * y + 1 == pytest.approx(0, abs=1e-14)


def test_a_list_is_divided_by_its_sum():
    assert taps_of("pool.taps", [1, 3, 3, 1]) == binomial(4)
    assert taps_of("pool.taps", [-2]) == (1,)


@pytest.mark.parametrize("given", [[], [0, 0], [1, -1], [1.0] * 17])
def test_what_is_no_low_pass_filter_is_refused(given):
    with pytest.raises(UsageError, match="is not a low-pass filter; give 1 to 16 numbers"):
        taps_of("pool.taps", given)


def test_an_unknown_wavelet_is_refused_with_the_names():
    with pytest.raises(UsageError, match=r"did you mean 'haar'.*allowed: haar, db2, ch2\.2"):
        taps_of("pool.taps", "har")
