"""Lets PyPI's Linux torch run on a CPU without the 2.5 GB of CUDA libraries that it is linked against.

PyPI has no CPU-only torch for Linux on x86-64. CPU code never calls those libraries, but the loader
wants the files to exist. So each missing one becomes an empty library that has nothing but its name,
and functions are bound when first called (RTLD_LAZY). The few libraries whose code or data is touched
while torch loads (cudart, cupti, nvshmem) are the real ones, from requirements-cpu-torch.txt.
No other platform needs this: their wheels are for the CPU.
"""

import os
import struct
import sysconfig

SITE = sysconfig.get_paths()["purelib"]
TORCH_LIB = os.path.join(SITE, "torch", "lib")
# torch looks for these beside itself ($ORIGIN is the last entry of its library path).
EMPTY = (
    "libcublas.so.13",
    "libcublasLt.so.13",
    "libcudnn.so.9",
    "libcufft.so.12",
    "libcufile.so.0",
    "libcurand.so.10",
    "libcusolver.so.12",
    "libcusparse.so.12",
    "libcusparseLt.so.0",
    "libnccl.so.2",
    "libnvrtc.so.13",
)
# Python reads .pth files at start: before any `import torch` can ask for eager binding.
LAZY = "import os, sys; sys.setdlopenflags(os.RTLD_LAZY)\n"


def empty_library(name: str) -> bytes:
    """An ELF64 shared object for x86-64 that has a name and no symbols."""
    strings = b"\0" + name.encode() + b"\0"
    header_size, program_size, program_count = 64, 56, 2
    strings_at = header_size + program_size * program_count
    symbols_at = (strings_at + len(strings) + 7) // 8 * 8
    symbol = bytes(24)
    hash_at = symbols_at + len(symbol)
    hashes = struct.pack("<4I", 1, 1, 0, 0)
    dynamic_at = hash_at + len(hashes)
    soname, hash_tag, strtab, symtab, strsz, syment = 14, 4, 5, 6, 10, 11
    entries = [
        (soname, 1),
        (hash_tag, hash_at),
        (strtab, strings_at),
        (symtab, symbols_at),
        (strsz, len(strings)),
        (syment, len(symbol)),
        (0, 0),
    ]
    dynamic = b"".join(struct.pack("<qQ", tag, value) for tag, value in entries)
    size = dynamic_at + len(dynamic)

    def program(kind: int, at: int, length: int, align: int) -> bytes:
        readable_writable = 6
        return struct.pack(
            "<IIQQQQQQ", kind, readable_writable, at, at, at, length, length, align
        )

    load, dynamic_kind, shared_object, x86_64 = 1, 2, 3, 62
    identity = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = identity + struct.pack(
        "<HHIQQQIHHHHHH",
        shared_object, x86_64, 1, 0, header_size, 0, 0,
        header_size, program_size, program_count, 64, 0, 0,
    )  # fmt: skip
    programs = program(load, 0, size, 4096) + program(dynamic_kind, dynamic_at, len(dynamic), 8)
    body = (header + programs + strings).ljust(symbols_at, b"\0")
    return body + symbol + hashes + dynamic


def main() -> None:
    for name in EMPTY:
        with open(os.path.join(TORCH_LIB, name), "wb") as file:
            file.write(empty_library(name))
    with open(os.path.join(SITE, "lazy_binding.pth"), "w", encoding="utf-8") as file:
        file.write(LAZY)


if __name__ == "__main__":
    main()
