"""What ``--plan`` prints, read back."""

import re

ROW = re.compile(r"^ ?(\w+) +(\d+) +([\d,]+) +(?:≤ )?([\d,]+) ")


def rows_of(text):
    """Return ``{work: (number, views, passes)}``."""
    found = {}
    for line in text.splitlines():
        if match := ROW.match(line):
            name, *numbers = match.groups()
            found[name] = tuple(int(number.replace(",", "")) for number in numbers)
    return found


def files_in(folder):
    return sorted(folder.rglob("*"))
