"""Who made a bundle: an optional signature of its checksums, by OpenSSH's ssh-keygen.

Checksums show damage, not authorship: whoever changes a file can change its checksum too. A maker
signs with ``ssh-keygen -Y sign -f KEY -n msnmo-bundle SHA256SUMS``, which writes SHA256SUMS.sig.
A user lists the makers to be trusted in a file of allowed signers, a line each, such as
``ana@example.org namespaces="msnmo-bundle" ssh-ed25519 AAAA...``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from msnmo.core.errors import InputError, bad_input
from msnmo.core.processes import Answer, ask

SIGNATURE = "SHA256SUMS.sig"
NAMESPACE = "msnmo-bundle"
"""What the signature is for: one of another purpose is not taken for it."""
PROGRAM = "ssh-keygen"
SECONDS = 30
NOT_TRUSTED = "do not use the bundle; ask who made it for it, and for the signature and key"


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
        If there is no signature, none of an allowed signer, one that does not verify, or no
        ``ssh-keygen`` to say so.
    """
    signature = sums.with_name(SIGNATURE)
    if not signers.is_file():
        raise bad_input(signers, "a file of allowed signers", "no such file", "correct the path")
    if not signature.is_file():
        raise _not_signed(signature, "no such file")
    if shutil.which(PROGRAM) is None:
        remedy = f"install OpenSSH 8.2 or newer ({PROGRAM}), or leave out --signers"
        raise bad_input(PROGRAM, "a program that verifies signatures", "none on PATH", remedy)
    found = _ask("find-principals", signature, signers)
    if found.code != 0 or not found.said:
        raise _not_signed(signature, found.wrong or "no signer of the file")
    for name in found.said.splitlines():
        told = _ask("verify", signature, signers, "-I", name, "-n", NAMESPACE, given=sums)
        if told.code == 0:
            return name
    raise _not_signed(signature, told.wrong)


def _ask(
    what: str, signature: Path, signers: Path, *more: str, given: Path | None = None
) -> Answer:
    # whole paths: one that begins with a hyphen would be an option
    files = ("-s", str(signature.absolute()), "-f", str(signers.absolute()))
    return ask(PROGRAM, "-Y", what, *files, *more, seconds=SECONDS, given=given)


def _not_signed(signature: Path, found: str) -> InputError:
    expected = f"a signature of SHA256SUMS by an allowed signer, in the namespace {NAMESPACE}"
    return bad_input(signature, expected, found, NOT_TRUSTED)
