#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""
Archives read and written by another hand: what mosaicfs-format(5) says, and not
a line of the program. Whatever is not as it is written there is an error.

    golden.py read ARCHIVE                              the image, to standard output
    golden.py write LAYOUT ARCHIVE TILE_SIZE IMAGE [COVER]
    golden.py pad COVER LENGTH [behind]                 a JPEG of that length that shows the cover:
                                                        with comments, or bytes behind its end
    golden.py scribble SEED FILE...                     the same changes to each
"""
import ctypes
import errno
import hashlib
import os
import plistlib
import random
import struct
import sys
import uuid

DIGITS = "0123456789abcdefghijklmnopqrstuv"
ALIGN = 4096
SEGMENT = ">2sH9sB16sIQQQ8s8s"


def must(true, what):
    if not true:
        sys.exit("golden.py: " + what)


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def write_file(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


# --- names --------------------------------------------------------------------


def tile_path(layout, tile):
    if layout == "sparsebundle":
        return "bands/%x" % tile
    digits = "".join(DIGITS[tile >> shift & 31] for shift in (15, 10, 5, 0))
    return digits[:2] + "/" + digits + (".jpg" if "jpeg" in layout else "")


# --- pictures -----------------------------------------------------------------


def picture_length(data):
    """From SOI to the first EOI on the level of markers."""
    must(data[:2] == b"\xff\xd8", "a picture does not begin with SOI")
    at = 2
    while True:
        must(data[at] == 0xFF, "no marker where one must be, at %d" % at)
        code = data[at + 1]
        if code == 0xFF:
            at += 1
            continue
        at += 2
        if code == 0xD9:
            return at
        if code == 0x01 or 0xD0 <= code <= 0xD7:
            continue
        at += int.from_bytes(data[at : at + 2], "big")
        if code == 0xDA:  # entropy-coded data, up to a marker that is none of its own
            while not (data[at] == 0xFF and data[at + 1] != 0 and not 0xD0 <= data[at + 1] <= 0xD7):
                at += 1


def behind_first(data):
    """Where our segment stands: behind SOI, or the APP0 or APP1 that follows it."""
    if data[2:4] in (b"\xff\xe0", b"\xff\xe1"):
        return 4 + int.from_bytes(data[4:6], "big")
    return 2


def check_of(data):
    return hashlib.sha256(data).digest()[:8]


def put_head(cover, image_uuid, tile, tile_size, size):
    at, length = behind_first(cover), struct.calcsize(SEGMENT)
    payload = (len(cover) + length + ALIGN - 1) // ALIGN * ALIGN
    rest = cover[at:] + bytes(payload - len(cover) - length)
    fields = (b"\xff\xe9", length - 2, b"mosaicfs\0", 1, image_uuid, tile, tile_size, size, payload)
    segment = struct.pack(SEGMENT, *fields, check_of(cover[:at] + rest), b"")[:-8]
    return cover[:at] + segment + check_of(segment) + rest


def get_head(data, image_uuid, tile, tile_size, size):
    """Where the bytes of the tile begin."""
    at, length = behind_first(data), struct.calcsize(SEGMENT)
    segment = data[at : at + length]
    fields = struct.unpack(SEGMENT, segment)
    payload = fields[8]
    wanted = (b"\xff\xe9", length - 2, b"mosaicfs\0", 1, image_uuid, tile, tile_size, size)
    must(fields[:8] == wanted, "tile %d says of itself %r" % (tile, fields))
    must(fields[10] == check_of(segment[:-8]), "tile %d: a wrong check" % tile)
    must(payload % ALIGN == 0 and 0 < payload <= len(data), "tile %d: payload %d" % (tile, payload))
    head = data[:at] + data[at + length : payload]
    must(fields[9] == check_of(head), "tile %d: a wrong digest of its picture" % tile)
    end = picture_length(data)
    must(payload - ALIGN < end <= payload, "tile %d: a picture of %d bytes" % (tile, end))
    must(not any(data[end:payload]), "tile %d: no zeros behind the picture" % tile)
    return payload


def pad(cover, length, behind):
    data, left = read_file(cover), length - os.path.getsize(cover)
    if behind:
        return data + b"behind" * (left // 6) + b"." * (left % 6)
    comments = b""
    while left > 0:
        n = left if left <= 65537 else 65533 if left < 65541 else 65537
        comments += b"\xff\xfe" + (n - 2).to_bytes(2, "big") + b" " * (n - 4)
        left -= n
    return data[:2] + comments + data[2:]


# --- archives -----------------------------------------------------------------


class Archive:
    def __init__(self, path):
        self.path = path
        plist = os.path.join(path, "Info.plist")
        if os.path.exists(plist):
            self.read_plist(plist)
        else:
            self.read_index(read_file(os.path.join(path, "mosaicfs.index")))

    def read_plist(self, path):
        keys = plistlib.loads(read_file(path))
        must(keys["diskimage-bundle-type"] == "com.apple.diskimage.sparsebundle", "another bundle")
        must(keys["CFBundleInfoDictionaryVersion"] == "6.0", "another dictionary")
        must(keys["bundle-backingstore-version"] in (1, 2), "another backing store")
        must(read_file(os.path.join(self.path, "Info.bckup")) == read_file(path), "another spare")
        must(read_file(os.path.join(self.path, "token")) == b"", "an odd token")
        self.layout, self.tile_size, self.size = "sparsebundle", keys["band-size"], keys["size"]

    def read_index(self, text):
        lines = text.decode("ascii").splitlines()
        kind, self.tile_size, ntiles = (int(word) for word in lines[0].split())
        if kind == 1:
            self.size = self.tile_size * ntiles
            pictures = any(name.endswith(".jpg") for _, _, names in os.walk(self.path) for name in names)
            self.layout = "original-jpeg" if pictures else "original"
            return
        must(kind == 2, "format %d" % kind)
        keys = dict(line.split(" ", 1) for line in lines[1:])
        body = text[: text.index(b"sha256 ")]
        must(keys["sha256"] == hashlib.sha256(body).hexdigest(), "a wrong checksum")
        self.size, self.layout = int(keys["size"]), keys["layout"]
        self.uuid = uuid.UUID(keys["uuid"]).bytes

    def tile(self, number, wanted):
        """The bytes of a tile, or None: there is no such file."""
        path = os.path.join(self.path, tile_path(self.layout, number))
        if not os.path.exists(path):
            return None
        data = read_file(path)
        if self.layout == "jpeg":
            data = data[get_head(data, self.uuid, number, self.tile_size, self.size) :]
        elif self.layout == "original-jpeg":
            data = data[-self.tile_size :]
        must(len(data) <= wanted, "tile %d has %d bytes" % (number, len(data)))
        if "original" in self.layout:
            must(len(data) == wanted, "tile %d has %d bytes only" % (number, len(data)))
        return data.ljust(wanted, b"\0")

    def read(self, out):
        for off in range(0, self.size, self.tile_size):
            wanted = min(self.tile_size, self.size - off)
            out.write(self.tile(off // self.tile_size, wanted) or bytes(wanted))


def write_index(layout, path, tile_size, size, image_uuid):
    ntiles = (size + tile_size - 1) // tile_size
    if layout == "sparsebundle":
        keys = {
            "CFBundleInfoDictionaryVersion": "6.0",
            "band-size": tile_size,
            "bundle-backingstore-version": 1,
            "diskimage-bundle-type": "com.apple.diskimage.sparsebundle",
            "size": size,
        }
        for name in ("Info.plist", "Info.bckup"):
            write_file(os.path.join(path, name), plistlib.dumps(keys))
        write_file(os.path.join(path, "token"), b"")
        os.mkdir(os.path.join(path, "bands"))
        return
    text = "1 %d %d" % (tile_size, ntiles)
    if "original" not in layout:
        text = "2 %d %d\nsize %d\nuuid %s\nlayout %s\n" % (
            tile_size, ntiles, size, uuid.UUID(bytes=image_uuid), layout,
        )
        text += "sha256 %s\n" % hashlib.sha256(text.encode()).hexdigest()
    write_file(os.path.join(path, "mosaicfs.index"), text.encode())


def write(layout, path, tile_size, image, cover=None):
    """Tiles of zeros are left out; but one picture at least tells the layout of 2017."""
    data, image_uuid = read_file(image), uuid.uuid4().bytes
    cover = cover and read_file(cover)
    write_index(layout, path, tile_size, len(data), image_uuid)
    for off in range(0, len(data), tile_size):
        tile = data[off : off + tile_size]
        last = off + tile_size >= len(data)
        if not any(tile) and not (last and layout == "original-jpeg"):
            continue
        if "original" not in layout:
            tile = tile.rstrip(b"\0")
        head = b""
        if layout == "jpeg":
            head = put_head(cover, image_uuid, off // tile_size, tile_size, len(data))
        elif layout == "original-jpeg":
            head = cover
        write_file(os.path.join(path, tile_path(layout, off // tile_size)), head + tile)


# --- changes ------------------------------------------------------------------

KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16


def fallocate(fd, mode, off, length):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fallocate(fd, mode, ctypes.c_int64(off), ctypes.c_int64(length)) == 0:
        return
    must(ctypes.get_errno() == errno.EOPNOTSUPP, os.strerror(ctypes.get_errno()))
    os.pwrite(fd, bytes(length), off)


def scribble(seed, path):
    """Bytes at odd places, zeros among them, holes; often at the ends of tiles."""
    by_chance = random.Random(seed)
    size = os.path.getsize(path)
    fd = os.open(path, os.O_RDWR)
    for _ in range(300):
        off = by_chance.randrange(size)
        if by_chance.random() < 0.4:
            off = min(size - 1, max(0, off // 65536 * 65536 + by_chance.randint(-5, 5)))
        length = min(size - off, int(2 ** by_chance.uniform(0, 18)))
        kind = by_chance.random()
        if kind < 0.6:
            os.pwrite(fd, by_chance.randbytes(length), off)
        elif kind < 0.7:
            os.pwrite(fd, bytes(length), off)
        elif kind < 0.9:
            fallocate(fd, PUNCH_HOLE | KEEP_SIZE, off, length)
        elif kind < 0.95:
            fallocate(fd, ZERO_RANGE | KEEP_SIZE, off, length)
        else:
            os.fsync(fd)
    os.fsync(fd)
    os.close(fd)


def main(args):
    if args[:1] == ["read"] and len(args) == 2:
        Archive(args[1]).read(sys.stdout.buffer)
    elif args[:1] == ["write"] and len(args) in (5, 6):
        write(args[1], args[2], int(args[3]), *args[4:])
    elif args[:1] == ["pad"] and len(args) in (3, 4):
        sys.stdout.buffer.write(pad(args[1], int(args[2]), args[3:] == ["behind"]))
    elif args[:1] == ["scribble"] and len(args) > 2:
        for path in args[2:]:
            scribble(int(args[1]), path)
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
