# Sources, objects and link rules of tests/isoroot/.
