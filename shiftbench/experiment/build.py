"""From configuration to objects: the only module that calls ``hydra.utils.instantiate``."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hydra.utils
import torch
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from torch import nn

from shiftbench.activation.base import MakeActivation
from shiftbench.activation.relu import ReLU
from shiftbench.content.origin import Origin
from shiftbench.contracts import class_made_by
from shiftbench.data.images import Dataset, NetworkSizedData
from shiftbench.errors import ShiftbenchError, UsageError, printable
from shiftbench.experiment import combinations, external_model, matching
from shiftbench.head.base import MakeHead
from shiftbench.metric import Metric
from shiftbench.metric.options import metrics_of
from shiftbench.model import checkpoint
from shiftbench.model.external import Foreign
from shiftbench.model.layout import training_format
from shiftbench.optimizer.contract import MakeOptimizer
from shiftbench.pool.base import MakeDownsampling
from shiftbench.preprocessing import Preprocessing
from shiftbench.runtime.keep_last import KeepLast
from shiftbench.seeds import derive_seed
from shiftbench.settings.hydra_patches import execution_policy
from shiftbench.settings.labels import Names, load_option
from shiftbench.settings.sampling import nested_sampling
from shiftbench.settings.schema import CONFIG_DIR, DEFAULT_RATES
from shiftbench.settings.validation import check_arguments
from shiftbench.shift.base import ShiftProtocol

_OWN_KEYS = ("default_head", "match_macs")  # of a model, read here
logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)  # its errors are rephrased here


def instantiate(node: Any, key: str | None = None, **arguments: Any) -> Any:
    """Create the object that a yaml file names; errors are reported in one sentence.

    Args:
        node: The content of the yaml file.
        key: Its key in the configuration; if given, the values are checked in advance.
        arguments: Further arguments of the target.
    """
    if key is not None:
        _check_own_values(key, node)
    policy = execution_policy(list(_targets(node)), hydra.utils.get_object)
    try:
        return hydra.utils.instantiate(node, **policy, **arguments)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, ShiftbenchError):
            raise cause from error
        target = OmegaConf.select(node, "_target_") if OmegaConf.is_config(node) else node
        raise UsageError(f"cannot make {target} ({printable(cause or error, 300)})") from error


def _targets(node: Any) -> Iterator[str]:
    """Yield every ``_target_`` in a node, at any depth."""
    content: Any = OmegaConf.to_container(node) if OmegaConf.is_config(node) else node
    if isinstance(content, Mapping):
        if isinstance(target := content.get("_target_"), str):
            yield target
        content = list(content.values())
    if isinstance(content, list):
        for part in content:
            yield from _targets(part)


def _check_own_values(key: str, node: Any) -> None:
    """Check the values of a node against the signature of its target before it is called."""
    content: Any = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else {}
    target = content.get("_target_") if isinstance(content, dict) else None
    if not isinstance(target, str):
        group = key.partition(".")[0]
        raise UsageError(f"{key} is not an option of {group}; see shiftbench list {group}")
    try:
        make = hydra.utils.get_object(target)
    except Exception as error:  # importing a third-party module may raise anything
        if isinstance(error.__cause__, ShiftbenchError):  # a class that violates its contract
            raise error.__cause__ from error
        raise UsageError(
            f"{key} names {printable(target)} in its yaml, which cannot be imported "
            f"({printable(error.__cause__ or error, 300)}); correct "
            "_target_, or put the module's folder on PYTHONPATH"
        ) from error
    own = {name: value for name, value in content.items() if not str(name).startswith("_")}
    check_arguments(key, make, own)


def dataset(config: DictConfig, kept: KeepLast[Dataset] | None = None) -> Dataset:
    """Return the data set, with its batches on the CPU.

    An external network determines the normalisation and, for photographs, the size.

    Args:
        config: The composed configuration.
        kept: Holds the last data set, which is returned again for the same settings.

    Raises:
        UsageError: If the data set is for testing only but the run trains a network.
    """
    source = _source(config)
    recipe = source.recipe() if source is not None else None
    content: Any = OmegaConf.to_container(config.data, resolve=True)
    by_content = Origin.of({f"data.{key}": value for key, value in content.items()})
    settings = f"{content}{by_content.settings}{recipe}"
    kept = KeepLast() if kept is None else kept
    data = kept.get(settings, lambda: _load(config, recipe))
    if recipe is not None:
        external_model.announce(recipe, data)
    return data


def _load(config: DictConfig, recipe: Preprocessing | None) -> Dataset:
    loaded = instantiate(config.data, "data")
    if isinstance(loaded, NetworkSizedData) and config.train.epochs:
        raise UsageError(
            f"{loaded.name} is for testing only, it has no training images; give train=none"
        )
    return external_model.prepared(loaded, recipe)


def fetch_weights(config: DictConfig) -> None:
    """Make the weights of an external network available on this machine.

    Raises:
        ShiftbenchError: If they are not available and cannot be downloaded.
    """
    if source := _source(config):
        source.fetch()


def _source(config: DictConfig) -> Foreign | None:
    """Return the source of an external network, None for the networks of this package."""
    try:
        make = hydra.utils.get_object(config.model._target_)
    except Exception:  # is reported when the network is built
        return None
    if not (isinstance(make, type) and issubclass(make, Foreign)):
        return None
    source: Foreign = instantiate(_arguments(config.model), "model")
    return source


def _arguments(node: DictConfig) -> Any:
    """Return a model's node without the keys that are read here."""
    return OmegaConf.create({key: value for key, value in node.items() if key not in _OWN_KEYS})


