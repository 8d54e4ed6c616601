/* placeholder */ typedef int vss_placeholder_vss_wire;
