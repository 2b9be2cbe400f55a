"""Decision processes whose transitions are known, and solving them exactly."""