def augmentation(config: DictConfig) -> Any:
    """Return the augmentation."""
    return instantiate(config.augment, "augment")


def optimizer(config: DictConfig) -> MakeOptimizer:
    """Return the factory of the optimizer, ``(model, settings) -> Optimizer``.

    Raises:
        UsageError: If its values are out of range, or it is not callable.
    """
    content: Any = OmegaConf.to_container(config.optimizer, resolve=True)
    own = {key: value for key, value in content.items() if key not in DEFAULT_RATES}
    made: MakeOptimizer = instantiate(OmegaConf.create(own), "optimizer")
    if not callable(made):
        raise UsageError(
            f"optimizer is a {type(made).__name__} that cannot be called with (model, settings); "
            "add '_partial_: true' to its yaml if _target_ is a function"
        )
    return made


def metrics(config: DictConfig) -> list[Metric]:
    """Return the metrics of the run: functions of the table, with the arguments of their yaml.

    Raises:
        UsageError: If a yaml file names something that is not a metric, or two names coincide.
    """
    nodes = {str(name): node for name, node in config.metric.items()}
    return metrics_of(
        {name: instantiate(node, f"metric.{name}", _partial_=True) for name, node in nodes.items()}
    )


def protocols(config: DictConfig) -> dict[str, ShiftProtocol]:
    """Return the shift protocols by name.

    Raises:
        UsageError: If one of them is not a shift protocol.
    """
    return {str(name): _protocol(str(name), node) for name, node in config.shift.items()}


def _protocol(name: str, node: Any) -> ShiftProtocol:
    made = instantiate(nested_sampling(node), f"shift.{name}")
    if not isinstance(made, ShiftProtocol):
        raise UsageError(
            f"shift.{name} names {type(made).__name__}, which is no protocol; derive it from "
            "shiftbench.shift.ShiftProtocol, and make its views in views(split, index, shifts)"
        )
    return made


def model(config: DictConfig, names: Names, data: Dataset) -> nn.Module:
    """Return the network, with weights from ``checkpoint`` or drawn from the run's seed.

    Raises:
        UsageError: If parts are incompatible with each other or with the images, or if there is
            nothing to train.
        ShiftbenchError: If the weights are not available or do not fit.
    """
    network = _with_weights(config, names, data)
    if not config.train.epochs:
        external_model.announce_untrained(_source(config), config)
    elif not any(parameter.requires_grad for parameter in network.parameters()):
        raise UsageError(
            f"model={names.model} has no parameter to train (all are frozen, or there are none); "
            "give train=none"
        )
    return network


def memory_format(config: DictConfig, network: nn.Module, data: Dataset) -> torch.memory_format:
    """Return the memory format: channels-last except for some external networks."""
    if _source(config) is None:
        return torch.channels_last
    return training_format(network, data.image_shape)


def _with_weights(config: DictConfig, names: Names, data: Dataset) -> nn.Module:
    pool = _pool(config)
    config = matching.matched(
        config, data.image_shape, lambda other: _own(other, names, data, _pool(other))
    )
    weights = Path(config.checkpoint).expanduser() if config.checkpoint else None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(config.seed, "weights"))
        if source := _source(config):
            chosen_head = None if config.head is None else names.head
            external_model.refuse(pool, names.pool, chosen_head, config.padding, source.anchor)
            combinations.refuse_activation(config, type(source))
            return external_model.load_external_model(
                source, data.num_classes, data.image_shape, pool, config.padding, weights
            )
        network = _own(config, names, data, pool)
    if weights is not None:
        checkpoint.load_weights(network, weights)
    return network


def _pool(config: DictConfig) -> MakeDownsampling:
    return MakeDownsampling(instantiate(config.pool, "pool"))


def _own(config: DictConfig, names: Names, data: Dataset, pool: MakeDownsampling) -> nn.Module:
    """Return a network that takes its pool, head and padding as arguments."""
    head = MakeHead(instantiate(_head_node(config, names), "head"))
    combinations.refuse(pool, head, names)
    channels, height, width = data.image_shape
    network: nn.Module = instantiate(
        _arguments(config.model),
        "model",
        num_classes=data.num_classes,
        in_chans=channels,
        image_size=(height, width),
        pool=pool,
        head=head,
        padding=config.padding,
        **_activation(config),
    )
    return network


def _activation(config: DictConfig) -> dict[str, Any]:
    """Return the argument of a network for an activation other than ReLU, its own."""
    make = instantiate(config.activation, "activation")
    if class_made_by(make) is ReLU:
        return {}
    combinations.refuse_activation(config, hydra.utils.get_object(config.model._target_))
    return {"activation": MakeActivation(make)}


def _head_node(config: DictConfig, names: Names) -> Any:
    if config.head is not None:
        return config.head
    return OmegaConf.create(load_option("head", names.head, [CONFIG_DIR]))
