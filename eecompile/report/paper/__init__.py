"""Tables and plots of the report page as files of their own, for papers and slides."""
