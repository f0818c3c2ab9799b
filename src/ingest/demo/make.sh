#!/usr/bin/env bash
# Makes loop.mp3, the music of a mount that has no source yet: four bars of pad, bass and plucked
# notes, synthesised here from sine waves, so that no one else holds rights in it.
#
# Needs: python3 (standard library only) and lame 3.100.
# Writes: loop.mp3 beside this script. The same versions give the same bytes.
#
# The loop has no seam, for three reasons:
# - It is 564,480 samples long, which is 490 frames of 1,152 and 16 beats at 75 a minute. 490 is a
#   multiple of 49, after which the padding of 128 kbit/s at 44.1 kHz repeats.
# - Every note and echo that rings past the end goes on at the start.
# - The encoder hears it three times and only the frames of the second time are kept: what the
#   decoder overlaps from the last frame into the first is what it would be without a cut.
# --nores keeps each frame's data within the frame, so that a listener may begin at any; -t leaves
# out the encoder's own information frame, which would be a gap in each turn.
set -euo pipefail
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

python3 - "$scratch/three.wav" <<'PYTHON'
import math
import sys
import wave
from array import array

RATE = 44_100
BEAT = RATE * 60 // 75
LOOP = 16 * BEAT
assert LOOP == 490 * 1_152

left = [0.0] * LOOP
right = [0.0] * LOOP


def hertz(key):
    """Equal temperament, key 69 being 440 Hz."""
    return 440.0 * 2.0 ** ((key - 69) / 12.0)


def note(key, at, seconds, level, pan, partials, envelope):
    """Adds one note at sample `at`, wrapping round the end. `pan` runs from -1 to 1; `partials` are
    pairs of a multiple of the base frequency and its level; `envelope` maps seconds to a level."""
    gain_left = level * math.cos((pan + 1.0) * math.pi / 4.0)
    gain_right = level * math.sin((pan + 1.0) * math.pi / 4.0)
    turns = [(2.0 * math.pi * hertz(key) * multiple / RATE, share) for multiple, share in partials]
    sin = math.sin
    for index in range(int(seconds * RATE)):
        sound = 0.0
        for turn, share in turns:
            sound += share * sin(turn * index)
        sound *= envelope(index / RATE)
        place = (at + index) % LOOP
        left[place] += gain_left * sound
        right[place] += gain_right * sound


def swell(hold, rise=0.7, fall=1.6):
    """Rises and falls as a raised cosine: no corner that could be heard as a click."""
    def envelope(t):
        if t < rise:
            return 0.5 - 0.5 * math.cos(math.pi * t / rise)
        if t < hold:
            return 1.0
        if t < hold + fall:
            return 0.5 + 0.5 * math.cos(math.pi * (t - hold) / fall)
        return 0.0
    return envelope


def pluck(decay, seconds, rise=0.006):
    """Rises at once, decays exponentially, and reaches zero before it is cut."""
    def envelope(t):
        attack = 0.5 - 0.5 * math.cos(math.pi * t / rise) if t < rise else 1.0
        tail = 1.0 if t < seconds - 0.2 else max(0.0, (seconds - t) / 0.2)
        return attack * tail * math.exp(-t / decay)
    return envelope


# One bar each, in F major: Fmaj9, Am7, Dm9, Bb6. Root of the bass, pad, and the plucked line.
BARS = [
    (41, [57, 60, 64, 67], [72, 76, 79, 84, 81, 79, 76, 72]),
    (45, [57, 60, 64, 67], [72, 76, 79, 81, 84, 81, 79, 76]),
    (38, [57, 60, 65, 64], [74, 77, 81, 76, 84, 81, 77, 76]),
    (46, [58, 62, 65, 67], [74, 77, 82, 81, 79, 77, 74, 70]),
]
PAD = [(1.0, 0.6), (1.003, 0.6), (2.0, 0.16), (3.0, 0.05)]
BASS = [(1.0, 1.0), (2.0, 0.45), (3.0, 0.12)]
BELL = [(1.0, 1.0), (2.0, 0.3), (4.0, 0.1)]

for bar, (root, chord, line) in enumerate(BARS):
    start = bar * 4 * BEAT
    for voice, key in enumerate(chord):
        pan = (-0.6, 0.5, -0.3, 0.7)[voice]
        note(key, start - RATE // 4, 5.2, 0.10, pan, PAD, swell(3.3))
    note(root, start, 2.6, 0.30, 0.0, BASS, pluck(1.1, 2.6, 0.02))
    note(root + 12, start + 5 * BEAT // 2, 1.4, 0.14, 0.0, BASS, pluck(0.6, 1.4, 0.02))
    for step, key in enumerate(line):
        level = 0.13 if step % 2 == 0 else 0.09
        pan = -0.45 if step % 2 == 0 else 0.45
        note(key, start + step * BEAT // 2, 2.0, level, pan, BELL, pluck(0.5, 2.0))

# Echoes that swap sides, a dotted eighth apart, and a few early reflections: a small bright room.
TAPS = [(3 * BEAT // 4, 0.24, True), (6 * BEAT // 4, 0.12, False), (9 * BEAT // 4, 0.06, True)]
TAPS += [(1_117, 0.10, True), (1_693, 0.08, False), (2_341, 0.06, True), (3_119, 0.05, False)]
dry_left, dry_right = left[:], right[:]
for delay, level, swaps in TAPS:
    from_left, from_right = (dry_right, dry_left) if swaps else (dry_left, dry_right)
    for index in range(LOOP):
        left[index] += level * from_left[index - delay]
        right[index] += level * from_right[index - delay]

# Chosen so that the loop measures -16 LUFS, which leaves its peaks 5 dB below full scale.
GAIN = 0.98
peak = GAIN * max(max(map(abs, left)), max(map(abs, right)))
assert peak < 0.9, f"peak {peak:.3f}: too near to full scale for an encoder's overshoot"
print(f"peak {20 * math.log10(peak):.1f} dBFS", file=sys.stderr)

scale = GAIN * 32_767
samples = array("h", (round(scale * value) for pair in zip(left, right) for value in pair))
if sys.byteorder == "big":
    samples.byteswap()
with wave.open(sys.argv[1], "wb") as sound:
    sound.setnchannels(2)
    sound.setsampwidth(2)
    sound.setframerate(RATE)
    sound.writeframes(samples.tobytes() * 3)
PYTHON

lame --quiet -t --nores --cbr -b 128 -m j -q 0 --noreplaygain "$scratch/three.wav" "$scratch/three.mp3"

python3 - "$scratch/three.mp3" loop.mp3 <<'PYTHON'
import sys

FRAMES = 490
stream = open(sys.argv[1], "rb").read()
places = [0]
while places[-1] + 4 <= len(stream):
    at = places[-1]
    assert stream[at] == 0xFF and stream[at + 1] & 0xFE == 0xFA and stream[at + 2] & 0xFC == 0x90
    places.append(at + 417 + (stream[at + 2] >> 1 & 1))
loop = stream[places[FRAMES]:places[2 * FRAMES]]
assert len(loop) == 204_800, "128 kbit/s for 12.8 seconds"
open(sys.argv[2], "wb").write(loop)
PYTHON
