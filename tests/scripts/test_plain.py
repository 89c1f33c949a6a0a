"""Plain command lines: what they mean is what click says, and whatever is not plain is left to click."""

from __future__ import annotations

import logging
import os
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eventlog.errors import ModelogError
from scripts import click_commands, plain
from scripts.declared import Argument, Call, Group, Option, Verb
from scripts.manage_models import VERBS, find, main

TEXTS = ["", "a", "two words", "é", "caf\udce9", "a=b", "=", "none", "table", "json", "info", "html", "a = 1", "("]
NUMBERS = [
    "0",
    "7",
    "2.5",
    " 5 ",
    "1_0",
    "٣",
    "nan",
    "inf",
    "1e9",
    "9223372036854775807",
    "9223372036854775808",
    "soon",
]
ODD = ["-", "--", "-x", "-h", "--help", "--version", "--outpu", "-1", "--no-reverse", "--dry-run=1", "--reverse="]


def verbs() -> dict[str, Verb]:
    """Return every verb by the words that name it."""
    found: dict[str, Verb] = {}
    for name in VERBS:
        declared = find(name)
        if isinstance(declared, Group):
            found |= {f"{name} {inner}": verb for inner, verb in declared.verbs.items()}
        else:
            assert declared is not None
            found[name] = declared
    return found


EVERY_VERB = verbs()
EVERY_OPTION = [
    (path, option) for path, verb in EVERY_VERB.items() for option in verb.parameters if isinstance(option, Option)
]


