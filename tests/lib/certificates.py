# SPDX-License-Identifier: BSD-2-Clause
"""Keys and certificates for TLS, under the names that QEMU gives them; made
by GnuTLS's certtool."""

import secrets
import subprocess
from pathlib import Path
from typing import Sequence

_CA = ("cn = a test's authority", "ca", "cert_signing_key", "crl_signing_key")
_LASTS = "expiration_days = 2"
EXPIRED = ('activation_date = "2020-01-01 00:00:00"',
           'expiration_date = "2020-02-01 00:00:00"')
LOCAL = ("dns_name = localhost", "ip_address = 127.0.0.1")


def _certtool(template: Sequence[str], output: Path, *options: str) -> None:
    path = output.with_suffix(".cfg")
    path.write_text("\n".join(template) + "\n", encoding="ascii")
    subprocess.run(["certtool", *options, "--template", str(path),
                    "--outfile", str(output)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    path.unlink()


class Authority:
    """Signs certificates; its own lies at ``cert``."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self.cert = directory / "ca.pem"
        self._key = _make_key(directory / "ca-key.pem")
        _certtool((*_CA, _LASTS), self.cert, "--generate-self-signed",
                  "--load-privkey", str(self._key))

    def issue(self, directory: Path, role: str, names: Sequence[str] = LOCAL,
              lasts: Sequence[str] = (_LASTS,)) -> Path:
        """A directory with the credentials of a server or a client, for
        several of them if called again."""
        directory.mkdir(exist_ok=True)
        key = _make_key(directory / f"{role}-key.pem")
        cert = directory / f"{role}-cert.pem"
        _certtool((f"cn = {role}", "signing_key", f"tls_www_{role}",
                   *names, *lasts),
                  cert, "--generate-certificate", "--load-privkey", str(key),
                  *self._signer())
        self.trust(directory)
        return directory

    def trust(self, directory: Path) -> Path:
        """Make this authority the one that is trusted there."""
        directory.mkdir(exist_ok=True)
        (directory / "ca-cert.pem").write_bytes(self.cert.read_bytes())
        return directory

    def revoke(self, cert: Path, directory: Path) -> None:
        """Put a list of what is revoked beside the credentials there."""
        _certtool(("crl_next_update = 2", "crl_number = 1"),
                  directory / "ca-crl.pem", "--generate-crl",
                  "--load-certificate", str(cert), *self._signer())

    def _signer(self) -> Sequence[str]:
        return ("--load-ca-certificate", str(self.cert),
                "--load-ca-privkey", str(self._key))


def _make_key(path: Path) -> Path:
    subprocess.run(["certtool", "--generate-privkey", "--key-type", "ecdsa",
                    "--outfile", str(path)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path


def make_psk(directory: Path, *users: str) -> Path:
    """A directory with a key for each of these users."""
    directory.mkdir()
    (directory / "keys.psk").write_text("".join(
        f"{user}:{secrets.token_hex(32)}\n" for user in users),
        encoding="ascii")
    return directory
