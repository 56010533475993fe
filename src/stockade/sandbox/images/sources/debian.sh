# Turns the freshly installed tree into the image. mmdebstrap runs this as root of its own
# namespaces, with the tree as $1. Outputs: IMAGE (erofs) and PACKAGES, open files by number.
set -eu
root=$1

chroot "$root" groupadd --gid 1000 agent
chroot "$root" useradd --uid 1000 --gid 1000 --create-home --shell /bin/bash agent
install --directory --owner 1000 --group 1000 --mode 755 "$root/workspace"

# Nothing of the host that builds may stay: its name, resolver, mirrors.
echo stockade > "$root/etc/hostname"
printf '127.0.0.1\tlocalhost stockade\n::1\tlocalhost\n' > "$root/etc/hosts"
: > "$root/etc/machine-id"
rm -f "$root/etc/resolv.conf" "$root/var/lib/dbus/machine-id"
rm -rf "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/* \
    "$root/etc/apt/preferences.d/stockade" "$root/etc/apt/apt.conf.d/99mmdebstrap" \
    "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap"

# Caches, logs and backups: useless in a guest, and different in every build.
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/cache/debconf/*-old \
    "$root"/var/cache/ldconfig "$root"/var/lib/dpkg/*-old "$root"/etc/*- \
    "$root"/var/lib/systemd/catalog
find "$root/var/log" -type f -delete

dpkg-query --admindir="$root/var/lib/dpkg" --show --showformat='${Package}=${Version}\n' \
    > "/proc/self/fd/$PACKAGES"

# Later file times are lowered to the epoch, hence it must not lie before any Python source, or the
# compiled file beside it would be stale.
newest=$(find "$root/usr" -name '*.py' -newermt "@$SOURCE_DATE_EPOCH" -printf '%Ts\n' | sort -n | tail -n 1)
export SOURCE_DATE_EPOCH="${newest:-$SOURCE_DATE_EPOCH}"

# The mount points stay, what is mounted there during the build does not.
mkfs.erofs $EROFS_OPTIONS --exclude-regex='^(dev|proc|sys|run|tmp)/' "/proc/self/fd/$IMAGE" "$root"
