"""What covers cost: CPU time, bytes, requests and memory, against the decoder's own limit and against other tools."""
