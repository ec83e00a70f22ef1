"""What takes several steps: LangGraph graphs whose nodes call BAML functions, each with a time limit and a way out."""
