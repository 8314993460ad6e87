"""JSON Schemas of the wire types.

msgspec makes those of plain types with their bounds. Structs are walked here, because msgspec's own generator stops at
`Raw` defaults and at unions of structs, which are only ever encoded.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Literal, Union

import msgspec
from msgspec import NODEFAULT, Raw, Struct, UnsetType
from msgspec.structs import FieldInfo

Schema = dict[str, Any]

REF = "#/components/schemas/"
ANY_JSON = "Json"
"""The component that stands for a client's own value."""
_NULL: Schema = {"type": "null"}


class Schemas:
    """Collects the components that the schemas it makes refer to.

    `bounds` are tighter than the structs': what the settings allow, by `field` or `Struct.field`. `rules` say what a
    struct asks beyond its fields, `shapes` what a client's own value must look like, by `Struct.field`.
    """

    def __init__(
        self,
        bounds: Mapping[str, Schema],
        rules: Mapping[type[Struct], Schema],
        shapes: Mapping[str, type[Struct]],
    ) -> None:
        self._shapes = shapes
        self.components: dict[str, Schema] = {}
        self._bounds = bounds
        self._rules = rules

    def of(self, kind: Any) -> Schema:
        """The schema of a type; of a struct a reference to its component."""
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if kind is Any:
            return {}
        if kind is Raw:
            return {"$ref": REF + ANY_JSON}
        if origin in (Union, types.UnionType):
            return self._union(arguments)
        if _is_struct(origin or kind):
            return self._struct(kind)
        if origin is Annotated:
            return self._bounded(arguments[0], arguments[1:])
        if origin is list:
            return {"type": "array", "items": self.of(arguments[0])}
        if origin is tuple:
            return {"type": "array", "items": self.of(arguments[0])} if arguments else {"type": "array", "maxItems": 0}
        if origin is dict:
            inner = self.of(arguments[1])
            return {"type": "object", "additionalProperties": inner} if inner else {"type": "object"}
        if origin is Literal and all(isinstance(word, str) for word in arguments):
            return {"type": "string", "enum": list(arguments)}
        if isinstance(kind, type) and issubclass(kind, Enum):
            return {"type": "string", "enum": [member.value for member in kind]}
        return _plain(kind)

    def fields_of(self, struct: Any) -> list[tuple[FieldInfo, Schema]]:
        """The fields of a struct, each with its schema and default."""
        return [(field, self._field(struct, field)) for field in msgspec.structs.fields(struct)]

    def takes_empty(self, struct: type[Struct]) -> bool:
        """Whether an empty object is one of these."""
        needs = any(field.required for field in msgspec.structs.fields(struct))
        return not needs and "oneOf" not in self._rules.get(struct, {})

    def _union(self, arguments: tuple[Any, ...]) -> Schema:
        members = [self.of(one) for one in arguments if one is not UnsetType]
        if len(members) == 1:
            return members[0]
        either = [member for member in members if member != _NULL]
        return _or_null(either[0]) if len(either) == 1 and len(members) == 2 else {"anyOf": members}

    def _bounded(self, inner: Any, metas: tuple[Any, ...]) -> Schema:
        """Bounds on a list or a table go beside what it holds; those of a plain type are msgspec's."""
        if typing.get_origin(inner) in (list, dict):
            hollow = list[Any] if typing.get_origin(inner) is list else dict[str, Any]
            return {**_plain(Annotated[(hollow, *metas)]), **self.of(inner)}
        return _plain(Annotated[(inner, *metas)])

    def _struct(self, struct: Any) -> Schema:
        name = _name(struct)
        if name not in self.components:
            self.components[name] = {}  # known before its fields are: a struct may hold its own kind
            self.components[name] = self._component(struct)
        return {"$ref": REF + name}

    def _component(self, struct: Any) -> Schema:
        origin = typing.get_origin(struct) or struct
        schema: Schema = {"type": "object"}
        if origin.__doc__:
            schema["description"] = " ".join(origin.__doc__.split())
        fields = self.fields_of(struct)
        # In a body null is absent wherever a field may be left out; what answers have is what they say.
        read = origin.__struct_config__.forbid_unknown_fields
        schema["properties"] = {
            field.encode_name: _or_null(inner) if read and not field.required else inner for field, inner in fields
        }
        required = [field.encode_name for field, _ in fields if field.required]
        config = origin.__struct_config__
        if config.tag_field is not None:
            schema["properties"] = {config.tag_field: {"const": config.tag}, **schema["properties"]}
            required.insert(0, config.tag_field)
        if required:
            schema["required"] = required
        if config.forbid_unknown_fields:
            schema["additionalProperties"] = False
        return schema | self._rules.get(origin, {})

    def _field(self, struct: Any, field: FieldInfo) -> Schema:
        name = field.encode_name
        origin = typing.get_origin(struct) or struct
        schema = self.of(self._shapes.get(f"{origin.__name__}.{name}", field.type))
        if name.endswith("_at") and "string" in schema.get("type", ()):
            schema = {**schema, "format": "date-time"}
        for bound in (name, f"{origin.__name__}.{name}"):
            schema = {**schema, **self._bounds.get(bound, {})}
        default = field.default
        if default is not NODEFAULT and isinstance(default, str | int | float):
            schema = {**schema, "default": default}
        return schema


def _or_null(schema: Schema) -> Schema:
    """The same or null; the schema of a client's own value takes null as it is."""
    kinds = schema.get("type")
    if schema == {"$ref": REF + ANY_JSON} or _NULL in schema.get("anyOf", ()) or "null" in (kinds or ()):
        return schema
    if not isinstance(kinds, str):
        return {"anyOf": [schema, _NULL]}
    widened = {**schema, "type": [kinds, "null"]}
    return {**widened, "enum": [*schema["enum"], None]} if "enum" in schema else widened


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def _name(struct: Any) -> str:
    """`ResultsView_AckedView` for a generic one, since a component's name may not have brackets."""
    origin = typing.get_origin(struct)
    if origin is None:
        return str(struct.__name__)
    return "_".join([origin.__name__, *(_name(argument) for argument in typing.get_args(struct))])


def _plain(kind: Any) -> Schema:
    schema = msgspec.json.schema(kind)
    if "pattern" in schema:
        schema["pattern"] = ecma(schema["pattern"])
    return schema


def ecma(pattern: str) -> str:
    """A pattern as ECMA 262 has it, which JSON Schema asks for: the end of a text is `$` there, and nothing else is."""
    return re.sub(r"\\Z", "$", pattern)
