"""Virtual backgrounds as a WebRTC service."""
