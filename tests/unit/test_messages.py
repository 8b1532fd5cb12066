"""Every message of the program says where, what, and what to do next: a lint rule on the calls that make one.

It reads literals, also those that a name of the same function or module stands for; what only a run knows (another
program's words, the hint of an error that is passed on) is beyond it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "secreg_host"
WITH_PLACE = {"Problem", "Note", "Later", "bad_input", "wrong"}
"""Calls with (where, what, hint). `wrong` are methods of readers, which know the file."""

WITHOUT_PLACE = {"SecregError"}
"""Calls with (message, hint)."""

OF_PROBLEMS = {"BadInput", "Several"}
"""Calls with problems, which no text is."""

MAKERS = WITH_PLACE | WITHOUT_PLACE | OF_PROBLEMS

VAGUE = re.compile(
    r"(?:it|this|that|the \w+|\w+)?\s*(?:is|was|has|does|did)?\s*(?:not\s+)?(?:an?\s+)?"
    r"(?:fail(?:s|ed)?|invalid|error|bad|wrong|broken|unknown|incorrect|problem|work|run|valid|ok)"
)
"""A "what" that could stand anywhere."""

EMPTY_HINT = re.compile(
    r"(?:please )?(?:correct|mend|fix|check|change|remove|write|include|rename|add|create|see|run|repeat|try|move)"
    r"(?: (?:it|them|this|that|less|more|again|away|by hand|the \w+|\w+ (?:away|again|by hand)))*"
)
"""A "hint" that says no more than that something should be done."""

DO = re.compile(
    r"\b(?:add|ask|begin|bring|build|chmod|choose|close|copy|correct|create|delete|do|end|escape|findmnt|free|give|have"
    r"|hash|include|indent|install|journalctl|keep|kill|leave|look|lower|make|mount|move|mv|name|openssl|point|press|put"
    r"|quote|raise|read|remove|rename|repeat|report|restart|restore|run|save|secure-registry|see|set|show|start|stop|swap"
    r"|systemctl|take|tell|touch|try|turn|type|umount|unmount|update|upgrade|use|wait|write)\b"
)
"""Words that say what to do, and programs that can be typed; a hint has one of them."""

EXCEPTIONS = {
    "base/errors.py: {}": "a SecregError names its place in its message",
    "services/notstarted.py: {}": "who started the program knows the place, and what to do, and puts them in",
}
"""`file: what it says` -> why it stays. Keep it short."""

Text = str | None
HOLE = "\0"
"""What stands for the parts of a text that only a run knows."""


class Messages(ast.NodeVisitor):
    """The messages of a module: its calls, and the texts that names stand for around them."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.scopes: list[dict[str, list[ast.expr]]] = [{}]
        self.called: dict[str, str] = {}
        """What makes messages, by the name that it was given here."""
        self.found: list[tuple[int, str, list[list[Text]]]] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.scopes.append({})
        for child in ast.walk(node):
            self._bind(child)
        self.generic_visit(node)
        self.scopes.pop()

    def visit_Module(self, node: ast.Module) -> None:
        for child in ast.walk(node):
            if isinstance(child, ast.ImportFrom):
                self.called |= {one.asname: one.name for one in child.names if one.asname and one.name in MAKERS}
            if isinstance(child, ast.Assign) and (maker := _name(child.value)) in MAKERS:
                self.called |= {target.id: maker for target in child.targets if isinstance(target, ast.Name)}
        for child in node.body:
            self._bind(child)
        self.generic_visit(node)

    def _bind(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                names, values = [target], [node.value]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    names, values = target.elts, node.value.elts
                for name, value in zip(names, values, strict=False):
                    if isinstance(name, ast.Name):
                        self.scopes[-1].setdefault(name.id, []).append(value)

    def texts(self, node: ast.expr | None, depth: int = 0) -> list[Text]:
        """All that `node` may be, as far as it can be told; None: something else."""
        if isinstance(node, ast.Constant):
            return [node.value if isinstance(node.value, str) else None]
        if isinstance(node, ast.JoinedStr):
            return ["".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values)]
        if isinstance(node, ast.IfExp):
            return self.texts(node.body, depth) + self.texts(node.orelse, depth)
        if isinstance(node, ast.BoolOp):
            return [text for value in node.values for text in self.texts(value, depth)]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            left, right = self.texts(node.left, depth), self.texts(node.right, depth)
            return [(one or HOLE) + (two or HOLE) for one in left for two in right]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            return [text for one in (node.func.value, *node.args[1:]) for text in self.texts(one, depth)]
        if isinstance(node, ast.Dict):
            return [text for value in node.values for text in self.texts(value, depth)]
        if isinstance(node, ast.Name) and depth < 4:
            for scope in reversed(self.scopes):
                if node.id in scope:
                    return [text for value in scope[node.id] for text in self.texts(value, depth + 1)]
        return [None]

    def visit_Call(self, node: ast.Call) -> None:
        name = _name(node.func)
        name = self.called.get(name, name)
        if name in OF_PROBLEMS and node.args:
            given = node.args[0]
            for one in given.elts if isinstance(given, ast.List | ast.Tuple) else [given]:
                self.found += [
                    (node.lineno, name, [[""], [text], [""]]) for text in self.texts(one) if text is not None
                ]
        if name in WITH_PLACE | WITHOUT_PLACE:
            names = ("where", "what", "hint") if name in WITH_PLACE else ("message", "hint")
            keywords = {keyword.arg: keyword.value for keyword in node.keywords}
            starred = any(isinstance(arg, ast.Starred) for arg in node.args) or None in keywords
            nodes = (
                dict(zip(names, (arg for arg in node.args if not isinstance(arg, ast.Starred)), strict=False))
                | keywords
            )
            if name == "wrong" and not 2 <= len(node.args) <= 3:
                return  # of another kind
            if name == "wrong" and len(node.args) == 2:
                nodes = dict(zip(("what", "hint"), node.args, strict=True)) | {"where": None}  # type: ignore[dict-item]
            absent: list[Text] = [None] if starred else [""]
            texts = [self.texts(nodes[key]) if key in nodes else absent for key in names]
            self.found.append((node.lineno, name, [[None], *texts] if name in WITHOUT_PLACE else texts))
        self.generic_visit(node)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def messages() -> Iterator[tuple[str, int, list[list[Text]]]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        reader = Messages(str(path.relative_to(PACKAGE)))
        reader.visit(ast.parse(path.read_text()))
        for line, _, texts in reader.found:
            yield reader.file, line, texts


def flaws(where: list[Text], what: list[Text], hint: list[Text]) -> Iterator[tuple[str, str]]:
    """What is wrong with a message, and the text that is to blame."""
    for text in where:
        if text is not None and not text.strip():
            yield "where: it names no place", text
    for text in what:
        if text is not None:
            yield from _what(text)
    for text in hint:
        if text is not None:
            yield from _hint(text)


def _what(text: str) -> Iterator[tuple[str, str]]:
    said = text.replace(HOLE, "").strip(" :.()")
    if HOLE not in text and VAGUE.fullmatch(said.lower()):
        yield "what: it could stand anywhere", text
    if re.match(r"[A-Z][a-z]* (?!is a snap)", text):
        yield "what: it begins with a capital letter", text
    if re.search(r"\.\s*\Z", text):
        yield "what: it ends with a full stop", text


def _hint(text: str) -> Iterator[tuple[str, str]]:
    if not text.strip():
        yield "hint: there is none", text
    elif HOLE not in text and EMPTY_HINT.fullmatch(text.strip(" .").lower()):
        yield "hint: it says not what to type", text
    elif HOLE not in text and not DO.search(text.lower()):
        yield "hint: it says not what to do", text
    if text.endswith("."):
        yield "hint: it ends with a full stop", text


@pytest.mark.promise("messages")
def test_every_message_says_where_what_and_what_to_type() -> None:
    found, excepted = [], set()
    for file, line, texts in messages():
        key = f"{file}: {(texts[1][0] or HOLE).replace(HOLE, '{}')}"
        for wrong, text in flaws(*texts):
            excepted.add(key)
            if key not in EXCEPTIONS:
                found.append(f"{file}:{line}: {wrong}: {text.replace(HOLE, '{}')!r}")
    assert not found, "\n".join(found)
    assert not (gone := set(EXCEPTIONS) - excepted), f"no exceptions any more: {gone}"


def test_the_rule_sees_messages() -> None:
    assert sum(1 for _ in messages()) > 200


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ('Problem("", "a line has no colon", "write USER:HASH")', "names no place"),
        ('Problem(where, "failed", "write USER:HASH")', "could stand anywhere"),
        ('Problem(where, "it is invalid", "write USER:HASH")', "could stand anywhere"),
        ('Problem(where, "A line has no colon", "write USER:HASH")', "capital letter"),
        ('Problem(where, f"line {number} has no colon.", "write USER:HASH")', "full stop"),
        ('Problem(where, "a line has no colon")', "there is none"),
        ('Problem(where, "a line has no colon", "")', "there is none"),
        ('Problem(where, what="a line has no colon", hint="correct it")', "not what to type"),
        ('bad_input(where, "a line has no colon", "the docs of htpasswd")', "not what to do"),
        ('bad_input(where, "a line has no colon", "write USER:HASH" if colon else "")', "there is none"),
        ('errors.SecregError("a line has no colon")', "there is none"),
        ('def f():\n    hint = "try again"\n    raise SecregError("a line has no colon", hint)', "not what to type"),
        ('HINT = "mend it"\nProblem(where, "a line has no colon", HINT)', "not what to type"),
        ('self.wrong(value, "error", "write USER:HASH")', "could stand anywhere"),
        ('from secreg_host.base.errors import Problem as P\nP(where, "failed", "write USER:HASH")', "stand anywhere"),
        ('P = errors.Problem\nP("", "a line has no colon", "write USER:HASH")', "names no place"),
        ('BadInput("failed")', "could stand anywhere"),
        ('BadInput(["a line has no colon"])', "names no place"),
        ('hint = HINTS.get(error.errno, "")\nSecregError(f"cannot read {path}", hint)', "there is none"),
    ],
)
def test_the_rule_sees_what_is_wrong(code: str, said: str) -> None:
    assert [wrong for wrong in _judged(code) if said in wrong]


@pytest.mark.parametrize(
    "code",
    [
        'Problem(where, "a line has no colon", "write USER:HASH")',
        'Problem(f"{where}:{line}", error.message, error.hint)',
        'Problem(where, *wrong)',
        'SecregError(f"cannot read {path}: {error.strerror}", hint)',
        'def f(hint):\n    raise SecregError("a line has no colon", hint)',
    ],
)  # fmt: skip
def test_the_rule_lets_good_ones_pass(code: str) -> None:
    assert _judged(code) == []


def _judged(code: str) -> list[str]:
    reader = Messages("x.py")
    reader.visit(ast.parse(code))
    assert reader.found
    return [wrong for _, _, texts in reader.found for wrong, _ in flaws(*texts)]
