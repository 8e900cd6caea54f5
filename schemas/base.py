"""Base model of every event and body.

Strict and closed where we produce: a model built in code refuses unknown fields and wrong types. Tolerant where we
consume: `decode` ignores fields that a newer producer may have added and coerces what JSON cannot express.
"""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

# An identifier that may become part of a file name or a key: no separators, no dot at the start.
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
EpochMs = Annotated[int, Field(ge=0, le=2**53)]
Seq = Annotated[int, Field(ge=0, le=2**32 - 1)]


class Contract(BaseModel):
    """A value of the contract: immutable, closed, strict."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, ser_json_inf_nan="null")

    def encode(self) -> bytes:
        """JSON as UTF-8 bytes."""
        return self.__pydantic_serializer__.to_json(self)

    @classmethod
    def decode(cls, value: bytes | str) -> Self:
        """Read JSON tolerantly; raises `pydantic.ValidationError` when a needed field is missing or wrong."""
        return cls.model_validate_json(value, strict=False, extra="ignore")


def wrong_fields(error: ValidationError) -> str:
    """What failed validation, as `field: reason; field: reason`. Says nothing of the values: they may be people's."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'value'}: {each['msg']}" for each in found)
