"""
Sends requests by seed to an export and prints what came back: `python3 random-client.py URI SESSIONS rw|ro`. CACHE is not among them, since
qemu-nbd copies into the image what it is told to cache.
"""

import hashlib
import random
import sys

import nbd

UNIT = 512
CONTEXTS = ["base:allocation", "qemu:allocation-depth", "qemu:dirty-bitmap:b0", "base:unknown"]


def outcome(call):
    """What a call answers, or the number of its error; for a write behind the end QEMU 7.2 says EINVAL, the protocol ENOSPC."""
    try:
        return call()
    except nbd.Error as error:
        return f"error {error.errno.replace('ENOSPC', 'EINVAL')}"


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def place(dice, size):
    """An offset and a length, most of them within the disk; servers differ on lengths of 0."""
    unit = dice.choice([1, UNIT, 4096, 65536])
    offset = dice.randrange(0, size // unit + 1) * unit
    length = dice.choice([1, 511, UNIT, 4096, 65536, dice.randint(1, 400_000), 3_000_000])
    if dice.random() < 0.8:
        length = min(length, size - offset)
    elif dice.random() < 0.3:
        offset = dice.choice([size, size - 1, size + 1, 2**62])
    return offset, max(1, length)


def runs(handle, offset, length, flags):
    """Each context's runs, cut to what was asked for and put together where they are alike: a server may split them, and tell of more."""
    found = {}

    def extents(context, start, entries, _error):
        merged = found.setdefault(context, [])
        left = length
        for run, value in zip(entries[0::2], entries[1::2]):
            run = min(run, left)
            left -= run
            if merged and merged[-1][1] == value:
                merged[-1][0] += run
            elif run > 0:
                merged.append([run, value])
        return 0

    handle.block_status(length, offset, extents, flags)
    # How far an answer reaches is the server's choice; what it says up to there is not.
    return sorted((context, told[0][1]) for context, told in found.items())


def read(handle, dice, offset, length):
    if handle.get_structured_replies_negotiated() and dice.random() < 0.3:
        data = bytearray(length)

        def chunk(part, start, status, _error):
            data[start - offset : start - offset + len(part)] = part
            return 0

        handle.pread_structured(length, offset, chunk)
        return digest(bytes(data))
    return digest(bytes(handle.pread(length, offset)))


def request(handle, dice, writable):
    size = handle.get_size()
    kind = dice.choice(["read", "read", "status", "status", "flush", "write", "zero", "trim"])
    offset, length = place(dice, size)
    fua = nbd.CMD_FLAG_FUA if dice.random() < 0.2 else 0
    if kind == "read":
        return kind, offset, length, outcome(lambda: read(handle, dice, offset, length))
    if kind == "status":
        flags = nbd.CMD_FLAG_REQ_ONE if dice.random() < 0.3 else 0
        return kind, offset, length, flags, outcome(lambda: runs(handle, offset, length, flags))
    if kind == "flush":
        return kind, outcome(handle.flush)
    if not writable:
        return ("nothing",)
    if kind == "write":
        data = bytes([dice.randint(0, 255)]) * length
        return kind, offset, length, fua, outcome(lambda: handle.pwrite(data, offset, fua))
    if kind == "zero":
        flags = fua + (nbd.CMD_FLAG_NO_HOLE if dice.random() < 0.3 else 0)
        return kind, offset, length, flags, outcome(lambda: handle.zero(length, offset, flags))
    return kind, offset, length, fua, outcome(lambda: handle.trim(length, offset, fua))


def session(uri, seed, writable):
    dice = random.Random(seed)
    handle = nbd.NBD()
    handle.set_strict_mode(0)
    handle.set_request_structured_replies(dice.random() < 0.8)
    for context in CONTEXTS:
        if dice.random() < 0.6:
            handle.add_meta_context(context)
    handle.connect_uri(uri)
    print(seed, handle.get_size(), handle.is_read_only(), handle.can_multi_conn(), handle.can_fua(), handle.can_df(), handle.can_cache())
    print(seed, [outcome(lambda: handle.can_meta_context(context)) for context in CONTEXTS])
    for index in range(dice.randint(10, 60)):
        print(seed, index, *request(handle, dice, writable))
    handle.shutdown()


for seed in range(int(sys.argv[2])):
    session(sys.argv[1], seed, sys.argv[3] == "rw")
