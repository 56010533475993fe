"""Guest images and the runtime: what a machine boots from, built once and cached.

``prepare`` is the way in: to an image by its name, and to the runtime (kernel, initramfs, agent
disk) that all machines share. ``sources/`` holds one file per kind of image; ``store`` keeps what
they build under its digest; ``erofs.pack`` also packs the files of a single run. External programs
run through ``programs``.

What is ready is found without importing what builds it: every run does the one, few do the other.
"""
