"""Leaderboards: times as they were recorded, multiply-adds relative to the plain network."""

import csv
import json

import pandas as pd


def change(folder, name, edit):
    path = folder / name
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_times_are_those_that_were_recorded(make_run, of, ranked):
    folder = make_run(of(consistency=0.9, accuracy=0.9), pool="max")
    make_run(of(consistency=0.8, accuracy=0.9), pool="blur")
    with (folder / "train.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerows([["epoch", "images_per_second"], [1, 10], [2, 500], [3, 500]])
    measured = {"circular": {"seconds": 9, "views": 9000, "engine": "dense"},
                "crop": {"seconds": 1, "views": 100, "engine": "direct"},
                "translate": {"seconds": 3, "views": 300, "engine": "direct"}}  # fmt: skip
    change(folder, "provenance.json", lambda content: content.update(measured=measured))
    frame = ranked().rows().set_index("configuration")
    assert frame.loc["max", ["train_ms", "test_ms"]].tolist() == [2, 10]
    assert frame.loc["blur", ["train_ms", "test_ms"]].isna().all()


def test_multiply_adds_are_relative_to_the_plain_network(make_run, of, ranked):
    for pool, macs, model in (("max", 100, "vgg"), ("max", 250, "vgg[match_macs=lps]"),
                              ("lps", 200, "vgg")):  # fmt: skip
        folder = make_run(of(consistency=0.9, accuracy=0.9), pool=pool, model=model)
        frame = pd.read_csv(folder / "metrics.csv", keep_default_na=False)
        frame.assign(macs=macs).to_csv(folder / "metrics.csv", index=False)
        change(folder, "status.json", lambda content: content.pop("files"))
    found = ranked()
    ratios = found.rows().set_index("configuration")["macs_ratio"].to_dict()
    assert ratios == {"max": 1, "max · match_macs=lps": 2.5, "lps": 2}
    assert [column.name for column in found.grids[0].columns][3] == "macs / max"
