"""Git: repositories, objects, remotes and pushes; the only folder that talks to git."""
