"""``measure`` with networks and arguments as programs have them: the same numbers, or an error."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from shiftbench.api import measure
from shiftbench.errors import ShiftbenchError, UsageError
from shiftbench.shift.circular import Circular
from shiftbench.shift.embed import Embed
from shiftbench.shift.rescale import Rescale
from shiftbench.shift.translate import Translate

PIXELS = torch.randint(
    0, 256, (6, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)
LABELS = [0, 1, 2, 3, 4, 0]
MEAN, STD = [0.5, 0.4, 0.3], [0.25, 0.2, 0.3]


def body():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(216, 5)
    )
    net[-1].weight.data *= 20
    return net.eval()


class Returning(nn.Module):
    """A network whose logits are made into something else."""

    def __init__(self, form):
        super().__init__()
        self.net, self.form = body(), form

    def forward(self, x):
        return self.form(self.net(x))


def answers(model, images=PIXELS, shift=None, **arguments):
    shift = shift or Translate(1)
    return measure(model, images, LABELS, shift, resamples=2, **arguments).predictions


def assert_same(one, other):
    np.testing.assert_array_equal(one.top1, other.top1)
    np.testing.assert_allclose(one.p_true, other.p_true, atol=1e-6)


FORMS = {
    "dict": lambda z: {"logits": z},
    "tuple": lambda z: (z, z[:, :, None, None].expand(-1, -1, 2, 2)),
    "object": lambda z: SimpleNamespace(logits=z),
    "axes of one": lambda z: z[:, :, None, None],
    "squeezed": lambda z: z.squeeze(),
}


@pytest.mark.parametrize("shift", [Translate(1), Circular(sampling="all")], ids=str)
@pytest.mark.parametrize("form", FORMS)
def test_logits_are_taken_out_of_what_networks_return(form, shift):
    assert_same(answers(Returning(FORMS[form]), shift=shift), answers(body(), shift=shift))


def test_circular_networks_that_return_more_are_measured_at_once():
    arguments = {"shift": Circular(sampling="all"), "padding": "circular"}
    plain = answers(body(), **arguments)
    assert plain.meta["engine"] == "dense"
    more = answers(Returning(FORMS["dict"]), **arguments)
    assert more.meta["engine"] == "dense"
    assert_same(more, plain)


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        (lambda z: (z, z), r"tuple of \(1, 5\), \(1, 5\)"),
        (lambda z: None, "NoneType"),
        (lambda z: z.mean(0, keepdim=True), r"shape \(1, 5\) for 2 images"),
        (lambda z: z.argmax(1), "shape"),
    ],
)
def test_what_holds_no_logits_is_said(form, sentence):
    with pytest.raises(ShiftbenchError, match=sentence):
        answers(Returning(form))


def test_a_function_is_measured_and_its_network_is_in_eval_mode_meanwhile():
    net = body().train()
    with torch.no_grad():
        net(torch.rand(4, 3, 12, 12))  # statistics of its own
    before = net[1].running_mean.clone()
    by_function = answers(lambda x: net(x))
    assert net.training
    assert torch.equal(net[1].running_mean, before)
    assert_same(by_function, answers(net))
    assert_same(answers(net.forward), answers(net))


def test_networks_that_flatten_with_view_are_measured():
    class Viewing(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = body()

        def forward(self, x):
            maps = self.net[2](self.net[1](self.net[0](x)))
            return self.net[4](maps.view(maps.size(0), -1))

    for shift in (Translate(1), Circular(sampling="all")):
        assert_same(answers(Viewing(), shift=shift), answers(body(), shift=shift))


@pytest.mark.parametrize(
    ("mean", "std"),
    [
        (np.array(MEAN), np.array(STD)),
        (torch.tensor(MEAN), torch.tensor(STD)),
        (tuple(MEAN), tuple(STD)),
        (np.array(MEAN).reshape(1, 3, 1, 1), torch.tensor(STD).reshape(3, 1, 1)),
    ],
)
def test_means_and_deviations_of_any_type_are_the_same(mean, std):
    assert_same(answers(body(), mean=mean, std=std), answers(body(), mean=MEAN, std=STD))


def test_a_number_is_for_all_channels():
    one = answers(body(), mean=0.5, std=0.25)
    assert_same(one, answers(body(), mean=[0.5] * 3, std=[0.25] * 3))


@pytest.mark.parametrize("kind", ["int64", "uint16", ">i4", "float32", "float64", "float16"])
def test_the_same_pixels_of_another_type_are_the_same(kind):
    values = PIXELS.numpy().astype(kind)
    values = values / 255 if "float" in kind else values
    one, other = answers(body(), values, mean=MEAN, std=STD), answers(body(), mean=MEAN, std=STD)
    np.testing.assert_allclose(one.p_true, other.p_true, atol=0.05 if "16" in kind else 1e-4)


def test_images_of_doubles_are_given_to_networks_of_doubles():
    seen = []

    class Spy(nn.Linear):
        def forward(self, x):
            seen.append(x.dtype)
            return super().forward(x.flatten(1))

    answers(Spy(3 * 144, 5).double(), PIXELS.double() / 255)
    assert set(seen) == {torch.float64}


@pytest.mark.parametrize(
    "protocol", [Translate(1, "mean"), Embed(fill="mean"), Rescale(0.5, 1, fill="mean")]
)
def test_a_fill_of_the_mean_needs_one(protocol):
    with pytest.raises(UsageError, match=r"fills with the mean.*give mean="):
        answers(body(), shift=protocol)
    assert answers(body(), shift=protocol, mean=MEAN).n_images == 6


def test_black_that_is_not_black_is_said(package_log):
    answers(body(), (PIXELS / 255 - 0.5) / 0.25)
    assert "what enters them is 0, which is not black" in package_log.text
    package_log.clear()
    answers(body(), (PIXELS / 255 - 0.5) / 0.25, Circular(sampling="all"))
    assert "not black" not in package_log.text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"model": nn.Linear}, "is the class Linear"),
        ({"model": "resnet50"}, "model is of type str"),
        ({"shift": Translate}, "give a name, e.g. 'circular', or an object"),
        ({"shift": 3}, "is not a protocol"),
        ({"batch_size": 0}, "batch_size=0 is out of range"),
        ({"batch_size": 2.5}, "batch_size=2.5 is not a whole number"),
        ({"batch_size": True}, "batch_size=True is not a whole number"),
        ({"resamples": "9"}, "resamples=9 is not a whole number"),
        ({"images": PIXELS[:, :1]}, r"does not take images of 1×12×12.*give images as it takes"),
        ({"images": PIXELS[:, :1], "mean": MEAN}, "3 numbers and the images have 1 channels"),
        ({"images": PIXELS.permute(0, 2, 3, 1)}, r"give images\.transpose"),
        ({"model": lambda x: x.mean((2, 3)), "padding": "circular"}, "given to a function"),
        ({"model": nn.Linear(2, 2, device="meta")}, "does not take images"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_in_a_sentence(arguments, sentence):
    given = {"model": body(), "images": PIXELS, "shift": "translate", **arguments}
    with pytest.raises(UsageError, match=sentence) as caught:
        measure(given.pop("model"), given.pop("images"), LABELS, **given)
    assert "\n" not in str(caught.value)


def test_the_callers_default_dtype_is_no_difference():
    plain = answers(body(), mean=MEAN, std=STD)
    model = body()
    torch.set_default_dtype(torch.float64)
    try:
        assert_same(answers(model, mean=MEAN, std=STD), plain)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("where", ["network", "images", "both"])
def test_networks_and_images_on_a_gpu(where):
    model = body().cuda() if where != "images" else body()
    images = PIXELS.cuda() if where != "network" else PIXELS
    one, other = answers(model, images, mean=MEAN, std=STD), answers(body(), mean=MEAN, std=STD)
    np.testing.assert_allclose(one.p_true, other.p_true, atol=1e-2)


class AtMost(nn.Module):
    """A network that takes so many images at once."""

    def __init__(self, images):
        super().__init__()
        self.net, self.images = body(), images

    def forward(self, x):
        if len(x) > self.images:
            raise AssertionError(f"more than {self.images}")
        return self.net(x)


@pytest.mark.parametrize("batch_size", [8, np.int64(8)])
def test_a_network_for_small_batches_is_measured_in_small_batches(batch_size):
    assert_same(answers(AtMost(8), batch_size=batch_size), answers(body()))


@pytest.mark.parametrize(("most", "count"), [(3, 8), (8, 54)])
def test_a_network_that_fails_on_more_images_is_said_to(most, count):
    sentence = rf"fails on {count} images at once \(more than {most}\); give a smaller batch size"
    with pytest.raises(ShiftbenchError, match=sentence):
        answers(AtMost(most))


def test_a_frozen_program_of_torchscript_is_measured():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls TorchScript deprecated
        frozen = torch.jit.freeze(torch.jit.script(body()))
    assert_same(answers(frozen), answers(body()))


def test_curves_over_radius_and_phase_need_no_network():
    found = measure(body(), PIXELS, LABELS, Translate(2), resamples=2)
    curve = found.per_radius(resamples=2).query("shifts == 'up_to' and metric == 'shift_accuracy'")
    metrics = found.metrics.set_index("metric")["value"]
    assert curve["radius"].tolist() == [0, 1, 2]
    assert curve["value"].iloc[0] == metrics["accuracy"]
    assert curve["value"].iloc[-1] == metrics["shift_accuracy"]
    phases = found.per_phase(2)
    assert phases[["dy", "dx"]].to_numpy().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert phases["n_shifts"].tolist() == [9, 6, 6, 4]
