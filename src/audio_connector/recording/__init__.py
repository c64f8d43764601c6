# SPDX-License-Identifier: Apache-2.0
"""Recordings of a call, on the application's side: where each sample belongs, and the file that it goes to.

timeline   one side: messages with their times become samples without gaps (pure)
take       both sides of what was taped become a stereo file
notes      what happened, as a chunk of that file
outcome    what was recorded, as a value
writer     the thread that writes, off every loop
"""
