"""Who we are to a cluster, and whom we take for it: certificates and keys, read from the files that a URL names."""

from __future__ import annotations

import ssl
from typing import Any

from eventlog.engines.jetstream_url import Address
from eventlog.errors import RefusedError, reason_of


def identity_of(address: Address) -> dict[str, Any]:
    """
    Return what the client library takes by keyword; TLS 1.2 or newer, and the host's name is compared.

    Raises:
        RefusedError: a file cannot be read, or is not what it should be.
    """
    found: dict[str, Any] = {}
    try:
        for path in filter(None, (address.ca, address.cert, address.key, address.nkey, address.creds)):
            with open(path, "rb"):
                pass
        if address.is_encrypted:
            context = ssl.create_default_context(cafile=address.ca)
            if address.cert is not None:
                context.load_cert_chain(address.cert, address.key)
            found["tls"] = context
    except OSError as error:  # also ssl.SSLError
        what = error.filename or address.ca or address.cert
        raise RefusedError(f"--journal: {what}: {reason_of(error)}") from None
    if address.nkey is not None:
        found["nkeys_seed"] = address.nkey
    if address.creds is not None:
        found["user_credentials"] = address.creds
    return found
