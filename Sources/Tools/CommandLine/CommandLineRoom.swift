// Arguments, printers, live tables, and one file per command.
