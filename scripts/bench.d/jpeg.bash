# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=bash
#
# The program of this repository, with tiles that are pictures: of 100,000 bytes,
# as photos of telephones are when a service has made them smaller.

# shellcheck source=scripts/bench.d/mosaicfs.bash
. "${BASH_SOURCE[0]%/*}/mosaicfs.bash"

# 8 by 8 grey pixels, made by cjpeg.
picture() {
    base64 -d <<'PICTURE'
/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQ
c1tdhbWGkJ6jq62rZ4C8ybqmx5moq6T/wAALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAABP/EABcQAAMB
AAAAAAAAAAAAAAAAAAACBWL/2gAIAQEAAD8AMknJ/9k=
PICTURE
}

# cover LENGTH: the picture with comments (ITU-T T.81, B.2.4.5) behind its beginning.
cover() {
    local left=$(($1 - $(picture | wc -c))) n
    picture | head -c 2
    while [ "$left" -gt 0 ]; do
        n=$((left < 60000 ? left : 60000))
        # shellcheck disable=SC2059 # it is a format
        printf "\\xff\\xfe\\x$(printf %02x $(((n - 2) / 256)))\\x$(printf %02x $(((n - 2) % 256)))"
        head -c $((n - 4)) /dev/zero
        left=$((left - n))
    done
    picture | tail -c +3
}

drive_create() {
    local tile=()
    [ "$1" -ge $((100 << 30)) ] || tile=(-s 8M)
    cover 100000 >cover.jpg
    mosaicfs create --cover cover.jpg --total "$1" "${tile[@]}" drive.img
}

# Tiles that are made in no time would be damaged ones: it is mounted empty.
drive_tiles() { drive_create $(($1 << 20)); }
