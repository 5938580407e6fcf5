#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Makes the outer machine: a guest with Debian's cloud kernel and its real
# vhost-net, in which QEMU, tapferryd and the laboratory run.
#
#   build.sh [OUTDIR]     (default: build/vhost)
#
# leaves
#   OUTDIR/vmlinuz, OUTDIR/initrd.gz   its kernel, its modules and first init
#   OUTDIR/base.ext4                   QEMU, Python and tools with libraries
#   OUTDIR/payload.ext4                tapferryd, tapferry, tests/lab,
#                                      the inner guest
#
# The first two steps are repeated only when something in them has changed,
# the payload is made anew by every call.  Nothing is mounted or installed;
# concurrent calls wait for each other.
#
# TAPFERRY_BUILD, TAPFERRYD, TAPFERRY_CACHE and UDPSTREAM say where things
# are, as in tests/lab/paths.py.
#
# Needs (apt): qemu-system-x86 seabios busybox-static e2fsprogs cpio gzip
# xz-utils iproute2 iputils-ping python3, and what tests/guest/build.sh needs.
#
# Exit status: 0 done, 77 this machine can't build it (a tool or the kernel
# package is not to be had), 1 anything else.

set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tests=$(dirname "$here")
build=${TAPFERRY_BUILD:-$(dirname "$tests")/build}
guest=${TAPFERRY_CACHE:-$build/guest}
daemon=${TAPFERRYD:-$build/tapferryd}
tool=${TAPFERRY:-$build/tapferry}
udpstream=${UDPSTREAM:-$build/lab/udpstream}
out=${1:-$build/vhost}

python=$(readlink -f /usr/bin/python3)
programs=(bash busybox ip ping qemu-system-x86_64)
firmware=(
    /usr/share/qemu/kvmvapic.bin
    /usr/share/qemu/linuxboot_dma.bin
    /usr/share/seabios/bios-256k.bin
)

# All that the outer machine loads, in the order of loading, with options.
# npt=0: with nested paging, which QEMU 7.2 emulates not quite right, inner
# guests have been seen to triple-fault when a migration starts.
modules=(
    drivers/virtio/virtio_ring
    drivers/virtio/virtio
    drivers/virtio/virtio_pci_modern_dev
    drivers/virtio/virtio_pci_legacy_dev
    drivers/virtio/virtio_pci
    drivers/block/virtio_blk
    drivers/net/tun
    drivers/net/tap
    drivers/vhost/vhost_iotlb
    drivers/vhost/vhost
    drivers/vhost/vhost_net
    drivers/net/veth
    net/llc/llc
    net/802/stp
    net/bridge/bridge
    virt/lib/irqbypass
    arch/x86/kvm/kvm
    "arch/x86/kvm/kvm-amd npt=0"
)

cannot() {
    echo "build.sh: $*" >&2
    exit 77
}

find_tools() {
    local tool file
    for tool in "${programs[@]}" mke2fs ldd cpio gzip "$python"; do
        command -v "$tool" >/dev/null || cannot "$tool is not installed"
    done
    for file in "${firmware[@]}"; do
        [ -e "$file" ] || cannot "$file is missing: install seabios and" \
            "qemu-system-data"
    done
}

# What the kernel, the initramfs and the base are made from.
inputs() {
    {
        sha256sum < "$here/build.sh"
        sha256sum < "$here/init-ram"
        sha256sum < "$here/init"
        cat "$guest/kernel-version"
        stat -Lc '%n %s %Y' "$python" "${firmware[@]}" \
            "$(ldconfig -p | awk '$1 == "libc.so.6" { print $NF; exit }')"
        for program in "${programs[@]}"; do
            stat -Lc '%n %s %Y' "$(command -v "$program")"
        done
    } | sha256sum
}

up_to_date() {
    local file
    for file in vmlinuz initrd.gz base.ext4 base.libraries; do
        [ -s "$out/$file" ] || return 1
    done
    [ "$(cat "$out/stamp" 2>/dev/null)" = "$want" ]
}

# libraries FILE…: the shared libraries these need, each once.
libraries() {
    local file
    for file in "$@"; do
        ldd "$file" 2>/dev/null || true
    done | grep -oE '/[^ ]+' | sort -u
}

# add ROOT FILE…: copy files to the place they have here.
add() {
    local root=$1 file
    shift
    for file in "$@"; do
        mkdir -p "$root$(dirname "$file")"
        cp -L "$file" "$root$file"
    done
}

# filesystem DIRECTORY IMAGE: a read-only ext4, just large enough.
filesystem() {
    local kib
    kib=$(du -sk --apparent-size "$1" | cut -f1)
    rm -f "$2"
    truncate -s "$((kib + kib / 8 + 4096))K" "$2"
    mke2fs -q -F -t ext4 -O ^has_journal -E root_owner=0:0 -m 0 -d "$1" "$2"
}

