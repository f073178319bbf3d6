"""A run in two parts over a link: where to cut, what is sent, and which plan for which speed."""
