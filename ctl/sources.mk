# Sources, objects and link rules of ctl/.
