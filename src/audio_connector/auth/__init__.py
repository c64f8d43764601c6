# SPDX-License-Identifier: Apache-2.0
"""Who may dial: tokens that you sign yourself, Vonage's signature, or a function of yours; see ``authenticate``."""

from audio_connector.auth.minting import mint_token
from audio_connector.auth.signed import SignedToken
from audio_connector.auth.vonage import VonageSignature
from audio_connector.server.authentication import Rejected, UpgradeRequest

__all__ = ["Rejected", "SignedToken", "UpgradeRequest", "VonageSignature", "mint_token"]
