#ifndef GLEN_SENTENCEPIECE_H
#define GLEN_SENTENCEPIECE_H
#ifdef __cplusplus
extern "C" {
#endif
int glen_sp_version(void);
#ifdef __cplusplus
}
#endif
#endif
