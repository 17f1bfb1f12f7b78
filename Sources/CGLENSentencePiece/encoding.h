#ifndef GLEN_SP_ENCODING_H
#define GLEN_SP_ENCODING_H

#include <sentencepiece_processor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

struct glen_sp_model {
  sentencepiece::SentencePieceProcessor processor;
  // A private-use character that the vocabulary does not know, and the length of the pieces that it
  // makes: put before a text, it keeps the text's first word from getting a space of its own.
  std::string marker;
  size_t marker_length = 0;
  // Whether no piece spans two words and each word gets its space: words may be encoded alone.
  bool independent_words = false;
  // The characters of the longest piece.
  size_t longest_piece = 1;
};

// Receives a piece with its id, and whether it goes on with the unknown run before it.
using PieceVisitor = std::function<void(std::string_view piece, int32_t id, bool joins)>;

// Encodes `text`, or as much of it as has the first `limit` tokens and perhaps a few more.
void VisitPieces(const glen_sp_model &model, std::string_view text, bool continuation,
                 size_t limit, const PieceVisitor &visit);

// What a model's `independent_words` and `longest_piece` are.
bool HasIndependentWords(const sentencepiece::SentencePieceProcessor &processor);
size_t LongestPiece(const sentencepiece::SentencePieceProcessor &processor);

#endif
