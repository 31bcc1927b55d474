"""Groups of commands: loaded when they are named, and every error a user can make is one line and exit status 2."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup
from typer.main import get_command

from wavepaint.cli.console import report
from wavepaint.cli.declared import Command, takes_options
from wavepaint.errors import WavepaintError

# What unknown options and values of the wrong type raise; typer has no public name for it.
_UsageError: Any = typer.BadParameter.__bases__[0]


class CommandGroup(TyperGroup):
    """A group whose help describes its commands in whole sentences."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(self._summaries())

    def _summaries(self) -> list[tuple[str, str]]:
        return [(name, _first_paragraph(command.help or "")) for name, command in self.commands.items()]


def new_app(**settings: Any) -> typer.Typer:
    """A Typer application in the style of this command line; `settings` are Typer's own."""
    return typer.Typer(
        cls=settings.pop("cls", CommandGroup),
        add_completion=settings.pop("add_completion", False),
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **settings,
    )


def examples(*lines: str) -> str:
    """The end of a command's help: calls to copy, one a line."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


def command(*calls: str) -> Callable[[Command], typer.Typer]:
    """Make a function that `declared.takes_options` understands a command, with `calls` as its `examples`."""

    def decorate(function: Command) -> typer.Typer:
        app = new_app()
        app.command(epilog=examples(*calls) if calls else None)(takes_options()(function))
        return app

    return decorate


class LazyCommands(CommandGroup):
    """The root: a command's module is imported, and its options are built, when the command is named.

    Attributes:
        modules: the module of each command, which holds it under its own name; in the order of the help.
    """

    modules: ClassVar[Mapping[str, str]] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands."""
        return list(self.modules)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command by its name; None for an unknown one."""
        if cmd_name not in self.modules:
            for name in self.modules:  # typer suggests names of commands that are built
                self.get_command(ctx, name)
            return None
        if cmd_name not in self.commands:
            command = get_command(self._app(cmd_name))
            command.name = cmd_name
            self.commands[cmd_name] = command
        return self.commands[cmd_name]

    def _summaries(self) -> list[tuple[str, str]]:
        # Without building the commands.
        return [(name, _summary(self._app(name))) for name in self.modules]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See typer; errors become one line."""
        if not args:
            return super().parse_args(ctx, args)  # which shows the help
        with _one_line():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """See typer; errors and warnings become one line each."""
        with warnings.catch_warnings(), _one_line():
            warnings.showwarning = lambda message, *_, **__: report(f"warning: {message}")
            # Python hides these by default, but whoever types a deprecated option is the one to change it.
            warnings.filterwarnings("default", ".* is deprecated: use ", DeprecationWarning)
            return super().invoke(ctx)

    def _app(self, name: str) -> typer.Typer:
        module = self.modules[name]
        return getattr(import_module(module), module.rpartition(".")[2])  # type: ignore[no-any-return]


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except (WavepaintError, _UsageError) as error:
        report(str(error) if isinstance(error, WavepaintError) else error.format_message())
        raise typer.Exit(2) from None


def _summary(app: typer.Typer) -> str:
    """The first sentence of a command's help."""
    text = app.info.help
    if not isinstance(text, str):
        function = app.registered_callback or app.registered_commands[0]
        text = inspect.getdoc(function.callback) or ""
    return _first_paragraph(text)


def _first_paragraph(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())
