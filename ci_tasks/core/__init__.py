"""The ground floor: processes, git, YAML, the terminal and the task wrapper; knows no domain word."""
