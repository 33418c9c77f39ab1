"""One file per wire format: what `"api"` in a provider's config.json names."""
