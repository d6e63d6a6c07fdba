"""What programs talk to: OpenAI's endpoints under /v1, llar's own under /api."""
