#!/usr/bin/env bats
# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck disable=SC2154 # T, KiB and others come from common.bash
#
# Sparse bundles of macOS: those of a Mac, made here from the written format, and
# our own, which a Mac would take.

load common

B=disk.sparsebundle

setup() {
    need plist fuse
    begin
}

# --- a Mac's bundle --------------------------------------------------------------

# plist SIZE BAND-SIZE [VERSION]: as a Mac writes it, on stdout.
plist() {
    printf '%s\n' \
        '<?xml version="1.0" encoding="UTF-8"?>' \
        '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">' \
        '<plist version="1.0">' '<dict>' \
        $'\t<key>CFBundleInfoDictionaryVersion</key>' $'\t<string>6.0</string>' \
        $'\t<key>band-size</key>' $'\t<integer>'"$2"'</integer>' \
        $'\t<key>bundle-backingstore-version</key>' $'\t<integer>'"${3:-1}"'</integer>' \
        $'\t<key>diskimage-bundle-type</key>' $'\t<string>com.apple.diskimage.sparsebundle</string>' \
        $'\t<key>size</key>' $'\t<integer>'"$1"'</integer>' \
        '</dict>' '</plist>'
}

# bundle CONTENT BAND-SIZE [VERSION]: $B holds the bytes of the file CONTENT, cut into
# bands; those of zeros are left out, and each ends where its data ends.
bundle() {
    local size
    size=$(stat -c %s "$1")
    mkdir -p $B/bands
    : >$B/token
    plist "$size" "$2" "${3:-1}" | tee $B/Info.plist >$B/Info.bckup
    python3 - "$1" "$2" $B/bands <<'END'
import sys
content, size, bands = open(sys.argv[1], 'rb'), int(sys.argv[2]), sys.argv[3]
band = 0
while data := content.read(size):
    data = data.rstrip(b'\0')
    if data:
        with open(f'{bands}/{band:x}', 'wb') as file:
            file.write(data)
    band += 1
END
}

# content: 40 MiB and a bit, mostly zeros, in the file content.
content() {
    rm -f content
    truncate -s $((40 * MiB + 1536)) content
    random $((3 * MiB)) | put $((5 * MiB + 512)) content
    random 4096 | put $((33 * MiB)) content
    random 100 | put $((40 * MiB + 1000)) content
}

# names FOLDER: what is in it, in a line; bands: of the bands.
names() {
    (cd "$1" && printf '%s ' *)
}

bands() {
    names $B/bands
}

# What is a Mac's and not for us to change.
mac_files() {
    sha256sum $B/Info.plist $B/Info.bckup $B/token
}

