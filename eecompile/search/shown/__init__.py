"""What a person looks at after a search: its front as table, picture and page, with others laid over it."""
