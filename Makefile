# The front door: targets only, for GNU make and BSD make.  `make help` lists
# them; how things are compiled is in mk/build.mk, what belongs to which program
# in the sources.mk beside its sources.

VARIANT= rel

all: ## build the programs into build/bin (VARIANT=dbg|rel|asan|tsan|cov: build/VARIANT/bin)
	@sh tools/setup build
	@sh mk/run.sh $(VARIANT) all

unit: ## build and run the unit tests
	@sh tools/setup build
	@sh mk/run.sh $(VARIANT) unit

clean: ## remove what was built
	rm -rf build

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1	/p' Makefile | expand -t 12

.PHONY: all unit clean help
