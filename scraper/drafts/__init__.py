"""First drafts of spiders: what a page looks like to somebody who would read it, and the file that reads it."""
