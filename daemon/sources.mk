# Sources, objects and link rules of daemon/.

# The plan and what it knows of the system; the programs that use it want
# PLAN_LIBS.
PLAN_SRCS= plan.c check.c fs_types.c fs_table.c fs_linux.c fs_linux_block.c
PLAN_OBJS= $(PLAN_SRCS:.c=.o)
PLAN_LIBS= -lmount
plan.a: $(PLAN_OBJS)
	rm -f $@ && $(AR) rcs $@ $(PLAN_OBJS)
