"""What Tabserve is measured beside: hand-written services and the loops of tutorials."""
