"""The collection `hook`: hooks of git that keep tags, messages and secrets as they should be."""
