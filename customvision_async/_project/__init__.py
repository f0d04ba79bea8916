"""The client of one project, a module for each noun."""
