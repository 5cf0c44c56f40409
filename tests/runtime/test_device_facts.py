"""What provenance says of a device; a GPU's facts are tested where there is one."""

import pytest
import torch

from shiftbench.runtime.device_facts import arithmetic, device_facts, driver_version
from shiftbench.runtime.devices import use_precision

CPU = torch.device("cpu")


def test_a_cpu_has_a_number_of_threads():
    assert device_facts(CPU) == {"device": "cpu", "threads": torch.get_num_threads()}


def test_a_cpu_does_not_round_to_tf32(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert arithmetic("bf16", CPU) == {"precision": "bf16", "TF32": False}


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 2024\n"
         "GCC version:  gcc version 11.4.0 (Ubuntu 11.4.0-1ubuntu1~22.04)\n", "535.183.01"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build",
         "580.95.05"),
        ("something else", None),
    ],
)  # fmt: skip
def test_the_driver_is_read_from_what_it_says_of_itself(text, version):
    assert driver_version(text) == version


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_has_model_versions_and_state():
    device = torch.device("cuda:0")
    facts = device_facts(device)
    assert facts["GPU"] == torch.cuda.get_device_name(device)
    assert facts.get("CUDA") == torch.version.cuda
    use_precision("tf32")
    assert arithmetic("tf32", device)["TF32"] is True
    use_precision("fp32")
    assert arithmetic("fp32", device)["TF32"] is False
