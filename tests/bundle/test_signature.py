"""A bundle's signature: by an allowed signer, for bundles, of these checksums, or none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from msnmo.bundle.contents import read_bundle
from msnmo.bundle.signature import NAMESPACE, SIGNATURE, verify_signature
from msnmo.core.errors import InputError

needs_openssh = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")


def _key(folder: Path, name: str) -> Path:
    key = folder / name
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)]
    subprocess.run(command, check=True)
    return key


def _sign(key: Path, bundle: Path, namespace: str = NAMESPACE) -> None:
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", namespace]
    subprocess.run([*command, str(bundle / "SHA256SUMS")], check=True, capture_output=True)


@pytest.fixture
def signed(bundle: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of a bundle that Ana signed, and a file of signers that trusts her alone."""
    copy = shutil.copytree(bundle, tmp_path / "-bundle é")
    key = _key(tmp_path, "ana")
    _sign(key, copy)
    signers = tmp_path / "signers"
    signers.write_text(f"ana@example.org {key.with_suffix('.pub').read_text()}")
    return copy, signers


@needs_openssh
def test_a_signed_bundle_is_read_and_its_signer_told(signed: tuple[Path, Path]) -> None:
    bundle, signers = signed
    assert read_bundle(bundle, signers=signers).labels == ("MS", "NMOSD")
    assert read_bundle(bundle).labels == ("MS", "NMOSD")
    assert verify_signature(bundle / "SHA256SUMS", signers) == "ana@example.org"


@needs_openssh
def test_changed_checksums_stop(signed: tuple[Path, Path]) -> None:
    """Whoever changes a file mends its checksum; the signature they cannot mend."""
    bundle, signers = signed
    card = bundle / "MODEL_CARD.md"
    card.write_text("Safe for diagnosis.")
    done = subprocess.run(
        ["sha256sum", "MODEL_CARD.md", "bundle.json", "config.yaml", *_weights(bundle)],
        cwd=bundle,
        capture_output=True,
        text=True,
        check=True,
    )
    (bundle / "SHA256SUMS").write_text(done.stdout)
    read_bundle(bundle)
    with pytest.raises(InputError, match=SIGNATURE):
        read_bundle(bundle, signers=signers)


def _weights(bundle: Path) -> list[str]:
    return sorted(path.name for path in bundle.glob("*.safetensors"))


@needs_openssh
def test_a_signature_of_another_or_for_another_purpose_stops(
    signed: tuple[Path, Path], tmp_path: Path
) -> None:
    bundle, signers = signed
    (bundle / SIGNATURE).unlink()
    _sign(_key(tmp_path, "eve"), bundle)
    with pytest.raises(InputError, match="do not use the bundle"):
        read_bundle(bundle, signers=signers)
    (bundle / SIGNATURE).unlink()
    _sign(tmp_path / "ana", bundle, "file")
    with pytest.raises(InputError, match="do not use the bundle"):
        read_bundle(bundle, signers=signers)


@needs_openssh
@pytest.mark.parametrize("left", ["", "no signature\n", None])
def test_a_signature_that_is_none_or_gone_stops(
    signed: tuple[Path, Path], left: str | None
) -> None:
    bundle, signers = signed
    if left is None:
        (bundle / SIGNATURE).unlink()
    else:
        (bundle / SIGNATURE).write_text(left)
    with pytest.raises(InputError, match=SIGNATURE):
        read_bundle(bundle, signers=signers)


def test_what_is_missing_is_told(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="a file of allowed signers"):
        read_bundle(bundle, signers=tmp_path / "gone")
    copy = shutil.copytree(bundle, tmp_path / "bundle")
    (copy / SIGNATURE).write_text("signature")
    (tmp_path / "signers").write_text("ana@example.org ssh-ed25519 AAAA\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="install OpenSSH"):
        read_bundle(copy, signers=tmp_path / "signers")
