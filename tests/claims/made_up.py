"""Runs made up so that a claim's verdict can be said beforehand."""

from shiftbench.claims import Number, Run


def _number(value, half=0.001, n_shifts=1024, n_images=1000):
    if isinstance(value, Number):
        return value
    return Number(value, value - half, value + half, n_shifts, n_images)


def make_run(numbers, *, seed=0, pool="max", head="gap", augment="none", padding="circular",
             model="vgg", data="cifar10", **settings):  # fmt: skip
    """Return a run; ``numbers`` is {protocol: {metric: value}}, ``pool="blur5"`` has five taps."""
    name = pool.rstrip("0123456789")
    taps = {"blur": 3, "aps": 1}.get(name)
    if name != pool:
        taps = int(pool[len(name) :])
    own = {"pool._target_": name, "model._target_": model.partition("[")[0],
           "augment._target_": augment.partition("[")[0], "padding": padding, "seed": seed,
           "train.epochs": 5, "checkpoint": None,
           "data._target_": data.partition("[")[0], "data.size": 32,
           **({"pool.filter_size": taps} if taps else {}),
           **{f"shift.{protocol}.seed": 0 for protocol in numbers}, **settings}  # fmt: skip
    labels = {"data": data, "model": model, "pool": name if name == pool else f"{name}[{taps}]",
              "head": head, "padding": padding, "augment": augment, "seed": seed}  # fmt: skip
    text = "-".join(str(value) for value in own.values())
    found = {
        (protocol, metric): _number(value)
        for protocol, metrics in numbers.items()
        for metric, value in metrics.items()
    }
    return Run(f"{pool}-{head}-{text}", labels, own, found)
