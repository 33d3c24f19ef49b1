"""How `serve` reads its options without the command line's library."""

import inspect

import pytest

from service.commands import serve
from service.commands.start import read_options


def test_every_option_of_the_command_is_read() -> None:
    """A new option is to be read here too, or starts a server that takes the longer way."""
    names = inspect.signature(serve.serve).parameters
    arguments = [word for name in names for word in (f"--{name}", "7")]

    assert read_options(arguments) == dict.fromkeys(names, "7")
    assert read_options([f"--{name}=7" for name in names]) == dict.fromkeys(names, "7")
    assert read_options([]) == {}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["-h"],
        ["--port"],
        ["--port", "x"],
        ["--port=٣"],
        ["--workers", "-1"],
        ["--store", "--port"],
        ["--port", "1", "--port", "2"],
        ["--stor", "a"],
        ["port", "1"],
        ["--loud", "1"],
        ["models"],
    ],
)
def test_what_is_not_plain_is_left_to_the_command_line(arguments: list[str]) -> None:
    assert read_options(arguments) is None
