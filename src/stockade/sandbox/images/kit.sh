# Collects what the runtime needs from unpacked packages. mmdebstrap runs this with the tree as $1.
# Outputs: FILES (tar) and PACKAGES, open files by number.
set -eu
root=$1

# Unpacked packages are not known to dpkg; the archives' names say what they are.
for archive in "$root"/var/cache/apt/archives/*.deb; do
    name=${archive##*/}
    version=${name#*_}
    echo "${name%%_*}=${version%_*}"
done | sed 's/%3a/:/g' > "/proc/self/fd/$PACKAGES"

cd "$root"
tar --create --file "/proc/self/fd/$FILES" \
    --exclude='__pycache__' \
    boot/vmlinuz-* lib/modules/*/kernel bin/busybox \
    lib64 lib/x86_64-linux-gnu usr/lib/x86_64-linux-gnu usr/bin/python3.11 usr/lib/python3.11
