"""Command-line options out of declared ones: a parameter of a command may be a dataclass of options."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer

from wavepaint.options import Declared, Door, declared

Command = Callable[..., None]


def takes_options(door: Door = "cli") -> Callable[[Command], Command]:
    """Replace every parameter of a command that is a dataclass of options by one command-line option for each of them.

    The command is called with instances of the dataclasses, which check their values.
    """

    def decorate(command: Command) -> Command:
        hints = get_type_hints(command, include_extras=True)
        del hints["return"]
        groups: dict[str, Any] = {name: kind for name, kind in hints.items() if dataclasses.is_dataclass(kind)}
        parameters = []
        for parameter in inspect.signature(command).parameters.values():
            if parameter.name not in groups:
                parameters.append(parameter.replace(annotation=hints[parameter.name], kind=parameter.KEYWORD_ONLY))
                continue
            parameters += [_parameter(option) for option in declared(groups[parameter.name], door)]

        @functools.wraps(command)
        def with_options(**values: Any) -> None:
            for name, kind in groups.items():
                given = {option.name: _value(option, values.pop(option.name)) for option in declared(kind, door)}
                values[name] = kind(**given)
            command(**values)

        del with_options.__wrapped__
        with_options.__annotations__ = {each.name: each.annotation for each in parameters}
        with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return with_options

    return decorate


def _parameter(declaration: Declared) -> inspect.Parameter:
    option = declaration.option
    kind = str if option.parse is not None else declaration.kind
    help, default = declaration.help, declaration.default
    if declaration.repeated:
        kind, help, default = list[kind], f"{help} Repeatable.", None  # type: ignore[valid-type]
    flags = option.flags or (f"--{declaration.name.replace('_', '-')}",)
    if default is dataclasses.MISSING:
        default = ...
    annotation = kind | None if default is None else kind
    described = typer.Option(*flags, help=help, metavar=option.metavar, envvar=option.variable)
    return inspect.Parameter(
        declaration.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[annotation, described]
    )


def _value(declaration: Declared, value: Any) -> Any:
    """What a command line gave, as the dataclass takes it."""
    parse = declaration.option.parse or (lambda each: each)
    if declaration.repeated:
        return tuple(parse(each) for each in value or ())
    return None if value is None else parse(value)
