"""Who made a bundle: an optional signature of its checksums, by OpenSSH's ssh-keygen.

Checksums show damage, not authorship: a person who changes a file can change its checksum too. A
maker signs with ``ssh-keygen -Y sign -f KEY -n msnmo-bundle SHA256SUMS``, which writes
SHA256SUMS.sig. A user lists trusted makers in a file of allowed signers, one per line, such as
``ana@example.org namespaces="msnmo-bundle" ssh-ed25519 AAAA...``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from msnmo.core.errors import InputError, bad_input
from msnmo.core.processes import Answer, ask

SIGNATURE = "SHA256SUMS.sig"
NAMESPACE = "msnmo-bundle"
"""The purpose of the signature. A signature for another purpose is not accepted."""
PROGRAM = "ssh-keygen"
SECONDS = 30
NOT_TRUSTED = "do not use the bundle; ask its maker for the bundle, the signature and the key"


def verify_signature(sums: Path, signers: Path) -> str:
    """Return the name of the allowed signer who has signed a bundle's checksums.

    Parameters
    ----------
    sums : Path
        SHA256SUMS; its signature lies beside it.
    signers : Path
        OpenSSH's file of allowed signers.

    Raises
    ------
    InputError
        If there is no signature, none by an allowed signer, one that cannot be verified, or no
        ``ssh-keygen`` to verify it.
    """
    signature = sums.with_name(SIGNATURE)
    if not signers.is_file():
        raise bad_input(signers, "a file of allowed signers", "no such file", "correct the path")
    if not signature.is_file():
        raise _not_signed(signature, "no such file")
    if shutil.which(PROGRAM) is None:
        remedy = f"install OpenSSH 8.2 or newer ({PROGRAM}), or remove --signers"
        raise bad_input(PROGRAM, "a program that verifies signatures", "none on PATH", remedy)
    found = _ask("find-principals", signature, signers)
    if found.code != 0 or not found.said:
        raise _not_signed(signature, found.wrong or "no signer in the file")
    for name in found.said.splitlines():
        told = _ask("verify", signature, signers, "-I", name, "-n", NAMESPACE, given=sums)
        if told.code == 0:
            return name
    raise _not_signed(signature, told.wrong)


def _ask(
    what: str, signature: Path, signers: Path, *more: str, given: Path | None = None
) -> Answer:
    # absolute paths: a path that begins with a hyphen would be an option
    files = ("-s", str(signature.absolute()), "-f", str(signers.absolute()))
    return ask(PROGRAM, "-Y", what, *files, *more, seconds=SECONDS, given=given)


def _not_signed(signature: Path, found: str) -> InputError:
    expected = f"a signature of SHA256SUMS by an allowed signer, in the namespace {NAMESPACE}"
    return bad_input(signature, expected, found, NOT_TRUSTED)
