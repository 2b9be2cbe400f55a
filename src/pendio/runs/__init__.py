"""What training leaves behind: the run folder, its weights and its report."""
