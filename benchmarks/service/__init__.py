"""What the service's bookkeeping costs: real processes, signed HTTP, real callbacks, and jobs that do nothing."""
