"""Workers that start by themselves: on a change of status, or because something is due."""
