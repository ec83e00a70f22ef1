// Filled by the push part.
