#!/bin/busybox sh
# The first process of the machine: load the drivers that Debian's kernel has as modules, find the
# runtime disk, and hand over to the agent. Everything else is the agent's work.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs devtmpfs /dev

while read -r module; do
    # A driver for a processor feature that this CPU lacks fails to load, rightly.
    $b insmod "/modules/$module" 2>/dev/null
done </modules/order

for disk in /sys/block/vd*; do
    if [ "$($b cat "$disk/serial")" = runtime ]; then
        $b mount -t erofs -o ro,nodev,nosuid "/dev/${disk##*/}" /mnt || break
        for tree in proc sys dev; do $b mount -o move "/$tree" "/mnt/$tree"; done
        exec $b switch_root /mnt /usr/bin/python3.11 -I -S -c \
            'import sys; sys.path.append("/opt/stockade"); import stockade.guest.main as m; m.main()'
    fi
done
echo 'stockade: the runtime disk is missing or cannot be read' >/dev/console
$b poweroff -f
