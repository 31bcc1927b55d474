"""The page /docs: the OpenAPI description as plain HTML, without a script and without a request to anybody else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

STYLESHEET = """\
:root { color-scheme: light dark; font: 16px/1.55 system-ui, sans-serif; }
body { max-width: 52rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h2 { margin-top: 2.5rem; font-size: 1.15rem; overflow-wrap: anywhere; }
h2 .method { padding: .1em .5em; margin-right: .5em; border: 1px solid; border-radius: .3em; font-size: .85em; }
code, pre { font-family: ui-monospace, monospace; font-size: .92em; }
pre { padding: .8rem 1rem; border: 1px solid #8886; border-radius: .4rem; overflow-x: auto; }
table { width: 100%; border-collapse: collapse; }
caption { text-align: left; font-weight: 600; padding: .6rem 0 .2rem; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8884; text-align: left; vertical-align: top; }
"""
EXAMPLE = """\
curl http://127.0.0.1:8000/v1/inpaint -o filled.jpg \\
     -F image=@photo.jpg -F mask=@mask.png

curl http://127.0.0.1:8000/v1/inpaint -o filled.png \\
     -F image=@photo.jpg -F boxes=100,100,80,60 -F format=png"""


def render(description: Mapping[str, Any], stylesheet: str) -> str:
    """The description as one HTML page.

    Args:
        description: an OpenAPI document.
        stylesheet: address of `STYLESHEET`, relative to the page.
    """
    info = description["info"]
    heading = escape(f"{info['title']} {info['version']}")
    operations = "\n".join(
        _operation(method, path, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    )
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{heading}</title>
<link rel="stylesheet" href="{escape(stylesheet)}">
</head>
<body>
<main>
<h1>{heading}</h1>
<p>{escape(info["description"])} Machines read <a href="openapi.json">openapi.json</a>.</p>
<pre>{escape(EXAMPLE)}</pre>
{operations}
</main>
</body>
</html>
"""


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    parts = [
        f'<section>\n<h2><span class="method">{method.upper()}</span><code>{escape(path)}</code></h2>',
        f"<p>{_prose(operation['description'])}</p>",
    ]
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        fields = _fields(content["schema"])
        parts.append(_table(f"Form fields ({media_type})", ("name", "value", "meaning"), fields))
    responses = (
        (status, ", ".join(response.get("content", {})), response["description"])
        for status, response in operation["responses"].items()
    )
    parts.append(_table("Answers", ("status", "type", "meaning"), responses))
    return "\n".join([*parts, "</section>"])


def _fields(schema: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, field in schema["properties"].items():
        meaning = field["description"]
        if name in schema["required"]:
            meaning += " Required."
        elif "default" in field:
            meaning += f" Default: {json.dumps(field['default'])}."
        yield name, _value(field), meaning


def _value(field: Mapping[str, Any]) -> str:
    if field["type"] == "array":
        return f"{_value(field['items'])}, may be repeated"
    if "enum" in field:
        return " | ".join(field["enum"])
    if field.get("format") == "binary":
        return "file"
    low, high = field.get("minimum"), field.get("maximum", field.get("exclusiveMaximum"))
    bounds = "" if low is None or high is None else f" {low:g} to {high:g}"
    example = f" like {field['examples'][0]}" if "examples" in field else ""
    return f"{field['type']}{bounds}{example}"


def _prose(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _table(caption: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    header = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>\n<caption>{escape(caption)}</caption>\n<tr>{header}</tr>\n{body}\n</table>"
