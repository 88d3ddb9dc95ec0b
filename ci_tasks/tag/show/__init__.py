"""All that is known of one tag."""
