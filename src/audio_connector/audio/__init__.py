# SPDX-License-Identifier: Apache-2.0
"""What PCM audio is: formats, frames, resampling and files. No sockets, no clocks, no threads.

Everything in here works on mono, signed 16-bit, little-endian samples in ``bytes``, which is what the wire
carries (PROTOCOL 2.5). Where one piece of audio passes on its way out::

    pcm.to_pcm16       what an application has (bytes, numpy)  ->  bytes
    ingest.PcmIngest   any rate, any chunk size, odd bytes     ->  whole samples at the connection's rate
    framing.Framer     chunks of any size                      ->  frames of exactly 20 ms
    frames.PcmFrames   all of it, for one utterance; the format may come late
"""
