"""Run directories in the forms of servers of others: model repositories, and applications of Ray Serve."""
