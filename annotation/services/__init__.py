"""Use-cases of annotation, one verb a function; pages, REST calls and commands wrap these."""
