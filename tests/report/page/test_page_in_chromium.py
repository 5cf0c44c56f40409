"""The page in a real browser: script, sorting, narrow screens, and no network requests."""

import html
import json
import re
import shutil
import subprocess

import pytest
from PIL import Image

from shiftbench.report.figures.theme import DARK, LIGHT
from shiftbench.report.page.document import write_page

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason=f"no {' or '.join(NAMES)} on the PATH (Debian: apt install chromium)"
)

# Inserted into a copy of the page, before its own script; stores its findings in an attribute.
PROBE = """<script>
const seen = { errors: [], asked: [] };
addEventListener("error", (event) => seen.errors.push(String(event.message || event.target)), true);
addEventListener("securitypolicyviolation", (event) => seen.errors.push(event.blockedURI));
addEventListener("load", () => {
  const table = document.querySelector("table.results");
  const heads = [...table.tHead.rows[0].cells];
  const read = (column) => [...table.tBodies[0].rows].map((row) => row.cells[column].textContent);
  const click = (column) => {
    heads[column].querySelector("button").click();
    return [heads[column].getAttribute("aria-sort"), read(column)];
  };
  seen.ready = document.documentElement.dataset.ready;
  seen.before = read(0);
  seen.clicks = [click(2), click(2), click(0), click(6)];
  seen.others = heads.map((head) => head.getAttribute("aria-sort"));
  seen.focusable = heads.every((head) => head.querySelector("button").tabIndex === 0);
  seen.width = [document.documentElement.scrollWidth, innerWidth];
  seen.images = [...document.images].map((image) => image.complete && image.naturalWidth);
  seen.asked = performance.getEntriesByType("resource")
    .map((entry) => entry.name).filter((name) => !name.startsWith("data:"));
  const [first] = document.querySelectorAll(".scroll table");
  seen.scrolls = first.parentElement.scrollWidth > first.parentElement.clientWidth;
  const text = JSON.stringify(seen);
  document.body.dataset.seen = text;
  parent.postMessage(text, "*");
});
</script>"""
# A window cannot be as narrow as a phone, but a frame can.
PHONE = """<!doctype html><body style="margin:0"><iframe src="probed.html"
style="border:0;width:360px;height:800px"></iframe><script>
addEventListener("message", (event) => { document.body.dataset.seen = event.data; });
</script>"""


def chromium(folder, page, *options):
    command = [
        BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        "--disable-dev-shm-usage", f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=5000", *options, (folder / page).as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def probe(folder, page):
    seen = re.search(r'data-seen="([^"]*)"', chromium(folder, page, "--dump-dom"))
    assert seen, "the page did not come to its end"
    return json.loads(html.unescape(seen[1]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_module_study):
    folder = tmp_path_factory.mktemp("page")
    study = make_module_study(folder)
    study.add("aps", "shift", 0, state="failed", error="</script><script>oops()</script>")
    text = write_page(study.collection(), study.summary(), folder).read_text("utf-8")
    (folder / "probed.html").write_text(text.replace("<style>", f"{PROBE}<style>", 1), "utf-8")
    (folder / "phone.html").write_text(PHONE, "utf-8")
    return folder


@pytest.mark.slow
def test_the_script_runs_and_the_headings_sort(folder):
    seen = probe(folder, "probed.html")
    assert seen["errors"] == []
    assert seen["asked"] == []  # no network requests
    assert seen["ready"] == "true"
    assert all(seen["images"]) and len(seen["images"]) == 8
    assert seen["focusable"]
    assert [name.split(" 1 ")[0] for name in seen["before"]] == [
        "max · none", "max · crop", "blur · none", "blur · crop", "aps · none", "aps · crop",
        "aps · shift",
    ]  # fmt: skip
    (first, down), (second, up), (names, by_name), (low, change) = seen["clicks"]
    assert (first, second, names, low) == ("descending", "ascending", "ascending", "ascending")
    assert [text[:5] for text in down] == [
        "0.975", "0.955", "0.825", "0.805", "0.625", "0.605", "–",
    ]  # fmt: skip
    assert [text[:5] for text in up] == ["0.605", "0.625", "0.805", "0.825", "0.955", "0.975", "–"]
    assert by_name[0].startswith("aps · crop") and by_name[-1].startswith("max · none")
    assert change[0].startswith("0.025") and change[-1] == "–"  # lower is better, so it is first
    assert [state for state in seen["others"] if state != "none"] == ["ascending"]


@pytest.mark.slow
def test_it_fits_a_phone(folder):
    seen = probe(folder, "phone.html")
    assert seen["errors"] == []
    width, room = seen["width"]
    assert room == 360 and width <= room
    assert seen["scrolls"]  # the table scrolls, not the page


@pytest.mark.slow
@pytest.mark.parametrize(
    ("theme", "scheme"), [(LIGHT, 1), (DARK, 0)], ids=["light", "dark"]
)  # fmt: skip
def test_light_and_dark_pages_have_light_and_dark_pictures(folder, theme, scheme):
    picture = folder / f"{theme.name}.png"
    chromium(folder, "report.html", f"--screenshot={picture}", "--window-size=1280,5000",
             f"--blink-settings=preferredColorScheme={scheme}")  # fmt: skip
    paper = tuple(int(theme.paper[place : place + 2], 16) for place in (1, 3, 5))
    with Image.open(picture) as image:
        pixels = image.convert("RGB")
    assert pixels.width == 1280
    counts = {color: count for count, color in pixels.getcolors(10_000_000)}
    # Figures of the other theme would cover more than a fifth of the page.
    assert counts[paper] > 0.8 * pixels.width * pixels.height
