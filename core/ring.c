/* placeholder */ typedef int vss_placeholder_ring;
