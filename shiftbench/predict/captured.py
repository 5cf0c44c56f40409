"""Forward passes of full batches as a CUDA graph.

Small networks are bound by launching kernels from Python; a graph is launched at once. It computes
the same kernels, and is used only if its logits are the same bits as those of a plain pass.
"""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from shiftbench.predict.pixel_model import PixelModel
from shiftbench.runtime.cuda_graphs import in_one_line, on_side_stream

log = logging.getLogger(__name__)

WARM_UP = 3  # passes before the capture, in which libraries choose algorithms


class FullBatches:
    """A network on CUDA whose batches of ``size`` images are replayed; others run as they are.

    Called in inference mode, with ``(N, C, H, W)`` pixels; returns the logits.

    Args:
        network: The network in eval mode; any device, but only CUDA has graphs.
        size: Images of a full batch.
    """

    def __init__(self, network: PixelModel, size: int) -> None:
        self.network, self.size = network, size
        self._graph: torch.cuda.CUDAGraph | None = None
        self._input = self._output = torch.empty(0)
        self._is_tried = network.device.type != "cuda"

    def __call__(self, images: Tensor) -> Tensor:
        """Return the logits of ``images``."""
        if len(images) != self.size or (self._is_tried and self._graph is None):
            return self.network(images)
        if self._graph is None:
            return self._first(images)
        if images.shape != self._input.shape:  # views of several sizes
            return self.network(images)
        self._input.copy_(images)
        self._graph.replay()
        return self._output.clone()

    def _first(self, images: Tensor) -> Tensor:
        """Run the first full batch, and capture the pass if its replay gives the same bits."""
        self._is_tried = True
        expected = self.network(images)
        self._input = images.clone()
        try:
            self._graph = self._captured(expected)
        except Exception as error:  # whatever a third-party network or kernel raises
            log.info("forward pass not captured as a CUDA graph: %s", in_one_line(error))
            self._input = self._output = torch.empty(0)  # their memory is for plain passes
        else:
            log.info("forward pass captured as a CUDA graph")
        return expected

    def _captured(self, expected: Tensor) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        on_side_stream(lambda: [self.network(self._input) for _ in range(WARM_UP)])
        with torch.cuda.graph(graph):
            self._output = self.network(self._input)
        graph.replay()
        if not torch.equal(self._output, expected):
            raise RuntimeError("its logits are not the same bits as those of a plain pass")
        return graph
