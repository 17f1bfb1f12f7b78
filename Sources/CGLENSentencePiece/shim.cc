#include "glen_sentencepiece.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "encoding.h"
#include "model_check.h"

namespace sp = sentencepiece;

struct glen_sp_corpus {
  std::vector<std::string> sentences;
};

namespace {

void Report(char **message, const char *text) {
  if (message == nullptr) return;
  const size_t size = std::strlen(text) + 1;
  *message = static_cast<char *>(std::malloc(size));
  if (*message != nullptr) std::memcpy(*message, text, size);
}

glen_sp_status Fail(glen_sp_status status, char **message, const char *text) {
  Report(message, text);
  return status;
}

// Runs `body` and turns every exception into a status.
template <typename Body>
glen_sp_status Guarded(char **message, Body body) {
  try {
    return body();
  } catch (const std::bad_alloc &) {
    return Fail(GLEN_SP_OUT_OF_MEMORY, message, "out of memory");
  } catch (const std::exception &error) {
    return Fail(GLEN_SP_INTERNAL, message, error.what());
  } catch (...) {
    return Fail(GLEN_SP_INTERNAL, message, "unknown C++ exception");
  }
}

// A malloc'd copy of `count` elements; never null.
template <typename Element>
Element *Copy(const Element *elements, size_t count) {
  void *copy = std::malloc(count == 0 ? 1 : count * sizeof(Element));
  if (copy == nullptr) throw std::bad_alloc();
  if (count > 0) std::memcpy(copy, elements, count * sizeof(Element));
  return static_cast<Element *>(copy);
}

bool IsKnown(const glen_sp_model &model, int32_t id) {
  return id >= 0 && id < model.processor.GetPieceSize();
}

std::string PrivateUseCharacter(int offset) {  // U+E000 + offset
  const int code = 0xE000 + offset;
  std::string text;
  text += static_cast<char>(0xE0 | (code >> 12));
  text += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
  text += static_cast<char>(0x80 | (code & 0x3F));
  return text;
}

std::string Joined(const std::vector<std::string> &pieces) {
  std::string joined;
  for (const std::string &piece : pieces) joined += piece;
  return joined;
}

glen_sp_status Prepare(std::unique_ptr<glen_sp_model> model, glen_sp_model **result,
                       char **message) {
  for (int offset = 0; offset < 64; ++offset) {
    const std::string marker = PrivateUseCharacter(offset);
    if (model->processor.PieceToId(marker) != model->processor.unk_id()) continue;
    model->marker = marker;
    model->marker_length = Joined(model->processor.EncodeAsPieces(marker)).size();
    model->independent_words = HasIndependentWords(model->processor);
    model->longest_piece = LongestPiece(model->processor);
    *result = model.release();
    return GLEN_SP_OK;
  }
  return Fail(GLEN_SP_INVALID_MODEL, message, "the model knows the whole private-use area");
}

// A number of [0, 1] in decimals, the same in every locale.
std::string Fraction(double value) {
  if (!(value > 0)) return "0.0";
  if (value >= 1) return "1.0";
  const std::string millionths = std::to_string(static_cast<int>(value * 1e6 + 0.5));
  return "0." + std::string(6 - millionths.size(), '0') + millionths;
}

// Makes a sentence safe to train on.
//
// The trainer drops a sentence that holds NUL or U+2585 (its stand-in for the unknown), and its
// lattice overflows on words without end. Those characters become spaces, and a word is broken
// after `kLongestWord` bytes, between two characters.
std::string Trainable(std::string_view text) {
  constexpr size_t kLongestWord = 256;
  constexpr std::string_view kReserved = "\xE2\x96\x85";
  std::string result;
  result.reserve(text.size() + text.size() / kLongestWord);
  size_t word = 0;
  for (size_t i = 0; i < text.size(); ++i, ++word) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool starts_character = (byte & 0xC0) != 0x80;
    if (word >= kLongestWord && starts_character) {
      result += ' ';
      word = 0;
    }
    if (text.substr(i, kReserved.size()) == kReserved) {
      result += ' ';
      i += kReserved.size() - 1;
      word = 0;
    } else if (byte <= ' ') {
      result += ' ';
      word = 0;
    } else {
      result += static_cast<char>(byte);
    }
  }
  return result;
}