@pytest.fixture(autouse=True)
def _log_level_as_before():
    level = logging.getLogger("modelog").level
    yield
    logging.getLogger("modelog").setLevel(level)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A private key's file and its public key's."""
    path = str(tmp_path_factory.mktemp("keys") / "key")
    assert main(["keygen", path, "--name", "example.com/models"]) == 0
    return {"--sign-key": path, "--public-key": f"{path}.pub"}


def by_click(verb, words):
    """Return the keyword arguments that click makes of *words*, or what it says is wrong with them."""
    command = click_commands.command_of("verb", verb)
    try:
        asked = command.main(words, prog_name="modelog", standalone_mode=False)
    except ModelogError as error:
        return str(error)
    assert isinstance(asked, Call)
    return asked.terms


def by_us(verb, words):
    """Return the keyword arguments that are plainly meant, what is wrong with a value, or None."""
    try:
        return plain.terms_of(verb.parameters, words, os.environ)
    except ModelogError as error:
        return str(error)


@st.composite
def lines(draw):
    """Draw a verb, words for it, most of which make sense, and an environment."""
    verb = EVERY_VERB[draw(st.sampled_from(sorted(EVERY_VERB)))]
    values = st.sampled_from(TEXTS + NUMBERS)

    def value_for(parameter):
        likely = st.sampled_from(NUMBERS[:2] if parameter.number else parameter.choices or TEXTS)
        return draw(likely | likely | likely | values)

    words = []
    for parameter in verb.parameters:
        wanted = parameter.required or draw(st.integers(0, 3)) == 0
        for _ in range(draw(st.integers(1, 2)) if wanted else 0):
            if isinstance(parameter, Argument):
                words.append([value_for(parameter)])
            elif parameter.flag:
                words.append([parameter.name])
            elif draw(st.booleans()):
                words.append([f"{parameter.name}={value_for(parameter)}"])
            else:
                words.append([parameter.name, value_for(parameter)])
    words = [word for group in draw(st.permutations(words)) for word in group]
    if draw(st.integers(0, 9)) == 0:
        words.insert(draw(st.integers(0, len(words))), draw(st.sampled_from(ODD) | values))
    variables = [option for option in verb.parameters if option.variable]
    environ = {option.variable: value_for(option) for option in variables if draw(st.integers(0, 5)) == 0}
    return verb, words, environ


@settings(max_examples=1_500, deadline=None)
@given(lines())
@example((EVERY_VERB["rollback"], ["--sign-key", "a", "--public-key", "b"], {}))
@example((EVERY_VERB["rollback"], ["--public-key", "b", "--sign-key=a", "--sign-key", "c"], {}))
@example((EVERY_VERB["publish"], ["--artifact", "a", "--backend", "b"], {"MODELOG_SIGN_KEY": "a b"}))
@example((EVERY_VERB["publish"], ["--artifact", "a", "--backend", "b", "--sign-key", "a", "--sign-key", "b"], {}))
@example((EVERY_VERB["diff"], ["caf\udce9"], {"MODELOG_OUTPUT": ""}))
@example((EVERY_VERB["witness"], ["--state", "s"], {"MODELOG_PUBLIC_KEY": "a b"}))
@example((EVERY_VERB["list"], ["--where", "(", "--public-key", "a", "--where", "b"], {"MODELOG_LOG_LEVEL": "error"}))
def test_what_is_plain_means_what_click_says(line):
    """For any words and variables: the same keyword arguments, the same value found wrong first, or no opinion."""
    verb, words, environ = line

    with patch.dict(os.environ, environ):
        ours = by_us(verb, words)

        assert ours is None or ours == by_click(verb, words), (words, environ)


def valid(parameter, keys):
    """Return a text that a parameter accepts."""
    if parameter.choices:
        return parameter.choices[-1]
    if parameter.number is not None:
        return str(parameter.greatest or 7)
    return keys.get(parameter.name, "rows")


def required(verb, but, keys):
    """Return words for what must be given, but for one option."""
    words = []
    for parameter in verb.parameters:
        if parameter.required and parameter is not but:
            words += [parameter.name] if isinstance(parameter, Option) else []
            words.append(valid(parameter, keys))
    return words


@pytest.mark.parametrize(("path", "option"), EVERY_OPTION, ids=lambda value: getattr(value, "name", value))
def test_every_option_of_every_verb_is_plain(monkeypatch, keys, path, option):
    """Behind the option, after `=`, repeated, or as a variable: no detour over click, and the same meaning."""
    verb = EVERY_VERB[path]
    start, value = required(verb, option, keys), valid(option, keys)
    spellings = [[option.name]] if option.flag else [[option.name, value], [f"{option.name}={value}"]]
    lines = [[*start, *words] for words in (*spellings, spellings[0] * 2)] + [[*spellings[0], *start]]

    for words in lines if option.required else [start, *lines]:
        ours = by_us(verb, words)

        assert isinstance(ours, dict), words
        assert ours == by_click(verb, words)

    if option.variable:
        monkeypatch.setenv(option.variable, "1" if option.flag else value)
        ours = by_us(verb, start)

        assert ours == (None if option.flag or (option.multiple and not option.whole) else by_click(verb, start))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--version",
        "-h",
        "frobnicate",
        "lis",
        "LIST",
        "keys",
        "keys frobnicate",
        "keys list surplus",
        "keys --help",
        "list --help",
        "list -h",
        "list surplus",
        "list --outpu json",
        "list --output",
        "list --output xml",
        "list --output -json",
        "list --output=--json",
        "list --reverse=1",
        "list --reverse=",
        "list --limit 0",
        "list --limit x",
        "list --limit=-3",
        "list --sort -rows",
        "list --",
        "list -",
        "list -- --reverse",
        "history --from 9223372036854775808",
        "publish",
        "publish --artifact a",
        "publish --artifact --backend b",
        "publish --artifact a --backend",
        "rollback --lock-timeout -1",
        "rollback --lock-timeout nan",
        "rollback --lock-timeout soon",
        "rollback --lock-timeout 1e10",
        "watch --debounce nan",
        "watch --debounce -1",
        "show",
        "show a b",
        "show -a",
        "export xml",
        "verify-receipt f",
        "witness --public-key k",
    ],
)
def test_what_is_not_plain(line):
    """Mistakes, calls for help and odd spellings are no business of the plain parser."""
    assert plain.parse(line.split(" ") if line else [], find, {}) is None


@pytest.mark.parametrize(
    "environ",
    [
        {"MODELOG_OUTPUT": "xml"},
        {"MODELOG_LOG_LEVEL": "loud"},
        {"MODELOG_LOCK_TIMEOUT": "soon"},
        {"MODELOG_RECORD_REFUSALS": "0"},
        {"_MODELOG_COMPLETE": "bash_source"},
    ],
    ids=str,
)
def test_variables_that_are_not_plain(environ):
    """What a variable means may take working out, or may be wrong, or ask for completions."""
    line = ["list"] if "MODELOG_OUTPUT" in environ else ["rollback"]

    assert plain.parse(line, find, environ) is None
    assert plain.parse(line, find, dict.fromkeys(environ, "")) is not None


def test_the_path_is_how_help_is_asked_for():
    """Also for a verb in a group."""
    asked = plain.parse(["keys", "list", "--output", "csv"], find, {})

    assert asked is not None
    assert asked.path == "modelog keys list"
    assert asked.terms["output_format"] == "csv"
