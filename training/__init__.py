"""From a table to a published version; it must not know `app`."""
