"""Many runs: execution, comparison, sweeps."""
