#include "encoding.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

namespace sp = sentencepiece;

namespace {

constexpr std::string_view kSpace = "\xE2\x96\x81";
// A word is handed to SentencePiece in parts of about this size where that changes nothing.
constexpr size_t kLongRun = 1024;
// Two characters have at most this many bytes.
constexpr size_t kTwoCharacters = 8;

struct Piece {
  std::string_view text;
  int32_t id;
};

// Whether two neighbours make the same text in either order.
bool AreExchangeable(const Piece &a, const Piece &b, int32_t unknown) {
  if (a.id == unknown || b.id == unknown || a.text.front() != b.text.front()) return false;
  if (a.id == b.id) return true;
  return std::string(a.text).append(b.text) == std::string(b.text).append(a.text);
}

// Puts pieces that could stand in any order ("hhh", "h") into one order, shorter ones first.
//
// Their scores add up to the same, and SentencePiece's choice is left to how single precision
// rounds. In exact arithmetic its rule, the longest last piece, gives this order. Two texts make
// the same text in both orders only if they repeat the same root, so being exchangeable is
// transitive and a stretch of such pieces can be sorted.
void OrderExchangeable(std::vector<Piece> *pieces, int32_t unknown) {
  for (auto first = pieces->begin(); first != pieces->end();) {
    auto last = first + 1;
    while (last != pieces->end() && AreExchangeable(*(last - 1), *last, unknown)) ++last;
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

// The bytes that some first tokens usually lie in.
size_t UsualBytes(size_t tokens) {
  constexpr size_t kMost = std::numeric_limits<size_t>::max() >> 10;
  return 64 + 8 * std::min(tokens, kMost);
}

// The part of a word that the first tokens are looked for in, if the word is longer.
size_t MostBytes(size_t tokens) { return 32 * UsualBytes(tokens); }

struct Word {
  size_t end;
  // False where the word goes on.
  bool is_whole;
};

// Where the word ends that `start` lies in: at a space before an ASCII character (so that no accent
// joins the space), at the end, or after `most` bytes that are no spaces.
Word NextWord(std::string_view text, size_t start, size_t most) {
  for (size_t i = start; i < text.size(); ++i) {
    if (text[i] == ' ') {
      if (i + 1 < text.size() && text[i + 1] > ' ' && text[i + 1] < 0x7F) return {i, true};
    } else if (most > 0) {
      --most;
    } else if (StartsCharacter(text[i])) {
      return {i, false};
    }
  }
  return {text.size(), true};
}

// What becomes of a text: its pieces' own text, end to end, where each ends, and their ids.
struct Run {
  std::string text;
  std::vector<size_t> ends;
  std::vector<int32_t> ids;
  // How many pieces stay as they are if the text is followed by more and its best segmentation
  // goes through here: all but the last ones, which what follows may join or be put before.
  size_t settled = 0;
};

Run EncodeRun(const glen_sp_model &model, std::string_view text, bool continuation) {
  Run run;
  Piece last = {{}, model.processor.unk_id()};
  size_t count = 0;
  sp::ImmutableSentencePieceText encoded;
  VisitRun(model, text, continuation, &encoded, [&](std::string_view piece, int32_t id) {
    if (!AreExchangeable(last, {piece, id}, model.processor.unk_id())) run.settled = count;
    last = {piece, id};
    ++count;
    run.text.append(piece);
    run.ends.push_back(run.text.size());
    run.ids.push_back(id);
  });
  return run;
}

bool BeginsWith(std::string_view text, std::string_view beginning) {
  return text.substr(0, beginning.size()) == beginning;
}

// How a longer `text` begins, as far as it is certain from what stands there up to `window` and a
// little behind it: pieces that every encoding of a text with this beginning has.
//
// The best segmentation up to a position depends on nothing behind it. So the pieces before a
// position are certain if every segmentation goes through it, as through the one before a space;
// or if it is one of several, all with these pieces, of which every segmentation must meet one: a
// stretch as long as the longest piece. As many characters again are looked at to see that
// normalisation does not change what stands in front of them.
Run CertainBeginning(const glen_sp_model &model, std::string_view text, bool continuation,
                     size_t window) {
  const size_t longest = model.longest_piece;
  while (window < text.size() && !StartsCharacter(text[window])) ++window;
  const auto forward = [&](size_t end) {
    for (size_t k = 0; k < longest && end < text.size(); ++k) end = Neighbour(text, end, 1);
    return end;
  };
  const size_t space = text.find(' ', window);
  if (space < forward(window) && forward(space) < text.size()) {
    Run run = EncodeRun(model, text.substr(0, space), continuation);
    const Run more = EncodeRun(model, text.substr(0, forward(space)), continuation);
    if (BeginsWith(more.text, run.text + std::string(kSpace))) return run;
  }
  std::vector<Run> stretch;
  size_t end = window;
  for (size_t k = 0; k < 4 * longest && end < text.size(); ++k, end = Neighbour(text, end, 1)) {
    Run run = EncodeRun(model, text.substr(0, end), continuation);
    if (!stretch.empty()) {
      const std::string &last = stretch.back().text;
      const bool follows = run.text.size() > last.size() && BeginsWith(run.text, last) &&
                           Neighbour(run.text, last.size(), 1) == run.text.size();
      if (!follows) stretch.clear();
    }
    stretch.push_back(std::move(run));
    if (stretch.size() < 2 * longest) continue;
    Run &first = stretch.front();
    for (size_t other = 1; other < longest; ++other) {
      const Run &next = stretch[other];
      size_t common = 0;
      const size_t most = std::min(first.settled, next.settled);
      while (common < most && first.ids[common] == next.ids[common]) ++common;
      first.settled = common;
    }
    return std::move(first);
  }
  return {};
}

// Hands the first `wanted` pieces of a word to `visit(piece, id)`, of which `text` is only the
// beginning: those of the whole word where that is certain, else those of `text`.
template <typename Visit>
void VisitBeginning(const glen_sp_model &model, std::string_view text, bool continuation,
                    size_t wanted, Visit visit) {
  for (const size_t window : {UsualBytes(wanted), 4 * UsualBytes(wanted)}) {
    const Run run = CertainBeginning(model, text, continuation, window);
    if (run.settled < wanted) continue;
    for (size_t i = 0; i < wanted; ++i) {
      const size_t begin = i == 0 ? 0 : run.ends[i - 1];
      visit(std::string_view(run.text).substr(begin, run.ends[i] - begin), run.ids[i]);
    }
    return;
  }
  sp::ImmutableSentencePieceText encoded;
  VisitRun(model, text, continuation, &encoded, visit);
}

}  // namespace

// SentencePiece adds up scores in single precision from the start of its input, so that in a long
// input ties are broken by rounding, and it joins unknown characters in quadratic time. Hence one
// call a word where the model allows it, and several for an unknown run without end.
void VisitPieces(const glen_sp_model &model, std::string_view text, bool continuation,
                 size_t limit, const PieceVisitor &visit) {
  // So that one more can be counted.
  limit = std::min(limit, std::numeric_limits<size_t>::max() - 1);
  sp::ImmutableSentencePieceText encoded;
  Word word = {0, false};
  size_t count = 0;
  bool joins = false;
  const auto take = [&](std::string_view piece, int32_t id) {
    if (!joins) ++count;
    visit(piece, id, joins);
    joins = false;
  };
  for (size_t start = 0; start < text.size() && count < limit;) {
    const size_t wanted = limit - count + (joins ? 1 : 0);
    if (!model.independent_words) {
      word = {text.size(), true};
    } else if (!joins || !word.is_whole) {
      word = NextWord(text, start, MostBytes(wanted));
    }
    const std::string_view part = text.substr(start, word.end - start);
    const bool is_long = !word.is_whole || part.size() > 2 * kLongRun;
    const size_t cut = is_long ? OpaqueCut(model, part, kLongRun) : part.size();
    if (!word.is_whole && cut + kTwoCharacters > part.size()) {
      VisitBeginning(model, part, continuation, wanted, take);
      return;
    }
    if (!part.empty()) VisitRun(model, part.substr(0, cut), continuation, &encoded, take);
    continuation = joins = cut < part.size();
    start += joins ? cut : cut + 1;
  }
}

bool HasIndependentWords(const sp::SentencePieceProcessor &processor) {
  if (processor.PieceToId(kSpace) == processor.unk_id()) return false;
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    if (processor.IdToPiece(id).find(kSpace, 1) != std::string::npos) return false;
  }
  const auto pieces = processor.EncodeAsPieces("a");
  return !pieces.empty() && pieces.front().rfind(kSpace, 0) == 0;
}

size_t LongestPiece(const sp::SentencePieceProcessor &processor) {
  size_t longest = 1;
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    const std::string &piece = processor.IdToPiece(id);
    longest = std::max<size_t>(
        longest, std::count_if(piece.begin(), piece.end(), StartsCharacter));
  }
  return longest;
}
