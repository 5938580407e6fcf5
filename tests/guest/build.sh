#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Makes the small guest that the tests boot, migrate and send packets to:
# Debian's cloud kernel and a busybox initramfs with virtio-net, a UDP echo
# server and a program that dirties memory.  Nothing is installed.
#
#   build.sh [OUTDIR]     (default: $TAPFERRY_CACHE, else build/guest)
#
# leaves
#   OUTDIR/vmlinuz, OUTDIR/initrd.gz        what the tests boot
#   OUTDIR/kernel/boot/vmlinuz-VERSION      the kernel package, unpacked
#   OUTDIR/kernel/lib/modules/VERSION/
#   OUTDIR/kernel-version                   VERSION
#
# A call with everything up to date returns at once; concurrent calls wait
# for each other.  TAPFERRY_GUEST_KERNEL names another kernel package than
# the one that linux-image-cloud-amd64 depends on.
#
# Needs (apt): busybox-static cpio gcc libc6-dev gzip xz-utils util-linux,
# and an "apt-get update" that has been run.
#
# Exit status: 0 done, 77 this machine can't build it (a tool or the kernel
# package is not to be had), 1 anything else.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
out=${1:-${TAPFERRY_CACHE:-$top/build/guest}}

# The order is the order of loading.
modules=(
    drivers/virtio/virtio_ring
    drivers/virtio/virtio
    drivers/virtio/virtio_pci_modern_dev
    drivers/virtio/virtio_pci_legacy_dev
    drivers/virtio/virtio_pci
    net/core/failover
    drivers/net/net_failover
    drivers/net/virtio_net
)

cannot() {
    echo "build.sh: $*" >&2
    exit 77
}

# What the outputs are made from; other content means another build.
inputs() {
    {
        echo "kernel ${TAPFERRY_GUEST_KERNEL:-}"
        sha256sum < "$here/build.sh"
        sha256sum < "$here/init"
        sha256sum < "$here/udpecho.c"
        sha256sum < "$here/dirty.c"
    } | sha256sum
}

up_to_date() {
    [ -s "$out/vmlinuz" ] && [ -s "$out/initrd.gz" ] &&
        [ -d "$out/kernel/lib/modules" ] &&
        [ "$(cat "$out/stamp" 2>/dev/null)" = "$want" ]
}

find_tools() {
    local tool
    for tool in gcc cpio gzip dpkg apt-get apt-cache; do
        command -v "$tool" >/dev/null || cannot "$tool is not installed"
    done
    busybox=$(command -v busybox) || cannot "busybox is not installed"
    if ldd "$busybox" >/dev/null 2>&1; then
        cannot "$busybox is not static: install busybox-static"
    fi
}

kernel_package() {
    if [ -n "${TAPFERRY_GUEST_KERNEL:-}" ]; then
        echo "$TAPFERRY_GUEST_KERNEL"
        return
    fi
    apt-cache depends linux-image-cloud-amd64 2>/dev/null |
        awk '/Depends: linux-image-/ { print $2; exit }'
}

# Unpack the kernel package into OUTDIR/kernel, unless it is there.
fetch_kernel() {
    local package version
    package=$(kernel_package)
    if [ -s "$out/kernel-version" ] && [ -d "$out/kernel/lib/modules" ]; then
        version=$(cat "$out/kernel-version")
        # Without apt's lists the kernel that is there has to do.
        if [ -z "$package" ] || [ "$package" = "linux-image-$version" ]; then
            return
        fi
    fi
    if [ -z "$package" ]; then
        cannot "no kernel package known: run apt-get update"
    fi
    # APT::Sandbox: the directory need not be readable by the user _apt.
    (cd "$work" &&
        apt-get -q -o APT::Sandbox::User=root download "$package") ||
        cannot "$package can't be downloaded"
    dpkg -x "$work"/linux-image-*.deb "$work/kernel"
    # A merged-/usr package keeps its modules below usr/.
    if [ ! -d "$work/kernel/lib/modules" ]; then
        mkdir -p "$work/kernel/lib"
        mv "$work/kernel/usr/lib/modules" "$work/kernel/lib/modules"
    fi
    rm -rf "$out/kernel"
    mv "$work/kernel" "$out/kernel"
    basename "$out/kernel/lib/modules"/* > "$out/kernel-version"
}

# Copy one module, unpacked, into the initramfs.
add_module() {
    local file=$out/kernel/lib/modules/$version/kernel/$1.ko
    local copy
    copy=$root/mod/$(basename "$1").ko
    if [ -e "$file" ]; then
        cp "$file" "$copy"
    elif [ -e "$file.xz" ]; then
        xz -dc "$file.xz" > "$copy"
    else
        echo "build.sh: no module $1 in kernel $version" >&2
        return 1
    fi
}

build_initrd() {
    local version root=$work/root module
    version=$(cat "$out/kernel-version")
    mkdir -p "$root"/{bin,dev,proc,sys,mod}
    cp -L "$busybox" "$root/bin/busybox"
    gcc -std=gnu17 -O2 -Wall -Wextra -static \
        -o "$root/bin/udpecho" "$here/udpecho.c"
    gcc -std=gnu17 -O2 -Wall -Wextra -static \
        -o "$root/bin/dirty" "$here/dirty.c"
    for module in "${modules[@]}"; do
        add_module "$module"
        basename "$module" >> "$root/mod/order"
    done
    install -m 755 "$here/init" "$root/init"
    # Without root there is no console node; the guest boots all the same.
    mknod -m 600 "$root/dev/console" c 5 1 2>/dev/null || true
    (cd "$root" && find . | cpio -o -H newc --quiet -R 0:0 | gzip -1n) \
        > "$work/initrd.gz"
    cp "$out/kernel/boot/vmlinuz-$version" "$work/vmlinuz"
    mv -f "$work/vmlinuz" "$out/vmlinuz"
    mv -f "$work/initrd.gz" "$out/initrd.gz"
}

want=$(inputs)
if up_to_date; then
    exit 0
fi
mkdir -p "$out"
out=$(cd "$out" && pwd)
exec 9> "$out/lock"
flock 9
if up_to_date; then
    exit 0
fi

find_tools
rm -rf "$out"/tmp.*
work=$(mktemp -d "$out/tmp.XXXXXX")
trap 'rm -rf "$work"' EXIT
rm -f "$out/stamp"
fetch_kernel
build_initrd
echo "$want" > "$out/stamp"
