"""Which subprojects have to be deployed: since a ref, or since what runs somewhere."""
