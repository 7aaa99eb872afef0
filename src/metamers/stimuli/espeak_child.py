"""Speaks words with espeak-ng in a process of its own: `python espeak_child.py`, which imports nothing of the package.

For each line on stdin, a JSON object (voice, text, speed in words a minute, pitch from 0 to 99), it writes a line with
the rate and the number of samples to stdout, and then the samples, int16. A voice that there is not gives 0 samples.
Each word is spoken by a fork of the fresh process, as what espeak-ng says depends on what it has said before.
"""

import ctypes
import json
import os
import sys

import espeakng_loader

SYNCHRONOUS, RATE, PITCH, UTF8 = 2, 1, 3, 1  # without a thread, which a fork would lack
Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def speak(library: ctypes.CDLL, voice: str, text: str, speed: int, pitch: int) -> bytes:
    """The samples, or nothing where there is no such voice."""
    chunks: list[bytes] = []

    def collect(samples: object, n: int, events: object) -> int:
        if samples and n > 0:
            chunks.append(ctypes.string_at(samples, 2 * n))  # type: ignore[arg-type]
        return 0

    callback = Callback(collect)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        return b""
    library.espeak_SetParameter(RATE, speed, 0)
    library.espeak_SetParameter(PITCH, pitch, 0)
    ctypes.CDLL(None).srand(1)  # espeak-ng draws its noise from the C library
    encoded = text.encode()
    library.espeak_Synth(encoded, len(encoded) + 1, 0, 0, 0, UTF8, None, None)
    library.espeak_Synchronize()
    return b"".join(chunks)


def main() -> None:
    """Answer until stdin ends."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
    out = sys.stdout.buffer
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            samples = speak(library, **json.loads(line))
            out.write(f"{rate} {len(samples) // 2}\n".encode() + samples)
            out.flush()
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        if status:
            sys.exit(f"espeak-ng failed on {line.strip()}")


if __name__ == "__main__":
    main()
