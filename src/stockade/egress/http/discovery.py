"""The messages by which Envoy asks for certificates, as protobuf classes.

Of envoy/service/discovery/v3/discovery.proto, .../tls/v3/secret.proto and common.proto, and
envoy/config/core/v3/base.proto only the fields that are used; others are skipped when read. They
are declared here because no Python package has them without thousands of others.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

__all__ = ["SERVICE", "DecodeError", "asked_for", "told"]

SERVICE = "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets"

_SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - a type
_PACKAGE = "stockade.discovery"
_Field = descriptor_pb2.FieldDescriptorProto

# Message -> field -> (number, type, repeated). A type is a scalar's name or a message's.
_MESSAGES: dict[str, dict[str, tuple[int, str, bool]]] = {
    "DeltaDiscoveryRequest": {
        "resource_names_subscribe": (3, "string", True),
        "resource_names_unsubscribe": (4, "string", True),
    },
    "Resource": {
        "version": (1, "string", False),
        "resource": (2, ".google.protobuf.Any", False),
        "name": (3, "string", False),
    },
    "DeltaDiscoveryResponse": {
        "resources": (2, "Resource", True),
        "type_url": (4, "string", False),
        "nonce": (5, "string", False),
        "removed_resources": (6, "string", True),
    },
    "DataSource": {"inline_bytes": (2, "bytes", False)},
    "TlsCertificate": {
        "certificate_chain": (1, "DataSource", False),
        "private_key": (2, "DataSource", False),
    },
    "Secret": {"name": (1, "string", False), "tls_certificate": (2, "TlsCertificate", False)},
}
_SCALARS = {"string": _Field.TYPE_STRING, "bytes": _Field.TYPE_BYTES}


def _build() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(
        name="stockade/discovery.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[any_pb2.DESCRIPTOR.name],
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, repeated) in fields.items():
            entry = message.field.add(
                name=field,
                number=number,
                type=_SCALARS.get(kind, _Field.TYPE_MESSAGE),
                label=_Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL,
            )
            if kind not in _SCALARS:
                entry.type_name = kind if kind.startswith(".") else f".{_PACKAGE}.{kind}"
    # A pool of its own: Envoy's real messages may be loaded beside these.
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(any_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


_CLASSES = _build()


def asked_for(request: bytes) -> tuple[list[str], list[str]]:
    """Read a DeltaDiscoveryRequest: the names subscribed to and those given up.

    DecodeError if it is none.
    """
    message = _CLASSES["DeltaDiscoveryRequest"].FromString(request)
    return list(message.resource_names_subscribe), list(message.resource_names_unsubscribe)


def told(name: str, nonce: str, leaf: tuple[bytes, bytes] | None) -> bytes:
    """Write a DeltaDiscoveryResponse: ``name``'s certificate chain and key, or that it has none."""
    response = _CLASSES["DeltaDiscoveryResponse"](type_url=_SECRET, nonce=nonce)
    if leaf is None:
        response.removed_resources.append(name)
    else:
        secret = _CLASSES["Secret"](name=name)
        secret.tls_certificate.certificate_chain.inline_bytes = leaf[0]
        secret.tls_certificate.private_key.inline_bytes = leaf[1]
        resource = response.resources.add(name=name, version=nonce)
        resource.resource.type_url = _SECRET
        resource.resource.value = secret.SerializeToString()
    written: bytes = response.SerializeToString()
    return written
