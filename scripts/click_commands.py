"""The command line as click sees it, built from the declarations: for help, for mistakes, and for odd spellings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from eventlog import __version__
from scripts.declared import PROGRAM, Argument, Call, Find, Group, Parameter, UsageError, Verb

STATUS_USAGE = 2


class _Whole(click.types.StringParamType):
    """Text whose variable is one value, spaces and all; see `scripts.declared.Parameter.whole`."""

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        return [rv]


class _Verbs(click.Group):
    """Imports a verb's module when the verb is used, and lists all without importing any."""

    def __init__(self, summaries: Mapping[str, str], find: Find, **settings: Any) -> None:
        super().__init__(**settings)
        self._summaries = summaries
        self._find = find

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = self._find(cmd_name)
        return None if found is None else command_of(cmd_name, found)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self._summaries.items()))


def parse(words: Sequence[str], summaries: Mapping[str, str], find: Find) -> Call | int:
    """
    Return what the words ask for, or the exit status where that was help and has been printed.

    Raises:
        UsageError: they make no sense; the message says where the help is.

        SystemExit: nobody reads the help; click has replaced `sys.stdout` and `sys.stderr`.
    """
    cli = _Verbs(
        summaries,
        find,
        help="A local model registry whose history can be trusted.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    click.version_option(__version__, message="%(prog)s %(version)s")(cli)
    try:
        asked: Call | int = cli.main(list(words), prog_name=PROGRAM, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return STATUS_USAGE
    except click.ClickException as error:
        hint = f" (see {error.ctx.command_path} --help)" if isinstance(error, click.UsageError) and error.ctx else ""
        raise UsageError(f"{error.format_message()}{hint}") from None
    except click.Abort:
        raise KeyboardInterrupt from None
    return asked


def command_of(name: str, declared: Verb | Group) -> click.Command:
    """Return a verb as click knows one; called, it returns a `Call`."""
    if isinstance(declared, Group):
        commands = {inner: command_of(inner, found) for inner, found in declared.verbs.items()}
        return click.Group(name, commands, help=declared.help)

    def call(**terms: Any) -> Call:
        return Call(click.get_current_context().command_path, declared.function, terms)

    parameters = list(map(_parameter, declared.parameters))
    return click.Command(name, callback=call, params=parameters, help=declared.function.__doc__, epilog=declared.epilog)


def _parameter(declared: Parameter) -> click.Parameter:
    settings: dict[str, Any] = {
        "type": _type(declared),
        "required": declared.required,
        "callback": None if declared.read is None else _callback(declared.read),
        "metavar": declared.metavar,
    }
    if isinstance(declared, Argument):
        return click.Argument([declared.name], nargs=-1 if declared.multiple else 1, **settings)
    if declared.default is not None:
        settings["default"] = declared.default
    return click.Option(
        [name for name in (declared.short, declared.name, declared.key) if name is not None],
        is_flag=declared.flag or None,  # false would mean one that may also have a value
        multiple=declared.multiple,
        envvar=declared.variable,
        show_envvar=True,
        show_default=declared.default_shown,
        is_eager=declared.read_first,
        expose_value=declared.passed,
        hidden=declared.hidden,
        help=declared.help,
        **settings,
    )


def _type(declared: Parameter) -> click.ParamType[Any] | type[float] | None:
    if declared.choices:
        return click.Choice(declared.choices)
    if declared.whole:
        return _Whole()
    return click.IntRange(declared.least, declared.greatest) if declared.number is int else declared.number


def _callback(read: Callable[[Any], Any]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def called(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        try:
            return read(value)
        except UsageError as error:
            raise click.BadParameter(str(error), ctx, param) from None

    return called
