"""Who may be compared with whom."""

from shiftbench.claims.blocks import blocks, single

SEEN = {"circular": {"consistency": 0.5}}


def by_pool(runs, **given):
    return blocks(
        runs, lambda one: one.pool, free=("pool",), **{"protocols": ("circular",), **given}
    )


def test_only_otherwise_equal_runs_are_compared(run):
    others = ({"head": "flatten"}, {"augment": "shift"}, {"train.lr": 1})
    runs = [run(SEEN, pool="max"), *(run(SEEN, pool="blur", **other) for other in others)]
    assert by_pool(runs) == []
    [block] = by_pool([*runs, run(SEEN, pool="blur")])
    assert {one.pool for one in block.runs} == {"max", "blur"}
    assert all(one.option("head") == "gap" for one in block.runs)


def test_only_settings_of_the_read_protocol_count(run):
    runs = [run(SEEN, pool="max", **{"shift.translate.fill": "black"}), run(SEEN, pool="blur")]
    assert len(by_pool(runs)) == 1
    runs = [run(SEEN, pool="max", **{"shift.circular.max_shift": 3}), run(SEEN, pool="blur")]
    assert by_pool(runs) == []


def test_settings_of_measuring_do_not_count(run):
    runs = [run(SEEN, pool="max", **{"measure.batch_size": 3}), run(SEEN, pool="blur")]
    assert len(by_pool(runs)) == 1


def test_a_seed_that_lacks_an_arm_is_left_out(run):
    runs = [run(SEEN, pool="max", seed=seed) for seed in range(3)]
    runs += [run(SEEN, pool="blur", seed=seed) for seed in (0, 2)]
    [block] = by_pool(runs)
    assert list(block.seeds) == [0, 2]
    assert by_pool(runs[:3]) == []
    assert by_pool(runs, arms=("max", "aps")) == []


def test_a_duplicate_run_counts_once(run):
    twice = [run(SEEN), run(SEEN, **{"measure.resamples": 10})]
    [block] = single(twice, ("circular",))
    assert len(block.runs) == 1


def test_blocks_are_named_by_the_labels_that_differ(run):
    assert [block.name for block in single([run(SEEN)])] == [""]
    runs = [run(SEEN), run(SEEN, head="flatten", augment="shift")]
    assert [block.name for block in single(runs)] == [
        "gap · unaugmented", "flatten · shift",
    ]  # fmt: skip


def test_the_studied_setting_is_not_part_of_the_name(run):
    runs = [run(SEEN, data=f"shapes[size=16,position={law},test.object_size={size}]",
                **{"data.position": law, "data.test.object_size": size})
            for law in ("centred", "uniform") for size in ([0.2, 0.35], [0.6, 1.0])]  # fmt: skip
    found = blocks(runs, lambda one: str(one.settings["data.test.object_size"]),
                   free=("data.test",))  # fmt: skip
    laws = ("centred", "uniform")
    assert [block.name for block in found] == [f"shapes[position={law}]" for law in laws]
