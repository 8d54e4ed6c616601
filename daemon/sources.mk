# Sources, objects and link rules of daemon/.
