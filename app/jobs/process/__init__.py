"""Child processes: starting, confining, identifying and ending them."""
