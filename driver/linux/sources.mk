# Sources, objects and link rules of driver/linux/.
