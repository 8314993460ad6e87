"""JSON Schemas of the wire types.

msgspec makes those of plain types with their bounds. Structs are walked here, because msgspec's own generator stops at
`Raw` defaults and at unions of structs, which are only ever encoded.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, Union

import msgspec
from msgspec import NODEFAULT, Raw, Struct, UnsetType
from msgspec.structs import FieldInfo

from oris.wire.fields import shape_of

Schema = dict[str, Any]

REF = "#/components/schemas/"
ANY_JSON = "Json"
"""The component that stands for a client's own value."""
_NULL: Schema = {"type": "null"}
_OTHER_FORMS = "The server also accepts the fields of the other form when they are null."
"""Said and not written as properties, because generators would add these fields to the class."""


class Form(NamedTuple):
    """One of the forms that a body may have: some of the fields of the struct that it is decoded to."""

    name: str
    about: str
    needs: tuple[str, ...] = ()
    """Fields that this form needs, though others do without."""
    without: tuple[str, ...] = ()
    """Fields that only other forms have."""
    rule: Mapping[str, Any] = MappingProxyType({})
    """What it asks beyond its fields."""


class Schemas:
    """Collects the components that the schemas it makes refer to.

    `bounds` are tighter than the structs': what the settings allow, by `field` or `Component.field`. `rules` say what a
    struct asks beyond its fields. A struct with `forms` has a component for each, and none itself.
    """

    def __init__(
        self,
        bounds: Mapping[str, Schema],
        rules: Mapping[type[Struct], Schema],
        forms: Mapping[type[Struct], tuple[Form, ...]] = MappingProxyType({}),
    ) -> None:
        self._forms = forms
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
            return self._annotated(arguments[0], arguments[1:])
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
        return [(field, self._field(_name(struct), field, field.type)) for field in msgspec.structs.fields(struct)]

    def takes_empty(self, struct: type[Struct]) -> bool:
        """Whether an empty object is one of these."""
        return struct not in self._forms and not any(field.required for field in msgspec.structs.fields(struct))

    def _union(self, arguments: tuple[Any, ...]) -> Schema:
        members = [self.of(one) for one in arguments if one is not UnsetType]
        if len(members) == 1:
            return members[0]
        either = [member for member in members if member != _NULL]
        return _or_null(either[0]) if len(either) == 1 and len(members) == 2 else {"anyOf": members}

    def _annotated(self, inner: Any, metas: tuple[Any, ...]) -> Schema:
        """Bounds on a list or a table go beside what it holds; those of a plain type are msgspec's."""
        told = _told(metas)
        named = next((place for place, meta in enumerate(metas, 1) if meta.title is not None), 0)
        if named:  # what comes behind the name is said of one field
            return {**self._enum(inner, _told(metas[:named])), **_told(metas[named:])}
        if typing.get_origin(inner) in (list, dict):
            hollow = list[Any] if typing.get_origin(inner) is list else dict[str, Any]
            return {**_plain(Annotated[(hollow, *metas)]), **self.of(inner)}
        if inner in (str, int, float, bool, datetime):
            return _plain(Annotated[(inner, *metas)])
        return {**self.of(shape_of(metas) or inner), **told}

    def _enum(self, inner: Any, told: Schema) -> Schema:
        """A component of its own, so that generators name it well; the same words are one, whoever uses them."""
        words = typing.get_args(inner) or told["enum"]
        schema = {"type": "string", **told, "enum": list(words)}
        name = told["title"]
        if self.components.setdefault(name, schema) != schema:
            raise ValueError(f"there are two enums {name}")
        return {"$ref": REF + name}

    def _struct(self, struct: Any) -> Schema:
        if struct in self._forms:
            forms = self._forms[struct]
            return {"oneOf": [self._named(form.name, partial(self._form, struct, form)) for form in forms]}
        return self._named(_name(struct), partial(self._component, struct))

    def _named(self, name: str, make: Callable[[], Schema]) -> Schema:
        if name not in self.components:
            self.components[name] = {}  # known before its fields are: a struct may hold its own kind
            self.components[name] = make()
        return {"$ref": REF + name}

    def _component(self, struct: Any) -> Schema:
        origin = typing.get_origin(struct) or struct
        schema = self._object(struct, self.fields_of(struct), " ".join((origin.__doc__ or "").split()))
        config = origin.__struct_config__
        if config.tag_field is not None:
            tag = {"const": config.tag, "description": "The kind of this object."}
            schema["properties"] = {config.tag_field: tag, **schema["properties"]}
            schema["required"] = [config.tag_field, *schema.get("required", [])]
        return schema | self._rules.get(origin, {})

    def _form(self, struct: Any, form: Form) -> Schema:
        found = []
        for field in msgspec.structs.fields(struct):
            needed = field.name in form.needs
            kind = _without_none(field.type) if needed else field.type
            if field.name not in form.without:
                found.append((field, self._field(form.name, field, kind)))
        about = f"{form.about} {_OTHER_FORMS}"
        return {**self._object(struct, found, about, form.needs), **form.rule}

    def _object(
        self, struct: Any, fields: list[tuple[FieldInfo, Schema]], about: str, needs: tuple[str, ...] = ()
    ) -> Schema:
        schema: Schema = {"type": "object"}
        if about:
            schema["description"] = about
        # In a body null is absent wherever a field may be left out; what answers have is what they say.
        read = (typing.get_origin(struct) or struct).__struct_config__.forbid_unknown_fields
        required = [field.encode_name for field, _ in fields if field.required or field.name in needs]
        schema["properties"] = {
            field.encode_name: _or_null(inner) if read and field.encode_name not in required else inner
            for field, inner in fields
        }
        if required:
            schema["required"] = required
        if read:
            schema["additionalProperties"] = False
        return schema

    def _field(self, component: str, field: FieldInfo, kind: Any) -> Schema:
        name = field.encode_name
        schema = self.of(kind)
        if name.endswith("_at") and "string" in schema.get("type", ()):
            schema = {**schema, "format": "date-time"}
        for bound in (name, f"{component}.{name}"):
            schema = {**schema, **self._bounds.get(bound, {})}
        default = field.default
        if default is not NODEFAULT and isinstance(default, str | int | float):
            schema = {**schema, "default": default}
        return schema


def _or_null(schema: Schema) -> Schema:
    """The same or null; the schema of a client's own value takes null as it is."""
    kinds = schema.get("type")
    if schema.get("$ref") == REF + ANY_JSON or _NULL in schema.get("anyOf", ()) or "null" in (kinds or ()):
        return schema
    if not isinstance(kinds, str):
        beside: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
        return {"anyOf": [{key: schema[key] for key in schema if key not in beside}, _NULL], **beside}
    widened = {**schema, "type": [kinds, "null"]}
    return {**widened, "enum": [*schema["enum"], None]} if "enum" in schema else widened


def _told(metas: tuple[Any, ...]) -> Schema:
    """What a document says of a type, beside its bounds; the last word counts."""
    told: Schema = {}
    for meta in metas:
        given = {"title": meta.title, "description": meta.description, **(meta.extra_json_schema or {})}
        told |= {key: value for key, value in given.items() if value is not None}
    return told


def _without_none(kind: Any) -> Any:
    """The type of a field that is given for certain."""
    kinds = [one for one in typing.get_args(kind) if one is not types.NoneType]
    return Union[tuple(kinds)] if typing.get_origin(kind) in (Union, types.UnionType) else kind  # noqa: UP007


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
