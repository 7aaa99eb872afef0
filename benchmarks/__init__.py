"""What is measured: `python -m benchmarks` writes docs/performance.md."""
