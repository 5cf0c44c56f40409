"""Caches of their own, folders of images, and a local web server for the tests of data sets."""

import functools
import http.server
import logging
import threading
import urllib.request

import pytest
from image_folders import make_folder


@pytest.fixture
def folder_cache(tmp_path, monkeypatch, caplog):
    """An empty cache; what is logged of it is kept."""
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "cache"))
    caplog.set_level(logging.INFO)


@pytest.fixture
def root(tmp_path):
    """Give a folder of 3 classes with 10 training and 4 test images of 8×8 pixels each."""
    return make_folder(tmp_path / "animals", {"train": 10, "test": 4})


@pytest.fixture
def download_cache(tmp_path, monkeypatch):
    """An empty cache, and a local web server that is reached without a proxy."""
    monkeypatch.setenv("SHIFTBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    # urllib keeps the proxies of its first call.
    monkeypatch.setattr(urllib.request, "_opener", None)


@pytest.fixture
def offline(monkeypatch):
    """Send every download to a port where nobody listens."""
    monkeypatch.delenv("no_proxy")
    monkeypatch.delenv("NO_PROXY", raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


@pytest.fixture
def served(tmp_path):
    """Give a folder and its web address."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(QuietHandler, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass
