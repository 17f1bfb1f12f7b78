import Foundation

@testable import GLENText

/// A corpus written for these tests, and a vocabulary trained on it.
enum SmallCorpus {
  static let sentences: [String] = {
    let subjects = [
      "The river", "A lighthouse keeper", "The old library", "Our neighbour", "The night train",
      "A flock of starlings", "The baker", "Every mountain path", "The harbour",
      "A patient teacher",
    ]
    let verbs = [
      "remembers", "carries", "follows", "repairs", "describes", "hides", "crosses", "welcomes",
    ]
    let objects = [
      "the morning fog", "a broken clock", "letters from the north", "the children's songs",
      "seven wooden boats", "an unfinished map", "the smell of bread", "Café Zürich in 1923",
    ]
    return subjects.flatMap { subject in
      verbs.flatMap { verb in objects.map { "\(subject) \(verb) \($0)." } }
    }
  }()

  static let tokenizer: Result<SentencePieceTokenizer, any Error> = Result {
    let folder = try TemporaryFolder()
    return try SentencePieceTokenizer.train(
      sentences: sentences, vocabularySize: 300, to: folder.file("small.model"),
      sentinelCount: 100)
  }

  /// A text of random words, accents, spaces and characters that no vocabulary knows.
  static func text(words: Int, using generator: inout SeededGenerator) -> String {
    let extras = ["日本語", "😀", "e\u{301}", "naïve", "", "\u{200B}", "\t", "½", "xxxxxxx", "\""]
    var text = ""
    for _ in 0..<words {
      if Int.random(in: 0..<6, using: &generator) == 0 {
        text += extras.randomElement(using: &generator) ?? ""
      } else {
        let sentence = sentences.randomElement(using: &generator) ?? ""
        text += sentence.split(separator: " ").randomElement(using: &generator) ?? ""
      }
      text += [" ", " ", " ", "  ", "\n", ""].randomElement(using: &generator) ?? ""
    }
    return text
  }
}
