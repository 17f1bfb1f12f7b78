#include "glen_sentencepiece.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "model_check.h"

namespace sp = sentencepiece;

struct glen_sp_model {
  sp::SentencePieceProcessor processor;
  // A private-use character that the vocabulary does not know, and the length of the pieces that it
  // makes: put before a text, it keeps the text's first word from getting a space of its own.
  std::string marker;
  size_t marker_length = 0;
  // Whether no piece spans two words and each word gets its space: words may be encoded alone.
  bool independent_words = false;
};

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

// Where the word ends that `start` lies in: at a space before an ASCII character (so that no accent
// joins the space), or at the end.
size_t WordEnd(std::string_view text, size_t start) {
  for (size_t i = start; i + 1 < text.size(); ++i) {
    if (text[i] == ' ' && text[i + 1] > ' ' && text[i + 1] < 0x7F) return i;
  }
  return text.size();
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

bool HasIndependentWords(const sp::SentencePieceProcessor &processor) {
  constexpr std::string_view kSpace = "\xE2\x96\x81";
  if (processor.PieceToId(kSpace) == processor.unk_id()) return false;
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    if (processor.IdToPiece(id).find(kSpace, 1) != std::string::npos) return false;
  }
  return Joined(processor.EncodeAsPieces("a")).rfind(kSpace, 0) == 0;
}

glen_sp_status Prepare(std::unique_ptr<glen_sp_model> model, glen_sp_model **result,
                       char **message) {
  for (int offset = 0; offset < 64; ++offset) {
    const std::string marker = PrivateUseCharacter(offset);
    if (model->processor.PieceToId(marker) != model->processor.unk_id()) continue;
    model->marker = marker;
    model->marker_length = Joined(model->processor.EncodeAsPieces(marker)).size();
    model->independent_words = HasIndependentWords(model->processor);
    *result = model.release();
    return GLEN_SP_OK;
  }
  return Fail(GLEN_SP_INVALID_MODEL, message, "the model knows the whole private-use area");
}

struct Piece {
  std::string_view text;
  int32_t id;
};

// Puts pieces that could stand in any order ("hhh", "h") into one order, shorter ones first.
//
// Their scores add up to the same, and SentencePiece's choice is left to how single precision
// rounds. In exact arithmetic its rule, the longest last piece, gives this order. Two texts make
// the same text in both orders only if they repeat the same root, so being exchangeable is
// transitive and a stretch of such pieces can be sorted.
void OrderExchangeable(std::vector<Piece> *pieces, int32_t unknown) {
  const auto exchangeable = [&](const Piece &a, const Piece &b) {
    if (a.id == unknown || b.id == unknown || a.text.front() != b.text.front()) return false;
    if (a.id == b.id) return true;
    return std::string(a.text).append(b.text) == std::string(b.text).append(a.text);
  };
  for (auto first = pieces->begin(); first != pieces->end();) {
    auto last = first + 1;
    while (last != pieces->end() && exchangeable(*(last - 1), *last)) ++last;
    if (last - first > 1) {
      std::sort(first, last, [](const Piece &a, const Piece &b) {
        return a.text.size() < b.text.size();
      });
    }
    first = last;
  }
}

// One call of SentencePiece: hands every piece of `text` with its id to `visit`.
template <typename Visit>
void VisitRun(const glen_sp_model &model, std::string_view text, bool continuation,
              sp::ImmutableSentencePieceText *encoded, Visit visit) {
  std::string marked;
  if (continuation) {
    marked.reserve(model.marker.size() + text.size());
    marked.append(model.marker).append(text);
    text = marked;
  }
  const auto status = model.processor.Encode(text, encoded->mutable_proto());
  if (!status.ok()) throw std::runtime_error(status.message());
  size_t skipped = continuation ? model.marker_length : 0;
  const size_t count = encoded->pieces_size();
  std::vector<Piece> pieces;
  pieces.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const auto entry = encoded->pieces(static_cast<int>(i));
    std::string_view piece = entry.piece();
    // An unknown character after the marker makes one unknown run with it: keep the rest.
    const size_t dropped = std::min(skipped, piece.size());
    skipped -= dropped;
    piece.remove_prefix(dropped);
    if (!piece.empty()) pieces.push_back({piece, static_cast<int32_t>(entry.id())});
  }
  OrderExchangeable(&pieces, model.processor.unk_id());
  for (const Piece &piece : pieces) visit(piece.text, piece.id);
}

