"""Whatever a value holds, its reader takes it for that value and for nothing more, or it is refused."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from secreg_host.base import quoting, templating
from secreg_host.base.paths import TEMPLATES
from secreg_host.formats import nginxsyntax, opensslsyntax

NASTY = [
    "$(touch /pwned)", "`id`", "a b", "'", '"', "\\", "a\\", "%n", "%", "${x}", ";", "{", "}", "#", "\n", "\t", "\x7f",
    "é",
    "\U0001f600", "\u2028", "*", "~", "-x", "", "=", "a'\"b", "| sh", "!x", "\\n", "../x", ":", "- x", "&a",
]  # fmt: skip
TEXT = st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.lists(st.sampled_from(NASTY)).map("".join))


def quoted(quote: object, text: str) -> str | None:
    """What `quote` makes of `text`; None: it refuses."""
    try:
        return str(quote(text))  # type: ignore[operator]
    except ValueError:
        return None


@given(TEXT)
def test_shell(text: str) -> None:
    word = quoted(quoting.shell, text)
    assert shlex.split(f"echo {word} end") == ["echo", text, "end"] if word is not None else "\0" in text


def systemd_words(line: str, unescape: bool) -> list[str]:
    """A line as systemd splits it (src/basic/extract-word.c), and its specifiers (systemd.unit(5))."""
    words: list[str] = []
    word, quote, at, begun = "", "", 0, False
    while at < len(line):
        char = line[at]
        at += 1
        if quote and char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote, begun = char, True
        elif char == "\\" and unescape:
            if line[at] == "x":
                word, at = word + chr(int(line[at + 1 : at + 3], 16)), at + 3
            else:
                assert line[at] in "\\\"'"
                word, at = word + line[at], at + 1
        elif char in " \t" and not quote:
            words, word, begun = words + ([word] if word or begun else []), "", False
        else:
            assert char != "\n"
            word += char
    assert not quote
    return [word.replace("%%", "%") for word in words + ([word] if word or begun else [])]


@given(TEXT)
def test_words_of_a_unit(text: str) -> None:
    word = quoted(quoting.unit_word, text)
    if word is None:
        assert "\0" in text
        return
    assert systemd_words(f"/bin/x {word} end", unescape=True) == ["/bin/x", text, "end"]
    assert "%" not in word.replace("%%", "")


def test_the_instance_of_a_unit_is_its_only_specifier() -> None:
    assert quoting.unit_word("/slots/\0/a%b", "\0") == '"/slots/%i/a%%b"'
    assert quoting.unit_word("/slots/\0/x", "\0") == "/slots/%i/x"


@given(TEXT.map(lambda text: f"/{text}"))
def test_paths_of_a_unit(text: str) -> None:
    word = quoted(quoting.unit_path, text)
    if word is None:
        assert quoting.CONTROL.search(text) or "\\" in text
    else:
        assert systemd_words(f"/a {word} /b", unescape=False) == ["/a", text, "/b"]


@given(TEXT)
def test_whole_values_of_a_unit(text: str) -> None:
    value = quoted(quoting.unit_line, text)
    if value is not None:
        assert value.replace("%%", "%") == text == text.strip()
        assert "\n" not in value and not value.endswith("\\") and "%" not in value.replace("%%", "")


@given(TEXT)
def test_nginx(text: str) -> None:
    word, part = quoted(quoting.nginx, text), quoted(quoting.nginx_part, text)
    if word is None or part is None:
        assert word == part and ("$" in text or quoting.CONTROL.search(text))
        return
    [directive] = nginxsyntax.parse(f'name {word} "a{part}z" end;', "f")
    assert directive.args == (text, f"a{text}z", "end")


@given(TEXT)
@example("\ufeff")
def test_json_yaml_and_toml(text: str) -> None:
    assert json.loads(quoting.json(text)) == text
    assert quoting.json(text).isascii() and quoting.basic_string(text).isascii()
    assert tomllib.loads(f"x = {quoting.basic_string(text)}") == {"x": text}
    for quote in (quoting.basic_string, quoting.yaml):
        for loader in (yaml.SafeLoader, yaml.CSafeLoader):
            assert yaml.load(f"a:\n  x: {quote(text)}\n  y: 1\n", loader) == {"a": {"x": text, "y": 1}}


@pytest.mark.parametrize("path", ["/var/lib/x", "/a b", "/a: b", "/a #b", "/1", "/'"])
def test_paths_in_yaml(path: str) -> None:
    assert yaml.safe_load(f"x: {quoting.yaml(Path(path))}") == {"x": path}


@given(TEXT)
@example("a `b` c")
def test_openssl(text: str) -> None:
    value = quoted(quoting.openssl, text)
    if value is None:
        assert quoting.CONTROL.search(text) or text != text.strip()
    else:
        found, problems = opensslsyntax.sections(f"[a]\nx = {value}\ny = 1\n", "f")
        assert not problems and {name: item.text for name, item in found["a"].items()} == {"x": text, "y": "1"}


@given(TEXT)
def test_names_of_files_stay_where_they_are(text: str) -> None:
    name = quoted(quoting.component, text)
    if name is not None:
        path = Path("/below") / name
        assert (path.parent, path.name) == (Path("/below"), text) and not text.startswith(".")


@pytest.mark.parametrize("name", ["", ".", "..", ".x", "a/b", "/a", "../../cron.d/evil", "a\0b", "a\nb", "é" * 128])
def test_no_names_of_files(name: str) -> None:
    with pytest.raises(ValueError):
        quoting.component(name)


@given(TEXT)
def test_a_remark_stays_on_its_line(text: str) -> None:
    assert quoted(quoting.line, text) in (None, text)
    assert "\n" not in (quoted(quoting.line, text) or "")


@pytest.mark.promise("quoting")
@pytest.mark.parametrize("value", ["text", Path("/x"), ["a"], True, None, 1.5, quoting.Quoted("a") + "b"])
def test_a_template_takes_nothing_that_was_not_quoted(tmp_path: Path, value: object) -> None:
    (tmp_path / "x.j2").write_text("{{ value }}")
    with pytest.raises(TypeError, match="not quoted"):
        templating.render(tmp_path, "x.j2", value=value)


LANGUAGES = {
    "trust/*.j2": {"shell"},
    "units/*.j2": {"unit_word", "unit_path", "unit_line"},
    "front/*.conf.j2": {"nginx", "nginx_part", "nginx_text", "nginx_value"},
    "auth/*.j2": {"nginx", "nginx_part"},
    "front/*.js.j2": {"json"},
    "etc/nginx.conf.j2": {"nginx", "nginx_part"},
    "etc/docker-registry.yml.j2": {"yaml"},
    "etc/openssl.cnf.j2": {"openssl"},
    "etc/secure-registry.conf.j2": set(),
    "front/*.json.j2": set(),
    "front/*.txt.j2": set(),
}
"""Which function belongs to which template; `line` besides, for remarks."""

OURS = {
    "settings.port", "drain_seconds + 60", "loop.index", "exec_start", "assignment", "key.assignment", "name",
    "no_password", "bits", "word", "utf8", "bits | length * 4", '"%-2s" | format(name) | line', "command",
    "number", "image", "index",
}  # fmt: skip
"""Numbers, constants of our own, and what was quoted before."""


@pytest.mark.promise("quoting")
def test_each_template_quotes_for_its_own_language() -> None:
    seen = set()
    for pattern, filters in LANGUAGES.items():
        for path in TEMPLATES.glob(pattern):
            seen.add(path)
            for line in path.read_text().splitlines():
                for expression in re.findall(r"\{\{ (.+?) \}\}", line):
                    used = expression.rpartition("| ")[2]
                    remark = used == "line" and "#" in line[: line.index("{{")]
                    assert used in filters or remark or expression in OURS, f"{path.name}: {expression}"
    assert seen == set(TEMPLATES.glob("*/*.j2"))


def test_a_template_takes_what_was_quoted(tmp_path: Path) -> None:
    (tmp_path / "x.j2").write_text("{{ words | shell }} {{ number + 1 }} {{ ours }}\n")
    found = templating.render(tmp_path, "x.j2", words=["a", "b c", Path("/d")], number=4, ours=quoting.Quoted("[a-z]"))
    assert found == b"a 'b c' /d 5 [a-z]\n"
