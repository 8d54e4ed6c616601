/* placeholder */ typedef int vss_placeholder_icmsg;
