#include "model_check.h"

#include <cmath>
#include <cstdint>
#include <cstring>

namespace {

// Reads the fields of one protocol-buffer message, front to back.
class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}

  // Moves to the next field; false at the end and at a fault.
  bool Next() {
    if (rest_.empty() || broken_) return false;
    const uint64_t tag = Varint();
    number_ = tag >> 3;
    wire_ = static_cast<int>(tag & 7);
    switch (wire_) {
      case 0: value_ = Varint(); break;
      case 1: Take(8); break;
      case 2: Take(Varint()); break;
      case 5: Take(4); break;
      default: broken_ = true;
    }
    return !broken_;
  }

  bool Is(uint64_t number, int wire) const { return number_ == number && wire_ == wire; }
  std::string_view bytes() const { return bytes_; }
  uint64_t value() const { return value_; }
  bool broken() const { return broken_; }

 private:
  uint64_t Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    broken_ = true;
    return 0;
  }

  void Take(uint64_t count) {
    if (broken_ || count > rest_.size()) {
      broken_ = true;
      return;
    }
    bytes_ = rest_.substr(0, count);
    rest_.remove_prefix(count);
  }

  std::string_view rest_;
  std::string_view bytes_;
  uint64_t value_ = 0;
  uint64_t number_ = 0;
  int wire_ = 0;
  bool broken_ = false;
};

uint32_t LittleEndian(std::string_view bytes, size_t position) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) {
    const auto byte = static_cast<unsigned char>(bytes[position + i]);
    value |= static_cast<uint32_t>(byte) << (8 * i);
  }
  return value;
}

const char *PieceFault(std::string_view message) {
  Fields fields(message);
  std::string_view piece;
  while (fields.Next()) {
    if (fields.Is(1, 2)) piece = fields.bytes();
    if (fields.Is(2, 5)) {
      const uint32_t bits = LittleEndian(fields.bytes(), 0);
      float score;
      std::memcpy(&score, &bits, sizeof score);
      if (!std::isfinite(score)) return "a piece's score is not a finite number";
    }
  }
  if (fields.broken()) return "a piece is cut off";
  if (piece.empty()) return "a piece is empty";
  if (piece.find('\0') != std::string_view::npos) return "a piece holds a NUL byte";
  return nullptr;
}

// A character map is the size of a double array, the array (a trie from text to positions), and
// NUL-terminated replacements. Every link must stay inside the array, every leaf inside the text.
const char *CharacterMapFault(std::string_view map) {
  const char *fault = "the normalisation table is damaged";
  if (map.empty()) return nullptr;
  if (map.size() < 4) return fault;
  const size_t size = LittleEndian(map, 0);
  map.remove_prefix(4);
  if (size == 0 || size % 4 != 0 || size >= map.size() || map.back() != '\0') return fault;
  const size_t units = size / 4;
  const size_t replacements = map.size() - size;
  for (size_t i = 0; i < units; ++i) {
    const uint32_t unit = LittleEndian(map, 4 * i);
    if (unit >> 31 != 0) continue;  // a leaf's value, never walked through
    const size_t offset = static_cast<size_t>(unit >> 10) << ((unit & (1u << 9)) >> 6);
    const size_t next = i ^ offset;
    if ((next | 0xFF) >= units) return fault;
    if ((unit >> 8 & 1) == 0) continue;
    const size_t value = LittleEndian(map, 4 * next) & 0x7FFFFFFFu;
    if (value >= replacements) return fault;
  }
  return nullptr;
}

const char *TrainerFault(std::string_view message) {
  Fields fields(message);
  while (fields.Next()) {
    if (fields.Is(3, 0) && fields.value() != 1) return "the model is not a unigram model";
  }
  return fields.broken() ? "the training settings are cut off" : nullptr;
}

const char *NormalizerFault(std::string_view message) {
  Fields fields(message);
  while (fields.Next()) {
    if (!fields.Is(2, 2)) continue;
    if (const char *fault = CharacterMapFault(fields.bytes())) return fault;
  }
  return fields.broken() ? "the normaliser is cut off" : nullptr;
}

}  // namespace

const char *glen_sp_model_fault(std::string_view model) {
  Fields fields(model);
  bool has_pieces = false;
  while (fields.Next()) {
    const char *fault = nullptr;
    if (fields.Is(1, 2)) {
      has_pieces = true;
      fault = PieceFault(fields.bytes());
    } else if (fields.Is(2, 2)) {
      fault = TrainerFault(fields.bytes());
    } else if (fields.Is(3, 2) || fields.Is(5, 2)) {
      fault = NormalizerFault(fields.bytes());
    }
    if (fault != nullptr) return fault;
  }
  if (fields.broken()) return "the file is cut off or is no SentencePiece model";
  return has_pieces ? nullptr : "the model has no pieces";
}