// Hands a corpus to the trainer and releases each sentence once it is read.
class Sentences : public sp::SentenceIterator {
 public:
  explicit Sentences(std::vector<std::string> *sentences) : sentences_(sentences) {}
  bool done() const override { return position_ >= sentences_->size(); }
  void Next() override {
    std::string().swap((*sentences_)[position_]);
    ++position_;
  }
  const std::string &value() const override { return (*sentences_)[position_]; }
  sp::util::Status status() const override { return sp::util::Status(); }

 private:
  std::vector<std::string> *sentences_;
  size_t position_ = 0;
};

}  // namespace

extern "C" {

void glen_sp_free(void *memory) { std::free(memory); }

glen_sp_status glen_sp_load_bytes(const void *bytes, size_t length, glen_sp_model **model,
                                  char **message) {
  return Guarded(message, [&] {
    const std::string_view serialized(static_cast<const char *>(bytes), length);
    if (const char *fault = glen_sp_model_fault(serialized)) {
      return Fail(GLEN_SP_INVALID_MODEL, message, fault);
    }
    auto loaded = std::make_unique<glen_sp_model>();
    const auto status = loaded->processor.LoadFromSerializedProto(serialized);
    if (!status.ok()) return Fail(GLEN_SP_INVALID_MODEL, message, status.message());
    return Prepare(std::move(loaded), model, message);
  });
}

glen_sp_status glen_sp_load_file(const char *path, glen_sp_model **model, char **message) {
  return Guarded(message, [&] {
    std::unique_ptr<std::FILE, int (*)(std::FILE *)> file(std::fopen(path, "rb"), std::fclose);
    if (!file) return Fail(GLEN_SP_NOT_FOUND, message, std::strerror(errno));
    std::string bytes;
    char buffer[1 << 16];
    while (const size_t count = std::fread(buffer, 1, sizeof buffer, file.get())) {
      bytes.append(buffer, count);
    }
    if (std::ferror(file.get()) != 0) return Fail(GLEN_SP_NOT_FOUND, message, "cannot be read");
    return glen_sp_load_bytes(bytes.data(), bytes.size(), model, message);
  });
}

void glen_sp_close(glen_sp_model *model) { delete model; }

int32_t glen_sp_piece_count(const glen_sp_model *model) { return model->processor.GetPieceSize(); }

const char *glen_sp_piece(const glen_sp_model *model, int32_t id, size_t *length) {
  if (!IsKnown(*model, id)) return nullptr;
  const std::string &piece = model->processor.IdToPiece(id);
  *length = piece.size();
  return piece.data();
}

int32_t glen_sp_id(const glen_sp_model *model, const char *piece, size_t length) {
  int32_t id = -1;
  Guarded(nullptr, [&] {
    const std::string_view wanted(piece, length);
    const int found = model->processor.PieceToId(wanted);
    if (IsKnown(*model, found) && model->processor.IdToPiece(found) == wanted) id = found;
    return GLEN_SP_OK;
  });
  return id;
}

glen_sp_kind glen_sp_kind_of(const glen_sp_model *model, int32_t id) {
  if (!IsKnown(*model, id)) return GLEN_SP_OUT_OF_RANGE;
  if (model->processor.IsUnknown(id)) return GLEN_SP_UNKNOWN;
  if (model->processor.IsControl(id)) return GLEN_SP_CONTROL;
  if (model->processor.IsUnused(id)) return GLEN_SP_UNUSED;
  if (model->processor.IsByte(id)) return GLEN_SP_BYTE;
  return GLEN_SP_NORMAL;
}

int32_t glen_sp_pad_id(const glen_sp_model *model) { return model->processor.pad_id(); }
int32_t glen_sp_eos_id(const glen_sp_model *model) { return model->processor.eos_id(); }
int32_t glen_sp_unknown_id(const glen_sp_model *model) { return model->processor.unk_id(); }

glen_sp_status glen_sp_encode(const glen_sp_model *model, const char *text, size_t length,
                              bool continuation, size_t limit, int32_t **ids, size_t *count,
                              char **message) {
  return Guarded(message, [&] {
    std::vector<int32_t> found;
    found.reserve(std::min(length / 3 + 2, limit));
    VisitPieces(*model, {text, length}, continuation, limit,
                [&](std::string_view, int32_t id, bool joins) {
                  if (!joins && found.size() < limit) found.push_back(id);
                });
    *ids = Copy(found.data(), found.size());
    *count = found.size();
    return GLEN_SP_OK;
  });
}

glen_sp_status glen_sp_encode_pieces(const glen_sp_model *model, const char *text, size_t length,
                                     bool continuation, char **pieces, size_t **ends,
                                     size_t *count, char **message) {
  return Guarded(message, [&] {
    std::string joined;
    std::vector<size_t> positions;
    VisitPieces(*model, {text, length}, continuation, std::numeric_limits<size_t>::max(),
                [&](std::string_view piece, int32_t, bool joins) {
                  joined.append(piece);
                  if (joins) positions.pop_back();
                  positions.push_back(joined.size());
                });
    size_t *copied = Copy(positions.data(), positions.size());
    std::unique_ptr<size_t, void (*)(void *)> owner(copied, std::free);
    *pieces = Copy(joined.data(), joined.size());
    *ends = owner.release();
    *count = positions.size();
    return GLEN_SP_OK;
  });
}

glen_sp_status glen_sp_decode(const glen_sp_model *model, const int32_t *ids, size_t count,
                              char **text, size_t *length, char **message) {
  return Guarded(message, [&] {
    std::vector<std::string> pieces;
    pieces.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      const int32_t id = ids[i];
      if (id < 0) {
        pieces.push_back("<extra_id_" + std::to_string(-1 - static_cast<int64_t>(id)) + ">");
      } else if (IsKnown(*model, id)) {
        pieces.push_back(model->processor.IdToPiece(id));
      } else {
        return Fail(GLEN_SP_INVALID_ARGUMENT, message, "an id lies outside the vocabulary");
      }
    }
    std::string decoded;
    const auto status = model->processor.Decode(pieces, &decoded);
    if (!status.ok()) return Fail(GLEN_SP_INTERNAL, message, status.message());
    *text = Copy(decoded.data(), decoded.size());
    *length = decoded.size();
    return GLEN_SP_OK;
  });
}

