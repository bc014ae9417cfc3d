"""The files of an encrypted connection, looked at before the first call: each is there, and is what it should be."""

from __future__ import annotations

import ssl

from redis_state.config import Server
from redis_state.errors import ConfigError


def check_certificates(server: Server | None) -> None:
    """Raise ``ConfigError`` for a file of the TLS options that no connection could be made with. Reads the files."""
    if server is None or not server.tls_options:
        return
    options = {name: str(value) for name, value in server.tls_options}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authorities := options.get("ssl_ca_certs"):
        try:
            context.load_verify_locations(authorities)
        except OSError as error:
            raise _wrong("ssl_ca_certs", "certificates in PEM format", server, error) from None
    own, key = options.get("ssl_certfile"), options.get("ssl_keyfile")
    if key and not own:
        raise ConfigError(
            f"ssl_keyfile in the URL of {server} needs ssl_certfile, the certificate that it is the key of"
        )
    if own:
        try:
            context.load_cert_chain(own, key, password=lambda: b"")  # never ask a terminal for one
        except (OSError, ValueError) as error:
            what = "a certificate in PEM format, and ssl_keyfile its key, without a password"
            raise _wrong("ssl_certfile", what, server, error) from None


def _wrong(name: str, what: str, server: Server, error: Exception) -> ConfigError:
    why = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)  # without the path
    return ConfigError(f"{name} in the URL of {server} must name {what}: {why}")
