# Sources, objects and link rules of freezer/.
