#ifndef _ENGINE_VAR_H_
#define _ENGINE_VAR_H_
#endif
