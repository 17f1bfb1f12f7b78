// A C interface over the SentencePiece library: no C++ type and no C++ exception crosses it.
//
// Text is UTF-8 with an explicit length, so it may hold NUL bytes. A function that returns a
// `glen_sp_status` writes its results only on GLEN_SP_OK; otherwise, where `message` is not null,
// it writes a C string there. The caller releases results and messages with `glen_sp_free`.
// A loaded model is immutable: any number of threads may use it at the same time.

#ifndef GLEN_SENTENCEPIECE_H
#define GLEN_SENTENCEPIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum glen_sp_status {
  GLEN_SP_OK = 0,
  GLEN_SP_INVALID_ARGUMENT = 1,
  GLEN_SP_INVALID_MODEL = 2,
  GLEN_SP_NOT_FOUND = 3,
  GLEN_SP_OUT_OF_MEMORY = 4,
  GLEN_SP_INTERNAL = 5,
} glen_sp_status;

typedef enum glen_sp_kind {
  GLEN_SP_NORMAL = 0,
  GLEN_SP_UNKNOWN = 1,
  GLEN_SP_CONTROL = 2,
  GLEN_SP_UNUSED = 3,
  GLEN_SP_BYTE = 4,
  GLEN_SP_OUT_OF_RANGE = 5,
} glen_sp_kind;

// A loaded model.
typedef struct glen_sp_model glen_sp_model;

// Sentences to train on.
typedef struct glen_sp_corpus glen_sp_corpus;

typedef struct glen_sp_training_options {
  int32_t vocabulary_size;
  int32_t threads;
  double character_coverage;
  bool lowercased;
} glen_sp_training_options;

// Releases what another function returned; null is allowed.
void glen_sp_free(void *memory);

// Loading.
glen_sp_status glen_sp_load_bytes(
    const void *bytes, size_t length, glen_sp_model **model, char **message);
glen_sp_status glen_sp_load_file(const char *path, glen_sp_model **model, char **message);
void glen_sp_close(glen_sp_model *model);

// The vocabulary. `glen_sp_piece` gives null for an id outside it, else `length` bytes that live as
// long as the model. `glen_sp_id` gives -1 for what is no piece.
int32_t glen_sp_piece_count(const glen_sp_model *model);
const char *glen_sp_piece(const glen_sp_model *model, int32_t id, size_t *length);
int32_t glen_sp_id(const glen_sp_model *model, const char *piece, size_t length);
glen_sp_kind glen_sp_kind_of(const glen_sp_model *model, int32_t id);
int32_t glen_sp_pad_id(const glen_sp_model *model);
int32_t glen_sp_eos_id(const glen_sp_model *model);
int32_t glen_sp_unknown_id(const glen_sp_model *model);

// Encoding. `continuation`: the text follows something else, so no space is put before its first
// word unless it begins with one. Of the ids the first `limit` are given, and then no more of the
// text is read than these need; SIZE_MAX gives all.
glen_sp_status glen_sp_encode(
    const glen_sp_model *model, const char *text, size_t length, bool continuation, size_t limit,
    int32_t **ids, size_t *count, char **message);

// Encoding to the pieces' own text; an unknown run comes as it stands in the normalised text.
// `pieces` is all pieces end to end; `ends[i]` is where piece i ends.
glen_sp_status glen_sp_encode_pieces(
    const glen_sp_model *model, const char *text, size_t length, bool continuation,
    char **pieces, size_t **ends, size_t *count, char **message);

// Decoding. An id of the vocabulary stands for its piece; the id `-1 - k` for the literal text
// `<extra_id_k>`; every other id is an error.
glen_sp_status glen_sp_decode(
    const glen_sp_model *model, const int32_t *ids, size_t count,
    char **text, size_t *length, char **message);

// Training.
glen_sp_corpus *glen_sp_corpus_create(void);
glen_sp_status glen_sp_corpus_add(glen_sp_corpus *corpus, const char *text, size_t length);
void glen_sp_corpus_destroy(glen_sp_corpus *corpus);
// Trains a unigram model and gives it serialised. Sets SentencePiece's process-wide log level to
// "errors only". May empty the corpus.
glen_sp_status glen_sp_train(
    glen_sp_corpus *corpus, glen_sp_training_options options,
    void **bytes, size_t *length, char **message);

#ifdef __cplusplus
}
#endif

#endif
