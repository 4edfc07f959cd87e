//! The configuration: what the operator decides, as the file says it and with every default filled in.
