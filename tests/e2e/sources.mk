# Sources, objects and link rules of tests/e2e/.
