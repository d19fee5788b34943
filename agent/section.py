"""Files that people write: YAML, understood completely or refused in one line."""

from __future__ import annotations

import re
import reprlib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)
from pydantic.fields import FieldInfo

from agent.errors import InputError

# What an error repeats of a file: aliases of aliases in it are without end.
SHOWN = reprlib.Repr()
SHOWN.maxlevel, SHOWN.maxstring, SHOWN.maxother = 2, 200, 200


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    folder: Path = info.context["folder"] if info.context else Path()
    try:
        return folder / path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path}: there is no such user here") from error


# A path is text in YAML; strict types would refuse it.
FilePath = Annotated[Path, Field(strict=False), AfterValidator(_beside_the_file)]
# Names become levels of a topic, which end at a slash.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=64)]
OF_A_NAME = "in letters, digits, dots, dashes and underscores"


class Section(BaseModel):
    """Strict: a mistyped key or type is refused, never ignored or converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class StationName(Section):
    """Where the station stands; the levels of its topics (ISA-95 equipment path)."""

    site: Name = Field(description=f"the plant, {OF_A_NAME}")
    line: Name = Field(description=f"the production line, {OF_A_NAME}")
    name: Name = Field(description=f"the station on the line, {OF_A_NAME}")


Content = TypeVar("Content", bound=Section)

INT, FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"


class _PlainYaml(yaml.SafeLoader):
    """YAML that is what it shows: no key twice, the last of which would count, and no number of
    another base, such as 0100, which is 64, and 1:30, which is 90. Those are text.
    """

    yaml_implicit_resolvers = {
        first: [each for each in known if each[0] not in (INT, FLOAT)]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Not later: what is merged into a mapping may be in it already."""
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                name = SHOWN.repr(key.value)
                raise ValueError(
                    f"the key {name} is given twice (lines {lines[key.value]}, {line})"
                )
            lines[key.value] = line
        return node


_WHOLE = r"[-+]?(?:0|[1-9][0-9]*)"
WHOLE_NUMBER = re.compile(f"{_WHOLE}$")
DECIMAL_NUMBER = re.compile(
    rf"(?:{_WHOLE}\.[0-9]*|[-+]?\.[0-9]+)(?:[eE][-+][0-9]+)?$|[-+]?\.inf$|\.nan$"
)
_PlainYaml.add_implicit_resolver(INT, WHOLE_NUMBER, list("-+0123456789"))
_PlainYaml.add_implicit_resolver(FLOAT, DECIMAL_NUMBER, list("-+.0123456789"))


def read_yaml(path: Path, kind: type[Content], what: str) -> Content:
    """Read a file of a kind, called `what` in errors; relative paths in it are from its folder.

    Raises:
        InputError: it cannot be read, is not YAML, or a key is unknown, missing or wrong.
    """
    path = Path(path)
    try:
        content = yaml.load(path.read_text("utf-8"), _PlainYaml)
    except OSError as error:
        raise InputError(f"cannot read the {what} {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a {what}: it is not UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise InputError(f"{path} is not YAML{where}: check indentation and quotes") from error
    except RecursionError as error:
        raise InputError(f"{path} is not a {what}: it is nested too deep") from error
    except ValueError as error:
        raise InputError(f"{path} is not a {what}: {error}") from error
    try:
        return kind.model_validate(content, context={"folder": path.parent})
    except ValidationError as error:
        raise InputError(f"{path}: {_explain(error, kind)}") from error


def _explain(error: ValidationError, kind: type[Section]) -> str:
    # A mistyped key is also a missing one; the former says more.
    problem = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    where = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        return (
            f"unknown key {where} (known here: {', '.join(_fields_at(kind, problem['loc'][:-1]))})"
        )
    if problem["type"] == "missing":
        field = _fields_at(kind, problem["loc"][:-1])[problem["loc"][-1]]
        return f"the key {where} is missing: {field.description}"
    if problem["type"] in ("model_type", "model_attributes_type"):
        keys = ", ".join(_fields_at(kind, problem["loc"]))
        return f"{where or 'the file'}: expected a section with the keys {keys}"
    if problem["type"] == "value_error":
        return f"{where}: {problem['ctx']['error']}" if where else str(problem["ctx"]["error"])
    got = f"got {SHOWN.repr(problem['input'])}"
    if problem["type"] == "string_pattern_mismatch":
        field = _fields_at(kind, problem["loc"][:-1])[problem["loc"][-1]]
        return f"{where}: expected {field.description}, {got}"
    message, advice = problem["msg"], _advice(problem["type"], problem["input"])
    return f"{where}: {message[:1].lower()}{message[1:]}, {got}{advice}"


def _advice(problem: str, value: object) -> str:
    """What to do where YAML takes a value for another type than was meant."""
    if problem == "string_type" and isinstance(value, int | float | date):
        return ": write it in quotes"
    if problem in ("int_type", "float_type") and isinstance(value, str):
        if WHOLE_NUMBER.match(value) or DECIMAL_NUMBER.match(value):
            return ": write it without quotes"
        return ": write a number, such as 80"
    return ""


def _fields_at(kind: type[Section], location: tuple[int | str, ...]) -> dict[Any, FieldInfo]:
    model: Any = kind
    for key in location:
        model = model.model_fields[key].annotation
    fields: dict[Any, FieldInfo] = model.model_fields
    return fields
