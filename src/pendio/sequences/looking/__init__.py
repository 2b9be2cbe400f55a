"""Looking inside networks on sequences: attention, gates, states, and which inputs an output depends on."""