glen_sp_corpus *glen_sp_corpus_create(void) { return new (std::nothrow) glen_sp_corpus; }

glen_sp_status glen_sp_corpus_add(glen_sp_corpus *corpus, const char *text, size_t length) {
  return Guarded(nullptr, [&] {
    corpus->sentences.push_back(Trainable({text, length}));
    return GLEN_SP_OK;
  });
}

void glen_sp_corpus_destroy(glen_sp_corpus *corpus) { delete corpus; }

glen_sp_status glen_sp_train(glen_sp_corpus *corpus, glen_sp_training_options options,
                             void **bytes, size_t *length, char **message) {
  return Guarded(message, [&] {
    const std::unordered_map<std::string, std::string> settings = {
        {"minloglevel", "2"},
        {"model_type", "unigram"},
        {"vocab_size", std::to_string(options.vocabulary_size)},
        {"hard_vocab_limit", "false"},
        {"character_coverage", Fraction(options.character_coverage)},
        {"num_threads", std::to_string(options.threads)},
        {"normalization_rule_name", options.lowercased ? "nmt_nfkc_cf" : "nmt_nfkc"},
        {"max_sentence_length", std::to_string(1 << 30)},
        {"required_chars", "0123456789\xE2\x96\x81"},
        {"byte_fallback", "false"},
        {"pad_id", "0"},
        {"eos_id", "1"},
        {"unk_id", "2"},
        {"bos_id", "-1"},
    };
    Sentences sentences(&corpus->sentences);
    std::string model;
    const auto status = sp::SentencePieceTrainer::Train(settings, &sentences, &model);
    if (!status.ok()) return Fail(GLEN_SP_INVALID_ARGUMENT, message, status.message());
    *bytes = Copy(model.data(), model.size());
    *length = model.size();
    return GLEN_SP_OK;
  });
}

}  // extern "C"
