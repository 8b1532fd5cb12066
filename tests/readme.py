"""What README.md, and a page below docs, tell people to type."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PATH = Path(__file__).resolve().parents[1] / "README.md"


@dataclass(frozen=True)
class Line:
    """A line of a code block: where it is, and the command without its comment."""

    number: int
    language: str
    command: str
    page: str = PATH.name

    def __str__(self) -> str:
        return f"{self.page}:{self.number}: {self.command}"


def block_lines(page: Path = PATH) -> list[Line]:
    """Every line of every code block of `page`, in order; a command that goes on in the next line is one."""
    found: list[Line] = []
    language, held = "", ""
    for number, text in enumerate(page.read_text().splitlines(), 1):
        if text.startswith("```"):
            language = "" if language else text.strip("` ") or "text"
        elif language and (command := held + re.sub(r"(^|\s+)#( .*)?$", "", text).strip()):
            held = command[:-1] if command.endswith("\\") else ""
            if not held:
                found.append(Line(number, language, command, page.name))
    return found


def spans() -> list[str]:
    """Everything between backquotes in the text, outside of blocks."""
    text = re.sub(r"(?ms)^```.*?^```", "", PATH.read_text())
    return [" ".join(found.split()) for found in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]


def rows(heading: str) -> list[list[str]]:
    """The rows of the first table below `heading`, the head of the table left out."""
    section = PATH.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[2:]]
