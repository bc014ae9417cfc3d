"""Operations, scripts, and the engines that carry them to a server and back exactly once."""
