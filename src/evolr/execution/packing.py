"""What travels by value: a function of a notebook or a prompt, a closure, what a cluster's machines are to train.

Packed for a pipe to a process of this program's alone: no file ever holds it.
"""

from __future__ import annotations

import dis
import functools
import io
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, Final, cast

from evolr.errors import ConfigError, MissingExtraError, printable, shortened

_EXTRA: Final = "notebook"
_DEEPEST: Final = 8  # levels of what a function uses that are looked through for what cannot be packed
_MESSAGE: Final = 200  # characters of why


def packed(what: object, name: str) -> bytes:
    """Anything as cloudpickle packs it: what can be imported by its name, what stands in the program itself by value.

    name: of it, for the message. Raises ConfigError where it cannot be packed, which names the part that cannot;
    MissingExtraError without cloudpickle.
    """
    try:
        return _packed(what)
    except ImportError as error:
        if error.name != "cloudpickle":
            raise _refused(what, name, error) from error
        raise MissingExtraError(
            f"{name}, which no worker can import by its name, since it does not stand at the top level of a module or a script,",
            _EXTRA,
        ) from error
    except Exception as error:  # whatever the parts of an object may raise
        raise _refused(what, name, error) from error


def unpacked(content: bytes) -> Any:
    """What was packed in the program that this process works for."""
    return import_module("cloudpickle").loads(content)


def _packed(what: object) -> bytes:
    buffer = io.BytesIO()
    _pickler()(buffer).dump(what)
    return buffer.getvalue()


@functools.cache
def _pickler() -> Any:
    """cloudpickle's, but for open files: it would pack what those hold that are read. The standard streams are the worker's own.

    And for what functools makes: a function with a cache, which it would leave to be found in the worker, where a notebook's is not; a
    cached_property, which has a lock before Python 3.12; a singledispatch, which has a weak cache. They are made anew.
    """
    base: Any = import_module("cloudpickle").Pickler

    class Pickler(base):
        def reducer_override(self, obj: Any) -> Any:
            if isinstance(obj, io.IOBase) and not isinstance(obj, io.StringIO | io.BytesIO):
                for name in ("stdin", "stdout", "stderr"):
                    if obj is getattr(sys, name):
                        return getattr, (sys, name)
                raise TypeError("an open file belongs to this process")
            if isinstance(obj, _CACHED) and _is_in_no_module(obj):
                return _cached, (obj.__wrapped__, obj.cache_parameters())
            if type(obj) is functools.cached_property:
                return _cached_property, (obj.func, obj.attrname)
            if isinstance(obj, FunctionType) and obj.__code__ is _DISPATCHING and _is_in_no_module(obj):
                return _dispatching, (dict(cast("Any", obj).registry),)
            return base.reducer_override(self, obj)

    return Pickler


_CACHED: Final = type(functools.cache(len))
_DISPATCHING: Final = cast("Any", functools.singledispatch(len)).__code__


def _is_in_no_module(cached: Any) -> bool:
    return cached.__module__ == "__main__" or "<locals>" in cached.__qualname__


def _cached(function: Any, parameters: Mapping[str, Any]) -> Any:
    """The function with an empty cache of its own."""
    return functools.lru_cache(**parameters)(function)


def _cached_property(function: Any, name: str | None) -> Any:
    made: Any = functools.cached_property(function)
    made.attrname = name  # a class that is unpacked names none of its own
    return made


def _dispatching(registry: Mapping[type, Any]) -> Any:
    made = functools.singledispatch(registry[object])
    for kind, function in registry.items():
        made.register(kind, function)
    return made


def _refused(what: object, name: str, error: Exception) -> ConfigError:
    """The error that names what cannot be packed, and how what is packed comes to it."""
    path, part, why = _unpackable_part(what, error)
    reason = f"{type(why).__name__}: {shortened(printable(str(why)), _MESSAGE)}"
    kind = f"of type {type(part).__module__}.{type(part).__qualname__}".replace("builtins.", "")
    said = f"it holds {path}, an object {kind} ({reason})" if path else reason
    return ConfigError(
        f"{name} cannot be sent to a worker: {said}; make such a thing inside the function, or in a module that it imports"
    )


def _unpackable_part(what: object, error: Exception) -> tuple[str, object, Exception]:
    """The way to the innermost part that cannot be packed by itself, `helper → log`, say; the part; and why."""
    path = ""
    seen = {id(what)}
    for _ in range(_DEEPEST):
        for name, part in _parts(what):
            if id(part) in seen:
                continue
            seen.add(id(part))
            try:
                _packed(part)
            except Exception as why:  # as above
                path += name if not path or name[:1] in ("", ".", "[") else f" → {name}"
                what, error = part, why
                break
        else:
            break
    return path, what, error


def _parts(what: object) -> Iterator[tuple[str, object]]:
    """What is packed with an object, by name."""
    if isinstance(what, functools.partial):
        bound = cast("functools.partial[Any]", what)
        yield "", bound.func
        yield from ((f"argument {place}", value) for place, value in enumerate(bound.args, 1))
        yield from bound.keywords.items()
    elif isinstance(what, MethodType):
        yield "self", what.__self__
        yield "", what.__func__
    elif isinstance(what, FunctionType):
        cells = zip(what.__code__.co_freevars, what.__closure__ or (), strict=True)
        yield from ((name, cell.cell_contents) for name, cell in cells if _is_filled(cell))
        yield from ((name, what.__globals__[name]) for name in _globals_of(what.__code__) if name in what.__globals__)
        defaults = what.__defaults__ or ()
        arguments = what.__code__.co_varnames[: what.__code__.co_argcount]
        yield from zip(arguments[len(arguments) - len(defaults) :], defaults, strict=True)
        yield from (what.__kwdefaults__ or {}).items()
        yield from vars(what).items()
    elif isinstance(what, Mapping):
        yield from ((f"[{shortened(repr(key))}]", value) for key, value in cast("Mapping[Any, Any]", what).items())
    elif isinstance(what, list | tuple | set | frozenset):
        yield from ((f"[{place}]", value) for place, value in enumerate(cast("list[Any]", what)))
    elif isinstance(what, type):
        yield from ((f".{name}", value) for name, value in vars(what).items() if not _is_of_every_class(name, value))
    elif not isinstance(what, ModuleType):
        yield from ((f".{name}", value) for name, value in getattr(what, "__dict__", {}).items())


def _is_of_every_class(name: str, value: object) -> bool:
    """Whether an attribute of a class is one that Python gives it, and that is not packed with it."""
    return isinstance(value, GetSetDescriptorType | MemberDescriptorType) or name == "_abc_impl"


def _is_filled(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _globals_of(code: CodeType) -> list[str]:
    """The global names that a function's code reads, and that of the functions in it."""
    names = [str(each.argval) for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names += _globals_of(constant)
    return list(dict.fromkeys(names))
