//! Made-up streams of every format, as benches feed them. Each bench uses some of them.
#![allow(dead_code, reason = "every bench includes this file and uses a part of it")]

/// Ten seconds of a stream in 384 frames, none of whose bodies holds a sync word.
pub fn frames(mut header: impl FnMut(usize) -> Vec<u8>) -> Vec<u8> {
    (0..384).flat_map(&mut header).collect()
}

/// Layer III, 44.1 kHz, 128 kbit/s.
pub fn mp3() -> Vec<u8> {
    frames(|_| [&[0xFF, 0xFB, 0x90, 0x64][..], &[0x55; 413]].concat())
}

/// AAC LC, 44.1 kHz, frames of 300 to 427 bytes.
pub fn adts() -> Vec<u8> {
    frames(|index| {
        let bytes = 300 + index % 128;
        let [.., b3, b4, b5] = ((bytes as u32) << 5).to_be_bytes();
        let header = [0xFF, 0xF1, 0x50, 0x80 | b3, b4, b5 | 0x1F, 0xFC];
        [&header[..], &vec![0x55; bytes - header.len()]].concat()
    })
}

/// AAC LC at 22.05 kHz, where every block is looked at for SBR.
pub fn adts_at_a_low_rate() -> Vec<u8> {
    let mut stream = adts();
    let mut at = 0;
    while at < stream.len() {
        stream[at + 2] = 0x5C;
        let bytes = usize::from(stream[at + 4]) << 3 | usize::from(stream[at + 5] >> 5);
        // The block ends as a block does.
        stream[at + bytes - 1] = 0x07;
        at += bytes;
    }
    stream
}

/// FLAC at 44.1 kHz in stereo: a hundred frames of 8 KB whose bodies are random bytes.
pub fn flac() -> Vec<u8> {
    let frame = |number: u8| {
        let header = [0xFF, 0xF8, 0xC9, 0x18, number];
        let crc_8 = crc::Crc::<u8>::new(&crc::CRC_8_SMBUS).checksum(&header);
        let frame = [&header[..], &[crc_8], &noise()[..8 * 1024]].concat();
        let crc_16 = crc::Crc::<u16>::new(&crc::CRC_16_UMTS).checksum(&frame);
        [&frame[..], &crc_16.to_be_bytes()].concat()
    };
    (0..100).flat_map(frame).collect()
}

/// AAC in LATM at 44.1 kHz, elements of 300 to 427 bytes, every twentieth with a configuration.
pub fn latm() -> Vec<u8> {
    frames(|index| {
        let bytes = 300 + index % 128;
        let begin: &[u8] = if index % 20 == 0 { &[0x20, 0x00, 0x12, 0x10] } else { &[0x80] };
        let header = (0x2B7 << 13 | bytes as u32).to_be_bytes();
        [&header[1..], begin, &vec![0x55; bytes - begin.len()]].concat()
    })
}

/// WAV at 44.1 kHz in stereo with 16 bits, of unknown size.
pub fn wav() -> Vec<u8> {
    let fmt = b"\x10\0\0\0\x01\0\x02\0\x44\xAC\0\0\x10\xB1\x02\0\x04\0\x10\0";
    let head = [&b"RIFF\xFF\xFF\xFF\xFFWAVEfmt "[..], fmt, b"data\xFF\xFF\xFF\xFF"].concat();
    [&head[..], &noise().repeat(20)].concat()
}

/// An element with a size of eight bytes.
pub fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
    [id, &((body.len() as u64) | 1 << 56).to_be_bytes(), body].concat()
}

/// A WebM head with one track of Opus, then `clusters`.
pub fn webm(clusters: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let doc_type = element(&[0x42, 0x82], b"webm");
    let track = [
        element(&[0xD7], &[1]),
        element(&[0x83], &[2]),
        element(&[0x86], b"A_OPUS"),
        element(&[0x63, 0xA2], b"OpusHead"),
    ];
    let tracks = element(&[0xAE], &track.concat());
    let head = [
        element(&[0x1A, 0x45, 0xDF, 0xA3], &doc_type),
        vec![0x18, 0x53, 0x80, 0x67, 0xFF],
        element(&[0x16, 0x54, 0xAE, 0x6B], &tracks),
    ];
    head.into_iter().chain(clusters).flatten().collect()
}

/// Seconds of blocks of `bytes`, 20 ms apart, in clusters of a second.
pub fn sound(seconds: u64, bytes: usize) -> Vec<u8> {
    let block = |index: u8| {
        let [high, low] = (u16::from(index) * 20).to_be_bytes();
        element(&[0xA3], &[&[0x81, high, low, 0x80][..], &vec![0x55; bytes]].concat())
    };
    webm((0..seconds).map(|second| {
        let time = element(&[0xE7], &(second * 1_000).to_be_bytes());
        let blocks: Vec<u8> = (0..50).flat_map(block).collect();
        element(&[0x1F, 0x43, 0xB6, 0x75], &[time, blocks].concat())
    }))
}

/// A link of Opus in pages of 50 packets with some 4 KB, 10 seconds.
pub fn ogg() -> Vec<u8> {
    let mut out = Vec::new();
    let mut page = |flags: u8, granule: u64, sequence: u32, packets: &[Vec<u8>]| {
        let start = out.len();
        out.extend_from_slice(&[b"OggS\0", &[flags][..], &granule.to_le_bytes()].concat());
        out.extend([7_u32.to_le_bytes(), sequence.to_le_bytes(), [0; 4]].concat());
        out.push(packets.len() as u8);
        out.extend(packets.iter().map(|packet| packet.len() as u8));
        out.extend(packets.concat());
        let sum = out[start..].iter().fold(0_u32, |sum, &byte| {
            let shift = |sum: u32, _| sum << 1 ^ if sum >> 31 == 1 { 0x04C1_1DB7 } else { 0 };
            (0..8).fold(sum ^ u32::from(byte) << 24, shift)
        });
        out[start + 22..start + 26].copy_from_slice(&sum.to_le_bytes());
    };
    page(2, 0, 0, &[b"OpusHead\x01\x02\x38\x01\x80\xBB\0\0\0\0\0".to_vec()]);
    page(0, 0, 1, &[b"OpusTags\0\0\0\0\0\0\0\0".to_vec()]);
    for index in 1..=10 {
        let packet = |length: usize| [&[0xFC][..], &vec![0x55; length]].concat();
        let packets: Vec<_> = (0..50).map(|at| packet(60 + at)).collect();
        page(0, index * 48_000, index as u32 + 1, &packets);
    }
    out
}

/// 48 KiB of a generator's output, less than what makes a parser give up.
pub fn noise() -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..48 * 1024).map(|_| next()).collect()
}
