"""Scripts: what stands in `scripts/<category>/`, in which mode it runs, and running one."""
