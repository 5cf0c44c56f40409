"""One job of a command: skip what is done, run what is not, print its table."""

from __future__ import annotations

import logging
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from shiftbench import config as configuration
from shiftbench.run import Run

log = logging.getLogger(__name__)


def run_job(config: DictConfig) -> None:
    """Run the composed configuration, or say that it is done.

    Raises:
        ShiftbenchError: In one sentence, for what the user can mend.
    """
    configuration.check(config)
    this = Run.of(config, run_names(config))
    setup_logging()
    if this.is_done() and not config.force:
        log.info("done, skipped: %s (force=true runs it again)", this.id)
    else:
        if config.force:
            this.forget()
        with this.recording(config, list(HydraConfig.get().overrides.task)):
            log.info("loading torch")
            from shiftbench import experiment

            experiment.run(config, this)
    _show(this)


def run_names(config: DictConfig) -> configuration.Names:
    """Return the run's labels, from the options that Hydra chose."""
    runtime = HydraConfig.get().runtime
    folders = [Path(source.path) for source in runtime.config_sources if source.schema == "file"]
    return configuration.names(config, dict(runtime.choices), folders)


def setup_logging() -> None:
    """Log to the console that the progress bars share; plain lines off a terminal."""
    logger = logging.getLogger("shiftbench")
    if logger.handlers:
        return
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(ConsoleHandler(logging.INFO))


class ConsoleHandler(logging.Handler):
    """One line a message on the progress bars' console, so that neither tears the other."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the message; warnings and worse say so."""
        from shiftbench.report.progress import console

        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            text = f"{record.levelname.lower()}: {text}"
        console.print(text, soft_wrap=True, markup=False, highlight=False)


def _show(this: Run) -> None:
    from shiftbench.report.terminal import print_run
    from shiftbench.results import METRIC_COLUMNS, read_csv

    print_run(read_csv(this.folder / "metrics.csv", METRIC_COLUMNS), this.folder)
