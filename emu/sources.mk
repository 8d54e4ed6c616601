# Sources, objects and link rules of emu/.
