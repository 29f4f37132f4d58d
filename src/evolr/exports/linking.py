"""Definitions out of evolr's own source, with all that they need: a small linker.

The classes that serve evolr's users in their frameworks are the ones that an exported file holds, word for word. They
are read as text, so exporting to a framework does not need it.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final, NamedTuple

_BUILTIN: Final = frozenset(dir(builtins))


class Import(NamedTuple):
    """An import of another library. name: what of the module, None for the module itself."""

    module: str
    name: str | None
    alias: str | None


class Linked(NamedTuple):
    """Definitions in an order in which Python can run them, and what they import from other libraries."""

    imports: frozenset[Import]
    blocks: list[str]


class Replacement(NamedTuple):
    """What stands in a file in the place of a definition of evolr's. roots: the definitions that it needs."""

    text: str
    roots: list[tuple[str, str]]


class _Module:
    """The top-level definitions of one of evolr's modules, as text."""

    def __init__(self, name: str) -> None:
        source = _source(name)
        self._lines = source.splitlines()
        self.definitions: dict[str, ast.stmt] = {}
        self.imports: dict[str, Import] = {}
        for statement in ast.parse(source).body:
            for inner in statement.body if isinstance(statement, ast.Try) else [statement]:
                self._take(inner)

    def _take(self, statement: ast.stmt) -> None:
        match statement:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                self.definitions[name] = statement
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                self.definitions[name] = statement
            case ast.Import(names=names):
                for n in names:
                    self.imports[n.asname or n.name] = Import(n.name, None, n.asname)
            case ast.ImportFrom(module=str(module), names=names):
                for n in names:
                    self.imports[n.asname or n.name] = Import(module, n.name, n.asname)
            case _:
                pass

    def text(self, name: str) -> str:
        """A definition's own lines, its decorators and comments included."""
        node = self.definitions[name]
        if isinstance(node, ast.AnnAssign):
            line = self._lines[node.lineno - 1]
            rest = self._lines[node.lineno : node.end_lineno]
            return "\n".join([line.replace(f": {ast.unparse(node.annotation)}", "", 1), *rest])
        decorators = node.decorator_list if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
        first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
        return "\n".join(self._lines[first - 1 : node.end_lineno])

    def names(self, name: str) -> list[str]:
        """What a definition speaks of; a constant's type is left out."""
        node = self.definitions[name]
        nodes = ast.walk(node.value if isinstance(node, ast.AnnAssign) and node.value else node)
        return list(dict.fromkeys(node.id for node in nodes if isinstance(node, ast.Name)))


def _source(name: str) -> str:
    """A module's text; of one that is not evolr's, of a signal that somebody has added, if it has a file."""
    if name.split(".", maxsplit=1)[0] != "evolr":
        return inspect.getsource(sys.modules[name])
    place = files("evolr").joinpath(*name.split(".")[1:])
    if place.is_dir():
        place = place.joinpath("__init__")
    return files("evolr").joinpath(f"{place}.py").read_text(encoding="utf-8")


_module = cache(_Module)


def link(
    roots: Iterable[tuple[str, str]], replacements: Mapping[tuple[str, str], Replacement] = MappingProxyType({})
) -> Linked:
    """The definitions (module, name) of evolr's, and all that they need, each once.

    replacements: by place, what stands instead of a definition.
    """
    imports: set[Import] = set()
    blocks: dict[tuple[str, str], str] = {}

    def follow(module: str, name: str) -> None:
        source = _module(module)
        if (module, name) in replacements and (module, name) not in blocks:
            blocks[module, name] = ""
            for place in replacements[module, name].roots:
                follow(*place)
            del blocks[module, name]
            blocks[module, name] = replacements[module, name].text
        elif name in source.imports:
            found = source.imports[name]
            if found.module.split(".")[0] != "evolr":
                imports.add(found)
            elif found.name:
                follow(found.module, found.name)
        elif name in source.definitions and (module, name) not in blocks:
            blocks[module, name] = ""  # on the way: a definition may speak of itself
            for other in source.names(name):
                if other not in _BUILTIN or other in source.definitions:
                    follow(module, other)
            del blocks[module, name]
            blocks[module, name] = source.text(name)

    for module, name in roots:
        follow(module, name)
    return Linked(frozenset(imports), list(blocks.values()))