build_initrd() {
    local root=$work/initrd version tree module path file name
    version=$(cat "$guest/kernel-version")
    tree=$guest/kernel/lib/modules/$version
    mkdir -p "$root"/{bin,dev,modules,root}
    add "$root" "$(command -v busybox)"
    ln -s "$(command -v busybox)" "$root/bin/sh"
    for module in "${modules[@]}"; do
        path=${module%% *}
        file=$tree/kernel/$path.ko
        name=$(basename "$file")
        if [ -e "$file" ]; then
            cp "$file" "$root/modules/$name"
        elif [ -e "$file.xz" ]; then
            xz -dc "$file.xz" > "$root/modules/$name"
        elif grep -qx "kernel/$path.ko" "$tree/modules.builtin"; then
            continue
        else
            echo "build.sh: no module $path in kernel $version" >&2
            return 1
        fi
        echo "$name${module#"$path"}" >> "$root/modules/order"
    done
    install -m 755 "$here/init-ram" "$root/init"
    mknod -m 600 "$root/dev/console" c 5 1 2>/dev/null || true
    (cd "$root" && find . | cpio -o -H newc --quiet -R 0:0 | gzip -1n) \
        > "$work/initrd.gz"
    cp "$guest/kernel/boot/vmlinuz-$version" "$work/vmlinuz"
}

build_base() {
    local root=$work/base program applet libs
    mkdir -p "$root"/{dev,etc,opt/tapferry,proc,run,sys,tmp} \
        "$root"/usr/{bin,sbin,lib,lib64}
    for program in bin sbin lib lib64; do
        ln -s "usr/$program" "$root/$program"
    done
    for program in "${programs[@]}"; do
        add "$root" "$(command -v "$program")"
    done
    for applet in $(busybox --list); do
        if [ ! -e "$root/usr/bin/$applet" ] &&
            [ ! -e "$root/usr/sbin/$applet" ]; then
            ln -s "$(command -v busybox)" "$root/usr/bin/$applet"
        fi
    done
    add "$root" "$python" "${firmware[@]}"
    ln -sf "$(basename "$python")" "$root/usr/bin/python3"
    cp -a "/usr/lib/$(basename "$python")" "$root/usr/lib/"
    rm -rf "$root/usr/lib/$(basename "$python")"/{config-*,ensurepip} \
        "$root/usr/lib/$(basename "$python")"/{idlelib,lib2to3,test,tkinter}
    libraries "$root"/usr/bin/* "$root"/usr/sbin/* \
        "$root/usr/lib/$(basename "$python")"/lib-dynload/*.so \
        > "$work/base.libraries"
    mapfile -t libs < "$work/base.libraries"
    add "$root" "${libs[@]}"
    echo 'root:x:0:0:root:/root:/bin/sh' > "$root/etc/passwd"
    echo 'root:x:0:' > "$root/etc/group"
    install -m 755 "$here/init" "$root/init"
    filesystem "$root" "$work/base.ext4"
}

# The tree as it is here, as far as the laboratory needs it.
build_payload() {
    local root=$work/payload libs
    mkdir -p "$root"/{lib,tests,build/guest,build/lab}
    cp -a "$tests/lab" "$tests/vhost" "$root/tests/"
    find "$root/tests" -name '*.c' -delete
    find "$root/tests" -name __pycache__ -prune -exec rm -rf {} +
    # Nobody can write them there, and compiling is slow when emulated.
    "$python" -m compileall -q --invalidation-mode unchecked-hash \
        "$root/tests"
    cp -L "$guest/vmlinuz" "$guest/initrd.gz" "$root/build/guest/"
    cp -L "$udpstream" "$root/build/lab/"
    if [ -e "$daemon" ]; then
        cp -L "$daemon" "$root/build/tapferryd"
        cp -L "$tool" "$root/build/tapferry"
        libraries "$daemon" "$tool" "$udpstream" |
            grep -vxFf "$out/base.libraries" > "$work/libraries" || true
        mapfile -t libs < "$work/libraries"
        [ ${#libs[@]} = 0 ] || cp -L "${libs[@]}" "$root/lib/"
    fi
    filesystem "$root" "$work/payload.ext4"
    mv -f "$work/payload.ext4" "$out/payload.ext4"
}

# The inner guest and the stream's client.
PYTHONPATH=$tests /usr/bin/python3 -c '
import sys
from lab import errors, paths
try:
    paths.Paths().prepare()
except errors.LabError as error:
    print(f"build.sh: {error}", file=sys.stderr)
    sys.exit(77 if isinstance(error, errors.Unavailable) else 1)'

find_tools
mkdir -p "$out"
out=$(cd "$out" && pwd)
exec 9> "$out/lock"
flock 9
rm -rf "$out"/tmp.*
work=$(mktemp -d "$out/tmp.XXXXXX")
trap 'rm -rf "$work"' EXIT
want=$(inputs)
if ! up_to_date; then
    rm -f "$out/stamp"
    build_initrd
    build_base
    mv -f "$work"/{vmlinuz,initrd.gz,base.ext4,base.libraries} "$out/"
    echo "$want" > "$out/stamp"
fi
build_payload
