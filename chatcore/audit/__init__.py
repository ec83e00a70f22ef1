"""What people with power over others did, in a chain that shows whether anything was changed or taken out."""
