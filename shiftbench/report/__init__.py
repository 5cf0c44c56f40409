"""What people read: the terminal table, progress, figures."""
