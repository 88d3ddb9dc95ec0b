"""Reports: what a pipeline did, for people, for workflows and for programs; facts and links are handed in."""