@test "a bundle of a Mac is read, written and left as a Mac's" {
    local version
    for version in 1 2; do
        content
        bundle content $MiB $version
        same bands '21 28 5 6 7 8 ' "$(bands)"
        mac_files >before
        same size $((40 * MiB + 1536)) "$(info size $B)"
        same 'band size' $MiB "$(info tile_size $B)"
        same format null "$(info format $B)"
        mount_at $B disk
        cmp disk content
        random $((2 * MiB + 700)) >piece
        put $((30 * MiB - 300)) disk <piece
        put $((30 * MiB - 300)) content <piece
        put $((40 * MiB + 512)) disk <<<end
        put $((40 * MiB + 512)) content <<<end
        fallocate -p -o $((5 * MiB)) -l $((2 * MiB)) disk
        fallocate -p -o $((5 * MiB)) -l $((2 * MiB)) content
        cmp disk content
        umount_at disk
        same bands '1d 1e 1f 20 21 28 7 8 ' "$(bands)"
        mac_files | cmp before -
        same 'band 1d' 300 "$(tail -c 300 $B/bands/1d | wc -c)"
        tail -c 300 $B/bands/1d | cmp -n 300 - piece
        mount_at $B disk
        cmp disk content
        umount_at disk
        # A Mac's view of it: the bands, end to end.
        truncate -s 0 again && truncate -s $((40 * MiB + 1536)) again
        for n in $(bands); do
            dd if=$B/bands/"$n" of=again bs=$MiB seek=$((16#$n)) conv=notrunc status=none
        done
        cmp again content
        rm -rf $B
    done
}

@test "a band is never longer than the Mac may expect" {
    truncate -s $((3 * MiB + 512)) content
    bundle content $MiB
    mount_at $B disk
    random $((3 * MiB + 512)) >content
    put 0 disk <content
    umount_at disk
    same bands '0 1 2 3 ' "$(bands)"
    same lengths "$MiB $MiB $MiB 512 " "$(stat -c %s $B/bands/* | tr '\n' ' ')"
}

@test "mapped/: what a Mac noted about a band goes before the band changes" {
    content
    bundle content $MiB 2
    mkdir $B/mapped
    for n in $(bands); do
        head -c 32 /dev/urandom >$B/mapped/"$n"
    done
    mount_at $B disk
    cmp disk content
    same maps '21 28 5 6 7 8 ' "$(names $B/mapped)"
    random 4096 | put $((7 * MiB)) disk
    fallocate -p -o $((6 * MiB)) -l $MiB disk
    same maps '21 28 5 8 ' "$(names $B/mapped)"
    umount_at disk
    mount_at $B disk -r
    umount_at disk
    same maps '21 28 5 8 ' "$(names $B/mapped)"
}

# --- our own ------------------------------------------------------------------------

@test "create: what a Mac writes, and nothing else" {
    try 0 mosaicfs create --layout sparsebundle --total 100G $B
    printed "created '$B': 100 GiB in 12800 tiles of 8 MiB"
    refuse test -s err
    same files 'Info.bckup Info.plist bands token ' "$(names $B)"
    plist $((100 * GiB)) $((8 * MiB)) | cmp - $B/Info.plist
    cmp $B/Info.plist $B/Info.bckup
    refuse test -s $B/token
    less 'what a Mac reads of it' "$(stat -c %s $B/Info.plist)" 1025
}

@test "create: another reader of property lists finds the same keys and types" {
    mosaicfs create --layout sparsebundle -n 3 -s 2M $B
    plist $((6 * MiB)) $((2 * MiB)) >mac.plist
    python3 - mac.plist $B/Info.plist $B/Info.bckup <<'END'
import plistlib, sys
mac, plist, bckup = (plistlib.load(open(name, 'rb')) for name in sys.argv[1:])
assert mac == plist == bckup, (mac, plist, bckup)
assert {k: type(v) for k, v in mac.items()} == {k: type(v) for k, v in plist.items()}
assert list(mac) == list(plist)
END
}

@test "create: a name or a band size that a Mac would not take" {
    try 0 mosaicfs create --layout sparsebundle -n 3 -s 1M drive.img/
    said "the name of 'drive.img/' does not end in '.sparsebundle'"
    try 2 mosaicfs create --layout sparsebundle -n 3 -s 512K $B
    said 'a Mac accepts 1 MiB to 8 GiB'
    try 2 mosaicfs create --layout sparsebundle -n 3 -s 16G $B
    try 2 mosaicfs create --layout sparsebundle -n 3 -s 1049088 $B
    said 'multiples of 4096 bytes'
    refuse test -e $B
    try 0 mosaicfs create --layout sparsebundle --total 100T $B
    same 'band size, as a Mac' $((8 * MiB)) "$(info tile_size $B)"
    rm -r $B
    try 0 mosaicfs create --layout sparsebundle --total 200T $B
    same 'band size, for not too many bands' $((256 * MiB)) "$(info tile_size $B)"
}

@test "create: unknown layouts, and those that want more" {
    try 2 mosaicfs create --layout fancy -n 3 drive.img
    said "'fancy' is not one of plain, jpeg, sparsebundle"
    try 2 mosaicfs create --layout original -n 3 drive.img
    try 2 mosaicfs create --layout jpeg -n 3 drive.img
    said '--cover'
    try 2 mosaicfs create --layout sparsebundle --cover x.jpg -n 3 drive.img
    refuse test -e drive.img
    try 0 mosaicfs create --layout plain -n 3 drive.img
    same layout plain "$(info layout)"
}

@test "create leaves a bundle that is there, and takes what a crash of it left" {
    mosaicfs create --layout sparsebundle -n 3 $B
    mac_files >before
    try 1 mosaicfs create --layout sparsebundle -n 4 $B
    said 'is an archive already'
    try 1 mosaicfs create -n 4 $B
    mac_files | cmp before -
    rm $B/Info.plist $B/Info.bckup
    try 0 mosaicfs create --layout sparsebundle -n 4 $B
    same tiles 4 "$(info tiles $B)"
    rm $B/Info.plist $B/Info.bckup
    echo data >$B/bands/0
    try 1 mosaicfs create --layout sparsebundle -n 4 $B
    said 'is not empty'
}

@test "create deletes nothing from a directory that it refuses" {
    local layout
    mkdir -p $B/bands
    echo mine | tee $B/notes >$B/mosaicfs.index.tmp
    : >$B/token
    listing $B >before
    for layout in sparsebundle plain; do
        try 1 mosaicfs create --layout $layout -n 3 $B
        said 'is not empty'
        listing $B | cmp before -
    done
    rm $B/notes
    try 1 mosaicfs create -n 3 $B
    said 'is not empty'
    test -e $B/token
    try 0 mosaicfs create --layout sparsebundle -n 3 $B
}

# --- what is in it --------------------------------------------------------------------

@test "a bundle under ext4: trim, kill -9, and all is there" {
    need loop ext4 tmpfs
    small_disk disk 400M
    mosaicfs create --layout sparsebundle -n 200 -s 1M disk/$B
    mount_at disk/$B drive
    loop=$(attach)
    mkfs.ext4 -q -E nodiscard "$loop"
    mkdir mnt
    mount "$loop" mnt
    random $((30 * MiB)) >mnt/keep
    random $((30 * MiB)) >mnt/drop
    sha256sum mnt/keep >sum
    sync -f mnt
    full=$(find disk/$B/bands -type f | wc -l)
    rm mnt/drop
    sync -f mnt
    fstrim mnt
    less 'bands after trim' "$(find disk/$B/bands -type f | wc -l)" $((full - 20))
    expect_log '.'
    kill_daemon disk/$B
    umount -l mnt
    losetup -d "$loop"
    quiet mosaicfs umount drive || true
    try 0 mount_at disk/$B drive
    loop=$(attach)
    e2fsck -fp "$loop" || [ $? = 1 ]
    mount "$loop" mnt
    sha256sum -c sum
    umount mnt
}

# partitions LOOP: their devices, which this kernel may not find by itself.
partitions() {
    [ -e "$1p2" ] || partx -a "$1"
    wait_for 5 test -e "$1p2"
}

@test "a partition map and exFAT in it, through losetup -P" {
    need loop exfat
    mosaicfs create --layout sparsebundle --total 64M $B
    mount_at $B disk
    sgdisk -n 1:0:+8M -t 1:ef00 -n 2:0:0 -t 2:0700 -c 2:exchange disk
    loop=$(losetup --find --show --direct-io=on -P disk)
    partitions "$loop"
    mkfs.exfat -L EXCHANGE "${loop}p2"
    fsck.exfat -n "${loop}p2"
    # No kernel here can mount it: bytes in its last cluster, and its label, stand for files.
    random 4096 >piece
    last=$(($(blockdev --getsize64 "${loop}p2") - 4096))
    put $last "${loop}p2" <piece
    blockdev --flushbufs "${loop}p2"
    partx -d "$loop" || true
    losetup -d "$loop"
    umount_at disk
    refuse test -e $B/mosaicfs.index

    mount_at $B disk
    sgdisk -v disk | grep -qF 'No problems found'
    sgdisk -i 2 disk | grep -qF "Partition name: 'exchange'"
    loop=$(losetup --find --show --direct-io=on -P disk)
    partitions "$loop"
    fsck.exfat -n "${loop}p2"
    exfatlabel "${loop}p2" | grep -qF EXCHANGE
    get $last 4096 "${loop}p2" | cmp - piece
    partx -d "$loop" || true
    losetup -d "$loop"
}

# --- what is wrong with it ---------------------------------------------------------------

@test "Info.plist is missing or damaged: its copy stands in, and says so" {
    content
    bundle content $MiB
    rm $B/Info.plist
    try 0 mount_at $B disk
    said "cannot use 'Info.plist' of '$T/$B': it is missing; its copy 'Info.bckup' is used instead"
    cmp disk content
    umount_at disk
    refuse test -e $B/Info.plist
    head -c 200 $B/Info.bckup >$B/Info.plist
    try 0 mount_at $B disk
    said "cannot use 'Info.plist' of '$T/$B': it does not end as a property list does"
    cmp disk content
    umount_at disk
    cp $B/Info.plist $B/Info.bckup
    try 1 mount_at $B disk
    said "cannot use 'Info.plist' of archive '$T/$B': it does not end as a property list does"
    said "put back a good copy of 'Info.plist' or 'Info.bckup'"
    rm $B/Info.plist $B/Info.bckup
    try 1 mount_at $B disk
    said "'$T/$B' is not an archive: it looks like a sparse bundle, and has neither 'Info.plist' nor its copy 'Info.bckup'"
    said "put one of the two back, from a backup; else 'mosaicfs create --layout sparsebundle'"
    refuse grep mosaicfs.index err
    try 1 mosaicfs info $B
    said 'it looks like a sparse bundle'
    try 3 mosaicfs check $B
    printed "Info.plist: the index is missing"
    printed "'mosaicfs create --layout sparsebundle' makes one"
    # As advised.
    mosaicfs create --layout sparsebundle --total "$(stat -c %s content)" -s 1M other.sparsebundle
    cp other.sparsebundle/Info.plist $B/
    mount_at $B disk
    cmp disk content
    umount_at disk
    # One that nothing was written to.
    rm other.sparsebundle/Info.*
    try 1 mosaicfs check other.sparsebundle
    said 'it looks like a sparse bundle'
}

@test "Info.plist and its copy tell different sizes: told, and the first counts" {
    content
    bundle content $MiB
    plist $((50 * MiB)) $MiB >$B/Info.bckup
    try 0 mosaicfs info --json $B
    said "specify different sizes; using the first"
    same size $((40 * MiB + 1536)) "$(jq .size out)"
}

# written: whatever is written into the bundle changes a time of this.
written() { find $B -printf '%p %y %m %u %s %n %i %T@ %C@\n'; }

# refused REASON <PLIST: both copies hold it, and nothing is mounted or changed.
refused() {
    local before
    tee $B/Info.plist >$B/Info.bckup
    before=$(written)
    try 1 mosaicfs mount $B disk
    said "$1"
    try 1 mosaicfs info $B
    said "$1"
    same 'what is in it' "$before" "$(written)"
    refuse test -e disk
}

@test "a property list without a size, or with one that is none" {
    content
    bundle content $MiB
    plist 41944576 $MiB >good
    sed '/<key>size/,+1d' good | refused "it does not tell 'size'"
    sed '/<key>band-size/,+1d' good | refused "it does not tell 'band-size'"
    plist -41944576 $MiB | refused "'size' is negative, zero, or above 9223372036854775807"
    plist 0 $MiB | refused "'size' is negative, zero"
    plist 99999999999999999999999 $MiB | refused "'size' is negative, zero, or above"
    plist 9223372036854775808 $MiB | refused "'size' is negative, zero, or above"
    plist 41944576 -8388608 | refused "'band-size' is negative, zero, or above"
    plist 41944576 0 | refused "'band-size' is negative, zero"
    plist 41944577 $MiB | refused "'size' is no multiple of 512"
    plist 41944576 1000 | refused "'band-size' is no multiple of 512"
    plist 0x2800600 $MiB | refused "'size' is not written as a plain decimal number"
    plist 041944576 $MiB | refused "'size' is not written as a plain decimal number"
    plist 41944576x $MiB | refused "'size' is not written as a plain decimal number"
    sed '/<key>size/,+1s/integer/string/g' good | refused "'size' is not of the type"
    sed 's|^</dict>|<key>size</key><integer>512</integer></dict>|' good | refused "it tells 'size' twice"
    plist 41944576 $MiB 3 | refused "'bundle-backingstore-version' is one that this version does not know"
    sed 's/diskimage.sparsebundle/diskimage.other/' good | refused "another kind of bundle than 'com.apple.diskimage.sparsebundle'"
    sed 's/com.apple.diskimage.sparsebundle/folder/' good | refused "'diskimage-bundle-type' is not"
    plist $((16777217 * MiB)) $MiB | refused 'it has more than 16777216 bands'
    echo data | refused 'does not begin with the number of a format'
    : | refused 'it is empty'
    head -c 70000 /dev/zero | refused 'File too large'
    python3 -c 'import plistlib, sys
sys.stdout.buffer.write(plistlib.dumps(plistlib.load(open("good", "rb")), fmt=plistlib.FMT_BINARY))' |
        refused 'it is a binary property list'
}

@test "a property list with entities, outside or a billion" {
    content
    bundle content $MiB
    plist 41944576 $MiB >good
    echo 41944576 >size
    sed "2s|.*|<!DOCTYPE plist [<!ENTITY s SYSTEM \"file://$T/size\">]>|; s|>41944576<|>\&s;<|" good |
        refused 'it declares entities or types of its own'
    sed '2s|.*|<!DOCTYPE plist [<!ENTITY s "41944576">]>|; s|>41944576<|>\&s;<|' good |
        refused 'it declares entities or types of its own'
    {
        echo '<!DOCTYPE plist [<!ENTITY l0 "lol">'
        for n in 1 2 3 4 5 6 7 8 9; do
            echo "<!ENTITY l$n \"$(printf "&l$((n - 1));%.0s" 1 2 3 4 5 6 7 8 9 10)\">"
        done
        echo ']>'
        sed -n '3,$s|>41944576<|>\&l9;<|; 3,$p' good
    } | refused 'it declares entities or types of its own'
    sed 's|>41944576<|>\&s;<|' good | refused "'size' is negative, zero"
    refuse test -e disk
}

@test "bands under names that a Mac does not give are refused, not overlooked" {
    local name
    content
    bundle content $MiB
    for name in A 0a 00000005 1F 000; do
        echo data >$B/bands/$name
        listing $B >before
        try 1 mosaicfs mount $B disk
        said "'bands/$name' is not a valid band name"
        said 'rename it'
        listing $B | cmp before -
        rm $B/bands/$name
    done
    mount_at $B disk
    cmp disk content
}

@test "a band that is given such a name while it is mounted: an error, not zeros" {
    expect_log "another program named it 'bands/A'"
    content
    bundle content $MiB
    mount_at $B disk
    echo data >$B/bands/A
    try 1 dd if=disk of=/dev/null bs=4k skip=$((10 * 256)) count=1 iflag=direct
    try 1 dd if=/dev/urandom of=disk bs=4k seek=$((10 * 256)) count=1 oflag=direct conv=notrunc
    refuse test -e $B/bands/a
}

@test "what lies past the end, or beside the bands, stays and is in nobody's way" {
    content
    bundle content $MiB
    echo data | tee $B/bands/29 $B/bands/fffffffff $B/bands/FF $B/bands/.DS_Store >$B/bands/a.tmp
    echo data | tee $B/com.apple.TimeMachine.MachineID.plist >$B/other
    mount_at $B disk
    cmp disk content
    random $MiB | put $((39 * MiB)) disk
    umount_at disk
    same data data "$(cat $B/bands/29 $B/bands/fffffffff $B/bands/FF $B/bands/a.tmp $B/other | uniq)"
}

@test "an encrypted bundle is refused" {
    content
    bundle content $MiB
    printf 'encrcdsa\0\0\0\2 and keys' >$B/token
    listing $B >before
    try 1 mosaicfs mount $B disk
    said "cannot use '$T/$B': it is an encrypted sparse bundle, which only a Mac can open"
    try 1 mosaicfs mount -r $B disk
    listing $B | cmp before -
    printf 'keys and cdsaencr' >$B/token
    try 1 mosaicfs mount $B disk
    said 'encrypted'
}

@test "a bundle without its folder of bands does not pass for an empty one" {
    content
    bundle content $MiB
    mv $B/bands away
    try 1 mosaicfs mount $B disk
    said "it has no folder 'bands'"
}

# --- a Mac uses it -------------------------------------------------------------------------

# hold FILE MODE [lock]: a process that has FILE open, with the lock that Netatalk makes of a
# Mac's, until `let_go`.
hold() {
    rm -f held
    background python3 -c '
import fcntl, os, sys, time
f = os.open(sys.argv[1], os.O_RDWR if sys.argv[2] == "rw" else os.O_RDONLY)
if sys.argv[3:]:
    fcntl.lockf(f, fcntl.LOCK_EX if sys.argv[2] == "rw" else fcntl.LOCK_SH, 1, 9223372036854775799)
open("held", "w").close()
time.sleep(600)' "$@"
    holder=$!
    wait_for 10 test -e held
}

let_go() {
    kill "$holder"
    wait "$holder" || true
}

# read_only: mounted on disk, and nothing can be written.
read_only() {
    said "'$T/$B' is in use by another program, such as a Mac: it is mounted read-only"
    cmp disk content
    same 'read-only' true "$(info mounted.read_only $B)"
    try 1 dd if=/dev/zero of=disk bs=4k count=1 conv=notrunc
    same taken true "$(info taken $B)"
    umount_at disk
}

@test "what a Mac has locked is mounted read-only, until it lets go" {
    content
    bundle content $MiB
    same taken false "$(info taken $B)"
    hold $B/token rw lock
    try 0 mosaicfs info $B
    printed 'by another program, such as a Mac'
    listing $B >before
    try 0 mount_at $B disk
    read_only
    let_go
    : >$B/lock
    hold $B/lock ro lock
    try 0 mount_at $B disk
    read_only
    let_go
    try 0 mount_at $B disk
    silent
    same taken false "$(info taken $B)"
    random 4096 | put 0 disk
}

@test "what Samba has open for a Mac is mounted read-only" {
    need tmpfs
    content
    small_disk fs 100M
    B=fs/disk.sparsebundle
    bundle content $MiB
    hold $B/token rw
    try 0 mount_at $B disk
    read_only
    let_go
    hold $B/token ro
    try 0 mount_at $B disk
    silent
    let_go
}

@test "what we write, a Mac behind a file server sees in use" {
    content
    bundle content $MiB
    mount_at $B disk
    try 1 python3 -c '
import fcntl, os, sys
fcntl.lockf(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 9223372036854775799)' \
        $B/token
    said 'Resource temporarily unavailable'
    try 1 mosaicfs mount $B disk2
    said 'is in use by process'
    said "which has it mounted on '$T/disk'"
    umount_at disk
    python3 -c '
import fcntl, os, sys
fcntl.lockf(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 9223372036854775799)' \
        $B/token
}

@test "killed and mounted again: no lock of ours stays" {
    content
    bundle content $MiB
    mac_files >before
    mount_at $B disk
    random 8192 >piece
    put $((12 * MiB)) disk <piece
    kill_daemon $B
    try 0 mount_at $B disk
    get $((12 * MiB)) 8192 disk | cmp - piece
    umount_at disk
    mac_files | cmp before -
}

@test "20 TiB in bands of 8 MiB, as a virtual machine's store on a Mac has" {
    local size=21990232555520 pid
    need jq
    mkdir -p $B/bands
    : >$B/token
    plist $size 8388608 2 >$B/Info.plist
    random 5000 >$B/bands/27ffff
    random 5000 >$B/bands/0
    mount_at $B disk
    same size $size "$(stat -c %s disk)"
    same 'the last band' "$(sha256sum <$B/bands/27ffff)" \
        "$(dd if=disk bs=8M skip=2621439 2>/dev/null | head -c 5000 | sha256sum)"
    random 4096 >block
    dd if=block of=disk bs=4k seek=$((size / 4096 - 1)) conv=notrunc,fsync status=none
    dd if=block of=disk bs=4k seek=$((1200000 * 2048)) conv=notrunc,fsync status=none
    cmp block <(tail -c 4096 disk)
    test -e $B/bands/124f80
    pid=$(daemon_pid $B)
    # KiB; what is not used of its tables never becomes memory.
    less 'memory' "$(sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status")" 40000
    umount_at disk
    try 0 mosaicfs check $B
    printed '3 tiles, no damage'
    try 0 mosaicfs changed $B
    try 0 mosaicfs info --json $B
    jq -e '.tiles == 2621440 and .tiles_present == 3' out
    # A band past the end, and one whose name a Mac would not find.
    random 9 >$B/bands/280000
    try 3 mosaicfs check $B
    printed 'bands/280000: a tile behind the end of the image'
    mv $B/bands/280000 $B/bands/27FFFE
    try 1 mount_at $B disk
    said "'bands/27FFFE' is not a valid band name, but may contain the bytes of 'bands/27fffe'"
}

@test "create makes bundles of more than 2^20 bands, up to 2^24" {
    try 0 mosaicfs create --layout sparsebundle --total 20T $B
    printed '2621440 tiles of 8 MiB'
    try 0 mosaicfs create --layout sparsebundle -n 16777216 -s 1M big.sparsebundle
    try 2 mosaicfs create --layout sparsebundle -n 16777217 -s 1M bigger.sparsebundle
    said 'not a number from 1 to 16777216'
    try 2 mosaicfs create -n 1048577 -s 1M plain.img
    said 'not a number from 1 to 1048576'
    try 2 mosaicfs create --layout sparsebundle --total 1P -s 8M bigger.sparsebundle
    said 'more than 16777216 would be needed'
}
