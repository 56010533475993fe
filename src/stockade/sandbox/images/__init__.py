"""Guest images and the runtime: what a machine boots from, built once and cached.

    image = await prepare("debian-python", progress)     # root.erofs and its manifest
    runtime = await prepare_runtime(progress)            # kernel, initramfs, agent disk

``sources/`` holds one file per kind of image; ``store`` keeps what they build under its digest;
``erofs.pack`` also packs the files of a single run. External programs run through ``programs``.
"""

from stockade.sandbox.images.erofs import pack
from stockade.sandbox.images.manifest import Drift, ImageFacts, ImageManifest
from stockade.sandbox.images.prepare import prepare, prepare_runtime
from stockade.sandbox.images.progress import Progress, Silent
from stockade.sandbox.images.resolve import parse_image_ref
from stockade.sandbox.images.runtime import Runtime
from stockade.sandbox.images.store import Image, ImageStore

__all__ = [
    "Drift",
    "Image",
    "ImageFacts",
    "ImageManifest",
    "ImageStore",
    "Progress",
    "Runtime",
    "Silent",
    "pack",
    "parse_image_ref",
    "prepare",
    "prepare_runtime",
]