bool StartsCharacter(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

// The start of the character before (`step` -1) or after (`step` 1) the one that starts at `i`.
size_t Neighbour(std::string_view text, size_t i, int step) {
  do {
    i += step;
  } while (i > 0 && i < text.size() && !StartsCharacter(text[i]));
  return i;
}

// A position after `start` in the midst of a run of unknown characters that normalisation leaves as
// they are: two characters before it, two after. The size of the text where there is none.
size_t OpaqueCut(const glen_sp_model &model, std::string_view text, size_t start) {
  sp::ImmutableSentencePieceText encoded;
  for (size_t i = start; i + 1 < text.size(); ++i) {
    if (!StartsCharacter(text[i])) continue;
    const size_t next = Neighbour(text, i, 1);
    const size_t end = Neighbour(text, next, 1);
    if (model.processor.PieceToId(text.substr(i, next - i)) != model.processor.unk_id()) continue;
    const size_t begin = Neighbour(text, Neighbour(text, i, -1), -1);
    const std::string_view window = text.substr(begin, end - begin);
    bool opaque = false;
    VisitRun(model, window, true, &encoded, [&](std::string_view piece, int32_t id) {
      opaque = piece == window && id == model.processor.unk_id();
    });
    if (opaque) return i;
  }
  return text.size();
}

// Encodes `text` and hands every piece to `visit(piece, id, joins)`; `joins` says that the piece
// goes on with the unknown run before it.
//
// SentencePiece adds up scores in single precision from the start of its input, so that in a long
// input ties are broken by rounding, and it joins unknown characters in quadratic time. Hence one
// call a word where the model allows it, and several for an unknown run without end.
template <typename Visit>
void VisitPieces(const glen_sp_model &model, std::string_view text, bool continuation,
                 Visit visit) {
  constexpr size_t kLongRun = 1024;
  sp::ImmutableSentencePieceText encoded;
  for (size_t start = 0; start < text.size();) {
    const size_t end = model.independent_words ? WordEnd(text, start) : text.size();
    std::string_view word = text.substr(start, end - start);
    bool joins = false;
    while (!word.empty()) {
      const bool is_long = word.size() > 2 * kLongRun;
      const size_t cut = is_long ? OpaqueCut(model, word, kLongRun) : word.size();
      VisitRun(model, word.substr(0, cut), continuation, &encoded,
               [&](std::string_view piece, int32_t id) {
                 visit(piece, id, joins);
                 joins = false;
               });
      word.remove_prefix(cut);
      continuation = joins = true;
    }
    continuation = false;
    start = end + 1;
  }
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

bool glen_sp_has_independent_words(const glen_sp_model *model) {
  return model->independent_words;
}

int32_t glen_sp_pad_id(const glen_sp_model *model) { return model->processor.pad_id(); }
int32_t glen_sp_eos_id(const glen_sp_model *model) { return model->processor.eos_id(); }
int32_t glen_sp_unknown_id(const glen_sp_model *model) { return model->processor.unk_id(); }

glen_sp_status glen_sp_encode(const glen_sp_model *model, const char *text, size_t length,
                              bool continuation, int32_t **ids, size_t *count, char **message) {
  return Guarded(message, [&] {
    std::vector<int32_t> found;
    found.reserve(length / 3 + 2);
    VisitPieces(*model, {text, length}, continuation,
                [&](std::string_view, int32_t id, bool joins) {
                  if (!joins) found.push_back(id);
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
    VisitPieces(*model, {text, length}, continuation,
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
