/* placeholder */ typedef int vss_placeholder_engine;
