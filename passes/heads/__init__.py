"""What an exit head is made of: families with their genes, and one list of layers that all work on."""
