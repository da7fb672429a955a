# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# A Debian of another release in a directory, for try-libfuse and try-system. Everything is
# mounted in a mount namespace of its own, so nothing stays behind but the directory.
#
#   MIRROR   where its packages come from (where this system's come from)

# What this system's own apt uses. The security archive has no whole release.
# shellcheck disable=SC2016 # apt-get's
system_mirror=${MIRROR:-$(apt-get indextargets --format '$(SITE) $(ORIGIN)-$(LABEL)' 'Created-By: Packages' |
    awk '$2 == "Debian-Debian" && !site { site = $1 } END { print site }')}

# For the first line of a script: does nothing in the namespace, and else starts the script there.
system_own_namespace() { # script arguments
    [ "$(id -u)" = 0 ] || { echo "${1##*/}: needs root" >&2 && exit 1; }
    [ "${SYSTEM_INSIDE-}" = yes ] || exec env SYSTEM_INSIDE=yes unshare --mount "$@"
}

# Makes it where it is not there yet, and mounts what programs expect.
system_open() { # suite directory
    local script=/usr/share/debootstrap/scripts/$1 fs
    mkdir -p "$2"
    system=$(cd "$2" && pwd)
    if [ ! -e "$system/etc/made" ]; then
        command -v debootstrap >/dev/null || { echo "debootstrap is missing" >&2 && exit 1; }
        [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid # an older debootstrap
        [ -z "$(ls -A "$system" 2>/dev/null)" ] || { echo "'$system' is not empty" >&2 && exit 1; }
        debootstrap --variant=minbase "$1" "$system" "$system_mirror" "$script"
        cp /etc/resolv.conf "$system/etc/resolv.conf"
        printf 'deb %s %s main\ndeb-src %s %s main\n' "$system_mirror" "$1" "$system_mirror" "$1" \
            >"$system/etc/apt/sources.list"
        # The Release file of a mirror that stands still has expired.
        echo 'Acquire::Check-Valid-Until "false";' >"$system/etc/apt/apt.conf.d/mosaicfs"
        : >"$system/etc/made"
    fi
    for fs in dev proc sys; do
        mount --rbind "/$fs" "$system/$fs"
    done
    mount -t tmpfs tmpfs "$system/tmp"
}

system_run() { # [NAME=VALUE...] command...
    chroot "$system" env -i HOME=/root LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}
